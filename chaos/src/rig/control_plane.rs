//! A Membridge control plane that knows no agents, in good moods and bad.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;

/// How it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mood {
    /// As it should.
    #[default]
    Fine,
    /// A byte now and then.
    Dripping,
    /// With 500.
    Broken,
    /// With something that is no JSON.
    Nonsense,
    /// With a body that never ends.
    Endless,
    /// With a redirect.
    Elsewhere,
    /// With a head and nothing after it.
    Silent,
}

const BAD: [Mood; 6] = [
    Mood::Dripping,
    Mood::Broken,
    Mood::Nonsense,
    Mood::Endless,
    Mood::Elsewhere,
    Mood::Silent,
];

/// It lives as long as the program.
#[derive(Debug)]
pub struct ControlPlane {
    port: u16,
    mood: watch::Sender<Mood>,
}

impl ControlPlane {
    /// Starts it on a free port.
    ///
    /// # Errors
    /// When there is none.
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let mood = watch::Sender::new(Mood::Fine);
        let moods = mood.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, moods.subscribe()));
            }
        });
        Ok(Self { port, mood })
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// One of the bad moods.
    #[must_use]
    pub fn some_mood(&self, rng: &mut fastrand::Rng) -> Mood {
        BAD[rng.usize(..BAD.len())]
    }

    /// Changes its mood.
    pub fn set(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// In a good mood again.
    pub fn heal(&self) {
        self.set(Mood::Fine);
    }
}

/// Answers one request and closes the connection. Whatever is going on ends with the mood.
async fn answer(mut stream: TcpStream, mut mood: watch::Receiver<Mood>) {
    let mut head = [0; 4096];
    if stream.read(&mut head).await.is_err() {
        return;
    }
    let now = *mood.borrow_and_update();
    tokio::select! {
        _ = speak(&mut stream, now) => {}
        _ = mood.changed() => {}
    }
}

async fn speak(stream: &mut TcpStream, mood: Mood) -> std::io::Result<()> {
    let json = "content-type: application/json\r\nconnection: close\r\n";
    let whole = |status: &str, body: &str| {
        format!(
            "HTTP/1.1 {status}\r\n{json}content-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let long = format!("HTTP/1.1 200 OK\r\n{json}content-length: 100000\r\n\r\n");
    match mood {
        Mood::Fine => stream.write_all(whole("200 OK", "[]").as_bytes()).await,
        Mood::Broken => stream.write_all(whole("500 Oh", "{}").as_bytes()).await,
        Mood::Nonsense => {
            stream
                .write_all(whole("200 OK", "{\"a\":[}").as_bytes())
                .await
        }
        Mood::Elsewhere => {
            let head = "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\n\
                        content-length: 0\r\n\r\n";
            stream.write_all(head.as_bytes()).await
        }
        Mood::Silent => {
            stream.write_all(long.as_bytes()).await?;
            std::future::pending().await
        }
        Mood::Dripping => {
            stream.write_all(long.as_bytes()).await?;
            loop {
                stream.write_all(b" ").await?;
                sleep(Duration::from_millis(200)).await;
            }
        }
        Mood::Endless => {
            let head = format!("HTTP/1.1 200 OK\r\n{json}\r\n");
            stream.write_all(head.as_bytes()).await?;
            loop {
                stream.write_all(&[b' '; 8192]).await?;
            }
        }
    }
}
