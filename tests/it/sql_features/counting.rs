//! Counts that nobody counts are still right.

use serde_json::json;
use tokio_postgres::Client;

use crate::pg::TestDb;
use crate::sql_kit::{eventually, json, one, register, run, submit, try_rows};

/// What `stats` and `queue_list` should say, by counting.
const COUNTED: &str = "
select jsonb_build_object(
    'by_status', (select coalesce(jsonb_object_agg(status, n), '{}')
        from (select status, count(*) as n from bloom.llm_tasks group by 1) s),
    'total', (select count(*) from bloom_private.task),
    'active', (select count(*) from bloom_private.lease),
    'leases', (select count(*) from bloom.leases),
    'queues', (select jsonb_object_agg(name, coalesce((select jsonb_object_agg(status, n)
        from (select status, count(*) as n from bloom.llm_tasks t where t.queue = q.name
               group by 1) s), '{}')) from bloom_private.queue q))";

const SAID: &str = "
select jsonb_build_object(
    'by_status', s -> 'tasks' -> 'by_status', 'total', s -> 'tasks' -> 'total',
    'active', s -> 'leases' -> 'active', 'leases', s -> 'leases' -> 'total',
    'queues', (select jsonb_object_agg(queue, tasks) from bloom.queue_list()))
  from bloom.stats() s";

async fn agree(client: &Client, when: &str) {
    let counted = json(client, COUNTED).await;
    let said = json(client, SAID).await;
    assert_eq!(said, counted, "{when}");
}

/// One random move; refusals are part of it.
async fn step(client: &Client, random: &mut fastrand::Rng) {
    let any = "(select task_id from bloom_private.task order by random() limit 1)";
    let live = "(select task_id from bloom_private.lease order by random() limit 1)";
    let queue = random.u8(0..3);
    let sql = match random.u8(0..11) {
        0..=2 => format!(
            "select bloom.task_submit('c' || {}, 'a', 'p', '{{\"queue\": \"q{queue}\",
                 \"max_attempts\": 2, \"policy\": {{\"serial\": {}}}}}')",
            random.u8(0..5),
            random.bool()
        ),
        3..=4 => format!("select bloom.lease_next('w', null, {})", random.u8(1..4)),
        5 => format!("select bloom.lease_start({live}, null)"),
        6 => format!("select bloom.lease_complete({live}, null, 'success')"),
        7 => format!("select bloom.lease_complete({live}, null, 'error')"),
        8 => format!(
            "select bloom.task_cancel({any}), bloom.lease_release({live},
                 (select lease_id from bloom_private.lease order by random() limit 1))"
        ),
        9 => format!("select bloom.task_requeue({any})"),
        _ => "update bloom_private.deferred set run_at = now(); select bloom.task_promote()"
            .to_owned(),
    };
    drop(try_rows(client, &sql).await);
}

#[tokio::test]
async fn stats_and_queues_say_what_counting_would_before_and_after_folding() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    register(&client, "w", r#"{"max_concurrency": 32}"#).await;
    let mut random = fastrand::Rng::with_seed(7);
    for round in 0..6 {
        for _ in 0..60 {
            step(&client, &mut random).await;
        }
        agree(&client, &format!("round {round}, unfolded")).await;
        run(&client, "select bloom.status_fold()").await;
        agree(&client, &format!("round {round}, folded")).await;
    }
    let slots = "select active - (select count(*) from bloom_private.lease)
                   from bloom_private.worker_slot";
    assert_eq!(one(&client, slots).await, "0");
    // The transactions of all databases of the server hold the fold back.
    let folded = "select bloom.status_fold() is not null
                     and exists (select from bloom_private.status_count)";
    eventually(&client, folded, "t").await;
    agree(&client, "at the end").await;
}

#[tokio::test]
async fn folding_leaves_out_what_is_not_committed_and_counts_it_later() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    let slow = db.connect().await;
    // The lane exists, or the slow submission would keep the others from making it.
    submit(&client, "first", "{}").await;
    run(&slow, "begin").await;
    submit(&slow, "slow", "{}").await;
    for n in 0..3 {
        submit(&client, &format!("c{n}"), "{}").await;
    }
    run(&client, "select bloom.status_fold()").await;
    agree(&client, "while one is open").await;
    run(&slow, "commit").await;
    agree(&client, "after its commit").await;
    run(&client, "select bloom.status_fold()").await;
    agree(&client, "folded").await;
    let said = json(&client, "select bloom.stats() -> 'tasks' -> 'by_status'").await;
    assert_eq!(said, json!({"queued": 5}));
}
