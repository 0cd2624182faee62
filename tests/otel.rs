//! Spans for an OpenTelemetry collector, by the real program built with the feature `otel`:
//! `make test-otel`.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SUBMITTER: &str = "b7ad6b7169203331";
const PATIENCE: Duration = Duration::from_secs(120);

/// What a collector got, each request's body.
type Seen = Arc<Mutex<Vec<Vec<u8>>>>;

/// A collector that takes whatever it is sent to `/v1/traces`.
fn collector() -> (String, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let seen = Seen::default();
    let kept = Arc::clone(&seen);
    thread::spawn(move || {
        for stream in listener.incoming() {
            take(stream.unwrap(), &kept);
        }
    });
    (url, seen)
}

fn take(mut stream: TcpStream, seen: &Seen) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut line, mut length, mut is_traces) = (String::new(), 0, false);
    while reader.read_line(&mut line).unwrap_or(0) > 2 {
        is_traces |= line.starts_with("POST /v1/traces ");
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    if is_traces {
        seen.lock().unwrap().push(body);
    }
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    stream.write_all(answer.as_bytes()).unwrap();
}

/// A process that gets SIGTERM at the end, and then sends what it has.
struct Running(Child);

impl Running {
    fn end(mut self) {
        self.terminate();
        assert!(self.0.wait().unwrap().success());
    }

    fn terminate(&self) {
        let pid = rustix::process::Pid::from_raw(self.0.id().cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).ok();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.terminate();
        self.0.wait().ok();
    }
}

/// A directory that Postgres' user can reach; it ends with the test.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("bloom-otel-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o711)).unwrap();
        Self(path)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

fn bloom(dir: &Path, collector: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bloom"));
    command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector)
        .env("BLOOM_DATA_DIR", dir.join("data"))
        .env_remove("DATABASE_URL")
        .current_dir(dir)
        .stdin(Stdio::null());
    command
}

/// The service, with its address.
fn serve(dir: &Path, collector: &str) -> (Running, String) {
    let mut command = bloom(dir, collector);
    command
        .args(["serve", "--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped());
    let mut service = Running(command.spawn().unwrap());
    let lines = BufReader::new(service.0.stdout.take().unwrap()).lines();
    let url = lines
        .map_while(Result::ok)
        .find_map(|line| Some(line.strip_prefix("BLOOM Runtime is at ")?.trim().to_owned()));
    (service, url.expect("an address"))
}

fn has(seen: &Seen, part: &[u8]) -> bool {
    let seen = seen.lock().unwrap();
    seen.iter()
        .any(|body| body.windows(part.len()).any(|window| window == part))
}

/// As protobuf has an id: its bytes.
fn id(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

#[tokio::test]
async fn one_trace_leads_from_the_submitter_through_the_service_to_the_program() {
    let (dir, (first, of_requests), (second, of_attempts)) = (Dir::new(), collector(), collector());
    let (service, url) = serve(&dir.0, &first);
    let mut command = bloom(&dir.0, &second);
    command.args([
        "worker",
        "--server",
        &url,
        "--name",
        "w",
        "--exec",
        "printenv TRACEPARENT",
    ]);
    let worker = Running(command.spawn().unwrap());

    rustls::crypto::ring::default_provider()
        .install_default()
        .unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let tasks = format!("{url}/api/runtime/llm-tasks");
    let sent = client
        .post(&tasks)
        .header("traceparent", format!("00-{TRACE}-{SUBMITTER}-01"))
        .json(&serde_json::json!({ "context_id": "c", "agent_slug": "a", "prompt": "p" }))
        .send()
        .await
        .unwrap();
    let task: serde_json::Value = sent.json().await.unwrap();
    let submitted = task["policy"]["traceparent"].as_str().unwrap().to_owned();
    let result = format!("{tasks}/{}/result", task["id"].as_str().unwrap());
    let begin = Instant::now();
    let told = loop {
        let answer = client.get(&result).send().await.unwrap();
        if answer.status() == 200 {
            let result: serde_json::Value = answer.json().await.unwrap();
            break result["output"].as_str().unwrap().trim().to_owned();
        }
        assert!(begin.elapsed() < PATIENCE, "no result");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    tokio::task::spawn_blocking(move || {
        worker.end();
        service.end();
    })
    .await
    .unwrap();

    // Each hop is a span of its own, in the same trace, below the one before.
    let span_of = |context: &str| context.split('-').nth(2).unwrap().to_owned();
    let (request, attempt) = (span_of(&submitted), span_of(&told));
    assert!(
        submitted.contains(TRACE) && told.contains(TRACE),
        "{submitted} {told}"
    );
    assert!(request != SUBMITTER && attempt != request);
    for (seen, own, parent, name) in [
        (
            &of_requests,
            &request,
            SUBMITTER,
            "POST /api/runtime/llm-tasks",
        ),
        (&of_attempts, &attempt, request.as_str(), "attempt"),
    ] {
        for part in [
            id(TRACE),
            id(own),
            id(parent),
            name.into(),
            b"bloom".to_vec(),
        ] {
            assert!(
                has(seen, &part),
                "{name}: {} is missing",
                String::from_utf8_lossy(&part)
            );
        }
    }
}
