//! One request and its answer.

use std::future::poll_fn;
use std::io::Write;
use std::pin::pin;
use std::task::{Poll, ready};
use std::time::Duration;

use http::header::{CONTENT_LENGTH, HeaderValue};
use http::{Method, Request, Response};
use jobwatch::driver::body::Body;
use jobwatch::driver::meter;
use jobwatch::driver::{Download, DownloadStep};
use jobwatch::{LookError, Timestamp, TransportError};
use tokio::task::yield_now;
use tracing::{Level, debug, enabled};

use crate::alarm::Alarm;
use crate::client::Shared;
use crate::errors::translate;
use crate::http::{Begun, Http};

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
    let expires = shared.clock.now().saturating_add(timeout);
    exchange(shared, &mut begin(&shared.http, request), &mut Alarm::default(), expires).await
}

/// Begins to send a request.
pub(crate) fn begin(http: &Http, mut request: Request<Vec<u8>>) -> Begun {
    if request.body().is_empty() && matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH) {
        // RFC 9110 §8.6; without it there are servers that answer 411.
        request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    http.begin(request)
}

/// Sends a request that was begun and reads the whole answer, at most the backend's limit of decoded bytes, before the
/// instant at which it expires.
pub(crate) async fn exchange(
    shared: &Shared,
    begun: &mut Begun,
    alarm: &mut Alarm,
    expires: Timestamp,
) -> Result<Response<Vec<u8>>, TransportError> {
    let origin = std::mem::take(&mut begun.origin);
    // What nobody is told need not be found out.
    let started = (meter::IS_ON || enabled!(Level::DEBUG)).then(|| shared.clock.now());
    let mut answer = pin!(send_and_read(&shared.http, begun, shared.session.max_body()));
    let answer = poll_fn(|cx| match answer.as_mut().poll(cx) {
        Poll::Pending => {
            ready!(alarm.poll(&shared.clock, expires, cx));
            Poll::Ready(Err(TransportError::new(LookError::Expired, "")))
        }
        ready @ Poll::Ready(_) => ready,
    });
    let answer = answer.await;
    if let Some(started) = started {
        let elapsed = shared.clock.now().saturating_since(started);
        meter::request_ended(&origin, answer.as_ref(), elapsed);
        match &answer {
            Ok(answer) => debug!(status = answer.status().as_u16(), bytes = answer.body().len(), ?elapsed, "answered"),
            Err(error) => debug!(%error, ?elapsed, "not answered"),
        }
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
        let mut answer = http.send(&mut http.begin(download.request())).await?;
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

async fn send_and_read(http: &Http, begun: &mut Begun, max_body: u64) -> Result<Response<Vec<u8>>, TransportError> {
    let mut answer = http.send(begun).await?;
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
