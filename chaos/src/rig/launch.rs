//! How the program under test is started.

use super::link::Link;
use super::proc::Launch;
use super::{GRACE_SECONDS, RigOptions};

fn launch(options: &RigOptions, args: &str, env: &[(&str, &str)]) -> Launch {
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Launch {
        program: options.bloom.clone(),
        args: args.split_whitespace().map(str::to_owned).collect(),
        env: env.iter().map(pair).collect(),
        user: None,
        at_our_death: "KILL",
    }
}

/// A service on `port` with the database at `url`.
#[must_use]
pub fn service(options: &RigOptions, port: u16, url: &str, root: &str, plane: &str) -> Launch {
    let args = format!(
        "serve --listen 127.0.0.1:{port} --rate-per-minute 0 --heavy-rate-per-minute 0 \
         --reap-grace-seconds {GRACE_SECONDS} --drain-seconds 5 --membridge-url {plane} \
         --sync-interval-ms 1000 --outbound-allow 127.0.0.0/8"
    );
    let env = [
        ("DATABASE_URL", url),
        ("RUNTIME_API_KEY", root),
        ("BLOOM_LOG", "info,bloom_runtime::http=warn"),
    ];
    launch(options, &args, &env)
}

/// A worker that runs our program, at the end of `link`.
///
/// # Errors
/// When its directory cannot be made.
pub fn worker(options: &RigOptions, link: &Link, key: &str, name: &str) -> anyhow::Result<Launch> {
    let work = options.dir.join(name);
    std::fs::create_dir_all(&work)?;
    let args = format!(
        "worker --server http://127.0.0.1:{} --name {name} --concurrency 2 --ttl {} \
         --poll-wait 5 --kill-grace 1 --shutdown-grace 3 --label programs",
        link.port(),
        options.worker_ttl
    );
    let env = [("BLOOM_API_KEY", key), ("BLOOM_LOG", "info")];
    let mut launch = launch(options, &args, &env);
    let (me, dir) = (std::env::current_exe()?, options.dir.join("program"));
    let exec = format!("exec '{}' program --dir '{}'", me.display(), dir.display());
    let work = work.display().to_string();
    launch
        .args
        .extend(["--exec".to_owned(), exec, "--work-dir".to_owned(), work]);
    Ok(launch)
}
