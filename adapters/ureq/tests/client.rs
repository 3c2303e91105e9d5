//! What is the blocking client's own; the rest is in the conformance suite.

use std::time::Duration;

use jobwatch_simulator::Simulator;
use jobwatch_ureq::{Client, Dialect, JobRef, Outcome, Policy};

/// Polling the fleet can end waits and leave nothing to sleep for; those ends were lost.
#[test]
fn regression_ends_that_come_of_polling_are_told() {
    let simulator = Simulator::builder().unresponsive(true).start().unwrap();
    let policy = Policy::builder()
        .with_min_delay(Duration::from_millis(1))
        .with_max_delay(Duration::from_millis(10))
        .with_total_timeout(Duration::from_millis(60))
        .with_attempt_timeout(Duration::from_millis(40))
        .with_final_grace(Duration::from_millis(20));
    let client =
        Client::builder(Dialect::tracker()).base_url(simulator.url()).policy(policy.build().unwrap()).build().unwrap();
    for _ in 0..5 {
        let jobs = ["a", "b", "c", "d", "e"].map(|id| JobRef::new(id).unwrap());
        let told: Vec<_> = client.wait_all(jobs).map(|finished| finished.outcome).collect();
        assert_eq!(told, [Outcome::TimedOut; 5]);
    }
}

/// More ids than are taken at a time, and none of them taken yet.
#[test]
fn a_stop_tells_every_job_that_was_given() {
    let simulator = Simulator::builder().start().unwrap();
    let client = Client::builder(Dialect::tracker()).base_url(simulator.url()).build().unwrap();
    let all = client.wait_all((0..2_500).map(|id| JobRef::new(id.to_string()).unwrap()));
    all.stopper().stop();
    let told: Vec<_> = all.map(|finished| finished.outcome).collect();
    assert_eq!(told, [Outcome::Stopped; 2_500]);
}

#[test]
fn the_client_can_be_shared_and_its_wait_sent_to_a_thread() {
    fn assert_send<T: Send>() {}
    fn assert_sync<T: Sync>() {}
    assert_send::<Client>();
    assert_sync::<Client>();
    assert_send::<jobwatch_ureq::WaitAll>();
    assert_send::<jobwatch_ureq::Stopper>();
}

#[test]
fn what_is_left_is_known_and_a_body_may_be_json_already() {
    let simulator = Simulator::builder().durations("constant:0.05".parse().unwrap()).fail_rate(0.0).start().unwrap();
    let client = Client::builder(Dialect::tracker()).base_url(simulator.url()).build().unwrap();
    assert_eq!(client.backend().address(), simulator.url());
    let jobs = [client.create_raw(b"{}".to_vec()).unwrap(), client.create_raw(Vec::new()).unwrap()].concat();
    let mut all = client.wait_all(jobs);
    assert_eq!(all.remaining(), 2);
    assert_eq!(all.next().map(|finished| finished.outcome), Some(Outcome::Succeeded));
    assert_eq!(all.remaining(), 1);
    assert_eq!(all.by_ref().count(), 1);
    assert_eq!(all.remaining(), 0);
}
