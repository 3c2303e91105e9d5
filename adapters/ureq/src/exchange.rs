//! One request and its answer.

use std::io::{self, Read, Write};
use std::time::Duration;

use boot_time::Instant;
use http::{Method, Request, Response};
use jobwatch::driver::body::Body;
use jobwatch::driver::meter::{self, origin};
use jobwatch::driver::{Download, DownloadStep};
use jobwatch::{LookError, TransportError};
use tracing::debug;
use ureq::Agent;

use crate::agents::{Agents, Server};
use crate::strict::ClosedIdle;

#[cfg(test)]
mod tests;

/// Answers are small and connections many.
pub(crate) const READ_AT_ONCE: usize = 16 * 1024;
const DOWNLOADED_AT_ONCE: usize = 64 * 1024;

/// Sends a request and reads the whole answer, at most `max_body` decoded bytes, within the timeout.
pub(crate) fn exchange(
    agents: &Agents,
    request: Request<Vec<u8>>,
    timeout: Duration,
    max_body: u64,
) -> Result<Response<Vec<u8>>, TransportError> {
    let start = Instant::now();
    let server = request.uri().authority().cloned();
    let origin = origin(request.uri());
    let answer = send_and_read(agents, request, timeout, max_body).map_err(|error| error.at(server.as_ref()));
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
    agents: &Agents,
    mut download: Download,
    sink: &mut (impl Write + ?Sized),
    timeout: Duration,
) -> Result<u64, TransportError> {
    let start = Instant::now();
    loop {
        let left = timeout.saturating_sub(start.elapsed()).max(Duration::from_millis(1));
        let request = download.request().map(drop);
        let written = agents.with(Server::of(request.uri()), |agent| {
            let request = agent.configure_request(request).timeout_global(Some(left)).build();
            let (head, body) = agent.run(request).map_err(|error| translate(&error))?.into_parts();
            match download.handle_head(head.status, &head.headers)? {
                DownloadStep::Again => Ok(None),
                DownloadStep::Body => {
                    read(body, Body::new(&head.headers, &mut *sink, u64::MAX), DOWNLOADED_AT_ONCE).map(Some)
                }
            }
        });
        if let Some(written) = written? {
            return Ok(written);
        }
    }
}

fn send_and_read(
    agents: &Agents,
    request: Request<Vec<u8>>,
    timeout: Duration,
    max_body: u64,
) -> Result<Response<Vec<u8>>, TransportError> {
    let start = Instant::now();
    agents.with(Server::of(request.uri()), |agent| {
        // What only asks may be asked again, once: that a server closes an idle connection says nothing about its health.
        let again = request.method().is_safe().then(|| request.clone());
        let answer = match (send(agent, request, timeout), again) {
            (Err(error), Some(again)) if ClosedIdle::is(&error) => {
                send(agent, again, timeout.saturating_sub(start.elapsed()).max(Duration::from_millis(1)))
            }
            (answer, _) => answer,
        };
        let (parts, body) = answer.map_err(|error| translate(&error))?.into_parts();
        let mut bytes = Vec::new();
        read(body, Body::new(&parts.headers, &mut bytes, max_body), READ_AT_ONCE)?;
        Ok(Response::from_parts(parts, bytes))
    })
}

fn send(agent: &Agent, request: Request<Vec<u8>>, timeout: Duration) -> Result<Response<ureq::Body>, ureq::Error> {
    // RFC 9110 §8.6: these say that their body is empty; without it there are servers that answer 411.
    let says_length = matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH);
    if request.body().is_empty() && !says_length {
        agent.run(agent.configure_request(request.map(drop)).timeout_global(Some(timeout)).build())
    } else {
        agent.run(agent.configure_request(request).timeout_global(Some(timeout)).build())
    }
}

/// Reads a body to its end, so many bytes at a time.
fn read<W: Write>(from: ureq::Body, mut body: Body<W>, at_once: usize) -> Result<u64, TransportError> {
    let mut reader = from.into_with_config().limit(u64::MAX).reader();
    let mut piece = vec![0; at_once];
    loop {
        match reader.read(&mut piece) {
            Ok(0) => return body.finish(),
            Ok(read) => body.take(&piece[..read])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(translate(&ureq::Error::from(error))),
        }
    }
}

/// The client's error in the terms of the core.
fn translate(error: &ureq::Error) -> TransportError {
    let look_error = match error {
        ureq::Error::Timeout(_) => LookError::Expired,
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => LookError::Unreachable,
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => LookError::BadUrl,
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) => LookError::Tls,
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
