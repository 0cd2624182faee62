create or replace function bloom_private.ready_announce(
    p_queue text, p_requires text[], p_tasks bigint
) returns void
language plpgsql volatile as $$
-- Tells waiting service processes that p_tasks tasks of a lane became ready, when at least one
-- says that it waits; with a null queue, that anything may have changed. NOTIFY only shortens
-- waits: nothing depends on its arrival, and it must never fail a transition. Postgres refuses 8000
-- bytes, so a lane whose labels take more is told of as if anything had changed. It also refuses
-- the commit that finds its queue of notifications full (somebody listens and sits in a
-- transaction): from the half on nothing is told, and those who wait find the work by asking.
declare
    v_payload text;
begin
    if p_tasks > 0
        and exists (select from bloom_private.waiting where until > clock_timestamp())
        and pg_notification_queue_usage() < 0.5
    then
        v_payload := jsonb_build_object('queue', p_queue, 'requires', p_requires,
            'tasks', p_tasks)::text;
        perform pg_notify('bloom_ready', case when octet_length(v_payload) < 7900 then v_payload
            else '{"queue": null, "tasks": 1}' end);
    end if;
end
$$;
comment on function bloom_private.ready_announce(text, text[], bigint) is
    'NOTIFYs waiting services that work became ready.';
