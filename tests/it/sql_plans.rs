//! Plans of the statements inside the verbs, as `auto_explain` shows them: whatever the tables hold
//! and whatever the statistics say, what is called often finds its rows through an index.

use std::future::poll_fn;
use std::sync::{Arc, Mutex};

use tokio_postgres::{AsyncMessage, Client, NoTls};

use crate::pg::TestDb;
use crate::sql_catalog::hot;
use crate::sql_kit::{one, register, run, submit};

/// Tables that grow with the work.
const GROWING: [&str; 7] = [
    "ready", "deferred", "lease", "finished", "task", "event", "attempt",
];

/// Ready tasks of the large stage; there are a fifth as many others.
const LARGE: u32 = 1_000_000;

/// The calls, each in a transaction that is rolled back. `%T` is a task, `%K` one that is leased and
/// `%L` its lease; ids of nothing while there is none.
const CALLS: &[&str] = &[
    "select bloom.task_submit('c7', 'a', 'p')",
    "select bloom.task_submit('c7', 'a', 'p',
         '{\"idempotency_key\": \"k\", \"policy\": {\"serial\": true}}')",
    "select bloom.task_submit_many(jsonb_agg(x.rest || '{\"agent_slug\": \"a\", \"prompt\": \"p\"}'))
       from (values ('{\"context_id\": \"c7\"}'::jsonb),
                    ('{\"context_id\": \"c8\", \"priority\": 0}'),
                    ('{\"context_id\": \"c8\", \"idempotency_key\": \"k\"}'),
                    ('{\"context_id\": \"c8\", \"idempotency_key\": \"k\"}'),
                    ('{\"context_id\": \"c9\", \"policy\": {\"serial\": true}}'),
                    ('{\"context_id\": \"c9\", \"policy\": {\"serial\": true}}'),
                    (jsonb_build_object('context_id', 'c9', 'run_at', now() + interval '1 day'))
            ) x(rest)",
    "select bloom.lease_next('w', null, 1)",
    "select bloom.lease_next('w', null, 10)",
    "select bloom.lease_next('busy', null, 5)",
    "select bloom.lease_next_many(array['w', 'busy'], array[null, null]::uuid[], array[1, 5],
         array[60, 60], array[null, gen_random_uuid()]::uuid[])",
    "select bloom.lease_task('%T', array['w', 'busy'])",
    "select bloom.lease_start('%K', '%L')",
    "select bloom.lease_extend('%K', '%L', 60)",
    "select bloom.lease_check('%K', '%L')",
    "select bloom.lease_heartbeat('%K', '%L')",
    "select bloom.lease_heartbeat_many(array['%K']::uuid[], array['%L']::uuid[],
         array[null::integer], array[null::text], '{}')",
    "select bloom.lease_complete('%K', '%L', 'success')",
    "select bloom.lease_complete_many(array['%K']::uuid[], array['%L']::uuid[], array['error'],
         array['x'], '[{}]')",
    "select bloom.lease_complete_stored('%K', '%L', 'success', jsonb_build_object(
         'url', 's3://b/%K/%L/result', 'sha256', repeat('0', 64), 'size_bytes', 9))",
    "select bloom.lease_release('%K', '%L')",
    "select bloom.task_log_append('%K', '%L', 0, 'a line')",
    "select bloom.worker_beat('busy', gen_random_uuid())",
    "select bloom.worker_beat('busy', '01900000-0000-7000-8000-000000000001',
         '[{\"lease_id\": \"%L\", \"progress\": 1}]')",
    "select bloom.worker_beat_many(array['w', 'busy'],
         array[gen_random_uuid(), '01900000-0000-7000-8000-000000000001'],
         '[[], [{\"lease_id\": \"%L\", \"progress\": 1}]]')",
    "select bloom.worker_leave('busy', '01900000-0000-7000-8000-000000000001')",
    "select bloom.lease_overdue()",
    "select bloom.lease_expire(100, null, '{\"grace_seconds\": 0}')",
    "select bloom.task_promote(100)",
    "select bloom.lane_advance(0)",
    "select bloom.lane_ready()",
    "select bloom.task_get('%T')",
    "select bloom.task_get_many(array['%T', '%K', gen_random_uuid()]::uuid[])",
    "select bloom.task_explain('%T')",
    "select bloom.task_events('%T')",
    "select bloom.task_attempts('%T')",
    "select bloom.task_cancel('%T')",
    "select bloom.task_list()",
    "select bloom.task_list('queued')",
    "select bloom.task_list('failed')",
    "select bloom.task_list('running')",
    "select bloom.task_list('completed')",
    "select bloom.task_list('completed', 10, null, '{\"context_id\": \"c7\"}')",
    "select bloom.audit_list()",
    "select bloom.audit_read('0', 0, 100)",
    "select bloom.lease_list('failed')",
];

