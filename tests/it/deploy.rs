//! The files around the program: compose, make, the scripts.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::runtime::process::bloom;

fn read(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

fn compose() -> Value {
    serde_saphyr::from_str(&read("docker-compose.yml")).unwrap()
}

#[test]
fn compose_starts_the_service_after_a_healthy_postgres() {
    let compose = compose();
    let services = compose["services"].as_object().unwrap();
    for (name, service) in services {
        assert!(
            service["healthcheck"]["test"].is_array(),
            "{name} has no health check"
        );
        assert_eq!(service["restart"], "unless-stopped", "{name}");
    }
    assert_eq!(services["postgres"]["image"], "postgres:18");
    assert_eq!(services["bloom"]["build"], ".");
    assert_eq!(
        services["bloom"]["depends_on"]["postgres"]["condition"],
        "service_healthy"
    );
}

#[test]
fn compose_keeps_the_data_in_a_named_volume() {
    let compose = compose();
    let volume = compose["services"]["postgres"]["volumes"][0]
        .as_str()
        .unwrap();
    let (name, target) = volume.split_once(':').unwrap();
    assert!(compose["volumes"].as_object().unwrap().contains_key(name));
    assert_eq!(
        target, "/var/lib/postgresql",
        "where the image of version 18 expects it"
    );
}

#[test]
fn compose_has_no_built_in_secrets_and_opens_no_port_to_others() {
    let compose = compose();
    let services = compose["services"].as_object().unwrap();
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
    for (name, service) in services {
        for port in service["ports"].as_array().into_iter().flatten() {
            assert!(
                port.as_str().unwrap().starts_with("127.0.0.1:"),
                "{name}: {port}"
            );
        }
    }
}

#[test]
fn the_image_runs_as_an_unprivileged_user() {
    let dockerfile = read("Dockerfile");
    let last_stage = dockerfile.rsplit("\nFROM ").next().unwrap();
    assert!(last_stage.contains("\nUSER bloom\n"));
    assert!(last_stage.contains("\nHEALTHCHECK "));
}

#[test]
fn make_help_lists_every_target() {
    let makefile = read("Makefile");
    let phony = makefile
        .lines()
        .find_map(|line| line.strip_prefix(".PHONY: "))
        .unwrap();
    let mut make = Command::new("make");
    make.arg("--no-print-directory")
        .arg("help")
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    let answer = make.output().unwrap();
    let help = String::from_utf8(answer.stdout).unwrap();
    let listed: Vec<&str> = help
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert_eq!(listed, phony.split_whitespace().collect::<Vec<_>>());
}

#[test]
fn the_scripts_are_valid_shell() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let scripts = root
        .join("scripts")
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let more = [
        ".ci/run",
        "deploy/openrc/bloom",
        "deploy/openrc/bloom-worker",
    ];
    for script in scripts.chain(more.map(|name| root.join(name))) {
        let text = std::fs::read_to_string(&script).unwrap();
        let shell = if text.starts_with("#!/bin/sh\n") || text.starts_with("#!/sbin/openrc-run\n") {
            "sh"
        } else {
            "bash"
        };
        let status = Command::new(shell).arg("-n").arg(&script).status().unwrap();
        assert!(status.success(), "{}", script.display());
    }
}

/// The tests need what it installs, so here it has nothing to do.
#[test]
fn setup_does_nothing_where_all_is_there() {
    let mut setup = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/setup.sh"));
    let answer = setup.output().unwrap();
    assert!(answer.status.success(), "{answer:?}");
    assert!(answer.stdout.is_empty(), "{answer:?}");
}

#[test]
fn the_container_is_ready_when_the_service_says_so() {
    for (status, expected) in [("200 OK", true), ("503 Service Unavailable", false)] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let head = BufReader::new(stream.try_clone().unwrap()).lines();
            let head: Vec<String> = head
                .map_while(Result::ok)
                .take_while(|line| !line.is_empty())
                .collect();
            write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").unwrap();
            head[0].clone()
        });
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/ready.sh");
        let answer = Command::new(script).arg(port).status().unwrap();
        assert_eq!(answer.success(), expected);
        assert_eq!(server.join().unwrap(), "GET /readyz HTTP/1.1");
    }
}

/// Every command line of the units and scripts is one that the program takes.
#[test]
fn the_units_start_the_program_with_options_that_it_has() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
    let mut lines = Vec::new();
    for unit in ["systemd/bloom.service", "systemd/bloom-worker@.service"] {
        let text = std::fs::read_to_string(root.join(unit)).unwrap();
        let starts = text
            .lines()
            .filter_map(|line| line.strip_prefix("ExecStart="));
        lines.extend(starts.map(|line| line.replace("/usr/local/bin/bloom ", "")));
        assert!(
            text.contains("NoNewPrivileges=yes") && text.contains("KillMode=mixed"),
            "{unit}"
        );
    }
    for script in ["openrc/bloom", "openrc/bloom-worker"] {
        let text = std::fs::read_to_string(root.join(script)).unwrap();
        let starts = text
            .lines()
            .filter_map(|line| line.strip_prefix("command_args="));
        lines.extend(starts.map(|line| line.trim_matches('"').to_owned()));
    }
    assert_eq!(lines.len(), 4);
    for line in lines {
        let mut words = line.split_whitespace();
        let command = words.next().unwrap();
        let help = bloom().args([command, "--help"]).output().unwrap();
        let help = String::from_utf8(help.stdout).unwrap();
        for option in words.filter(|word| word.starts_with("--")) {
            assert!(
                help.contains(&format!("{option} ")),
                "{command} has no {option}"
            );
        }
    }
}
