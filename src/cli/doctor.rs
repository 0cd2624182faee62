//! `bloom doctor`: looks the database over.

use std::io::Write;
use std::process::ExitCode;

use super::database::Database;
use crate::artifacts;
use crate::config::{DatabaseArgs, ObjectArgs};
use crate::db::doctor::{self, Finding, Level, Limits};
use crate::db::install::Bundle;

/// Look the database and the object storage over, and say what weakens the promises. Changes
/// nothing; in object storage it writes one small object and deletes it again.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  bloom doctor\n  bloom doctor --json | jq '.[] | select(.level != \"ok\")'"
)]
pub struct Args {
    /// Which database.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// Which object storage, as the service is told.
    #[command(flatten)]
    pub objects: ObjectArgs,
    /// Print a JSON array of `{level, name, text, advice}` instead.
    #[arg(long)]
    pub json: bool,
}

/// Runs the command. Exit code 1 when a check failed; warnings are no failure.
///
/// # Errors
/// When there is no database to look at, or the output cannot be written.
pub async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let bundle = Bundle::embedded()?;
    let objects = args.objects.options()?;
    let database = Database::existing(&args.database).await?;
    let limits = Limits {
        superuser_is_meant: args.database.external().is_none(),
        ..Limits::default()
    };
    let mut findings = doctor::examine(&database.endpoint, &bundle, limits).await;
    database.close().await;
    if let Some(objects) = objects {
        findings.push(artifacts::examine(&objects).await);
    }
    show(&findings, args.json, &mut std::io::stdout())?;
    let failed = findings.iter().any(|finding| finding.level == Level::Fail);
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn show(findings: &[Finding], json: bool, out: &mut impl Write) -> anyhow::Result<()> {
    if json {
        serde_json::to_writer_pretty(&mut *out, findings)?;
        writeln!(out)?;
        return Ok(());
    }
    for finding in findings {
        let mark = match finding.level {
            Level::Ok => "ok  ",
            Level::Warn => "WARN",
            Level::Fail => "FAIL",
        };
        writeln!(out, "{mark}  {:<22} {}", finding.name, finding.text)?;
        if let Some(advice) = &finding.advice {
            writeln!(out, "      {:<22} -> {advice}", "")?;
        }
    }
    let count = |level| {
        findings
            .iter()
            .filter(|finding| finding.level == level)
            .count()
    };
    writeln!(
        out,
        "{} failed, {} to look at",
        count(Level::Fail),
        count(Level::Warn)
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_comes_with_what_to_do() {
        let finding = Finding {
            level: Level::Fail,
            name: "fsync",
            text: "fsync = off".to_owned(),
            advice: Some("set fsync = on".to_owned()),
        };
        let mut text = Vec::new();
        show(std::slice::from_ref(&finding), false, &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.starts_with("FAIL  fsync "), "{text}");
        assert!(
            text.contains("-> set fsync = on\n1 failed, 0 to look at\n"),
            "{text}"
        );
        let mut json = Vec::new();
        show(&[finding], true, &mut json).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(json[0]["level"], "fail");
    }
}
