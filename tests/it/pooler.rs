//! A real pgbouncer in front of the database.

use std::fmt::Write as _;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::pg::Cluster;
use crate::runtime::KEY;
use crate::runtime::process::{Scratch, bloom};

/// pgbouncer in transaction mode; ended when dropped.
struct Pooler {
    child: Child,
    url: String,
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::KILL);
        drop(self.child.wait());
    }
}

/// A port that nobody uses.
fn free_port() -> u16 {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().port()
}

impl Pooler {
    /// In front of the server on `port`, with these settings beside the usual ones.
    fn start(scratch: &Scratch, port: u16, settings: &str) -> Self {
        let own = free_port();
        let mut text = String::from("[databases]\n");
        writeln!(text, "* = host=127.0.0.1 port={port} user=postgres").unwrap();
        writeln!(
            text,
            "[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {own}"
        )
        .unwrap();
        writeln!(
            text,
            "auth_type = any\npool_mode = transaction\nunix_socket_dir ="
        )
        .unwrap();
        writeln!(text, "{settings}").unwrap();
        let file = scratch.path().join(format!("pooler-{own}.ini"));
        std::fs::write(&file, text).unwrap();
        let mut command = if rustix::process::geteuid().is_root() {
            // It refuses to be root.
            let mut command = Command::new("setpriv");
            command.args([
                "--reuid",
                "postgres",
                "--regid",
                "postgres",
                "--clear-groups",
            ]);
            command.arg("/usr/sbin/pgbouncer");
            command
        } else {
            Command::new("/usr/sbin/pgbouncer")
        };
        let child = command
            .arg(&file)
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        let child = child.spawn().expect("pgbouncer is installed");
        let url = format!("postgres://postgres@127.0.0.1:{own}/postgres?sslmode=disable");
        Self { child, url }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_in_front_of_the_database_is_refused_in_plain_words() {
    let port = free_port().to_string();
    let cluster = Cluster::start(&[("listen_addresses", "127.0.0.1"), ("port", &port)]).await;
    let scratch = Scratch::new();
    let port: u16 = port.parse().unwrap();
    for settings in ["", "ignore_startup_parameters = extra_float_digits,options"] {
        let pooler = Pooler::start(&scratch, port, settings);
        let mut serve = bloom();
        serve.args(["serve", "--listen", "127.0.0.1:0"]);
        serve
            .args(["--database-url", &pooler.url])
            .env("RUNTIME_API_KEY", KEY);
        let output = serve.output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{settings}: {text}");
        assert!(text.contains("connection pooler"), "{settings}: {text}");
    }
    drop(cluster);
}
