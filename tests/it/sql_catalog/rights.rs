//! Who may do what: the whole cycle with the least rights for each step, and all that is denied.

use std::collections::BTreeMap;

use tokio_postgres::Client;

use crate::pg::TestDb;
use crate::sql_kit::{column, one, refused, register, run, submit, try_rows};

const ROLES: [&str; 4] = [
    "bloom_producer",
    "bloom_worker",
    "bloom_reader",
    "bloom_admin",
];

/// What each group may call; `bloom_admin` may call everything. A copy of functions/grants.sql in
/// the eyes of a reviewer: a verb granted there by mistake is found here.
const GRANTED: &[(&str, &str)] = &[
    (
        "bloom_producer",
        "task_submit task_submit_many task_cancel task_cancel_many task_requeue task_requeue_many \
         task_prioritize task_get task_get_many task_result task_explain",
    ),
    (
        "bloom_worker",
        "worker_register worker_beat worker_beat_many worker_leave lease_next lease_next_many lease_start \
         lease_heartbeat lease_heartbeat_many \
         lease_extend lease_complete lease_complete_many lease_release task_log_append",
    ),
    (
        "bloom_reader",
        "task_get task_get_many task_list task_reach task_result task_attempts task_log_read task_events task_explain lease_list \
         lease_overdue worker_get worker_list queue_list credential_list artifact_get artifact_list audit_list \
         audit_reach audit_read audit_end audit_verify audit_seals audit_sealed overview_get stats measures",
    ),
];

/// A login role that is a member of one group and of nothing else, connected as itself.
async fn log_in(db: &TestDb, group: &str) -> Client {
    let superuser = db.connect().await;
    let login = format!("{}_{group}", db.name());
    run(
        &superuser,
        &format!("create role {login} login in role {group}"),
    )
    .await;
    let mut config = db.config();
    config.user(&login);
    let (client, connection) = config
        .connect(tokio_postgres::NoTls)
        .await
        .expect("logs in");
    tokio::spawn(connection);
    client
}

#[tokio::test]
async fn each_step_of_the_cycle_needs_only_its_own_role() {
    let db = TestDb::new().await;
    let producer = log_in(&db, "bloom_producer").await;
    let worker = log_in(&db, "bloom_worker").await;
    let reader = log_in(&db, "bloom_reader").await;
    let admin = log_in(&db, "bloom_admin").await;
    let task = submit(&producer, "c", "{}").await;
    register(&worker, "w", "{}").await;
    let session = "01900000-0000-7000-8000-000000000001";
    let sql = format!("select lease_id from bloom.lease_next('w', '{session}')");
    let lease = one(&worker, &sql).await;
    for sql in [
        format!("select bloom.lease_start('{task}', '{lease}')"),
        format!("select bloom.worker_beat('w', '{session}', '[{{\"lease_id\": \"{lease}\"}}]')"),
        format!("select bloom.lease_heartbeat('{task}', '{lease}')"),
        format!("select bloom.lease_extend('{task}', '{lease}', 60)"),
        format!("select bloom.lease_release('{task}', '{lease}')"),
    ] {
        run(&worker, &sql).await;
    }
    let lease = one(&worker, &sql).await;
    let sql = format!("select bloom.lease_complete('{task}', '{lease}', 'success', 'out')");
    run(&worker, &sql).await;
    let sql = format!("select output from bloom.task_result('{task}')");
    assert_eq!(one(&producer, &sql).await, "out");
    let actors = format!(
        "select distinct actor from bloom.audit_logs where entity_id = '{task}' order by 1"
    );
    // Who logged in: anybody could give a worker's name.
    let name = db.name();
    let wanted = [
        format!("sql:{name}_bloom_producer"),
        format!("sql:{name}_bloom_worker"),
    ];
    let mut found = column(&reader, &actors).await;
    found.sort();
    assert_eq!(found, wanted);
    run(
        &admin,
        "select bloom.queue_pause('default'), bloom.partition_ensure()",
    )
    .await;
    let cleanup = db.connect().await;
    drop((producer, worker, reader, admin));
    for group in ROLES {
        run(&cleanup, &format!("drop role {name}_{group}")).await;
    }
}

