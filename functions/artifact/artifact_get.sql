create or replace function bloom.artifact_get(p_artifact_id uuid) returns setof bloom.artifact_row
language plpgsql stable security definer
set search_path = pg_catalog, bloom_private, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
-- One artifact with its content. Raises RT404 artifact_not_found.
begin
    return query
        select a.artifact_id, a.task_id, a.type, a.created_at, a.url, a.tags, a.content,
               a.size_bytes, encode(a.sha256, 'hex')
          from artifact a where a.artifact_id = p_artifact_id;
    if not found then
        perform refuse(404, 'artifact_not_found', 'Artifact not found',
            jsonb_build_object('artifact_id', p_artifact_id));
    end if;
end
$$;
comment on function bloom.artifact_get(uuid) is 'One artifact.';
