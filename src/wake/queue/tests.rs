use proptest::prelude::*;

use super::*;

fn set(labels: &[&str]) -> BTreeSet<String> {
    labels.iter().map(ToString::to_string).collect()
}

fn lane(requires: &[&str]) -> Lane {
    Lane {
        queue: "default".to_owned(),
        requires: set(requires),
    }
}

fn interest(worker: &str, labels: &[&str], wants: usize) -> Interest {
    Interest {
        worker: worker.to_owned(),
        labels: set(labels),
        queues: set(&[]),
        wants,
    }
}

#[test]
fn exactly_as_many_waiters_wake_as_there_is_work_first_come_first_served() {
    let mut queue = Queue::default();
    let ids: Vec<_> = (0..10)
        .map(|_| queue.register(interest("w", &[], 1)))
        .collect();
    assert_eq!(queue.wake(&lane(&[]), 3).0, ids[..3]);
    assert_eq!(queue.wake(&lane(&[]), 2).0, ids[3..5]);
    assert_eq!(queue.wake(&lane(&[]), 100).0, ids[5..]);
    assert!(queue.wake(&lane(&[]), 1).0.is_empty(), "everybody is awake");
}

#[test]
fn only_those_who_may_take_the_task_wake() {
    let mut queue = Queue::default();
    let plain = queue.register(interest("a", &[], 1));
    let gpu = queue.register(interest("b", &["gpu", "arm"], 1));
    let mut other = interest("c", &["gpu"], 1);
    other.queues = set(&["other"]);
    queue.register(other);
    assert_eq!(queue.wake(&lane(&["gpu"]), 5).0, [gpu]);
    assert_eq!(queue.wake(&lane(&[]), 5).0, [plain]);
}

#[test]
fn one_who_wants_many_is_woken_once_for_many() {
    let mut queue = Queue::default();
    let many = queue.register(interest("a", &[], 10));
    let one = queue.register(interest("b", &[], 1));
    assert_eq!(queue.wake(&lane(&[]), 10).0, [many]);
    queue.begin(many);
    // It had room for 4 only: the others' turn.
    assert_eq!(queue.settle(many, Found::Tasks(&vec![lane(&[]); 4])), [one]);
}

#[test]
fn a_wake_up_of_one_who_leaves_goes_to_the_next() {
    let mut queue = Queue::default();
    let first = queue.register(interest("a", &[], 1));
    let second = queue.register(interest("b", &[], 1));
    assert_eq!(queue.wake(&lane(&[]), 1).0, [first]);
    assert_eq!(queue.remove(first), [second]);
    queue.begin(second);
    assert!(queue.settle(second, Found::Tasks(&[lane(&[])])).is_empty());
    assert!(queue.remove(second).is_empty());
}

#[test]
fn a_wake_up_during_a_look_is_not_covered_by_it() {
    let mut queue = Queue::default();
    let first = queue.register(interest("a", &[], 1));
    queue.begin(first);
    assert_eq!(queue.wake(&lane(&[]), 1).0, [first]);
    // It may have found an older task, so somebody must look for the new one.
    assert!(queue.settle(first, Found::Tasks(&[lane(&[])])).is_empty());
    let second = queue.register(interest("b", &[], 1));
    assert_eq!(queue.remove(first), [second]);
}

#[test]
fn a_full_worker_is_left_alone_until_a_slot_is_free() {
    let mut queue = Queue::default();
    let full = queue.register(interest("full", &[], 1));
    let other = queue.register(interest("other", &[], 1));
    queue.wake(&lane(&[]), 1);
    queue.begin(full);
    assert_eq!(queue.settle(full, Found::NoRoom), [other]);
    assert!(!queue.is_woken(full));
    assert!(
        queue.wake(&lane(&[]), 1).0.is_empty(),
        "one is awake, one is parked"
    );
    assert_eq!(queue.worker_freed("full"), [full]);
    assert!(queue.is_woken(full));
}

/// What happens in a simulated service.
#[derive(Debug, Clone)]
enum Step {
    Submit {
        gpu: bool,
        count: usize,
    },
    Arrive {
        gpu: bool,
        wants: usize,
    },
    /// The n-th waiter does its next thing.
    Advance(usize),
    Leave(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (any::<bool>(), 1usize..4).prop_map(|(gpu, count)| Step::Submit { gpu, count }),
        3 => (any::<bool>(), 1usize..4).prop_map(|(gpu, wants)| Step::Arrive { gpu, wants }),
        8 => (0usize..8).prop_map(Step::Advance),
        1 => (0usize..8).prop_map(Step::Leave),
    ];
    proptest::collection::vec(step, 0..80)
}

