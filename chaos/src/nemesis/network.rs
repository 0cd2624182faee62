//! Links that are late, cut, deaf in one direction, or lose answers.

use std::time::Duration;

use tokio::time::sleep;

use crate::rig::Rig;
use crate::rig::link::{Cut, Link, Rules, Scope};

/// F06: the lease is granted and its worker never hears of it.
pub async fn claim_answers_lost(
    rig: &Rig,
    hold: Duration,
    mut rng: fastrand::Rng,
) -> anyhow::Result<String> {
    let (count, from_database) = (rng.usize(2..12), rng.bool());
    let link = if from_database {
        &rig.links.pg[rng.usize(..2)]
    } else {
        &rig.links.pull
    };
    lose(link, count, hold).await
}

/// F07: the task is accepted and its producer never hears of it.
pub async fn enqueue_answers_lost(
    rig: &Rig,
    hold: Duration,
    mut rng: fastrand::Rng,
) -> anyhow::Result<String> {
    let count = rng.usize(2..12);
    let link = if rng.bool() {
        &rig.links.front
    } else {
        &rig.links.sql
    };
    lose(link, count, hold).await
}

async fn lose(link: &Link, count: usize, hold: Duration) -> anyhow::Result<String> {
    let before = link.swallowed();
    link.swallow(count);
    sleep(hold).await;
    link.heal();
    let lost = link.swallowed() - before;
    Ok(format!("{lost} answers of {} lost", link.name()))
}

/// F15.
pub async fn listeners_lost(
    rig: &Rig,
    hold: Duration,
    mut rng: fastrand::Rng,
) -> anyhow::Result<String> {
    let silent = rng.bool();
    if silent {
        deafen_listeners(rig);
    } else {
        for link in &rig.links.pg {
            link.cut(Scope::Listeners, Cut::Reset);
        }
    }
    sleep(hold).await;
    for link in &rig.links.pg {
        link.heal();
    }
    let how = if silent { "deaf" } else { "cut" };
    Ok(format!("listening connections {how}"))
}

/// The listening connections stay, and nothing passes on them any more.
pub fn deafen_listeners(rig: &Rig) {
    for link in &rig.links.pg {
        link.set(Rules {
            scope: Scope::Listeners,
            hole_up: true,
            hole_down: true,
            ..Rules::default()
        });
    }
}

/// F19: connections of clients are reset after some bytes, wherever that is.
pub async fn clients_hang_up(
    rig: &Rig,
    hold: Duration,
    mut rng: fastrand::Rng,
) -> anyhow::Result<String> {
    let links = [&rig.links.front, &rig.links.pull, &rig.links.work];
    let bytes: Vec<u64> = links.iter().map(|_| rng.u64(20..4000)).collect();
    for (link, bytes) in links.iter().zip(&bytes) {
        link.set(Rules {
            cut_after: Some(*bytes),
            ..Rules::default()
        });
    }
    sleep(hold).await;
    for link in links {
        link.heal();
    }
    Ok(format!("clients cut after {bytes:?} bytes"))
}

/// F38: requests arrive and answers do not, or the other way round, for longer than leases live.
pub async fn one_way(rig: &Rig, hold: Duration, mut rng: fastrand::Rng) -> anyhow::Result<String> {
    let (is_up, link) = (
        rng.bool(),
        if rng.bool() {
            &rig.links.work
        } else {
            &rig.links.pull
        },
    );
    link.set(Rules {
        hole_up: is_up,
        hole_down: !is_up,
        ..Rules::default()
    });
    sleep(hold + Duration::from_secs(rng.u64(1..=rig.options.worker_ttl + 2))).await;
    link.heal();
    let way = if is_up {
        "to the service"
    } else {
        "from the service"
    };
    Ok(format!("nothing passed {way} on {}", link.name()))
}

/// One link misbehaves in one way.
pub async fn some_link(
    rig: &Rig,
    hold: Duration,
    mut rng: fastrand::Rng,
) -> anyhow::Result<String> {
    let links = rig.links.all();
    let link = links[rng.usize(..links.len())];
    let how = match rng.u32(..6) {
        0 => {
            let delay = Duration::from_millis(rng.u64(20..400));
            link.set(Rules {
                delay,
                ..Rules::default()
            });
            "late"
        }
        1 => {
            link.cut(Scope::All, Cut::Close);
            "cut"
        }
        2 => {
            link.cut(Scope::All, Cut::Reset);
            "reset"
        }
        3 => {
            link.set(Rules {
                drip: true,
                ..Rules::default()
            });
            "dripping"
        }
        4 => {
            link.set(Rules {
                refuse: true,
                ..Rules::default()
            });
            link.cut(Scope::All, Cut::Reset);
            "refused"
        }
        _ => {
            link.set(Rules {
                hole_up: true,
                hole_down: true,
                ..Rules::default()
            });
            "deaf"
        }
    };
    sleep(hold).await;
    link.heal();
    Ok(format!("{} {how}", link.name()))
}

/// All links are clogged one by one, and freed one by one in another order.
pub async fn swizzle(rig: &Rig, hold: Duration, mut rng: fastrand::Rng) -> anyhow::Result<String> {
    let mut links = rig.links.all();
    let pause = hold / 8;
    rng.shuffle(&mut links);
    for link in &links {
        link.set(Rules {
            hole_up: true,
            hole_down: true,
            ..Rules::default()
        });
        sleep(pause).await;
    }
    rng.shuffle(&mut links);
    for link in &links {
        link.heal();
        sleep(pause).await;
    }
    Ok("all links clogged and freed one by one".to_owned())
}
