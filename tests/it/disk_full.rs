//! A disk that fills up in the middle of a verb: the caller hears that it may come again, nothing is
//! half stored, and the same request succeeds once there is space.

use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::history::assert_clean;
use crate::pg::TestDb;
use crate::runtime::{Reply, Runtime, options, task};
use crate::sql_kit::{column, one, run};

/// What holds the state of tasks and workers.
const TABLES: [&str; 11] = [
    "task",
    "ready",
    "deferred",
    "parked",
    "lease",
    "finished",
    "attempt",
    "event",
    "artifact",
    "worker",
    "worker_slot",
];

/// A disk that is full when a row says so, and then says what `PostgreSQL` says. The event is the last
/// thing that a transition writes, so that all else is written already.
const DISK: &str = r#"
create table public.disk (is_full boolean not null);
insert into public.disk values (false);
grant select on public.disk to public;
create function public.disk_full() returns trigger language plpgsql as $$
begin
    if (select is_full from public.disk) then
        raise exception 'could not extend file "base/5/16384": No space left on device'
            using errcode = '53100', hint = 'Check free disk space.';
    end if;
    return null;
end $$;
create trigger disk_full after insert on bloom_private.event
    for each row execute function public.disk_full()"#;
const FILL: &str = "update public.disk set is_full = true";
const FREE: &str = "update public.disk set is_full = false";

struct Disk {
    runtime: Runtime,
    client: Client,
}

impl Disk {
    async fn start() -> Self {
        let db = TestDb::new().await;
        let client = db.connect().await;
        run(&client, DISK).await;
        let mut runtime = Runtime::with_options(options(db.endpoint())).await;
        runtime.db = Some(db);
        Self { runtime, client }
    }

    /// A digest of every table.
    async fn stored(&self) -> Vec<String> {
        let mut found = Vec::new();
        for table in TABLES {
            let sql = format!(
                "select '{table} ' || count(*) || ' ' ||
                        coalesce(md5(string_agg(t::text, ',' order by t::text)), '')
                   from bloom_private.{table} t"
            );
            found.extend(column(&self.client, &sql).await);
        }
        found
    }

    /// Sends a request while the disk is full, several times, and once when it is not.
    async fn refused_then_done(&self, path: &str, body: Value) -> Reply {
        let api = &self.runtime.api;
        let before = self.stored().await;
        run(&self.client, FILL).await;
        for _ in 0..3 {
            let reply = api.post(path, body.clone()).await;
            assert_unavailable(path, &reply);
        }
        assert_eq!(self.stored().await, before, "{path}: half of it is stored");
        // Reading goes on.
        assert_eq!(api.get("/llm-tasks").await.status, 200);
        run(&self.client, FREE).await;
        let reply = api.post(path, body).await;
        assert!((200..300).contains(&reply.status), "{path} {reply:?}");
        assert_ne!(self.stored().await, before, "{path}: something is stored");
        reply
    }

    async fn count(&self, what: &str) -> String {
        one(
            &self.client,
            &format!("select count(*) from bloom_private.{what}"),
        )
        .await
    }
}

/// 503, when to come again, and nothing of the database's own words.
fn assert_unavailable(path: &str, reply: &Reply) {
    assert_eq!(reply.status, 503, "{path} {reply:?}");
    let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!((1..60).contains(&wait), "{path} {reply:?}");
    assert_eq!(reply.body["code"], "unavailable", "{path} {reply:?}");
    assert!(reply.body["request_id"].is_string(), "{path} {reply:?}");
    for word in ["No space", "53100", "base/", "disk"] {
        assert!(!reply.text.contains(word), "{path} {reply:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_503_stores_no_half_and_the_request_may_be_repeated() {
    let disk = Disk::start().await;
    let worker = json!({ "name": "w", "capabilities": { "max_concurrency": 4 } });
    disk.refused_then_done("/workers", worker).await;
    let id = disk.refused_then_done("/llm-tasks", task("c")).await.id();
    assert_eq!(disk.count("task").await, "1", "stored once");
    let path = |what: &str| format!("/llm-tasks/{id}/{what}");
    let leased = disk.refused_then_done(&path("lease"), json!({})).await;
    let lease = leased.body["lease"]["id"].clone();
    assert_eq!(disk.count("lease").await, "1", "leased once");
    let beat = json!({ "lease_id": lease });
    disk.refused_then_done(&path("heartbeat"), beat).await;
    assert_eq!(disk.runtime.api.task(&id).await["status"], "running");
    let report = json!({ "lease_id": lease, "status": "success", "output": "out" });
    disk.refused_then_done(&path("complete"), report).await;
    assert_eq!(disk.runtime.api.task(&id).await["status"], "completed");
    assert_eq!(disk.count("artifact").await, "1", "one output");
    let second = disk.refused_then_done("/llm-tasks", task("d")).await.id();
    let cancel = format!("/llm-tasks/{second}/cancel");
    disk.refused_then_done(&cancel, json!({})).await;
    assert_eq!(disk.runtime.api.task(&second).await["status"], "cancelled");
    assert_clean(&disk.client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn submissions_that_travel_together_all_hear_of_the_full_disk_and_none_is_stored() {
    let disk = Disk::start().await;
    let api = &disk.runtime.api;
    run(&disk.client, FILL).await;
    let all = (0..40).map(|number| api.post("/llm-tasks", task(&format!("c{number}"))));
    for reply in futures_util::future::join_all(all).await {
        assert_unavailable("/llm-tasks", &reply);
    }
    assert_eq!(disk.count("task").await, "0");
    run(&disk.client, FREE).await;
    let all = (0..40).map(|number| api.submit(task(&format!("c{number}"))));
    futures_util::future::join_all(all).await;
    assert_eq!(disk.count("task").await, "40");
    assert_clean(&disk.client).await;
}
