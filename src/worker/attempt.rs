//! One attempt at a task, from the lease to the report.

use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal as Unix;
use tokio::time::{Instant, sleep, sleep_until};

use super::api::{Completion, Granted, Release, Stopped};
use super::backoff::Backoff;
use super::held::{Guard, Signal};
use super::job::{self, Reader};
use super::lifecycle::{Effect, Event, State, Why, next};
use super::program::{Launch, Program, Remains};
use super::report::{self, Delivery};
use super::workspace::Workspace;
use super::{Context, disk, log};
use crate::trace::{Kind, Span, TraceContext};

/// The first and the longest pause between two tries to announce the start.
const START_PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// How long a program may stay once it has said its last word.
const LINGER: Duration = Duration::from_secs(10);
/// Stands in for "never" where no timer runs.
const FAR: Duration = Duration::from_secs(86_400 * 365);
/// Why a task goes back when the worker stops.
pub const STOPPING: &str = "the worker is stopping";

/// What to tell the service at the end.
enum Outcome {
    Complete(Completion),
    Release(Release),
    Nothing(&'static str),
}

/// Runs the attempt. Returns when the service knows how it ended, or need not know.
pub async fn run(ctx: &Context, mut granted: Granted) {
    let (task, lease_id) = (granted.task.id, granted.lease.id);
    let mut span = begin_span(ctx, &mut granted);
    tracing::info!(task.id = %task, lease.id = %lease_id, fence = granted.lease.fence,
        attempt = granted.lease.attempt, trace.id = span.context().map(TraceContext::trace_id),
        "leased");
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
        span.fail();
        // What it said may hold anything, so it goes to the service and not into the log.
        tracing::warn!(task.id = %task, lease.id = %lease_id, "the program did not succeed");
    }
    let (what, delivery) = match outcome {
        Outcome::Complete(completion) => (
            "complete",
            report::complete(ctx, &held, task, completion).await,
        ),
        Outcome::Release(release) => ("release", report::release(ctx, task, &release).await),
        Outcome::Nothing(why) => (why, Delivery::Superseded),
    };
    span.note("bloom.outcome", || what.to_owned());
    ctx.count(what, delivery);
    tracing::info!(task.id = %task, lease.id = %lease_id, what, delivery = ?delivery, "ended");
}

/// The attempt's span, which its program has as its parent.
fn begin_span(ctx: &Context, granted: &mut Granted) -> Span {
    let policy = &mut granted.task.policy;
    let parent = policy.traceparent.as_deref();
    let parent =
        parent.and_then(|parent| TraceContext::parse(parent, policy.tracestate.as_deref()));
    let mut span = Span::start(Kind::Consumer, "attempt", parent);
    let context = span.context();
    policy.traceparent = context.map(|context| context.parent().to_owned());
    policy.tracestate = context.and_then(TraceContext::state).map(str::to_owned);
    span.note("bloom.task.id", || granted.task.id.to_string());
    span.note("bloom.lease.id", || granted.lease.id.to_string());
    span.note("bloom.fence", || granted.lease.fence.to_string());
    span.note("bloom.worker", || ctx.options.name.clone());
    span
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
            () = ctx.hard.cancelled() => {
                return Err(Outcome::Release(Release::new(held.lease_id, STOPPING)));
            }
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
                let why = format!("the start was refused: {failure}");
                return Err(Outcome::Release(Release::new(held.lease_id, &why)));
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
    let report = report::error(held.lease_id, "cancelled".to_owned(), Duration::ZERO);
    Outcome::Complete(Completion {
        retryable: Some(false),
        stopped: Some(Stopped::UNSTARTED),
        ..report
    })
}

async fn execute(ctx: &Context, held: &Guard, granted: &Granted) -> Outcome {
    let task = &granted.task;
    // An earlier attempt of this process at the task may still be dying in the same directory.
    let _turn = ctx.occupancy.turn(task.id).await;
    let (_presence, others) = ctx.occupancy.enter(&task.context_id);
    let fault =
        |message: String| Outcome::Complete(report::error(held.lease_id, message, Duration::ZERO));
    let scope = ctx.options.scope.unwrap_or(ctx.options.executor.scope());
    let root = ctx.options.work_root.clone();
    let owner = ctx.options.user.as_ref().map(|user| (user.uid, user.gid));
    let workspace = match Workspace::open(root, scope, granted, owner).await {
        Ok(workspace) => workspace,
        Err(error) => return fault(format!("the worker could not make a directory: {error}")),
    };
    let outcome = match job::prepare(&ctx.options, held, granted, &workspace, others) {
        Ok((launch, reader)) => {
            let log = held.live.log().clone();
            let sender = log::send(ctx, held, task.id, &log);
            let running = async {
                let outcome = run_in(ctx, held, granted, &workspace, launch, reader).await;
                log.close();
                outcome
            };
            tokio::join!(running, sender).0
        }
        Err(why) => Outcome::Complete(Completion {
            retryable: Some(false),
            ..report::error(held.lease_id, why, Duration::ZERO)
        }),
    };
    workspace.close().await;
    outcome
}

