create or replace function bloom.webhook_list() returns setof bloom.webhook_row
language sql stable security definer
set search_path = pg_catalog, bloom_private, pg_temp as $$
-- All webhooks, newest first, without their secrets.
select * from webhook_rows(null)
$$;
comment on function bloom.webhook_list() is 'All webhooks.';
