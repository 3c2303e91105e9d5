//! Waits whose requests are allowed by somebody else, and jobs that go from one wait to another.

#![allow(clippy::unwrap_used)] // in shared functions too

use std::time::Duration;

use jobwatch::{FleetEvent, Timestamp};
use jobwatch_reqwest::{Client, Dialect, JobRef, Outcome, Policy, Step, WaitAll};
use jobwatch_simulator::{Durations, Simulator};

/// A backend whose jobs have this life, and as many of them.
async fn backend(durations: &str, count: usize) -> (Simulator, Client, Vec<JobRef>) {
    let simulator = Simulator::builder().durations(Durations::parse(durations).unwrap()).fail_rate(0.0);
    let simulator = simulator.start().unwrap();
    let policy = Policy::builder().with_min_delay(Duration::from_millis(10)).with_max_delay(Duration::from_millis(20));
    let policy = policy.with_total_timeout(Duration::from_secs(60)).build().unwrap();
    let client =
        Client::builder(Dialect::tracker()).base_url(simulator.url()).policy(policy).rate(None).build().unwrap();
    let mut jobs = Vec::new();
    for _ in 0..count {
        jobs.extend(client.create(&()).await.unwrap());
    }
    (simulator, client, jobs)
}

fn looks(simulator: &Simulator) -> usize {
    simulator.ledger().requests.iter().filter(|entry| &*entry.method == "GET").count()
}

async fn needs_allowance(all: &mut WaitAll) {
    loop {
        match all.next_step().await.unwrap() {
            Step::NeedsAllowance => return assert!(all.needs_allowance()),
            Step::Event(FleetEvent::Changed { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn no_more_requests_are_sent_than_are_allowed() {
    let (simulator, client, jobs) = backend("constant:0.000001", 3).await;
    let mut all = client.wait_all(jobs);
    assert_eq!(all.allowance(), None);
    all.allow(0);
    needs_allowance(&mut all).await;
    assert_eq!(looks(&simulator), 0);
    for ended in 1..=2 {
        all.allow(1);
        assert!(!all.needs_allowance());
        let (mut finished, mut asked) = (0, 0);
        while finished == 0 || asked == 0 {
            match all.next_step().await.unwrap() {
                Step::NeedsAllowance => asked += 1,
                Step::Event(FleetEvent::Finished { .. }) => finished += 1,
                _ => {}
            }
        }
        assert_eq!((finished, asked, looks(&simulator), all.allowance()), (1, 1, ended, Some(0)));
    }
    all.allow(100);
    assert_eq!(all.next().await.unwrap().outcome, Outcome::Succeeded);
    assert_eq!((looks(&simulator), all.allowance()), (3, Some(99)));
    assert!(all.next().await.is_none());
}

#[tokio::test]
async fn a_wait_that_needs_an_allowance_can_be_stopped() {
    let (simulator, client, jobs) = backend("constant:0.000001", 2).await;
    let mut all = client.wait_all(jobs);
    all.allow(0);
    needs_allowance(&mut all).await;
    all.stopper().stop();
    for _ in 0..2 {
        assert_eq!(all.next().await.unwrap().outcome, Outcome::Stopped);
    }
    assert!(all.next().await.is_none() && looks(&simulator) == 0);
}

#[tokio::test]
async fn a_job_goes_from_one_wait_to_another_with_its_past() {
    let (simulator, client, jobs) = backend("constant:1000000", 1).await;
    let (_tracker, mut first) = client.track();
    let handle = first.add(jobs[0].clone());
    let Some(Step::Event(FleetEvent::Changed { state, .. })) = first.next_step().await else { panic!("it is pending") };
    let snapshot = first.release(handle).unwrap();
    assert!(first.release(handle).is_none() && first.fleet().is_empty());

    let (_tracker, mut second) = client.track();
    let handle = second.add_snapshot(snapshot).unwrap();
    let progress = second.fleet().progress(handle).unwrap();
    assert_eq!((progress.state, progress.requests), (Some(state.as_str()), 1));
    assert_eq!(looks(&simulator), 1);
}

#[tokio::test]
async fn a_client_goes_by_the_clock_that_it_is_given() {
    let (_simulator, client, _) = backend("constant:0.000001", 0).await;
    let elsewhere = Timestamp::from_secs(4_000_000_000);
    client.set_time(elsewhere);
    let now = client.clone().wait_all([]).now();
    assert!(now >= elsewhere && now.saturating_since(elsewhere) < Duration::from_secs(600), "{now:?}");
}
