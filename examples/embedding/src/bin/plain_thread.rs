//! One job, one thread, and nothing but the sockets of `std`.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::Duration;

use http::{Request, Response};
use jobwatch::{
    Backend, Dialect, Finished, JobRef, Outcome, Policy, Submit, SubmitAction, SubmitError, TransportError, Watch,
    WatchAction,
};
use jobwatch_examples::{now, server, to_bytes, to_response};
use jobwatch_simulator::Simulator;

fn send(request: &Request<Vec<u8>>, timeout: Duration) -> Result<Response<Vec<u8>>, TransportError> {
    let exchange = || -> io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(server(request))?;
        stream.set_read_timeout(Some(timeout))?; // for each read; a careful driver counts them together
        stream.write_all(&to_bytes(request))?;
        let mut came = Vec::new();
        stream.read_to_end(&mut came)?;
        Ok(came)
    };
    to_response(exchange())
}

fn create(backend: &Backend, policy: &Policy) -> Result<Vec<JobRef>, SubmitError> {
    let mut submit = Submit::new(backend, policy, Vec::new(), now(), &mut rand::rng());
    loop {
        match submit.poll(now()) {
            SubmitAction::Send { id, request, timeout } => match send(&request, timeout) {
                Ok(response) => submit.handle_response(now(), id, &response),
                Err(error) => submit.handle_error(now(), id, &error),
            },
            SubmitAction::Sleep { until } => sleep(until.saturating_since(now())),
            SubmitAction::Created(jobs) => return Ok(jobs),
            SubmitAction::Failed(error) => return Err(error),
            SubmitAction::Renew => unreachable!("only with `with_renewal`"),
        }
    }
}

fn wait(backend: &Backend, policy: &Policy, job: JobRef) -> Finished {
    let mut watch = Watch::new(backend, policy, job, now(), &mut rand::rng());
    loop {
        match watch.poll(now()) {
            WatchAction::Send { id, request, timeout } => match send(&request, timeout) {
                Ok(response) => watch.handle_response(now(), id, &response),
                Err(error) => watch.handle_error(now(), id, &error),
            },
            WatchAction::Sleep { until, .. } => sleep(until.saturating_since(now())),
            WatchAction::Finished(finished) => return finished,
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let simulator = Simulator::builder().speed(50.0).fail_rate(0.0).start()?;
    let backend = Backend::new(Dialect::tracker(), Some(&simulator.url()))?;
    let policy = Policy::default().at_speed(50.0)?;
    for job in create(&backend, &policy)? {
        println!("{job} is created");
        let finished = wait(&backend, &policy, job);
        println!("{}: {} after {} requests", finished.job, finished.outcome, finished.requests);
        if finished.outcome != Outcome::Succeeded {
            return Err("it should have succeeded".into());
        }
    }
    Ok(())
}
