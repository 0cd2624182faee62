create or replace function bloom_private.completions_read(
    p_statuses text[], p_outputs text[], p_options jsonb
) returns bloom_private.completion[]
language plpgsql volatile as $$
-- completion_try for each item of a batch. Most say no more than a status, an output, a message and
-- the two metrics of the contract: for these one statement does for all what completion_read does
-- for one.
declare
    v_at timestamptz := clock_timestamp();
    v_us bigint := now_us();
begin
    return array(
        select case when c.is_plain then row(c.status, c.message, c.metrics, c.type, '{}'::text[],
                    coalesce((o.value ->> 'retryable')::boolean, true), null, null,
                    o.value ->> 'worker_id', null, completion_digest(c.status, c.message,
                        c.metrics, c.type, '{}', null, null, c.output),
                    uuid_v7_at(v_us + o.n), v_at, null)::completion
               else completion_try(c.status, c.output, o.value) end
          from jsonb_array_elements(p_options) with ordinality o(value, n)
         cross join lateral (select o.value -> 'metrics' as m offset 0) m
         cross join lateral (select p_statuses[o.n] as status, p_outputs[o.n] as output,
               o.value ->> 'error_message' as message,
               coalesce(nullif(m.m, 'null'), '{}') as metrics,
               coalesce(o.value ->> 'artifact_type', 'LLM_RESULT') as type,
               p_statuses[o.n] in ('success', 'error')
               and coalesce(char_length(p_outputs[o.n]), 0) <= 67108864
               and (o.value = '{}'
                    or jsonb_typeof(o.value) = 'object'
                    and (o.value - '{error_message,metrics,artifact_type,artifact_tags,retryable,
                         worker_id}'::text[]) = '{}'
                    and coalesce(jsonb_typeof(o.value -> 'error_message'), 'null')
                        in ('string', 'null')
                    and coalesce(char_length(o.value ->> 'error_message'), 0) <= 1048576
                    and coalesce(jsonb_typeof(o.value -> 'artifact_type'), 'null')
                        in ('string', 'null')
                    and coalesce(char_length(o.value ->> 'artifact_type'), 1) between 1 and 128
                    and coalesce(jsonb_typeof(o.value -> 'retryable'), 'null')
                        in ('boolean', 'null')
                    and coalesce(jsonb_typeof(o.value -> 'worker_id'), 'null')
                        in ('string', 'null')
                    and coalesce(char_length(o.value ->> 'worker_id'), 0) <= 128
                    and coalesce(o.value -> 'artifact_tags', 'null') in ('null', '[]')
                    and (coalesce(jsonb_typeof(m.m), 'null') = 'null'
                         or jsonb_typeof(m.m) = 'object'
                            and (m.m - '{duration_ms,tokens_used}'::text[]) = '{}'
                            and coalesce(m.m ->> 'duration_ms', '0') ~ '^[0-9]{1,9}$'
                            and coalesce(m.m ->> 'tokens_used', '0') ~ '^[0-9]{1,9}$'
                            and coalesce(jsonb_typeof(m.m -> 'duration_ms'), 'null') <> 'string'
                            and coalesce(jsonb_typeof(m.m -> 'tokens_used'), 'null')
                                <> 'string'))
               as is_plain offset 0) c
         order by o.n);
end
$$;
comment on function bloom_private.completions_read(text[], text[], jsonb) is
    'Checks the reports of a batch.';
