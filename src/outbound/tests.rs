use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::sync::Mutex;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::outbound::resolver::Addresses;

const LIMIT: Duration = Duration::from_secs(20);

fn policy(entries: &[&str]) -> Policy {
    Policy::new(entries.iter().map(|entry| entry.parse().unwrap()).collect())
}

fn guard(entries: &[&str]) -> Guard {
    // Fails when another test installed it already.
    drop(rustls::crypto::ring::default_provider().install_default());
    Guard::new(policy(entries)).unwrap()
}

/// Answers with one list of addresses after the other; the last one stays.
#[derive(Debug)]
struct Scripted(Mutex<VecDeque<Vec<IpAddr>>>);

impl Scripted {
    fn new(answers: &[&str]) -> Arc<Self> {
        let read = |list: &&str| list.split(' ').map(|ip| ip.parse().unwrap()).collect();
        Arc::new(Self(Mutex::new(answers.iter().map(read).collect())))
    }
}

impl Lookup for Scripted {
    fn lookup(&self, _host: &str) -> Addresses {
        let mut answers = self.0.lock().unwrap();
        let answer = match answers.len() {
            0 | 1 => answers.front().cloned(),
            _ => answers.pop_front(),
        };
        let answer = answer.ok_or_else(|| io::Error::from(ErrorKind::NotFound));
        Box::pin(async move { answer })
    }
}

/// Answers every connection with these bytes; counts them.
async fn serve(answer: &'static [u8]) -> (u16, Arc<Mutex<u32>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            *counted.lock().unwrap() += 1;
            let mut head = [0; 1024];
            let _read = stream.read(&mut head).await;
            let _sent = stream.write_all(answer).await;
        }
    });
    (port, count)
}

async fn get(guard: &Guard, url: &str) -> Result<Answer, Failure> {
    let url = guard.check(url).map_err(Failure::Refused)?;
    guard.send(Request::get(url, LIMIT, 1000)).await
}

#[test]
fn addresses_inside_are_refused_in_every_disguise() {
    let guard = guard(&[]);
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "0",
        "0.0.0.0",
        "10.0.0.3",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[fe80::1]",
        "[fd00::1]",
        "[fd00:ec2::254]",
        "[ff02::1]",
        "224.0.0.1",
        "255.255.255.255",
    ] {
        let refusal = guard.check(&format!("http://{host}/")).unwrap_err();
        assert!(refusal.contains("allowed"), "{host}: {refusal}");
    }
    assert!(guard.check("http://93.184.216.34:8000").is_ok());
    assert!(guard.check("https://membridge.example/base").is_ok());
}

#[test]
fn a_url_is_nothing_but_scheme_host_port_and_path() {
    let guard = guard(&[]);
    for (url, why) in [
        ("file:///etc/passwd", "http://"),
        ("gopher://example.org/", "http://"),
        ("unix:/run/x.sock", "http://"),
        ("//example.org", "not a URL"),
        ("http://", "not a URL"),
        ("http://user@example.org/", "user"),
        ("http://user:word@example.org/", "user"),
        ("http://example.org/?a=b", "? or #"),
        ("http://example.org/#a", "? or #"),
    ] {
        let refusal = guard.check(url).unwrap_err();
        assert!(refusal.contains(why), "{url}: {refusal}");
    }
    // The second one grows when it is read.
    for path in ["a".repeat(3000), "é".repeat(1000)] {
        assert!(guard.check(&format!("http://e.org/{path}")).is_err());
    }
}

