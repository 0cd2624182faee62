//! What `bloom doctor` says of object storage, and that keys stay secret.

use std::process::Output;

use serde_json::Value;

use super::{completed, large};
use crate::object_kit::{ACCESS_KEY, BUCKET, S3, SECRET_KEY};
use crate::pg::TestDb;
use crate::runtime::process::{Process, Scratch, bloom};
use crate::runtime::{KEY, eventually};

fn examine(db: &TestDb, s3: &S3, bucket: &str, secret: &str) -> (Output, Value) {
    let answer = bloom()
        .args(["doctor", "--json"])
        .env("DATABASE_URL", db.url())
        .env("MINIO_ENDPOINT", s3.endpoint())
        .env("MINIO_BUCKET", bucket)
        .env("MINIO_ACCESS_KEY", ACCESS_KEY)
        .env("MINIO_SECRET_KEY", secret)
        .env("BLOOM_LOG", "trace")
        .output()
        .unwrap();
    let findings: Value = serde_json::from_slice(&answer.stdout).unwrap();
    let mut found = findings.as_array().unwrap().iter();
    let finding = found.find(|finding| finding["name"] == "object_storage");
    let finding = finding.expect("it is looked at").clone();
    (answer, finding)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_says_what_is_wrong_with_object_storage() {
    let db = TestDb::new().await;
    let mut s3 = S3::start().await;
    let (_, well) = examine(&db, &s3, BUCKET, SECRET_KEY);
    assert_eq!(well["level"], "ok", "{well}");
    assert!(s3.keys().is_empty(), "it leaves nothing behind");
    let (answer, denied) = examine(&db, &s3, BUCKET, "wrong-secret-canary");
    assert_eq!(denied["level"], "fail", "{denied}");
    assert!(
        denied["text"]
            .as_str()
            .unwrap()
            .contains("SignatureDoesNotMatch"),
        "{denied}"
    );
    assert!(
        denied["advice"].as_str().unwrap().contains("secret key"),
        "{denied}"
    );
    assert_eq!(answer.status.code(), Some(1));
    let (_, missing) = examine(&db, &s3, "nowhere", SECRET_KEY);
    assert!(
        missing["advice"]
            .as_str()
            .unwrap()
            .contains("create the bucket"),
        "{missing}"
    );
    s3.stop();
    let (_, away) = examine(&db, &s3, BUCKET, SECRET_KEY);
    assert!(
        away["advice"].as_str().unwrap().contains("address"),
        "{away}"
    );
    for said in [answer.stdout, answer.stderr] {
        let said = String::from_utf8(said).unwrap();
        assert!(!said.contains("wrong-secret-canary"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_of_the_store_is_in_no_log_and_no_answer_and_not_in_the_database() {
    let db = TestDb::new().await;
    let mut s3 = S3::start().await;
    let scratch = Scratch::new();
    let mut command = bloom();
    command
        .env("DATABASE_URL", db.url())
        .env("S3_ENDPOINT", s3.endpoint())
        .env("S3_BUCKET", BUCKET)
        .env("S3_ACCESS_KEY", ACCESS_KEY)
        .env("S3_SECRET_KEY", SECRET_KEY)
        .env("BLOOM_OBJECT_THRESHOLD", "1000")
        .env("BLOOM_LOG", "trace");
    let process = Process::start_by(command, &scratch, &[], Some(KEY));
    let api = &process.api;
    api.register("w", 10).await;
    let done = completed(api, &large()).await;
    let artifact = &done.body["artifact"];
    let url = artifact["url"].as_str().unwrap();
    assert!(url.starts_with(&format!("s3://{BUCKET}/")), "{url}");
    let id = artifact["id"].as_str().unwrap();
    let mut answers = done.text.clone();
    let mut signature = String::new();
    for path in [
        format!("/artifacts/{id}"),
        format!("/artifacts/{id}/content"),
        format!("/artifacts/{id}/link"),
        "/health".to_owned(),
    ] {
        let reply = api.get(&path).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        if let Some((_, rest)) = reply.text.split_once("X-Amz-Signature=") {
            signature = rest.chars().take(64).collect();
        }
        answers.push_str(&reply.text);
    }
    assert_eq!(signature.len(), 64);
    s3.stop();
    let kept = completed(api, &large()).await;
    answers.push_str(&kept.text);
    let dump = tokio::process::Command::new("pg_dump")
        .args(["--data-only", "--inserts", "--dbname", &db.url()])
        .output()
        .await
        .unwrap();
    let dump = String::from_utf8_lossy(&dump.stdout).into_owned();
    assert!(dump.contains(url), "the dump holds the address");
    let log = eventually("the log tells of the store", async || {
        let log = process.log();
        log.contains("does not take an output").then_some(log)
    })
    .await;
    for (place, text) in [("log", &log), ("answers", &answers), ("database", &dump)] {
        let found = text.lines().find(|line| line.contains(SECRET_KEY));
        assert!(found.is_none(), "the key is in the {place}: {found:?}");
    }
    // Whoever has a signed address may read: it is for whoever asked, not for the log.
    let found = log.lines().find(|line| line.contains(&signature));
    assert!(found.is_none(), "a signed address is in the log: {found:?}");
}
