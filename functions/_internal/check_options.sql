create or replace function bloom_private.check_options(p_options jsonb, p_known text[]) returns void
language plpgsql immutable as $$
-- Refuses options that are not an object or that have a key nobody knows: a misspelt option must
-- not be silently without effect.
declare
    v_key text;
begin
    if p_options is null or jsonb_typeof(p_options) <> 'object' then
        perform bloom_private.refuse_field('options', 'Expected object');
    end if;
    if p_options - p_known <> '{}' then
        select k into v_key from jsonb_object_keys(p_options) k
         where k <> all (p_known) order by k limit 1;
        if found then
            perform bloom_private.refuse_field(left(v_key, 100), 'Unknown option');
        end if;
    end if;
end
$$;
comment on function bloom_private.check_options(jsonb, text[]) is
    'Refuses options that are not an object of known keys.';
