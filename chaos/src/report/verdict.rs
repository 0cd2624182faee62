//! Whether a run says anything, and how far it went.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::Figures;
use super::page::number;
use crate::controls::{Control, Outcome};

/// How long the load should run, seconds.
const LONG: usize = 60 * 60;
/// How many faults there should be.
const FAULTS: usize = 500;
/// How many submissions should be acknowledged.
const ACKNOWLEDGED: usize = 100_000;
/// How many late reports should be refused: fewer, and late ones were hardly tried.
const REFUSED: usize = 100;

/// Why a run proves nothing, whatever it found: empty if it does.
#[must_use]
pub fn void(main: &Figures, controls: &[Outcome]) -> Vec<String> {
    let mut why = Vec::new();
    let ran: BTreeSet<&str> = controls.iter().map(|control| control.id.as_str()).collect();
    for control in Control::all() {
        let id = control.id();
        if !ran.contains(id.as_str()) {
            why.push(format!("{id} was not run"));
        }
    }
    for control in controls.iter().filter(|control| !control.caught) {
        let id = &control.id;
        why.push(if *id == Control::C0.id() {
            format!("{id}, in which nothing is broken, did not pass")
        } else {
            format!("{id} ({}) was not seen", control.what)
        });
    }
    if main.violations.contains_key("durability") {
        why.push("the server did not have the durability that is promised".to_owned());
    }
    why
}

/// Writes both.
///
/// # Errors
/// Never: it writes to memory.
pub fn write(page: &mut String, main: &Figures, controls: &[Outcome]) -> std::fmt::Result {
    let void = void(main, controls);
    let found: usize = main.violations.values().sum();
    let verdict = match (void.is_empty(), found) {
        (false, _) => format!("**This run is void:** {}.", void.join("; ")),
        (true, 0) => "Every control was seen, and no promise was broken.".to_owned(),
        (true, _) => format!(
            "Every control was seen. **Promises were broken {} times.**",
            number(found)
        ),
    };
    writeln!(page, "{verdict}\n")?;
    let faults: usize = main.faults.values().sum();
    let seconds = usize::try_from(main.seconds).unwrap_or(0);
    writeln!(page, "| | goal | this run | |\n|---|---:|---:|---|")?;
    for (what, goal, is) in [
        ("seconds of faults", LONG, seconds),
        ("faults", FAULTS, faults),
        (
            "acknowledged submissions",
            ACKNOWLEDGED,
            main.submissions.acknowledged,
        ),
        ("late reports refused", REFUSED, main.leases.stale_refused),
    ] {
        let reached = if is >= goal {
            "reached"
        } else {
            "**not reached**"
        };
        let (goal, is) = (number(goal), number(is));
        writeln!(page, "| {what} | {goal} | {is} | {reached} |")?;
    }
    writeln!(page)
}

#[cfg(test)]
mod tests {
    use super::super::Spread;
    use super::*;
    use crate::checker::accounting::Account;
    use crate::checker::leases::LeaseAccount;

    fn figures() -> Figures {
        Figures {
            seed: 1,
            seconds: 3600,
            faults: [("F01".to_owned(), FAULTS)].into(),
            not_done: [].into(),
            submissions: Account {
                acknowledged: ACKNOWLEDGED,
                ..Account::default()
            },
            leases: LeaseAccount {
                stale_refused: REFUSED,
                ..LeaseAccount::default()
            },
            unexplained: 0,
            events: 0,
            violations: [].into(),
            recovery: [].into(),
            seconds_without_grant: 0,
            enqueue: <[Spread; 2]>::default(),
            pickup: <[Spread; 2]>::default(),
            most: (0, 0, 0),
            settings: [].into(),
        }
    }

    fn outcomes() -> Vec<Outcome> {
        let all = Control::all().into_iter();
        all.map(|control| Outcome {
            id: control.id(),
            what: control.what().to_owned(),
            caught: true,
            found: [].into(),
            example: None,
        })
        .collect()
    }

    fn page(main: &Figures, controls: &[Outcome]) -> String {
        let mut page = String::new();
        write(&mut page, main, controls).unwrap();
        page
    }

    #[test]
    fn a_run_whose_controls_were_all_seen_is_not_void() {
        let page = page(&figures(), &outcomes());
        assert!(page.starts_with("Every control was seen, and no promise was broken."));
        assert!(!page.contains("not reached"), "{page}");
    }

    #[test]
    fn a_run_is_void_without_one_of_its_controls_or_the_promised_durability() {
        let mut unseen = outcomes();
        unseen[3].caught = false;
        let mut failed = outcomes();
        failed[0].caught = false;
        let missing = outcomes().split_off(1);
        let mut lax = figures();
        lax.violations.insert("durability".to_owned(), 1);
        for (main, controls) in [
            (&figures(), unseen),
            (&figures(), failed),
            (&figures(), missing),
            (&lax, outcomes()),
        ] {
            let page = page(main, &controls);
            assert!(page.starts_with("**This run is void:**"), "{page}");
        }
    }

    #[test]
    fn a_goal_that_is_not_reached_is_told() {
        let mut short = figures();
        short.seconds = 90;
        let page = page(&short, &outcomes());
        assert!(page.contains("| seconds of faults | 3,600 | 90 | **not reached** |"));
        assert_eq!(page.matches("not reached").count(), 1);
    }
}
