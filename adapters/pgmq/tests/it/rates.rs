//! The rate that workers share.

use std::time::Duration;

use jobwatch_pgmq::{Destination, Queue, RateLimit};
use jobwatch_reqwest::Dialect;

use crate::postgres::Database;

fn destination(credential: &str) -> Destination {
    Destination::new(&Dialect::tracker(), Some("http://127.0.0.1:9"), credential).unwrap()
}

#[tokio::test]
async fn grants_never_exceed_the_rate_however_many_ask() {
    let Some(database) = Database::create().await else { return };
    let queue = Queue::open(&database.url(), "jobs").await.unwrap();
    for number in 0..8 {
        queue.beat(&destination("default"), &format!("w{number}"), 0, 0).await.unwrap();
    }
    let rate = RateLimit::per_second(200.0).unwrap();
    let start = queue.now().await.unwrap();
    let asking = (0..8).map(|number| {
        let queue = queue.clone();
        tokio::spawn(async move {
            let mut granted = 0_u64;
            for round in 0..40 {
                let of = destination("default");
                let grant = queue.ask_for(&of, rate, &format!("w{number}"), 1 + round % 60).await.unwrap();
                assert!(grant.requests <= 25, "more than the share of one of eight: {grant:?}");
                assert!(grant.requests == 0 || grant.wait < Duration::from_secs(1), "{grant:?}");
                granted += u64::from(grant.requests);
            }
            granted
        })
    });
    let mut granted = 0;
    for each in asking.collect::<Vec<_>>() {
        granted += each.await.unwrap();
    }
    let elapsed = queue.now().await.unwrap().saturating_since(start);
    // They reach one second ahead.
    let most = 200.0 * (elapsed.as_secs_f64() + 1.0) + 1.0;
    assert!(granted >= 200 && granted as f64 <= most, "{granted} in {elapsed:?}");
}

#[tokio::test]
async fn grants_follow_each_other_at_the_rates_interval() {
    let Some(database) = Database::create().await else { return };
    let queue = Queue::open(&database.url(), "jobs").await.unwrap();
    let of = destination("default");
    queue.beat(&of, "a", 0, 0).await.unwrap();
    queue.beat(&of, "b", 0, 0).await.unwrap();
    let rate = RateLimit::per_second(0.1).unwrap();
    let first = queue.ask_for(&of, rate, "a", 5).await.unwrap();
    assert_eq!((first.requests, first.wait), (1, Duration::ZERO));
    let second = queue.ask_for(&of, rate, "b", 5).await.unwrap();
    assert_eq!(second.requests, 0);
    assert!(second.wait > Duration::from_secs(1) && second.wait <= Duration::from_secs(10), "{second:?}");
    // Another credential has a rate of its own.
    assert_eq!(queue.ask_for(&destination("second"), rate, "b", 1).await.unwrap().requests, 1);
}

#[tokio::test]
async fn one_worker_alone_is_granted_the_whole_second() {
    let Some(database) = Database::create().await else { return };
    let queue = Queue::open(&database.url(), "jobs").await.unwrap();
    let (of, rate) = (destination("default"), RateLimit::per_second(40.0).unwrap());
    queue.beat(&of, "a", 0, 0).await.unwrap();
    assert_eq!(queue.ask_for(&of, rate, "a", 1_000).await.unwrap().requests, 40);
    queue.leave("a").await.unwrap();
    assert!(queue.status().await.unwrap().workers.is_empty());
}