/// The statement that looks at every live lease by design, since their beats stand elsewhere. It
/// joins the sessions in one pass, too.
const ONE_PASS_OVER_LEASES: &str = "select o.task_id from (";

/// The statement that looks for a context, a text or a worker among the newest tasks.
const A_SEARCH: &str = "select r.* from task_page(array(";

/// Looks like a partition of `ready`, and has one row for ever.
const A_SEQUENCE: &str = "ready_seq";

/// A connection that collects the plans of the statements inside functions.
struct Observer {
    client: Client,
    plans: Arc<Mutex<Vec<String>>>,
}

impl Observer {
    async fn new(db: &TestDb) -> Self {
        let (client, mut connection) = db.config().connect(NoTls).await.expect("connects");
        let plans = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&plans);
        tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
                if let AsyncMessage::Notice(notice) = message {
                    sink.lock().unwrap().push(notice.message().to_owned());
                }
            }
        });
        let settings = "load 'auto_explain'; set auto_explain.log_min_duration = 0;
                        set auto_explain.log_nested_statements = on;
                        set auto_explain.log_level = notice";
        run(&client, settings).await;
        Self { client, plans }
    }

    /// Runs every call and lists what its plans should not contain.
    async fn offences(&self, stage: &str) -> Vec<String> {
        let task = self.some("task_id", "task").await;
        let (leased, lease) = (
            self.some("task_id", "lease").await,
            self.some("lease_id", "lease").await,
        );
        let mut wrong = Vec::new();
        for call in CALLS {
            let sql = call.replace("%T", &task);
            let sql = sql.replace("%K", &leased).replace("%L", &lease);
            run(&self.client, "begin").await;
            self.plans.lock().unwrap().clear();
            // Refusals are part of it where there is no such task or lease (yet, or any more).
            let answer = self.client.simple_query(&sql).await;
            assert!(
                !stage.starts_with("small") || answer.is_ok(),
                "{stage}: {call}: {answer:?}"
            );
            let plans = std::mem::take(&mut *self.plans.lock().unwrap());
            run(&self.client, "rollback").await;
            let inner: Vec<_> = plans.iter().filter(|plan| !plan.contains(&sql)).collect();
            assert!(!inner.is_empty(), "{stage}: {call}: no plan seen");
            for plan in inner {
                for offence in offences(plan) {
                    wrong.push(format!("{stage}: {call}: {offence}\n{plan}"));
                }
            }
        }
        wrong
    }

    /// The id of the last row of a table by its task; a new one when it is empty.
    async fn some(&self, id: &str, table: &str) -> String {
        let last = format!("select {id} from bloom_private.{table} order by task_id desc limit 1");
        one(
            &self.client,
            &format!("select coalesce(({last}), gen_random_uuid())"),
        )
        .await
    }
}

/// Lines of a plan that walk a growing table or its tasks' index, join through a hash, or say that
/// it is compiled: that takes longer than any of these, and plans that must walk a small table look
/// dear enough for it.
fn offences(plan: &str) -> Vec<String> {
    let lines = plan.lines().map(str::trim);
    let one_pass = plan.contains(ONE_PASS_OVER_LEASES);
    // The items of a batch, joined with each other, are what hashes are for.
    let reads_no_table = !plan.contains("Seq Scan on ") && !plan.contains("Index ");
    let bad = lines.filter(|line| {
        if *line == "JIT:" {
            return true;
        }
        if line.contains("Hash") && line.contains("Join") {
            return !one_pass && !reads_no_table;
        }
        let Some((_, rest)) = line.split_once("Seq Scan on ") else {
            return false;
        };
        let table = rest.split(' ').next().unwrap_or("");
        let by_design = one_pass && table == "lease" || table == A_SEQUENCE;
        let grows = GROWING.iter().any(|grows| {
            table == *grows
                || table
                    .strip_prefix(grows)
                    .is_some_and(|rest| rest.starts_with('_'))
        });
        grows && !by_design
    });
    bad.chain(walks(plan)).map(str::to_owned).collect()
}

