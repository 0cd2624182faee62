//! What people do: submit and watch, cancel, find, pause, drain, promote.

use serde_json::{Value, json};

use super::browser::Browser;
use super::{Worker, done, leased, service};
use crate::fake_membridge::{ADMIN_KEY, Answer, FakeMembridge};
use crate::runtime::process::Scratch;
use crate::runtime::{Runtime, eventually, task};

async fn submit_by_hand(browser: &Browser, prompt: &str) {
    browser.go("tasks/new").await;
    browser.settled("New task").await;
    browser.type_into("[name=prompt]", prompt).await;
    browser.type_into("[name=context_id]", "shop/7").await;
    browser.type_into("[name=agent_slug]", "shouter").await;
    browser.click("form [type=submit]").await;
    browser.settled(prompt).await;
}

#[tokio::test]
async fn a_task_is_submitted_watched_while_it_runs_and_its_result_read() {
    let runtime = service().await;
    let browser = Browser::signed_in(&runtime.api.base).await;
    // A form with nothing in it is refused, and says so at each field.
    browser.go("tasks/new").await;
    browser.click("form [type=submit]").await;
    browser.sees(".field-error", "at least 1 character").await;
    submit_by_hand(&browser, "hello from the browser").await;
    browser
        .sees("[data-why=no_worker]", "No worker is online")
        .await;
    let scratch = Scratch::new();
    let gate = scratch.path().join("gate");
    let program = format!(
        "echo counting boxes; while [ ! -e {} ]; do sleep 0.1; done; tr a-z A-Z",
        gate.display()
    );
    let _worker = Worker::start(&runtime.api.base, "shouting-1", &program);
    browser.sees("[data-why=running]", "Running").await;
    browser.sees("h1 .badge", "Running").await;
    browser.sees("[data-countdown]", "in ").await;
    browser.sees(".log", "counting boxes").await;
    std::fs::write(&gate, "").unwrap();
    browser.sees("h1 .badge", "Completed").await;
    browser
        .sees("[data-result=output]", "HELLO FROM THE BROWSER")
        .await;
    browser.sees(".timeline", "Completed").await;
    // No reload was needed: it came as it happened.
    browser.sees("[data-connection=live]", "Live").await;
    browser.go("tasks").await;
    browser.sees("tbody tr", "hello from the browser").await;
    browser.go("artifacts").await;
    browser.sees("tbody tr", "HELLO FROM THE BROWSER").await;
}

#[tokio::test]
async fn a_running_task_is_cancelled_and_its_program_stopped() {
    let runtime = service().await;
    let _worker = Worker::start(&runtime.api.base, "slow-1", "echo begun; exec sleep 1000");
    let id = runtime.api.submit(task("c")).await;
    let browser = Browser::signed_in(&runtime.api.base).await;
    browser.go(&format!("tasks/{id}")).await;
    browser.sees(".log", "begun").await;
    browser.click("[data-act=cancel]").await;
    browser.sees("dialog", "It is told to stop").await;
    browser
        .type_into("dialog input", "not needed any more")
        .await;
    browser.confirm().await;
    browser.sees("h1 .badge", "Cancelled").await;
    browser.sees(".why", "none of its processes is left").await;
    browser.sees(".timeline", "not needed any more").await;
    let stored = runtime.api.task(&id).await;
    assert_eq!(stored["status"], "cancelled");
    browser.click("[data-act=requeue]").await;
    browser.sees("h1 .badge", "Running").await;
}

/// A task that waits while a queue is paused, seen from its page and from the queue's.
#[tokio::test]
async fn a_paused_queue_hands_out_nothing_and_its_tasks_say_so() {
    let runtime = service().await;
    runtime.api.submit(task("c")).await;
    let browser = Browser::signed_in(&runtime.api.base).await;
    browser.go("queues").await;
    browser.sees("[data-queue=default] .depth", "1").await;
    browser.click("[data-queue=default] [data-act=pause]").await;
    browser.sees("[data-queue=default] .badge", "Paused").await;
    let _worker = Worker::start(&runtime.api.base, "eager-1", "cat");
    let id = runtime.api.submit(task("d")).await;
    browser.go(&format!("tasks/{id}")).await;
    browser
        .sees("[data-why=queue_paused]", "The queue is paused")
        .await;
    browser.click("[data-act=priority]").await;
    browser.type_into("dialog input", "0").await;
    browser.confirm().await;
    browser.sees(".toast", "The priority is changed").await;
    assert_eq!(runtime.api.task(&id).await["priority"], 0);
    browser.go("queues").await;
    browser
        .click("[data-queue=default] [data-act=resume]")
        .await;
    browser.sees("[data-queue=default] .badge", "Open").await;
    runtime.api.until_status(&id, "completed").await;
}

