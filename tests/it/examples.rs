//! The programs of `examples/`, as they stand there.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tokio::task::spawn_blocking;

use crate::runtime::{KEY, Runtime};

fn place(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples")
        .join(name)
}

/// A worker takes one task of the one who submits it with `prompt`; what the latter prints.
async fn works(program: &str, [worker, submit]: [PathBuf; 2], prompt: &str) -> Output {
    let runtime = Runtime::start().await;
    let command = |file: &Path| {
        let mut command = Command::new(program);
        command
            .arg(file)
            .env("BLOOM_SERVER", &runtime.api.base)
            .env("BLOOM_API_KEY", KEY)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stderr(Stdio::inherit());
        command
    };
    let mut worker = command(&worker).args(["w", "1"]).spawn().unwrap();
    let submit = command(&submit)
        .args(["c", "a", prompt, "the-same"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = spawn_blocking(|| submit.wait_with_output()).await.unwrap();
    let ended = spawn_blocking(move || worker.wait()).await.unwrap();
    assert!(ended.unwrap().success());
    let tasks = runtime.api.get("/llm-tasks").await;
    assert_eq!(tasks.items().len(), 1);
    assert_eq!(tasks.items()[0]["status"], "completed");
    assert_eq!(
        runtime.api.get("/workers/w").await.body["status"],
        "offline"
    );
    out.unwrap()
}

#[tokio::test]
async fn the_python_examples_do_what_they_say() {
    let files = ["worker.py", "submit.py"].map(|name| place("python").join(name));
    let out = works("python3", files, "how many words are these").await;
    assert!(out.status.success());
    assert_eq!(out.stdout, b"5 words\n");
}

#[tokio::test]
async fn the_typescript_examples_compile_and_do_what_they_say() {
    let folder = place("typescript");
    for words in [
        &["ci", "--silent", "--no-audit", "--no-fund"][..],
        &["run", "--silent", "build"],
    ] {
        let built = Command::new("npm")
            .args(words)
            .current_dir(&folder)
            .output()
            .unwrap();
        assert!(built.status.success(), "{built:?}");
    }
    let files = ["worker.js", "submit.js"].map(|name| folder.join("dist").join(name));
    let out = works("node", files, "in capitals, please").await;
    assert!(out.status.success());
    assert_eq!(out.stdout, b"IN CAPITALS, PLEASE\n");
}
