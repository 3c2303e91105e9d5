//! A loop by hand.

use std::error::Error;
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).ok_or("say which address")?;
    let mut delay = Duration::from_millis(10);
    loop {
        let job: Value = ureq::get(&url).call()?.body_mut().read_json()?;
        match job["result"].as_str() {
            Some("completed") => return Ok(()),
            Some("pending") => sleep(delay),
            _ => return Err(format!("the job ended badly: {job}").into()),
        }
        delay = (delay * 2).min(Duration::from_secs(60));
    }
}
