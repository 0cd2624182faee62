create or replace function bloom_private.idempotency_settle(
    p_items bloom_private.submission[], p_atomic boolean, p_now timestamptz
) returns bloom_private.submission[]
language plpgsql volatile as $$
-- For each item with an idempotency key: claims the key for the item's new id, or finds the task
-- that has it. The same key with another body is RT409 idempotency_conflict.
-- Lock order: keys in ascending order, so that two batches cannot wait for each other.
declare
    v_item record;
    v_known idempotency;
    v_digest bytea;
    v_repeats boolean := false;
begin
    for v_item in
        select s.ordinality as i, s.idempotency_key as key, s.task_id
          from unnest(p_items) with ordinality s
         where s.is_new and s.idempotency_key is not null order by 2, 1
    loop
        v_digest := submission_digest(p_items[v_item.i]);
        insert into idempotency (key, task_id, digest, created_at)
        values (v_item.key, v_item.task_id, v_digest, p_now) on conflict (key) do nothing;
        continue when found;
        select * into v_known from idempotency where key = v_item.key;
        if not found then
            raise exception using errcode = '40001',
                message = 'the idempotency key was taken concurrently';
        end if;
        p_items[v_item.i].is_new := false;
        p_items[v_item.i].task_id := v_known.task_id;
        v_repeats := true;
        continue when v_known.digest = v_digest;
        if p_atomic then
            perform refuse(409, 'idempotency_conflict',
                'The idempotency key was used with a different request',
                jsonb_build_object('task_id', v_known.task_id));
        end if;
        p_items[v_item.i].error := jsonb_build_object('code', 'idempotency_conflict', 'status', 409,
            'message',
            'The idempotency key was used with a different request', 'task_id', v_known.task_id);
    end loop;
    if v_repeats then
        perform replay_keep();
    end if;
    return p_items;
end
$$;
comment on function
    bloom_private.idempotency_settle(bloom_private.submission[], boolean, timestamptz) is
    'Claims idempotency keys or finds the tasks that have them.';
