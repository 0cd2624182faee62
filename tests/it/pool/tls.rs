//! TLS: what each `sslmode` accepts.

use std::path::PathBuf;

use bloom_runtime::db::Endpoint;

use crate::pg::{Cluster, Stop};
use crate::runtime::process::{Process, Scratch};
use crate::runtime::task;

/// A server with TLS on a loopback port, whose certificate says `localhost`, and the file with
/// that certificate.
async fn tls_cluster() -> (Cluster, u16, PathBuf) {
    // Ports are the only shared thing here: ask the kernel for a free one.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let port_text = port.to_string();
    let settings = [
        ("fsync", "off"),
        ("max_connections", "20"),
        ("listen_addresses", "127.0.0.1"),
        ("port", &port_text),
    ];
    let cluster = Cluster::start(&settings).await;
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    cluster.write_data_file("server.crt", &made.cert.pem());
    cluster.write_data_file("server.key", &made.signing_key.serialize_pem());
    let client = cluster.connect("postgres").await;
    client
        .batch_execute("alter system set ssl = on")
        .await
        .unwrap();
    drop(client);
    cluster.stop(Stop::Fast);
    cluster.restart().await;
    let cert = cluster.dir().join("data/server.crt");
    (cluster, port, cert)
}

async fn uses_tls(url: &str) -> anyhow::Result<bool> {
    let client = Endpoint::parse(url, None)?.connect().await?;
    let sql = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
    Ok(client.query_one(sql, &[]).await?.get(0))
}

#[tokio::test]
async fn each_sslmode_does_what_it_says() {
    let (_cluster, port, cert) = tls_cluster().await;
    let cert = cert.display();
    let base = format!("postgres://postgres@localhost:{port}/postgres?hostaddr=127.0.0.1&sslmode=");
    let uses = |mode: String| {
        let url = format!("{base}{mode}");
        async move { uses_tls(&url).await }
    };
    assert!(!uses("disable".to_owned()).await.unwrap());
    assert!(uses("prefer".to_owned()).await.unwrap());
    for mode in ["require", "verify-ca", "verify-full"] {
        assert!(
            uses(mode.to_owned()).await.is_err(),
            "{mode} trusts nobody unknown"
        );
        assert!(uses(format!("{mode}&sslrootcert={cert}")).await.unwrap());
    }
    let url = format!(
        "postgres://postgres@other.example:{port}/postgres?hostaddr=127.0.0.1&sslmode=require&sslrootcert={cert}"
    );
    assert!(uses_tls(&url).await.is_err(), "the name must match");
}

#[tokio::test]
async fn require_refuses_a_server_without_tls() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let port_text = port.to_string();
    let settings = [
        ("listen_addresses", "127.0.0.1"),
        ("port", port_text.as_str()),
    ];
    let _cluster = Cluster::start(&settings).await;
    let url = format!("postgres://postgres@localhost:{port}/postgres?hostaddr=127.0.0.1&sslmode=");
    assert!(!uses_tls(&format!("{url}prefer")).await.unwrap());
    assert!(uses_tls(&format!("{url}require")).await.is_err());
}

#[tokio::test]
async fn the_service_reaches_its_database_over_tls_alone_and_verified() {
    let (cluster, port, cert) = tls_cluster().await;
    let scratch = Scratch::new();
    let url = format!(
        "postgres://postgres@localhost:{port}/postgres?hostaddr=127.0.0.1&sslmode=verify-full&sslrootcert={}",
        cert.display()
    );
    let service = Process::serve(&scratch, &["--database-url", &url]);
    let id = service.api.submit(task("c")).await;
    assert_eq!(service.api.task(&id).await["status"], "queued");
    let client = cluster.connect("postgres").await;
    let sql = "select count(*) filter (where s.ssl), count(*) filter (where not s.ssl)
                 from pg_stat_ssl s join pg_stat_activity a using (pid)
                where a.backend_type = 'client backend' and a.pid <> pg_backend_pid()";
    let row = client.query_one(sql, &[]).await.unwrap();
    assert!(row.get::<_, i64>(0) > 0);
    assert_eq!(row.get::<_, i64>(1), 0);
}
