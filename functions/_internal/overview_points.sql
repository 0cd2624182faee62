create or replace function bloom_private.overview_points(
    p_span interval, p_step interval, p_depth bigint
) returns jsonb
language plpgsql stable as $$
-- What happened in the last p_span, one point for every p_step, oldest first, the last one the
-- present step. Reads minutes only. p_depth is how many tasks wait now.
declare
    v_end timestamptz := date_bin(p_step, clock_timestamp(), 'epoch') + p_step;
begin
    return (
        with minutes as materialized (
            select date_bin(p_step, m.minute, 'epoch') as at, m.* from minute_count m
             where m.minute >= v_end - p_span and m.minute < v_end
        ), waits as materialized (
            select s.at, array_agg(s.n order by s.ord) as waits
              from (select m.at, w.ord, sum(w.n)::bigint as n
                      from minutes m, unnest(m.waits) with ordinality w (n, ord) group by 1, 2) s
             group by 1
        ), points as (
            select p.at, coalesce(sum(m.submitted), 0) as submitted,
                   coalesce(sum(m.completed), 0) as completed, coalesce(sum(m.failed), 0) as failed,
                   coalesce(sum(m.dead), 0) as dead, coalesce(sum(m.cancelled), 0) as cancelled
              from generate_series(v_end - p_span, v_end - p_step, p_step) p (at)
              left join minutes m on m.at = p.at group by 1
        )
        select jsonb_agg(jsonb_build_object('at', time_ms(p.at), 'submitted', p.submitted,
                   'completed', p.completed, 'failed', p.failed, 'dead', p.dead,
                   'cancelled', p.cancelled, 'wait_p50_ms', wait_quantile(w.waits, 0.5),
                   'wait_p95_ms', wait_quantile(w.waits, 0.95),
                   'depth', case when p.at = v_end - p_step then p_depth else coalesce((
                       select m.depth from minute_count m
                        where m.minute < p.at + p_step and m.depth is not null
                        order by m.minute desc limit 1), 0) end) order by p.at)
          from points p left join waits w on w.at = p.at);
end
$$;
comment on function bloom_private.overview_points(interval, interval, bigint) is
    'What happened lately, step by step.';
