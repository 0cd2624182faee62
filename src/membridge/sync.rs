//! Every few seconds: what agents does Membridge know? They become rows of the worker table.
//!
//! Here an agent is read leniently, field by field: what has the wrong type is as good as missing.
//! What the verb then does with it, see `worker_sync`.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};
use tracing::{debug, info, warn};

use super::Membridge;
use super::client::Call;
use crate::db::calls::worker::worker_sync;
use crate::error::Result;
use crate::shutdown::Shutdown;

/// The name in the audit trail.
const ACTOR: &str = "membridge";
/// How many agents are looked at.
const AGENTS_MAX: usize = 10_000;
/// How many of them go into one call of the verb.
const PART: usize = 200;
/// A round that takes longer takes nobody for gone.
const SLOW: Duration = Duration::from_secs(30);
/// How many of those that were skipped are told of.
const SKIPPED_MAX: usize = 20;
/// Above this a number is milliseconds; as seconds it would be the year 5138.
const MILLISECONDS_FROM: f64 = 1e11;
/// How far ahead the clock of Membridge may be.
const DAY: Duration = Duration::from_secs(86_400);
/// The longest text of an agent that is passed on, in characters; the verb knows closer bounds.
const TEXT_MAX: usize = 2048;
/// How many texts of a list are passed on.
const TEXTS_MAX: usize = 100;

/// Syncs until `shutdown`, about every interval.
pub(super) async fn run(membridge: Membridge, shutdown: Shutdown) {
    let mut failing = false;
    loop {
        let pause = membridge.inner.options.interval;
        let pause = pause.mul_f64(0.9 + 0.2 * fastrand::f64());
        tokio::select! {
            () = shutdown.requested() => return,
            () = round(&membridge, &mut failing) => {}
        }
        tokio::select! {
            () = shutdown.requested() => return,
            () = tokio::time::sleep(pause.max(Duration::from_millis(10))) => {}
        }
    }
}

/// One round, in the log: its beginning to fail, its end of failing, and whatever it changed.
async fn round(membridge: &Membridge, failing: &mut bool) {
    match membridge.stored().await {
        Ok(stored) if stored.url.is_none() => return,
        _ => {}
    }
    let synced = sync(membridge).await;
    membridge.inner.rounds[usize::from(synced.is_err())].fetch_add(1, Relaxed);
    match synced {
        Ok(report) => {
            let skipped = report["skipped"].as_array().map_or(0, Vec::len);
            if *failing {
                info!("the sync with Membridge works again");
            }
            if skipped > 0 {
                warn!(%report, "the sync with Membridge skipped agents");
            } else if report["created"] != 0 || report["changed"] != 0 || report["vanished"] != 0 {
                info!(%report, "synced with Membridge");
            } else {
                debug!(%report, "synced with Membridge");
            }
            *failing = false;
            membridge.inner.state.synced(report);
        }
        Err(error) => {
            if !*failing {
                warn!(error = %error.chain(), "the sync with Membridge fails");
            }
            *failing = true;
            let report = json!({ "error": error.to_string() });
            membridge.inner.state.synced(report);
        }
    }
}

async fn sync(membridge: &Membridge) -> Result<Value> {
    let listed = membridge.call(Call::Agents).await?.body;
    let listed = listed.as_array().map_or(&[][..], Vec::as_slice);
    let agents: Vec<_> = listed.iter().take(AGENTS_MAX).map(agent).collect();
    let since = Instant::now();
    let mut sum = Report::default();
    // A call holds the rows of its agents until it is done, so a long list goes in several.
    let mut parts: Vec<_> = agents.chunks(PART).collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        let part_report = worker_sync(&membridge.inner.db, part, true, ACTOR).await?;
        sum.add(&part_report, part.len());
    }
    // What was seen at the beginning of a very slow round must not count as gone at its end.
    let more = since.elapsed() > SLOW;
    let report = worker_sync(&membridge.inner.db, last, more, ACTOR).await?;
    sum.add(&report, last.len());
    Ok(sum.shown())
}

/// What the parts of a round did together.
#[derive(Default)]
struct Report {
    counts: [u64; 3],
    listed: usize,
    skipped: Vec<Value>,
}

impl Report {
    const COUNTS: [&str; 3] = ["created", "changed", "vanished"];

    fn add(&mut self, report: &Value, listed: usize) {
        for (sum, name) in self.counts.iter_mut().zip(Self::COUNTS) {
            *sum += report[name].as_u64().unwrap_or(0);
        }
        let skipped = report["skipped"].as_array().cloned().unwrap_or_default();
        for mut agent in skipped {
            if self.skipped.len() >= SKIPPED_MAX {
                break;
            }
            // The verb counts from the beginning of its part.
            let index = agent["index"].as_u64().unwrap_or(0);
            agent["index"] = json!(index + self.listed as u64);
            self.skipped.push(agent);
        }
        self.listed += listed;
    }

    fn shown(self) -> Value {
        let [created, changed, vanished] = self.counts;
        json!({
            "listed": self.listed, "created": created, "changed": changed, "vanished": vanished,
            "skipped": self.skipped,
        })
    }
}

