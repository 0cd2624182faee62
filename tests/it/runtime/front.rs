//! A real nginx in front of a service, with the configuration that is shipped.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use uuid::Uuid;

use super::{Api, KEY, Runtime, eventually};
use bloom_runtime::service::Options;

/// nginx in front of a service; ends when dropped.
pub struct Nginx {
    pub api: Api,
    dir: PathBuf,
    child: Child,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        // SIGQUIT would wait for requests.
        let _ended_already = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        drop(self.child.wait());
        drop(std::fs::remove_dir_all(&self.dir));
    }
}

impl Nginx {
    /// In front of the service at `base`: the shipped file, with only the two addresses changed.
    pub async fn start(base: &str) -> Self {
        Self::start_within(base, "").await
    }

    /// The same, with more of the operator's own in the http block around it.
    pub async fn start_within(base: &str, more: &str) -> Self {
        let nginx = Self::launch(base, more, |_, shipped| shipped);
        nginx.answers().await;
        nginx
    }

    /// Waits until it answers for a service behind it.
    pub async fn answers(&self) {
        eventually("nginx answers", async || {
            let request = self.api.request(reqwest::Method::GET, "/health");
            let reply = self.api.try_send(request).await.ok();
            reply.filter(|reply| reply.status == 200)
        })
        .await;
    }

    /// Starts it on the shipped file, as `edit` leaves it, which is told the directory that nginx
    /// has. Whether it answers is for the caller to see.
    pub fn launch(base: &str, more: &str, edit: impl FnOnce(&Path, String) -> String) -> Self {
        let dir = std::env::temp_dir().join(format!("bloom-nginx-{}", Uuid::new_v4()));
        std::fs::create_dir_all(&dir).unwrap();
        let port = {
            let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            free.local_addr().unwrap().port()
        };
        let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/nginx.conf");
        let shipped = std::fs::read_to_string(shipped).unwrap();
        let address = base.strip_prefix("http://").unwrap();
        let bloom = shipped
            .replace("server 127.0.0.1:5000;", &format!("server {address};"))
            .replace("listen 80;", &format!("listen 127.0.0.1:{port};"));
        assert_ne!(bloom, shipped);
        std::fs::write(dir.join("bloom.conf"), edit(&dir, bloom)).unwrap();
        let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {}/{name};", dir.display()))
            .join("\n");
        let wrapper = format!(
            "daemon off; pid {0}/pid; error_log {0}/error.log;\nevents {{}}\n\
             http {{\naccess_log off;\n{more}\n{paths}\ninclude {0}/bloom.conf;\n}}\n",
            dir.display()
        );
        std::fs::write(dir.join("nginx.conf"), wrapper).unwrap();
        let program = ["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/bin/nginx"]
            .into_iter()
            .find(|path| Path::new(path).exists())
            .expect("nginx is installed");
        let child = Command::new(program)
            .arg("-c")
            .arg(dir.join("nginx.conf"))
            .arg("-p")
            .arg(&dir)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let api = Api::new(&format!("http://127.0.0.1:{port}"), Some(KEY));
        Self { api, dir, child }
    }

    /// Replaces a line of the configuration in use; takes effect with [`Nginx::reload`].
    pub fn edit(&self, from: &str, to: &str) {
        let path = self.dir.join("bloom.conf");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from} is not in the configuration");
        std::fs::write(&path, text.replace(from, to)).unwrap();
    }

    /// Its worker processes: two while one still ends what it began before a reload.
    pub fn workers(&self) -> Vec<String> {
        let pid = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let children = children.unwrap_or_default();
        children.split_whitespace().map(str::to_owned).collect()
    }

    pub fn reload(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    }
}

impl Runtime {
    /// On a fresh database, with nginx in front: [`Runtime::api`] goes through it.
    pub async fn behind_nginx() -> Self {
        Self::behind_nginx_with(|_| ()).await
    }

    /// The same, with other options.
    pub async fn behind_nginx_with(change: impl FnOnce(&mut Options)) -> Self {
        let mut runtime = Self::start_with(change).await;
        let nginx = Nginx::start(&runtime.api.base).await;
        runtime.api = nginx.api.clone();
        runtime.front = Some(nginx);
        runtime
    }
}