/// Scans in a join of an index of tasks that no task's id leads. Who searches has to.
fn walks(plan: &str) -> Vec<&str> {
    if plan.contains(A_SEARCH) || !plan.contains("Nested Loop") {
        return Vec::new();
    }
    let lines: Vec<_> = plan.lines().map(str::trim).chain([""]).collect();
    let is_walk = |scan: &str, condition: &str| {
        scan.contains("Index") && scan.contains(" on task_") && !condition.contains("task_id = ")
    };
    let walks = lines.windows(2).filter(|pair| is_walk(pair[0], pair[1]));
    walks.map(|pair| pair[0]).collect()
}

/// Adds `rows` ready tasks of many contexts, and a tenth as many finished and deferred ones each.
async fn grow(client: &Client, rows: u32) {
    let header = "'t', 1, 0, 0, 0, 0, 'submitted', 'test'";
    let sql = format!(
        "set search_path = bloom_private, pg_catalog;
         create temp table ids as
             select n, uuid_v7() as id from generate_series(1, {rows} + {rows} / 5) n;
         insert into task (task_id, queue, context_id, agent_slug, prompt, context_hints, policy,
             desired_format, requires, priority, max_attempts, max_crashes, serial, created_at,
             created_by)
         select id, 'default', 'c' || n % 1000, 'a', 'p', '{{}}', '{{}}', 'text', '{{}}', 5, 3, 5,
             false, now(), 'test' from ids;
         insert into ready (task_id, queue, ver, epoch, fence, attempts, crashes, cause, actor,
             lane_id, context_id)
         select id, {header}, (select min(lane_id) from lane), 'c' || n % 1000
           from ids where n <= {rows};
         insert into finished (task_id, queue, ver, epoch, fence, attempts, crashes, cause, actor,
             status, lease_id)
         select id, {header}, 'completed', id from ids where n > {rows} and n % 2 = 0;
         insert into deferred (task_id, queue, ver, epoch, fence, attempts, crashes, cause, actor,
             status, run_at)
         select id, {header}, 'queued', now() + make_interval(secs => n)
           from ids where n > {rows} and n % 2 = 1;
         drop table ids; reset search_path"
    );
    run(client, &sql).await;
}

#[tokio::test]
async fn what_is_called_often_finds_its_rows_through_an_index() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    // This one plans on empty tables and keeps its plans while they grow.
    let old = Observer::new(&db).await;
    register(&client, "w", r#"{"max_concurrency": 32}"#).await;
    register(&client, "busy", r#"{"max_concurrency": 32}"#).await;
    let mut wrong = old.offences("empty").await;
    for n in 0..100 {
        submit(&client, &format!("c{n}"), "{}").await;
    }
    let idle = "analyze bloom_private.task, bloom_private.ready, bloom_private.lease";
    run(&client, idle).await;
    let session = "01900000-0000-7000-8000-000000000001";
    let lease = format!("select bloom.lease_next('busy', '{session}', 5)");
    run(&client, &lease).await;
    let idle = Observer::new(&db).await;
    wrong.extend(
        idle.offences("small, analysed while nothing was leased")
            .await,
    );
    for (stage, rows) in [("small", 0), ("skewed", 2_000), ("large", LARGE)] {
        if rows > 0 {
            grow(&client, rows).await;
        }
        for analysed in [false, true] {
            if analysed {
                run(&client, "analyze").await;
            }
            let stage = format!("{stage}, analysed {analysed}");
            let new = Observer::new(&db).await;
            wrong.extend(new.offences(&stage).await);
            wrong.extend(old.offences(&format!("{stage}, old plans")).await);
        }
    }
    wrong.truncate(5);
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[tokio::test]
async fn every_hot_verb_has_its_plans_looked_at() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    let verbs = hot::verbs(&client).await;
    let is_called = |verb: &str| {
        CALLS
            .iter()
            .any(|call| call.contains(&format!("bloom.{verb}(")))
    };
    let missing: Vec<_> = verbs.iter().filter(|verb| !is_called(verb)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
