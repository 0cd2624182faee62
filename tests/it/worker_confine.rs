//! Programs as another user, in a control group, and within a disk limit.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bloom_runtime::worker::confine::{Cgroup, User};
use bloom_runtime::worker::workspace::Scope;
use serde_json::json;
use uuid::Uuid;

use crate::fake_service::FakeService;
use crate::worker_kit::{Worker, alive};

/// A group of our own in the machine's version 2 hierarchy. `None` where there is none that we may
/// write to, as in some containers.
fn group() -> Option<PathBuf> {
    ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"]
        .into_iter()
        .filter(|root| Path::new(root).join("cgroup.controllers").exists())
        .map(|root| PathBuf::from(root).join(format!("bloom-it-{}", Uuid::new_v4())))
        .find(|dir| std::fs::create_dir(dir).is_ok())
}

#[tokio::test]
async fn what_hides_from_its_process_group_and_its_environment_ends_with_its_control_group() {
    let Some(dir) = group() else {
        // Nothing to test with: then a worker that is told to use one must say so at its start.
        let cgroup = Cgroup {
            dir: "/sys/fs/cgroup/bloom-none".into(),
            limits: Vec::new(),
        };
        assert!(cgroup.check().is_err());
        return;
    };
    let service = FakeService::start().await;
    let out = std::env::temp_dir().join(format!("bloom-hidden-{}", Uuid::new_v4()));
    let id = service.submit_with(json!({ "prompt": "x", "policy": { "timeout_sec": 2 } }));
    let exec = format!(
        "setsid env -i /bin/sh -c 'echo $$ > {}; exec sleep 300' & sleep 300",
        out.display()
    );
    let worker = Worker::start(&service, &exec, |options| {
        options.kill_grace = Duration::from_millis(200);
        options.cgroup = Some(Cgroup {
            dir: dir.clone(),
            limits: Vec::new(),
        });
    });
    let done = service.completion(id).await;
    assert_eq!(done["error_message"], "timeout exceeded");
    assert_eq!(done["stopped"]["tree_gone"], true, "{done}");
    let hidden = std::fs::read_to_string(&out).unwrap();
    assert!(!alive(hidden.trim().parse().unwrap()), "it lives");
    worker.stop().await;
    let left: Vec<_> = std::fs::read_dir(&dir)
        .unwrap()
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .collect();
    assert!(left.is_empty(), "{left:?}");
    std::fs::remove_dir(dir).unwrap();
    std::fs::remove_file(out).unwrap();
}

/// CI runs as root, as such a worker has to.
#[tokio::test]
async fn programs_run_as_another_user_who_cannot_read_what_the_worker_can() {
    let user = User::find("nobody").unwrap();
    assert!(User::find("root").unwrap_err().contains("as root"));
    assert!(
        User::find("no-such-user-here")
            .unwrap_err()
            .contains("no user")
    );
    let secret = std::env::temp_dir().join(format!("bloom-secret-{}", Uuid::new_v4()));
    std::fs::write(&secret, "canary").unwrap();
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    for scope in [Scope::Attempt, Scope::Context] {
        let service = FakeService::start().await;
        let id = service.submit("x");
        let exec = format!(
            "id -u; id -G; echo $USER; cat {} 2>/dev/null; echo mine > file && cat file",
            secret.display()
        );
        let worker = Worker::start(&service, &exec, |options| {
            options.user = Some(user.clone());
            options.scope = Some(scope);
            // Below a directory that everybody may pass through.
            let root = options.work_root.clone();
            std::fs::set_permissions(&root, std::os::unix::fs::PermissionsExt::from_mode(0o755))
                .unwrap();
        });
        let done = service.completion(id).await;
        let expected = format!("{}\n{}\nnobody\nmine\n", user.uid, user.gid);
        assert_eq!(done["output"], json!(expected), "{done}");
        if scope == Scope::Context {
            // The kit looks for left-over directories of attempts; contexts stay.
            std::fs::remove_dir_all(worker.dir.join("contexts")).unwrap();
        }
        worker.stop().await;
    }
    std::fs::remove_file(secret).unwrap();
}

#[tokio::test]
async fn a_program_that_fills_the_disk_is_ended() {
    let service = FakeService::start().await;
    let id = service.submit("x");
    let exec = "head -c 20000000 /dev/zero > big; sleep 300";
    let worker = Worker::start(&service, exec, |options| options.max_disk_bytes = 5_000_000);
    let done = service.completion(id).await;
    let error = done["error_message"].as_str().unwrap();
    assert_eq!(
        error,
        "disk limit exceeded: more than 5000000 bytes written"
    );
    assert_eq!(done["retryable"], false);
    worker.stop().await;
}