#[test]
fn an_entry_opens_what_it_names_and_nothing_else() {
    let guard = guard(&[
        "10.1.0.0/16",
        "127.0.0.1",
        "fd00::/8",
        "node.lan:8001",
        "10.9.0.3:8001",
    ]);
    for url in [
        "http://10.1.2.3:8001",
        "http://127.0.0.1:1",
        "http://[::ffff:10.1.2.3]/",
        "http://[fd00::9]/",
        "http://NODE.lan.:8001/",
        "http://10.9.0.3:8001/",
    ] {
        assert!(guard.check(url).is_ok(), "{url}");
    }
    for url in [
        "http://127.0.0.2../",
        "http://10.2.0.1/",
        "http://127.0.0.2/",
        "http://node.lan:8002/",
        "http://10.9.0.3:8002/",
        "http://10.9.0.3/",
        "http://169.254.169.254/",
        "http://[fd00:ec2::254]/",
    ] {
        assert!(guard.check(url).is_err(), "{url}");
    }
    for wrong in [
        "",
        "a b",
        "http://x",
        "10.0.0.0/99",
        "u@h",
        "h:99999",
        "h/p",
    ] {
        assert!(wrong.parse::<Entry>().is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn where_only_what_is_listed_may_be_called_public_addresses_are_closed_too() {
    drop(rustls::crypto::ring::default_provider().install_default());
    let listed = policy(&["93.184.216.0/24", "127.0.0.1", "hooks.example:8443"]).listed_only(true);
    let guard = Guard::new(listed.clone()).unwrap();
    assert!(guard.check("http://93.184.216.34/").is_ok());
    assert!(guard.check("http://127.0.0.1:8000/").is_ok());
    assert!(guard.check("https://hooks.example:8443/").is_ok());
    for url in [
        "http://93.184.217.34/",
        "http://[2606:2800:220:1::1]/",
        "http://10.0.0.1/",
        "https://hooks.example/",
    ] {
        let refusal = guard.check(url).unwrap_err();
        assert!(refusal.contains("BLOOM_OUTBOUND_ALLOW"), "{url}: {refusal}");
    }
    // What a name leads to is seen when it is dialled.
    let lookup = Scripted::new(&["93.184.217.34"]);
    let guard = Guard::with_lookup(listed, lookup).unwrap();
    let answer = get(&guard, "http://elsewhere.example/").await;
    assert!(matches!(answer, Err(Failure::Refused(_))), "{answer:?}");
}

#[test]
fn the_port_of_our_own_database_is_closed() {
    drop(rustls::crypto::ring::default_provider().install_default());
    let guard = Guard::new(policy(&["127.0.0.0/8"]).closing(Some(5432))).unwrap();
    assert!(guard.check("http://127.0.0.1:5432").is_err());
    assert!(guard.check("http://localhost:5432").is_err());
    assert!(guard.check("http://127.0.0.1:5433").is_ok());
}

#[tokio::test]
async fn a_name_that_leads_inside_is_refused_when_connecting() {
    let (port, count) = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let closed = guard(&[]);
    for name in ["localhost", "LOCALHOST"] {
        let answer = get(&closed, &format!("http://{name}:{port}/")).await;
        assert!(matches!(answer, Err(Failure::Refused(_))), "{answer:?}");
    }
    assert_eq!(*count.lock().unwrap(), 0);
    let open = guard(&["127.0.0.0/8"]);
    let answer = get(&open, &format!("http://localhost:{port}/"))
        .await
        .unwrap();
    assert_eq!((answer.status, &answer.body[..]), (200, &b"ok"[..]));
}

#[tokio::test]
async fn a_name_that_changes_its_mind_is_checked_again_at_every_connection() {
    drop(rustls::crypto::ring::default_provider().install_default());
    let (port, count) = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    // First the address that was opened, then one that was not: both lead to the same server.
    let lookup = Scripted::new(&["127.0.0.1", "127.0.0.2"]);
    let guard = Guard::with_lookup(policy(&["127.0.0.1"]), lookup).unwrap();
    let url = format!("http://rebind.example:{port}/");
    assert_eq!(get(&guard, &url).await.unwrap().status, 200);
    for _ in 0..3 {
        let answer = get(&guard, &url).await;
        assert!(matches!(answer, Err(Failure::Refused(_))), "{answer:?}");
    }
    assert_eq!(*count.lock().unwrap(), 1);
}

#[tokio::test]
async fn of_several_addresses_only_the_allowed_ones_are_dialled() {
    drop(rustls::crypto::ring::default_provider().install_default());
    let (port, count) = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let lookup = Scripted::new(&["127.0.0.2 127.0.0.1"]);
    let guard = Guard::with_lookup(policy(&["127.0.0.1"]), lookup).unwrap();
    let url = format!("http://both.example:{port}/");
    assert_eq!(get(&guard, &url).await.unwrap().status, 200);
    assert_eq!(*count.lock().unwrap(), 1);
}

#[tokio::test]
async fn redirects_are_answers_and_are_not_followed() {
    let (inside, reached) = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let redirect = format!(
        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{inside}/\r\nContent-Length: 0\r\n\r\n"
    );
    let (port, _) = serve(redirect.leak().as_bytes()).await;
    let open = guard(&["127.0.0.0/8"]);
    let answer = get(&open, &format!("http://127.0.0.1:{port}/"))
        .await
        .unwrap();
    assert_eq!(answer.status, 302);
    assert_eq!(*reached.lock().unwrap(), 0);
}

#[tokio::test]
async fn an_answer_is_bounded_in_size_announced_or_not() {
    let open = guard(&["127.0.0.0/8"]);
    let endless = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(4000));
    for head in [
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        &endless,
    ] {
        let (port, _) = serve(head.to_owned().leak().as_bytes()).await;
        let answer = get(&open, &format!("http://127.0.0.1:{port}/")).await;
        assert!(matches!(answer, Err(Failure::TooLarge(1000))), "{answer:?}");
    }
}

#[tokio::test]
async fn an_answer_is_bounded_in_time_and_a_broken_one_is_told_apart() {
    let open = guard(&["127.0.0.0/8"]);
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let url = open.check(&url).unwrap();
    let short = Request::get(url.clone(), Duration::from_millis(50), 10);
    assert!(matches!(open.send(short).await, Err(Failure::Timeout)));
    drop(silent);
    let answer = open.send(Request::get(url, LIMIT, 10)).await;
    assert!(answer.as_ref().is_err_and(Failure::is_unsent), "{answer:?}");
    let (port, _) = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort").await;
    let answer = get(&open, &format!("http://127.0.0.1:{port}/")).await;
    assert!(matches!(answer, Err(Failure::Broken(_))), "{answer:?}");
}
