//! The lease protocol as a model whose every interleaving is looked at: claim, beat, expire,
//! complete, cancel, crash, pause, and restart under the same name, over a network that loses,
//! repeats and reorders. The protocol as it is keeps its promises; each variant with one of its
//! rules left out breaks one, so the promises are not empty.
//!
//! The model is small on purpose: one task, three processes (two of them one worker, before and
//! after a restart), a clock of a few ticks. It knows nothing of SQL; that the verbs do what the
//! database does here is for `tests/it` (the state matrix, races, histories).

mod protocol;
mod rules;
mod state;

use protocol::Protocol;
use rules::Rules;
use stateright::{Checker as _, HasDiscoveries, Model as _};

/// What must hold in every state that can be reached.
const PROMISES: [&str; 5] = [
    "what ends a task comes from its live lease",
    "a task ends once",
    "two never work on it at once",
    "nothing works on a task that is cancelled",
    "a dead process keeps its lease no longer than its time and the reaper's",
];

/// Whether some way leads to where the promise does not hold.
fn breaks(promise: &'static str, rules: Rules) -> bool {
    let found = HasDiscoveries::AnyOf([promise].into());
    let checker = Protocol(rules).checker().threads(2).finish_when(found);
    checker.spawn_bfs().join().discovery(promise).is_some()
}

#[test]
fn the_protocol_keeps_its_promises_in_every_interleaving() {
    let checker = Protocol(Rules::AS_BUILT)
        .checker()
        .threads(2)
        .spawn_bfs()
        .join();
    // Also that something happens: each of these ends is reached by some way.
    checker.assert_properties();
    assert!(checker.unique_state_count() > 10_000);
}

#[test]
fn without_the_fence_a_superseded_result_is_taken() {
    let rules = Rules {
        completion_names_its_lease: false,
        ..Rules::AS_BUILT
    };
    assert!(breaks(PROMISES[0], rules));
}

#[test]
fn without_a_memory_of_what_ended_a_repeated_report_ends_a_task_twice() {
    let rules = Rules {
        end_is_final: false,
        ..Rules::AS_BUILT
    };
    assert!(breaks(PROMISES[1], rules));
}

#[test]
fn a_deadline_counted_from_the_answer_lets_two_work_at_once() {
    let rules = Rules {
        deadline_from_request: false,
        ..Rules::AS_BUILT
    };
    assert!(breaks(PROMISES[2], rules));
}

#[test]
fn an_expiry_that_does_not_look_again_lets_two_work_at_once() {
    let rules = Rules {
        expiry_looks_again: false,
        ..Rules::AS_BUILT
    };
    assert!(breaks(PROMISES[2], rules));
}

#[test]
fn a_cancel_that_does_not_wait_for_the_proof_leaves_something_at_work() {
    let rules = Rules {
        cancel_waits_for_proof: false,
        ..Rules::AS_BUILT
    };
    assert!(breaks(PROMISES[3], rules));
}

#[test]
fn beats_by_name_keep_the_lease_of_a_predecessor_that_died() {
    let rules = Rules {
        beats_are_of_a_session: false,
        ..Rules::AS_BUILT
    };
    assert!(breaks(PROMISES[4], rules));
}
