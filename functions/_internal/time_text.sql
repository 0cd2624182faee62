create or replace function bloom_private.time_text(p_at timestamptz) returns text
language sql stable as $$
-- A time for a sentence: UTC, to the second.
select to_char(p_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"')
$$;
comment on function bloom_private.time_text(timestamptz) is 'A time for a sentence.';
