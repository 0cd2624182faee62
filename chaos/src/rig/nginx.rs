//! nginx in front of the services, with the configuration that is shipped.

use std::path::Path;

use anyhow::{Context as _, ensure};

use super::machine::which;
use super::proc::{Launch, Proc};

/// The shipped configuration.
const SHIPPED: &str = include_str!("../../../deploy/nginx.conf");

/// Prepares nginx on `port` in front of the services at `upstreams`: the shipped file, with only
/// the addresses changed.
///
/// # Errors
/// When nginx is not installed, or the shipped file is not what it was.
pub fn prepare(logs: &Path, dir: &Path, port: u16, upstreams: &[u16]) -> anyhow::Result<Proc> {
    std::fs::create_dir_all(dir)?;
    let program = which("nginx").context("nginx is not installed")?;
    let servers: Vec<String> = upstreams
        .iter()
        .map(|port| format!("server 127.0.0.1:{port};"))
        .collect();
    let listens = SHIPPED.contains("server 127.0.0.1:5000") && SHIPPED.contains("listen 80;");
    ensure!(
        listens,
        "the shipped nginx configuration has other addresses"
    );
    let first = SHIPPED
        .lines()
        .find(|line| line.contains("server 127.0.0.1:5000"))
        .context("no upstream")?;
    let bloom = SHIPPED
        .replace(first.trim(), &servers.join("\n    "))
        .replace("listen 80;", &format!("listen 127.0.0.1:{port};"));
    std::fs::write(dir.join("bloom.conf"), bloom)?;
    let temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {}/{name};\n", dir.display()))
        .concat();
    let user = if super::machine::is_root() {
        "user root;\n"
    } else {
        ""
    };
    let wrapper = format!(
        "{user}daemon off;\npid {0}/pid;\nerror_log {0}/error.log;\nworker_processes 1;\n\
         events {{ worker_connections 2048; }}\n\
         http {{\naccess_log off;\n{temp}include {0}/bloom.conf;\n}}\n",
        dir.display()
    );
    std::fs::write(dir.join("nginx.conf"), wrapper)?;
    let args = [
        "-c".to_owned(),
        dir.join("nginx.conf").display().to_string(),
    ];
    let launch = Launch {
        program,
        args: [&args[..], &["-p".to_owned(), dir.display().to_string()]].concat(),
        at_our_death: "TERM",
        ..Launch::default()
    };
    Ok(Proc::new(logs, "nginx", launch))
}
