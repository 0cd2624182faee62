//! Lists: newest first, in pages without loss or repetition, and never out of bounds.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::runtime::entity::{ARTIFACT, AUDIT, LEASE, assert_shape, assert_task, names};
use crate::runtime::{Api, Runtime, eventually, task};

/// Walks all pages and returns the ids, in the order of the pages.
async fn walk(api: &Api, path: &str, limit: usize) -> Vec<String> {
    let separator = if path.contains('?') { '&' } else { '?' };
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let reply = api
            .get(&format!("{path}{separator}limit={limit}{cursor}"))
            .await;
        let page = reply.items();
        assert!(page.len() <= limit);
        ids.extend(
            page.iter()
                .map(|item| item["id"].as_str().unwrap().to_owned()),
        );
        match reply.header("x-next-cursor") {
            Some(next) => {
                assert!(!page.is_empty(), "a cursor leads to something");
                cursor = format!("&cursor={next}");
            }
            None => return ids,
        }
    }
}

#[tokio::test]
async fn cursors_lead_through_all_tasks_once_while_new_ones_arrive() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    let mut expected = Vec::new();
    for number in 0..12 {
        expected.push(api.submit(task(&format!("c{number}"))).await);
    }
    expected.reverse();
    for limit in [1, 3, 5, 12, 100] {
        assert_eq!(
            walk(api, "/llm-tasks", limit).await,
            expected,
            "limit {limit}"
        );
        assert_eq!(walk(api, "/llm-tasks?status=queued", limit).await, expected);
    }
    // New tasks between two pages change nothing about the older ones.
    let first = api.get("/llm-tasks?limit=5").await;
    let cursor = first.header("x-next-cursor").unwrap();
    api.submit(task("late")).await;
    let second = api
        .get(&format!("/llm-tasks?limit=7&cursor={cursor}"))
        .await;
    let ids: Vec<_> = second
        .items()
        .iter()
        .map(|item| item["id"].clone())
        .collect();
    assert_eq!(
        ids,
        expected[5..].iter().map(|id| json!(id)).collect::<Vec<_>>()
    );
    assert!(second.header("x-next-cursor").is_none(), "there is no more");
}

#[tokio::test]
async fn cursors_lead_through_leases_artifacts_and_the_audit() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 20).await;
    for number in 0..9 {
        let id = api.submit(task(&format!("c{number}"))).await;
        api.lease(&id).await;
        if number % 3 > 0 {
            let status = ["", "success", "error"][number % 3];
            let done = api
                .complete(&id, json!({ "status": status, "output": "x" }))
                .await;
            assert_eq!(done.status, 200, "{done:?}");
        }
    }
    for (path, count) in [
        ("/leases", 9),
        ("/leases?status=active", 3),
        ("/leases?status=released", 3),
        ("/leases?status=failed", 3),
        ("/leases?status=expired", 0),
        ("/leases?status=nonsense", 0),
        ("/artifacts", 6),
        // One registration; 9 submissions, 9 leases, 6 ends.
        ("/audit", 25),
        ("/llm-tasks?status=leased", 3),
        ("/llm-tasks?status=completed", 3),
        ("/llm-tasks?status=failed", 3),
        ("/llm-tasks?status=dead", 0),
        ("/llm-tasks?status=nonsense", 0),
        ("/llm-tasks?status=", 0),
    ] {
        let all = walk(api, path, 1000).await;
        assert_eq!(all.len(), count, "{path}");
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), count, "{path}");
        for limit in [1, 2, 4] {
            assert_eq!(walk(api, path, limit).await, all, "{path} by {limit}");
        }
    }
    assert_newest_first(&api.get("/leases").await.body, "started_at", LEASE);
    assert_newest_first(&api.get("/artifacts").await.body, "created_at", ARTIFACT);
    assert_newest_first(&api.get("/audit").await.body, "timestamp", AUDIT);
}

fn assert_newest_first(list: &Value, time: &str, shape: crate::runtime::entity::Shape) {
    let items = list.as_array().unwrap();
    assert!(items.len() > 1);
    for item in items {
        assert_shape(item, shape);
    }
    let times = items.iter().map(|item| item[time].as_i64().unwrap());
    assert!(times.is_sorted_by(|newer, older| newer >= older), "{list}");
}

#[tokio::test]
async fn limits_out_of_bounds_are_refused_everywhere() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    for path in ["/llm-tasks", "/leases", "/artifacts", "/audit"] {
        for limit in [
            "0",
            "-1",
            "1001",
            "x",
            "",
            "1.5",
            "99999999999999999999",
            "1&limit=2",
        ] {
            let reply = api.get(&format!("{path}?limit={limit}")).await;
            assert_eq!(reply.status, 400, "{path} {limit} {reply:?}");
            assert!(reply.body["error"].is_string(), "{path} {limit}");
        }
        for limit in [1, 1000] {
            let reply = api.get(&format!("{path}?limit={limit}&unknown=1")).await;
            assert_eq!(reply.status, 200, "{path} {limit} {reply:?}");
        }
        let reply = api.get(&format!("{path}?cursor=nonsense")).await;
        assert_eq!(reply.status, 400, "{path} {reply:?}");
    }
}

