//! Many jobs in one wait.

use std::collections::BTreeMap;
use std::time::Duration;

use jobwatch::{Dialect, JobRef, JobSnapshot, Outcome, RateLimit};
use jobwatch_simulator::{FaultKind, Faults, JobState, Simulator};
use serde_json::Value;

use crate::kiln::{KEY, build, fired, firing, firings, heating, hurried, millis, outcomes, state};
use crate::{Answer, Driver, Server, Setup};

/// No jobs, no requests, no end to wait for.
pub fn empty_list(driver: &dyn Driver) {
    let server = Server::start();
    let client = driver.client(Setup::of(&server));

    assert!(client.wait_all(Vec::new()).is_empty());
    assert!(client.statuses(&[]).is_empty());
    assert_eq!(server.log(|log| log.connections), 0);
}

/// An id that is given twice is asked for and told once.
pub fn duplicate_ids_are_told_once(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings/a", [heating(), fired()]);
    server.on("/firings/b", [heating(), heating(), fired()]);
    let client = driver.client(Setup::of(&server));
    let done = client.wait_all(firings(["a", "b", "a", "a", "b"]));

    assert_eq!(outcomes(&done), [("a", Outcome::Succeeded), ("b", Outcome::Succeeded)]);
    assert_eq!((server.requests_for("/firings/a").len(), server.requests_for("/firings/b").len()), (2, 3));
    assert_eq!(client.statuses(&firings(["a", "a"])).len(), 1);
    assert_eq!(server.requests_for("/firings/a").len(), 3);
}

/// One request for each job, whatever the answer; each is taken at its word.
pub fn statuses_look_once_each(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings/fired", [Answer::json(200, r#"{"state":"fired","result":7}"#)]);
    server.on("/firings/heating", [heating(), fired()]);
    server.on("/firings/cracked", [state("cracked")]);
    server.on("/firings/broken", [Answer::status(502), fired()]);
    server.on("/firings/missing", [Answer::status(404), fired()]);
    server.on("/firings/refused", [Answer::status(401), fired()]);
    let client = driver.client(Setup::of(&server));
    let jobs = firings(["fired", "heating", "cracked", "broken", "missing", "refused"]);
    let found = client.statuses(&jobs);

    let outcomes: BTreeMap<_, _> = found.iter().map(|(id, status)| (id.as_str(), status.outcome)).collect();
    let expected = [
        ("fired", Some(Outcome::Succeeded)),
        ("heating", None),
        ("cracked", Some(Outcome::Failed)),
        ("broken", Some(Outcome::GaveUp)),
        ("missing", Some(Outcome::Lost)),
        ("refused", Some(Outcome::Rejected)),
    ];
    assert_eq!(outcomes, expected.into());
    assert_eq!(found["fired"].result, Some(7.into()));
    assert_eq!((found["heating"].state.as_deref(), &found["heating"].error), (Some("heating"), &None));
    assert!(["cracked", "broken", "missing", "refused"].iter().all(|id| found[*id].error.is_some()));
    assert!(found.values().all(|status| status.requests == 1));
    assert_eq!(server.requests().len(), 6);
    assert_eq!(client.status(&firing("heating")).outcome, Some(Outcome::Succeeded));
    assert_eq!(server.requests().len(), 7);
}

/// A job whose answer does not come does not hold up the others, which are told first.
pub fn slow_job_holds_nobody_up(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings/slow", [fired().held_until_answered(9)]);
    for id in ["a", "b", "c"] {
        server.on(format!("/firings/{id}"), [heating(), heating(), fired()]);
    }
    let client = driver.client(Setup::of(&server).max_in_flight(2));
    let done = client.wait_all(firings(["slow", "a", "b", "c"]));

    assert_eq!(done.len(), 4);
    assert!(done.iter().all(|done| done.outcome == Outcome::Succeeded && done.failed_requests == 0));
    let requests = server.requests();
    assert_eq!(requests.len(), 10);
    let slow = requests.iter().find(|request| request.target == "/firings/slow").expect("it was asked for");
    assert!(requests.iter().all(|request| request.answered_at <= slow.answered_at));
}

/// An end that no answer tells, but the core alone, is told while other jobs' answers are still awaited.
pub fn end_without_an_answer_is_told_at_once(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings/slow", [fired().held_until_released()]);
    let policy = build(hurried().with_attempt_timeout(millis(2_000)));
    let abroad = "http://203.0.113.1/firings/a";
    let done = driver.client(Setup::of(&server).policy(policy)).wait_all_while(firings(["slow", abroad]), &mut |_| {
        server.release();
        true
    });

    assert_eq!(outcomes(&done), [(abroad, Outcome::Rejected), ("slow", Outcome::Succeeded)]);
    assert!(done.iter().all(|done| done.failed_requests == 0), "the end was told only after the slow job's attempt");
    assert_eq!(server.requests().len(), 1);
}

