//! Submissions that meet on their way to the database: what each caller may count on.

use std::collections::BTreeSet;

use serde_json::json;
use tokio::task::JoinSet;

use crate::contract_keys::create_named_key;
use crate::runtime::{Api, Reply, Runtime, task};
use crate::sql_kit::{one, run};

/// Posts all of them at the same time; the answers come in the order of the bodies.
pub async fn post_at_once(api: &Api, bodies: Vec<serde_json::Value>) -> Vec<Reply> {
    let mut posts = JoinSet::new();
    for (at, body) in bodies.into_iter().enumerate() {
        let api = api.clone();
        posts.spawn(async move { (at, api.post("/llm-tasks", body).await) });
    }
    let mut replies = posts.join_all().await;
    replies.sort_by_key(|(at, _)| *at);
    replies.into_iter().map(|(_, reply)| reply).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn many_submissions_at_once_are_each_answered_with_their_own_task() {
    let runtime = Runtime::start().await;
    let bodies = (0..200).map(|at| task(&format!("c{at}"))).collect();
    let replies = post_at_once(&runtime.api, bodies).await;
    let mut ids = BTreeSet::new();
    for (at, reply) in replies.iter().enumerate() {
        assert_eq!(reply.status, 201, "{reply:?}");
        assert_eq!(reply.body["context_id"], format!("c{at}"));
        ids.insert(reply.id());
    }
    assert_eq!(ids.len(), 200);
    let client = runtime.db().connect().await;
    assert_eq!(
        one(&client, "select count(*) from bloom.llm_tasks").await,
        "200"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_batch_each_submission_keeps_the_name_of_its_caller() {
    let runtime = Runtime::start().await;
    let mut posts = JoinSet::new();
    for name in ["red", "green", "blue"] {
        let (_, key) = create_named_key(&runtime.db().url(), name, "producer");
        let api = Api::new(&runtime.api.base, Some(&key));
        posts.spawn(async move {
            let bodies = (0..30).map(|_| task(name)).collect();
            for reply in post_at_once(&api, bodies).await {
                assert_eq!(reply.status, 201, "{reply:?}");
            }
        });
    }
    posts.join_all().await;
    let client = runtime.db().connect().await;
    let named = "select count(*) from bloom_private.task t join bloom_private.event e
        using (task_id) where t.created_by = t.context_id and e.actor = t.context_id";
    assert_eq!(one(&client, named).await, "90");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_idempotency_key_is_one_task_whoever_travels_together() {
    let runtime = Runtime::start().await;
    let body = |context: &str| {
        let mut body = task(context);
        body["idempotency_key"] = json!("the-key");
        body
    };
    let bodies = (0..40)
        .map(|at| body(if at % 4 == 3 { "other" } else { "same" }))
        .collect();
    let replies = post_at_once(&runtime.api, bodies).await;
    let of = |status: u16| replies.iter().filter(move |reply| reply.status == status);
    assert_eq!(of(201).count(), 1);
    let first = of(201).next().expect("one is new");
    for reply in of(200) {
        assert_eq!(reply.id(), first.id());
    }
    // Those with the other body conflict: all of them, or all the others, by who came first.
    let conflicts = if first.body["context_id"] == "same" {
        10
    } else {
        30
    };
    assert_eq!(of(409).count(), conflicts);
    assert_eq!(of(200).count(), 40 - 1 - conflicts);
    for reply in of(409) {
        assert_eq!(reply.body["code"], "idempotency_conflict", "{reply:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submission_that_cannot_go_on_holds_nobody_else_back_for_good() {
    let runtime = Runtime::start().await;
    // Somebody's open transaction holds an idempotency key. The lane must be there already: a new
    // one would be held as well.
    assert_eq!(runtime.api.post("/llm-tasks", task("c")).await.status, 201);
    let holder = runtime.db().connect().await;
    run(&holder, "begin").await;
    let held = r#"select bloom.task_submit('c', 'a', 'p', '{"idempotency_key": "held"}')"#;
    one(&holder, held).await;
    let keyed = |key: String| {
        let mut body = task("c");
        body["idempotency_key"] = json!(key);
        body
    };
    let mut bodies: Vec<_> = (0..20).map(|_| task("c")).collect();
    bodies.extend((0..20).map(|at| keyed(format!("free-{at}"))));
    bodies.push(keyed("held".to_owned()));
    let replies = post_at_once(&runtime.api, bodies).await;
    for reply in &replies[..40] {
        assert_eq!(reply.status, 201, "{reply:?}");
    }
    assert_eq!(replies[40].status, 503, "{:?}", replies[40]);
    run(&holder, "rollback").await;
    let again = runtime
        .api
        .post("/llm-tasks", keyed("held".to_owned()))
        .await;
    assert_eq!(again.status, 201, "{again:?}");
}
