create or replace function bloom_private.uuid_v7() returns uuid
language plpgsql volatile as $$
-- A time-ordered UUID (RFC 9562, version 7): 48 bits of milliseconds, 12 bits of the fraction of
-- the millisecond, 62 random bits.
declare
    v_us bigint := (date_part('epoch', clock_timestamp()) * 1000000)::bigint;
    v_head bigint;
begin
    v_head := ((v_us / 1000) << 16) | 28672 | ((v_us % 1000) * 4096 / 1000);
    return encode(overlay(uuid_send(gen_random_uuid()) placing int8send(v_head) from 1 for 8),
        'hex')::uuid;
end
$$;
comment on function bloom_private.uuid_v7() is 'A time-ordered UUID, version 7.';
