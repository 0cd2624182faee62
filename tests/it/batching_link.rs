//! A proxy before Postgres that loses answers: the server has committed, nobody hears of it.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bloom_runtime::db::Endpoint;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, UnixStream};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

/// The message with which a server says what number its backend has.
const BACKEND: u8 = b'K';
/// The message that ends an answer; the transaction is over before it is sent.
const READY: u8 = b'Z';

/// A proxy. It lives as long as the test's runtime.
pub struct Link {
    address: SocketAddr,
    config: Config,
    losses: Arc<Losses>,
}

#[derive(Default)]
struct Losses {
    /// Backends whose next answer will be lost.
    doomed: Mutex<HashSet<i32>>,
    lost: AtomicUsize,
}

impl Link {
    /// One before this server, which listens on a Unix socket.
    pub fn before(server: &Endpoint) -> Self {
        let config = server.config().clone();
        let Host::Unix(dir) = &config.get_hosts()[0] else {
            panic!("the tests' servers listen on Unix sockets");
        };
        let socket = dir.join(format!(".s.PGSQL.{}", config.get_ports()[0]));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let losses = Arc::default();
        let listener = TcpListener::from_std(listener).unwrap();
        tokio::spawn(accept(listener, socket, Arc::clone(&losses)));
        Self {
            address,
            config,
            losses,
        }
    }

    /// The way through it.
    pub fn endpoint(&self) -> Endpoint {
        let mut config = Config::new();
        config
            .host(self.address.ip().to_string())
            .port(self.address.port())
            .ssl_mode(SslMode::Disable)
            .user(self.config.get_user().unwrap())
            .dbname(self.config.get_dbname().unwrap());
        Endpoint::new(config, None).unwrap()
    }

    /// The next answer of each of these backends is lost, and its connection with it.
    pub fn lose(&self, backends: impl IntoIterator<Item = i32>) {
        self.losses.doomed.lock().unwrap().extend(backends);
    }

    /// How many answers were lost so far.
    pub fn lost(&self) -> usize {
        self.losses.lost.load(Ordering::Relaxed)
    }
}

async fn accept(listener: TcpListener, socket: PathBuf, losses: Arc<Losses>) {
    loop {
        let (client, _) = listener.accept().await.unwrap();
        client.set_nodelay(true).unwrap();
        let (socket, losses) = (socket.clone(), Arc::clone(&losses));
        tokio::spawn(async move {
            let Ok(server) = UnixStream::connect(&socket).await else {
                return;
            };
            let (mut asking, answered) = client.into_split();
            let (answering, mut asked) = server.into_split();
            // Whichever ends first ends both connections.
            tokio::select! {
                _ = tokio::io::copy(&mut asking, &mut asked) => {}
                _ = pass_answers(answering, answered, &losses) => {}
            }
        });
    }
}

/// Passes on message by message, until the end of an answer that is to be lost.
async fn pass_answers(
    from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    losses: &Losses,
) -> std::io::Result<()> {
    let mut from = BufReader::new(from);
    let mut backend = None;
    loop {
        let (kind, length) = (from.read_u8().await?, from.read_i32().await?);
        let mut message = [&[kind][..], &length.to_be_bytes()].concat();
        let rest = usize::try_from(length).unwrap() - size_of_val(&length);
        message.resize(message.len() + rest, 0);
        from.read_exact(&mut message[5..]).await?;
        if kind == BACKEND {
            backend = Some(i32::from_be_bytes(message[5..9].try_into().unwrap()));
        }
        let is_doomed = |id: i32| losses.doomed.lock().unwrap().contains(&id);
        if !backend.is_some_and(is_doomed) {
            to.write_all(&message).await?;
        } else if kind == READY {
            losses.lost.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
    }
}
