//! The HTTP clients alone, set up as the drivers set them up: so many requests in flight, each answer read and parsed.
//! And hyper alone, with one connection for each request in flight, or for all of them by HTTP/2: the limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use http::header::{ACCEPT, HOST, HeaderValue};
use http::{Request, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use jobwatch_benches::job_id;
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use ureq::Agent;

/// As the drivers: longer than the longest gap.
const IDLE_AGE: Duration = Duration::from_secs(90);

/// A look's time limit under the default policy.
const TIMEOUT: Duration = Duration::from_secs(20);

const USER_AGENT: &str = concat!("jobwatch/", env!("CARGO_PKG_VERSION"));

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Which addresses are fetched, each of them so many times, one after the other and again from the start.
pub(crate) struct Fetcher {
    urls: Vec<String>,
    /// Each address but for the server.
    paths: Vec<Uri>,
    times: usize,
    next: AtomicUsize,
}

impl Fetcher {
    /// Fetches from one server so many jobs so many times; nothing is fetched yet.
    pub(crate) fn new(authority: &str, jobs: usize, times: usize) -> Self {
        let path = |job| format!("/status/{}", job_id(job));
        let urls = (0..jobs).map(|job| format!("http://{authority}{}", path(job))).collect();
        let paths = (0..jobs).map(|job| path(job).parse().expect("it is an address")).collect();
        Self { urls, paths, times, next: AtomicUsize::new(0) }
    }

    fn next(&self) -> Option<usize> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        (number < self.urls.len() * self.times).then(|| number % self.urls.len())
    }
}

/// A client of reqwest with the asynchronous driver's settings.
pub(crate) fn async_client(most_in_flight: usize, is_http2: bool) -> reqwest::Client {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has these versions")
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let builder =
        if is_http2 { reqwest::Client::builder().http2_prior_knowledge() } else { reqwest::Client::builder() };
    builder
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never().max_retries_per_request(0))
        .referer(false)
        .pool_idle_timeout(IDLE_AGE)
        .pool_max_idle_per_host(most_in_flight)
        .timeout(TIMEOUT)
        .user_agent(USER_AGENT)
        .build()
        .expect("the settings are valid")
}

/// An agent of ureq with the blocking driver's settings.
pub(crate) fn blocking_agent(most_in_flight: usize) -> Agent {
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
pub(crate) async fn fetch_all_async(client: &reqwest::Client, fetcher: Arc<Fetcher>, in_flight: usize) -> usize {
    let mut tasks = JoinSet::new();
    for _ in 0..in_flight {
        let (client, fetcher) = (client.clone(), Arc::clone(&fetcher));
        tasks.spawn(async move {
            let mut completed = 0;
            while let Some(number) = fetcher.next() {
                let answer =
                    client.get(&fetcher.urls[number]).header(ACCEPT, JSON).send().await.expect("loopback answers");
                completed += is_completed(&answer.bytes().await.expect("the answer has a body"));
            }
            completed
        });
    }
    tasks.join_all().await.into_iter().sum()
}

/// Fetches everything with so many threads; tells how many answers said `completed`.
pub(crate) fn fetch_all_blocking(agent: &Agent, fetcher: &Fetcher, in_flight: usize) -> usize {
    let work = || {
        let mut completed = 0;
        while let Some(number) = fetcher.next() {
            let answer = agent.get(&fetcher.urls[number]).header(ACCEPT, JSON).call().expect("loopback answers");
            completed += is_completed(&answer.into_body().read_to_vec().expect("the answer has a body"));
        }
        completed
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..in_flight).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no thread panics")).sum()
    })
}

/// Connections of hyper without a pool around them.
pub(crate) enum Connections {
    Http1(Vec<http1::SendRequest<Empty<Bytes>>>),
    Http2(http2::SendRequest<Empty<Bytes>>),
}

impl Connections {
    /// As many connections as there are requests in flight, or one for all.
    pub(crate) async fn open(authority: &str, in_flight: usize, is_http2: bool) -> Self {
        if is_http2 {
            let (sender, connection) =
                http2::handshake(TokioExecutor::new(), connect(authority).await).await.expect("it speaks HTTP/2");
            tokio::spawn(connection);
            return Self::Http2(sender);
        }
        let mut senders = Vec::new();
        for _ in 0..in_flight {
            let (sender, connection) = http1::handshake(connect(authority).await).await.expect("it speaks HTTP");
            tokio::spawn(connection);
            senders.push(sender);
        }
        Self::Http1(senders)
    }

    /// Fetches everything; tells how many answers said `completed`.
    pub(crate) async fn fetch_all(&mut self, authority: &str, fetcher: Arc<Fetcher>, in_flight: usize) -> usize {
        let mut tasks = JoinSet::new();
        match self {
            Self::Http1(senders) => {
                let host = HeaderValue::from_str(authority).expect("it is a host");
                for mut sender in senders.drain(..) {
                    let (fetcher, host) = (Arc::clone(&fetcher), host.clone());
                    tasks.spawn(async move {
                        let mut completed = 0;
                        while let Some(number) = fetcher.next() {
                            let mut request = request(fetcher.paths[number].clone());
                            request.headers_mut().insert(HOST, host.clone());
                            sender.ready().await.expect("the connection lasts");
                            completed += read(sender.send_request(request).await).await;
                        }
                        (completed, Some(sender))
                    });
                }
            }
            Self::Http2(sender) => {
                for _ in 0..in_flight {
                    let (fetcher, mut sender) = (Arc::clone(&fetcher), sender.clone());
                    tasks.spawn(async move {
                        let mut completed = 0;
                        while let Some(number) = fetcher.next() {
                            let request = request(fetcher.urls[number].parse().expect("it is an address"));
                            completed += read(sender.send_request(request).await).await;
                        }
                        (completed, None)
                    });
                }
            }
        }
        let mut completed = 0;
        for (told, sender) in tasks.join_all().await {
            completed += told;
            if let (Self::Http1(senders), Some(sender)) = (&mut *self, sender) {
                senders.push(sender);
            }
        }
        completed
    }
}

async fn connect(authority: &str) -> TokioIo<TcpStream> {
    let stream = TcpStream::connect(authority).await.expect("loopback answers");
    stream.set_nodelay(true).expect("sockets have this option");
    TokioIo::new(stream)
}

fn request(uri: Uri) -> Request<Empty<Bytes>> {
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = uri;
    request.headers_mut().insert(ACCEPT, JSON);
    request.headers_mut().insert(http::header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    request
}

async fn read(answer: hyper::Result<http::Response<Incoming>>) -> usize {
    let body = answer.expect("loopback answers").into_body().collect().await;
    is_completed(&body.expect("the answer has a body").to_bytes())
}

fn is_completed(body: &[u8]) -> usize {
    let value: Value = serde_json::from_slice(body).expect("the answer is JSON");
    usize::from(value["result"] == "completed")
}
