//! The checker is itself checked: a clean run passes, and each violation planted in it is found.

mod plants;
mod story;

use uuid::Uuid;

use self::plants::PLANTS;
use self::story::clean;
use super::{Evidence, accounting, check, leases};
use crate::dump::Dump;
use crate::journal::{Kind, Op, Record};
use crate::tables::Violation;

#[test]
fn a_clean_run_passes_and_each_planted_violation_is_found() {
    let clean = clean();
    assert_eq!(check(&clean), Vec::<Violation>::new());
    for (what, invariant, plant) in PLANTS {
        let mut evidence = clean.clone();
        plant(&mut evidence);
        let found = check(&evidence);
        assert!(
            found.iter().any(|v| v.invariant == *invariant),
            "{what}: expected {invariant}, found {found:?}"
        );
    }
}

#[test]
fn submissions_and_leases_are_counted_by_what_clients_know() {
    let evidence = clean();
    let account = accounting::account(&evidence);
    assert_eq!((account.attempted, account.acknowledged), (7, 4));
    assert_eq!((account.indeterminate, account.recovered), (2, 1));
    assert_eq!(
        (account.lost, account.phantom, account.duplicates),
        (0, 0, 0)
    );
    let leases = leases::account(&evidence);
    assert_eq!((leases.grants, leases.extra, leases.expired), (6, 2, 1));
    assert_eq!((leases.stale_refused, leases.stale_accepted), (2, 0));
}

#[test]
fn an_operation_that_was_never_answered_may_have_happened() {
    let mut evidence = clean();
    // As if the client had died between sending and hearing.
    let is_answer = |r: &Record| r.f == Op::Enqueue && r.kind != Kind::Invoke;
    evidence.records.retain(|record| !is_answer(record));
    let found = check(&evidence);
    assert!(found.iter().all(|v| v.invariant != "I2"), "{found:?}");
}

#[test]
fn evidence_survives_its_files() {
    let dir = std::env::temp_dir().join(format!("bloom-chaos-{}", Uuid::new_v4()));
    let evidence = clean();
    evidence.dump.write(&dir).unwrap();
    let read = Dump::read(&dir).unwrap();
    std::fs::remove_dir_all(&dir).unwrap();
    assert_eq!(
        check(&Evidence {
            dump: read,
            ..evidence
        }),
        Vec::<Violation>::new()
    );
}
