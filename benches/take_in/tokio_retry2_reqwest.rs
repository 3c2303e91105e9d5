//! tokio-retry2 around a look.

use std::error::Error;

use serde_json::Value;
use tokio_retry2::strategy::{ExponentialFactorBackoff, jitter};
use tokio_retry2::{Retry, RetryError};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).ok_or("say which address")?;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::new();
    let delays = ExponentialFactorBackoff::from_millis(10, 2.0).map(jitter);
    let look = || async {
        let answer = client.get(&url).send().await.map_err(|error| RetryError::transient(Box::<dyn Error>::from(error)))?;
        let job: Value = answer.json().await.map_err(|error| RetryError::transient(error.into()))?;
        match job["result"].as_str() {
            Some("completed") => Ok(()),
            _ => Err(RetryError::transient("not yet".into())),
        }
    };
    Retry::spawn(delays, look).await
}
