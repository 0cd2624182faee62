//! Service and worker as a user without any rights.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::runtime::KEY;
use crate::runtime::process::{Process, Scratch};

/// The user that Debian and others call nobody.
const NOBODY: u32 = 65534;

/// The program where everybody may run it, as nobody where we are root, else as ourselves.
fn plainly(scratch: &Scratch) -> (Command, PathBuf) {
    let program = scratch.path().join("bloom");
    if !program.exists() {
        std::fs::copy(env!("CARGO_BIN_EXE_bloom"), &program).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let home = scratch.path().join("home");
    std::fs::create_dir_all(&home).unwrap();
    let mut command = Command::new(program);
    command
        .env_remove("DATABASE_URL")
        .env_remove("BLOOM_DATA_DIR")
        .env("HOME", &home)
        .current_dir("/")
        .stdin(Stdio::null());
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&home, Some(NOBODY), Some(NOBODY)).unwrap();
        command.uid(NOBODY).gid(NOBODY);
    }
    (command, home)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_user_serves_and_works() {
    let scratch = Scratch::new();
    let (command, home) = plainly(&scratch);
    let data = home.join("data");
    let arguments = ["--data-dir", data.to_str().unwrap()];
    let process = Process::start_by(command, &scratch, &arguments, Some(KEY));
    let (mut command, home) = plainly(&scratch);
    let mut worker = command
        .args(["worker", "--name", "w", "--exec", "id -u; pwd", "--server"])
        .arg(&process.api.base)
        .env("BLOOM_API_KEY", KEY)
        .env("TMPDIR", &home)
        .spawn()
        .unwrap();
    let task = json!({ "context_id": "c", "agent_slug": "a", "prompt": "who?" });
    let id = process.api.submit(task).await;
    process.api.until_status(&id, "completed").await;
    let result = process.api.get(&format!("/llm-tasks/{id}/result")).await;
    let output = result.body["output"].as_str().unwrap();
    assert!(output.contains(home.to_str().unwrap()), "{output}");
    if rustix::process::geteuid().is_root() {
        assert!(output.starts_with("65534\n"), "{output}");
    }
    let pid = rustix::process::Pid::from_child(&worker);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(worker.wait().unwrap().success());
}
