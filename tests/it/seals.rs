//! Seals over the event log: what is changed, removed or added later is found and named.

use std::path::PathBuf;

use bloom_runtime::db::{self, Db};
use bloom_runtime::seals::{Options, Sealer, Signers};
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::cli::ask;
use crate::runtime::{Runtime, eventually, task};
use crate::sql_kit::{column, one, run};

/// Lets a superuser do what nobody else may.
const DISARM: &str = "alter table bloom_private.event disable trigger user;
    alter table bloom_private.seal disable trigger user";

/// A service whose one task has been worked on, with everything sealed, and a superuser.
async fn sealed() -> (Runtime, Client, String) {
    sealed_with(None).await
}

async fn sealed_with(file: Option<PathBuf>) -> (Runtime, Client, String) {
    let runtime = Runtime::start_with(|options| options.seals.file = file).await;
    let client = runtime.db().connect().await;
    runtime.api.register("w", 1).await;
    let mut id = String::new();
    for _ in 0..3 {
        id = runtime.api.submit(task("c")).await;
        let lease = runtime.api.pull("w", 0).await.leases()[0]["lease"]["id"].clone();
        let body = json!({ "lease_id": lease, "status": "success", "output": "x" });
        assert_eq!(runtime.api.complete(&id, body).await.status, 200);
        until_sealed(&runtime, &client).await;
    }
    (runtime, client, id)
}

/// Waits until seals cover every event.
async fn until_sealed(runtime: &Runtime, client: &Client) {
    eventually("all is sealed", || async {
        let events = one(client, "select count(*) from bloom_private.event").await;
        let found = verify(runtime).await;
        assert_eq!(found["ok"], true, "{found}");
        (found["events"].as_u64() == events.parse().ok()).then_some(())
    })
    .await;
}

async fn verify(runtime: &Runtime) -> Value {
    let found = runtime.api.get("/audit/seals/verify").await;
    assert_eq!(found.status, 200, "{found:?}");
    found.body
}

/// The sealer's next run would seal whatever a test leaves behind; nothing more is to be sealed.
async fn bad(runtime: &Runtime) -> Value {
    let found = verify(runtime).await;
    assert_eq!(found["ok"], false, "{found}");
    found["bad"].clone()
}

#[tokio::test]
async fn a_changed_event_is_named() {
    let (runtime, client, id) = sealed().await;
    run(&client, DISARM).await;
    let change = format!(
        "update bloom_private.event set actor = 'nobody' where task_id = '{id}' and ver = 2"
    );
    run(&client, &change).await;
    let bad = bad(&runtime).await;
    assert_eq!(
        (&bad["task_id"], &bad["ver"], &bad["code"]),
        (&json!(id), &json!(2), &json!("event_changed"))
    );

    let said = ask(&runtime, &["audit", "verify"]).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.out.contains(&format!("task {id} ver 2: ")), "{said:?}");
}

#[tokio::test]
async fn every_column_of_an_event_is_under_its_seal() {
    let (runtime, client, id) = sealed().await;
    run(&client, DISARM).await;
    let columns = "select a.attname || ' ' || format_type(a.atttypid, null) from pg_attribute a
        where a.attrelid = 'bloom_private.event'::regclass and a.attnum > 0 and not a.attisdropped
        order by a.attnum";
    let row = format!("task_id = '{id}' and ver = 3");
    let columns = column(&client, columns).await;
    assert_eq!(
        columns.len(),
        18,
        "a new column needs a place in event_text: {columns:?}"
    );
    for column in columns {
        let (name, kind) = column.split_once(' ').unwrap();
        let other = match kind {
            "text" => "'other'",
            "jsonb" => "'{\"x\": 1}'",
            "uuid" => "'00000000-0000-7000-8000-000000000000'",
            "timestamp with time zone" => "at + interval '1 microsecond'",
            "xid8" => "(xid::text::bigint + 1)::text::xid8",
            _ => &format!("coalesce({name}, 0) + 1"),
        };
        // A row has a task or a subject, never both.
        let set = match name {
            "subject" => "subject = 'worker/w', task_id = null, ver = null".to_owned(),
            _ => format!("{name} = {other}"),
        };
        run(&client, "begin").await;
        run(
            &client,
            &format!("update bloom_private.event set {set} where {row}"),
        )
        .await;
        let texts = "select md5(string_agg(body, '' order by body)) from bloom_private.seal s,
            bloom.audit_sealed(s.seal_id)";
        let changed = one(&client, texts).await;
        run(&client, "rollback").await;
        assert_ne!(changed, one(&client, texts).await, "{name}");
    }
    let found = verify(&runtime).await;
    assert_eq!(found["ok"], true, "{found}");
}

