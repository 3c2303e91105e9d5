//! The HTTP clients alone, set up as the drivers set them up: so many requests in flight, each answer read and parsed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use http::header::{ACCEPT, HeaderValue};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::task::JoinSet;
use ureq::Agent;

/// As the drivers: longer than the longest gap.
const IDLE_AGE: Duration = Duration::from_secs(90);

/// A look's time limit under the default policy.
const TIMEOUT: Duration = Duration::from_secs(20);

const USER_AGENT: &str = concat!("jobwatch/", env!("CARGO_PKG_VERSION"));

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Which addresses are fetched, each of them so many times, one after the other and again from the start.
#[derive(Debug)]
pub struct Fetcher {
    urls: Vec<String>,
    times: usize,
    next: AtomicUsize,
}

impl Fetcher {
    /// Nothing is fetched yet.
    pub fn new(urls: Vec<String>, times: usize) -> Self {
        Self { urls, times, next: AtomicUsize::new(0) }
    }

    fn next(&self) -> Option<&str> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        (number < self.urls.len() * self.times).then(|| self.urls[number % self.urls.len()].as_str())
    }
}

/// A client of reqwest with the asynchronous driver's settings.
pub fn async_client(most_in_flight: usize) -> reqwest::Client {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has these versions")
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .pool_idle_timeout(IDLE_AGE)
        .pool_max_idle_per_host(most_in_flight)
        .timeout(TIMEOUT)
        .user_agent(USER_AGENT)
        .build()
        .expect("the settings are valid")
}

/// An agent of ureq with the blocking driver's settings.
pub fn blocking_agent(most_in_flight: usize) -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .max_idle_connections(most_in_flight)
        .max_idle_connections_per_host(most_in_flight)
        .max_idle_age(IDLE_AGE)
        .input_buffer_size(16 * 1024)
        .output_buffer_size(16 * 1024)
        .timeout_global(Some(TIMEOUT))
        .user_agent(USER_AGENT)
        .build()
        .new_agent()
}

/// Fetches everything with so many tasks; tells how many answers said `completed`.
pub async fn fetch_all_async(client: &reqwest::Client, fetcher: Arc<Fetcher>, in_flight: usize) -> usize {
    let mut tasks = JoinSet::new();
    for _ in 0..in_flight {
        let (client, fetcher) = (client.clone(), Arc::clone(&fetcher));
        tasks.spawn(async move {
            let mut completed = 0;
            while let Some(url) = fetcher.next() {
                let answer = client.get(url).header(ACCEPT, JSON).send().await.expect("loopback answers");
                completed += is_completed(&answer.bytes().await.expect("the answer has a body"));
            }
            completed
        });
    }
    tasks.join_all().await.into_iter().sum()
}

/// Fetches everything with so many threads; tells how many answers said `completed`.
pub fn fetch_all_blocking(agent: &Agent, fetcher: &Fetcher, in_flight: usize) -> usize {
    let work = || {
        let mut completed = 0;
        while let Some(url) = fetcher.next() {
            let answer = agent.get(url).header(ACCEPT, JSON).call().expect("loopback answers");
            completed += is_completed(&answer.into_body().read_to_vec().expect("the answer has a body"));
        }
        completed
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..in_flight).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no thread panics")).sum()
    })
}

fn is_completed(body: &[u8]) -> usize {
    let value: Value = serde_json::from_slice(body).expect("the answer is JSON");
    usize::from(value["result"] == "completed")
}
