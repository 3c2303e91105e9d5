//! One request and its answer.

use std::error::Error as StdError;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT_ENCODING, CONTENT_LENGTH, HeaderValue};
use http::{HeaderMap, Method, Request, Response};
use jobwatch::driver::body::{Body, ENCODINGS};
use jobwatch::driver::meter::{self, origin};
use jobwatch::driver::{Download, DownloadStep};
use jobwatch::{LookError, TransportError};
use rustls::{ClientConfig, RootCertStore};
use tracing::debug;

use crate::client::Shared;

#[cfg(test)]
mod tests;

/// Longer than the longest gap between two looks at one job under the default policy, so that its connection is reused.
const IDLE_AGE: Duration = Duration::from_secs(90);

/// The most of the client's own words that is kept, in characters.
const LONGEST_MESSAGE: usize = 300;

/// A client that does what it is told and nothing else: no redirects, no retries, nothing kept but connections. Proxies
/// come from the environment.
///
/// One repetition is left that nothing can turn off and nobody can see: a request that the pool handed to a connection
/// which the server had closed already, and of which no byte was written, goes to another connection.
pub(crate) fn http_client(most_in_flight: usize, roots: RootCertStore) -> Result<reqwest::Client, String> {
    let tls = tls(roots).map_err(|error| error.to_string())?;
    reqwest::Client::builder()
        // Whoever else uses reqwest may have switched its own decoding on.
        .no_gzip()
        .no_brotli()
        .no_deflate()
        .no_zstd()
        .default_headers(HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(ENCODINGS))]))
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .pool_idle_timeout(IDLE_AGE)
        .pool_max_idle_per_host(most_in_flight)
        .user_agent(concat!("jobwatch/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| words(&error))
}

/// The certificates that everybody trusts.
pub(crate) fn public_roots() -> RootCertStore {
    RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }
}

/// A provider and roots of our own: what the process has installed for others is not touched.
fn tls(roots: RootCertStore) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// Sends a request and reads the whole answer, at most the backend's limit of decoded bytes, within the timeout.
pub(crate) async fn exchange(
    shared: &Shared,
    request: Request<Vec<u8>>,
    timeout: Duration,
) -> Result<Response<Vec<u8>>, TransportError> {
    let started = shared.clock.now();
    let server = request.uri().authority().cloned();
    let origin = origin(request.uri());
    let answer = send_and_read(&shared.http, request, shared.session.max_body());
    let answer = match tokio::time::timeout(timeout, answer).await {
        Ok(answer) => answer.map_err(|error| error.at(server.as_ref())),
        Err(_) => Err(TransportError::new(LookError::Expired, "")),
    };
    let elapsed = shared.clock.now().saturating_since(started);
    meter::request_ended(&origin, answer.as_ref(), elapsed);
    match &answer {
        Ok(answer) => debug!(status = answer.status().as_u16(), bytes = answer.body().len(), ?elapsed, "answered"),
        Err(error) => debug!(%error, ?elapsed, "not answered"),
    }
    answer
}

/// Writes what is at an address into the sink, piece by piece, and tells how many bytes that were.
pub(crate) async fn download(
    client: &reqwest::Client,
    mut download: Download,
    sink: &mut (impl Write + ?Sized),
) -> Result<u64, TransportError> {
    loop {
        let mut answer = execute(client, download.request()).await?;
        if let DownloadStep::Again = download.handle_head(answer.status(), answer.headers())? {
            continue;
        }
        let mut body = Body::new(answer.headers(), sink, u64::MAX);
        while let Some(piece) = answer.chunk().await.map_err(translate)? {
            body.take(&piece)?;
        }
        return body.finish();
    }
}

async fn send_and_read(
    client: &reqwest::Client,
    mut request: Request<Vec<u8>>,
    max_body: u64,
) -> Result<Response<Vec<u8>>, TransportError> {
    if request.body().is_empty() && matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH) {
        // RFC 9110 §8.6; without it there are servers that answer 411.
        request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    let mut answer = execute(client, request).await?;
    let mut bytes = Vec::new();
    let mut body = Body::new(answer.headers(), &mut bytes, max_body);
    while let Some(piece) = answer.chunk().await.map_err(translate)? {
        body.take(&piece)?;
    }
    body.finish()?;
    let mut response = Response::new(bytes);
    *response.status_mut() = answer.status();
    *response.version_mut() = answer.version();
    *response.headers_mut() = std::mem::take(answer.headers_mut());
    Ok(response)
}

async fn execute(client: &reqwest::Client, request: Request<Vec<u8>>) -> Result<reqwest::Response, TransportError> {
    let request = request.try_into().map_err(translate)?;
    // A connection that lies idle is watched by a task, which closes it when the server says something unasked. In a
    // runtime that was not running, the task has its turn only now; without it those words would be taken for the answer.
    tokio::task::yield_now().await;
    client.execute(request).await.map_err(translate)
}

/// The client's error in the terms of the core.
#[allow(clippy::needless_pass_by_value)] // for map_err
fn translate(error: reqwest::Error) -> TransportError {
    let look_error = classify(&error);
    let message = match look_error {
        // Anything said of an address might repeat it.
        LookError::BadUrl => String::new(),
        _ => words(&error),
    };
    TransportError::new(look_error, message)
}

fn classify(error: &reqwest::Error) -> LookError {
    let io = io_errors(error);
    if error.is_builder() {
        LookError::BadUrl
    } else if error.is_timeout() {
        LookError::Expired
    } else if io.iter().any(|error| is_about_certificate(error)) {
        LookError::Tls
    } else if error.is_connect() && !io.iter().any(|error| is_break(error)) {
        LookError::Unreachable
    } else {
        LookError::Disconnected
    }
}

/// The I/O errors behind an error. One that wraps another hides it from `source`, which tells the cause of the wrapped.
fn io_errors(error: &reqwest::Error) -> Vec<&io::Error> {
    let mut found = Vec::new();
    for error in causes(error) {
        let mut next = error.downcast_ref::<io::Error>();
        while let Some(error) = next {
            found.push(error);
            next = error.get_ref().and_then(|inner| inner.downcast_ref());
        }
    }
    found
}

/// Asking again does not cure a certificate; every other trouble of a handshake may pass.
fn is_about_certificate(error: &io::Error) -> bool {
    let error = error.get_ref().and_then(|inner| inner.downcast_ref());
    matches!(error, Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented))
}

/// Somebody was there, and left or spoke nonsense during a handshake.
fn is_break(error: &io::Error) -> bool {
    let kind = error.kind();
    let broken = matches!(
        kind,
        io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof
    );
    broken || error.get_ref().is_some_and(<dyn StdError + Send + Sync>::is::<rustls::Error>)
}

/// What the client says of an error: no address, and of the chain of causes only what tells something.
fn words(error: &reqwest::Error) -> String {
    let mut words = String::new();
    for cause in causes(error) {
        let cause = cause.to_string();
        if cause.starts_with("client error (") || words.contains(&cause) {
            continue;
        }
        if !words.is_empty() {
            words.push_str(": ");
        }
        words.push_str(&cause);
    }
    words.chars().take(LONGEST_MESSAGE).collect()
}

/// The causes behind an error, without the error itself: reqwest's own words may hold the address.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    std::iter::successors(error.source(), |&error| error.source())
}
