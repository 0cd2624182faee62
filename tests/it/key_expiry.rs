//! A key with an end stops at its end: not later than the cache of keys allows, and not before.

use std::time::Duration;

use bloom_runtime::http::auth::CACHE_TTL;
use serde_json::Value;
use tokio::time::Instant;

use crate::contract_keys::create_named_key;
use crate::runtime::process::run;
use crate::runtime::{Api, Runtime, eventually};
use crate::sql_kit;

/// What an answer may take on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(5);

/// Makes a key with an end with the real program; its id and its text.
fn create_key_for_a_day(url: &str) -> (String, String) {
    let output = run(&[
        "key",
        "create",
        "--name",
        "daily",
        "--scope",
        "reader",
        "--days",
        "1",
        "--json",
        "--database-url",
        url,
    ]);
    assert!(output.status.success(), "{output:?}");
    let made: Value = serde_json::from_slice(&output.stdout).unwrap();
    let member = |name: &str| made[name].as_str().unwrap().to_owned();
    (member("id"), member("key"))
}

async fn status(api: &Api) -> u16 {
    api.get("/stats").await.status
}

/// Sets a key's end to so many milliseconds from now.
async fn end_in(client: &tokio_postgres::Client, id: &str, ms: i32) {
    let sql = format!(
        "update bloom_private.api_key set expires_at = clock_timestamp() + interval '{ms} ms'
          where key_id = '{id}'"
    );
    sql_kit::run(client, &sql).await;
}

#[tokio::test]
async fn a_key_works_until_its_end_and_not_after_it() {
    let runtime = Runtime::start().await;
    let client = runtime.db().connect().await;
    let url = runtime.db().url();
    let (id, key) = create_key_for_a_day(&url);
    let (_, endless) = create_named_key(&url, "endless", "reader");
    let (api, other) = (
        runtime.api.with_key(Some(&key)),
        runtime.api.with_key(Some(&endless)),
    );
    let ends = format!(
        "select expires_at between now() + interval '23 hours' and now() + interval '25 hours'
           from bloom_private.api_key where key_id = '{id}'"
    );
    assert_eq!(sql_kit::one(&client, &ends).await, "t", "--days is its end");
    assert_eq!(status(&api).await, 200);

    end_in(&client, &id, 1500).await;
    eventually("it is refused", async || {
        // All the time in use, so that it is remembered as well as it can be.
        (status(&api).await == 401).then_some(())
    })
    .await;
    let is_over = format!(
        "select expires_at <= clock_timestamp() from bloom_private.api_key where key_id = '{id}'"
    );
    assert_eq!(sql_kit::one(&client, &is_over).await, "t", "not too early");
    assert_eq!(status(&api).await, 401, "and so it stays");
    assert_eq!(
        status(&other).await,
        200,
        "others have nothing to do with it"
    );
}

#[tokio::test]
async fn a_key_that_ends_while_it_is_remembered_is_refused_within_the_cache_time() {
    let runtime = Runtime::start().await;
    let client = runtime.db().connect().await;
    let (id, key) = create_key_for_a_day(&runtime.db().url());
    let api = runtime.api.with_key(Some(&key));
    assert_eq!(status(&api).await, 200);
    end_in(&client, &id, -1).await;
    let since = Instant::now();
    eventually("it is refused", async || {
        (status(&api).await == 401).then_some(())
    })
    .await;
    let elapsed = since.elapsed();
    assert!(elapsed < CACHE_TTL + PATIENCE, "{elapsed:?}");
}

#[tokio::test]
async fn a_key_whose_end_is_past_opens_nothing_from_the_first_request_on() {
    let runtime = Runtime::start().await;
    let client = runtime.db().connect().await;
    let (id, key) = create_key_for_a_day(&runtime.db().url());
    end_in(&client, &id, -1).await;
    let api = runtime.api.with_key(Some(&key));
    for path in ["/stats", "/llm-tasks", "/workers", "//metrics"] {
        let reply = api.get(path).await;
        assert_eq!(reply.status, 401, "{path} {reply:?}");
    }
    // It is the end that closes it and nothing else.
    end_in(&client, &id, 3_600_000).await;
    eventually("it is taken again", async || {
        (status(&api).await == 200).then_some(())
    })
    .await;
}
