//! Runs every cell of the table in docs/state-machine.md: the table is the specification, and a
//! cell that is missing, extra or untrue fails.

use std::collections::BTreeMap;

use tokio_postgres::Client;

use crate::pg::TestDb;
use crate::sql_kit::{column, one, register, run, submit, try_one, try_rows};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/state-machine.md");

/// An id that belongs to no lease.
const NO_LEASE: &str = "01900000-0000-7000-8000-000000000000";

/// The states, each with the moves that bring the task `T` there. `%L` stands for its live lease.
/// Worker w1 does the work, w2 stands by with room, w9 keeps a context busy.
const STATES: &[(&str, &str, &[&str])] = &[
    ("ready", "{}", &[LEASE, RELEASE]),
    ("scheduled", r#"{"run_at": "%N"}"#, &[]),
    ("parked", r#"{"policy": {"serial": true}}"#, &[]),
    ("leased", "{}", &[LEASE, RELEASE, LEASE]),
    ("running", "{}", &[LEASE, RELEASE, LEASE, START]),
    ("cancelling", "{}", &[LEASE, RELEASE, LEASE, START, CANCEL]),
    ("retry", "{}", &[LEASE, RELEASE, LEASE, START, RETRYABLE]),
    ("completed", "{}", &[LEASE, RELEASE, LEASE, START, SUCCESS]),
    ("dead", "{}", &[LEASE, RELEASE, LEASE, START, FINAL]),
    ("cancelled", "{}", &[LEASE, RELEASE, CANCEL]),
];

const LEASE: &str = "select bloom.lease_task('%T', array['w1'])";
const RELEASE: &str = "select bloom.lease_release('%T', '%L')";
const START: &str = "select bloom.lease_start('%T', '%L')";
const CANCEL: &str = "select bloom.task_cancel('%T')";
const SUCCESS: &str = "select bloom.lease_complete('%T', '%L', 'success', 'out')";
const RETRYABLE: &str = "select bloom.lease_complete('%T', '%L', 'error', null,
    '{\"error_message\": \"broken\"}')";
const FINAL: &str = "select bloom.lease_complete('%T', '%L', 'error', null,
    '{\"error_message\": \"broken\", \"retryable\": false}')";

/// The verbs. `%L` stands for the task's latest lease, live or ended (or one that never was, where
/// it had none), `%S` for the lease before it.
const VERBS: &[(&str, &str)] = &[
    (
        "task_submit, same key",
        "select bloom.task_submit('c', 'a', 'p', '%O')",
    ),
    ("lease_next", "select bloom.lease_next('w2')"),
    ("lease_task", "select bloom.lease_task('%T', array['w2'])"),
    ("lease_start, current lease", START),
    (
        "lease_start, stale lease",
        "select bloom.lease_start('%T', '%S')",
    ),
    (
        "lease_start, no lease id",
        "select bloom.lease_start('%T', null)",
    ),
    (
        "lease_heartbeat, current lease",
        "select bloom.lease_heartbeat('%T', '%L')",
    ),
    (
        "lease_heartbeat, stale lease",
        "select bloom.lease_heartbeat('%T', '%S')",
    ),
    (
        "lease_heartbeat, no lease id",
        "select bloom.lease_heartbeat('%T')",
    ),
    (
        "lease_extend, current lease",
        "select bloom.lease_extend('%T', '%L', 900)",
    ),
    (
        "lease_extend, stale lease",
        "select bloom.lease_extend('%T', '%S', 900)",
    ),
    (
        "lease_extend, no lease id",
        "select bloom.lease_extend('%T', null, 900)",
    ),
    ("lease_complete success", SUCCESS),
    ("lease_complete error, retryable", RETRYABLE),
    ("lease_complete error, not retryable", FINAL),
    (
        "lease_complete success, twice",
        "select bloom.lease_complete('%T', '%L', 'success', 'out');
         select bloom.lease_complete('%T', '%L', 'success', 'out')",
    ),
    (
        "lease_complete success, stale lease",
        "select bloom.lease_complete('%T', '%S', 'success', 'out')",
    ),
    (
        "lease_complete success, no lease id",
        "select bloom.lease_complete('%T', null, 'success', 'out')",
    ),
    ("lease_release, current lease", RELEASE),
    (
        "lease_release, stale lease",
        "select bloom.lease_release('%T', '%S')",
    ),
    (
        "lease_release, no lease id",
        "select bloom.lease_release('%T', null)",
    ),
    ("task_cancel", CANCEL),
    ("task_requeue", "select bloom.task_requeue('%T')"),
    (
        "task_cancel_many",
        "select bloom.task_cancel_many(array['%T']::uuid[])",
    ),
    (
        "task_requeue_many",
        "select bloom.task_requeue_many(array['%T']::uuid[])",
    ),
    (
        "task_prioritize, another priority",
        "select bloom.task_prioritize('%T', 1)",
    ),
    (
        "task_prioritize, the same priority",
        "select bloom.task_prioritize('%T', 5)",
    ),
    (
        "task_promote, before the time",
        "select bloom.task_promote()",
    ),
    (
        "task_promote, due",
        "update bloom_private.deferred set run_at = clock_timestamp() where task_id = '%T';
         select bloom.task_promote()",
    ),
    (
        "task_log_append, current lease",
        "select bloom.task_log_append('%T', '%L', 0, 'a line')",
    ),
    (
        "task_log_append, stale lease",
        "select bloom.task_log_append('%T', '%S', 0, 'a line')",
    ),
    (
        "lease_expire, lease still good",
        "select bloom.lease_expire(100, null, '{\"grace_seconds\": 0}')",
    ),
    (
        "lease_expire, lease ran out",
        "update bloom_private.lease set expires_at = '-infinity' where task_id = '%T';
         select bloom.lease_expire(100, null, '{\"grace_seconds\": 0}')",
    ),
    ("worker_remove", "select bloom.worker_remove('w1')"),
];

