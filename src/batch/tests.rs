use std::sync::Mutex;

use tokio::sync::{Notify, Semaphore, mpsc};

use super::*;
use crate::error::Kind;

/// Answers each call with itself; flights wait for the gate, and the log keeps who flew together.
struct Echo {
    gate: Semaphore,
    log: Mutex<Vec<Vec<u32>>>,
    departed: Notify,
    fault: fn(&[u32]) -> Option<Error>,
}

impl Route for Arc<Echo> {
    type Call = u32;
    type Answer = u32;

    fn weight(call: &u32) -> usize {
        *call as usize
    }

    async fn fly(&self, calls: &[u32]) -> Result<Vec<Result<u32>>> {
        self.log.lock().unwrap().push(calls.to_vec());
        self.departed.notify_one();
        self.gate.acquire().await.unwrap().forget();
        match (self.fault)(calls) {
            Some(error) => Err(error),
            None => Ok(calls.iter().map(|call| Ok(*call)).collect()),
        }
    }
}

const OPTIONS: Options = Options {
    flights: 1,
    crowd: 1,
    max_calls: 4,
    max_bytes: 1000,
    max_waiting: 8,
    max_waiting_bytes: 5000,
};

fn echo(options: Options, fault: fn(&[u32]) -> Option<Error>) -> (Arc<Echo>, Batcher<Arc<Echo>>) {
    let echo = Arc::new(Echo {
        gate: Semaphore::new(0),
        log: Mutex::new(Vec::new()),
        departed: Notify::new(),
        fault,
    });
    let batcher = Batcher::new(Arc::clone(&echo), options, &Shutdown::new());
    (echo, batcher)
}

/// Calls in the background; the answer arrives on the channel with the call.
fn send(
    batcher: &Batcher<Arc<Echo>>,
    caller: &'static str,
    call: u32,
    answers: &mpsc::UnboundedSender<(u32, Result<u32>)>,
) -> tokio::task::JoinHandle<()> {
    let (batcher, answers) = (batcher.clone(), answers.clone());
    tokio::spawn(async move {
        let answer = batcher.call(caller, call).await;
        drop(answers.send((call, answer)));
    })
}

