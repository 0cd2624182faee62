//! What cannot work is refused with a text that says what to do.

use std::os::unix::fs::PermissionsExt;

use bloom_runtime::embedded::{Cluster, Error, Options};

use super::TempDir;

#[tokio::test]
async fn the_second_service_on_a_directory_learns_who_holds_it() {
    let dir = TempDir::new();
    let cluster = Cluster::start(Options::new(dir.path())).await.unwrap();
    let error = Cluster::start(Options::new(dir.path())).await.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::InUse { .. }), "{text}");
    assert!(
        text.contains(&format!("pid {}", std::process::id())),
        "{text}"
    );
    assert!(cluster.is_alive(), "the first one is not disturbed");
    cluster.stop().await;
}

#[tokio::test]
async fn a_directory_without_programs_is_refused_with_what_is_missing() {
    let dir = TempDir::new();
    let options = Options {
        bin_dir: Some(dir.path().to_owned()),
        ..Options::new(dir.path().join("data"))
    };
    let text = Cluster::start(options).await.unwrap_err().to_string();
    assert!(
        text.contains("BLOOM_PG_BIN") && text.contains("postgres"),
        "{text}"
    );
}

#[tokio::test]
async fn programs_older_than_14_are_refused() {
    let dir = TempDir::new();
    for program in ["postgres", "initdb", "pg_ctl"] {
        let path = dir.path().join(program);
        std::fs::write(&path, "#!/bin/sh\necho 'postgres (PostgreSQL) 13.9'\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let options = Options {
        bin_dir: Some(dir.path().to_owned()),
        ..Options::new(dir.path().join("data"))
    };
    let text = Cluster::start(options).await.unwrap_err().to_string();
    assert!(
        text.contains("13.9") && text.contains("14 or newer"),
        "{text}"
    );
}

#[tokio::test]
async fn a_cluster_of_another_major_version_is_not_touched() {
    let dir = TempDir::new();
    let data = dir.path().join("postgres/data");
    std::fs::create_dir_all(&data).unwrap();
    std::fs::write(data.join("PG_VERSION"), "99\n").unwrap();
    let text = Cluster::start(Options::new(dir.path()))
        .await
        .unwrap_err()
        .to_string();
    assert!(text.contains("PostgreSQL 99"), "{text}");
}

#[tokio::test]
async fn a_directory_that_is_no_cluster_is_not_touched() {
    let dir = TempDir::new();
    let data = dir.path().join("postgres/data");
    std::fs::create_dir_all(&data).unwrap();
    std::fs::write(data.join("thesis.txt"), "dear").unwrap();
    let error = Cluster::start(Options::new(dir.path())).await.unwrap_err();
    assert!(matches!(error, Error::NotACluster(_)), "{error}");
    assert!(data.join("thesis.txt").exists());
}

#[tokio::test]
async fn settings_that_weaken_the_promise_are_refused() {
    let dir = TempDir::new();
    let extra_settings = vec![("fsync".to_owned(), "off".to_owned())];
    let options = Options {
        extra_settings,
        ..Options::new(dir.path())
    };
    let error = Cluster::start(options).await.unwrap_err();
    assert!(matches!(error, Error::FixedSetting(_)), "{error}");
}

#[tokio::test]
async fn a_bad_setting_ends_the_start_with_the_words_of_postgres() {
    let dir = TempDir::new();
    let extra_settings = vec![("shared_buffers".to_owned(), "lots".to_owned())];
    let options = Options {
        extra_settings,
        ..Options::new(dir.path())
    };
    let text = Cluster::start(options).await.unwrap_err().to_string();
    assert!(text.contains("shared_buffers"), "{text}");
    let cluster = Cluster::start(Options::new(dir.path())).await.unwrap();
    cluster.stop().await;
}

/// Only root changes to another user, so only then can a directory be out of that user's reach;
/// for everyone else it is the plain error of the system.
#[tokio::test]
async fn a_closed_parent_directory_is_named() {
    let dir = TempDir::new();
    let closed = dir.path().join("closed");
    std::fs::create_dir(&closed).unwrap();
    let root = rustix::process::geteuid().is_root();
    let mode = if root { 0o700 } else { 0o000 };
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(mode)).unwrap();
    let text = Cluster::start(Options::new(closed.join("data")))
        .await
        .unwrap_err()
        .to_string();
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o700)).unwrap();
    assert!(text.contains(&*closed.to_string_lossy()), "{text}");
    assert!(!root || text.contains("may not enter"), "{text}");
}

#[tokio::test]
async fn a_lost_password_file_is_named_and_not_replaced() {
    let dir = TempDir::new();
    let cluster = Cluster::start(Options::new(dir.path())).await.unwrap();
    cluster.stop().await;
    std::fs::remove_file(dir.path().join("pgpass")).unwrap();
    let error = Cluster::start(Options::new(dir.path())).await.unwrap_err();
    assert!(matches!(error, Error::PasswordFile(_)), "{error}");
}
