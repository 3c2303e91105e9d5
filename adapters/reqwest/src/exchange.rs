//! One request and its answer.

use std::io::Write;
use std::time::Duration;

use http::header::{CONTENT_LENGTH, HeaderValue};
use http::{Method, Request, Response};
use jobwatch::driver::body::Body;
use jobwatch::driver::meter::{self, origin};
use jobwatch::driver::{Download, DownloadStep};
use jobwatch::{LookError, TransportError};
use tokio::task::yield_now;
use tracing::debug;

use crate::client::Shared;
use crate::errors::translate;
use crate::http::Http;

#[cfg(test)]
mod tests;

/// Sends a request and reads the whole answer, once the runtime has had a look at its sockets.
///
/// A connection that lies idle is watched by a task, which closes it when the server says something unasked. In a runtime
/// that was not running, the task hears of it only now; without that those words would be taken for the answer.
pub(crate) async fn exchange_from_rest(
    shared: &Shared,
    request: Request<Vec<u8>>,
    timeout: Duration,
) -> Result<Response<Vec<u8>>, TransportError> {
    yield_now().await;
    exchange(shared, request, timeout).await
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
    http: &Http,
    mut download: Download,
    sink: &mut (impl Write + ?Sized),
) -> Result<u64, TransportError> {
    loop {
        yield_now().await;
        let mut answer = http.send(download.request()).await?;
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
    http: &Http,
    mut request: Request<Vec<u8>>,
    max_body: u64,
) -> Result<Response<Vec<u8>>, TransportError> {
    if request.body().is_empty() && matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH) {
        // RFC 9110 §8.6; without it there are servers that answer 411.
        request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    let mut answer = http.send(request).await?;
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
