//! The real bundle: installed twice, by many at once, and again under a load of verbs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bloom_runtime::db::install::{self, Bundle, Functions, Options};
use serde_json::json;

use crate::history::assert_clean;
use crate::pg::TestDb;
use crate::runtime::DEADLINE;
use crate::runtime::process::{Process, Scratch, bloom};
use crate::verbs;

/// How often all functions are loaded again while the verbs run.
const RELOADS: usize = 6;
/// Connections that run verbs meanwhile.
const CONNECTIONS: usize = 8;

#[tokio::test]
async fn six_installers_at_once_install_the_real_bundle_once() {
    let db = TestDb::empty().await;
    let mut running = Vec::new();
    for _ in 0..6 {
        let mut client = db.connect().await;
        running.push(tokio::spawn(async move {
            let bundle = Bundle::embedded().unwrap();
            install::install(&mut client, &bundle, Options::default()).await
        }));
    }
    let mut fresh = 0;
    for installer in running {
        let report = installer.await.unwrap().expect("every installer succeeds");
        fresh += usize::from(report.from.is_none());
    }
    assert_eq!(fresh, 1);
    let mut client = db.connect().await;
    let bundle = Bundle::embedded().unwrap();
    let again = install::install(&mut client, &bundle, Options::default())
        .await
        .unwrap();
    assert_eq!(again.functions, Functions::Unchanged);
    verbs::register(&client, "w", 1).await.unwrap();
    verbs::submit(&client, "c", json!({})).await.unwrap();
    let grant = verbs::lease_next(&client, "w", 1).await.unwrap().remove(0);
    verbs::succeed(&client, &grant).await.unwrap();
    assert_clean(&client).await;
}

#[tokio::test]
async fn the_functions_are_replaced_while_the_verbs_run() {
    let db = TestDb::new().await;
    let stop = Arc::new(AtomicBool::new(false));
    let calls = Arc::new(AtomicUsize::new(0));
    let mut running = Vec::new();
    for number in 0..CONNECTIONS {
        let client = db.connect().await;
        let (stop, calls) = (Arc::clone(&stop), Arc::clone(&calls));
        running.push(tokio::spawn(async move {
            let worker = format!("w{number}");
            let mut errors = Vec::new();
            let mut note = |result: verbs::Result<()>| {
                calls.fetch_add(1, Ordering::Relaxed);
                errors.extend(
                    result
                        .err()
                        .map(|error| (verbs::state(&error).to_owned(), error.to_string())),
                );
            };
            note(verbs::register(&client, &worker, 4).await);
            while !stop.load(Ordering::Relaxed) {
                note(verbs::submit(&client, &worker, json!({})).await.map(drop));
                let grants = verbs::lease_next(&client, &worker, 2).await;
                for grant in grants.as_ref().into_iter().flatten() {
                    note(verbs::heartbeat(&client, grant).await);
                    note(verbs::succeed(&client, grant).await.map(drop));
                }
                note(grants.map(drop));
            }
            errors
        }));
    }
    let mut installer = db.connect().await;
    let bundle = Bundle::embedded().unwrap();
    for _ in 0..RELOADS {
        let report = install::install(&mut installer, &bundle, Options { force: true }).await;
        let report = report.expect("the bundle loads");
        assert!(matches!(report.functions, Functions::Loaded(n) if n > 100));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut errors = Vec::new();
    for connection in running {
        errors.extend(connection.await.unwrap());
    }
    let calls = calls.load(Ordering::Relaxed);
    println!("{RELOADS} reloads, {calls} calls, {} errors", errors.len());
    let passing =
        |(state, _): &&(String, String)| matches!(state.as_str(), "40P01" | "40001" | "55P03");
    assert!(errors.iter().all(|error| passing(&error)), "{errors:?}");
    assert!(errors.len() * 100 <= calls, "{} of {calls}", errors.len());
    assert!(calls > 100, "the load was none: {calls} calls");
    assert_clean(&installer).await;
}

/// What `bloom serve --no-migrate` says when it refuses to serve this database.
async fn refusal(url: &str) -> String {
    let mut child = bloom()
        .args(["serve", "--no-migrate", "--listen", "127.0.0.1:0"])
        .args(["--database-url", url])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + DEADLINE;
    while child.try_wait().unwrap().is_none() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let ended = child.try_wait().unwrap();
    child.kill().ok();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(ended.is_some_and(|status| !status.success()), "{text}");
    text
}

#[tokio::test]
async fn a_service_that_may_not_migrate_serves_its_own_schema_and_no_other() {
    let empty = TestDb::empty().await;
    let text = refusal(&empty.url()).await;
    assert!(
        text.contains("nothing is installed") && text.contains("bloom migrate"),
        "{text}"
    );
    let db = TestDb::new().await;
    let scratch = Scratch::new();
    let arguments = ["--no-migrate", "--database-url", &db.url()];
    let service = Process::serve(&scratch, &arguments);
    assert_eq!(service.api.get("/stats").await.status, 200);
    drop(service);
    let client = db.connect().await;
    let sql = "update bloom_private.schema_version set version = version + 1";
    client.batch_execute(sql).await.unwrap();
    let text = refusal(&db.url()).await;
    assert!(text.contains("is newer than this program's"), "{text}");
}
