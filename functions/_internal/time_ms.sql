create or replace function bloom_private.time_ms(p_at timestamptz) returns bigint
language sql immutable as $$
-- Epoch milliseconds, the unit of every time on the wire.
select (date_part('epoch', p_at) * 1000)::bigint
$$;
comment on function bloom_private.time_ms(timestamptz) is 'Epoch milliseconds.';
