use proptest::prelude::*;

use super::*;

fn labels() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::btree_set(
        proptest::sample::select(vec!["gpu".to_owned(), "arm".to_owned(), "x86".to_owned()]),
        0..3,
    )
    .prop_map(|labels| labels.into_iter().collect())
}

fn workers() -> impl Strategy<Value = Vec<Candidate>> {
    let contexts = proptest::collection::btree_set(
        proptest::sample::select(vec!["a".to_owned(), "b".to_owned()]),
        0..2,
    );
    let seen = prop_oneof![Just(None), (0i64..3).prop_map(Some)];
    // Mostly eligible, or nothing would be left to rank.
    let yes = proptest::bool::weighted(0.85);
    let no = proptest::bool::weighted(0.15);
    let exhausted = proptest::option::weighted(0.15, 0i64..3);
    let slots = (0u32..4, 0u32..4);
    let worker = (yes, no, yes, labels(), slots, exhausted, seen, contexts).prop_map(
        |(
            online,
            draining,
            claude_cli,
            labels,
            (max_concurrency, active),
            exhausted_until_ms,
            last_seen_ms,
            live_contexts,
        )| {
            Candidate {
                id: String::new(),
                online,
                draining,
                claude_cli,
                labels,
                max_concurrency,
                active,
                last_seen_ms,
                exhausted_until_ms,
                live_contexts,
            }
        },
    );
    proptest::collection::vec(worker, 0..9).prop_map(|mut workers| {
        for (number, worker) in workers.iter_mut().enumerate() {
            worker.id = format!("w{number}");
        }
        workers
    })
}

/// The worker that has the conversation.
const SPEAKER: &str = "w1";

/// Whether `a` must stand before `b`, in the words of the documentation.
fn better(context: &str, a: &Candidate, b: &Candidate) -> bool {
    let sticky = |worker: &Candidate| worker.live_contexts.contains(context);
    if sticky(a) != sticky(b) {
        return sticky(a);
    }
    let speaks = |worker: &Candidate| worker.id == SPEAKER;
    if speaks(a) != speaks(b) {
        return speaks(a);
    }
    if a.free() != b.free() {
        return a.free() > b.free();
    }
    if a.last_seen_ms != b.last_seen_ms {
        return match (a.last_seen_ms, b.last_seen_ms) {
            (Some(a), Some(b)) => a > b,
            (a, _) => a.is_some(),
        };
    }
    a.id < b.id
}

proptest! {
    #[test]
    fn the_list_holds_exactly_the_eligible_best_first(workers in workers(), requires in labels()) {
        let need = Need { context_id: "a", requires: &requires, conversation_worker: Some(SPEAKER) };
        let ranked = rank(&need, &workers);
        let of = |id: &str| workers.iter().find(|worker| worker.id == id).expect("is one of them");
        for worker in &workers {
            let eligible = worker.online
                && !worker.draining
                && worker.claude_cli
                && worker.exhausted_until_ms.is_none()
                && worker.active < worker.max_concurrency
                && requires.iter().all(|label| worker.labels.contains(label));
            let times = ranked.iter().filter(|id| **id == worker.id).count();
            prop_assert_eq!(times, usize::from(eligible));
        }
        for pair in ranked.windows(2) {
            prop_assert!(better("a", of(pair[0]), of(pair[1])), "{pair:?}");
        }
    }

    #[test]
    fn the_order_of_the_snapshot_does_not_matter(
        (workers, shuffled) in workers().prop_flat_map(|w| (Just(w.clone()), Just(w).prop_shuffle())),
    ) {
        let need = Need { context_id: "b", requires: &[], conversation_worker: None };
        prop_assert_eq!(rank(&need, &workers), rank(&need, &shuffled));
    }
}
