//! Who waits for what, and who is told: the pure part, without time or tasks.
//!
//! A wake-up is a **credit**: a promise that somebody will look for one task of a lane. A waiter
//! gets credits, looks, and settles them. What it cannot vouch for goes to the next waiter, so a
//! credit is lost only when a look that began after it found nothing more to take.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// One set of requirements of tasks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane {
    /// The queue's name.
    pub queue: String,
    /// Labels that a worker needs.
    pub requires: BTreeSet<String>,
}

/// What a waiter waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interest {
    /// The worker that would take the tasks.
    pub worker: String,
    /// The labels that it offers.
    pub labels: BTreeSet<String>,
    /// The queues that it serves; empty for all.
    pub queues: BTreeSet<String>,
    /// How many tasks it would take at once; at least 1.
    pub wants: usize,
}

impl Interest {
    /// Whether tasks of this lane are for it.
    #[must_use]
    pub fn covers(&self, lane: &Lane) -> bool {
        (self.queues.is_empty() || self.queues.contains(&lane.queue))
            && lane.requires.is_subset(&self.labels)
    }
}

/// What came of a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found<'a> {
    /// These tasks were taken, each named by its lane; none when there was nothing.
    Tasks(&'a [Lane]),
    /// Nothing, although there is something: another worker may have it, e.g. because it is busy
    /// with that task's context.
    Elsewhere,
    /// The worker has no room, whatever there is. The waiter gets no more credits until
    /// [`Waiters::worker_freed`](super::Waiters::worker_freed) or
    /// [`Waiters::unpark`](super::Waiters::unpark), or until it finds something after all.
    NoRoom,
}

/// Names a waiter; smaller ones came earlier.
pub type Id = u64;

#[derive(Debug, Clone)]
struct Credit {
    lane: Arc<Lane>,
    count: usize,
    /// Whether a look has begun since.
    seen: bool,
}

#[derive(Debug)]
struct Waiter {
    interest: Interest,
    credits: Vec<Credit>,
    /// Must look again although no credit says so.
    must_look: bool,
    /// Between the beginning of a look and its settlement.
    looking: bool,
    parked: bool,
}

impl Waiter {
    /// Tasks that it would take beyond those it was told of. A look under way does not count: it
    /// may have happened too early to see a new task.
    fn room(&self) -> usize {
        let unseen = self.credits.iter().filter(|credit| !credit.seen);
        self.interest
            .wants
            .saturating_sub(unseen.map(|credit| credit.count).sum())
    }

    fn add(&mut self, lane: &Arc<Lane>, count: usize) {
        let same = |credit: &&mut Credit| !credit.seen && credit.lane == *lane;
        if let Some(credit) = self.credits.iter_mut().find(same) {
            credit.count += count;
        } else {
            self.credits.push(Credit {
                lane: Arc::clone(lane),
                count,
                seen: false,
            });
        }
    }
}

/// All waiters, in order of arrival.
#[derive(Debug, Default)]
pub struct Queue {
    waiters: BTreeMap<Id, Waiter>,
    next: Id,
}

