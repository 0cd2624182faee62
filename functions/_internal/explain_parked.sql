create or replace function bloom_private.explain_parked(t bloom.task_row) returns jsonb
language sql stable as $$
-- A task that waits for its turn in a serial context.
select jsonb_build_object('reason', 'context_busy',
    'sentence', format('Context %s is busy with task %s; %s before this one', t.context_id,
        s.task_id, case n.ahead when 0 then 'no other waits' when 1 then '1 other waits'
            else n.ahead || ' others wait' end),
    'data', jsonb_build_object('context_id', t.context_id, 'busy_with', s.task_id,
        'ahead', n.ahead))
  from (select count(*) as ahead
          from (select from parked p
                 where p.context_id = t.context_id
                   and p.seq < (select x.seq from parked x where x.task_id = t.task_id)
                 limit 1000) k) n
  left join context_slot s on s.context_id = t.context_id
$$;
comment on function bloom_private.explain_parked(bloom.task_row) is
    'Explains a task that waits for its turn.';
