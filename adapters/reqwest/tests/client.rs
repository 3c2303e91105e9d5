//! The life of a client, over real sockets: against the simulator, and against a server that only listens.

#![allow(clippy::unwrap_used)] // in shared functions too

use std::cell::Cell;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use futures_core::Stream;
use jobwatch::{FirstLook, LookError};
use jobwatch_reqwest::{Client, Dialect, FleetEvent, JobRef, Outcome, Policy, Stopper, WaitAll};
use jobwatch_simulator::{Faults, JobState, Simulator, SimulatorBuilder};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

const MS: Duration = Duration::from_millis(1);

#[tokio::test]
async fn a_job_is_created_and_waited_for() {
    let simulator = quick().start().unwrap();
    let client = client(&simulator);
    let jobs = client.create(&()).await.unwrap();
    let finished = client.wait(&jobs[0]).await;

    assert_eq!(finished.outcome, Outcome::Succeeded);
    assert_eq!(finished.job, jobs[0]);
    assert_eq!(finished.error, None);
    assert!(finished.detection_delay.is_some(), "the simulator tells the real end");
    let metrics = client.metrics();
    assert_eq!(metrics.outcomes.of(Outcome::Succeeded), 1);
    assert_eq!(metrics.requests, u64::from(finished.requests));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_job_is_told_once_and_truly_in_spite_of_faults() {
    let simulator = quick().fail_rate(0.3).faults(Faults::rate(0.25)).speed(20.0).seed(7).start().unwrap();
    let policy = patient().with_attempt_timeout(Duration::from_secs(2)).build().unwrap();
    let client = builder(&simulator).policy(policy).build().unwrap();
    let jobs = create(&client, 60).await;

    let mut all = client.wait_all(jobs);
    let mut told = BTreeMap::new();
    while let Some(finished) = all.next().await {
        let before = told.insert(finished.job.id().to_owned(), finished.outcome);
        assert_eq!(before, None, "{} was told twice", finished.job);
    }
    assert_eq!(all.remaining(), 0);
    assert!(all.next().await.is_none(), "the end is told as often as it is asked for");

    let ledger = simulator.ledger();
    let truth = ledger.jobs.iter().map(|job| (job.id.to_string(), outcome(job.outcome))).collect::<BTreeMap<_, _>>();
    assert_eq!(told, truth);
    assert!(ledger.requests.iter().any(|request| request.fault.is_some()));
    assert!(all.stats().failed_requests > 0);
    assert!(ledger.asked_too_early().is_empty());
}

#[tokio::test]
async fn no_jobs_are_an_end_at_once() {
    let simulator = quick().start().unwrap();
    let client = client(&simulator);
    let mut all = client.wait_all([]);
    assert_eq!(all.remaining(), 0);
    assert!(all.next_event().await.is_none());
    assert!(all.next().await.is_none());
    assert!(client.statuses(&[]).await.is_empty());
    assert_eq!(simulator.ledger().requests_seen, 0);
}

#[tokio::test]
async fn a_wait_takes_more_jobs_before_and_after_its_end() {
    let simulator = quick().start().unwrap();
    let client = client(&simulator);
    let jobs = create(&client, 3).await;
    let mut all = client.wait_all([]);
    assert!(all.next().await.is_none());
    for some in [&jobs[..2], &jobs[2..]] {
        for job in some {
            let handle = all.add(job.clone());
            assert_eq!(all.fleet().job(handle), Some(job));
        }
        for _ in some {
            let finished = all.next().await.unwrap();
            assert!(some.contains(&finished.job) && finished.outcome == Outcome::Succeeded, "{finished:?}");
        }
        assert!(all.next().await.is_none());
    }
    assert_eq!(all.stats().outcomes.total(), 3);
}

#[tokio::test]
async fn an_id_that_is_given_twice_is_told_once() {
    let simulator = quick().start().unwrap();
    let client = client(&simulator);
    let jobs = create(&client, 2).await;
    let twice = [jobs.clone(), jobs.clone()].concat();
    let mut all = client.wait_all(twice.clone());
    // Before they are taken nobody has compared them.
    assert_eq!(all.remaining(), 4);
    let mut told = drain(&mut all).await;
    told.sort();
    let mut ids = jobs.iter().map(|job| (job.id().to_owned(), Outcome::Succeeded)).collect::<Vec<_>>();
    ids.sort();
    assert_eq!(told, ids);
    assert_eq!(client.statuses(&twice).await.len(), 2);
}

#[tokio::test]
async fn one_look_tells_what_is_and_waits_for_nothing() {
    let simulator = Simulator::builder().durations("constant:3600".parse().unwrap()).start().unwrap();
    let client = client(&simulator);
    let jobs = create(&client, 5).await;
    let statuses = client.statuses(&jobs).await;
    assert_eq!(statuses.len(), 5);
    for status in statuses.values() {
        assert_eq!((status.state.as_deref(), status.outcome), (Some("pending"), None));
    }
    assert_eq!(client.status(&jobs[0]).await.requests, 1);
    let nobody = client.status(&JobRef::new("nobody").unwrap()).await;
    assert_eq!(nobody.outcome, Some(Outcome::Lost));
}

#[tokio::test]
async fn changes_of_state_are_news_too() {
    let simulator = Simulator::builder().durations("constant:3600".parse().unwrap()).start().unwrap();
    let client = client(&simulator);
    let jobs = create(&client, 1).await;
    let mut all = client.wait_all(jobs.clone());
    let Some(FleetEvent::Changed { handle, state }) = all.next_event().await else { panic!("no change") };
    assert_eq!(all.fleet().job(handle), Some(&jobs[0]));
    assert_eq!(state, "pending");
    all.stopper().stop();
    let Some(FleetEvent::Finished { handle, finished }) = all.next_event().await else { panic!("no end") };
    assert_eq!((all.fleet().job(handle), finished.state.as_deref()), (None, Some("pending")));
}

/// The connections of requests in flight are closed by the client, and nothing but the drop can have done it.
#[tokio::test]
async fn dropping_a_wait_midway_leaves_no_connection_busy() {
    let (url, mut heard) = listener().await;
    let client = Client::builder(Dialect::tracker()).base_url(url).policy(endless()).max_in_flight(4).build().unwrap();
    let mut all = client.wait_all(ids(9));
    for _ in 0..4 {
        let (place, heard) = listen(&mut all, &mut heard).await;
        assert_eq!(heard, Heard::Request, "connection {place}");
    }
    assert_eq!(all.stats().requests, 4);
    drop(all);
    for _ in 0..4 {
        assert_eq!(heard.recv().await.unwrap().1, Heard::Closed);
    }
    assert!(heard.try_recv().is_err(), "nobody asks any more");
    assert_eq!(client.metrics().requests, 4, "what was spent is counted all the same");
}

#[tokio::test]
async fn dropping_the_futures_of_next_loses_nothing() {
    let simulator = quick().fail_rate(0.5).seed(3).start().unwrap();
    let client = client(&simulator);
    let jobs = create(&client, 20).await;
    let mut all = client.wait_all(jobs);
    let mut told = BTreeMap::new();
    let mut dropped = 0;
    loop {
        tokio::select! {
            biased;
            next = all.next() => {
                let Some(finished) = next else { break };
                assert_eq!(told.insert(finished.job.id().to_owned(), finished.outcome), None);
            }
            () = tokio::task::yield_now() => dropped += 1,
        }
    }
    assert!(dropped > 0);
    let ledger = simulator.ledger();
    let truth = ledger.jobs.iter().map(|job| (job.id.to_string(), outcome(job.outcome))).collect::<BTreeMap<_, _>>();
    assert_eq!(told, truth);
    assert_eq!(all.stats().failed_requests, 0);
    let looks = ledger.requests.iter().filter(|request| &*request.method == "GET").count();
    assert_eq!(all.stats().response_time.count(), looks as u64, "each answer was taken");
}

#[tokio::test]
async fn a_stop_wakes_a_sleeping_stream() {
    let simulator = Simulator::builder().durations("constant:3600".parse().unwrap()).start().unwrap();
    let client = builder(&simulator).policy(endless()).build().unwrap();
    let mut all = client.wait_all(create(&client, 3).await);
    for _ in 0..3 {
        assert!(matches!(all.next_event().await, Some(FleetEvent::Changed { .. })));
    }
    // The next look is an hour away. `join!` polls in order: the stream sleeps before it is stopped.
    let stopper = all.stopper();
    let (told, ()) = tokio::join!(drain(&mut all), async { stopper.clone().stop() });
    assert_eq!(told.len(), 3);
    assert!(told.iter().all(|(_, outcome)| *outcome == Outcome::Stopped));
    stopper.stop();
    assert!(all.next().await.is_none(), "a stop after the end is harmless");
}

#[tokio::test]
async fn a_stop_from_another_thread_ends_requests_in_flight() {
    let (url, mut heard) = listener().await;
    let client = Client::builder(Dialect::tracker()).base_url(url).policy(endless()).build().unwrap();
    let mut all = client.wait_all(ids(2));
    for _ in 0..2 {
        assert_eq!(listen(&mut all, &mut heard).await.1, Heard::Request);
    }
    let stopper = all.stopper();
    tokio::task::spawn_blocking(move || stopper.stop());
    let told = drain(&mut all).await;
    assert_eq!(told.iter().map(|(_, outcome)| *outcome).collect::<Vec<_>>(), [Outcome::Stopped; 2]);
    for _ in 0..2 {
        assert_eq!(heard.recv().await.unwrap().1, Heard::Closed, "while the stream still lives");
    }
}

#[tokio::test]
async fn a_stop_before_the_first_poll_asks_nothing() {
    let simulator = quick().start().unwrap();
    let client = client(&simulator);
    let mut all = client.wait_all(ids(3));
    all.stopper().stop();
    assert_eq!(drain(&mut all).await.len(), 3);
    assert_eq!(simulator.ledger().requests_seen, 0);
}

/// Every wait ends in the middle of `Fleet::poll` here, when there is nothing left to do.
/// More ids than are taken at a time, and none of them taken yet.
#[tokio::test]
async fn a_stop_tells_every_job_that_was_given() {
    let simulator = quick().start().unwrap();
    let mut all = client(&simulator).wait_all(ids(2_500));
    all.stopper().stop();
    let told = drain(&mut all).await;
    assert_eq!(told.len(), 2_500);
    assert!(told.iter().all(|(_, outcome)| *outcome == Outcome::Stopped));
}

#[tokio::test]
async fn a_server_that_never_answers_cannot_hold_a_wait_beyond_its_deadline() {
    let simulator = Simulator::builder().unresponsive(true).start().unwrap();
    let policy = Policy::builder().with_total_timeout(300 * MS).with_attempt_timeout(200 * MS);
    let policy = policy.with_final_grace(100 * MS).with_min_delay(10 * MS).with_max_delay(50 * MS);
    let policy = policy.with_failure_backoff(10 * MS, 50 * MS).build().unwrap();
    let client = builder(&simulator).policy(policy).build().unwrap();
    let mut all = client.wait_all(ids(5));
    let mut ended = 0;
    while let Some(finished) = all.next().await {
        assert_eq!((finished.outcome, finished.last_error), (Outcome::TimedOut, Some(LookError::Expired)));
        ended += 1;
    }
    assert_eq!(ended, 5);

    let error = client.create(&()).await.unwrap_err();
    assert_eq!((error.error, error.maybe_created), (Some(LookError::Expired), true));
}

#[tokio::test]
async fn connections_are_reused() {
    let simulator = Simulator::builder().durations("constant:0.5".parse().unwrap()).start().unwrap();
    let client = builder(&simulator).policy(patient().build().unwrap()).max_in_flight(3).build().unwrap();
    let jobs = create(&client, 12).await;
    drain(&mut client.wait_all(jobs)).await;
    let ledger = simulator.ledger();
    assert!(ledger.requests_seen >= 24);
    assert!(ledger.connections * 2 <= ledger.requests_seen, "{ledger:?}");
}

#[tokio::test]
async fn the_stream_is_a_stream() {
    let simulator = quick().start().unwrap();
    let client = client(&simulator);
    let mut all = client.wait_all(create(&client, 2).await);
    assert_eq!(Stream::size_hint(&all).0, 2);
    let mut told = 0;
    while poll_fn(|cx| Pin::new(&mut all).poll_next(cx)).await.is_some() {
        told += 1;
    }
    assert_eq!(told, 2);
}

/// For those who write their own futures.
#[tokio::test]
async fn events_can_be_polled_for() {
    let simulator = quick().start().unwrap();
    let client = client(&simulator);
    assert_eq!(client.backend().address(), simulator.url());
    let mut all = client.wait_all(create(&client, 1).await);
    let mut ends = 0;
    while let Some(event) = poll_fn(|cx| all.poll_next_event(cx)).await {
        ends += u32::from(matches!(event, FleetEvent::Finished { .. }));
    }
    assert_eq!(ends, 1);
}

#[test]
fn a_client_outlives_its_runtimes() {
    let simulator = quick().start().unwrap();
    let client = client(&simulator);
    for _ in 0..3 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let finished = runtime.block_on(async { client.wait(&create(&client, 1).await[0]).await });
        assert_eq!(finished.outcome, Outcome::Succeeded);
    }
}

