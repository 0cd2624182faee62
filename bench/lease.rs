//! The lease hot path under concurrency: lease one task, complete it. Three ways: the verbs alone, the
//! batchers of the service without HTTP, and the whole service. Compare commits with criterion's
//! baselines: `make build && cargo bench -- --save-baseline before`, and after the change
//! `make build && cargo bench -- --baseline before`: the service is the release build that is there.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bloom_bench::http::Client;
use bloom_bench::scenarios::SUBMIT;
use bloom_bench::server::Server;
use bloom_runtime::batch::complete::Completions;
use bloom_runtime::batch::lease::Leases;
use bloom_runtime::db::calls::VerbOptions;
use bloom_runtime::db::calls::lease::{NextRequest, Report};
use bloom_runtime::db::{Db, Endpoint, Options};
use bloom_runtime::shutdown::Shutdown;
use criterion::{BenchmarkId, Criterion, Throughput};
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio_postgres::Statement;
use uuid::Uuid;

/// How many callers there are at the same time.
const CALLERS: [usize; 3] = [1, 8, 64];

/// Does one cycle; `caller` numbers who does it.
trait Cycle: Sync {
    /// A cycle by the caller of this number.
    fn cycle(&self, caller: usize) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// `count` cycles, shared by `callers`.
async fn cycles(way: &impl Cycle, callers: usize, count: u64) -> anyhow::Result<Duration> {
    let left = AtomicU64::new(count);
    let begun = Instant::now();
    let callers = (0..callers).map(async |caller| {
        let take = |left: u64| left.checked_sub(1);
        while left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .is_ok()
        {
            way.cycle(caller).await?;
        }
        anyhow::Ok(())
    });
    try_join_all(callers).await?;
    Ok(begun.elapsed())
}

/// Makes sure that `count` tasks and more are queued.
async fn supply(server: &Server, count: u64) -> anyhow::Result<()> {
    let client = server.connect().await?;
    let ready = "select count(*) from bloom_private.ready";
    let mut ready = client.query_one(ready, &[]).await?.get::<_, i64>(0);
    while ready < i64::try_from(count)? + 1000 {
        client.query(SUBMIT, &[&Uuid::new_v4().to_string()]).await?;
        ready += 1000;
    }
    Ok(())
}

struct Sql {
    sessions: Vec<Session>,
}

/// A connection with its statements.
struct Session {
    client: tokio_postgres::Client,
    lease: Statement,
    complete: Statement,
}

impl Session {
    async fn open(server: &Server) -> anyhow::Result<Self> {
        let client = server.connect().await?;
        let lease = "select task_id, lease_id from bloom.lease_next($1)";
        let complete = "select from bloom.lease_complete($1, $2, 'success', 'done')";
        Ok(Self {
            lease: client.prepare(lease).await?,
            complete: client.prepare(complete).await?,
            client,
        })
    }
}

impl Cycle for Sql {
    async fn cycle(&self, caller: usize) -> anyhow::Result<()> {
        let Session {
            client,
            lease,
            complete,
        } = &self.sessions[caller];
        let row = client.query_one(lease, &[&format!("w{caller}")]).await?;
        let (task, lease): (Uuid, Uuid) = (row.get(0), row.get(1));
        client.query_one(complete, &[&task, &lease]).await?;
        Ok(())
    }
}

struct Batched {
    leases: Leases,
    completions: Completions,
}

impl Cycle for Batched {
    async fn cycle(&self, caller: usize) -> anyhow::Result<()> {
        let request = NextRequest {
            worker_id: format!("w{caller}"),
            session_id: None,
            max_tasks: 1,
            ttl_seconds: 300,
            request_id: None,
            queues: None,
        };
        for grant in self.leases.next(&request).await? {
            let report = Report {
                task_id: grant.task_id,
                lease_id: grant.lease_id,
                status: "success",
                output: Some("done".to_owned()),
                options: VerbOptions::default(),
            };
            self.completions.call(&grant.worker_id, report).await?;
        }
        Ok(())
    }
}

struct Http {
    clients: Vec<tokio::sync::Mutex<Client>>,
}

impl Cycle for Http {
    async fn cycle(&self, caller: usize) -> anyhow::Result<()> {
        let mut client = self.clients[caller].lock().await;
        let ask = json!({"worker_id": format!("w{caller}"), "session_id": Uuid::from_u128(caller as u128 + 1)});
        let answer: Value = client.call("/leases", &ask).await?;
        let lease = &answer["leases"][0];
        let id = lease["task"]["id"].as_str().unwrap_or_default();
        let report =
            json!({"lease_id": lease["lease"]["id"], "status": "success", "output": "done"});
        let path = format!("/llm-tasks/{id}/complete");
        client.post(&path, report.to_string(), true).await?;
        Ok(())
    }
}

fn measure(
    criterion: &mut Criterion,
    runtime: &Runtime,
    server: &Server,
    name: &str,
    way: &impl Cycle,
) {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(1)).sample_size(10);
    for callers in CALLERS {
        group.bench_function(BenchmarkId::from_parameter(callers), |bencher| {
            bencher.iter_custom(|count| {
                let run = async {
                    supply(server, count).await?;
                    cycles(way, callers, count).await
                };
                runtime.block_on(run).expect("cycles")
            });
        });
    }
    group.finish();
}

/// The sessions, connections and batchers of all ways.
async fn prepare(server: &Server) -> anyhow::Result<(Sql, Batched, Http)> {
    let most = CALLERS[CALLERS.len() - 1];
    let (mut sessions, mut connections) = (Vec::new(), Vec::new());
    let mut admin = Client::connect(&server.base).await?;
    for at in 0..most {
        let worker = json!({"name": format!("w{at}"), "capabilities": {"max_concurrency": 1}});
        admin.call("/workers", &worker).await?;
        sessions.push(Session::open(server).await?);
        connections.push(tokio::sync::Mutex::new(
            Client::connect(&server.base).await?,
        ));
    }
    let endpoint = Endpoint::new(server.config()?, None)?;
    let db = Db::new(&endpoint, &Options::default());
    let shutdown = Shutdown::new();
    let batched = Batched {
        leases: Leases::new(&db, &shutdown),
        completions: Completions::new(&db, &shutdown),
    };
    let (sql, http) = (
        Sql { sessions },
        Http {
            clients: connections,
        },
    );
    Ok((sql, batched, http))
}

fn lease(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let program = option_env!("CARGO_TARGET_DIR").unwrap_or("../target");
    let program = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(program)
        .join("release/bloom");
    let server = runtime.block_on(Server::start(&program, None));
    let server = Arc::new(server.expect("the release build is there: make build"));
    let (sql, batched, http) = runtime.block_on(prepare(&server)).expect("connections");
    measure(criterion, &runtime, &server, "sql", &sql);
    measure(criterion, &runtime, &server, "batcher", &batched);
    measure(criterion, &runtime, &server, "http", &http);
    drop((sql, batched, http));
    if let Ok(server) = Arc::try_unwrap(server) {
        runtime.block_on(server.stop()).expect("it stops");
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    lease(&mut criterion);
    criterion.final_summary();
}
