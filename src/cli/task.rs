//! `bloom task`: submit tasks and look after them, over HTTP.

mod change;
mod file;
mod list;
mod logs;
mod show;
mod submit;
mod watch;

use std::process::ExitCode;

use clap::{Args as ClapArgs, Subcommand};
use uuid::Uuid;

use super::desk::{Desk, Trouble};
use super::exit;
use crate::config::client::ClientArgs;
pub(super) use file::bar_style;
pub(super) use submit::send;

/// Arguments of `bloom task`.
#[derive(Debug, ClapArgs)]
#[command(after_help = exit::HELP)]
pub struct Args {
    /// Which service to ask.
    #[command(flatten)]
    pub client: ClientArgs,
    /// Print JSON for programs.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What `bloom task` can do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Submit one task, or one per line of a file.
    Submit(Box<submit::Submit>),
    /// List tasks, newest first.
    List(list::List),
    /// Show a task, its attempts, and why it waits.
    #[command(
        after_help = "Examples:\n  bloom task show 01a2096c-99ef-7b58-b821-ea3b259302ac\n  \
        bloom task show ID --json | jq .status"
    )]
    Show(Id),
    /// Follow tasks to their end.
    Watch(watch::Watch),
    /// Print what a task's programs said while they ran.
    #[command(after_help = "Examples:\n  bloom task logs ID\n  bloom task logs ID --follow")]
    Logs {
        /// The task.
        id: Uuid,
        /// Go on until the task is over.
        #[arg(long, short)]
        follow: bool,
    },
    /// Print a task's output.
    #[command(after_help = "Examples:\n  bloom task result ID > answer.txt\n  \
        bloom task result ID --json | jq .metrics")]
    Result(Id),
    /// Say why a task is where it is.
    #[command(after_help = "Examples:\n  bloom task explain ID\n  \
        bloom task explain ID --json | jq .reason")]
    Explain(Id),
    /// Cancel tasks.
    Cancel(change::Cancel),
    /// Queue failed, dead or cancelled tasks again.
    Requeue(change::Requeue),
    /// Give a queued task another priority.
    Priority(change::Priority),
}

/// Which task.
#[derive(Debug, Clone, Copy, ClapArgs)]
pub struct Id {
    /// The task's id.
    pub id: Uuid,
}

/// Does it. The exit status says how it went, see `bloom task --help`.
///
/// # Errors
/// When nothing can be printed.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let verb = args.verb;
    Desk::serve(&args.client, args.json, async |desk| {
        serve(desk, verb).await
    })
    .await
}

async fn serve(desk: &mut Desk, verb: Verb) -> Result<u8, Trouble> {
    match verb {
        Verb::Submit(submit) => submit::run(desk, *submit).await,
        Verb::List(list) => list::run(desk, &list).await,
        Verb::Show(Id { id }) => show::run(desk, id).await,
        Verb::Watch(watch) => watch::run(desk, watch).await,
        Verb::Logs { id, follow } => logs::run(desk, id, follow).await,
        Verb::Result(Id { id }) => show::result(desk, id).await,
        Verb::Explain(Id { id }) => show::explain(desk, id).await,
        Verb::Cancel(cancel) => change::cancel(desk, &cancel).await,
        Verb::Requeue(requeue) => change::requeue(desk, &requeue).await,
        Verb::Priority(priority) => change::priority(desk, &priority).await,
    }
}

/// Tasks on the command line, or `-` for ids on standard input.
#[derive(Debug, Clone, ClapArgs)]
pub struct Ids {
    /// Ids of tasks, or `-` to read them from stdin (one a line, or JSON objects with an `id`).
    #[arg(required = true, value_name = "ID")]
    pub ids: Vec<String>,
}

impl Ids {
    /// All of them, each once, in order.
    fn read(&self) -> Result<Vec<Uuid>, Trouble> {
        let mut ids = Vec::new();
        for given in &self.ids {
            if given == "-" {
                let text = std::io::read_to_string(std::io::stdin())?;
                for line in text.lines().filter(|line| !line.trim().is_empty()) {
                    ids.push(id_in(line)?);
                }
            } else {
                ids.push(id_in(given)?);
            }
        }
        let mut seen = std::collections::HashSet::new();
        ids.retain(|id| seen.insert(*id));
        Ok(ids)
    }
}

fn id_in(text: &str) -> Result<Uuid, Trouble> {
    let text = text.trim();
    let json = serde_json::from_str::<serde_json::Value>(text);
    let id = json.as_ref().ok().and_then(|json| json["id"].as_str());
    let id = id.unwrap_or(text);
    Uuid::try_parse(id).map_err(|_| {
        let shown: String = id.chars().take(60).collect();
        Trouble::Usage(anyhow::anyhow!("'{shown}' is not the id of a task"))
    })
}