#[test]
fn a_wrong_configuration_is_refused_when_the_client_is_built() {
    let wrong = [
        Client::builder(Dialect::tracker()).base_url("ftp://example.com"),
        Client::builder(Dialect::tracker()).base_url("http://127.0.0.1").header("a header", "x"),
        Client::builder(Dialect::tracker()).base_url("http://127.0.0.1").header("x-api-key", "two\nlines"),
        Client::builder(Dialect::tracker()).base_url("http://127.0.0.1").allow_origin("nowhere"),
    ];
    for builder in wrong {
        let error = builder.build().unwrap_err().to_string();
        assert!(!error.contains("two"), "{error}");
    }
    let builder = Client::builder(Dialect::tracker()).base_url("http://127.0.0.1").header("x-api-key", "sesame");
    assert!(!format!("{builder:?}").contains("sesame"));
    assert!(!format!("{:?}", builder.build().unwrap()).contains("sesame"));
}

#[test]
fn everything_can_be_sent_to_another_thread() {
    fn is_send<T: Send>(_: &T) {}
    fn is_shared<T: Send + Sync + Clone + 'static>() {}
    is_shared::<Client>();
    is_shared::<Stopper>();

    let client = Client::builder(Dialect::tracker()).base_url("http://127.0.0.1:1").build().unwrap();
    let job = JobRef::new("job").unwrap();
    // Not Sync, and gone before the future is polled.
    is_send(&client.create(&Cell::new(1)));
    is_send(&client.create_raw(Vec::new()));
    is_send(&client.status(&job));
    is_send(&client.statuses(&[]));
    is_send(&client.wait(&job));
    let mut all: WaitAll = client.wait_all([job.clone()]);
    is_send(&all);
    is_send(&all.next());
    is_send(&all.next_event());
}