#[tokio::test]
async fn a_list_holds_100_unless_told_otherwise_and_runs_50() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    let tasks: Vec<_> = (0..105).map(|number| task(&format!("c{number}"))).collect();
    let reply = api
        .post("/llm-tasks/batch", json!({ "tasks": tasks }))
        .await;
    assert_eq!(reply.status, 201, "{reply:?}");
    let made = reply.body["tasks"].as_array().unwrap();
    assert_eq!(made.len(), 105);
    let list = api.get("/llm-tasks").await;
    assert_eq!(list.items().len(), 100);
    assert!(list.header("x-next-cursor").is_some());
    let runs = api.get("/runs").await;
    assert_eq!(runs.items(), &list.items()[..50]);
    runs.items().iter().for_each(assert_task);
    assert_eq!(
        runs.items()[0]["id"],
        made[104]["id"],
        "the last one of the batch is the newest"
    );
}

#[tokio::test]
async fn artifacts_are_listed_by_task() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 2).await;
    let mut tasks = Vec::new();
    for context in ["a", "b"] {
        let id = api.submit(task(context)).await;
        api.lease(&id).await;
        api.complete(&id, json!({ "status": "success", "output": context }))
            .await;
        tasks.push(id);
    }
    let own = api.get(&format!("/artifacts?task_id={}", tasks[0])).await;
    assert_eq!(own.items().len(), 1);
    assert_eq!(own.items()[0]["content"], "a");
    let nobody = uuid::Uuid::new_v4();
    for task in ["nonsense", &nobody.to_string(), ""] {
        assert_eq!(
            api.get(&format!("/artifacts?task_id={task}")).await.items(),
            [] as [Value; 0]
        );
    }
}

#[tokio::test]
async fn statistics_have_the_form_of_the_contract_and_catch_up() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    let empty = api.get("/stats").await;
    assert_eq!(names(&empty.body)[..3], ["tasks", "leases", "workers"]);
    assert_eq!(empty.body["tasks"], json!({ "total": 0, "by_status": {} }));
    api.register("on", 4).await;
    api.post("/workers", json!({ "name": "off", "status": "offline" }))
        .await;
    for number in 0..4 {
        let id = api.submit(task(&format!("c{number}"))).await;
        if number > 0 {
            api.lease(&id).await;
        }
        if number > 1 {
            api.complete(&id, json!({ "status": "success" })).await;
        }
    }
    let expected = json!({
        "tasks": { "total": 4, "by_status": { "queued": 1, "leased": 1, "completed": 2 } },
        "leases": { "total": 3, "active": 1 },
        "workers": { "total": 2, "online": 1 },
    });
    eventually("statistics are folded", || async {
        let stats = api.get("/stats").await.body;
        let is_there = ["tasks", "leases", "workers"]
            .iter()
            .all(|name| stats[name] == expected[name]);
        is_there.then_some(())
    })
    .await;
    let stats = api.get("/stats").await.body;
    assert_eq!(names(&stats["tasks"]), ["total", "by_status"]);
    assert_eq!(names(&stats["leases"]), ["total", "active"]);
    assert_eq!(names(&stats["workers"]), ["total", "online"]);
}

#[tokio::test]
async fn a_filtered_list_leads_past_any_number_of_other_tasks() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    let mut rare = task("c");
    rare["queue"] = json!("rare");
    let rare = api.submit(rare).await;
    for _ in 0..3 {
        let others: Vec<_> = (0..8_000).map(|_| task("c")).collect();
        let reply = api
            .post("/llm-tasks/batch", json!({ "tasks": others }))
            .await;
        assert_eq!(reply.status, 201, "{}", reply.text.len());
    }
    let (mut cursor, mut pages) = (String::new(), 0);
    loop {
        let reply = api.get(&format!("/llm-tasks?queue=rare{cursor}")).await;
        pages += 1;
        if let [found] = reply.items() {
            assert_eq!(found["id"], json!(rare));
            assert_eq!(reply.header("x-next-cursor"), None);
            break;
        }
        let next = reply
            .header("x-next-cursor")
            .expect("the end is not reached");
        cursor = format!("&cursor={next}");
    }
    assert_eq!(pages, 2);
}

#[tokio::test]
async fn a_page_of_large_prompts_ends_early_and_its_cursor_leads_on() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    let mut expected = Vec::new();
    for _ in 0..5 {
        let mut large = task("large");
        large["prompt"] = json!("p".repeat(4 << 20));
        expected.push(api.submit(large).await);
    }
    expected.reverse();
    for path in [
        "/llm-tasks",
        "/llm-tasks?status=queued",
        "/llm-tasks?context_id=large",
    ] {
        let separator = if path.contains('?') { '&' } else { '?' };
        let page = api.get(&format!("{path}{separator}limit=1000")).await;
        assert_eq!(page.items().len(), 4, "16 MiB of prompts fit into a page");
        assert_eq!(walk(api, path, 1000).await, expected, "{path}");
    }
    assert_eq!(api.get("/runs").await.items().len(), 4);
}

#[tokio::test]
async fn a_list_shows_the_beginning_of_a_long_error_and_the_result_all_of_it() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 1).await;
    let id = api.submit(task("c")).await;
    api.lease(&id).await;
    let long = "e".repeat(1 << 20);
    let body = json!({ "status": "error", "error_message": long });
    assert_eq!(api.complete(&id, body).await.status, 200);
    let shown = |value: &Value| value.as_str().unwrap().len();
    let leases = api.get("/leases?status=failed").await;
    assert_eq!(shown(&leases.items()[0]["error_message"]), 1000);
    let attempts = api.get(&format!("/llm-tasks/{id}/attempts")).await;
    assert_eq!(shown(&attempts.items()[0]["error_message"]), 16_384);
    let result = api.get(&format!("/llm-tasks/{id}/result")).await;
    assert_eq!(shown(&result.body["error_message"]), 1 << 20);
}
