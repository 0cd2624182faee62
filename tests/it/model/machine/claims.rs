//! Who may lease what.

use uuid::Uuid;

use super::{Expected, Live, Machine, Place, Task};
use crate::model::ops::{Body, Given, QUEUES, WORKERS};
use crate::verbs::Grant;

impl Machine {
    fn free(&self, worker: usize) -> usize {
        let slots = self.workers[&worker].slots;
        slots.saturating_sub(self.leases(|live| live.worker == worker).len())
    }

    fn room(&self, queue: usize) -> usize {
        let running = self.tasks.values().filter(|task| {
            task.body.queue == queue && matches!(&task.place, Place::Lease(live) if live.counted)
        });
        let limit = self.queues[queue].limit.unwrap_or(usize::MAX);
        limit.saturating_sub(running.count())
    }

    fn is_open(&self, task: &Task, worker: usize) -> bool {
        task.place == Place::Ready
            && !self.queues[task.body.queue].paused
            && (!task.body.gpu || self.workers[&worker].gpu)
    }

    fn take(&mut self, grant: &Grant, worker: usize, process: Option<Uuid>) {
        let queue = self.tasks[&grant.task].body.queue;
        let counted = self.queues[queue].limit.is_some();
        let task = self.tasks.get_mut(&grant.task).unwrap();
        task.place = Place::Lease(Live {
            lease: grant.lease,
            worker,
            session: process,
            counted,
            overdue: false,
            cancel: false,
            delivered: false,
        });
        task.status = "leased";
        task.ver += 1;
        task.fence += 1;
        task.attempts += 1;
        assert_eq!(grant.fence, task.fence);
        assert_eq!(grant.worker, WORKERS[worker]);
    }

    pub(super) fn lease_next(
        &mut self,
        worker: usize,
        max: usize,
        process: Option<Uuid>,
        given: Option<&Given>,
    ) -> Expected {
        let known = self.workers.get(&worker).ok_or("worker_not_found")?.clone();
        let Some(Given::Grants(grants)) = given else {
            return Ok(());
        };
        let open: Vec<(Uuid, Body)> = self
            .tasks
            .iter()
            .filter(|(_, task)| self.is_open(task, worker))
            .map(|(id, task)| (*id, task.body.clone()))
            .collect();
        let in_queue = |queue| open.iter().filter(|(_, body)| body.queue == queue).count();
        let there: usize = (0..QUEUES.len())
            .map(|q| in_queue(q).min(self.room(q)))
            .sum();
        let expected = if known.draining {
            0
        } else {
            there.min(max).min(self.free(worker))
        };
        assert_eq!(grants.len(), expected, "a claim takes all that it may");
        let taken = |id: &Uuid| grants.iter().any(|grant| grant.task == *id);
        for grant in grants {
            assert!(
                open.iter().any(|(id, _)| *id == grant.task),
                "taken: {grant:?}"
            );
        }
        // The worker's own contexts come before better priorities.
        if self.leases(|live| live.worker == worker).is_empty() {
            for (_, left) in open.iter().filter(|(id, _)| !taken(id)) {
                let worse = open.iter().find(|(id, body)| {
                    taken(id) && body.queue == left.queue && body.priority > left.priority
                });
                assert!(worse.is_none(), "{left:?} was left for {worse:?}");
            }
        }
        for grant in grants {
            self.take(grant, worker, process);
        }
        Ok(())
    }

    pub(super) fn lease_task(
        &mut self,
        id: Uuid,
        worker: usize,
        given: Option<&Given>,
    ) -> Expected {
        let task = &self.tasks[&id];
        if task.status != "queued" {
            return Err("wrong_status");
        }
        match task.place {
            Place::Deferred { .. } => return Err("not_due"),
            Place::Parked => return Err("context_busy"),
            _ if self.queues[task.body.queue].paused => return Err("queue_paused"),
            _ => {}
        }
        let able = self
            .workers
            .get(&worker)
            .is_some_and(|known| !known.draining && (!task.body.gpu || known.gpu));
        if !able || self.free(worker) == 0 {
            return Err("no_available_worker");
        }
        if self.room(task.body.queue) == 0 {
            return Err("queue_full");
        }
        let Some(Given::Grants(grants)) = given else {
            return Ok(());
        };
        self.take(&grants[0], worker, None);
        Ok(())
    }
}