/// What the verb needs of an agent. One that is not even an object has no name, which the verb
/// reports with its place in the list.
fn agent(given: &Value) -> Value {
    let mut agent = Map::new();
    let capabilities = &given["capabilities"];
    let name = ["name", "node_id", "id"]
        .iter()
        .find_map(|member| text(&given[*member]).filter(|name| !name.is_empty()));
    // They vanish from a URL's path.
    let name = name.filter(|name| !matches!(name.as_str(), "." | ".."));
    let mut put = |member: &str, value: Option<Value>| {
        if let Some(value) = value {
            agent.insert(member.to_owned(), value);
        }
    };
    put("name", name.map(Value::from));
    put(
        "url",
        text(&given["url"])
            .filter(|url| is_http(url))
            .map(Value::from),
    );
    put(
        "status",
        text(&given["status"])
            .map(|status| Value::from(status.chars().take(100).collect::<String>())),
    );
    put("last_seen", seen(&given["last_seen"]).map(Value::from));
    put(
        "claude_cli",
        capabilities["claude_cli"].as_bool().map(Value::from),
    );
    let slots = capabilities["max_concurrency"]
        .as_i64()
        .or(given["max_concurrency"].as_i64());
    put(
        "max_concurrency",
        slots.map(|slots| json!(slots.clamp(1, 32))),
    );
    put(
        "labels",
        texts(&capabilities["labels"]).or(texts(&given["labels"])),
    );
    put("ip_addrs", texts(&given["ip_addrs"]));
    let count = given["obs_count"].as_i64().filter(|count| *count >= 0);
    put(
        "obs_count",
        count.map(|count| json!(count.min(i64::from(i32::MAX)))),
    );
    put(
        "db_sha",
        text(&given["db_sha"])
            .filter(|sha| sha.len() <= 128)
            .map(Value::from),
    );
    Value::Object(agent)
}

/// A text that can be stored.
fn text(value: &Value) -> Option<String> {
    let text = value.as_str()?;
    (text.chars().count() <= TEXT_MAX && !text.contains('\0')).then(|| text.to_owned())
}

fn texts(value: &Value) -> Option<Value> {
    let texts = value.as_array()?.iter().filter_map(text);
    let short = texts.filter(|text| !text.is_empty() && text.chars().count() <= 128);
    Some(short.take(TEXTS_MAX).collect())
}

fn is_http(url: &str) -> bool {
    url.starts_with("http://") || url.starts_with("https://")
}

/// Seconds, perhaps with a fraction, or milliseconds; as milliseconds.
fn seen(value: &Value) -> Option<i64> {
    let number = value.as_f64().filter(|number| *number > 0.0)?;
    let ms = if number < MILLISECONDS_FROM {
        number * 1000.0
    } else {
        number
    };
    #[expect(clippy::cast_possible_truncation, reason = "a cast of f64 saturates")]
    let ms = ms as i64;
    // A clock may be a little ahead of ours; what is far ahead is no time at all.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    let latest = i64::try_from((now + DAY).as_millis()).ok()?;
    (ms < latest).then_some(ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_read_field_by_field() {
        let given = json!({
            "name": "a", "url": "http://h:8001", "status": "online", "registered_at": 1.5,
            "last_seen": 1_695_440_717.29, "labels": ["x", 3, ""], "max_concurrency": 99,
            "capabilities": {"claude_cli": false, "labels": "none"}, "obs_count": -1,
            "ip_addrs": null, "db_sha": 7, "new": {"thing": 1},
        });
        let expected = json!({
            "name": "a", "url": "http://h:8001", "status": "online",
            "last_seen": 1_695_440_717_290_i64, "labels": ["x"], "max_concurrency": 32,
            "claude_cli": false,
        });
        assert_eq!(agent(&given), expected);
    }

    #[test]
    fn what_is_no_agent_has_no_name_and_hostile_ones_have_none_either() {
        for given in [
            json!(3),
            json!([]),
            json!({}),
            json!({"name": "a\0b"}),
            json!({"name": ".."}),
        ] {
            assert!(agent(&given).get("name").is_none(), "{given}");
        }
        assert_eq!(agent(&json!({"name": "", "node_id": "n"}))["name"], "n");
        assert_eq!(agent(&json!({"name": 3, "id": "i"}))["name"], "i");
        assert!(
            agent(&json!({"name": "a", "url": "file:///x"}))
                .get("url")
                .is_none()
        );
    }

    #[test]
    fn a_time_may_be_float_seconds_or_integer_milliseconds() {
        assert_eq!(seen(&json!(1_695_440_414.2)), Some(1_695_440_414_200));
        assert_eq!(seen(&json!(1_695_440_414)), Some(1_695_440_414_000));
        assert_eq!(seen(&json!(1_695_440_414_200_i64)), Some(1_695_440_414_200));
        for nothing in [
            json!(null),
            json!("yesterday"),
            json!(0),
            json!(-5),
            json!(1e300),
        ] {
            assert_eq!(seen(&nothing), None, "{nothing}");
        }
    }
}