impl Queue {
    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiters.len()
    }

    /// Adds a waiter at the end.
    pub fn register(&mut self, mut interest: Interest) -> Id {
        interest.wants = interest.wants.max(1);
        let id = self.next;
        self.next += 1;
        let (must_look, looking, parked) = (false, false, false);
        let credits = Vec::new();
        self.waiters.insert(
            id,
            Waiter {
                interest,
                credits,
                must_look,
                looking,
                parked,
            },
        );
        id
    }

    /// Hands out `count` credits of a lane to the waiters that came first, to each at most as many
    /// as it wants tasks. Returns whom to rouse, and how many credits nobody here can use: they are
    /// dropped, because whoever comes later looks anyway.
    pub fn wake(&mut self, lane: &Lane, count: usize) -> (Vec<Id>, usize) {
        self.hand_out(&Arc::new(lane.clone()), count, |_, _| true)
    }

    fn hand_out(
        &mut self,
        lane: &Arc<Lane>,
        mut count: usize,
        may: impl Fn(Id, &Interest) -> bool,
    ) -> (Vec<Id>, usize) {
        let mut roused = Vec::new();
        // Those who look at this moment come last: they could act only after they are done.
        for looking in [false, true] {
            for (id, waiter) in &mut self.waiters {
                if count == 0 {
                    return (roused, 0);
                }
                let out = waiter.parked || waiter.looking != looking || !may(*id, &waiter.interest);
                let share = waiter.room().min(count);
                if !out && share > 0 && waiter.interest.covers(lane) {
                    waiter.add(lane, share);
                    count -= share;
                    roused.push(*id);
                }
            }
        }
        (roused, count)
    }

    /// Slots of a worker became free: its parked waiters must look again.
    pub fn worker_freed(&mut self, worker: &str) -> Vec<Id> {
        let parked = self
            .waiters
            .iter_mut()
            .filter(|(_, w)| w.parked && w.interest.worker == worker);
        parked
            .map(|(id, waiter)| {
                waiter.parked = false;
                waiter.must_look = true;
                *id
            })
            .collect()
    }

    /// Whoever found no room may get credits again: its slots may have become free without our
    /// hearing of it.
    pub fn unpark(&mut self) {
        for waiter in self.waiters.values_mut() {
            waiter.parked = false;
        }
    }

    /// Whether a waiter has a reason to look.
    #[must_use]
    pub fn is_woken(&self, id: Id) -> bool {
        self.waiters
            .get(&id)
            .is_some_and(|waiter| waiter.must_look || !waiter.credits.is_empty())
    }

    /// A waiter begins to look: the credits that it has are covered by this look, later ones not.
    pub fn begin(&mut self, id: Id) {
        if let Some(waiter) = self.waiters.get_mut(&id) {
            waiter.must_look = false;
            waiter.looking = true;
            waiter
                .credits
                .iter_mut()
                .for_each(|credit| credit.seen = true);
        }
    }

    /// The look is over. Returns whom to rouse instead.
    pub fn settle(&mut self, id: Id, found: Found<'_>) -> Vec<Id> {
        let Some(waiter) = self.waiters.get_mut(&id) else {
            return Vec::new();
        };
        waiter.looking = false;
        let (seen, unseen): (Vec<_>, Vec<_>) = std::mem::take(&mut waiter.credits)
            .into_iter()
            .partition(|credit| credit.seen);
        match found {
            Found::NoRoom => {
                waiter.parked = true;
                let all = seen.into_iter().chain(unseen).collect();
                self.pass_on(all, |other, _| other != id)
            }
            Found::Elsewhere => {
                waiter.parked = false;
                waiter.credits = unseen;
                let own = waiter.interest.worker.clone();
                // Only ever onwards, or two waiters would send each other to look for ever.
                self.pass_on(seen, |other, interest| other > id && interest.worker != own)
            }
            Found::Tasks(taken) => {
                waiter.parked = false;
                waiter.credits = unseen;
                self.pass_on(left_over(seen, taken), |other, _| other != id)
            }
        }
    }

    /// A waiter leaves. What it was woken for and did not look for goes to others.
    pub fn remove(&mut self, id: Id) -> Vec<Id> {
        let Some(waiter) = self.waiters.remove(&id) else {
            return Vec::new();
        };
        self.pass_on(waiter.credits, |_, _| true)
    }

    fn pass_on(&mut self, credits: Vec<Credit>, may: impl Fn(Id, &Interest) -> bool) -> Vec<Id> {
        credits
            .into_iter()
            .flat_map(|credit| self.hand_out(&credit.lane, credit.count, &may).0)
            .collect()
    }
}

/// The credits that a look leaves open. One that took nothing proves that nothing is left. One
/// that took something may have had no room for more, and may have taken other tasks than those
/// that it was woken for, which then still lie there.
fn left_over(mut seen: Vec<Credit>, taken: &[Lane]) -> Vec<Credit> {
    if taken.is_empty() {
        return Vec::new();
    }
    for lane in taken {
        let open = |credit: &&mut Credit| credit.count > 0 && *credit.lane == *lane;
        if let Some(credit) = seen.iter_mut().find(open) {
            credit.count -= 1;
        }
    }
    seen.retain(|credit| credit.count > 0);
    seen
}

#[cfg(test)]
mod tests;
