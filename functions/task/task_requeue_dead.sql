create or replace function bloom.task_requeue_dead(
    p_queue text, p_limit integer default 100, p_options jsonb default '{}'
) returns setof uuid
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
-- Redrive: requeues up to p_limit (1–1000) dead tasks of a queue, newest first, and returns them.
--   p_options  actor
-- Lock order, writes and errors: task_requeue, for tasks in descending order of id.
declare
    v_id uuid;
begin
    perform check_options(p_options, array['actor']);
    perform actor(p_options);
    perform check_text('queue', p_queue, 1, 128);
    perform check_range('limit', p_limit, 1, 1000);
    for v_id in
        select f.task_id from finished f
         where f.status = 'dead' and f.queue = p_queue
         order by f.task_id desc limit p_limit for update skip locked
    loop
        perform bloom.task_requeue(v_id, p_options);
        return next v_id;
    end loop;
end
$$;
comment on function bloom.task_requeue_dead(text, integer, jsonb) is
    'Requeues dead tasks of a queue.';
