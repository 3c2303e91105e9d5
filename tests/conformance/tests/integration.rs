//! The whole path against the simulator, as a story to be read: `cargo test --test integration -- --nocapture`.

use std::error::Error;
use std::time::Duration;

use jobwatch::{Dialect, Finished, JobRef, Outcome, Policy};
use jobwatch_reqwest::{Client, ClientBuilder};
use jobwatch_simulator::{JobState, Simulator};

/// Simulated seconds for each real one.
const SPEED: f64 = 40.0;

fn simulator() -> Result<Simulator, Box<dyn Error>> {
    Ok(Simulator::builder().speed(SPEED).seed(2026).start()?)
}

fn builder(simulator: &Simulator) -> Result<ClientBuilder, Box<dyn Error>> {
    let policy = Policy::default().at_speed(SPEED)?;
    Ok(Client::builder(Dialect::tracker()).base_url(simulator.url()).policy(policy))
}

/// Prints what a wait has cost, and holds its outcome against the truth.
fn tell(simulator: &Simulator, finished: &Finished) {
    let simulated = |time: Duration| time.as_secs_f64() * SPEED;
    let delay = finished.detection_delay.expect("the simulator tells the real end");
    println!(
        "  {}  {:<9}  {:>2} requests  {:>5.1} s in all  noticed after {:>4.1} s",
        finished.job,
        finished.outcome,
        finished.requests,
        simulated(finished.elapsed),
        simulated(delay)
    );
    let ledger = simulator.ledger();
    let job = ledger.jobs.iter().find(|job| *job.id == *finished.job.id()).expect("the backend knows its job");
    let truth = if job.outcome == JobState::Succeeded { Outcome::Succeeded } else { Outcome::Failed };
    assert_eq!(finished.outcome, truth, "the outcome of {} is the true one", finished.job);
    assert_eq!(u64::from(finished.requests), job.requests, "the requests for {} are all counted", finished.job);
    assert!(delay <= finished.detection_delay_max.expect("the job was created by us"), "the bound holds");
}

/// Creates so many jobs.
async fn create(client: &Client, count: usize) -> Result<Vec<JobRef>, Box<dyn Error>> {
    let mut jobs = Vec::new();
    for _ in 0..count {
        jobs.extend(client.create(&()).await?);
    }
    Ok(jobs)
}

/// Waits for all jobs and tells of each.
async fn wait_for_all(simulator: &Simulator, client: &Client, jobs: Vec<JobRef>) {
    let expected = jobs.len();
    let mut all = client.wait_all(jobs);
    let mut told = 0;
    while let Some(finished) = all.next().await {
        tell(simulator, &finished);
        told += 1;
    }
    assert_eq!(told, expected, "each job is told once");
    let stats = all.stats();
    println!(
        "  {} requests, {:.1} a job; noticed {:.1} s late in the mean",
        stats.requests,
        stats.requests_per_job().unwrap_or_default(),
        stats.detection_delay.mean().unwrap_or_default().as_secs_f64() * SPEED
    );
}

#[tokio::test]
async fn the_whole_path() -> Result<(), Box<dyn Error>> {
    let simulator = simulator()?;
    let client = builder(&simulator)?.build()?;

    println!("no jobs: nothing is asked");
    assert!(client.wait_all([]).next().await.is_none());
    assert!(client.statuses(&[]).await.is_empty());
    assert_eq!(simulator.ledger().requests_seen, 0);

    println!("one job:");
    let jobs = create(&client, 1).await?;
    tell(&simulator, &client.wait(&jobs[0]).await);

    println!("twenty jobs at once:");
    let jobs = create(&client, 20).await?;
    wait_for_all(&simulator, &client, jobs).await;

    println!("twenty jobs, two requests at a time:");
    let narrow = builder(&simulator)?.max_in_flight(2).build()?;
    let jobs = create(&narrow, 20).await?;
    wait_for_all(&simulator, &narrow, jobs).await;

    println!("one look at each of five jobs, without waiting:");
    let jobs = create(&client, 5).await?;
    let found = client.statuses(&jobs).await;
    assert_eq!(found.len(), 5);
    for (id, status) in &found {
        println!("  {id}  {}", status.state.as_deref().unwrap_or("–"));
        assert_eq!(status.requests, 1);
    }

    let metrics = client.metrics();
    println!(
        "in all: {} requests, {} of them failed, {:.1} ms to an answer in the mean",
        metrics.requests,
        metrics.failed_requests,
        metrics.response_time.mean().unwrap_or_default().as_secs_f64() * 1000.0
    );
    assert_eq!(metrics.failed_requests, 0);
    Ok(())
}
