//! The verbs that are called for every task, and what they are planned with.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use tokio_postgres::Client;

use crate::pg::TestDb;
use crate::sql_kit::column;

const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src");

/// Where the service batches calls, and where it leases: whichever verb a file names there is hot.
const BATCHERS: &str = "batch";
const LEASE_PATH: [&str; 2] = ["http/handlers", "dispatch.rs"];

/// What is named there or granted to workers all the same.
const NOT_HOT: &[(&str, &str)] = &[
    ("lease_list", "a page for people"),
    ("worker_register", "once a process"),
];

/// Verbs whose statements join the items of a batch with each other, which is what hashes are for.
/// Tables they only insert into, or ask for single keys.
const OVER_ITEMS: [&str; 2] = ["task_submit", "task_submit_many"];

fn texts(path: &Path) -> Vec<String> {
    if path.is_file() {
        return vec![std::fs::read_to_string(path).expect("readable")];
    }
    let entries = std::fs::read_dir(path).expect("a directory");
    let paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.iter().flat_map(|path| texts(path)).collect()
}

/// The words of some sources.
fn words(below: &str) -> BTreeSet<String> {
    let texts = texts(&Path::new(SOURCES).join(below));
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let words = texts
        .iter()
        .flat_map(|text| text.split(|letter| !is_part(letter)));
    words.map(str::to_owned).collect()
}

/// The hot verbs: what the batchers call, what the service leases, renews and ends leases with, and
/// what a worker may call through SQL, with the verb for one beside the verb for many.
pub async fn verbs(client: &Client) -> Vec<String> {
    let all = "select proname from pg_proc where pronamespace = 'bloom'::regnamespace";
    let all = column(client, all).await;
    let granted = "select p.proname from pg_proc p, aclexplode(p.proacl) a
                    where p.pronamespace = 'bloom'::regnamespace
                      and a.grantee = 'bloom_worker'::regrole";
    let granted = column(client, granted).await;
    let batched = words(BATCHERS);
    let leasing: BTreeSet<_> = LEASE_PATH.into_iter().flat_map(words).collect();
    let is_named = |verb: &str| {
        granted.iter().any(|granted| granted == verb)
            || batched.contains(verb)
            || verb.starts_with("lease_") && leasing.contains(verb)
    };
    let hot = all.iter().filter(|verb| {
        let excepted = NOT_HOT.iter().any(|(except, _)| except == verb);
        !excepted && (is_named(verb) || is_named(&format!("{verb}_many")))
    });
    hot.cloned().collect()
}

#[tokio::test]
async fn the_list_of_hot_verbs_finds_those_that_everybody_knows() {
    let db = TestDb::new().await;
    let verbs = verbs(&db.connect().await).await;
    for known in [
        "task_submit",
        "task_submit_many",
        "lease_next",
        "lease_next_many",
        "lease_task",
        "lease_start",
        "lease_extend",
        "lease_heartbeat_many",
        "lease_complete",
        "lease_complete_many",
        "lease_complete_stored",
        "lease_release",
        "worker_beat",
        "worker_beat_many",
    ] {
        assert!(verbs.iter().any(|verb| verb == known), "{known}: {verbs:?}");
    }
}

#[tokio::test]
async fn a_hot_verb_is_planned_once_is_never_compiled_and_walks_no_table_by_choice() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    let mut wrong = Vec::new();
    for verb in verbs(&client).await {
        let sql =
            format!("select unnest(proconfig) from pg_proc where oid = 'bloom.{verb}'::regproc");
        let settings = column(&client, &sql).await;
        let mut wanted = vec!["plan_cache_mode=force_generic_plan", "jit=off"];
        if !OVER_ITEMS.contains(&verb.as_str()) {
            wanted.extend([
                "enable_seqscan=off",
                "enable_hashjoin=off",
                "enable_mergejoin=off",
            ]);
        }
        wanted.retain(|setting| !settings.iter().any(|has| has == setting));
        if !wanted.is_empty() {
            wrong.push(format!("{verb} lacks {wanted:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