/// A stop ends the wait for every job that is left, and each job is told exactly once.
pub fn stop_in_the_middle(driver: &dyn Driver) {
    let server = Server::start();
    for id in ["a", "b"] {
        server.on(format!("/firings/{id}"), [fired()]);
    }
    for id in ["c", "d", "e"] {
        server.on(format!("/firings/{id}"), [heating().held_until_answered(2), heating()]);
    }
    let client = driver.client(Setup::of(&server));
    let looked_for_a_while = || server.wait_until(|log| log.answered >= 20);
    let done = client.wait_all_stopped(firings(["a", "b", "c", "d", "e"]), &looked_for_a_while);

    let (succeeded, stopped) = (Outcome::Succeeded, Outcome::Stopped);
    assert_eq!(outcomes(&done), [("a", succeeded), ("b", succeeded), ("c", stopped), ("d", stopped), ("e", stopped)]);
    for done in done.iter().filter(|done| done.outcome == stopped) {
        assert_eq!(done.state.as_deref(), Some("heating"), "what is known of a stopped job is kept");
    }
}

/// A stop does not wait for answers that do not come, beyond the time of one attempt.
pub fn stop_during_hung_requests(driver: &dyn Driver) {
    let server = Server::start();
    for id in ["a", "b", "c"] {
        server.on(format!("/firings/{id}"), [Answer::hang()]);
    }
    let policy = build(hurried().with_attempt_timeout(millis(2_000)));
    let client = driver.client(Setup::of(&server).policy(policy).max_in_flight(2));
    let two_hang = || server.wait_until(|log| log.requests.len() == 2);
    let done = client.wait_all_stopped(firings(["a", "b", "c"]), &two_hang);

    let stopped = Outcome::Stopped;
    assert_eq!(outcomes(&done), [("a", stopped), ("b", stopped), ("c", stopped)]);
    assert_eq!(server.requests().len(), 2, "nothing is sent after a stop");
}

/// A wait that is dropped leaves its jobs alone from then on, and the client goes on serving.
pub fn drop_in_the_middle(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings/a", [fired()]);
    server.on("/firings/b", [Answer::hang()]);
    server.on("/firings/c", [heating()]);
    server.on("/firings/d", [heating(), heating(), heating(), heating(), heating(), heating(), heating(), fired()]);
    let policy = build(hurried().with_attempt_timeout(millis(2_000)));
    let client = driver.client(Setup::of(&server).policy(policy));
    let done = client.wait_all_while(firings(["b", "a", "c"]), &mut |_| false);
    assert_eq!(outcomes(&done), [("a", Outcome::Succeeded)]);

    let asked = |target: &str| server.requests_for(target).len();
    let before = asked("/firings/c");
    assert_eq!(client.wait(&firing("d")).outcome, Outcome::Succeeded);
    // One look at each may have been on its way when the wait was dropped.
    assert!(asked("/firings/b") <= 1 && asked("/firings/c") <= before + 1, "nothing is sent after the drop");
}

/// Against a backend that throttles, breaks and hangs, every job's true end is told, and no hint is broken.
pub fn every_true_end_under_faults(driver: &dyn Driver) {
    let simulator = Simulator::builder()
        .durations("uniform:2..20".parse().expect("the durations are sound"))
        .fail_rate(0.3)
        .faults(Faults::rate(0.2).only(FaultKind::ALL))
        .speed(50.0)
        .seed(2)
        .start()
        .expect("the simulator starts");
    // Requests that hang are given up soon.
    let policy = build(hurried().with_attempt_timeout(millis(1_500)));
    let setup = Setup::at(simulator.url()).dialect(Dialect::tracker()).policy(policy);
    let client = driver.client(setup.max_in_flight(4));
    let jobs: Vec<JobRef> = (0..25).flat_map(|_| client.create(&Value::Null).expect("the simulator accepts")).collect();
    let done = client.wait_all(jobs);

    let ledger = simulator.ledger();
    let told: BTreeMap<_, _> = done.iter().map(|done| (done.job.id(), done.outcome)).collect();
    let truth: BTreeMap<_, _> = ledger
        .jobs
        .iter()
        .map(|job| (&*job.id, if job.outcome == JobState::Succeeded { Outcome::Succeeded } else { Outcome::Failed }))
        .collect();
    assert_eq!((done.len(), told), (25, truth));
    assert!(done.iter().all(|done| done.detection_delay.is_some_and(|delay| delay < Duration::from_secs(60))));
    assert!(done.iter().any(|done| done.failed_requests > 0), "the faults are felt");
    assert!(ledger.asked_too_early().is_empty(), "every hint is kept");
}

