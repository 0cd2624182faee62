//! The files around the program: images, units, make, the scripts.

mod compose;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::runtime::process::{Scratch, bloom};

fn read(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

#[test]
fn the_image_runs_as_an_unprivileged_user() {
    let dockerfile = read("Dockerfile");
    let stages: Vec<_> = dockerfile.split("\nFROM ").skip(1).collect();
    let [build, worker, service] = stages[..] else {
        panic!("three stages: {stages:?}");
    };
    assert!(build.contains(" AS build\n") && build.contains("--locked"));
    assert!(service.contains("\nHEALTHCHECK "));
    for stage in [worker, service] {
        // What built the program stays behind, and nobody is root when it starts.
        let (_, after) = stage.split_once("\nUSER bloom\n").expect("a user");
        assert!(after.contains("\nENTRYPOINT ") && !after.contains("\nUSER "));
        assert!(stage.contains("\nCOPY --from=build /usr/local/bin/bloom "));
        assert!(stage.contains("rm -rf /var/lib/apt/lists/*"));
    }
    for stage in stages {
        let image = stage.split_whitespace().next().unwrap();
        assert!(
            image.contains(':') && !image.ends_with(":latest"),
            "{image}"
        );
    }
    // The worker's CLI is the one that the tests run.
    let script = read("scripts/claude-cli.sh");
    let version = script
        .lines()
        .find_map(|line| line.strip_prefix("version="));
    let wanted = format!("@anthropic-ai/claude-code@{}\n", version.unwrap());
    assert!(worker.replace(" \\", "").contains(&wanted), "{wanted}");
    let rust = read("Cargo.toml");
    let rust = rust
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = "));
    let built_with = build
        .trim_start_matches("rust:1.")
        .split('-')
        .next()
        .unwrap();
    let needed = rust.unwrap().trim_matches('"').trim_start_matches("1.");
    assert!(built_with.parse::<u32>().unwrap() >= needed.parse().unwrap());
}

/// The same command that an operator would check them with.
#[test]
fn systemd_takes_the_units() {
    let dir = std::env::temp_dir().join(format!("bloom-units-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir(&dir).unwrap();
    for unit in ["bloom.service", "bloom-worker@.service"] {
        // The program stands elsewhere here.
        let text = read(&format!("deploy/systemd/{unit}"));
        let text = text.replace("/usr/local/bin/bloom", "/bin/true");
        std::fs::write(dir.join(unit), text).unwrap();
    }
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "bloom.service", "bloom-worker@one.service"]);
    let answer = verify.current_dir(&dir).output().unwrap();
    std::fs::remove_dir_all(&dir).unwrap();
    let said = String::from_utf8_lossy(&answer.stderr);
    // What it says of the machine's own units is not about ours.
    let ours: Vec<_> = said.lines().filter(|line| line.contains("bloom")).collect();
    assert!(answer.status.success() && ours.is_empty(), "{said}");
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

/// Runs scripts/ready.sh against a server that answers `status` with `body`: whether it succeeded,
/// and what the server was sent.
fn ready(status: &str, body: &str, more: &[&str], key: Option<&str>) -> (bool, Vec<String>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let head = BufReader::new(stream.try_clone().unwrap()).lines();
        let head: Vec<String> = head
            .map_while(Result::ok)
            .take_while(|line| !line.is_empty())
            .collect();
        stream.write_all(answer.as_bytes()).unwrap();
        head
    });
    let mut script = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/ready.sh"));
    if more.is_empty() {
        script.arg(port.to_string());
    } else {
        script.arg(format!("localhost:{port}")).args(more);
    }
    script.env_remove("BLOOM_API_KEY");
    script.envs(key.map(|key| ("BLOOM_API_KEY", key)));
    let status = script.status().unwrap();
    (status.success(), server.join().unwrap())
}

/// Runs the set-up as a plain user on a machine without PostgreSQL, where `sudo` does as told; what
/// it answers, and the commands that it ran by `sudo`.
fn setup_without_postgres(sudo: &str) -> (std::process::Output, String) {
    let scratch = Scratch::new();
    let here = scratch.path();
    let write = |name: &str, text: &str| {
        let path = here.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let setup = std::fs::read_to_string(root.join("scripts/setup.sh")).unwrap();
    write("scripts/setup.sh", &setup);
    write("Cargo.toml", "rust-version = \"1.95\"\n");
    write(
        "scripts/postgres-dirs.sh",
        "#!/bin/sh\n[ ! -e \"$(dirname \"$0\")/there\" ] || echo /there\n",
    );
    write("bin/rustc", "#!/bin/sh\necho rustc 1.95.0\n");
    write("bin/id", "#!/bin/sh\necho 1000\n");
    for tool in ["cargo", "cc", "apt-get"] {
        write(&format!("bin/{tool}"), "#!/bin/sh\nexit 1\n");
    }
    write(
        "bin/sudo",
        &format!("#!/bin/sh\ncd {}\n{sudo}\n", here.display()),
    );
    let answer = Command::new(here.join("scripts/setup.sh"))
        .env("PATH", format!("{}/bin:/usr/bin:/bin", here.display()))
        .output()
        .unwrap();
    let log = std::fs::read_to_string(here.join("log")).unwrap_or_default();
    (answer, log)
}

#[test]
fn setup_shows_the_command_to_run_where_it_may_not_install() {
    let (answer, log) = setup_without_postgres("exit 1");
    assert!(!answer.status.success() && log.is_empty(), "{answer:?}");
    let text = String::from_utf8_lossy(&answer.stderr);
    let wanted = "\n    sudo apt-get install -y --no-install-recommends postgresql";
    assert!(text.contains(wanted), "{text}");
}

#[test]
fn setup_installs_postgres_where_it_may() {
    let sudo = "[ \"$2\" != true ] || exit 0
        echo \"$*\" >>log
        case \"$*\" in *tee*) cat >/dev/null ;; *install*) touch scripts/there ;; esac";
    let (answer, log) = setup_without_postgres(sudo);
    assert!(answer.status.success(), "{answer:?}");
    let wanted = "apt-get install -y --no-install-recommends postgresql";
    assert!(log.contains(wanted), "{log}");
}

#[test]
fn the_container_is_ready_when_the_service_says_so() {
    for (status, expected) in [("200 OK", true), ("503 Service Unavailable", false)] {
        let (is_ready, head) = ready(status, "", &[], None);
        assert_eq!(is_ready, expected);
        assert_eq!(head[0], "GET /readyz HTTP/1.1");
    }
}

#[test]
fn the_worker_is_healthy_when_the_service_has_heard_of_it() {
    let more = ["/api/runtime/workers/w", "\"status\":\"online\""];
    for (body, expected) in [("online", true), ("offline", false)] {
        let body = format!("{{\"id\":\"w\",\"status\":\"{body}\"}}");
        let (is_healthy, head) = ready("200 OK", &body, &more, Some("k3y"));
        assert_eq!(is_healthy, expected, "{body}");
        assert_eq!(head[0], "GET /api/runtime/workers/w HTTP/1.1");
        assert!(head.iter().any(|line| line == "X-Runtime-API-Key: k3y"));
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