#[tokio::test]
async fn a_removed_and_an_added_event_are_found() {
    let (runtime, client, id) = sealed().await;
    run(&client, DISARM).await;
    run(&client, "begin").await;
    let remove = format!("delete from bloom_private.event where task_id = '{id}' and ver = 1");
    run(&client, &format!("{remove}; commit")).await;
    let removed = bad(&runtime).await;
    assert_eq!(removed["code"], "event_removed", "{removed}");

    let (runtime, client, id) = sealed().await;
    run(&client, DISARM).await;
    let copy = format!(
        "insert into bloom_private.event select at, xid, seq, cause, task_id, ver + 100, queue, prior,
            status, epoch, fence, attempts, crashes, lease_id, worker_id, subject, actor, detail
           from bloom_private.event where task_id = '{id}' and ver = 2"
    );
    run(&client, &copy).await;
    let added = bad(&runtime).await;
    assert_eq!(
        (&added["code"], &added["task_id"]),
        (&json!("event_added"), &json!(id)),
        "{added}"
    );
}

#[tokio::test]
async fn what_retention_is_said_to_have_dropped_is_still_held_against_its_seal() {
    let (runtime, client, id) = sealed().await;
    run(&client, DISARM).await;
    let pretend = "update bloom_private.log_cursor c set xid = s.to_xid, seq = s.to_seq
        from bloom_private.seal s
        where c.name = 'event_dropped' and s.seal_id = (select max(seal_id) from bloom_private.seal)";
    run(&client, pretend).await;
    let rest = verify(&runtime).await;
    assert_eq!(rest["ok"], true, "{rest}");
    assert_eq!(rest["dropped"], rest["seals"], "{rest}");
    let change = format!(
        "update bloom_private.event set actor = 'nobody' where task_id = '{id}' and ver = 2"
    );
    run(&client, &change).await;
    let bad = bad(&runtime).await;
    assert_eq!(
        (&bad["task_id"], &bad["ver"], &bad["code"]),
        (&json!(id), &json!(2), &json!("event_changed"))
    );
}

#[tokio::test]
async fn an_event_where_none_can_be_is_found() {
    for place in ["'0', -1", "'18446744073709551615', 1"] {
        let (runtime, client, _) = sealed().await;
        run(&client, DISARM).await;
        let insert = format!(
            "insert into bloom_private.event (xid, seq, cause, subject, actor)
             values ({place}, 'forged', 'queue/q', 'key:alice')"
        );
        run(&client, &insert).await;
        let bad = bad(&runtime).await;
        assert_eq!(
            (&bad["code"], &bad["subject"]),
            (&json!("event_stray"), &json!("queue/q")),
            "{place}: {bad}"
        );
    }
}

