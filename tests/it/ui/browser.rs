//! A Chromium without a window, driven through chromedriver.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::runtime::KEY;
use crate::runtime::process::Scratch;

/// Longer than anything here takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// One browser with a profile of its own. Ends when dropped.
pub struct Browser {
    page: Client,
    driver: Child,
    /// `127.0.0.1:port` of chromedriver.
    address: String,
    session: String,
    http: reqwest::Client,
    _profile: Scratch,
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends the browser; what is left of it ends with its driver's process group.
        if let Ok(mut stream) = TcpStream::connect(&self.address) {
            let ask = format!(
                "DELETE /session/{} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
                self.session
            );
            drop(stream.set_read_timeout(Some(Duration::from_secs(10))));
            drop(stream.write_all(ask.as_bytes()));
            drop(stream.read_to_end(&mut Vec::new()));
        }
        let group = Pid::from_child(&self.driver);
        let _gone_already = kill_process_group(group, Signal::KILL);
        drop(self.driver.wait());
    }
}

impl Browser {
    /// With the page of `site`, and no key.
    pub async fn open(site: &str) -> Self {
        let browser = Self::start().await;
        browser.page.goto(site).await.unwrap();
        browser
    }

    /// With the page of `site` and the key with all rights.
    pub async fn signed_in(site: &str) -> Self {
        Self::with_key(site, KEY).await
    }

    /// With the page of `site` and this key, as if it had been entered.
    pub async fn with_key(site: &str, key: &str) -> Self {
        let browser = Self::open(site).await;
        let script = "sessionStorage.setItem('bloom-api-key', arguments[0])";
        browser.js(script, vec![json!(key)]).await;
        browser.page.refresh().await.unwrap();
        // The page that had no key yet was refused, and said so.
        browser.complaints().await;
        browser
    }

