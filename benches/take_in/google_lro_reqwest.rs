//! The loop of Google's client libraries.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use google_cloud_gax::Result as Asked;
use google_cloud_gax::exponential_backoff::ExponentialBackoffBuilder;
use google_cloud_gax::polling_error_policy::AlwaysContinue;
use google_cloud_lro::Poller;
use google_cloud_lro::internal::{DiscoveryOperation, new_discovery_poller};
use serde_json::Value;

struct Job {
    url: String,
    is_done: bool,
}

impl DiscoveryOperation for Job {
    fn done(&self) -> bool {
        self.is_done
    }

    fn name(&self) -> Option<&String> {
        Some(&self.url)
    }
}

async fn look(client: reqwest::Client, url: String) -> Asked<Job> {
    let answer = client.get(&url).send().await.map_err(google_cloud_gax::error::Error::io)?;
    let job: Value = answer.json().await.map_err(google_cloud_gax::error::Error::deser)?;
    Ok(Job { url, is_done: job["result"] == "completed" })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).ok_or("say which address")?;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::new();
    let backoff = ExponentialBackoffBuilder::new().with_initial_delay(Duration::from_millis(10)).build()?;
    let first = look(client.clone(), url);
    let poller = new_discovery_poller(
        Arc::new(AlwaysContinue),
        Arc::new(backoff),
        move || first,
        move |url| look(client.clone(), url),
    );
    poller.until_done().await?;
    Ok(())
}
