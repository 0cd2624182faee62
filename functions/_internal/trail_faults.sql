create or replace function bloom_private.trail_faults(p_ids uuid[], p_horizon timestamptz)
returns table (task_id uuid, ver integer, code text, fault text)
language sql stable as $$
-- What is wrong with the trails of these tasks, in order. Events from before p_horizon may have
-- been dropped, so a task from then may lack the beginning of its trail, but nothing after it.
with trail as materialized (
    select e.task_id, e.ver, e.cause, e.prior, e.status, t.created_at < p_horizon as is_old,
           lag(e.ver) over w as last_ver, lag(e.status) over w as last_status
      from unnest(p_ids) i(id)
      join task t on t.task_id = i.id
      join event e on e.task_id = i.id
    window w as (partition by e.task_id order by e.ver, e.xid, e.seq)
), head as materialized (
    select t.task_id, t.created_at < p_horizon as is_old, h.heads, h.ver, h.status,
           e.ver as last_ver, e.status as last_status
      from unnest(p_ids) i(id)
      join task t on t.task_id = i.id
     cross join lateral (select count(*) as heads, max(x.ver) as ver, max(x.status) as status
                           from task_heads(i.id) x) h
      left join lateral (select x.ver, x.status from event x where x.task_id = i.id
                          order by x.ver desc limit 1) e on true
)
select f.task_id, f.ver, f.code, f.fault from (
    select task_id, ver, 'first_version' as code,
           format('the trail begins with version %s', ver) as fault
      from trail where last_ver is null and ver <> 1 and not is_old
    union all
    select task_id, ver, 'version_gap', format('version %s follows version %s', ver, last_ver)
      from trail where ver <> last_ver + 1
    union all
    select task_id, ver, 'illegal_edge',
           format('%s does not lead from %s to %s', cause, coalesce(prior, 'nothing'), status)
      from trail where not edge_is_legal(cause, prior, status)
    union all
    select task_id, ver, 'wrong_prior',
           format('it comes from %s, but the task was %s', coalesce(prior, 'nothing'), last_status)
      from trail where last_ver is not null and prior is distinct from last_status
    union all
    select task_id, ver, 'no_state', 'the task has no state'
      from head where heads = 0
    union all
    select task_id, ver, 'two_states', format('the task has %s states', heads)
      from head where heads > 1
    union all
    select task_id, ver, 'no_trail', 'the task has no trail'
      from head where last_ver is null and not is_old
    union all
    select task_id, ver, 'last_version', format('the trail ends with version %s (%s), but the task '
           'has version %s (%s)', last_ver, last_status, ver, status)
      from head
     where heads = 1 and last_ver is not null and (last_ver, last_status) <> (ver, status)) f
 order by f.task_id, f.ver nulls first, f.code
$$;
comment on function bloom_private.trail_faults(uuid[], timestamptz) is
    'What is wrong with the audit trails of tasks.';
