//! A Membridge that takes its time.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::{connected, get};
use crate::fake_membridge::{Answer, FakeMembridge};
use crate::runtime::{eventually, task};

#[tokio::test]
async fn one_that_drips_or_falls_silent_is_502_and_the_queue_works_on() {
    let fake = FakeMembridge::start().await;
    let runtime = connected(&fake).await;
    fake.answer("/agents", Answer::Stall);
    fake.answer("/projects", Answer::Drip);
    fake.answer("/projects/p1/nodes", Answer::Stall);
    let polls = fake.count("/agents");
    eventually("the sync hangs", async || {
        (fake.count("/agents") > polls).then_some(())
    })
    .await;
    let is_over = AtomicBool::new(false);
    let slow = async {
        let replies = tokio::join!(
            get(&runtime, "/projects"),
            get(&runtime, "/projects/p1/nodes"),
        );
        is_over.store(true, Ordering::Relaxed);
        replies
    };
    let meanwhile = async {
        eventually("both are asked", async || {
            (fake.count("/projects") > 0 && fake.count("/projects/p1/nodes") > 0).then_some(())
        })
        .await;
        let api = &runtime.api;
        api.register("w", 1).await;
        let id = api.submit(task("c")).await;
        let lease = api.lease(&id).await;
        let report = json!({ "lease_id": lease, "status": "success", "output": "done" });
        assert_eq!(api.complete(&id, report).await.status, 200);
        assert_eq!(api.get("/health").await.body["status"], "ok");
        assert!(!is_over.load(Ordering::Relaxed), "Membridge is still slow");
    };
    let ((dripping, silent), ()) = tokio::join!(slow, meanwhile);
    for reply in [dripping, silent] {
        assert_eq!(reply.status, 502, "{reply:?}");
    }
    fake.agents(json!([]));
    fake.answer("/projects", Answer::Json(200, json!([])));
    let healed = eventually("it answers again", async || {
        let reply = get(&runtime, "/projects").await;
        (reply.status == 200).then_some(reply)
    });
    assert_eq!(healed.await.body, Value::Array(vec![]));
}
