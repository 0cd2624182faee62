//! Pulling work and beating, beside the contract's own way of leasing.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::runtime::entity::{LEASE, assert_shape, assert_task, names};
use crate::runtime::{Runtime, task};

#[tokio::test]
async fn a_pull_leases_as_many_tasks_as_asked_for_and_the_worker_has_room_for() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 3).await;
    for number in 0..5 {
        api.submit(task(&format!("c{number}"))).await;
    }
    let ask = |most: u32| {
        json!({
            "worker_id": "w", "session_id": "00000000-0000-4000-8000-000000000001",
            "max_tasks": most, "ttl_seconds": 60, "request_id": Uuid::new_v4(),
        })
    };
    let two = api.post("/leases", ask(2)).await;
    assert_eq!(names(&two.body), ["leases"]);
    assert_eq!(two.leases().len(), 2);
    for grant in two.leases() {
        assert_eq!(names(grant), ["lease", "task", "conversation"]);
        assert_shape(&grant["lease"], LEASE);
        assert_task(&grant["task"]);
        assert_eq!(grant["lease"]["ttl_seconds"], 60);
        assert_eq!(grant["lease"]["task_id"], grant["task"]["id"]);
        assert_eq!(grant["task"]["status"], "leased");
        assert_eq!(grant["task"]["lease_id"], grant["lease"]["id"]);
    }
    assert_eq!(two.leases()[0]["task"]["context_id"], "c0", "oldest first");
    assert_eq!(
        api.post("/leases", ask(100)).await.leases().len(),
        1,
        "no more room"
    );
    assert_eq!(
        api.post("/leases", ask(1)).await.body,
        json!({ "leases": [] })
    );
}

#[tokio::test]
async fn a_pull_says_what_is_wrong_with_it() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 1).await;
    let good = json!({ "worker_id": "w", "session_id": Uuid::new_v4() });
    for (name, value, text) in [
        (
            "worker_id",
            json!(""),
            "String must contain at least 1 character(s)",
        ),
        ("session_id", json!("x"), "Invalid uuid"),
        ("session_id", json!(null), "Expected string, received null"),
        (
            "max_tasks",
            json!(0),
            "Number must be greater than or equal to 1",
        ),
        (
            "max_tasks",
            json!(101),
            "Number must be less than or equal to 100",
        ),
        (
            "wait_seconds",
            json!(61),
            "Number must be less than or equal to 60",
        ),
        (
            "wait_seconds",
            json!(-1),
            "Number must be greater than or equal to 0",
        ),
        (
            "wait_seconds",
            json!(0.5),
            "Expected integer, received float",
        ),
        (
            "ttl_seconds",
            json!(86_401),
            "Number must be less than or equal to 86400",
        ),
        ("request_id", json!(7), "Expected string, received number"),
        (
            "queues",
            json!("default"),
            "Expected array, received string",
        ),
    ] {
        let mut body = good.clone();
        body[name] = value;
        let reply = api.post("/leases", body).await;
        assert_eq!(reply.status, 400, "{reply:?}");
        assert_eq!(
            reply.body["error"]["fieldErrors"],
            json!({ (name): [text] })
        );
    }
    for wait in [0, 30] {
        let reply = api.pull("nobody", wait).await;
        assert_eq!(
            (reply.status, &reply.body["error"]),
            (404, &json!("Worker not found"))
        );
    }
    api.post(
        "/workers",
        json!({ "name": "n", "capabilities": { "claude_cli": false } }),
    )
    .await;
    let reply = api.pull("n", 0).await;
    assert_eq!(
        (reply.status, &reply.body["code"]),
        (409, &json!("worker_not_capable"))
    );
}

#[tokio::test]
async fn a_beat_tells_which_leases_are_well_cancelled_or_lost() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 3).await;
    let session = Uuid::new_v4();
    for context in ["a", "b"] {
        api.submit(task(context)).await;
    }
    let ask = json!({ "worker_id": "w", "session_id": session, "max_tasks": 2 });
    let pulled = api.post("/leases", ask).await;
    let leases: Vec<_> = pulled
        .leases()
        .iter()
        .map(|grant| grant["lease"]["id"].clone())
        .collect();
    let tasks: Vec<_> = pulled
        .leases()
        .iter()
        .map(|grant| grant["task"]["id"].as_str().unwrap())
        .collect();
    let stranger = json!(Uuid::new_v4());

    let cancel = api
        .post(
            &format!("/llm-tasks/{}/cancel", tasks[1]),
            json!({ "reason": "no" }),
        )
        .await;
    assert_eq!(cancel.status, 200, "{cancel:?}");
    assert_task(&cancel.body);
    assert_eq!(cancel.body["status"], "leased");
    assert!(cancel.body["cancel_requested_at"].is_i64());

    let body = json!({ "session_id": session, "leases": [
        { "lease_id": leases[0], "progress": { "percent": 5 }, "usage": { "tokens": 1 } },
        { "lease_id": leases[1] }, { "lease_id": stranger },
    ] });
    let beat = api.post("/workers/w/beat", body).await;
    assert_eq!(beat.status, 200, "{beat:?}");
    assert_eq!(beat.body["drain"], false);
    let expected = json!([
        { "lease_id": leases[0], "state": "ok" },
        { "lease_id": leases[1], "state": "cancel" },
        { "lease_id": stranger, "state": "lost" },
    ]);
    assert_eq!(beat.body["leases"], expected);
    assert_eq!(
        api.task(tasks[0]).await["progress"],
        json!({ "percent": 5 })
    );
    assert!(api.task(tasks[1]).await["cancel_delivered_at"].is_i64());

    let report = json!({ "status": "error", "error_message": "stopped", "lease_id": leases[1] });
    let done = api.complete(tasks[1], report).await;
    assert_eq!(done.body["task"]["status"], "cancelled", "{done:?}");
    let again = api
        .post_empty(&format!("/llm-tasks/{}/cancel", tasks[1]))
        .await;
    assert_eq!(
        (again.status, &again.body["status"]),
        (200, &json!("cancelled"))
    );
    let requeued = api
        .post_empty(&format!("/llm-tasks/{}/requeue", tasks[1]))
        .await;
    assert_eq!(
        (requeued.status, &requeued.body["status"]),
        (200, &json!("queued"))
    );

    let missing = api
        .post("/workers/nobody/beat", json!({ "session_id": session }))
        .await;
    assert_eq!(
        (missing.status, &missing.body["error"]),
        (404, &json!("Worker not found"))
    );
    for (body, field) in [
        (json!({}), "session_id"),
        (
            json!({ "session_id": session, "leases": [{ "lease_id": "x" }] }),
            "leases",
        ),
        (json!({ "session_id": session, "leases": [3] }), "leases"),
    ] {
        let reply = api.post("/workers/w/beat", body).await;
        assert_eq!(reply.status, 400, "{reply:?}");
        assert_eq!(names(&reply.body["error"]["fieldErrors"]), [field]);
    }
    let drained = api.post_empty("/workers/w/drain").await;
    assert_eq!(
        (drained.status, &drained.body["draining"]),
        (200, &json!(true))
    );
    let beat = api
        .post("/workers/w/beat", json!({ "session_id": session }))
        .await;
    assert_eq!(
        (&beat.body["drain"], &beat.body["leases"]),
        (&json!(true), &json!([]))
    );
    assert_eq!(api.pull("w", 0).await.leases(), [] as [Value; 0]);
    api.post_empty("/workers/w/resume").await;
    assert_eq!(api.pull("w", 0).await.leases().len(), 1);
}
