create or replace function bloom.task_requeue_dead(
    p_queue text, p_limit integer default 100, p_options jsonb default '{}'
) returns setof uuid
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
-- Redrive: requeues up to p_limit (1–1000) dead tasks of a queue, newest first, and returns them.
--   p_options  actor
-- Lock order: finished (skip locked), context_slot in order of context, lane. Writes and errors:
-- task_requeue.
declare
    v_actor text;
    v_ids uuid[];
begin
    perform check_options(p_options, array['actor']);
    v_actor := actor(p_options);
    perform check_text('queue', p_queue, 1, 128);
    perform check_range('limit', p_limit, 1, 1000);
    v_ids := array(
        select f.task_id from finished f
         where f.status = 'dead' and f.queue = p_queue
         order by f.task_id desc limit p_limit for update skip locked);
    perform task_restart(o.id, v_actor)
       from (select i.id from unnest(v_ids) i(id) cross join lateral task_of(i.id) t
              order by t.context_id, i.id) o;
    return query select unnest(v_ids);
end
$$;
comment on function bloom.task_requeue_dead(text, integer, jsonb) is
    'Requeues dead tasks of a queue.';
