//! The queue as it should be, in memory: one call at a time, no time but what the calls make pass.

mod claims;

use std::collections::{BTreeMap, HashMap, VecDeque};

use uuid::Uuid;

use super::ops::{Body, Given, Op, session};
use crate::verbs::Grant;

/// Where a task stands: the state tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    Ready,
    /// Until it is due, which the calls decide.
    Deferred {
        due: bool,
    },
    Parked,
    Lease(Live),
    Finished,
}

/// A live lease.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    pub lease: Uuid,
    worker: usize,
    session: Option<Uuid>,
    counted: bool,
    overdue: bool,
    cancel: bool,
    delivered: bool,
}

/// A task as the database must show it.
#[derive(Debug, Clone)]
pub struct Task {
    body: Body,
    pub place: Place,
    pub status: &'static str,
    pub ver: i32,
    pub epoch: i32,
    pub fence: i32,
    pub attempts: i16,
    pub crashes: i16,
}

#[derive(Debug, Clone)]
struct Worker {
    slots: usize,
    gpu: bool,
    draining: bool,
}

#[derive(Debug, Clone, Default)]
struct Queue {
    paused: bool,
    limit: Option<usize>,
}

/// What a call must give: the refusal's code, or nothing to say but what [`Given`] holds.
pub type Expected = Result<(), &'static str>;

/// The whole queue.
#[derive(Debug, Default)]
pub struct Machine {
    pub tasks: BTreeMap<Uuid, Task>,
    workers: HashMap<usize, Worker>,
    queues: [Queue; 2],
    keys: HashMap<u8, (Uuid, Body)>,
    /// By serial context: who has the turn, and who waits for it.
    turns: [(Option<Uuid>, VecDeque<Uuid>); 3],
    /// The status that each lease reported, if it did.
    results: HashMap<Uuid, &'static str>,
}

impl Machine {
    /// Follows a call that was made: takes over what only the database can choose (ids, which
    /// tasks a claim took), checks it, and says what the call must have given.
    pub fn follow(
        &mut self,
        op: &Op,
        task: Option<Uuid>,
        grant: Option<&Grant>,
        listed: &[Grant],
        given: Option<&Given>,
    ) -> Expected {
        match op {
            Op::Submit { body, key } => self.submit(body, *key, given),
            Op::LeaseNext {
                worker,
                max,
                in_session,
            } => {
                let process = in_session.then(|| session(*worker));
                self.lease_next(*worker, usize::try_from(*max).unwrap(), process, given)
            }
            Op::LeaseTask { worker, .. } => self.lease_task(task.unwrap(), *worker, given),
            Op::Heartbeat(_) | Op::Extend(_) => {
                let grant = grant.unwrap();
                let begins = matches!(op, Op::Heartbeat(_));
                let task = self.tasks.get_mut(&grant.task).unwrap();
                let Some(live) = current(task, grant) else {
                    return Err("lease_lost");
                };
                live.overdue = false;
                if begins && task.status == "leased" {
                    task.status = "running";
                    task.ver += 1;
                }
                Ok(())
            }
            Op::Complete {
                status, retryable, ..
            } => self.complete(grant.unwrap(), status, *retryable),
            Op::Release(_) => {
                let grant = grant.unwrap();
                if current(self.tasks.get_mut(&grant.task).unwrap(), grant).is_none() {
                    return Err("lease_lost");
                }
                self.give_back(grant.task, false);
                Ok(())
            }
            Op::Cancel(_) => self.cancel(task.unwrap()),
            Op::Requeue(_) => self.requeue(task.unwrap()),
            Op::Prioritize { priority, .. } => self.prioritize(task.unwrap(), *priority),
            Op::Beat { worker, .. } => self.beat(*worker, listed),
            Op::RequeueDead(_) | Op::RunOut | Op::Expire | Op::ComeDue | Op::Promote => {
                self.pass(op, given)
            }
            _ => self.steer(op, given),
        }
    }

