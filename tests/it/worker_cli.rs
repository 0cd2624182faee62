//! `bloom demo`, against the service in memory.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::process::ExitCode;

use bloom_runtime::cli::demo;
use clap::Parser;

use crate::fake_service::FakeService;

#[derive(Parser)]
enum Cli {
    Demo(demo::Args),
}

async fn bloom(server: &str, args: &[&str]) -> ExitCode {
    let line = [&["bloom"], args, &["--server", server]].concat();
    match Cli::try_parse_from(line).unwrap() {
        Cli::Demo(args) => demo::run(args).await.unwrap(),
    }
}

#[tokio::test]
async fn demo_processes_every_text_and_proves_it() {
    let service = FakeService::start().await;
    assert_eq!(bloom(&service.url, &["demo"]).await, ExitCode::SUCCESS);
    let state = service.state();
    assert!(state.tasks.len() >= 3);
    for task in &state.tasks {
        let output = task.completions[0]["output"].as_str().unwrap();
        assert!((1..=5).contains(&output.lines().count()), "{output}");
        let first = output.lines().next().unwrap().split_once(' ').unwrap();
        assert!(
            first.0.len() >= 5 && first.1.parse::<u32>().is_ok(),
            "{output}"
        );
    }
}

#[tokio::test]
async fn demo_fails_when_a_text_is_not_processed() {
    let service = FakeService::start().await;
    assert_eq!(
        bloom(&service.url, &["demo", "--exec", "exit 1"]).await,
        ExitCode::FAILURE
    );
}