/// Runs the program in its directory, to its end.
async fn run_in(
    ctx: &Context,
    held: &Guard,
    granted: &Granted,
    workspace: &Workspace,
    launch: Launch,
    reader: Reader,
) -> Outcome {
    let started = Instant::now();
    let mut program = match Program::start(&ctx.options, granted, workspace, launch) {
        Ok(program) => program,
        Err(error) => {
            let message = format!("the worker could not start the program: {error}");
            return Outcome::Complete(report::error(held.lease_id, message, Duration::ZERO));
        }
    };
    let limits = Limits {
        end: started + Duration::from_secs(granted.task.policy.timeout_sec),
        budget: granted.task.policy.budget,
        disk: workspace.cwd.clone(),
    };
    let (state, status) = watch(ctx, held, &mut program, &limits).await;
    let ran = started.elapsed();
    let remains = program.finish().await;
    if !remains.tree_gone {
        tracing::error!(lease.id = %held.lease_id, "a program's processes could not be killed");
    }
    let why = match state {
        State::Ended(Why::Lingering) | State::Exited | State::Running | State::Ending(_) => {
            return match reader.exited(held, status, ran) {
                job::Outcome::Complete(completion) => Outcome::Complete(completion),
                job::Outcome::Limited(until, why) => Outcome::Release(Release {
                    limited_until: Some(until),
                    ..Release::new(held.lease_id, &why)
                }),
            };
        }
        State::Ended(why) => why,
    };
    ended(ctx, held, why, &limits, ran, &remains, &reader)
}

/// What to tell the service of a program that was ended.
fn ended(
    ctx: &Context,
    held: &Guard,
    why: Why,
    limits: &Limits,
    ran: Duration,
    remains: &Remains,
    reader: &Reader,
) -> Outcome {
    let error = |message: String, retryable: Option<bool>| {
        let completion = Completion {
            retryable,
            stopped: remains.stopped,
            ..report::error(held.lease_id, message, ran)
        };
        Outcome::Complete(reader.with_metrics(completion, &held.live))
    };
    match why {
        Why::Lost => Outcome::Nothing("lost"),
        Why::Unrenewed => Outcome::Nothing("not renewed in time"),
        Why::Stopping => Outcome::Release(Release {
            stopped: remains.stopped,
            ..Release::new(held.lease_id, STOPPING)
        }),
        Why::Cancelled => error("cancelled".to_owned(), Some(false)),
        Why::TimedOut | Why::Lingering => error("timeout exceeded".to_owned(), None),
        Why::TooLarge => {
            let most = ctx.options.max_output_bytes;
            error(format!("the program printed more than {most} bytes"), None)
        }
        Why::DiskFull => {
            let most = ctx.options.max_disk_bytes;
            let message = format!("disk limit exceeded: more than {most} bytes written");
            error(message, Some(false))
        }
        Why::OverBudget => {
            let used = held.live.shown().map_or(0, |(_, usage)| usage.tokens_used);
            let message = format!("token budget exceeded: used {used} of {}", limits.budget);
            error(message, Some(false))
        }
    }
}

/// What a run may take.
struct Limits {
    end: Instant,
    budget: f64,
    disk: PathBuf,
}

/// Feeds everything that happens into [`next`] and carries out its effects, until the end.
async fn watch(
    ctx: &Context,
    held: &Guard,
    program: &mut Program,
    limits: &Limits,
) -> (State, Option<ExitStatus>) {
    let mut state = State::Running;
    let mut status: Option<ExitStatus> = None;
    let mut signal = Signal::None;
    let mut grace_over = Instant::now() + FAR;
    let tree = program.tree().clone();
    let overflow = program.overflow();
    let live = Arc::clone(&held.live);
    let (mut reaped, mut overflowed, mut unrenewed, mut hurried) = (false, false, false, false);
    let mut full = pin!(disk::over(limits.disk.clone(), ctx.options.max_disk_bytes));
    let mut spent = pin!(live.over_budget(limits.budget));
    let mut lingers = pin!(async {
        live.finished().await;
        sleep(LINGER).await;
    });
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
            () = overflow.notified(), if !overflowed => {
                overflowed = true;
                Event::End(Why::TooLarge)
            }
            () = &mut spent, if !ending => Event::End(Why::OverBudget),
            _ = &mut full, if !ending => Event::End(Why::DiskFull),
            () = &mut lingers, if !ending => Event::End(Why::Lingering),
            () = sleep_until(limits.end), if !ending => Event::End(Why::TimedOut),
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
