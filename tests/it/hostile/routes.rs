//! Every route: its path, its parameters, its body as a whole, each field of it, its headers.

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use serde_json::json;

use super::client::{Job, send_all};
use super::corpus::{Helpings, Input, Kind, all};
use super::places::{Operation, operations};
use super::scene::Scene;

/// As a client would spell it that knows the rules.
fn encoded(bytes: &[u8]) -> String {
    percent_encode(bytes, NON_ALPHANUMERIC).to_string()
}

fn label(operation: &Operation, place: &str, input: &Input) -> String {
    format!(
        "{} {} {place} {}",
        operation.method, operation.path, input.name
    )
}

/// What a client that keeps to the rules of HTTP can send as a target.
fn is_target(input: &Input) -> bool {
    input.bytes.iter().all(u8::is_ascii_graphic)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_spelling_of_a_path_gets_anything_but_an_answer() {
    let scene = Scene::start().await;
    let known = |path: &str, name: &str| scene.known(path, name);
    let mut texts = Helpings::of(Kind::Text);
    let (spellings, bytes) = (all(Kind::Path), all(Kind::Bytes));
    let operations = operations();
    let jobs = operations
        .iter()
        .filter(|o| o.has_params())
        .flat_map(|operation| {
            let texts: Vec<_> = texts
                .next()
                .into_iter()
                .filter(|i| i.bytes.len() < 10_000)
                .collect();
            let bytes = bytes.iter().filter(|i| i.bytes.len() < 1000).cloned();
            let coded = texts
                .into_iter()
                .chain(bytes)
                .map(|input| (encoded(&input.bytes), input));
            let raw = spellings.iter().filter(|i| is_target(i)).cloned();
            let raw = raw.map(|input| (input.text().to_owned(), input));
            coded.chain(raw).map(|(segment, input)| {
                let target = operation.target(|_, _| segment.clone());
                let what = label(operation, "path", &input);
                Job::bare(what, &operation.method, target.as_bytes()).unsure(Vec::new())
            })
        });
    let (sent, _) = send_all(scene.address(), jobs).await;
    assert!(sent > 3000, "{sent}");
    // Behind the plain path of every route, too.
    let jobs = operations.iter().flat_map(|operation| {
        let target = operation.target(known);
        spellings
            .iter()
            .filter(|i| is_target(i))
            .step_by(3)
            .map(move |input| {
                let target = format!("{target}/{}", input.text());
                Job::bare(label(operation, "below", input), "GET", target.as_bytes())
                    .unsure(Vec::new())
            })
    });
    send_all(scene.address(), jobs).await;
    scene.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_query_gets_anything_but_an_answer() {
    let scene = Scene::start().await;
    let known = |path: &str, name: &str| scene.known(path, name);
    let (mut texts, mut values) = (Helpings::of(Kind::Text), Helpings::of(Kind::Json));
    let bytes = all(Kind::Bytes);
    let operations = operations();
    let params = operations
        .iter()
        .flat_map(|o| o.query.iter().map(move |name| (o, name)));
    let jobs = params.flat_map(|(operation, name)| {
        let inputs = texts
            .next()
            .into_iter()
            .chain(values.next())
            .chain(values.next());
        let inputs = inputs.chain(bytes.iter().step_by(4).cloned());
        let inputs: Vec<_> = inputs.filter(|i| i.bytes.len() < 2000).collect();
        let target = operation.target(known);
        inputs.into_iter().map(move |input| {
            let query = format!("{target}?{name}={}", encoded(&input.bytes));
            Job::bare(
                label(operation, name, &input),
                &operation.method,
                query.as_bytes(),
            )
        })
    });
    let (sent, _) = send_all(scene.address(), jobs).await;
    assert!(sent > 1500, "{sent}");
    // And queries that are none.
    let shapes = [
        "",
        "&&&",
        "=",
        "=x",
        "limit",
        "a=b=c",
        "limit=1&limit=2",
        "%00",
        "%",
        "[]=1",
        "+",
    ];
    let jobs = operations
        .iter()
        .filter(|o| o.method == "GET")
        .flat_map(|operation| {
            let target = operation.target(known);
            let many = "x=1&".repeat(500);
            shapes
                .into_iter()
                .chain([many.as_str()])
                .map(|shape| {
                    Job::bare(
                        format!("{target}?{shape}"),
                        "GET",
                        format!("{target}?{shape}").as_bytes(),
                    )
                })
                .collect::<Vec<_>>()
        });
    send_all(scene.address(), jobs).await;
    scene.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_body_gets_anything_but_an_answer() {
    let scene = Scene::start().await;
    let mut inputs = all(Kind::Json);
    inputs.extend(all(Kind::Bytes));
    let operations = operations();
    let bodied = operations.iter().filter(|o| o.method != "GET");
    let jobs = bodied.enumerate().flat_map(|(number, operation)| {
        let target = operation.target(|path, name| scene.known(path, name));
        // All of them where bodies matter most; a third, another one each time, elsewhere.
        let step = if operation.fields.len() > 8 { 1 } else { 3 };
        inputs
            .iter()
            .skip(number % step)
            .step_by(step)
            .map(move |input| {
                let what = label(operation, "body", input);
                Job::with_body(what, &operation.method, &target, input.bytes.clone())
            })
    });
    let (sent, _) = send_all(scene.address(), jobs).await;
    assert!(sent > 2500, "{sent}");
    scene.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_field_gets_anything_but_an_answer() {
    let scene = Scene::start().await;
    let (mut texts, mut values) = (Helpings::of(Kind::Text), Helpings::of(Kind::Json));
    let bytes = all(Kind::Bytes);
    let mut operations = operations();
    // What ends the lease comes last.
    operations.sort_by_key(|o| {
        ["complete", "release", "cancel", "requeue"]
            .iter()
            .any(|end| o.path.ends_with(end))
    });
    let fields = operations
        .iter()
        .flat_map(|o| o.fields.iter().map(move |field| (o, field)));
    let lease = scene.lease.as_str();
    let jobs = fields.enumerate().flat_map(|(number, (operation, field))| {
        let target = operation.target(|path, name| scene.known(path, name));
        let quoted = |input: Input| (json!(input.text()).to_string().into_bytes(), input);
        let texts = texts.next().into_iter().map(quoted);
        let raw = values
            .next()
            .into_iter()
            .chain(values.next())
            .chain(values.next());
        let raw = raw.map(|input| (input.bytes.clone(), input));
        let bytes = bytes.iter().skip(number % 8).step_by(8).cloned();
        let bytes = bytes.map(|input| ([b"\"", &input.bytes[..], b"\""].concat(), input));
        let inputs: Vec<_> = texts.chain(raw).chain(bytes).collect();
        inputs.into_iter().map(move |(raw, input)| {
            let what = label(operation, &field.pointer, &input);
            Job::with_body(
                what,
                &operation.method,
                &target,
                operation.body_with(field, &raw, lease),
            )
        })
    });
    let (sent, accepted) = send_all(scene.address(), jobs).await;
    assert!(sent > 4000 && accepted > 500, "{sent}, {accepted} accepted");
    scene.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_header_gets_anything_but_an_answer() {
    let scene = Scene::start().await;
    let is_value =
        |i: &Input| i.bytes.len() < 2000 && !i.bytes.iter().any(|b| b"\0\r\n".contains(b));
    let mut inputs = all(Kind::Text);
    inputs.extend(all(Kind::Bytes));
    inputs.retain(is_value);
    let beat = format!("POST /api/runtime/llm-tasks/{}/heartbeat", scene.task);
    let places = [
        ("GET /api/runtime/stats", "X-Runtime-API-Key"),
        ("GET /api/runtime/stats", "Authorization"),
        ("GET /api/runtime/stats", "X-Forwarded-For"),
        ("GET /api/runtime/stats", "Accept"),
        ("GET /api/runtime/events", "Last-Event-ID"),
        (beat.as_str(), "X-Lease-Id"),
        ("POST /api/runtime/llm-tasks", "Content-Type"),
        ("POST /api/runtime/llm-tasks", "Idempotency-Key"),
        ("POST /api/runtime/llm-tasks", "Prefer"),
    ];
    let body = json!({ "context_id": "c", "agent_slug": "a", "prompt": "p" }).to_string();
    let jobs = places
        .into_iter()
        .enumerate()
        .flat_map(|(number, (line, name))| {
            let (inputs, body) = (&inputs, &body);
            inputs.iter().skip(number % 3).step_by(3).map(move |input| {
                let (method, target) = line.split_once(' ').unwrap();
                let what = format!("{line} {name} {}", input.name);
                let job = if target.ends_with("llm-tasks") {
                    Job::with_body(what, method, target, body.clone().into_bytes())
                } else {
                    Job::bare(what, method, target.as_bytes())
                };
                job.unsure([name.as_bytes(), b": ", &input.bytes, b"\r\n"].concat())
            })
        });
    let (sent, _) = send_all(scene.address(), jobs).await;
    assert!(sent > 500, "{sent}");
    scene.assert_sound().await;
}
