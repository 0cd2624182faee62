create or replace function bloom_private.uuid_v7_at(p_us bigint) returns uuid
language sql volatile as $$
-- A time-ordered UUID (RFC 9562, version 7) of a moment in microseconds since the epoch: 48 bits of
-- milliseconds, 12 bits of the fraction of the millisecond, 62 random bits. One expression, so that
-- statements for many rows take it in; whoever makes many ids at once adds the row's number.
select encode(overlay(uuid_send(gen_random_uuid()) placing
    int8send(((p_us / 1000) << 16) | 28672 | ((p_us % 1000) * 4096 / 1000)) from 1 for 8),
    'hex')::uuid
$$;
comment on function bloom_private.uuid_v7_at(bigint) is
    'A time-ordered UUID, version 7, of a given moment.';
