//! A runtime of one's own: `drive` is all of it, here in smol. The fleet decides for all jobs; the loop sends, sleeps and
//! hands in what came.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use jobwatch::{Backend, Dialect, Finished, Fleet, FleetAction, FleetEvent, JobRef, Outcome, Policy, TransportError};
use jobwatch_examples::{now, server, to_bytes, to_response};
use jobwatch_simulator::Simulator;
use smol::Timer;
use smol::channel::unbounded;
use smol::future::FutureExt;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::net::TcpStream;

async fn drive(mut fleet: Fleet) -> Vec<Finished> {
    let (mut ended, (inbox, answers)) = (Vec::new(), unbounded());
    loop {
        let action = fleet.poll(now());
        while let Some(event) = fleet.next_event() {
            if let FleetEvent::Finished { finished, .. } = event {
                ended.push(*finished);
            }
        }
        let until = match action {
            FleetAction::Send { id, request, timeout } => {
                let inbox = inbox.clone();
                smol::spawn(async move { inbox.send((id, send(request, timeout).await)).await }).detach();
                continue;
            }
            FleetAction::Sleep { until } => until,
            _ => return ended, // idle; a renewal is asked only of fleets that were told they may
        };
        let sleep = async {
            Timer::after(until.saturating_since(now())).await;
            None
        };
        match async { answers.recv().await.ok() }.or(sleep).await {
            Some((id, Ok(response))) => fleet.handle_response(now(), id, &response),
            Some((id, Err(error))) => fleet.handle_error(now(), id, &error),
            None => {}
        }
    }
}

async fn send(request: Request<Vec<u8>>, timeout: Duration) -> Result<Response<Vec<u8>>, TransportError> {
    let exchange = async {
        let mut stream = TcpStream::connect(server(&request)).await?;
        stream.write_all(&to_bytes(&request)).await?;
        let mut came = Vec::new();
        stream.read_to_end(&mut came).await?;
        Ok(came)
    };
    let expiry = async {
        Timer::after(timeout).await;
        Err(io::ErrorKind::TimedOut.into())
    };
    to_response(exchange.or(expiry).await)
}

fn main() -> Result<(), Box<dyn Error>> {
    let simulator = Simulator::builder().speed(50.0).fail_rate(0.0).start()?;
    let backend = Backend::new(Dialect::tracker(), Some(&simulator.url()))?;
    let policy = Policy::default().at_speed(50.0)?;
    let mut fleet = Fleet::new(Arc::new(backend), Arc::new(policy), &mut rand::rng());
    for _ in 0..12 {
        let create = Request::post(format!("{}/create_job", simulator.url())).body(Vec::new())?;
        let answer = smol::block_on(send(create, Duration::from_secs(5)))?;
        let created: serde_json::Value = serde_json::from_slice(answer.body())?;
        fleet.insert(JobRef::new(created["job_id"].as_str().unwrap_or_default())?, now());
    }
    let ended = smol::block_on(drive(fleet));
    for finished in &ended {
        println!("{}: {} after {} requests", finished.job, finished.outcome, finished.requests);
    }
    let succeeded = ended.iter().filter(|finished| finished.outcome == Outcome::Succeeded).count();
    if succeeded == 12 { Ok(()) } else { Err(format!("{succeeded} of 12 jobs succeeded").into()) }
}
