//! Transactions that end late, or not at all, and those that began early.

use serde_json::json;

use super::kit::{Stream, actions};
use crate::runtime::{Runtime, task};
use crate::sql_kit::{lease_of, one, run, submit};

#[tokio::test]
async fn what_is_rolled_back_is_never_told_and_what_commits_late_is_not_skipped() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    let (late, never) = (runtime.db().connect().await, runtime.db().connect().await);
    let mut stream = Stream::open(api, "/events?type=submitted", None).await;
    // The first task makes the lane, for which the others would have to wait.
    api.submit(task("first")).await;
    stream.next().await;
    run(&late, "begin").await;
    let early = submit(&late, "late", "{}").await;
    run(&never, "begin").await;
    submit(&never, "never", "{}").await;
    let second = api.submit(task("c")).await;
    run(&never, "rollback").await;
    let third = api.submit(task("c")).await;
    run(&late, "commit").await;
    let told = stream
        .until(|told| told.data["task_id"] == third.as_str())
        .await;
    let tasks: Vec<_> = told
        .iter()
        .map(|told| told.data["task_id"].as_str().unwrap())
        .collect();
    assert_eq!(tasks.len(), 3, "{tasks:?}");
    assert!(tasks.contains(&early.as_str()) && tasks.contains(&second.as_str()));
    // From each cursor on, the rest and nothing else.
    for (at, event) in told.iter().enumerate() {
        let path = format!("/events?type=submitted&after={}", event.id);
        let mut rest = Stream::open(api, &path, None).await;
        let end = api.submit(task("end")).await;
        let rest = rest
            .until(|told| told.data["task_id"] == end.as_str())
            .await;
        let rest: Vec<_> = rest.iter().map(|told| &told.id).collect();
        let wanted: Vec<_> = told[at + 1..].iter().map(|told| &told.id).collect();
        assert_eq!(rest[..wanted.len()], wanted);
        assert_eq!(
            rest.len(),
            wanted.len() + at + 1,
            "and those submitted since"
        );
    }
}

#[tokio::test]
async fn a_task_is_told_in_order_though_its_last_transition_began_first() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 8).await;
    let (first, between) = (runtime.db().connect().await, runtime.db().connect().await);
    let id = api.submit(task("c")).await;
    let mut stream = Stream::open(api, &format!("/events?task={id}"), None).await;
    // The transaction that will complete the task has its number before all the others.
    run(&first, "begin").await;
    submit(&first, "other", "{}").await;
    run(&between, "begin").await;
    submit(&between, "another", "{}").await;
    let lease = api.lease(&id).await;
    let path = format!("/llm-tasks/{id}");
    api.post(&format!("{path}/heartbeat"), json!({ "lease_id": lease }))
        .await;
    let lease = lease_of(&first, &id).await;
    let complete = format!("select bloom.lease_complete('{id}', '{lease}', 'success', 'o')");
    run(&first, &complete).await;
    run(&first, "commit").await;
    // The log may be shown up to the one that is still open: that must not include the end alone.
    let shown = format!(
        "select count(*) from bloom.audit_read('0', 0, 10000) where task_id = '{id}' and ver > 1"
    );
    assert_eq!(one(&between, &shown).await, "0");
    run(&between, "commit").await;
    let told = stream.until(|told| told.kind == "completed").await;
    // The submission is shown, too, where somebody's transaction kept it back until now.
    let mut shown = actions(&told);
    shown.retain(|action| *action != "submitted");
    assert_eq!(shown, ["leased", "running", "completed"]);
    let mut own = Stream::open(api, &format!("{path}/events"), None).await;
    let told = own.until(|told| told.kind == "completed").await;
    assert_eq!(
        actions(&told),
        ["submitted", "leased", "running", "completed"]
    );
    let mut rest = Stream::open(api, &format!("{path}/events"), Some(&told[2].id)).await;
    assert_eq!(rest.next().await.kind, "completed");
}
