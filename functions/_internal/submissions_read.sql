create or replace function bloom_private.submissions_read(p_tasks jsonb, p_atomic boolean)
returns bloom_private.submission[]
language plpgsql volatile as $$
-- Checks the items of a batch: what is wrong with one is raised (p_atomic) or stands in its error.
-- Most items of a batch differ in nothing but context, agent, prompt and key. So everything else is
-- checked once for all that share it, and each item's own texts by themselves; items about which
-- that leaves a doubt are checked one by one, in the words of submission_read.
declare
    v_us bigint := bloom_private.now_us();
begin
    if jsonb_array_length(p_tasks) = 1 then
        return array[case when p_atomic then bloom_private.submission_read(p_tasks -> 0)
            else bloom_private.submission_try(p_tasks -> 0) end];
    end if;
    return array(
        with given as materialized (
            select e.value, e.n, case when jsonb_typeof(e.value) = 'object' then e.value
                       - '{context_id,agent_slug,prompt,idempotency_key}'::text[] end as rest
              from jsonb_array_elements(p_tasks) with ordinality e(value, n)
        ), kind as materialized (
            select k.rest as of, s.* from (select distinct rest from given where rest is not null) k
             cross join lateral bloom_private.submission_try(
                   k.rest || '{"context_id": "c", "agent_slug": "a", "prompt": "p"}') s
        )
        select case when c.is_plain then row(g.value ->> 'context_id', g.value ->> 'agent_slug',
                    g.value ->> 'prompt', k.context_hints, k.policy, k.desired_format, k.queue,
                    k.requires, k.priority, k.max_attempts, k.max_crashes, k.serial, k.run_at,
                    g.value ->> 'idempotency_key', bloom_private.uuid_v7_at(v_us + g.n), true,
                    false, null)::bloom_private.submission
               when p_atomic then bloom_private.submission_read(g.value)
               else bloom_private.submission_try(g.value) end
          from given g
          left join kind k on k.of = g.rest
         cross join lateral (select coalesce(k.error is null
               and jsonb_typeof(g.value -> 'context_id') = 'string'
               and char_length(g.value ->> 'context_id') between 1 and 512
               and jsonb_typeof(g.value -> 'agent_slug') = 'string'
               and char_length(g.value ->> 'agent_slug') between 1 and 255
               and jsonb_typeof(g.value -> 'prompt') = 'string'
               and char_length(g.value ->> 'prompt') between 1 and 4194304
               and coalesce(jsonb_typeof(g.value -> 'idempotency_key'), 'null')
                       in ('null', 'string')
               and char_length(coalesce(g.value ->> 'idempotency_key', 'k')) between 1 and 255,
               false) as is_plain offset 0) c
         order by g.n);
end
$$;
comment on function bloom_private.submissions_read(jsonb, boolean) is
    'Checks the items of a batch of submissions.';
