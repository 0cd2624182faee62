//! docker-compose.yml. There is no Docker here: the file is parsed, and what of it is shell is run.

use std::collections::BTreeSet;
use std::process::Command;

use clap::Command as Program;
use serde_json::{Map, Value};

use super::read;
use crate::runtime::process::Scratch;

/// Where the worker of the image works: a home of the image, of nobody on this machine.
const WORK: &str = concat!("/home", "/bloom/work");

fn compose() -> Value {
    serde_saphyr::from_str(&read("docker-compose.yml")).unwrap()
}

fn services(compose: &Value) -> &Map<String, Value> {
    compose["services"].as_object().unwrap()
}

#[test]
fn compose_has_all_parts_and_each_has_a_health_check() {
    let compose = compose();
    let services = services(&compose);
    let names: BTreeSet<_> = services.keys().map(String::as_str).collect();
    let expected = ["postgres", "bloom", "worker", "nginx", "minio"];
    assert_eq!(names, BTreeSet::from(expected));
    for (name, service) in services {
        assert!(
            service["healthcheck"]["test"].is_array(),
            "{name} has no health check"
        );
        assert_eq!(service["restart"], "unless-stopped", "{name}");
        assert_eq!(service["logging"]["options"]["max-size"], "10m", "{name}");
        let image = service["image"].as_str().unwrap_or("built:here");
        assert!(
            image.contains(':') && !image.ends_with(":latest"),
            "{image}"
        );
        let is_optional = service["profiles"].is_array();
        assert_eq!(is_optional, name == "minio", "{name}");
    }
    assert_eq!(services["postgres"]["image"], "postgres:18");
    assert_eq!(services["bloom"]["build"], ".");
}

#[test]
fn compose_starts_each_part_after_what_it_needs_is_healthy() {
    let compose = compose();
    for (part, needs) in [
        ("bloom", "postgres"),
        ("worker", "bloom"),
        ("nginx", "bloom"),
    ] {
        let condition = &compose["services"][part]["depends_on"][needs]["condition"];
        assert_eq!(condition, "service_healthy", "{part}");
    }
    // Outputs stay in Postgres while the store is away, so nobody waits for it.
    let needs = &compose["services"]["bloom"]["depends_on"];
    assert!(needs["minio"].is_null());
}

#[test]
fn compose_keeps_the_data_in_named_volumes() {
    let compose = compose();
    for (service, expected) in [
        // Where the image of version 18 expects it.
        ("postgres", "/var/lib/postgresql"),
        ("minio", "/data"),
        ("worker", WORK),
    ] {
        let volume = compose["services"][service]["volumes"][0].as_str().unwrap();
        let (name, target) = volume.split_once(':').unwrap();
        assert!(compose["volumes"].as_object().unwrap().contains_key(name));
        assert_eq!(target, expected);
    }
}

#[test]
fn compose_has_no_built_in_secrets_and_opens_no_port_to_others() {
    let compose = compose();
    let services = services(&compose);
    for (service, name) in [
        ("postgres", "POSTGRES_PASSWORD"),
        ("bloom", "RUNTIME_API_KEY"),
    ] {
        let value = services[service]["environment"][name].as_str().unwrap();
        assert!(
            value.starts_with(&format!("${{{name}:?")),
            "{name} must come from outside"
        );
    }
    for name in ["MINIO_ACCESS_KEY", "MINIO_SECRET_KEY"] {
        let value = &services["bloom"]["environment"][name];
        assert_eq!(value.as_str(), Some(format!("${{{name}:-}}").as_str()));
    }
    let mut open = Vec::new();
    for (name, service) in services {
        for port in service["ports"].as_array().into_iter().flatten() {
            assert!(
                port.as_str().unwrap().starts_with("127.0.0.1:"),
                "{name}: {port}"
            );
            open.push(name.as_str());
        }
        let options = service["security_opt"].as_array();
        assert!(options.is_some() || name == "postgres", "{name}");
    }
    assert_eq!(open, ["nginx"]);
}

/// Every variable that the program reads.
fn known(program: &Program, found: &mut BTreeSet<String>) {
    let variables = program.get_arguments().filter_map(|arg| arg.get_env());
    found.extend(variables.map(|name| name.to_str().unwrap().to_owned()));
    for sub in program.get_subcommands() {
        known(sub, found);
    }
}

#[test]
fn compose_sets_no_variable_that_the_program_does_not_read() {
    let mut variables = BTreeSet::new();
    known(&bloom_runtime::cli::command(), &mut variables);
    // Secrets have no flag; the last two are for the worker's shell and the CLI.
    let more = [
        "RUNTIME_API_KEY",
        "BLOOM_API_KEY",
        "MINIO_SECRET_KEY",
        "BLOOM_WORKER_EXEC",
        "ANTHROPIC_API_KEY",
    ];
    variables.extend(more.map(str::to_owned));
    let compose = compose();
    for service in ["bloom", "worker"] {
        for name in compose["services"][service]["environment"]
            .as_object()
            .unwrap()
            .keys()
        {
            assert!(variables.contains(name), "{service}: {name}");
        }
    }
}

/// A service's shell text as the shell gets it.
fn shell(service: &str) -> String {
    let compose = compose();
    let service = &compose["services"][service];
    assert_eq!(service["entrypoint"], serde_json::json!(["/bin/sh", "-c"]));
    let text = service["command"][0].as_str().unwrap();
    text.replace("$$", "$")
}

#[test]
fn the_composed_worker_runs_the_claude_cli_where_it_has_a_key() {
    let scratch = Scratch::new();
    let stub = scratch.path().join("bloom");
    std::fs::write(
        &stub,
        "#!/bin/sh\nfor word; do printf '%s|' \"$word\"; done\n",
    )
    .unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&stub, mode).unwrap();
    let text = shell("worker");
    let said = |key: &str| {
        let mut worker = Command::new("/bin/sh");
        worker.args(["-c", &text]).env("PATH", scratch.path());
        worker.env("ANTHROPIC_API_KEY", key);
        worker.env("BLOOM_WORKER_EXEC", "tr a-z A-Z");
        let answer = worker.output().unwrap();
        String::from_utf8(answer.stdout).unwrap()
    };
    let common = format!("worker|--name|compose|--concurrency|2|--work-dir|{WORK}|");
    assert_eq!(said("sk-…"), common);
    assert_eq!(said(""), format!("{common}--exec|tr a-z A-Z|"));
    // Its health check asks after the same name, and it is ended in time.
    let compose = compose();
    let check = &compose["services"]["worker"]["healthcheck"]["test"];
    assert_eq!(check[2], "bloom:5000");
    assert_eq!(check[3], "/api/runtime/workers/compose");
}

#[test]
fn the_composed_nginx_leads_to_the_service() {
    let scratch = Scratch::new();
    let here = scratch.path().to_str().unwrap();
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/nginx.conf");
    let text = shell("nginx");
    let text = text
        .replace("/etc/bloom/nginx.conf", shipped)
        .replace("/etc/nginx/conf.d", here);
    let (making, starting) = text.split_once("exec ").unwrap();
    assert_eq!(starting.trim(), "nginx -g 'daemon off;'");
    let made = Command::new("/bin/sh").args(["-c", making]).status();
    assert!(made.unwrap().success());
    let made = std::fs::read_to_string(scratch.path().join("default.conf")).unwrap();
    let shipped = std::fs::read_to_string(shipped).unwrap();
    assert_eq!(
        made,
        shipped.replace("server 127.0.0.1:5000;", "server bloom:5000;")
    );
    assert_ne!(made, shipped);
}
