//! What can happen, and what comes of it.

use stateright::{Model, Property};

use crate::rules::Rules;
use crate::state::{END, Message, PROCESSES, Process, REAP, State, TTL, Task};

/// The protocol under some rules.
pub struct Protocol(pub Rules);

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    Tick,
    /// A process asks for work, beats, ends its work, or sends its report.
    Ask(u8),
    Beat(u8),
    Finish(u8),
    Send(u8),
    Crash(u8),
    /// The first process starts again, as the second one.
    Restart,
    Pause(u8),
    Resume(u8),
    Cancel,
    /// The reaper looks, and ends what it saw.
    Look,
    Expire,
    /// Another service's reaper does both at once.
    Reap,
    /// A message arrives, arrives and comes once more, or is lost.
    Deliver(Message),
    Repeat(Message),
    Lose(Message),
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::new()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let reaped = state.runs_out_at().is_none_or(|at| state.now < at + REAP);
        if state.now < END && reaped {
            actions.push(Action::Tick);
        }
        for at in 0..PROCESSES {
            process_actions(state, at, actions);
        }
        if state.processes[0].died_at.is_some() && !state.processes[1].is_up {
            actions.push(Action::Restart);
        }
        if !state.cancel_asked && matches!(state.task, Task::Ready | Task::Leased { .. }) {
            actions.push(Action::Cancel);
        }
        if state.runs_out_at().is_some_and(|at| state.now >= at) {
            actions.push(Action::Reap);
            if state.seen_expired.is_none() {
                actions.push(Action::Look);
            }
        }
        if state.seen_expired.is_some() {
            actions.push(Action::Expire);
        }
        for message in &state.net {
            actions.push(Action::Deliver(*message));
            actions.push(Action::Lose(*message));
            if matches!(message, Message::Report(..)) {
                actions.push(Action::Repeat(*message));
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Tick => state.now += 1,
            Action::Ask(at) => drop(state.net.insert(Message::Ask(at, last.now))),
            Action::Beat(at) => drop(state.net.insert(Message::Beat(at, last.now))),
            Action::Finish(at) => {
                let process = &mut state.processes[usize::from(at)];
                process.report = process.work.take().map(|(fence, _)| (fence, true));
            }
            Action::Send(at) => {
                let (fence, is_result) = last.processes[usize::from(at)].report?;
                state.net.insert(Message::Report(at, fence, is_result));
            }
            // Its programs end with it.
            Action::Crash(at) => {
                state.processes[usize::from(at)] = Process {
                    died_at: Some(last.now),
                    ..Process::default()
                };
            }
            Action::Restart => state.processes[1].is_up = true,
            Action::Pause(at) => state.processes[usize::from(at)].is_paused = true,
            Action::Resume(at) => resume(&mut state, usize::from(at)),
            Action::Cancel => self.cancel(&mut state),
            Action::Look => state.seen_expired = Some(last.fence),
            Action::Expire => self.expire(&mut state),
            Action::Reap => end_expired(&mut state),
            Action::Lose(message) => drop(state.net.remove(&message)),
            Action::Deliver(message) => {
                state.net.remove(&message);
                self.arrive(&mut state, message);
            }
            Action::Repeat(message) => self.arrive(&mut state, message),
        }
        (state != *last).then_some(state)
    }

    fn within_boundary(&self, state: &State) -> bool {
        state.can_send() || state.net.len() == crate::state::ON_THE_WAY
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(
                "what ends a task comes from its live lease",
                |_, state: &State| !state.took_stale,
            ),
            Property::always("a task ends once", |_, state: &State| state.ends <= 1),
            Property::always("two never work on it at once", |_, state: &State| {
                let works = |one: &&Process| !one.is_paused && one.works(state.now);
                state.processes.iter().filter(works).count() <= 1
            }),
            Property::always(
                "nothing works on a task that is cancelled",
                |_, state: &State| {
                    let works = |one: &Process| !one.is_paused && one.works(state.now);
                    state.task != Task::Cancelled || !state.processes.iter().any(works)
                },
            ),
            Property::always(
                "a dead process keeps its lease no longer than its time and the reaper's",
                |_, state: &State| {
                    dead_holder_since(state).is_none_or(|at| state.now <= at + TTL + REAP)
                },
            ),
            Property::sometimes(
                "it is done after a lease that was lost",
                |_, state: &State| matches!(state.task, Task::Done(2..)),
            ),
            Property::sometimes("it is cancelled while it runs", |_, state: &State| {
                state.task == Task::Cancelled && state.fence > 0
            }),
            Property::sometimes("a successor has it", |_, state: &State| {
                matches!(state.task, Task::Leased { holder: 1, .. })
            }),
        ]
    }
}

fn process_actions(state: &State, at: usize, actions: &mut Vec<Action>) {
    let process = &state.processes[at];
    #[expect(clippy::cast_possible_truncation, reason = "there are three")]
    let id = at as u8;
    if !process.is_up {
        return;
    }
    if process.is_paused {
        actions.push(Action::Resume(id));
        return;
    }
    // One that may stand still or die, one that comes after it, and one that lives: enough.
    if id == 0 {
        actions.push(Action::Pause(id));
        actions.push(Action::Crash(id));
    }
    if process.works(state.now) {
        actions.push(Action::Finish(id));
    }
    if !state.can_send() {
        return;
    }
    if process.report.is_some() {
        actions.push(Action::Send(id));
    } else if process.work.is_none() {
        actions.push(Action::Ask(id));
    }
    if process.work.is_some() || id == 1 {
        actions.push(Action::Beat(id));
    }
}

