//! A loop by hand.

use std::error::Error;
use std::time::Duration;

use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).ok_or("say which address")?;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::new();
    let mut delay = Duration::from_millis(10);
    loop {
        let job: Value = client.get(&url).send().await?.json().await?;
        match job["result"].as_str() {
            Some("completed") => return Ok(()),
            Some("pending") => tokio::time::sleep(delay).await,
            _ => return Err(format!("the job ended badly: {job}").into()),
        }
        delay = (delay * 2).min(Duration::from_secs(60));
    }
}
