//! A dialect of one's own: how a backend is asked and what its words mean, as data. `jobwatch dialects check FILE` reads one
//! from a file; the documentation of `Dialect` lists every key.

use std::error::Error;

use jobwatch_reqwest::{Client, Dialect, Outcome, Policy};
use jobwatch_simulator::Simulator;

const RENDER_FARM: &str = r#"
name = "render-farm"

[create]
path = "/create_job"

[job]
id = "/job_id"

[poll]
path = "/status/{id}"

[state]
pointer = "/result"
pending = ["pending"]
succeeded = ["completed"]
failed = ["error"]
lost = ["Job ID not found"]
"#;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let farm = Simulator::builder().speed(50.0).fail_rate(0.0).start()?;
    let client = Client::builder(Dialect::from_toml(RENDER_FARM)?).base_url(farm.url());
    let client = client.policy(Policy::default().at_speed(50.0)?).build()?;
    let jobs = client.create(&()).await?;
    let finished = client.wait(&jobs[0]).await;
    println!("{}: {} ({})", finished.job, finished.outcome, finished.state.unwrap_or_default());
    if finished.outcome == Outcome::Succeeded { Ok(()) } else { Err("it should have succeeded".into()) }
}
