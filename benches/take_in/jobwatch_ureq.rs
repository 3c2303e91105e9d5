//! The blocking client.

use std::error::Error;
use std::time::Duration;

use jobwatch_ureq::{Client, Dialect, JobRef, Outcome, Policy};

fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).ok_or("say which address")?;
    let (base, id) = url.split_once("/status/").ok_or("it is no address of a job")?;
    let policy = Policy::builder().with_min_delay(Duration::from_millis(10)).build()?;
    let client = Client::builder(Dialect::tracker()).base_url(base).policy(policy).build()?;
    let finished = client.wait(&JobRef::new(id)?);
    if finished.outcome == Outcome::Succeeded { Ok(()) } else { Err(finished.outcome.to_string().into()) }
}