    async fn start() -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("chromedriver runs (Debian: chromium-driver)");
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port: u16 = lines
            .find_map(|line| {
                let line = line.unwrap();
                let (_, port) = line.split_once("started successfully on port ")?;
                port.trim_end_matches('.').parse().ok()
            })
            .expect("chromedriver says its port");
        std::thread::spawn(move || lines.for_each(drop));
        let profile = Scratch::new();
        let arguments = [
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--lang=en-US".to_owned(),
            "--window-size=1280,900".to_owned(),
            format!("--user-data-dir={}", profile.path().display()),
        ];
        let capabilities = json!({
            "goog:chromeOptions": {"args": arguments, "prefs": {"intl.accept_languages": "en-US"}},
            "goog:loggingPrefs": {"browser": "ALL"},
        });
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let page = ClientBuilder::new(connector)
            .capabilities(capabilities.as_object().unwrap().clone())
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .expect("Chromium starts");
        let session = page.session_id().await.unwrap().expect("a session");
        Self {
            page,
            driver,
            address: format!("127.0.0.1:{port}"),
            session,
            http: reqwest::Client::new(),
            _profile: profile,
        }
    }

    /// Goes to a place of the page, e.g. `tasks`.
    pub async fn go(&self, place: &str) {
        let script = "location.hash = '#/' + arguments[0]";
        self.js(script, vec![json!(place)]).await;
    }

    /// Loads the page anew.
    pub async fn reload(&self) {
        self.page.refresh().await.unwrap();
    }

    /// Runs a function body in the page, whatever the page's own policy.
    pub async fn js(&self, script: &str, arguments: Vec<Value>) -> Value {
        let ran = self.page.execute(script, arguments).await;
        ran.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// The same for a body that calls its last argument with the answer.
    pub async fn js_async(&self, script: &str) -> Value {
        self.page.execute_async(script, vec![]).await.unwrap()
    }

    /// Waits until a function body returns something that is true.
    pub async fn until(&self, what: &str, script: &str, arguments: Vec<Value>) -> Value {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let value = self.js(script, arguments.clone()).await;
            if !matches!(value, Value::Null | Value::Bool(false)) && value != json!("") {
                return value;
            }
            if Instant::now() >= deadline {
                let shown = "return location.href + '\\n' + document.body.innerText";
                let shown = self.js(shown, vec![]).await;
                panic!("not in time: {what}\n{}", shown.as_str().unwrap_or(""));
            }
            sleep(Duration::from_millis(40)).await;
        }
    }

    /// Waits until something that matches `css` shows `text`.
    pub async fn sees(&self, css: &str, text: &str) {
        let script = "return [...document.querySelectorAll(arguments[0])]
            .some(one => one.innerText.includes(arguments[1]))";
        let what = format!("{css} shows {text:?}");
        self.until(&what, script, vec![json!(css), json!(text)])
            .await;
    }

    /// Waits until nothing matches `css`.
    pub async fn lacks(&self, css: &str) {
        let script = "return !document.querySelector(arguments[0])";
        self.until(&format!("no {css}"), script, vec![json!(css)])
            .await;
    }

    /// Waits until the page with this heading is there and has its data.
    pub async fn settled(&self, heading: &str) {
        let script = "return document.querySelector('main h1')?.innerText.includes(arguments[0])
            && !document.querySelector('main .skeleton')";
        let what = format!("the page {heading} is there");
        self.until(&what, script, vec![json!(heading)]).await;
    }

    /// Clicks what matches `css`, once it is there: as a person does, so it fails where something
    /// lies on top of it.
    pub async fn click(&self, css: &str) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let failed = match self.page.find(Locator::Css(css)).await {
                Ok(element) => match element.click().await {
                    Ok(()) => return,
                    Err(error) => error,
                },
                Err(error) => error,
            };
            // It may be drawn anew between the two.
            assert!(
                Instant::now() < deadline,
                "{css} cannot be clicked: {failed}"
            );
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Types into what matches `css`, in place of what stands there.
    pub async fn type_into(&self, css: &str, text: &str) {
        self.click(css).await;
        let element = self.page.find(Locator::Css(css)).await.unwrap();
        element.clear().await.unwrap();
        element.send_keys(text).await.unwrap();
    }

    /// Presses keys where the focus is.
    pub async fn press(&self, keys: &str) {
        let element = self.page.active_element().await.unwrap();
        element.send_keys(keys).await.unwrap();
    }

    /// Answers the open question with yes.
    pub async fn confirm(&self) {
        self.click("dialog [data-confirm]").await;
        self.lacks("dialog[open]").await;
    }

    /// What the browser complained about since the last time: messages of its console.
    pub async fn complaints(&self) -> Vec<String> {
        let answer = self.command("se/log", json!({ "type": "browser" })).await;
        let entries = answer["value"].as_array().expect("a log").clone();
        // What it merely advises is no complaint.
        let is_grave = |entry: &&Value| {
            ["SEVERE", "WARNING"]
                .iter()
                .any(|level| entry["level"] == *level)
        };
        let text = |entry: &Value| entry["message"].as_str().unwrap_or_default().to_owned();
        entries.iter().filter(is_grave).map(text).collect()
    }

    /// Makes the window's content this large, in a light or a dark scheme.
    pub async fn look(&self, width: u32, height: u32, scheme: &str) {
        let size =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", size)
            .await;
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", media).await;
    }

    /// A command of the browser's own protocol.
    pub async fn devtools(&self, name: &str, parameters: Value) {
        let body = json!({ "cmd": name, "params": parameters });
        let answer = self.command("goog/cdp/execute", body).await;
        assert!(answer["value"]["error"].is_null(), "{answer}");
    }

    async fn command(&self, path: &str, body: Value) -> Value {
        let url = format!("http://{}/session/{}/{path}", self.address, self.session);
        let answer = self.http.post(url).json(&body).send().await.unwrap();
        answer.json().await.unwrap()
    }

    /// A picture of what is shown (PNG).
    pub async fn picture(&self) -> Vec<u8> {
        self.page.screenshot().await.unwrap()
    }
}
