//! A real S3 server for tests: `rclone serve s3` on a directory, whose subdirectories are buckets.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use bloom_runtime::artifacts::{Download, Options, Scheme, Sweep};
use secrecy::SecretString;

use crate::runtime::eventually;
use crate::runtime::process::Scratch;

/// The bucket that is there.
pub const BUCKET: &str = "outputs";
/// The name of its key.
pub const ACCESS_KEY: &str = "bloom-access-key";
/// Its key.
pub const SECRET_KEY: &str = "object-secret-canary-77d1";

/// An S3 server; ends when dropped.
pub struct S3 {
    child: Option<Child>,
    pub dir: Scratch,
    port: u16,
}

impl Drop for S3 {
    fn drop(&mut self) {
        self.stop();
    }
}

fn program() -> &'static str {
    static PROGRAM: OnceLock<String> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/s3-server.sh");
        let answer = Command::new(script).stderr(Stdio::inherit()).output();
        let answer = answer.unwrap();
        assert!(answer.status.success(), "{script} failed");
        String::from_utf8(answer.stdout).unwrap().trim().to_owned()
    })
}

impl S3 {
    /// A running server with an empty bucket.
    pub async fn start() -> Self {
        let mut s3 = Self::stopped();
        s3.resume().await;
        s3
    }

    /// A server that does not run yet; its address is known.
    pub fn stopped() -> Self {
        let dir = Scratch::new();
        std::fs::create_dir(dir.path().join(BUCKET)).unwrap();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        Self {
            child: None,
            dir,
            port,
        }
    }

    /// Starts it (again), and waits until it answers.
    pub async fn resume(&mut self) {
        let child = Command::new(program())
            .args(["serve", "s3", "--addr", &format!("127.0.0.1:{}", self.port)])
            .args(["--auth-key", &format!("{ACCESS_KEY},{SECRET_KEY}")])
            // What tests do to the files is to be seen soon. (With 0 a DELETE never ends.)
            .args(["--dir-cache-time", "200ms", "--config", "/dev/null"])
            .arg(self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.child = Some(child.unwrap());
        eventually("the S3 server answers", async || {
            std::net::TcpStream::connect(("127.0.0.1", self.port)).ok()
        })
        .await;
    }

    /// Kills it.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What a service is told of it: outputs of 1000 bytes and more, removed as soon as they are
    /// nobody's.
    pub fn options(&self) -> Options {
        Options {
            scheme: Scheme::Minio,
            endpoint: Some(self.endpoint()),
            public_endpoint: None,
            bucket: BUCKET.to_owned(),
            region: "us-east-1".to_owned(),
            access_key: ACCESS_KEY.to_owned(),
            secret_key: SecretString::from(SECRET_KEY),
            path_style: true,
            prefix: "bloom".to_owned(),
            threshold: 1000,
            timeout: Duration::from_secs(20),
            download: Download::Proxy,
            link_life: Duration::from_secs(60),
            sweep: None,
        }
    }

    /// The same, with the sweep at work.
    pub fn options_with_sweep(&self) -> Options {
        Options {
            sweep: Some(Sweep {
                every: Duration::from_millis(200),
                older_than: Duration::ZERO,
            }),
            ..self.options()
        }
    }

    /// The keys of all objects.
    pub fn keys(&self) -> Vec<String> {
        let bucket = self.dir.path().join(BUCKET);
        let mut found = Vec::new();
        files(&bucket, &mut found);
        let mut keys: Vec<_> = found
            .iter()
            .map(|file| file.strip_prefix(&bucket).unwrap().display().to_string())
            .collect();
        keys.sort();
        keys
    }

    /// The file behind an artifact's address.
    pub fn file(&self, url: &str) -> PathBuf {
        let key = url.strip_prefix(&format!("minio://{BUCKET}/")).unwrap();
        self.dir.path().join(BUCKET).join(key)
    }

    /// Puts an object there past everybody.
    pub fn plant(&self, key: &str, text: &str) {
        let file = self.dir.path().join(BUCKET).join(key);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::File::create(file)
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
    }
}

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    // Directories come and go while the server works.
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}
