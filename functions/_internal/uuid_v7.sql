create or replace function bloom_private.uuid_v7() returns uuid
language plpgsql volatile as $$
-- A time-ordered UUID of now.
declare
    v_us bigint := bloom_private.now_us();
begin
    return bloom_private.uuid_v7_at(v_us);
end
$$;
comment on function bloom_private.uuid_v7() is 'A time-ordered UUID, version 7.';