/// Everything that a refused or idle call must leave alone.
const EVERYTHING: &str = "
select md5(string_agg(x, e'\\n' order by x)) from (
    select 'ready' || t::text as x from bloom_private.ready t
    union all select 'deferred' || t from bloom_private.deferred t
    union all select 'parked' || t from bloom_private.parked t
    union all select 'lease' || t from bloom_private.lease t
    union all select 'finished' || t from bloom_private.finished t
    union all select 'attempt' || t from bloom_private.attempt t
    union all select 'artifact' || t from bloom_private.artifact t
    union all select 'event' || t from bloom_private.event t where t.task_id is not null
    union all select 'task' || t from bloom_private.task t
    union all select 'key' || t from bloom_private.idempotency t
    union all select 'turn' || t from bloom_private.context_slot t
    union all select 'log' || t from bloom_private.task_log t
    union all select 'conversation' || t from bloom_private.context_session t
    union all select 'credential' || t from bloom_private.credential t
    union all select 'lane' || t from bloom_private.lane t
    union all select 'slot' || t from bloom_private.worker_slot t where t.worker_id <> 'w1' or %1
) s";

/// The table of the page, by verb and state.
fn cells() -> BTreeMap<(String, String), String> {
    let page = std::fs::read_to_string(PAGE).expect("the page is there");
    let rows: Vec<Vec<&str>> = page
        .lines()
        .filter(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let (head, body) = rows.split_first().expect("a table");
    let mut cells = BTreeMap::new();
    for row in &body[1..] {
        assert_eq!(row.len(), head.len(), "row {row:?}");
        for (state, cell) in head.iter().zip(row).skip(1) {
            let place = (row[0].replace('`', ""), (*state).to_owned());
            let before = cells.insert(place.clone(), cell.replace('`', ""));
            assert!(before.is_none(), "{place:?} stands there twice");
        }
    }
    cells
}

/// One task in one state, in a transaction that will be rolled back.
struct Scene<'a> {
    client: &'a Client,
    task: String,
    options: String,
}

