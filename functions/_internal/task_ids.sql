create or replace function bloom_private.task_ids(
    p_status text, p_limit integer, p_before uuid
) returns setof uuid
language plpgsql stable as $$
-- Ids of tasks with a status (null: any), newest first. Every branch reads an index backwards and
-- stops at the limit.
declare
    v_before uuid := coalesce(p_before, 'ffffffff-ffff-ffff-ffff-ffffffffffff');
begin
    if p_status is null then
        return query select t.task_id from task t where t.task_id < v_before
            order by t.task_id desc limit p_limit;
    elsif p_status = 'queued' then
        return query select q.task_id from (
            (select r.task_id from ready r where r.task_id < v_before
              order by r.task_id desc limit p_limit)
            union all
            (select d.task_id from deferred d where d.task_id < v_before and d.status = 'queued'
              order by d.task_id desc limit p_limit)
            union all
            (select k.task_id from parked k where k.task_id < v_before
              order by k.task_id desc limit p_limit)) q
            order by q.task_id desc limit p_limit;
    elsif p_status = 'failed' then
        return query select d.task_id from deferred d
            where d.task_id < v_before and d.status = 'failed'
            order by d.task_id desc limit p_limit;
    elsif p_status in ('leased', 'running') then
        return query select l.task_id from lease l
            where l.task_id < v_before and l.status = p_status
            order by l.task_id desc limit p_limit;
    else
        return query select f.task_id from finished f
            where f.task_id < v_before and f.status = p_status
            order by f.task_id desc limit p_limit;
    end if;
end
$$;
comment on function bloom_private.task_ids(text, integer, uuid) is
    'Ids of tasks with a status, newest first.';
