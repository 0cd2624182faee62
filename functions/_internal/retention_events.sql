create or replace function bloom_private.retention_events(p_before timestamptz) returns text[]
language plpgsql volatile as $$
-- Drops the oldest week of events, if every one of them is folded into the counts, and notes how
-- far that goes: a reader that has not come so far must learn that it has missed something.
declare
    v_folded xid8 := (select xid from log_cursor where name = 'status_count');
    v_week date;
    v_name text;
    v_open boolean;
begin
    with gone as (
        delete from event_default where ctid = any (array(select ctid from event_default
            where at < p_before and xid < v_folded limit 10000)) returning xid, seq)
    update log_cursor c set xid = d.xid, seq = d.seq
      from (select xid, seq from gone order by xid desc, seq desc limit 1) d
     where c.name = 'event_dropped' and (c.xid, c.seq) < (d.xid, d.seq);
    select partition_weeks into v_week from partition_weeks('event', p_before) limit 1;
    if not found then
        return '{}';
    end if;
    v_name := 'event' || to_char(v_week, '_YYYYMMDD');
    execute format('select exists (select from bloom_private.%I where xid >= $1)', v_name)
       into v_open using v_folded;
    if v_open then
        return '{}';
    end if;
    execute format('update bloom_private.log_cursor c set xid = d.xid, seq = d.seq
          from (select xid, seq from bloom_private.%I order by xid desc, seq desc limit 1) d
         where c.name = ''event_dropped'' and (c.xid, c.seq) < (d.xid, d.seq)', v_name);
    execute format('drop table bloom_private.%I', v_name);
    -- The seals of what is gone go with it, but for the last: the next one builds on it.
    delete from seal s
     where s.seal_id < (select max(x.seal_id)
          from (select e.xid, e.seq from event e order by e.xid, e.seq limit 1) first
          join seal x on (x.to_xid, x.to_seq) < (first.xid, first.seq));
    return array[v_name];
end
$$;
comment on function bloom_private.retention_events(timestamptz) is
    'Drops the oldest week of events.';
