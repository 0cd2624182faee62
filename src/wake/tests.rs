use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::shutdown::Shutdown;

fn lane() -> Lane {
    Lane {
        queue: "default".to_owned(),
        requires: BTreeSet::new(),
    }
}

fn interest() -> Interest {
    let (labels, queues) = (BTreeSet::new(), BTreeSet::new());
    Interest {
        worker: "w".to_owned(),
        labels,
        queues,
        wants: 1,
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

#[tokio::test(start_paused = true)]
async fn a_wake_up_between_look_and_wait_is_not_lost() {
    let waiters = Waiters::default();
    let mut waiter = waiters.register(interest()).expect("room");
    waiter.begin();
    assert_eq!(waiters.wake(&lane(), 1), 0);
    waiter.settle(Found::Tasks(&[]));
    assert_eq!(waiter.wait(soon()).await, Woken::Work);
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_at_its_deadline() {
    let waiters = Waiters::default();
    let mut waiter = waiters.register(interest()).expect("room");
    let started = Instant::now();
    assert_eq!(waiter.wait(soon()).await, Woken::TimedOut);
    assert_eq!(started.elapsed(), Duration::from_secs(30));
    drop(waiter);
    assert!(waiters.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_wake_up_of_a_client_that_went_away_reaches_the_next() {
    let waiters = Waiters::default();
    let mut gone = waiters.register(interest()).expect("room");
    let mut next = waiters.register(interest()).expect("room");
    let waiting = tokio::spawn(async move { next.wait(soon()).await });
    assert!(
        tokio::time::timeout(Duration::from_secs(1), gone.wait(soon()))
            .await
            .is_err()
    );
    assert_eq!(waiters.wake(&lane(), 1), 0);
    drop(gone);
    assert_eq!(waiting.await.expect("no panic"), Woken::Work);
}

#[tokio::test(start_paused = true)]
async fn waiters_are_limited_and_end_with_the_service() {
    let waiters = Waiters::new(1);
    let mut waiter = waiters.register(interest()).expect("room");
    let busy = |result: Result<Waiter>| match result {
        Err(Error::Refused { kind, code, .. }) => (kind, code),
        _ => panic!("not refused"),
    };
    let refused = busy(waiters.register(interest()));
    assert_eq!(refused, (Kind::Busy, "too_many_waiters".to_owned()));
    waiters.close();
    assert_eq!(waiter.wait(soon()).await, Woken::Closed);
    assert_eq!(
        busy(waiters.register(interest())),
        (Kind::Busy, "draining".to_owned())
    );
}

#[tokio::test(start_paused = true)]
async fn a_resync_rouses_everybody_but_not_at_once() {
    let waiters = Waiters::default();
    let mut waits = tokio::task::JoinSet::new();
    let started = Instant::now();
    for _ in 0..100 {
        let mut waiter = waiters.register(interest()).expect("room");
        waits.spawn(async move {
            let woken = waiter.wait(soon()).await;
            (woken, started.elapsed())
        });
    }
    tokio::task::yield_now().await;
    waiters.resync(RESYNC_SPREAD);
    let results = waits.join_all().await;
    assert!(
        results
            .iter()
            .all(|(woken, after)| *woken == Woken::Work && *after <= RESYNC_SPREAD)
    );
    let first_half = results
        .iter()
        .filter(|(_, after)| *after < RESYNC_SPREAD / 2)
        .count();
    assert!((20..=80).contains(&first_half), "{first_half}");
}

/// Tasks, submitters and long-polling clients that come, wait, give up and go away at random.
#[tokio::test(start_paused = true)]
async fn every_task_is_taken_soon_whatever_the_interleaving() {
    let waiters = Waiters::default();
    let ready = Arc::new(AtomicUsize::new(0));
    let taken = Arc::new(AtomicUsize::new(0));
    let pause = |most: u64| tokio::time::sleep(Duration::from_micros(fastrand::u64(0..most)));
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let (waiters, ready, taken) = (waiters.clone(), Arc::clone(&ready), Arc::clone(&taken));
        clients.spawn(async move {
            loop {
                let mut waiter = waiters.register(interest()).expect("room");
                let patience = Instant::now() + Duration::from_millis(fastrand::u64(1..50));
                let poll = async {
                    loop {
                        waiter.begin();
                        pause(200).await;
                        let got = ready.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| {
                            n.checked_sub(1)
                        });
                        let found = usize::from(got.is_ok());
                        taken.fetch_add(found, Ordering::Relaxed);
                        pause(200).await;
                        waiter.settle(Found::Tasks(&vec![lane(); found]));
                        if found > 0 || waiter.wait(patience).await == Woken::TimedOut {
                            break;
                        }
                    }
                };
                // Some clients hang up in the middle.
                let hang_up = Duration::from_micros(fastrand::u64(1_000..60_000));
                tokio::time::timeout(hang_up, poll).await.ok();
            }
        });
    }
    for number in 1..=2_000 {
        pause(2_000).await;
        ready.fetch_add(1, Ordering::Relaxed);
        waiters.wake(&lane(), 1);
        if number % 100 == 0 {
            // Long before any client's patience could have made it look again by itself.
            tokio::time::sleep(Duration::from_millis(5)).await;
            assert_eq!(taken.load(Ordering::Relaxed), number, "a task lies there");
        }
    }
    clients.shutdown().await;
    assert!(waiters.is_empty());
}

#[tokio::test(start_paused = true)]
async fn announcements_travel_together_and_the_last_ones_before_the_end() {
    let (notifier, announcer) = Notifier::new();
    let shutdown = Shutdown::new();
    let (sender, mut batches) = tokio::sync::mpsc::unbounded_channel();
    shutdown.spawn(notifier.run(shutdown.clone(), move |batch| {
        let sent = sender.send(batch).map_err(Error::internal);
        async move { sent }
    }));
    let lane = |queue: &str| Lane {
        queue: queue.to_owned(),
        requires: BTreeSet::new(),
    };
    let (one, two) = (lane("one"), lane("two"));
    for _ in 0..1_000 {
        announcer.announce(&one, 1);
        announcer.announce(&two, 2);
    }
    assert_eq!(
        batches.recv().await,
        Some(Batch::from([(one.clone(), 1_000), (two, 2_000)]))
    );
    announcer.announce(&one, 1);
    shutdown.request();
    shutdown.finished().await;
    assert_eq!(batches.recv().await, Some(Batch::from([(one, 1)])));
    assert_eq!(batches.recv().await, None);
    assert_eq!(announcer.dropped(), 0);
}
