//! `audit_verify` finds what is wrong with a trail, and nothing where nothing is; bulk verbs.

use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::history::verified;
use crate::pg::TestDb;
use crate::sql_kit::{one, run};
use crate::verbs;

/// What is planted, and the code with which it must be found.
const PLANTS: &[(&str, &str)] = &[
    ("version_gap", "delete from event where ver = 2"),
    (
        "version_gap",
        "insert into event (cause, task_id, ver, queue, prior, status, epoch, fence, attempts,
             crashes, actor, at)
         select cause, task_id, ver, queue, prior, status, epoch, fence, attempts, crashes, actor,
             at + interval '1 us' from event where cause = 'running'",
    ),
    ("first_version", "delete from event where ver = 1"),
    (
        "illegal_edge",
        "update event set cause = 'teleported' where cause = 'running'",
    ),
    (
        "illegal_edge",
        "update event set status = 'running' where cause = 'submitted'",
    ),
    (
        "illegal_edge",
        "update event set prior = null where cause = 'leased'",
    ),
    (
        "wrong_prior",
        "update event set prior = 'leased' where cause = 'completed'",
    ),
    (
        "last_version",
        "delete from event where cause = 'completed'",
    ),
    (
        "last_version",
        "update finished set status = 'dead' where status = 'completed'",
    ),
    ("no_trail", "delete from event"),
    ("no_state", "delete from finished"),
    (
        "two_states",
        "insert into deferred (task_id, queue, status, ver, epoch, fence, attempts, crashes,
             cause, actor, run_at)
         select task_id, queue, 'queued', ver, epoch, fence, attempts, crashes, cause, actor, now()
           from finished",
    ),
];

/// A task that was completed, and one that waits.
async fn two_lives(client: &Client) {
    verbs::register(client, "w", 1).await.unwrap();
    verbs::submit(client, "a", json!({})).await.unwrap();
    let grant = verbs::lease_next(client, "w", 1).await.unwrap().remove(0);
    verbs::heartbeat(client, &grant).await.unwrap();
    verbs::succeed(client, &grant).await.unwrap();
    verbs::submit(client, "b", json!({})).await.unwrap();
}

#[tokio::test]
async fn each_planted_fault_of_a_trail_is_found_and_named() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    two_lives(&client).await;
    assert_eq!(verified(&client).await, (5, Value::Null));
    let task = one(&client, "select task_id from bloom_private.finished").await;
    for (code, tampering) in PLANTS {
        run(&client, "begin").await;
        for table in ["task", "deferred", "finished", "event"] {
            let sql = format!("alter table bloom_private.{table} disable trigger all");
            run(&client, &sql).await;
        }
        let sql = format!("set local search_path = bloom_private, pg_catalog; {tampering}");
        run(&client, &sql).await;
        let (_, bad) = verified(&client).await;
        assert_eq!(bad["code"], *code, "{tampering}: {bad}");
        assert_eq!(bad["task_id"], *task, "{tampering}: {bad}");
        assert!(bad["text"].is_string(), "{bad}");
        run(&client, "rollback").await;
    }
    assert_eq!(verified(&client).await, (5, Value::Null));
}

#[tokio::test]
async fn a_trail_whose_beginning_is_no_longer_kept_is_no_fault_but_a_gap_in_it_is() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    two_lives(&client).await;
    run(
        &client,
        "begin; alter table bloom_private.task disable trigger all;
         alter table bloom_private.event disable trigger all;
         update bloom_private.task set created_at = created_at - interval '60 days';
         delete from bloom_private.event where ver < 3",
    )
    .await;
    assert_eq!(
        verified(&client).await,
        (2, Value::Null),
        "what is left is sound"
    );
    run(&client, "delete from bloom_private.event where ver = 4").await;
    assert_eq!(verified(&client).await.1["code"], "last_version");
    run(&client, "rollback").await;
}

#[tokio::test]
async fn every_edge_of_the_log_is_one_that_audit_verify_knows_and_no_other() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    let statuses = "array[null, 'queued', 'leased', 'running', 'completed', 'failed', 'dead', \
                    'cancelled']";
    let mut known = 0;
    for (cause, from, to) in crate::history::edges() {
        let sql = format!(
            "select string_agg(coalesce(p, '-') || '>' || s, ' ' order by p nulls first, s)
               from unnest({statuses}) p, unnest({statuses}) s
              where s is not null and bloom_private.edge_is_legal('{cause}', p, s)"
        );
        let mut wanted: Vec<String> = Vec::new();
        for prior in *from {
            for status in *to {
                // A wish to cancel leaves the status as it is.
                let stays = !cause.starts_with("cancel_") || *prior == Some(*status);
                if stays {
                    wanted.push(format!("{}>{status}", prior.unwrap_or("-")));
                }
            }
        }
        wanted.sort();
        let found = one(&client, &sql).await;
        let mut found: Vec<_> = found.split(' ').map(str::to_owned).collect();
        found.sort();
        assert_eq!(found, wanted, "{cause}");
        known += 1;
    }
    assert!(known >= 16);
    let sql = "select bloom_private.edge_is_legal('teleported', 'queued', 'queued')";
    assert_eq!(one(&client, sql).await, "f");
}

#[tokio::test]
async fn a_bulk_call_answers_for_each_id_in_order_and_one_transition_each() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    two_lives(&client).await;
    let done = one(&client, "select task_id from bloom_private.finished").await;
    let waits = one(&client, "select task_id from bloom_private.ready").await;
    let ids = format!("array['{waits}', '{done}', gen_random_uuid()::text, '{waits}']::uuid[]");
    let answer = |verb: &str| {
        format!(
            "select string_agg(ordinal || coalesce(status, '-')
                 || coalesce(' ' || (error ->> 'code'), ''), ', ' order by ordinal)
               from bloom.{verb}({ids})"
        )
    };
    assert_eq!(
        one(&client, &answer("task_cancel_many")).await,
        "1cancelled, 2completed wrong_status, 3- task_not_found, 4cancelled"
    );
    assert_eq!(
        one(&client, &answer("task_requeue_many")).await,
        "1queued, 2completed wrong_status, 3- task_not_found, 4queued"
    );
    assert_eq!(
        crate::sql_kit::causes(&client, &waits).await,
        ["submitted", "cancelled", "requeued"]
    );
    crate::history::assert_clean(&client).await;
}

#[tokio::test]
async fn a_bulk_cancel_passes_the_turn_on_to_what_is_left() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    let serial = json!({"policy": {"serial": true}});
    let mut tasks = Vec::new();
    for _ in 0..4 {
        tasks.push(verbs::submit(&client, "s", serial.clone()).await.unwrap());
    }
    let (last, others) = tasks.split_last().unwrap();
    let sql = "select count(*) from bloom.task_cancel_many($1) where status = 'cancelled'";
    let row = client.query_one(sql, &[&others]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 3);
    let ready = one(&client, "select task_id from bloom_private.ready").await;
    assert_eq!(ready, last.to_string());
    crate::history::assert_clean(&client).await;
}
