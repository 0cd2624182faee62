use super::*;

fn events(numbers: std::ops::RangeInclusive<i64>) -> Vec<Event> {
    let event = |number| Event {
        position: (1, number),
        at: 0,
        cause: if number % 2 == 0 { "even" } else { "odd" }.to_owned(),
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
    };
    numbers.map(event).collect()
}

fn wanting(kind: &str) -> Arc<Filter> {
    Arc::new(Filter {
        types: vec![kind.to_owned()],
        ..Filter::default()
    })
}

async fn rest(queue: &mut Receiver<Arc<Event>>) -> Vec<i64> {
    let mut numbers = Vec::new();
    while let Some(event) = queue.recv().await {
        numbers.push(event.position.1);
    }
    numbers
}

#[tokio::test]
async fn who_takes_nothing_is_left_behind_and_nobody_else() {
    let hub = Hub::default();
    let mut slow = hub.join(Arc::default(), (0, 0), 2);
    let mut even = hub.join(wanting("even"), (0, 0), 2);
    assert!(slow.is_first && !even.is_first);
    assert_eq!(hub.deliver(events(1..=2)), 0);
    assert_eq!(hub.told(&slow.queue), None, "it has not taken them");
    assert_eq!(hub.deliver(events(3..=4)), 1);
    // What it may go on from is what it has, not what others were told.
    assert_eq!(hub.told(&slow.queue), None);
    assert_eq!(rest(&mut slow.queue).await, [1, 2]);
    assert_eq!(hub.told(&slow.queue), None);
    assert_eq!(even.queue.recv().await.unwrap().position.1, 2);
    assert_eq!(even.queue.recv().await.unwrap().position.1, 4);
    assert_eq!(hub.deliver(events(5..=5)), 0);
    assert_eq!(hub.told(&even.queue), Some((1, 5)));
    hub.close();
    assert_eq!(rest(&mut even.queue).await, [0; 0]);
}

#[tokio::test]
async fn without_listeners_there_is_no_place_to_read_on_from() {
    let hub = Hub::default();
    assert_eq!(hub.place(), None);
    let one = hub.join(Arc::default(), (7, 0), 2);
    let other = hub.join(Arc::default(), (3, 0), 2);
    assert_eq!((hub.place(), other.place), (Some((7, 0)), (7, 0)));
    drop(one);
    assert_eq!(hub.place(), Some((7, 0)));
    drop(other);
    assert_eq!(hub.place(), None);
    // It begins where the next one is, not where the last one was.
    assert_eq!(hub.join(Arc::default(), (9, 0), 2).place, (9, 0));
}

#[tokio::test]
async fn after_the_end_a_stream_is_over_at_once() {
    let hub = Hub::default();
    hub.close();
    let mut late = hub.join(Arc::default(), (0, 0), 2);
    assert_eq!(rest(&mut late.queue).await, [0; 0]);
}
