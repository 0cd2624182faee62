create or replace function bloom.artifact_list(
    p_task_id uuid default null, p_limit integer default 100, p_before uuid default null
) returns setof bloom.artifact_row
language plpgsql stable security definer
set search_path = pg_catalog, bloom_private, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
-- Artifacts, newest first: at most p_limit (1–1000) with ids below p_before, of one task or of all.
-- A page stops early once its contents pass 16 MiB, so that it fits into memory; go on from its
-- last id. Raises RT400.
declare
    v_row bloom.artifact_row;
    v_bytes bigint := 0;
    v_size bigint;
begin
    perform check_range('limit', p_limit, 1, 1000);
    for v_row in
        select a.artifact_id, a.task_id, a.type, a.created_at, a.url, a.tags, a.content,
               a.size_bytes, encode(a.sha256, 'hex')
          from artifact a
         where (p_task_id is null or a.task_id = p_task_id)
           and a.artifact_id < coalesce(p_before, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
         order by a.artifact_id desc limit p_limit
    loop
        v_size := coalesce(octet_length(v_row.content), 0);
        v_bytes := v_bytes + v_size;
        exit when v_bytes > 16777216 and v_bytes > v_size;
        return next v_row;
    end loop;
end
$$;
comment on function bloom.artifact_list(uuid, integer, uuid) is 'Artifacts, newest first.';