/// Jobs that succeed, soon.
fn quick() -> SimulatorBuilder {
    Simulator::builder().durations("constant:0.05".parse().unwrap()).fail_rate(0.0)
}

fn client(simulator: &Simulator) -> Client {
    builder(simulator).policy(patient().build().unwrap()).build().unwrap()
}

fn builder(simulator: &Simulator) -> jobwatch_reqwest::ClientBuilder {
    Client::builder(Dialect::tracker()).base_url(simulator.url()).seed(1)
}

/// Asks often, and gives up only where a test hangs.
fn patient() -> jobwatch::PolicyBuilder {
    Policy::builder()
        .with_min_delay(10 * MS)
        .with_max_delay(100 * MS)
        .with_failure_backoff(10 * MS, 100 * MS)
        .with_max_consecutive_failures(1000)
        .with_total_timeout(Duration::from_secs(120))
}

/// Looks at once, then in an hour, and never stops waiting for an answer.
fn endless() -> Policy {
    let hour = Duration::from_secs(3600);
    let policy = Policy::builder().with_first_look(FirstLook::AtOnce).with_min_delay(hour).with_max_delay(hour);
    policy.with_attempt_timeout(hour).with_total_timeout(100 * hour).build().unwrap()
}

fn ids(count: usize) -> Vec<JobRef> {
    (0..count).map(|n| JobRef::new(format!("job-{n}")).unwrap()).collect()
}

