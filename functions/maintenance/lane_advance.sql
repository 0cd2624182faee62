create or replace function bloom.lane_advance(p_stride integer default 1000) returns integer
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
-- Moves the marks of lanes up, so that claims do not walk the dead rows of tasks claimed long ago;
-- returns how many moved. A mark must not pass a number that a running transaction has drawn and
-- not yet committed. Every transaction has its id before it draws. So: note the last number drawn
-- (next_mark), then take an id of our own (next_mark_xid): who drew up to that number has a smaller
-- one. Once all smaller ids have ended, the mark may move as far as next_mark.
--   p_stride  a mark moves only by at least so much (0–1,000,000): each move is a row version
-- Must come first in its transaction, or the id would be too old. One at a time: who comes second
-- leaves at once. Lock order: log_cursor (skip locked), lane. Writes: lane. Raises RT400, RT409
-- not_first.
-- Never compiled: it has to walk the lanes, which are few, and what a walk is said to cost here
-- would be a reason to.
declare
    v_drawn bigint;
    v_xid xid8;
    v_horizon xid8;
    v_moved integer;
begin
    perform check_range('stride', p_stride, 0, 1000000);
    if pg_current_xact_id_if_assigned() is not null then
        perform refuse(409, 'not_first', 'lane_advance must come first in its transaction');
    end if;
    select last_value into v_drawn from ready_seq;
    perform from lane where mark + p_stride <= v_drawn limit 1;
    if not found then
        return 0;
    end if;
    perform from log_cursor where name = 'lane_advance' for update skip locked;
    if not found then
        return 0;
    end if;
    v_xid := pg_current_xact_id();
    v_horizon := pg_snapshot_xmin(pg_current_snapshot());
    update lane l set mark = h.first
      from (select x.lane_id, x.mark, x.next_mark,
                   least(x.next_mark, coalesce((select r.seq from ready r
                       where r.lane_id = x.lane_id and r.seq >= x.mark order by r.seq limit 1),
                       x.next_mark)) as first
              from lane x where x.next_mark_xid <= v_horizon) h
     where l.lane_id = h.lane_id and l.mark = h.mark and l.next_mark = h.next_mark
       and h.first >= h.mark + greatest(p_stride, 1);
    get diagnostics v_moved = row_count;
    update lane set next_mark = v_drawn, next_mark_xid = v_xid
     where v_drawn >= next_mark + greatest(p_stride, 1)
       and (next_mark_xid is null or next_mark_xid <= v_horizon);
    return v_moved;
end
$$;
comment on function bloom.lane_advance(integer) is 'Moves the marks of lanes up.';
