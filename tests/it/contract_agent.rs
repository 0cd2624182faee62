//! The Membridge agent 0.4.0, exactly as it speaks.

use serde_json::json;

use crate::runtime::entity::{assert_task, assert_worker};
use crate::runtime::{Runtime, task};

#[tokio::test]
async fn the_old_agent_works_unchanged() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    let registration = json!({
        "name": "node-1", "url": "http://10.0.0.5:8001", "status": "online",
        "capabilities": {
            "claude_cli": true, "max_concurrency": 2, "labels": ["systemd", "x86_64"],
        },
        "ip_addrs": ["10.0.0.5"], "agent_version": "0.4.0", "os_info": "Linux 6.1",
        "install_method": "manual",
    });
    let reply = api.post("/workers", registration.clone()).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    assert_worker(&reply.body);
    for name in [
        "url",
        "status",
        "capabilities",
        "ip_addrs",
        "agent_version",
        "os_info",
    ] {
        assert_eq!(reply.body[name], registration[name], "{name}");
    }
    let again = api.post("/workers", registration).await;
    assert_eq!(again.status, 200, "{again:?}");

    for (report, status) in [
        (
            json!({
                "status": "success", "output": "text", "error_message": null,
                "metrics": { "duration_ms": 39, "tokens_used": null },
            }),
            "completed",
        ),
        (
            json!({
                "status": "error", "output": null, "error_message": "CLI failed",
                "metrics": { "duration_ms": 12, "tokens_used": null },
            }),
            "failed",
        ),
    ] {
        let id = api.submit(task("c")).await;
        api.lease(&id).await;
        let beat = api.post_empty(&format!("/llm-tasks/{id}/heartbeat")).await;
        assert_eq!(beat.status, 200, "{beat:?}");
        let done = api.complete(&id, report).await;
        assert_eq!(done.status, 200, "{done:?}");
        assert_task(&done.body["task"]);
        assert_eq!(done.body["task"]["status"], status);
    }
    let worker = api.get("/workers/node-1").await;
    assert_eq!(worker.body["active_leases"], 0);
    assert_eq!(worker.body["leases"], json!([]));
}
