create or replace function bloom_private.uuid_floor(p_at timestamptz) returns uuid
language sql immutable as $$
-- The smallest UUID (version 7) of a moment: bounds of partitions that hold time-ordered ids.
select encode(overlay('\x00000000000070008000000000000000'::bytea
    placing substring(int8send((date_part('epoch', p_at) * 1000)::bigint) from 3) from 1 for 6),
    'hex')::uuid
$$;
comment on function bloom_private.uuid_floor(timestamptz) is
    'The smallest version 7 UUID of a moment.';
