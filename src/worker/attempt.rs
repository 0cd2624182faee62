//! One attempt at a task, from the lease to the report.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::Signal as Unix;
use tokio::time::{Instant, sleep, sleep_until};

use super::api::{Completion, Granted};
use super::backoff::Backoff;
use super::held::{Guard, Signal};
use super::lifecycle::{Effect, Event, State, Why, next};
use super::output::{tail_text, to_text};
use super::program::{Program, Remains};
use super::report::{self, Delivery};
use super::{Context, MAX_STDERR_BYTES};

/// The first and the longest pause between two tries to announce the start.
const START_PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// How much of the end of stdout a failure carries when there is no stderr, in bytes.
const MAX_STDOUT_TAIL: usize = 4 << 10;
/// Stands in for "never" where no timer runs.
const FAR: Duration = Duration::from_secs(86_400 * 365);
/// Why a task goes back when the worker stops.
pub const STOPPING: &str = "the worker is stopping";

/// What to tell the service at the end.
enum Outcome {
    Complete(Completion),
    Release(String),
    Nothing(&'static str),
}

/// Runs the attempt. Returns when the service knows how it ended, or need not know.
pub async fn run(ctx: &Context, granted: Granted) {
    let (task, lease_id) = (granted.task.id, granted.lease.id);
    tracing::info!(task.id = %task, lease.id = %lease_id, fence = granted.lease.fence,
        attempt = granted.lease.attempt, "leased");
    // It stays in every beat until the report is through.
    let held = ctx.held.hold(
        lease_id,
        Duration::from_secs(granted.lease.ttl_seconds.max(1)),
    );
    let outcome = match announce(ctx, &held, &granted).await {
        Ok(()) => execute(ctx, &held, &granted).await,
        Err(outcome) => outcome,
    };
    if let Outcome::Complete(completion) = &outcome
        && completion.error_message.is_some()
    {
        // What it said may hold anything, so it goes to the service and not into the log.
        tracing::warn!(task.id = %task, lease.id = %lease_id, "the program did not succeed");
    }
    let (what, delivery) = match outcome {
        Outcome::Complete(completion) => (
            "complete",
            report::complete(ctx, &held, task, completion).await,
        ),
        Outcome::Release(reason) => (
            "release",
            report::release(ctx, lease_id, task, &reason).await,
        ),
        Outcome::Nothing(why) => (why, Delivery::Superseded),
    };
    ctx.count(what, delivery);
    tracing::info!(task.id = %task, lease.id = %lease_id, what, delivery = ?delivery, "ended");
}

/// Says that the program starts now. That the service agrees proves that the lease is live, which
/// the lease's own answer does not: it may be an old one, repeated.
async fn announce(ctx: &Context, held: &Guard, granted: &Granted) -> Result<(), Outcome> {
    let mut backoff = Backoff::new(START_PAUSE.0, START_PAUSE.1);
    let expires = held.expires();
    loop {
        let sent = Instant::now();
        let failure = tokio::select! {
            biased;
            said = held.graver(Signal::None) => return Err(unstarted(held, said)),
            () = ctx.hard.cancelled() => return Err(Outcome::Release(STOPPING.to_owned())),
            answer = ctx.api.start(granted.task.id, held.lease_id) => match answer {
                Ok(()) => {
                    held.renew(sent);
                    return Ok(());
                }
                Err(failure) => failure,
            },
        };
        tracing::warn!(lease.id = %held.lease_id, error = %failure, "could not announce the start");
        match failure.status() {
            Some(404 | 409) => return Err(Outcome::Nothing("lost before the start")),
            Some(_) if !failure.is_transient() => {
                return Err(Outcome::Release(format!(
                    "the start was refused: {failure}"
                )));
            }
            _ if Instant::now() > expires.max(held.expires()) => {
                return Err(Outcome::Nothing("unanswered before the start"));
            }
            _ => sleep(backoff.pause_or(failure.retry_after())).await,
        }
    }
}

fn unstarted(held: &Guard, said: Signal) -> Outcome {
    if said == Signal::Lost {
        return Outcome::Nothing("lost before the start");
    }
    Outcome::Complete(cancelled(held, Duration::ZERO))
}

fn cancelled(held: &Guard, ran: Duration) -> Completion {
    let report = report::error(held.lease_id, "cancelled".to_owned(), ran);
    Completion {
        retryable: Some(false),
        ..report
    }
}

async fn execute(ctx: &Context, held: &Guard, granted: &Granted) -> Outcome {
    let started = Instant::now();
    let mut program = match Program::start(&ctx.options, granted).await {
        Ok(program) => program,
        Err(error) => {
            let message = format!("the worker could not start the program: {error}");
            return Outcome::Complete(report::error(held.lease_id, message, Duration::ZERO));
        }
    };
    let limit = Duration::from_secs(granted.task.policy.timeout_sec);
    let (state, status) = watch(ctx, held, &mut program, started + limit).await;
    let ran = started.elapsed();
    let remains = program.finish().await;
    if !remains.tree_gone {
        tracing::error!(lease.id = %held.lease_id, "a program's processes could not be killed");
    }
    match state {
        State::Ended(Why::Lost) => Outcome::Nothing("lost"),
        State::Ended(Why::Unrenewed) => Outcome::Nothing("not renewed in time"),
        State::Ended(Why::Stopping) => Outcome::Release(STOPPING.to_owned()),
        State::Ended(Why::Cancelled) => Outcome::Complete(cancelled(held, ran)),
        State::Ended(Why::TimedOut) => Outcome::Complete(report::error(
            held.lease_id,
            "timeout exceeded".to_owned(),
            ran,
        )),
        State::Ended(Why::TooLarge) => {
            let most = ctx.options.max_output_bytes;
            let message = format!("the program printed more than {most} bytes");
            Outcome::Complete(report::error(held.lease_id, message, ran))
        }
        State::Exited | State::Running | State::Ending(_) => {
            Outcome::Complete(exited(held, status, &remains, ran))
        }
    }
}

/// Feeds everything that happens into [`next`] and carries out its effects, until the end.
async fn watch(
    ctx: &Context,
    held: &Guard,
    program: &mut Program,
    limit: Instant,
) -> (State, Option<ExitStatus>) {
    let mut state = State::Running;
    let mut status: Option<ExitStatus> = None;
    let mut signal = Signal::None;
    let mut grace_over = Instant::now() + FAR;
    let tree = program.tree().clone();
    let stdout = program.stdout().clone();
    let (mut reaped, mut overflowed, mut unrenewed, mut hurried) = (false, false, false, false);
    while !matches!(state, State::Exited | State::Ended(_)) {
        let ending = matches!(state, State::Ending(_));
        let event = tokio::select! {
            biased;
            said = held.graver(signal) => {
                signal = said;
                Event::End(if said == Signal::Lost { Why::Lost } else { Why::Cancelled })
            }
            () = held.unrenewed(), if !unrenewed => {
                unrenewed = true;
                Event::End(Why::Unrenewed)
            }
            () = tree.gone(), if ending && reaped => Event::Gone,
            () = ctx.hard.cancelled(), if !ending => Event::End(Why::Stopping),
            () = ctx.at_once.cancelled(), if ending && !hurried => {
                hurried = true;
                Event::GraceOver
            }
            ended = program.exited(), if !reaped => {
                reaped = true;
                status = ended.ok();
                Event::Exited
            }
            () = stdout.overflow(), if !overflowed => {
                overflowed = true;
                Event::End(Why::TooLarge)
            }
            () = sleep_until(limit), if !ending => Event::End(Why::TimedOut),
            () = sleep_until(grace_over), if ending => {
                // Again and again while something survives even this.
                grace_over = Instant::now() + ctx.options.kill_grace.max(Duration::from_secs(1));
                Event::GraceOver
            }
        };
        let effect;
        (state, effect) = next(state, event);
        match effect {
            Effect::Terminate => {
                grace_over = Instant::now() + ctx.options.kill_grace;
                program.signal(Unix::TERM).await;
            }
            Effect::Kill if state != State::Exited => {
                grace_over = Instant::now() + ctx.options.kill_grace.max(Duration::from_secs(1));
                program.signal(Unix::KILL).await;
            }
            // The leftovers of an exited program have a moment for their pipes: see `finish`.
            Effect::Kill | Effect::Nothing => {}
        }
    }
    (state, status)
}

fn exited(
    held: &Guard,
    status: Option<ExitStatus>,
    remains: &Remains,
    ran: Duration,
) -> Completion {
    let Some(status) = status else {
        let message = "the worker could not learn how the program ended".to_owned();
        return report::error(held.lease_id, message, ran);
    };
    if status.success() {
        return report::success(held.lease_id, to_text(&remains.stdout), ran);
    }
    let how = match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "ended in an unknown way".to_owned(),
    };
    let mut why = tail_text(&remains.stderr, MAX_STDERR_BYTES);
    if why.trim().is_empty() {
        // Some programs complain on stdout.
        why = tail_text(&remains.stdout, MAX_STDOUT_TAIL);
    }
    let why = why.trim_end();
    let message = if why.is_empty() {
        how
    } else {
        format!("{how}: {why}")
    };
    report::error(held.lease_id, message, ran)
}
