//! The README's own commands, run as they stand against a service of their own.
//!
//! Blocks marked `sh run` form one shell session, in order. A block marked `text expect` behind one
//! of them shows what it must print: each line must appear, in order, with `…` for any text.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::timeout;

/// The address that the README uses throughout.
const SHOWN: &str = "127.0.0.1:5000";
/// How long the whole session may take.
const SESSION_LIMIT: Duration = Duration::from_secs(120);
/// Printed between two blocks, so that their outputs can be told apart.
const SEPARATOR: &str = "=== next block ===";

/// A runnable block and what it must print.
struct Block {
    line: usize,
    script: String,
    expected: Vec<String>,
}

fn blocks(text: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(info) = line.strip_prefix("```").filter(|info| !info.is_empty()) else {
            continue;
        };
        let inside: Vec<String> = lines
            .by_ref()
            .map(|(_, line)| line.to_owned())
            .take_while(|line| line != "```")
            .collect();
        match info {
            "sh run" => found.push(Block {
                line: number + 1,
                script: inside.join("\n"),
                expected: Vec::new(),
            }),
            "text expect" => found.last_mut().unwrap().expected = inside,
            _ => {}
        }
    }
    found
}

/// Whether `line` is what `pattern` shows, with `…` for any text.
fn matches(pattern: &str, line: &str) -> bool {
    let mut parts = pattern.trim().split('…');
    let Some(mut rest) = line.trim().strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let mut last = "";
    for part in parts {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
        last = part;
    }
    rest.is_empty() || (pattern.contains('…') && last.is_empty())
}

/// A service with a data directory of its own; ends with this value.
struct Service {
    child: Child,
    dir: PathBuf,
    address: String,
    database: String,
}

impl Service {
    fn start() -> Self {
        let dir = std::env::temp_dir().join(format!("bloom-it-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&dir).unwrap();
        std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o711)).unwrap();
        let address = free_address();
        let mut child = Command::new(env!("CARGO_BIN_EXE_bloom"))
            .args(["serve", "--listen", &address, "--data-dir"])
            .arg(dir.join("data"))
            .env_remove("DATABASE_URL")
            .env_remove("RUNTIME_API_KEY")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(dir.join("service.log")).unwrap())
            .spawn()
            .unwrap();
        // Ends with the process where the start fails.
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut line = || said.next().and_then(Result::ok).unwrap_or_default();
        let (first, second) = (line(), line());
        let service = Self {
            child,
            address: address.clone(),
            database: second.split('\'').nth(1).unwrap_or_default().to_owned(),
            dir,
        };
        let log = || std::fs::read_to_string(service.dir.join("service.log")).unwrap();
        assert!(first.ends_with(&address), "{first}\n{}", log());
        assert!(!service.database.is_empty(), "{second}\n{}", log());
        service
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.unwrap(), Signal::TERM).ok();
        self.child.wait().ok();
        std::fs::remove_dir_all(&self.dir).ok();
    }
}

fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// The tested program first, and the programs of Postgres wherever they are.
#[expect(
    clippy::disallowed_methods,
    reason = "tests have no configuration to read this through"
)]
fn search_path(root: &Path) -> String {
    let bloom = Path::new(env!("CARGO_BIN_EXE_bloom")).parent().unwrap();
    let postgres = Command::new(root.join("scripts/postgres-dirs.sh"))
        .output()
        .unwrap();
    let postgres = String::from_utf8(postgres.stdout)
        .unwrap()
        .trim()
        .replace('\n', ":");
    let rest = std::env::var("PATH").unwrap();
    format!("{}:{rest}:{postgres}", bloom.display())
}

#[tokio::test]
async fn the_commands_of_the_readme_do_what_it_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("README.md")).unwrap();
    let blocks = blocks(&text);
    assert!(blocks.len() >= 4, "the README has lost its runnable blocks");
    let service = Service::start();
    let mut script = String::from("set -eu\n");
    for block in &blocks {
        let commands = block.script.replace(SHOWN, &service.address);
        write!(script, "{commands}\necho '{SEPARATOR}'\n").unwrap();
    }
    let child = tokio::process::Command::new("sh")
        .args(["-c", &script])
        .current_dir(&service.dir)
        .env("PATH", search_path(root))
        .env("BLOOM_SERVER", format!("http://{}", service.address))
        .env("BLOOM_DB", &service.database)
        .env_remove("BLOOM_API_KEY")
        .env_remove("RUNTIME_API_KEY")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(SESSION_LIMIT, child).await.unwrap().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{complaints}");
    for (block, said) in blocks.iter().zip(said.split(SEPARATOR)) {
        let mut lines = said.lines();
        for expected in &block.expected {
            assert!(
                lines.any(|line| matches(expected, line)),
                "README.md:{}: no line {expected:?} in\n{said}",
                block.line
            );
        }
    }
}

#[test]
fn the_tests_that_the_readme_names_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("README.md")).unwrap();
    let (_, table) = text.split_once("| guarantee | tests |").unwrap();
    let (table, _) = table.split_once("\n\n").unwrap();
    let names = table.split('`').skip(1).step_by(2);
    let names: Vec<&str> = names.filter(|name| name.matches('_').count() > 2).collect();
    assert!(names.len() > 10, "{names:?}");
    let tests = sources(&root.join("tests"));
    let missing: Vec<_> = names
        .iter()
        .filter(|name| !tests.contains(&format!("fn {name}()")))
        .collect();
    assert!(missing.is_empty(), "no such tests: {missing:?}");
}

/// All sources below `dir`, one after the other.
fn sources(dir: &Path) -> String {
    let paths = dir.read_dir().unwrap().map(|entry| entry.unwrap().path());
    paths
        .map(|path| {
            if path.is_dir() {
                sources(&path)
            } else {
                std::fs::read_to_string(path).unwrap_or_default()
            }
        })
        .collect()
}

#[test]
fn an_ellipsis_stands_for_any_text() {
    assert!(matches("a … c", "a b c"));
    assert!(matches("{\"id\":\"…", "{\"id\":\"7\"}"));
    assert!(!matches("a … c", "a b d"));
    assert!(!matches("a", "a b"));
}