    /// What time brings.
    fn pass(&mut self, op: &Op, given: Option<&Given>) -> Expected {
        match op {
            Op::RequeueDead(queue) => {
                let dead = self.tasks.iter().rev();
                let dead = dead.filter(|(_, t)| t.status == "dead" && t.body.queue == *queue);
                let dead: Vec<Uuid> = dead.map(|(id, _)| *id).collect();
                if let Some(Given::Tasks(ids)) = given {
                    assert_eq!(*ids, dead, "newest first");
                }
                dead.into_iter().try_for_each(|id| self.requeue(id))
            }
            Op::RunOut => {
                for task in self.tasks.values_mut() {
                    if let Place::Lease(live) = &mut task.place {
                        live.overdue = true;
                    }
                }
                Ok(())
            }
            Op::Expire => {
                let ended = self.leases(|live| live.overdue);
                check_count(given, ended.len());
                for id in ended {
                    self.give_back(id, true);
                }
                Ok(())
            }
            Op::Promote => {
                self.promote(given);
                Ok(())
            }
            Op::ComeDue => {
                for task in self.tasks.values_mut() {
                    if let Place::Deferred { due } = &mut task.place {
                        *due = true;
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// What operators do, and maintenance, which nobody sees.
    fn steer(&mut self, op: &Op, given: Option<&Given>) -> Expected {
        match op {
            Op::Register { worker, slots, gpu } => {
                let slots = usize::try_from(*slots).unwrap();
                let draining = self.workers.get(worker).is_some_and(|w| w.draining);
                let gpu = *gpu;
                self.workers.insert(
                    *worker,
                    Worker {
                        slots,
                        gpu,
                        draining,
                    },
                );
                Ok(())
            }
            Op::Drain { worker, draining } => {
                let known = self.workers.get_mut(worker).ok_or("worker_not_found")?;
                known.draining = *draining;
                Ok(())
            }
            Op::Remove(worker) => {
                self.workers.remove(worker).ok_or("worker_not_found")?;
                let ended = self.leases(|live| live.worker == *worker);
                check_count(given, ended.len());
                for id in ended {
                    self.give_back(id, false);
                }
                Ok(())
            }
            Op::Pause { queue, paused } => {
                self.queues[*queue].paused = *paused;
                Ok(())
            }
            Op::Limit { queue, limit } => {
                self.queues[*queue].limit = limit.map(|n| usize::try_from(n).unwrap());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn submit(&mut self, body: &Body, key: Option<u8>, given: Option<&Given>) -> Expected {
        let known = key.and_then(|key| self.keys.get(&key));
        if known.is_some_and(|(_, other)| other != body) {
            return Err("idempotency_conflict");
        }
        let Some(Given::Task(id)) = given else {
            return Ok(());
        };
        if let Some((first, _)) = known {
            assert_eq!(first, id, "the key knows its task");
            return Ok(());
        }
        if let Some(key) = key {
            self.keys.insert(key, (*id, body.clone()));
        }
        let place = if body.later {
            Place::Deferred { due: false }
        } else {
            Place::Ready
        };
        let task = Task {
            body: body.clone(),
            place,
            status: "queued",
            ver: 1,
            epoch: 0,
            fence: 0,
            attempts: 0,
            crashes: 0,
        };
        self.tasks.insert(*id, task);
        if !body.later {
            self.enter(*id);
        }
        Ok(())
    }

    /// Into ready, or parked where the context is busy.
    fn enter(&mut self, id: Uuid) {
        let task = self.tasks.get_mut(&id).unwrap();
        task.status = "queued";
        task.place = Place::Ready;
        if !task.body.serial {
            return;
        }
        let (holder, waiting) = &mut self.turns[task.body.context];
        if holder.is_none_or(|holder| holder == id) {
            *holder = Some(id);
        } else {
            task.place = Place::Parked;
            waiting.push_back(id);
        }
    }

    /// Into finished, and the turn to the next.
    fn finish(&mut self, id: Uuid, status: &'static str) {
        let task = self.tasks.get_mut(&id).unwrap();
        task.status = status;
        task.place = Place::Finished;
        let (holder, waiting) = &mut self.turns[task.body.context];
        waiting.retain(|other| *other != id);
        if *holder == Some(id) {
            *holder = waiting.pop_front();
            if let Some(next) = *holder {
                let next = self.tasks.get_mut(&next).unwrap();
                next.place = Place::Ready;
                next.ver += 1;
            }
        }
    }

    fn leases(&self, which: impl Fn(&Live) -> bool) -> Vec<Uuid> {
        let live = self.tasks.iter().filter(|(_, task)| match &task.place {
            Place::Lease(live) => which(live),
            _ => false,
        });
        live.map(|(id, _)| *id).collect()
    }

    fn complete(&mut self, grant: &Grant, status: &'static str, retryable: bool) -> Expected {
        let task = self.tasks.get_mut(&grant.task).unwrap();
        let max = task.body.max_attempts;
        let Some(cancel) = current(task, grant).map(|live| live.cancel) else {
            return match self.results.get(&grant.lease) {
                Some(known) if *known == status => Ok(()),
                Some(_) => Err("already_completed"),
                None => Err("lease_lost"),
            };
        };
        task.ver += 1;
        self.results.insert(grant.lease, status);
        if status == "success" {
            self.finish(grant.task, "completed");
        } else if cancel {
            self.finish(grant.task, "cancelled");
        } else if retryable && task.attempts < max {
            task.status = "failed";
            task.place = Place::Deferred { due: false };
        } else {
            self.finish(grant.task, "dead");
        }
        Ok(())
    }

    /// A lease ends without a result.
    fn give_back(&mut self, id: Uuid, burned: bool) {
        let task = self.tasks.get_mut(&id).unwrap();
        let Place::Lease(live) = &task.place else {
            unreachable!()
        };
        let cancel = live.cancel;
        task.ver += 1;
        task.crashes += i16::from(burned);
        let used_up =
            task.crashes >= task.body.max_crashes || task.attempts >= task.body.max_attempts;
        if cancel {
            self.finish(id, "cancelled");
        } else if burned && used_up {
            self.finish(id, "dead");
        } else {
            task.attempts -= i16::from(!burned);
            task.status = "queued";
            task.place = Place::Ready;
        }
    }

    fn cancel(&mut self, id: Uuid) -> Expected {
        let task = self.tasks.get_mut(&id).unwrap();
        match &mut task.place {
            Place::Lease(live) => {
                task.ver += i32::from(!live.cancel);
                live.cancel = true;
            }
            Place::Finished if task.status == "cancelled" => {}
            Place::Finished => return Err("wrong_status"),
            _ => {
                task.ver += 1;
                self.finish(id, "cancelled");
            }
        }
        Ok(())
    }

    fn requeue(&mut self, id: Uuid) -> Expected {
        let task = self.tasks.get_mut(&id).unwrap();
        if !matches!(task.status, "failed" | "dead" | "cancelled") {
            return Err("wrong_status");
        }
        task.ver += 1;
        task.epoch += 1;
        (task.attempts, task.crashes) = (0, 0);
        self.enter(id);
        Ok(())
    }

    fn prioritize(&mut self, id: Uuid, priority: i32) -> Expected {
        let task = self.tasks.get_mut(&id).unwrap();
        if task.status != "queued" {
            return Err("wrong_status");
        }
        task.ver += i32::from(task.body.priority != priority);
        task.body.priority = priority;
        Ok(())
    }

    fn beat(&mut self, worker: usize, listed: &[Grant]) -> Expected {
        self.workers.get(&worker).ok_or("worker_not_found")?;
        for task in self.tasks.values_mut() {
            let Place::Lease(live) = &mut task.place else {
                continue;
            };
            if live.worker != worker || live.session != Some(session(worker)) {
                continue;
            }
            live.overdue = false;
            let is_listed = listed.iter().any(|grant| grant.lease == live.lease);
            if is_listed && live.cancel && !live.delivered {
                live.delivered = true;
                task.ver += 1;
            }
        }
        Ok(())
    }

    /// In the order of ids, since all that is due became due at the same moment.
    fn promote(&mut self, given: Option<&Given>) {
        let due = self
            .tasks
            .iter()
            .filter(|(_, task)| task.place == Place::Deferred { due: true });
        let due: Vec<Uuid> = due.map(|(id, _)| *id).collect();
        check_count(given, due.len());
        for id in due {
            self.tasks.get_mut(&id).unwrap().ver += 1;
            self.enter(id);
        }
    }
}

/// The live lease of a task, if it is this grant's.
fn current<'a>(task: &'a mut Task, grant: &Grant) -> Option<&'a mut Live> {
    match &mut task.place {
        Place::Lease(live) if live.lease == grant.lease => Some(live),
        _ => None,
    }
}

fn check_count(given: Option<&Given>, expected: usize) {
    if let Some(Given::Count(count)) = given {
        assert_eq!(*count, i64::try_from(expected).unwrap());
    }
}
