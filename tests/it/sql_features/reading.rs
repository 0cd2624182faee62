//! Readers and marks miss nothing, in whatever order transactions commit.

use std::time::{Duration, Instant};

use crate::pg::TestDb;
use crate::sql_kit::{
    PATIENCE, causes, column, eventually, lease, one, register, run, submit, try_rows,
};

#[tokio::test]
async fn a_reader_of_the_event_log_misses_nothing_that_commits_late() {
    let db = TestDb::new().await;
    let reader = db.connect().await;
    // The lane exists, or the first writer would keep the others from making it.
    submit(&reader, "first", "{}").await;
    let mut writers = Vec::new();
    for _ in 0..5 {
        writers.push(db.connect().await);
    }
    let mut seen = Vec::new();
    let mut cursor = ("0".to_owned(), "0".to_owned());
    let mut random = fastrand::Rng::with_seed(11);
    let mut open = [false; 5];
    for n in 0..120 {
        // Each step opens, writes into, or commits one of five transactions.
        let which = random.usize(0..5);
        match (open[which], random.bool()) {
            (false, _) => {
                run(&writers[which], "begin").await;
                open[which] = true;
            }
            (true, true) => drop(submit(&writers[which], &format!("c{n}"), "{}").await),
            (true, false) => {
                run(&writers[which], "commit").await;
                open[which] = false;
            }
        }
        let sql = format!(
            "select xid, seq, task_id from bloom.audit_read('{}', {}, 3)",
            cursor.0, cursor.1
        );
        for row in try_rows(&reader, &sql).await.unwrap() {
            let text = |n: usize| row.get(n).unwrap().to_owned();
            cursor = (text(0), text(1));
            seen.push(text(2));
        }
    }
    for writer in &writers {
        run(writer, "commit").await;
    }
    let sql = format!(
        "select task_id from bloom.audit_read('{}', {}, 1000)",
        cursor.0, cursor.1
    );
    let ended = "select pg_snapshot_xmin(pg_current_snapshot()) > max(xid)
                   from bloom_private.event";
    eventually(&reader, ended, "t").await;
    seen.extend(column(&reader, &sql).await);
    let mut wanted = column(&reader, "select task_id from bloom_private.event").await;
    assert!(wanted.len() > 20, "the writers wrote");
    wanted.sort();
    seen.sort();
    assert_eq!(seen, wanted, "every event once");
}

#[tokio::test]
async fn a_mark_never_passes_a_task_that_is_not_committed_yet() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    register(&client, "w", r#"{"max_concurrency": 32}"#).await;
    // The lane exists, or the slow submission would keep the others from making it.
    submit(&client, "first", "{}").await;
    let slow = db.connect().await;
    run(&slow, "begin").await;
    let late = submit(&slow, "late", "{}").await;
    for n in 0..20 {
        submit(&client, &format!("c{n}"), "{}").await;
    }
    for _ in 0..4 {
        lease(&client, "w", 5).await;
        run(&client, "select bloom.lane_advance(1)").await;
    }
    run(&slow, "commit").await;
    for _ in 0..4 {
        run(&client, "select bloom.lane_advance(1)").await;
    }
    let leased = lease(&client, "w", 10).await;
    assert!(leased.contains(&late), "the late one is found: {leased:?}");
    // And the mark does move, once the transactions of all databases of the server allow it.
    let marks = "select bloom.lane_advance(1);
                 select max(mark) = (select last_value from bloom_private.ready_seq)
                   from bloom_private.lane";
    let deadline = Instant::now() + PATIENCE;
    while column(&client, marks).await.last().unwrap() != "t" {
        assert!(Instant::now() < deadline, "the mark does not move");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_mark_stays_before_a_task_whose_claim_is_rolled_back() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    register(&client, "w", r#"{"max_concurrency": 32}"#).await;
    let task = submit(&client, "c", "{}").await;
    let claimer = db.connect().await;
    run(&claimer, "begin").await;
    assert_eq!(lease(&claimer, "w", 1).await, [task.as_str()]);
    for _ in 0..4 {
        run(&client, "select bloom.lane_advance(1)").await;
    }
    run(&claimer, "rollback").await;
    for _ in 0..4 {
        run(&client, "select bloom.lane_advance(1)").await;
    }
    assert_eq!(lease(&client, "w", 1).await, [task]);
}

#[tokio::test]
async fn every_audit_row_is_written_by_the_transaction_of_its_transition() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    run(&client, "begin").await;
    let task = submit(&client, "c", "{}").await;
    let same = format!(
        "select e.xid >= pg_current_xact_id() and e.xmin = pg_current_xact_id()::xid
                and r.xmin = e.xmin
           from bloom_private.event e join bloom_private.ready r using (task_id)
          where task_id = '{task}'"
    );
    assert_eq!(one(&client, &same).await, "t");
    run(&client, "commit").await;
    assert_eq!(causes(&client, &task).await, ["submitted"]);
}

#[tokio::test]
async fn lists_are_newest_first_and_their_pages_fit_together() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    register(&client, "w", r#"{"max_concurrency": 32}"#).await;
    let mut tasks = Vec::new();
    for n in 0..9 {
        tasks.push(submit(&client, &format!("c{n}"), "{}").await);
        lease(&client, "w", 1).await;
        if n % 3 > 0 {
            let how = if n % 3 == 1 { "success" } else { "error" };
            crate::sql_kit::complete(&client, &tasks[n], how).await;
        }
    }
    tasks.reverse();
    for (list, id) in [
        ("task_list(null, 4, %)", "task_id"),
        ("lease_list(null, 4, %)", "lease_id"),
        ("artifact_list(null, 4, %)", "artifact_id"),
    ] {
        let mut all: Vec<String> = Vec::new();
        loop {
            let before = all.last().map_or("null".to_owned(), |id| format!("'{id}'"));
            let sql = format!("select {id} from bloom.{}", list.replace('%', &before));
            let page = column(&client, &sql).await;
            if page.is_empty() {
                break;
            }
            all.extend(page);
        }
        let mut sorted = all.clone();
        sorted.sort();
        sorted.reverse();
        assert_eq!(all, sorted, "{list}");
        assert_eq!(all.len(), if id == "artifact_id" { 6 } else { 9 }, "{list}");
    }
    assert_eq!(
        column(&client, "select task_id from bloom.task_list()").await,
        tasks
    );
    for (status, wanted) in [("active", 3), ("released", 3), ("failed", 3), ("other", 0)] {
        let sql = format!("select status from bloom.lease_list('{status}')");
        let found = column(&client, &sql).await;
        assert_eq!(found.len(), wanted, "{status}");
        assert!(found.iter().all(|found| found == status), "{found:?}");
    }
}
