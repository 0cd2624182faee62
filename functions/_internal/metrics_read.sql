create or replace function bloom_private.metrics_read(p_metrics jsonb) returns jsonb
language plpgsql immutable as $$
-- Checks the metrics of a result: duration_ms and tokens_used, integers ≥ 0 or null. Other numbers,
-- booleans and short texts travel along (at most 50): what a later worker measures is not lost.
declare
    v_metrics jsonb := coalesce(nullif(p_metrics, 'null'), '{}');
    v_item record;
begin
    if jsonb_typeof(v_metrics) <> 'object' then
        perform bloom_private.refuse_field('metrics', 'Expected object, received '
            || jsonb_typeof(v_metrics));
    end if;
    if v_metrics = '{}' then
        return v_metrics;
    end if;
    perform bloom_private.option_integer(v_metrics, 'duration_ms', 0, 0, 2147483647);
    perform bloom_private.option_integer(v_metrics, 'tokens_used', 0, 0, 2147483647);
    if (select count(*) from jsonb_object_keys(v_metrics)) > 50 then
        perform bloom_private.refuse_field('metrics', 'At most 50 metrics');
    end if;
    for v_item in select key, value from jsonb_each(v_metrics) loop
        if jsonb_typeof(v_item.value) in ('object', 'array') or length(v_item.value::text) > 300
        then
            perform bloom_private.refuse_field('metrics',
                'Only numbers, booleans and short texts');
        end if;
    end loop;
    return v_metrics;
end
$$;
comment on function bloom_private.metrics_read(jsonb) is 'Checks the metrics of a result.';