async fn create(client: &Client, count: usize) -> Vec<JobRef> {
    let mut jobs = Vec::new();
    for _ in 0..count {
        jobs.extend(client.create(&()).await.unwrap());
    }
    jobs
}

async fn drain(all: &mut WaitAll) -> Vec<(String, Outcome)> {
    let mut told = Vec::new();
    while let Some(finished) = all.next().await {
        told.push((finished.job.id().to_owned(), finished.outcome));
    }
    told
}

fn outcome(state: JobState) -> Outcome {
    match state {
        JobState::Succeeded => Outcome::Succeeded,
        JobState::Failed => Outcome::Failed,
        state => panic!("{state:?} is no end"),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    Request,
    Closed,
}

/// A server that takes requests, answers nothing, and tells what it hears on each connection.
async fn listener() -> (String, mpsc::UnboundedReceiver<(usize, Heard)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (tell, heard) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        for place in 0.. {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            let tell = tell.clone();
            tokio::spawn(async move {
                let mut head = Vec::new();
                let mut buffer = [0; 1024];
                while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                    head.extend_from_slice(&buffer[..count]);
                    if head.ends_with(b"\r\n\r\n") {
                        let _ = tell.send((place, Heard::Request));
                    }
                }
                let _ = tell.send((place, Heard::Closed));
            });
        }
    });
    (url, heard)
}

/// Polls the stream until the server hears something.
async fn listen(all: &mut WaitAll, heard: &mut mpsc::UnboundedReceiver<(usize, Heard)>) -> (usize, Heard) {
    tokio::select! {
        heard = heard.recv() => heard.unwrap(),
        told = all.next() => panic!("{told:?}"),
    }
}
