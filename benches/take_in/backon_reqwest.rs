//! backon around a look.

use std::error::Error;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).ok_or("say which address")?;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::new();
    let look = || async {
        let job: Value = client.get(&url).send().await?.json().await?;
        match job["result"].as_str() {
            Some("completed") => Ok(()),
            _ => Err(Box::<dyn Error>::from("not yet")),
        }
    };
    look.retry(ExponentialBuilder::new().with_min_delay(Duration::from_millis(10)).without_max_times().with_jitter()).await
}
