create or replace function bloom.credential_list() returns setof bloom.credential_row
language sql stable security definer
set search_path = pg_catalog, bloom_private, pg_temp as $$
-- Every credential that a worker has or that is exhausted, by name, with the workers that have it.
-- exhausted_until is null where it has no limit to wait for; then the rest tells of the last one.
select n.name, case when c.exhausted_until > clock_timestamp() then c.exhausted_until end,
    c.reason, c.reported_by, c.reported_at,
    array(select w.worker_id from worker w where credential_of(w) = n.name order by 1)
  from (select credential_of(w) as name from worker w union select name from credential) n
  left join credential c on c.name = n.name
 order by n.name
$$;
comment on function bloom.credential_list() is 'All credentials and which of them are exhausted.';
