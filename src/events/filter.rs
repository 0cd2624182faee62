//! Which events a listener wants.

use uuid::Uuid;

use crate::db::calls::audit::Event;

/// Of each kind, one of the named; a kind that names nothing lets everything through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Tasks.
    pub tasks: Vec<Uuid>,
    /// Queues: their tasks, and what is done to the queues themselves.
    pub queues: Vec<String>,
    /// Workers: what they do to tasks, and what is done to the workers themselves.
    pub workers: Vec<String>,
    /// Types of events (`completed`), or beginnings of types (`worker_*`).
    pub types: Vec<String>,
}

impl Filter {
    /// Everything about one task.
    #[must_use]
    pub fn of_task(task: Uuid) -> Self {
        Self {
            tasks: vec![task],
            ..Self::default()
        }
    }

    /// Whether it lets the event through.
    #[must_use]
    pub fn wants(&self, event: &Event) -> bool {
        let subject = |kind: &str| {
            let subject = event.subject.as_deref();
            subject.and_then(|subject| subject.strip_prefix(kind))
        };
        let queue = event.queue.as_deref().or_else(|| subject("queue/"));
        let worker = event.worker_id.as_deref().or_else(|| subject("worker/"));
        is_among(&self.tasks, event.task_id.as_ref(), |one, id| one == id)
            && is_among(&self.queues, queue, |one, name| one == name)
            && is_among(&self.workers, worker, |one, name| one == name)
            && is_among(&self.types, Some(event.cause.as_str()), is_type)
    }
}

fn is_among<T, V: ?Sized>(wanted: &[T], value: Option<&V>, is: impl Fn(&T, &V) -> bool) -> bool {
    wanted.is_empty() || value.is_some_and(|value| wanted.iter().any(|one| is(one, value)))
}

fn is_type(wanted: &String, cause: &str) -> bool {
    match wanted.strip_suffix('*') {
        Some(beginning) => cause.starts_with(beginning),
        None => wanted == cause,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(cause: &str) -> Event {
        Event {
            position: (1, 1),
            at: 0,
            cause: cause.to_owned(),
            task_id: None,
            ver: None,
            queue: None,
            prior: None,
            status: None,
            fence: None,
            attempts: None,
            lease_id: None,
            worker_id: None,
            subject: None,
            actor: String::new(),
            detail: None,
        }
    }

    fn filter(queues: &[&str], workers: &[&str], types: &[&str]) -> Filter {
        let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        Filter {
            tasks: Vec::new(),
            queues: owned(queues),
            workers: owned(workers),
            types: owned(types),
        }
    }

    #[test]
    fn kinds_narrow_and_names_of_a_kind_widen() {
        let leased = Event {
            task_id: Some(Uuid::from_u128(1)),
            queue: Some("q".to_owned()),
            worker_id: Some("w".to_owned()),
            ..event("leased")
        };
        assert!(Filter::default().wants(&leased));
        assert!(filter(&["p", "q"], &["w"], &["leased", "dead"]).wants(&leased));
        assert!(!filter(&["q"], &["v"], &[]).wants(&leased));
        assert!(!filter(&["q"], &[], &["dead"]).wants(&leased));
        assert!(Filter::of_task(Uuid::from_u128(1)).wants(&leased));
        assert!(!Filter::of_task(Uuid::from_u128(2)).wants(&leased));
    }

    #[test]
    fn what_is_done_to_queues_and_workers_belongs_to_them() {
        let paused = Event {
            subject: Some("queue/q".to_owned()),
            ..event("queue_paused")
        };
        assert!(filter(&["q"], &[], &[]).wants(&paused));
        assert!(!filter(&[], &["q"], &[]).wants(&paused));
        assert!(!Filter::of_task(Uuid::from_u128(1)).wants(&paused));
        assert!(filter(&[], &[], &["queue_*"]).wants(&paused));
        assert!(!filter(&[], &[], &["worker_*", "queue"]).wants(&paused));
        let removed = Event {
            subject: Some("worker/w".to_owned()),
            ..event("worker_removed")
        };
        assert!(filter(&[], &["w"], &[]).wants(&removed));
    }
}