#[tokio::test]
async fn a_waiting_task_names_the_worker_that_it_would_go_to() {
    let runtime = service().await;
    runtime.api.register("busy-1", 1).await;
    runtime.api.register("roomy-2", 5).await;
    let taken = runtime.api.submit(task("other")).await;
    leased(&runtime.api, "busy-1", &taken).await;
    let id = runtime.api.submit(task("c")).await;
    let browser = Browser::signed_in(&runtime.api.base).await;
    browser.go(&format!("tasks/{id}")).await;
    browser.sees("[data-why=next]", "Next in line").await;
    browser.sees(".goes-to", "roomy-2").await;
}

#[tokio::test]
async fn tasks_are_found_by_what_they_are_and_many_are_cancelled_at_once() {
    let runtime = service().await;
    let api = &runtime.api;
    for number in 0..60 {
        let mut body = task(&format!("bulk/{number}"));
        body["prompt"] = json!(format!("needle {number}."));
        body["queue"] = json!("bulk");
        body["agent_slug"] = json!("sorter");
        body["requires"] = json!(["gpu"]);
        api.submit(body).await;
    }
    api.register("w", 1).await;
    done(api, "w", task("lone"), "found").await;
    let browser = Browser::signed_in(&api.base).await;
    browser
        .go("tasks?queue=bulk&agent=sorter&label=gpu&status=queued")
        .await;
    browser.sees(".table-foot", "50 tasks").await;
    browser.click(".pager button:last-child").await;
    browser.sees(".table-foot", "10 tasks").await;
    browser.sees("tbody", "needle 0.").await;
    browser.click(".pager button:first-child").await;
    browser.sees(".table-foot", "50 tasks").await;
    browser.type_into("[data-search]", "needle 17.").await;
    browser.sees(".table-foot", "1 task").await;
    browser.sees("tbody", "needle 17.").await;
    browser.go("tasks?worker=w").await;
    browser.sees(".table-foot", "1 task").await;
    browser.sees("tbody", "lone").await;
    browser.go("tasks?context_id=bulk/5").await;
    browser.sees("tbody", "needle 5.").await;
    browser.go("tasks?queue=bulk").await;
    browser.sees(".table-foot", "50 tasks").await;
    browser.click("thead input").await;
    browser.sees(".bulk", "50 chosen").await;
    browser.click("[data-bulk=cancel]").await;
    browser.confirm().await;
    browser.sees(".toast", "Done for 50 tasks").await;
    let left = api.get("/llm-tasks?status=queued&limit=1000").await;
    assert_eq!(left.items().len(), 10);
    browser.go("tasks?status=cancelled").await;
    browser.sees(".table-foot", "50 tasks").await;
    browser.click("tbody tr:first-child input").await;
    browser.click("[data-bulk=requeue]").await;
    browser.sees(".toast", "Done for 1 task").await;
}

#[tokio::test]
async fn a_worker_is_drained_resumed_and_removed() {
    let runtime = service().await;
    let api = &runtime.api;
    api.register("w-1", 2).await;
    let id = api.submit(task("c")).await;
    leased(api, "w-1", &id).await;
    let browser = Browser::signed_in(&api.base).await;
    browser.go("workers").await;
    let card = "[data-worker=w-1]";
    browser.sees(card, "1 of 2").await;
    browser.sees(card, &id[28..]).await;
    browser.click(&format!("{card} [data-act=drain]")).await;
    browser.sees(card, "Draining").await;
    assert_eq!(api.get("/workers/w-1").await.body["draining"], true);
    browser.click(&format!("{card} [data-act=resume]")).await;
    browser.lacks(&format!("{card} .s-draining")).await;
    browser.click(&format!("{card} [data-act=remove]")).await;
    browser
        .sees("dialog", "1 task goes back into the queue")
        .await;
    browser.confirm().await;
    browser.lacks(card).await;
    assert_eq!(api.task(&id).await["status"], "queued");
}

