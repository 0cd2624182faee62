//! A TCP connection that misbehaves on demand: a proxy on 127.0.0.1 between two parts.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::AsyncReadExt as _;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;

/// The most that is passed on at once.
const CHUNK: usize = 16 * 1024;
/// How much a dripping link passes on at once, and how often.
const DROP: usize = 16;
const DRIP: Duration = Duration::from_millis(20);

/// Which of a link's connections a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scope {
    /// All.
    #[default]
    All,
    /// Only those on which somebody has sent LISTEN to PostgreSQL.
    Listeners,
}

/// How a link behaves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "any of them may hold beside the others"
)]
pub struct Rules {
    /// Whose.
    pub scope: Scope,
    /// Each piece is late by so much.
    pub delay: Duration,
    /// Nothing arrives at the server.
    pub hole_up: bool,
    /// Nothing arrives at the client.
    pub hole_down: bool,
    /// A few bytes at a time.
    pub drip: bool,
    /// Each connection is reset after so many bytes from the client.
    pub cut_after: Option<u64>,
    /// New connections are reset.
    pub refuse: bool,
}

/// How connections end that are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// FIN.
    Close,
    /// RST.
    Reset,
}

/// What all connections of a link share.
#[derive(Debug)]
struct State {
    upstream: Mutex<SocketAddr>,
    rules: watch::Sender<Rules>,
    /// Counts cuts; the last one's kind.
    cuts: watch::Sender<(u64, Scope, bool)>,
    /// How many answers are still to be swallowed, together with their connection.
    swallow: AtomicUsize,
    swallowed: AtomicU64,
    open: AtomicUsize,
}

/// A link. It lives as long as the program.
#[derive(Debug, Clone)]
pub struct Link {
    name: &'static str,
    port: u16,
    state: Arc<State>,
}

impl Link {
    /// Opens a link to `upstream` on a free port.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn open(name: &'static str, upstream: u16) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let state = Arc::new(State {
            upstream: Mutex::new(SocketAddr::from(([127, 0, 0, 1], upstream))),
            rules: watch::Sender::new(Rules::default()),
            cuts: watch::Sender::new((0, Scope::All, false)),
            swallow: AtomicUsize::new(0),
            swallowed: AtomicU64::new(0),
            open: AtomicUsize::new(0),
        });
        tokio::spawn(accept(listener, Arc::clone(&state)));
        Ok(Self { name, port, state })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Where it listens on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// New connections go there.
    pub fn aim(&self, upstream: u16) {
        if let Ok(mut address) = self.state.upstream.lock() {
            address.set_port(upstream);
        }
    }

    /// Changes how it behaves.
    pub fn set(&self, rules: Rules) {
        self.state.rules.send_replace(rules);
    }

    /// Ends all connections (of this scope).
    pub fn cut(&self, scope: Scope, how: Cut) {
        let cuts = &self.state.cuts;
        cuts.send_modify(|cut| *cut = (cut.0 + 1, scope, how == Cut::Reset));
    }

    /// Swallows the next `count` answers: the server has done what it was asked, the client loses
    /// its connection instead of hearing of it.
    pub fn swallow(&self, count: usize) {
        self.state.swallow.store(count, Ordering::Relaxed);
    }

    /// Behaves again.
    pub fn heal(&self) {
        self.set(Rules::default());
        self.swallow(0);
    }

    /// How many answers were swallowed so far.
    #[must_use]
    pub fn swallowed(&self) -> u64 {
        self.state.swallowed.load(Ordering::Relaxed)
    }

    /// Connections that are open.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.state.open.load(Ordering::Relaxed)
    }
}

fn reset(stream: &TcpStream) {
    // Then closing sends RST.
    let _gone = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    loop {
        let Ok((client, _)) = listener.accept().await else {
            // Out of files, for instance: others may give some back.
            sleep(Duration::from_millis(20)).await;
            continue;
        };
        tokio::spawn(carry(client, Arc::clone(&state)));
    }
}

async fn carry(client: TcpStream, state: Arc<State>) {
    let refuse = state.rules.borrow().refuse;
    let address = state.upstream.lock().map(|address| *address);
    let (Ok(address), false) = (address, refuse) else {
        reset(&client);
        return;
    };
    let Ok(server) = TcpStream::connect(address).await else {
        reset(&client);
        return;
    };
    let _fast = (client.set_nodelay(true), server.set_nodelay(true));
    state.open.fetch_add(1, Ordering::Relaxed);
    let listens = Arc::new(AtomicUsize::new(0));
    let (client_in, client_out) = client.into_split();
    let (server_in, server_out) = server.into_split();
    let mut up = Pipe::new(&state, &listens, true);
    let mut down = Pipe::new(&state, &listens, false);
    let hard = tokio::select! {
        hard = up.pass(client_in, &server_out) => hard,
        hard = down.pass(server_in, &client_out) => hard,
        hard = cut(&state, &listens) => hard,
    };
    if hard {
        reset(client_out.as_ref());
        reset(server_out.as_ref());
    }
    state.open.fetch_sub(1, Ordering::Relaxed);
}

/// Waits for a cut that concerns this connection.
async fn cut(state: &State, listens: &AtomicUsize) -> bool {
    let mut cuts = state.cuts.subscribe();
    loop {
        if cuts.changed().await.is_err() {
            return false;
        }
        let (_, scope, hard) = *cuts.borrow();
        if scope == Scope::All || listens.load(Ordering::Relaxed) > 0 {
            return hard;
        }
    }
}

