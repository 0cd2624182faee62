//! The lines for TLS of the shipped configuration, taken in as it says.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use reqwest::tls::Version;

use crate::runtime::front::Nginx;
use crate::runtime::{Runtime, eventually};

/// The configuration without its plain listener and with its lines for TLS, the certificate and its
/// key being in `dir`.
fn with_tls(dir: &Path, shipped: &str, port: u16) -> String {
    let mut taken = 0;
    let lines = shipped.lines().map(|line| {
        let Some(rest) = line.strip_prefix("    # ") else {
            return if line.starts_with("    listen ") {
                String::new()
            } else {
                line.to_owned()
            };
        };
        let is_directive = rest.ends_with(';');
        taken += usize::from(is_directive);
        let rest = rest
            .replace("listen 443", &format!("listen 127.0.0.1:{port}"))
            .replace("/etc/ssl/bloom/", &format!("{}/", dir.display()));
        if is_directive { rest } else { line.to_owned() }
    });
    let text = lines.collect::<Vec<_>>().join("\n");
    assert_eq!(
        taken, 6,
        "listen, the certificate and its key, versions, ciphers, HSTS"
    );
    text
}

/// A client that believes in this certificate, offers these versions, and finds the server at `at`.
fn client(pem: &str, at: SocketAddr, versions: [Version; 2]) -> reqwest::Client {
    let certificate = reqwest::Certificate::from_pem(pem.as_bytes()).unwrap();
    reqwest::Client::builder()
        .tls_certs_only([certificate])
        .tls_version_min(versions[0])
        .tls_version_max(versions[1])
        .resolve("localhost", at)
        .build()
        .unwrap()
}

/// What a server answers to these bytes, until it hangs up.
fn answer(at: SocketAddr, words: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(at).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    stream.write_all(words).unwrap();
    let mut heard = Vec::new();
    // A reset is an end, too.
    stream.read_to_end(&mut heard).ok();
    heard
}

/// A greeting that offers nothing newer than this version (3, 2 being TLS 1.1).
fn greeting(minor: u8) -> Vec<u8> {
    let suites = [0xc0, 0x13, 0xc0, 0x14, 0x00, 0x2f, 0x00, 0x35];
    let mut hello = vec![3, minor];
    hello.extend([7; 32]);
    hello.extend([0, 0, 8]);
    hello.extend(suites);
    hello.extend([1, 0]);
    let length = u8::try_from(hello.len()).unwrap();
    let mut record = vec![22, 3, 1, 0, length + 4, 1, 0, 0, length];
    record.extend(hello);
    record
}

#[tokio::test(flavor = "multi_thread")]
async fn its_lines_for_tls_are_good_and_nothing_weaker_is_spoken() {
    let runtime = Runtime::start().await;
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let pem = made.cert.pem();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = free.local_addr().unwrap();
    drop(free);
    let _nginx = Nginx::launch(&runtime.api.base, "", |dir, shipped| {
        std::fs::write(dir.join("fullchain.pem"), &pem).unwrap();
        std::fs::write(dir.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        with_tls(dir, &shipped, at.port())
    });
    let url = |path: &str| format!("https://localhost:{}/api/runtime/{path}", at.port());
    let any = client(&pem, at, [Version::TLS_1_2, Version::TLS_1_3]);
    eventually("nginx answers", async || {
        any.get(url("health")).send().await.ok()
    })
    .await;
    for version in [Version::TLS_1_2, Version::TLS_1_3] {
        let one = client(&pem, at, [version, version]);
        for (path, status) in [("health", 200), ("stats", 401), ("nothing", 404)] {
            let answer = one.get(url(path)).send().await.unwrap();
            assert_eq!(answer.status(), status, "{path}");
            assert_eq!(
                answer.headers()["strict-transport-security"],
                "max-age=31536000; includeSubDomains",
                "{path}"
            );
        }
    }
    // An alert that says protocol_version, for 1.0 and 1.1.
    for minor in [1, 2] {
        let said = answer(at, &greeting(minor));
        assert_eq!(
            (said.first(), said.last()),
            (Some(&21), Some(&70)),
            "{said:?}"
        );
    }
    let plain = answer(
        at,
        b"GET /api/runtime/health HTTP/1.1\r\nHost: localhost\r\n\r\n",
    );
    let plain = String::from_utf8_lossy(&plain);
    assert!(plain.starts_with("HTTP/1.1 400 "), "{plain}");
}
