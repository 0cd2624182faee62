create or replace function bloom.task_list(
    p_status text default null, p_limit integer default 100, p_before uuid default null,
    p_options jsonb default '{}'
) returns setof bloom.task_row
language plpgsql stable security definer
set search_path = pg_catalog, bloom_private, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
-- Tasks, newest first: at most p_limit (1–1000) with ids below p_before (the last id of the page
-- before). An unknown status gives none.
--   p_options  context_id, queue, agent_slug, worker_id (that has it or had it last), label (that
--              it requires), text (which its id, context, agent or the first 2,000 characters of
--              its prompt contain, in whatever case): only such tasks. These filters look through
--              at most 20,000 tasks of the status, so that no page walks a whole history; a page
--              shorter than its limit may thus not be the last one: task_reach tells.
-- A page stops early once its prompts and hints pass 16 MiB; go on from its last id. Raises RT400.
declare
    v_context text;
    v_queue text;
    v_agent text;
    v_worker text;
    v_label text;
    v_text text;
begin
    perform check_options(p_options, array['context_id', 'queue', 'agent_slug', 'worker_id',
        'label', 'text']);
    perform check_range('limit', p_limit, 1, 1000);
    v_context := option_text(p_options, 'context_id', null, 512);
    v_queue := option_text(p_options, 'queue', null, 128);
    v_agent := option_text(p_options, 'agent_slug', null, 255);
    v_worker := option_text(p_options, 'worker_id', null, 128);
    v_label := option_text(p_options, 'label', null, 128);
    v_text := lower(option_text(p_options, 'text', null, 200));
    if jsonb_strip_nulls(p_options) = '{}' then
        return query select * from task_page(
            array(select x from task_ids(p_status, p_limit, p_before) x));
        return;
    end if;
    return query
        select r.* from task_page(array(
            select x.id
              from (select i as id from task_ids(p_status, 20000, p_before) i) x
              join task t on t.task_id = x.id
             where (v_context is null or t.context_id = v_context)
               and (v_queue is null or t.queue = v_queue)
               and (v_agent is null or t.agent_slug = v_agent)
               and (v_label is null or t.requires @> array[v_label])
               and (v_text is null
                    or position(v_text in lower(t.context_id)) > 0
                    or position(v_text in lower(t.agent_slug)) > 0
                    or position(v_text in t.task_id::text) > 0
                    or position(v_text in lower(left(t.prompt, 2000))) > 0)
               and (v_worker is null
                    or exists (select from lease l
                        where l.task_id = x.id and l.worker_id = v_worker)
                    or exists (select from finished f
                        where f.task_id = x.id and f.worker_id = v_worker)
                    or exists (select from deferred d
                        where d.task_id = x.id and d.worker_id = v_worker))
             order by x.id desc limit p_limit)) r;
end
$$;
comment on function bloom.task_list(text, integer, uuid, jsonb) is 'Tasks, newest first.';
