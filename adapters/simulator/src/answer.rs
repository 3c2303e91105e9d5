//! Answers before they become HTTP, and the answers that faults put in their place.

use std::time::{Duration, UNIX_EPOCH};

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

use crate::clock::Pace;
use crate::faults::FaultKind;

const HTML: &str = "<!DOCTYPE html>\n<html><head><title>Simulated page</title></head>\
    <body><h1>This is not the answer you are looking for</h1></body></html>\n";

/// A whole HTTP answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    content_type: &'static str,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Answer {
    pub(crate) fn json(status: u16, body: impl Into<String>) -> Self {
        Self { status, content_type: "application/json", headers: Vec::new(), body: body.into() }
    }

    fn html(status: u16) -> Self {
        Self { content_type: "text/html; charset=utf-8", ..Self::json(status, HTML) }
    }

    /// The name must be in lower case.
    pub(crate) fn with(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(crate) fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Bytes::from(self.body)));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or_default();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        response
    }
}

/// What a connection does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Answer(Answer),
    Reset,
    Close,
    Hang,
}

/// What a fault makes of an answer, and until when it asks the client to wait.
pub(crate) fn spoil(honest: &str, kind: FaultKind, now_ns: u64, pace: Pace) -> (Reply, Option<u64>) {
    let mut until = None;
    let reply = match kind {
        FaultKind::BadGateway => Reply::Answer(Answer::html(502)),
        FaultKind::ServerError => {
            let body = r#"{"error":"simulated internal error"}"#;
            Reply::Answer(Answer::json(500, body))
        }
        FaultKind::Throttle => {
            let answer = Answer::json(429, r#"{"error":"simulated throttling"}"#);
            let (name, value, end) = if pace.is_real_time() {
                let end = now_ns.saturating_add(1_000_000_000);
                ("retry-after", "1".to_owned(), end)
            } else {
                scaled_wait(Duration::from_secs(1), now_ns, pace)
            };
            until = Some(end);
            Reply::Answer(answer.with(name, value))
        }
        FaultKind::Unavailable => {
            let answer = Answer::json(503, r#"{"error":"simulated outage"}"#);
            let (name, value, end) = if pace.is_real_time() {
                let date = UNIX_EPOCH + Duration::from_secs(now_ns / 1_000_000_000 + 2);
                let end = (now_ns / 1_000_000_000 + 2).saturating_mul(1_000_000_000);
                ("retry-after", httpdate::fmt_http_date(date), end)
            } else {
                scaled_wait(Duration::from_secs(2), now_ns, pace)
            };
            until = Some(end);
            Reply::Answer(answer.with(name, value))
        }
        FaultKind::Truncated => {
            let half = honest.get(..honest.len() / 2).unwrap_or_default();
            Reply::Answer(Answer::json(200, half))
        }
        FaultKind::Html => Reply::Answer(Answer::html(200)),
        FaultKind::Reset => Reply::Reset,
        FaultKind::Close => Reply::Close,
        FaultKind::Hang => Reply::Hang,
    };
    (reply, until)
}

/// `Retry-After` knows whole seconds only, so scaled time needs its milliseconds; rounded up.
fn scaled_wait(wait: Duration, now_ns: u64, pace: Pace) -> (&'static str, String, u64) {
    let ms = pace.real_ns(wait).div_ceil(1_000_000);
    let end = now_ns.saturating_add(ms.saturating_mul(1_000_000));
    ("retry-after-ms", ms.to_string(), end)
}