/// The first thing that a process does is to look at the clock.
fn resume(state: &mut State, at: usize) {
    let now = state.now;
    let process = &mut state.processes[at];
    process.is_paused = false;
    if process.work.is_some() && !process.works(now) {
        process.work = None;
    }
}

/// Since when a dead process holds the live lease: what it sent may arrive after its end.
fn dead_holder_since(state: &State) -> Option<u8> {
    match state.task {
        Task::Leased {
            holder, heard_at, ..
        } => {
            let died_at = state.processes[usize::from(holder)].died_at;
            died_at.map(|at| at.max(heard_at))
        }
        _ => None,
    }
}

impl Protocol {
    fn cancel(&self, state: &mut State) {
        state.cancel_asked = true;
        if state.task == Task::Ready || !self.0.cancel_waits_for_proof {
            state.task = Task::Cancelled;
            state.ends += 1;
        }
    }

    fn expire(&self, state: &mut State) {
        let seen = state.seen_expired.take();
        let Task::Leased { fence, beat_at, .. } = state.task else {
            return;
        };
        let is_due = state.now >= beat_at + TTL && seen == Some(fence);
        if !is_due && self.0.expiry_looks_again {
            return;
        }
        end_expired(state);
    }

    fn arrive(&self, state: &mut State, message: Message) {
        match message {
            Message::Ask(who, sent) => grant(state, who, sent),
            Message::Beat(who, sent) => self.beaten(state, who, sent),
            Message::Report(who, fence, is_result) => self.reported(state, who, fence, is_result),
            Message::Grant(who, ..)
            | Message::Heard(who, ..)
            | Message::Lost(who)
            | Message::Answered(who, _) => {
                let now = state.now;
                let process = &mut state.processes[usize::from(who)];
                if process.is_up && !process.is_paused {
                    self.answered(process, now, message);
                }
            }
        }
    }

    /// What a process does with an answer.
    fn answered(&self, process: &mut Process, now: u8, message: Message) {
        let until = |sent: u8| if self.0.deadline_from_request { sent } else { now } + TTL;
        if process.work.is_some() && !process.works(now) {
            process.work = None;
        }
        match message {
            // What was granted too long ago is not begun.
            Message::Grant(_, fence, sent) => {
                if now < until(sent) && process.work.is_none() && process.report.is_none() {
                    process.work = Some((fence, until(sent)));
                }
            }
            Message::Heard(_, fence, sent, stop) => match &mut process.work {
                Some((own, deadline)) if *own == fence => {
                    *deadline = (*deadline).max(until(sent));
                    if stop {
                        process.work = None;
                        process.report = Some((fence, false));
                    }
                }
                _ => {}
            },
            Message::Lost(_) => process.work = None,
            Message::Answered(_, fence) => {
                process.report = process.report.filter(|(own, _)| *own != fence);
            }
            Message::Ask(..) | Message::Beat(..) | Message::Report(..) => {}
        }
    }

    fn beaten(&self, state: &mut State, who: u8, sent: u8) {
        let works_on = state.processes[usize::from(who)]
            .work
            .map(|(fence, _)| fence);
        match &mut state.task {
            Task::Leased {
                fence,
                holder,
                beat_at,
                heard_at,
            } if *holder == who || !self.0.beats_are_of_a_session && *holder < 2 && who < 2 => {
                *beat_at = state.now;
                if *holder == who {
                    *heard_at = state.now;
                }
                let answer = Message::Heard(who, *fence, sent, state.cancel_asked);
                state.net.insert(answer);
            }
            _ if works_on.is_some() => drop(state.net.insert(Message::Lost(who))),
            _ => {}
        }
    }

    fn reported(&self, state: &mut State, who: u8, named: u8, is_result: bool) {
        state.net.insert(Message::Answered(who, named));
        let is_live = match state.task {
            Task::Leased { fence, .. } => fence == named,
            _ => false,
        };
        let is_again = state.task == Task::Done(named) && !self.0.end_is_final;
        let is_taken = match state.task {
            Task::Leased { .. } => is_live || !self.0.completion_names_its_lease,
            _ => is_again,
        };
        if !is_taken {
            return;
        }
        state.took_stale |= !is_live && !is_again;
        state.ends += 1;
        state.task = if is_result {
            Task::Done(named)
        } else {
            Task::Cancelled
        };
    }
}

fn end_expired(state: &mut State) {
    if state.cancel_asked {
        state.task = Task::Cancelled;
        state.ends += 1;
    } else {
        state.task = Task::Ready;
    }
}

fn grant(state: &mut State, who: u8, sent: u8) {
    if state.task != Task::Ready {
        return;
    }
    state.fence += 1;
    state.task = Task::Leased {
        fence: state.fence,
        holder: who,
        heard_at: state.now,
        beat_at: state.now,
    };
    state.net.insert(Message::Grant(who, state.fence, sent));
}
