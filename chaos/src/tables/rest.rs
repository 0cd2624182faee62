//! What must hold of the tables whenever nothing is going on: counters, turns, lanes, counts.

use tokio_postgres::{Client, Error};

use super::Violation;
use super::load::History;

/// Queries that find nothing when all is well; the first column says what they found.
const CHECKS: &[(&str, &str, &str)] = &[
    (
        "I10",
        "worker_slot.active is the number of live leases, within capacity",
        "select format('%s: active %s of %s (%s), leases %s', s.worker_id, s.active, s.capacity, \
            s.max_concurrency, n.n) \
         from bloom_private.worker_slot s \
         cross join lateral (select count(*) as n from bloom_private.lease l \
            where l.worker_id = s.worker_id) n \
         where s.active <> n.n or s.capacity <> greatest(s.max_concurrency, s.active)",
    ),
    (
        "I10",
        "every lease belongs to a worker that is there",
        "select l.worker_id from bloom_private.lease l where not exists \
            (select from bloom_private.worker_slot s where s.worker_id = l.worker_id)",
    ),
    (
        "I10",
        "queue_slot.running is the number of counted leases",
        "select format('%s: running %s of %s, leases %s', s.queue, s.running, s.capacity, n.n) \
         from bloom_private.queue_slot s join bloom_private.queue q on q.name = s.queue \
         cross join lateral (select count(*) as n from bloom_private.lease l \
            where l.queue = s.queue and l.queue_counted) n \
         where s.running <> n.n \
            or s.capacity <> greatest(coalesce(q.max_running, 0), s.running)",
    ),
    (
        "serial",
        "who holds the turn of a context is a serial task of it that is ready, leased or failed",
        "select format('%s: %s', s.context_id, s.task_id) from bloom_private.context_slot s \
         where not exists (select from bloom_private.task t \
            where t.task_id = s.task_id and t.context_id = s.context_id and t.serial \
              and (exists (select from bloom_private.ready r where r.task_id = t.task_id) \
                or exists (select from bloom_private.lease l where l.task_id = t.task_id) \
                or exists (select from bloom_private.deferred d \
                    where d.task_id = t.task_id and d.status = 'failed')))",
    ),
    (
        "serial",
        "a serial task that is ready, leased or failed holds the turn of its context",
        "select format('%s: %s', t.context_id, t.task_id) from bloom_private.task t \
         where t.serial \
           and (exists (select from bloom_private.ready r where r.task_id = t.task_id) \
             or exists (select from bloom_private.lease l where l.task_id = t.task_id) \
             or exists (select from bloom_private.deferred d \
                where d.task_id = t.task_id and d.status = 'failed')) \
           and not exists (select from bloom_private.context_slot s \
                where s.context_id = t.context_id and s.task_id = t.task_id)",
    ),
    (
        "serial",
        "a parked task waits for somebody",
        "select format('%s: %s', p.context_id, p.task_id) from bloom_private.parked p \
         where not exists (select from bloom_private.context_slot s \
            where s.context_id = p.context_id)",
    ),
    (
        "lanes",
        "a ready task is in its own lane, where a claim can see it",
        "select format('%s in lane %s at %s, mark %s', r.task_id, r.lane_id, r.seq, l.mark) \
         from bloom_private.ready r join bloom_private.task t using (task_id) \
         left join bloom_private.lane l on l.lane_id = r.lane_id \
         where l.lane_id is null or r.seq < l.mark or l.queue <> t.queue \
            or l.requires <> t.requires or l.priority <> t.priority \
            or r.context_id <> t.context_id",
    ),
    (
        "counts",
        "status_counts counts what is there",
        "with c as (select queue, status, tasks from bloom_private.status_counts()), \
         r as (select queue, status, count(*) as n from ( \
            select queue, status from bloom_private.ready union all \
            select queue, status from bloom_private.deferred union all \
            select queue, status from bloom_private.parked union all \
            select queue, status from bloom_private.lease union all \
            select queue, status from bloom_private.finished) x group by 1, 2) \
         select format('%s %s: %s counted, %s there', queue, status, c.tasks, r.n) \
         from c full join r using (queue, status) \
         where coalesce(c.tasks, 0) <> coalesce(r.n, 0)",
    ),
    (
        "I3",
        "an idempotency key has one task, which names it",
        "select i.key from bloom_private.idempotency i \
         left join bloom_private.task t using (task_id) \
         where t.idempotency_key is distinct from i.key \
         union all \
         select t.idempotency_key from bloom_private.task t \
         where t.idempotency_key is not null \
         group by 1 having count(*) > 1",
    ),
    (
        "I11",
        "every result has its artifact",
        "select format('%s: %s', a.task_id, a.fence) from bloom_private.attempt a \
         where (a.artifact_id is not null) <> exists (select from bloom_private.artifact f \
            where f.artifact_id = a.artifact_id and f.lease_id = a.lease_id)",
    ),
    (
        "progress",
        "progress goes with a live lease",
        "select p.task_id::text from bloom_private.progress p \
         where not exists (select from bloom_private.lease l where l.lease_id = p.lease_id)",
    ),
];

/// Runs every check, and the one that needs the history: live leases are granted leases.
pub async fn check(history: &History, client: &Client) -> Result<Vec<Violation>, Error> {
    let mut found = Vec::new();
    let path = "set search_path = pg_catalog, bloom_private, pg_temp";
    client.batch_execute(path).await?;
    for (invariant, promise, sql) in CHECKS {
        let rows = client.query(*sql, &[]).await?;
        found.extend(rows.iter().map(|row| {
            let what: String = row.get(0);
            Violation::new(*invariant, format!("not so: {promise}: {what}"))
        }));
    }
    client.batch_execute("reset search_path").await?;
    for state in history.states.iter().filter(|s| s.place == "lease") {
        if history.attempts.contains_key(&(state.task, state.fence)) {
            let text = format!("task {}: a live lease has an attempt row", state.task);
            found.push(Violation::new("attempts", text));
        }
    }
    Ok(found)
}