/// What a client says that its waits and looks have cost is what the server saw of them.
pub fn metrics_agree_with_the_server(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings/a", [heating(), Answer::status(502), fired()]);
    server.on("/firings/b", [Answer::status(429), Answer::raw("?"), state("cracked")]);
    server.on("/firings/c", [Answer::status(302).header("location", "/firings/b")]);
    let client = driver.client(Setup::of(&server));
    assert_eq!(client.wait_all(firings(["a", "b"])).len(), 2);
    assert_eq!(client.status(&firing("c")).outcome, Some(Outcome::Failed));

    let metrics = client.metrics();
    assert_eq!((metrics.requests, server.requests().len()), (8, 8));
    assert_eq!((metrics.failed_requests, metrics.throttled_requests), (3, 1));
    assert_eq!((metrics.outcomes.of(Outcome::Succeeded), metrics.outcomes.of(Outcome::Failed)), (1, 2));
}

/// A wait that is dropped goes on elsewhere: from snapshots through JSON, in another client, with its counts.
pub fn resume_from_snapshots(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings/quick", [fired()]);
    server.on("/firings/slow", [heating(), heating(), heating(), fired()]);
    let (first, snapshots) = driver.client(Setup::of(&server)).wait_for_first(firings(["quick", "slow"]));
    assert_eq!((first.job.id(), first.outcome), ("quick", Outcome::Succeeded));

    let stored = serde_json::to_string(&snapshots).expect("a snapshot can be stored");
    assert!(!stored.contains(KEY), "a snapshot holds no credential");
    let snapshots = serde_json::from_str(&stored).expect("and read again");
    let done = driver.client(Setup::of(&server)).resume(snapshots);

    assert_eq!(outcomes(&done), [("slow", Outcome::Succeeded)]);
    assert_eq!(done[0].requests as usize, server.requests_for("/firings/slow").len());
}

/// Twenty a second, none of them ahead of its time.
fn one_each_50_ms() -> RateLimit {
    RateLimit::per_second(20.0).expect("it is a rate").with_burst(1)
}

/// However many jobs are due, requests go no faster than they may.
pub fn looks_keep_their_rate(driver: &dyn Driver) {
    let server = Server::start();
    for id in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        server.on(format!("/firings/{id}"), [fired()]);
    }
    let client = driver.client(Setup::of(&server).rate(one_each_50_ms()));
    let done = client.wait_all(firings(["a", "b", "c", "d", "e", "f", "g", "h"]));

    assert_eq!(done.len(), 8);
    let requests = server.requests();
    // Seven intervals, of which the first request's own delay may hide a part.
    assert!(requests[7].at - requests[0].at >= millis(5 * 50), "{:?}", requests[7].at - requests[0].at);
}

/// Creates wait for creates and not for looks, nor looks for them.
pub fn creates_have_a_rate_of_their_own(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings", [Answer::json(201, r#"{"id":"a"}"#)]);
    server.on("/firings/a", [fired()]);
    let client = driver.client(Setup::of(&server).rate(RateLimit::per_second(0.01).expect("it is a rate")));
    // The one look of the next hundred seconds.
    assert_eq!(client.wait(&firing("a")).outcome, Outcome::Succeeded);
    client.create(&Value::Null).expect("the kiln accepts");

    let client = driver.client(Setup::of(&server).rate(one_each_50_ms()));
    for _ in 0..6 {
        client.create(&Value::Null).expect("the kiln accepts");
    }
    let creates = &server.requests_for("/firings")[1..];
    assert!(creates[5].at - creates[0].at >= millis(4 * 50), "{:?}", creates[5].at - creates[0].at);
}

/// Snapshots join a wait that has other jobs; anew, with a time limit of their own.
pub fn snapshots_join_a_wait(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings/quick", [fired()]);
    server.on("/firings/slow", [heating()]);
    let (_, snapshots) = driver.client(Setup::of(&server)).wait_for_first(firings(["quick", "slow"]));
    let before = server.requests_for("/firings/slow").len();
    server.on("/firings/slow", [heating(), fired()]);
    server.on("/firings/other", [heating(), fired()]);
    let anew = snapshots.into_iter().map(JobSnapshot::anew).collect();
    let done = driver.client(Setup::of(&server)).wait_all_with(firings(["other"]), anew);

    assert_eq!(outcomes(&done), [("other", Outcome::Succeeded), ("slow", Outcome::Succeeded)]);
    let slow = done.iter().find(|done| done.job.id() == "slow").expect("it is told");
    let sent = server.requests_for("/firings/slow").len();
    // A look that was under way when the first wait was dropped may or may not have been counted.
    assert!(slow.requests as usize >= sent - before && slow.requests as usize <= sent, "{slow:?}");
}