impl<'a> Scene<'a> {
    async fn set(client: &'a Client, options: &str, moves: &[&str]) -> Self {
        run(client, "begin").await;
        for worker in ["w1", "w2", "w9"] {
            register(client, worker, r#"{"max_concurrency": 2}"#).await;
        }
        if options.contains("serial") {
            let first = submit(client, "c", r#"{"policy": {"serial": true}}"#).await;
            let sql = format!("select bloom.lease_task('{first}', array['w9'])");
            run(client, &sql).await;
        }
        let tomorrow = one(client, "select now() + interval '1 day'").await;
        let options = match options {
            "{}" => r#"{"idempotency_key": "k"}"#.to_owned(),
            other => other
                .replacen('{', r#"{"idempotency_key": "k", "#, 1)
                .replace("%N", &tomorrow),
        };
        let sql = format!("select bloom.task_submit('c', 'a', 'p', '{options}')");
        let task = one(client, &sql).await;
        let scene = Self {
            client,
            task,
            options,
        };
        for step in moves {
            run(client, &scene.fill(step).await).await;
        }
        scene
    }

    /// `sql` with the task and its leases in it.
    async fn fill(&self, sql: &str) -> String {
        let leases = format!(
            "select lease_id from (
                 select fence, lease_id from bloom_private.lease where task_id = '{0}'
                 union all
                 select fence, lease_id from bloom_private.attempt where task_id = '{0}') l
              order by fence desc",
            self.task
        );
        let leases = column(self.client, &leases).await;
        let nth = |n: usize| leases.get(n).map_or(NO_LEASE, String::as_str);
        sql.replace("%T", &self.task)
            .replace("%L", nth(0))
            .replace("%S", nth(1))
            .replace("%O", &self.options)
    }

    async fn everything(&self, verb: &str) -> String {
        let with_w1 = if verb == "worker_remove" {
            "false"
        } else {
            "true"
        };
        one(self.client, &EVERYTHING.replace("%1", with_w1)).await
    }

    /// The task's events as (ver, cause, prior, status), with the chain of them checked.
    async fn events(&self) -> Vec<String> {
        let sql = format!(
            "select ver, cause, prior, status from bloom_private.event
              where task_id = '{}' order by ver, seq",
            self.task
        );
        let rows = try_rows(self.client, &sql).await.unwrap();
        let mut before: Option<String> = None;
        for (index, row) in rows.iter().enumerate() {
            assert_eq!(row.get(0).unwrap(), (index + 1).to_string(), "a gap in ver");
            assert_eq!(
                row.get(2),
                before.as_deref(),
                "prior is not the status before"
            );
            before = row.get(3).map(ToOwned::to_owned);
        }
        let sql = format!("select ver, status from bloom.task_get('{}')", self.task);
        let now = try_rows(self.client, &sql).await.unwrap();
        assert_eq!(now[0].get(0).unwrap(), rows.len().to_string(), "ver");
        assert_eq!(now[0].get(1), before.as_deref(), "status");
        rows.iter()
            .map(|row| row.get(1).unwrap().to_owned())
            .collect()
    }

    /// Does what `sql` says and describes the outcome in the words of the table.
    async fn outcome(&self, verb: &str, sql: &str) -> String {
        let sql = self.fill(sql).await;
        let steps: Vec<&str> = sql.split(';').collect();
        let (call, preparations) = steps.split_last().expect("a call");
        let mut before = self.everything(verb).await;
        let known = self.events().await.len();
        for step in preparations {
            // What a test does as superuser to make time pass is not the verb's doing.
            if let Err(refusal) = try_one(self.client, step).await {
                return refusal;
            }
            if step.trim_start().starts_with("update") {
                before = self.everything(verb).await;
            }
        }
        run(self.client, "savepoint before_call").await;
        if let Err(refusal) = try_one(self.client, call).await {
            run(self.client, "rollback to before_call").await;
            let after = self.everything(verb).await;
            assert_eq!(before, after, "the refused call changed something");
            return refusal;
        }
        let events = self.events().await;
        if self.everything(verb).await == before {
            return "unchanged".to_owned();
        }
        let sql = format!("select status from bloom.task_get('{}')", self.task);
        let status = one(self.client, &sql).await;
        match &events[known..] {
            [] => status,
            new => format!("{status}: {}", new.join(", ")),
        }
    }
}

#[tokio::test]
async fn every_cell_of_the_state_table_is_true() {
    let mut cells = cells();
    let db = TestDb::new().await;
    let client = db.connect().await;
    let mut wrong = Vec::new();
    for (state, options, moves) in STATES {
        for (verb, sql) in VERBS {
            let scene = Scene::set(&client, options, moves).await;
            let outcome = scene.outcome(verb, sql).await;
            run(&client, "rollback").await;
            match cells.remove(&((*verb).to_owned(), (*state).to_owned())) {
                Some(cell) if cell == outcome => {}
                Some(cell) => wrong.push(format!("{verb} × {state}: says {cell}, is {outcome}")),
                None => wrong.push(format!("{verb} × {state}: no cell, is {outcome}")),
            }
        }
    }
    wrong.extend(cells.keys().map(|cell| format!("{cell:?}: not tried")));
    if std::env::args().any(|arg| arg == "--nocapture") {
        println!("{}", wrong.join("\n"));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
