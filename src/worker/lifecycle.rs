//! What a running program's slot does about everything that can happen, without doing it: a pure
//! state machine. [`super::attempt`] carries out the effects.

/// Why a program is being ended before its own end. The later ones outweigh the earlier: a lease
/// that is lost while its program is being ended for a timeout has nothing to report any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// The worker is stopping: the task goes back unburned.
    Stopping,
    /// It has said its last word and does not leave.
    Lingering,
    /// It ran longer than its policy allows.
    TimedOut,
    /// It printed more than the limit.
    TooLarge,
    /// It used more tokens than its policy allows.
    OverBudget,
    /// It wrote more to its directory than it may.
    DiskFull,
    /// Somebody cancelled the task.
    Cancelled,
    /// The worker could not beat in time, so somebody else may hold the task by now.
    Unrenewed,
    /// The service says that the lease is no longer this worker's.
    Lost,
}

impl Why {
    /// Whether somebody else may be running the task, or the program floods the worker: then there
    /// is no time for courtesy.
    #[must_use]
    pub fn is_urgent(self) -> bool {
        matches!(
            self,
            Self::Unrenewed | Self::Lost | Self::TooLarge | Self::DiskFull
        )
    }
}

/// Where a program stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It runs.
    Running,
    /// It is being ended.
    Ending(Why),
    /// It ended by itself.
    Exited,
    /// It was ended and nothing of it is left.
    Ended(Why),
}

/// What can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The program (the leader of its process group) exited.
    Exited,
    /// There is a reason to end it.
    End(Why),
    /// The time for a voluntary end is over.
    GraceOver,
    /// Nothing is left of the process group.
    Gone,
}

/// What to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    Nothing,
    /// SIGTERM to the group, and a grace.
    Terminate,
    /// SIGKILL to the group.
    Kill,
}

/// The next state and what to do.
#[must_use]
pub fn next(state: State, event: Event) -> (State, Effect) {
    match (state, event) {
        (State::Running, Event::Exited | Event::Gone) => (State::Exited, Effect::Kill),
        (State::Running, Event::End(why)) => (
            State::Ending(why),
            if why.is_urgent() {
                Effect::Kill
            } else {
                Effect::Terminate
            },
        ),
        (State::Ending(before), Event::End(why)) => {
            let kill = why.is_urgent() && !before.is_urgent();
            (
                State::Ending(before.max(why)),
                if kill { Effect::Kill } else { Effect::Nothing },
            )
        }
        // The leader is gone, its children keep the rest of the grace.
        (State::Ending(why), Event::Exited) => (State::Ending(why), Effect::Nothing),
        (State::Ending(why), Event::GraceOver) => (State::Ending(why), Effect::Kill),
        (State::Ending(why), Event::Gone) => (State::Ended(why), Effect::Nothing),
        (State::Running | State::Exited | State::Ended(_), _) => (state, Effect::Nothing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REASONS: [Why; 9] = [
        Why::Stopping,
        Why::Lingering,
        Why::TimedOut,
        Why::TooLarge,
        Why::OverBudget,
        Why::DiskFull,
        Why::Cancelled,
        Why::Unrenewed,
        Why::Lost,
    ];

    #[test]
    fn a_lost_lease_outweighs_every_other_reason_and_kills_at_once() {
        for why in REASONS {
            let (state, effect) = next(State::Ending(why), Event::End(Why::Lost));
            assert_eq!(state, State::Ending(Why::Lost));
            assert_eq!(effect == Effect::Kill, !why.is_urgent(), "{why:?}");
            assert_eq!(
                next(State::Ending(Why::Lost), Event::End(why)).0,
                State::Ending(Why::Lost)
            );
        }
    }

    #[test]
    fn cancel_and_timeout_ask_before_they_kill() {
        for why in [
            Why::Cancelled,
            Why::TimedOut,
            Why::OverBudget,
            Why::Stopping,
        ] {
            let (state, effect) = next(State::Running, Event::End(why));
            assert_eq!(effect, Effect::Terminate);
            assert_eq!(next(state, Event::Exited), (state, Effect::Nothing));
            assert_eq!(next(state, Event::GraceOver), (state, Effect::Kill));
            assert_eq!(next(state, Event::Gone).0, State::Ended(why));
        }
    }

    #[test]
    fn an_end_is_final() {
        for end in [State::Exited, State::Ended(Why::TimedOut)] {
            for event in [
                Event::Exited,
                Event::End(Why::Lost),
                Event::GraceOver,
                Event::Gone,
            ] {
                assert_eq!(next(end, event), (end, Effect::Nothing));
            }
        }
    }
}
