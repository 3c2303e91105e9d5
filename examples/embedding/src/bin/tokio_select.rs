//! tokio: outcomes and a shutdown in one `select!`. What is unfinished at the shutdown is kept as snapshots, and the next
//! run goes on with them: with the age of each job, its counts and what is left of its time.

use std::error::Error;
use std::path::Path;

use jobwatch_reqwest::{Client, Dialect, Outcome, Policy, WaitAll};
use jobwatch_simulator::Simulator;
use tokio::sync::mpsc;

/// Waits to the end or to the shutdown; tells how many jobs succeeded.
async fn wait(mut all: WaitAll, keep: &Path, mut shutdown: mpsc::Receiver<()>) -> Result<usize, Box<dyn Error>> {
    let mut succeeded = 0;
    loop {
        tokio::select! {
            finished = all.next() => match finished {
                Some(finished) => {
                    println!("{}\t{}", finished.job, finished.outcome);
                    succeeded += usize::from(finished.outcome == Outcome::Succeeded);
                }
                None => return Ok(succeeded),
            },
            _ = shutdown.recv() => {
                println!("shutting down with {} jobs unfinished", all.remaining());
                let snapshots: Vec<_> = all.fleet().snapshots().collect();
                std::fs::write(keep, serde_json::to_vec(&snapshots)?)?;
                return Ok(succeeded); // requests under way are dropped; the jobs themselves go on
            }
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let durations = "uniform:1..60".parse()?;
    let simulator = Simulator::builder().speed(30.0).durations(durations).fail_rate(0.0).start()?;
    let client = || Client::builder(Dialect::tracker()).base_url(simulator.url());
    let policy = Policy::default().at_speed(30.0)?;
    let directory = tempfile::tempdir()?;
    let keep = directory.path().join("unfinished.json");

    let first = client().policy(policy.clone()).build()?;
    let mut jobs = Vec::new();
    for _ in 0..10 {
        jobs.extend(first.create(&()).await?);
    }
    let (stop, shutdown) = mpsc::channel(1);
    let ctrl_c = stop.clone();
    tokio::spawn(async move {
        let _ = tokio::signal::ctrl_c().await;
        let _ = ctrl_c.try_send(());
    });
    // Nobody sits in front of an example: it is shut down when the first of them has ended.
    let mut probe = first.wait_all(jobs.clone());
    tokio::spawn(async move {
        probe.next().await;
        let _ = stop.try_send(());
    });
    let before = wait(first.wait_all(jobs), &keep, shutdown).await?;

    let snapshots: Vec<jobwatch::JobSnapshot> = serde_json::from_slice(&std::fs::read(&keep)?)?;
    println!("the next run goes on with {}", snapshots.len());
    let kept = snapshots.len();
    let (_never, shutdown) = mpsc::channel(1);
    let after = wait(client().policy(policy).build()?.resume(snapshots)?, &keep, shutdown).await?;
    if before + kept == 10 && after == kept { Ok(()) } else { Err(format!("{before}, {kept}, {after}").into()) }
}
