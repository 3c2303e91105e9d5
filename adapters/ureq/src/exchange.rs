//! One request and its answer.

use std::io::{self, Read, Write};
use std::time::Duration;

use boot_time::Instant;
use http::{Method, Request, Response};
use jobwatch::meter::{self, origin};
use jobwatch::{Download, DownloadStep, LookError, TransportError};
use tracing::debug;
use ureq::Agent;

/// Longer than the longest gap between two looks at one job under the default policy, so that its connection is reused.
const IDLE_AGE: Duration = Duration::from_secs(90);

/// An agent that does what it is told and nothing else: no redirects, no statuses as errors, nothing kept but
/// connections. Proxies come from the environment.
pub(crate) fn agent(most_in_flight: usize) -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .max_idle_connections(most_in_flight)
        .max_idle_connections_per_host(most_in_flight)
        .max_idle_age(IDLE_AGE)
        // Answers are small and connections many.
        .input_buffer_size(16 * 1024)
        .output_buffer_size(16 * 1024)
        .allow_non_standard_methods(true)
        .user_agent(concat!("jobwatch/", env!("CARGO_PKG_VERSION")))
        .build()
        .new_agent()
}

/// Sends a request and reads the whole answer, at most `max_body` decoded bytes, within the timeout.
pub(crate) fn exchange(
    agent: &Agent,
    request: Request<Vec<u8>>,
    timeout: Duration,
    max_body: u64,
) -> Result<Response<Vec<u8>>, TransportError> {
    let start = Instant::now();
    let server = request.uri().authority().cloned();
    let origin = origin(request.uri());
    let answer = send_and_read(agent, request, timeout, max_body).map_err(|error| error.at(server.as_ref()));
    let elapsed = start.elapsed();
    meter::request_ended(&origin, answer.as_ref(), elapsed);
    match &answer {
        Ok(answer) => debug!(status = answer.status().as_u16(), bytes = answer.body().len(), ?elapsed, "answered"),
        Err(error) => debug!(%error, ?elapsed, "not answered"),
    }
    answer
}

/// Writes what is at an address into the sink, piece by piece, and tells how many bytes that were.
pub(crate) fn download(
    agent: &Agent,
    mut download: Download,
    sink: &mut (impl Write + ?Sized),
    timeout: Duration,
) -> Result<u64, TransportError> {
    let start = Instant::now();
    loop {
        let left = timeout.saturating_sub(start.elapsed()).max(Duration::from_millis(1));
        let request = agent.configure_request(download.request().map(drop)).timeout_global(Some(left)).build();
        let (head, body) = agent.run(request).map_err(|error| translate(&error))?.into_parts();
        if let DownloadStep::Again = download.handle_head(head.status, &head.headers)? {
            continue;
        }
        let mut reader = body.into_with_config().limit(u64::MAX).reader();
        let mut piece = vec![0; 64 * 1024];
        let mut bytes = 0;
        loop {
            let read = match reader.read(&mut piece) {
                Ok(0) => return Ok(bytes),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(translate(&ureq::Error::from(error))),
            };
            let written = sink.write_all(&piece[..read]);
            written.map_err(|error| TransportError::new(LookError::Sink, error.to_string()))?;
            bytes += read as u64;
        }
    }
}

fn send_and_read(
    agent: &Agent,
    request: Request<Vec<u8>>,
    timeout: Duration,
    max_body: u64,
) -> Result<Response<Vec<u8>>, TransportError> {
    // RFC 9110 §8.6: these say that their body is empty; without it there are servers that answer 411.
    let says_length = matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH);
    let answer = if request.body().is_empty() && !says_length {
        agent.run(agent.configure_request(request.map(drop)).timeout_global(Some(timeout)).build())
    } else {
        agent.run(agent.configure_request(request).timeout_global(Some(timeout)).build())
    };
    let (parts, body) = answer.map_err(|error| translate(&error))?.into_parts();
    let body = body.into_with_config().limit(max_body).read_to_vec().map_err(|error| match error {
        ureq::Error::BodyExceedsLimit(_) => TransportError::new(
            LookError::TooLarge,
            format!("its body has more than {max_body} bytes; raise max_body (--max-body) to accept it"),
        ),
        error => translate(&error),
    })?;
    Ok(Response::from_parts(parts, body))
}

/// The client's error in the terms of the core.
fn translate(error: &ureq::Error) -> TransportError {
    let look_error = match error {
        ureq::Error::Timeout(_) => LookError::Expired,
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => LookError::Unreachable,
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => LookError::BadUrl,
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) => LookError::Tls,
        ureq::Error::BodyExceedsLimit(_) => LookError::TooLarge,
        ureq::Error::Io(error) => translate_io(error),
        _ => LookError::Disconnected,
    };
    // ureq names no header and no body in its errors, and an address in these alone.
    let message = match error {
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => String::new(),
        error => error.to_string(),
    };
    TransportError::new(look_error, message)
}

fn translate_io(error: &io::Error) -> LookError {
    match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => LookError::Expired,
        io::ErrorKind::ConnectionRefused
        | io::ErrorKind::AddrNotAvailable
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable => LookError::Unreachable,
        // rustls reports a certificate that it does not accept as invalid data within an I/O error.
        io::ErrorKind::InvalidData if error.to_string().contains("certificate") => LookError::Tls,
        _ => LookError::Disconnected,
    }
}
