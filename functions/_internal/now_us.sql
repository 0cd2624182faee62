create or replace function bloom_private.now_us() returns bigint
language sql volatile as $$
-- Microseconds since the epoch.
select (date_part('epoch', clock_timestamp()) * 1000000)::bigint
$$;
comment on function bloom_private.now_us() is 'Microseconds since the epoch.';
