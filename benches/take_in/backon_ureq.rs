//! backon around a look.

use std::error::Error;
use std::time::Duration;

use backon::{BlockingRetryable, ExponentialBuilder};
use serde_json::Value;

fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).ok_or("say which address")?;
    let look = || -> Result<(), Box<dyn Error>> {
        let job: Value = ureq::get(&url).call()?.body_mut().read_json()?;
        match job["result"].as_str() {
            Some("completed") => Ok(()),
            _ => Err("not yet".into()),
        }
    };
    let backoff = ExponentialBuilder::new().with_min_delay(Duration::from_millis(10)).without_max_times().with_jitter();
    look.retry(backoff).sleep(std::thread::sleep).call()
}