/// Where a simulated waiter stands.
#[derive(Debug, Clone, Copy, PartialEq)]
enum At {
    Begin,
    Take,
    Settle([usize; 2]),
    Wait,
}

#[derive(Debug, Default)]
struct World {
    queue: Queue,
    /// Tasks ready: without and with the requirement "gpu".
    ready: [usize; 2],
    waiters: Vec<(Id, bool, usize, At)>,
    looks: usize,
    handed: usize,
}

impl World {
    fn step(&mut self, step: &Step) {
        match *step {
            Step::Submit { gpu, count } => {
                self.ready[usize::from(gpu)] += count;
                self.handed += self
                    .queue
                    .wake(&lane(if gpu { &["gpu"] } else { &[] }), count)
                    .0
                    .len();
            }
            Step::Arrive { gpu, wants } => {
                let labels: &[&str] = if gpu { &["gpu"] } else { &[] };
                let id = self.queue.register(interest("w", labels, wants));
                self.waiters.push((id, gpu, wants, At::Begin));
            }
            Step::Advance(n) if n < self.waiters.len() => self.advance(n),
            Step::Leave(n) if n < self.waiters.len() && self.waiters[n].3 == At::Wait => {
                let (id, ..) = self.waiters.remove(n);
                self.queue.remove(id);
            }
            Step::Advance(_) | Step::Leave(_) => {}
        }
    }

    fn advance(&mut self, n: usize) {
        let (id, gpu, wants, at) = self.waiters[n];
        self.waiters[n].3 = match at {
            At::Begin => {
                self.queue.begin(id);
                At::Take
            }
            At::Take => {
                self.looks += 1;
                let mut taken = [0, 0];
                for lane in if gpu { vec![0, 1] } else { vec![0] } {
                    taken[lane] = self.ready[lane].min(wants - taken[0]);
                    self.ready[lane] -= taken[lane];
                }
                At::Settle(taken)
            }
            At::Settle(taken) => {
                let mut lanes = vec![lane(&[]); taken[0]];
                lanes.resize(taken[0] + taken[1], lane(&["gpu"]));
                self.queue.settle(id, Found::Tasks(&lanes));
                if !lanes.is_empty() {
                    // It has what it came for, and goes.
                    self.waiters.remove(n);
                    self.queue.remove(id);
                    return;
                }
                At::Wait
            }
            At::Wait if self.queue.is_woken(id) => At::Begin,
            At::Wait => At::Wait,
        };
    }

    /// Lets everybody who has a reason to act go on until nobody has.
    fn rest(&mut self) {
        let busy = |world: &Self| {
            let awake = |(id, _, _, at): &(Id, bool, usize, At)| {
                *at != At::Wait || world.queue.is_woken(*id)
            };
            world.waiters.iter().position(awake)
        };
        let mut bound = 10_000;
        while let Some(n) = busy(self) {
            self.advance(n);
            bound -= 1;
            assert!(bound > 0, "waking each other for ever");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn nobody_sleeps_while_there_is_work_for_it(steps in steps()) {
        let mut world = World::default();
        for step in &steps {
            world.step(step);
        }
        world.rest();
        for (_, gpu, ..) in &world.waiters {
            let work = world.ready[0] + if *gpu { world.ready[1] } else { 0 };
            prop_assert_eq!(work, 0, "a waiter sleeps: {:?}", world);
        }
    }

    #[test]
    fn idle_waiters_look_once_each_and_then_as_often_as_there_is_work(
        waiters in 1usize..20,
        submissions in proptest::collection::vec(1usize..4, 0..10),
    ) {
        let mut world = World::default();
        for _ in 0..waiters {
            world.step(&Step::Arrive { gpu: false, wants: 1 });
        }
        world.rest();
        prop_assert_eq!(world.looks, waiters);
        let total: usize = submissions.iter().sum();
        for count in submissions {
            world.step(&Step::Submit { gpu: false, count });
            world.rest();
        }
        prop_assert_eq!(world.looks, waiters + total.min(waiters));
    }
}