#[tokio::test]
async fn what_is_gone_by_the_file_or_not_signed_is_not_sealed_anew() {
    let dir = std::env::temp_dir().join(format!("bloom-it-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir(&dir).unwrap();
    let runtime = Runtime::start_with(|options| options.seals.signers = None).await;
    let client = runtime.db().connect().await;
    let db = Db::new(&runtime.db().endpoint(), &db::Options::default());
    let sealer = |seed: u8, file: Option<PathBuf>| {
        let signers = Signers::of(&[[seed; 32]]);
        let interval = std::time::Duration::from_secs(1);
        Sealer::new(
            &db,
            Options {
                signers,
                file,
                interval,
            },
        )
        .unwrap()
    };
    let own = sealer(7, Some(dir.join("seals.jsonl")));
    runtime.api.submit(task("c")).await;
    eventually("the first seal", || async {
        own.run().await.unwrap();
        let seals = one(&client, "select count(*) from bloom_private.seal").await;
        (seals != "0").then_some(())
    })
    .await;
    let stranger = sealer(8, None).run().await.unwrap_err().chain();
    assert!(stranger.contains("not signed by any key"), "{stranger}");
    run(&client, DISARM).await;
    run(&client, "delete from bloom_private.seal").await;
    let gone = own.run().await.unwrap_err().chain();
    assert!(gone.contains("does not have seal"), "{gone}");
    let seals = "select count(*) from bloom_private.seal";
    assert_eq!(one(&client, seals).await, "0");
    std::fs::remove_dir_all(&dir).unwrap();
}

#[tokio::test]
async fn a_seal_cannot_be_made_anew_without_the_key() {
    let (runtime, client, _) = sealed().await;
    run(&client, DISARM).await;
    let changes = [
        (
            "update bloom_private.seal set at_ms = at_ms + 1 where seal_id = 2",
            "signature",
        ),
        (
            "update bloom_private.seal set leaves = leaves || leaves where seal_id = 2",
            "signature",
        ),
        (
            "update bloom_private.seal set leaves = overlay(leaves placing '\\x00' from 1)
           where seal_id = 2",
            "leaves",
        ),
        (
            "update bloom_private.seal set root = sha256(root) where seal_id = 2",
            "signature",
        ),
        (
            "update bloom_private.seal set prior = sha256(prior) where seal_id = 2",
            "seal_order",
        ),
        (
            "update bloom_private.seal set public_key = sha256(public_key) where seal_id = 2",
            "unknown_key",
        ),
        (
            "delete from bloom_private.seal where seal_id = 2",
            "seal_missing",
        ),
        (
            "delete from bloom_private.seal where seal_id = 1",
            "seal_missing",
        ),
    ];
    run(
        &client,
        "create table bloom_private.kept as select * from bloom_private.seal",
    )
    .await;
    for (change, code) in changes {
        run(&client, change).await;
        let found = verify(&runtime).await["bad"].clone();
        assert_eq!(found["code"], code, "{change}: {found}");
        run(
            &client,
            "delete from bloom_private.seal;
            insert into bloom_private.seal select * from bloom_private.kept",
        )
        .await;
    }
    assert_eq!(verify(&runtime).await["ok"], true);
}

#[tokio::test]
async fn seals_that_vanish_from_the_database_are_missed_by_the_file() {
    let dir = std::env::temp_dir().join(format!("bloom-it-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir(&dir).unwrap();
    let file = dir.join("seals.jsonl");
    let (runtime, client, _) = sealed_with(Some(file.clone())).await;
    let count = one(&client, "select count(*) from bloom_private.seal").await;
    let lines = || {
        std::fs::read_to_string(&file)
            .unwrap_or_default()
            .lines()
            .count()
    };
    eventually("the file has every seal", || async {
        (lines().to_string() == count).then_some(())
    })
    .await;
    let path = file.to_str().unwrap();
    let good = ask(&runtime, &["audit", "verify", "--seals", path]).await;
    assert_eq!(good.code, Some(0), "{good:?}");
    assert!(
        good.out
            .contains(&format!("{count} seals are as the file has them")),
        "{good:?}"
    );
    let stranger = "00".repeat(32);
    let other = ask(&runtime, &["audit", "verify", "--public-key", &stranger]).await;
    assert_eq!(other.code, Some(1), "{other:?}");
    let no_key = ask(&runtime, &["audit", "verify", "--public-key", "zz"]).await;
    assert_eq!(no_key.code, Some(2), "{no_key:?}");
    let lines: Vec<_> = std::fs::read_to_string(&file)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    let torn = dir.join("torn.jsonl");
    std::fs::write(&torn, format!("{}\n?\n{}\n", lines[0], lines[2])).unwrap();
    let lacks = ask(
        &runtime,
        &["audit", "verify", "--seals", torn.to_str().unwrap()],
    )
    .await;
    assert_eq!(lacks.code, Some(2), "{lacks:?}");
    assert!(lacks.err.contains("lacks seal 2"), "{lacks:?}");

    // The service stops sealing first, or it would go on where the thief left off.
    runtime.shutdown.request();
    let gone = Runtime::with_options(crate::runtime::options(runtime.db().endpoint())).await;
    run(&client, DISARM).await;
    run(
        &client,
        "delete from bloom_private.seal; delete from bloom_private.event",
    )
    .await;
    let missed = ask(&gone, &["audit", "verify", "--seals", path, "--json"]).await;
    assert_ne!(missed.code, Some(0), "{missed:?}");
    std::fs::remove_dir_all(&dir).unwrap();
}

#[tokio::test]
async fn what_is_not_committed_is_sealed_after_its_commit_and_by_one_process_alone() {
    let runtime = Runtime::start_with(|options| options.seals.signers = None).await;
    let client = runtime.db().connect().await;
    assert_eq!(
        verify(&runtime).await,
        json!({
            "ok": true, "seals": 0, "events": 0, "dropped": 0, "next_cursor": null, "bad": null,
        })
    );
    let db = Db::new(&runtime.db().endpoint(), &db::Options::default());
    let sealers: Vec<_> = (0..4u8)
        .map(|_| {
            let signers = Signers::of(&[[7; 32]]);
            let interval = std::time::Duration::from_secs(1);
            Sealer::new(
                &db,
                Options {
                    signers,
                    file: None,
                    interval,
                },
            )
            .unwrap()
        })
        .collect();
    // The lane is there already: to make it is the one thing that others would wait for.
    runtime.api.submit(task("c")).await;
    let open = runtime.db().connect().await;
    run(&open, "begin; select bloom.task_submit('c', 'a', 'late')").await;
    for _ in 0..20 {
        runtime.api.submit(task("c")).await;
        let runs = sealers.iter().map(Sealer::run);
        for outcome in futures_util::future::join_all(runs).await {
            outcome.unwrap();
        }
    }
    // The open transaction holds back all that came after it.
    let covered = "select count(*) from bloom_private.seal s, bloom.audit_sealed(s.seal_id)";
    assert!(matches!(one(&client, covered).await.as_str(), "0" | "1"));
    run(&open, "commit").await;
    eventually("all is sealed", || async {
        let sent = runtime.api.submit(task("c"));
        let runs = futures_util::future::join_all(sealers.iter().map(Sealer::run));
        let (_, outcomes) = tokio::join!(sent, runs);
        outcomes.into_iter().for_each(Result::unwrap);
        let sealed = one(&client, covered).await;
        // The last one may have come after them.
        let events = "select count(*) - 1 from bloom_private.event";
        let events: u64 = one(&client, events).await.parse().unwrap();
        (sealed.parse::<u64>().unwrap() >= events).then_some(())
    })
    .await;
    let ids = "select count(*) = max(seal_id) and count(*) = count(distinct from_seq)
        from bloom_private.seal";
    assert_eq!(one(&client, ids).await, "t");
    assert_eq!(sealers[0].public_keys().len(), 1);
}

#[tokio::test]
async fn an_older_database_gets_what_it_lacks() {
    let (old, new) = (
        crate::pg::TestDb::new().await,
        crate::pg::TestDb::new().await,
    );
    let mut client = old.connect().await;
    run(
        &client,
        "drop table bloom_private.seal;
        alter table bloom_private.api_key drop column last_used_at;
        alter type bloom_private.claim drop attribute again;
        create index lease_expiry on bloom_private.lease (expires_at) where session_id is null;
        update bloom_private.schema_version set version = 1, bundle_hash = 'older'",
    )
    .await;
    let bundle = db::install::Bundle::embedded().unwrap();
    let options = db::install::Options::default();
    let report = db::install::install(&mut client, &bundle, options)
        .await
        .unwrap();
    assert_eq!(
        report.migrations,
        [
            "migrations/0002_seals.sql",
            "migrations/0003_key_last_used.sql",
            "migrations/0004_lease_expiry.sql",
            "migrations/0005_completions.sql"
        ]
    );
    let shape = "select string_agg(x, ' ' order by x) from (
        select attname || ' ' || format_type(atttypid, atttypmod) || ' ' || attnotnull as x
          from pg_attribute where attrelid in ('bloom_private.seal'::regclass,
             'bloom_private.api_key'::regclass) and attnum > 0 and not attisdropped
        union all
        select pg_get_constraintdef(oid) from pg_constraint
         where conrelid = 'bloom_private.seal'::regclass
        union all
        select tgname::text || tgenabled::text from pg_trigger where tgrelid = 'bloom_private.seal'::regclass
        union all
        select relacl::text || pg_get_userbyid(relowner) from pg_class
         where oid = 'bloom_private.seal'::regclass) t";
    let fresh = new.connect().await;
    assert_eq!(one(&client, shape).await, one(&fresh, shape).await);
}