/// Which node leads, as the control plane tells it from now on.
fn leader(fake: &FakeMembridge, name: &str) {
    let node = |id: &str| {
        let role = if id == name { "primary" } else { "secondary" };
        json!({"node_id": id, "canonical_id": "p1", "role": role, "obs_count": 7, "db_sha": null,
            "last_seen": 1_795_440_717.29, "ip_addrs": ["10.0.0.7"],
            "registered_at": 1_795_440_414.2, "project_id": null})
    };
    let nodes = json!([node("node-1"), node("node-2")]);
    let leadership = json!({"canonical_id": "p1", "preferred_primary": name, "node_count": 2,
        "nodes": nodes});
    fake.answer("/projects/p1/nodes", Answer::Json(200, nodes));
    fake.answer("/projects/p1/leadership", Answer::Json(200, leadership));
}

#[tokio::test]
async fn membridge_is_set_up_tested_and_a_primary_promoted() {
    let fake = FakeMembridge::start().await;
    leader(&fake, "node-1");
    let runtime = service().await;
    let browser = Browser::signed_in(&runtime.api.base).await;
    browser.go("membridge").await;
    browser.type_into("[name=url]", &fake.url).await;
    browser.type_into("[name=admin_key]", "a-wrong-key").await;
    browser.click("[data-act=save]").await;
    browser.sees(".toast", "Saved").await;
    browser.click("[data-act=test]").await;
    browser.sees("[data-test=bad]", "401").await;
    browser.type_into("[name=admin_key]", ADMIN_KEY).await;
    browser.click("[data-act=save]").await;
    let saved = "return document.querySelector('[name=admin_key]').value === ''";
    browser.until("the key is saved", saved, vec![]).await;
    browser.sees(".hint", "One is stored").await;
    browser.click("[data-act=test]").await;
    browser
        .sees("[data-test=good]", "Membridge 0.3.0 answers")
        .await;
    browser.reload().await;
    browser.sees("[data-leader]", "node-1").await;
    browser.click("[data-node=node-2] [data-act=promote]").await;
    browser
        .sees("dialog", "Make node-2 the primary of One?")
        .await;
    leader(&fake, "node-2");
    browser.confirm().await;
    browser.sees("[data-leader]", "node-2").await;
    let asked = fake.seen();
    let select = asked
        .iter()
        .find(|seen| seen.line.starts_with("POST /projects/p1/"));
    let body: Value = serde_json::from_str(&select.expect("it was asked").body).unwrap();
    assert_eq!(body["primary_node_id"], "node-2");
    browser.go("audit?action=leadership_promote").await;
    browser.sees("tbody", "Primary promoted").await;
    // The key went in and never comes out again.
    let shown = browser
        .js("return document.documentElement.outerHTML", vec![])
        .await;
    assert!(!shown.as_str().unwrap().contains(ADMIN_KEY));
}

#[tokio::test]
async fn the_audit_trail_is_filtered_and_verified() {
    let runtime = service().await;
    let api = &runtime.api;
    api.register("w", 1).await;
    let id = done(api, "w", task("c"), "yes").await;
    let browser = Browser::signed_in(&api.base).await;
    browser.go("audit").await;
    browser.sees("tbody", "Worker registered").await;
    browser.type_into("[name=action]", "task_completed").await;
    browser.sees("tbody", "running -> completed").await;
    let lone = "return document.querySelectorAll('tbody tr').length === 1";
    browser.until("one row", lone, vec![]).await;
    browser.go(&format!("audit?entity_id={id}")).await;
    browser.sees("tbody", "Submitted").await;
    browser.click("[data-act=verify]").await;
    browser
        .sees("[data-verdict=whole]", "Whole: 1 task checked")
        .await;
}

#[tokio::test]
async fn an_artifact_is_downloaded_as_a_file() {
    let runtime: Runtime = service().await;
    runtime.api.register("w", 1).await;
    let id = done(&runtime.api, "w", task("c"), "what it says").await;
    let folder = Scratch::new();
    let browser = Browser::signed_in(&runtime.api.base).await;
    let there = json!({ "behavior": "allow", "downloadPath": folder.path() });
    browser.devtools("Browser.setDownloadBehavior", there).await;
    browser.go(&format!("tasks/{id}")).await;
    browser.click(".side-column .feed .button").await;
    let saved = eventually("the file is there", async || {
        let mut files = std::fs::read_dir(folder.path()).unwrap();
        let path = files.next()?.unwrap().path();
        let is_whole = path.extension().is_some_and(|ending| ending == "txt");
        is_whole.then(|| std::fs::read_to_string(&path).unwrap())
    });
    assert_eq!(saved.await, "what it says");
}