/// Every verb with a call that would be well-formed but for its nulls.
async fn calls(client: &Client) -> BTreeMap<String, String> {
    let sql = "select p.proname || ' select bloom.' || p.proname || '(' || coalesce((
                   select string_agg('null::' || format_type(t, null), ', ' order by n)
                     from unnest(p.proargtypes::oid[]) with ordinality a(t, n)), '') || ')'
                 from pg_proc p where p.pronamespace = 'bloom'::regnamespace";
    let calls = column(client, sql).await;
    let split = calls
        .iter()
        .map(|call| call.split_once(' ').expect("two parts"));
    split
        .map(|(name, call)| (name.to_owned(), call.to_owned()))
        .collect()
}

#[tokio::test]
async fn what_is_not_granted_is_denied() {
    let db = TestDb::new().await;
    let superuser = db.connect().await;
    let calls = calls(&superuser).await;
    let sql = "select n.nspname || '.' || c.relname
                 from pg_class c join pg_namespace n on n.oid = c.relnamespace
                where n.nspname = 'bloom_private' and c.relkind in ('r', 'p', 'S')";
    let tables = column(&superuser, sql).await;
    assert!(
        calls.len() > 50 && tables.len() > 25,
        "the lists are generated"
    );
    for role in ROLES {
        let client = db.connect_as(role).await;
        let granted = GRANTED.iter().find(|(group, _)| *group == role);
        let granted: Vec<_> = granted.map_or(vec![], |(_, verbs)| verbs.split(' ').collect());
        for (verb, call) in &calls {
            let denied = match try_rows(&client, call).await {
                Ok(_) => false,
                Err(refusal) => refusal.starts_with("42501"),
            };
            let allowed = role == "bloom_admin" || granted.contains(&verb.as_str());
            assert_eq!(denied, !allowed, "{role}: {verb}");
        }
        for table in &tables {
            for sql in [
                format!("select * from {table}"),
                format!("insert into {table} default values"),
                format!("delete from {table}"),
            ] {
                let refusal = refused(&client, &sql).await;
                assert!(refusal.starts_with("42501"), "{role}: {sql}: {refusal}");
            }
        }
        for helper in ["bloom_private.uuid_v7()", "bloom_private.status_counts()"] {
            let refusal = refused(&client, &format!("select {helper}")).await;
            assert!(refusal.starts_with("42501"), "{role}: {helper}: {refusal}");
        }
        for view in [
            "llm_tasks",
            "leases",
            "workers",
            "runtime_settings",
            "audit_logs",
        ] {
            let sql = format!("select from bloom.{view} limit 1");
            let may = role == "bloom_reader" || role == "bloom_admin";
            assert_eq!(try_rows(&client, &sql).await.is_ok(), may, "{role}: {view}");
            let refusal = refused(&client, &format!("delete from bloom.{view}")).await;
            assert!(!refusal.starts_with("RT"), "{role}: {view}: {refusal}");
        }
    }
}

#[tokio::test]
async fn only_admins_may_speak_in_another_name() {
    let db = TestDb::new().await;
    let forged = "select bloom.task_submit('c', 'a', 'p', '{\"actor\": \"mallory\"}')";
    let producer = db.connect_as("bloom_producer").await;
    assert_eq!(refused(&producer, forged).await, "RT403 actor_not_allowed");
    // Nor by taking the role of a group for the length of a statement.
    let worker = db.connect_as("bloom_worker").await;
    for call in [
        "select bloom.worker_register('w', '{\"actor\": \"mallory\"}')",
        "select bloom.lease_next('w', null, 1, 300, '{\"actor\": \"mallory\"}')",
    ] {
        assert_eq!(refused(&worker, call).await, "RT403 actor_not_allowed");
    }
    let admin = db.connect_as("bloom_admin").await;
    run(&admin, forged).await;
}

#[tokio::test]
async fn workers_must_name_the_lease_they_speak_for() {
    let db = TestDb::new().await;
    let producer = db.connect_as("bloom_producer").await;
    let worker = db.connect_as("bloom_worker").await;
    let task = submit(&producer, "c", "{}").await;
    register(&worker, "w", "{}").await;
    run(&worker, "select bloom.lease_next('w')").await;
    for call in [
        format!("select bloom.lease_heartbeat('{task}')"),
        format!("select bloom.lease_start('{task}', null)"),
        format!("select bloom.lease_extend('{task}', null, 60)"),
        format!("select bloom.lease_complete('{task}', null, 'success')"),
        format!("select bloom.lease_release('{task}', null)"),
    ] {
        assert_eq!(
            refused(&worker, &call).await,
            "RT400 invalid_argument",
            "{call}"
        );
    }
}