/// One direction of a connection.
struct Pipe<'a> {
    state: &'a State,
    listens: &'a AtomicUsize,
    rules: watch::Receiver<Rules>,
    is_up: bool,
    passed: u64,
}

impl<'a> Pipe<'a> {
    fn new(state: &'a State, listens: &'a AtomicUsize, is_up: bool) -> Self {
        let rules = state.rules.subscribe();
        Self {
            state,
            listens,
            rules,
            is_up,
            passed: 0,
        }
    }

    /// The rules that concern this connection now.
    fn now(&self) -> Rules {
        let rules = self.rules.borrow().clone();
        let concerned = rules.scope == Scope::All || self.listens.load(Ordering::Relaxed) > 0;
        if concerned { rules } else { Rules::default() }
    }

    /// Passes on until the end. Whether the connection is to be reset.
    async fn pass(&mut self, mut from: OwnedReadHalf, to: &OwnedWriteHalf) -> bool {
        let mut buffer = vec![0; CHUNK];
        loop {
            let Ok(count @ 1..) = from.read(&mut buffer).await else {
                return false;
            };
            let piece = &buffer[..count];
            if self.is_up && contains(piece, b"LISTEN") {
                self.listens.fetch_add(1, Ordering::Relaxed);
            }
            if !self.is_up && self.swallows() {
                return true;
            }
            self.passed += count as u64;
            if self.is_up
                && self
                    .now()
                    .cut_after
                    .is_some_and(|limit| self.passed > limit)
            {
                return true;
            }
            if self.hold_back().await.is_err() || self.send(piece, to).await.is_err() {
                return false;
            }
        }
    }

    fn swallows(&self) -> bool {
        let swallow = &self.state.swallow;
        let taken =
            swallow.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
        if taken.is_ok() {
            self.state.swallowed.fetch_add(1, Ordering::Relaxed);
        }
        taken.is_ok()
    }

    /// Waits as long as the rules say that nothing arrives, then for the delay.
    async fn hold_back(&mut self) -> Result<(), watch::error::RecvError> {
        loop {
            let rules = self.now();
            let hole = if self.is_up {
                rules.hole_up
            } else {
                rules.hole_down
            };
            if !hole {
                if !rules.delay.is_zero() {
                    sleep(rules.delay).await;
                }
                return Ok(());
            }
            self.rules.changed().await?;
        }
    }

    async fn send(&self, piece: &[u8], to: &OwnedWriteHalf) -> std::io::Result<()> {
        let mut rest = piece;
        while !rest.is_empty() {
            let drip = self.now().drip;
            let part = if drip {
                rest.len().min(DROP)
            } else {
                rest.len()
            };
            write_all(to, &rest[..part]).await?;
            rest = &rest[part..];
            if drip {
                sleep(DRIP).await;
            }
        }
        Ok(())
    }
}

async fn write_all(to: &OwnedWriteHalf, mut piece: &[u8]) -> std::io::Result<()> {
    while !piece.is_empty() {
        to.writable().await?;
        match to.try_write(piece) {
            Ok(count) => piece = &piece[count..],
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether `word` (upper case) stands in `text`, in any case.
fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len())
        .any(|part| part.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    async fn echo() -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
        port
    }

    async fn through(link: &Link) -> TcpStream {
        TcpStream::connect(("127.0.0.1", link.port()))
            .await
            .unwrap()
    }

    async fn ask(stream: &mut TcpStream) -> std::io::Result<[u8; 4]> {
        stream.write_all(b"ping").await?;
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).await?;
        Ok(answer)
    }

    #[tokio::test]
    async fn a_healthy_link_changes_nothing() {
        let link = Link::open("l", echo().await).await.unwrap();
        let mut stream = through(&link).await;
        assert_eq!(&ask(&mut stream).await.unwrap(), b"ping");
    }

    #[tokio::test]
    async fn a_swallowed_answer_costs_the_connection_and_only_one() {
        let link = Link::open("l", echo().await).await.unwrap();
        link.swallow(1);
        assert!(ask(&mut through(&link).await).await.is_err());
        assert!(ask(&mut through(&link).await).await.is_ok());
        assert_eq!(link.swallowed(), 1);
    }

    #[tokio::test]
    async fn what_a_hole_held_back_arrives_when_it_is_closed() {
        let link = Link::open("l", echo().await).await.unwrap();
        let mut stream = through(&link).await;
        link.set(Rules {
            hole_down: true,
            ..Rules::default()
        });
        stream.write_all(b"ping").await.unwrap();
        let mut answer = [0; 4];
        let early = stream.read_exact(&mut answer);
        assert!(
            tokio::time::timeout(Duration::from_millis(100), early)
                .await
                .is_err()
        );
        link.heal();
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"ping");
    }

    #[tokio::test]
    async fn a_rule_for_listeners_leaves_others_alone() {
        let link = Link::open("l", echo().await).await.unwrap();
        let (mut listener, mut other) = (through(&link).await, through(&link).await);
        listener.write_all(b"listen").await.unwrap();
        listener.read_exact(&mut [0; 6]).await.unwrap();
        link.cut(Scope::Listeners, Cut::Reset);
        assert!(ask(&mut other).await.is_ok());
        assert!(ask(&mut listener).await.is_err());
    }

    #[tokio::test]
    async fn a_connection_is_cut_after_so_many_bytes() {
        let link = Link::open("l", echo().await).await.unwrap();
        link.set(Rules {
            cut_after: Some(6),
            ..Rules::default()
        });
        let mut stream = through(&link).await;
        assert!(ask(&mut stream).await.is_ok());
        assert!(ask(&mut stream).await.is_err());
    }
}