async fn waiting(batcher: &Batcher<Arc<Echo>>, calls: usize) {
    while batcher.shared.lock().queue.size().0 != calls {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn alone_a_call_leaves_at_once_and_those_that_come_meanwhile_travel_together() {
    let (echo, batcher) = echo(OPTIONS, |_| None);
    let (answers, mut answered) = mpsc::unbounded_channel();
    send(&batcher, "a", 1, &answers);
    echo.departed.notified().await;
    for call in [2, 3, 4] {
        send(&batcher, "a", call, &answers);
    }
    waiting(&batcher, 3).await;
    echo.gate.add_permits(2);
    for _ in 0..4 {
        let (call, answer) = answered.recv().await.unwrap();
        assert_eq!(answer.unwrap(), call);
    }
    assert_eq!(*echo.log.lock().unwrap(), [vec![1], vec![2, 3, 4]]);
}

#[tokio::test]
async fn a_crowd_leaves_beside_a_flight_that_is_out() {
    let options = Options {
        flights: 2,
        crowd: 3,
        ..OPTIONS
    };
    let (echo, batcher) = echo(options, |_| None);
    let (answers, mut answered) = mpsc::unbounded_channel();
    send(&batcher, "a", 1, &answers);
    echo.departed.notified().await;
    for (at, call) in [2, 3].into_iter().enumerate() {
        send(&batcher, "a", call, &answers);
        waiting(&batcher, at + 1).await;
    }
    send(&batcher, "a", 4, &answers);
    echo.departed.notified().await;
    // No third flight, however many wait.
    for (at, call) in [5, 6, 7, 8].into_iter().enumerate() {
        send(&batcher, "a", call, &answers);
        waiting(&batcher, at + 1).await;
    }
    echo.gate.add_permits(4);
    for _ in 0..8 {
        assert!(answered.recv().await.unwrap().1.is_ok());
    }
    let log = echo.log.lock().unwrap();
    assert_eq!(*log, [vec![1], vec![2, 3, 4], vec![5, 6, 7, 8]]);
}

#[tokio::test]
async fn callers_take_turns() {
    let (echo, batcher) = echo(OPTIONS, |_| None);
    let (answers, mut answered) = mpsc::unbounded_channel();
    send(&batcher, "first", 1, &answers);
    echo.departed.notified().await;
    for (at, call) in [11, 12, 13, 14, 15].into_iter().enumerate() {
        send(&batcher, "greedy", call, &answers);
        waiting(&batcher, at + 1).await;
    }
    send(&batcher, "modest", 21, &answers);
    waiting(&batcher, 6).await;
    echo.gate.add_permits(3);
    for _ in 0..7 {
        assert!(answered.recv().await.unwrap().1.is_ok());
    }
    let log = echo.log.lock().unwrap();
    assert_eq!(*log, [vec![1], vec![11, 21, 12, 13], vec![14, 15]]);
}

#[tokio::test]
async fn a_poisoned_call_fails_alone() {
    let (echo, batcher) = echo(OPTIONS, |calls| {
        calls
            .contains(&3)
            .then(|| Error::refused(Kind::Conflict, "poison", "poison"))
    });
    let (answers, mut answered) = mpsc::unbounded_channel();
    send(&batcher, "a", 1, &answers);
    echo.departed.notified().await;
    for call in [2, 3, 4] {
        send(&batcher, "a", call, &answers);
    }
    waiting(&batcher, 3).await;
    echo.gate.add_permits(100);
    for _ in 0..4 {
        match answered.recv().await.unwrap() {
            (3, answer) => assert!(matches!(answer, Err(Error::Refused { .. }))),
            (call, answer) => assert_eq!(answer.unwrap(), call),
        }
    }
}

#[tokio::test]
async fn an_unknown_outcome_is_told_to_all_and_nothing_is_repeated() {
    let (echo, batcher) = echo(OPTIONS, |calls| (calls.len() > 1).then(|| away("cut off")));
    let (answers, mut answered) = mpsc::unbounded_channel();
    send(&batcher, "a", 1, &answers);
    echo.departed.notified().await;
    for call in [2, 3] {
        send(&batcher, "a", call, &answers);
    }
    waiting(&batcher, 2).await;
    echo.gate.add_permits(100);
    for _ in 0..3 {
        match answered.recv().await.unwrap() {
            (1, answer) => assert_eq!(answer.unwrap(), 1),
            (_, answer) => assert!(matches!(answer, Err(Error::Unavailable { .. }))),
        }
    }
    assert_eq!(*echo.log.lock().unwrap(), [vec![1], vec![2, 3]]);
}

#[tokio::test]
async fn who_leaves_before_the_flight_takes_the_call_along() {
    let (echo, batcher) = echo(OPTIONS, |_| None);
    let (answers, mut answered) = mpsc::unbounded_channel();
    send(&batcher, "a", 1, &answers);
    echo.departed.notified().await;
    let left = send(&batcher, "a", 2, &answers);
    send(&batcher, "a", 3, &answers);
    waiting(&batcher, 2).await;
    left.abort();
    assert!(left.await.unwrap_err().is_cancelled());
    echo.gate.add_permits(100);
    for expected in [1, 3] {
        assert_eq!(answered.recv().await.unwrap().0, expected);
    }
    assert_eq!(*echo.log.lock().unwrap(), [vec![1], vec![3]]);
}

#[tokio::test]
async fn too_many_and_too_heavy_calls_are_refused_at_once() {
    let bounds = Options {
        max_waiting: 2,
        max_waiting_bytes: 100,
        ..OPTIONS
    };
    let (echo, batcher) = echo(bounds, |_| None);
    let (answers, mut answered) = mpsc::unbounded_channel();
    send(&batcher, "a", 1, &answers);
    echo.departed.notified().await;
    send(&batcher, "a", 60, &answers);
    waiting(&batcher, 1).await;
    let heavy = batcher.call("a", 50).await;
    assert!(matches!(heavy, Err(Error::Unavailable { .. })));
    send(&batcher, "a", 2, &answers);
    waiting(&batcher, 2).await;
    assert!(batcher.call("b", 3).await.is_err());
    echo.gate.add_permits(100);
    for _ in 0..3 {
        assert!(answered.recv().await.unwrap().1.is_ok());
    }
}

#[tokio::test]
async fn a_flight_that_breaks_off_answers_its_own_and_leaves_the_rest_to_another() {
    let (echo, batcher) = echo(OPTIONS, |calls| {
        assert!(!calls.contains(&1), "the flight breaks off");
        None
    });
    let (answers, mut answered) = mpsc::unbounded_channel();
    send(&batcher, "a", 1, &answers);
    echo.departed.notified().await;
    send(&batcher, "a", 2, &answers);
    waiting(&batcher, 1).await;
    echo.gate.add_permits(100);
    for _ in 0..2 {
        match answered.recv().await.unwrap() {
            (1, answer) => assert!(matches!(answer, Err(Error::Unavailable { .. }))),
            (call, answer) => assert_eq!(answer.unwrap(), call),
        }
    }
}

#[test]
fn no_flight_leaves_once_the_runtime_ends() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let (answers, _answered) = mpsc::unbounded_channel();
    let (echo, _batcher) = runtime.block_on(async {
        let (echo, batcher) = echo(OPTIONS, |_| None);
        send(&batcher, "a", 1, &answers);
        echo.departed.notified().await;
        send(&batcher, "a", 2, &answers);
        waiting(&batcher, 1).await;
        (echo, batcher)
    });
    drop(runtime);
    assert_eq!(*echo.log.lock().unwrap(), [vec![1]]);
}

#[test]
fn a_batch_is_bounded_in_bytes_but_never_empty() {
    let mut queue: Queue<u32, ()> = Queue::default();
    let mut seats = Vec::new();
    for weight in [900, 200, 50] {
        let (answer, seat) = oneshot::channel();
        seats.push(seat);
        let call = weight;
        let weight = weight as usize;
        queue.push(
            "a",
            Entry {
                call,
                weight,
                answer,
            },
        );
    }
    let calls = |batch: Vec<Entry<u32, ()>>| batch.iter().map(|e| e.call).collect::<Vec<_>>();
    assert_eq!(calls(queue.take(10, 100)), [900]);
    assert_eq!(calls(queue.take(10, 250)), [200, 50]);
    assert!(queue.take(10, 100).is_empty());
    assert_eq!(queue.size(), (0, 0));
}
