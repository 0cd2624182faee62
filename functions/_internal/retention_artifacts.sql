create or replace function bloom_private.retention_artifacts(p_before timestamptz) returns text[]
language plpgsql volatile as $$
-- Drops the oldest week of artifacts.
declare
    v_week date;
    v_name text;
begin
    delete from artifact_default where artifact_id = any (array(
        select artifact_id from artifact_default where artifact_id < uuid_floor(p_before)
         order by artifact_id limit 10000));
    select partition_weeks into v_week from partition_weeks('artifact', p_before) limit 1;
    if not found then
        return '{}';
    end if;
    v_name := 'artifact' || to_char(v_week, '_YYYYMMDD');
    execute format('drop table bloom_private.%I', v_name);
    return array[v_name];
end
$$;
comment on function bloom_private.retention_artifacts(timestamptz) is
    'Drops the oldest week of artifacts.';
