create or replace function bloom_private.credential_until(p_name text) returns timestamptz
language plpgsql stable as $$
-- Until when a credential is exhausted; null where it is not.
begin
    return (select c.exhausted_until from credential c
             where c.name = p_name and c.exhausted_until > clock_timestamp());
end
$$;
comment on function bloom_private.credential_until(text) is
    'Until when a credential is exhausted.';
