//! Answers before they become HTTP, and the answers that faults put in their place.

use std::time::{Duration, UNIX_EPOCH};

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

use crate::clock::Pace;
use crate::faults::FaultKind;

const HTML: &str = "<!DOCTYPE html>\n<html><head><title>Simulated page</title></head>\
    <body><h1>This is not the answer you are looking for</h1></body></html>\n";

/// A whole HTTP answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    content_type: Option<&'static str>,
    headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
    /// How long it asks the client to wait, in real time.
    pub(crate) wait_ns: Option<u64>,
}

impl Answer {
    pub(crate) fn json(status: u16, body: impl Into<String>) -> Self {
        Self::typed(status, "application/json", body)
    }

    pub(crate) fn value(status: u16, body: &Value) -> Self {
        Self::json(status, body.to_string())
    }

    /// An error in the shape that most APIs have.
    pub(crate) fn error(status: u16, code: &str, message: &str) -> Self {
        Self::value(status, &json!({"error": {"code": code, "message": message}}))
    }

    pub(crate) fn typed(status: u16, content_type: &'static str, body: impl Into<String>) -> Self {
        Self { content_type: Some(content_type), body: body.into(), ..Self::empty(status) }
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self { status, content_type: None, headers: Vec::new(), body: String::new(), wait_ns: None }
    }

    fn html(status: u16) -> Self {
        Self::typed(status, "text/html; charset=utf-8", HTML)
    }

    /// The name must be in lower case.
    pub(crate) fn with(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Asks the client to wait for so many simulated seconds. `Retry-After` knows whole seconds
    /// only, so scaled time needs its milliseconds; rounded up.
    pub(crate) fn with_wait(self, seconds: u64, pace: Pace) -> Self {
        let wait = Duration::from_secs(seconds);
        let (name, value, ns) = if pace.is_real_time() {
            ("retry-after", seconds.to_string(), pace.real_ns(wait))
        } else {
            let ms = pace.real_ns(wait).div_ceil(1_000_000);
            ("retry-after-ms", ms.to_string(), ms.saturating_mul(1_000_000))
        };
        Self { wait_ns: Some(ns), ..self.with(name, value) }
    }

    /// As [`with_wait`](Self::with_wait), but in real time with a date, which is whole seconds.
    fn with_wait_as_date(self, seconds: u64, now_ns: u64, pace: Pace) -> Self {
        if !pace.is_real_time() {
            return self.with_wait(seconds, pace);
        }
        let end = now_ns / 1_000_000_000 + seconds;
        let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(end));
        let wait_ns = Some(end.saturating_mul(1_000_000_000).saturating_sub(now_ns));
        Self { wait_ns, ..self.with("retry-after", date) }
    }

    pub(crate) fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Bytes::from(self.body)));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or_default();
        let headers = response.headers_mut();
        if let Some(content_type) = self.content_type {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
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

/// What a fault makes of an answer. A fault that passes for an answer has the status `posing`.
pub(crate) fn spoil(honest: &Answer, kind: FaultKind, posing: u16, now_ns: u64, pace: Pace) -> Reply {
    let answer = match kind {
        FaultKind::BadGateway => Answer::html(502),
        FaultKind::ServerError => Answer::json(500, r#"{"error":"simulated internal error"}"#),
        FaultKind::Throttle => Answer::json(429, r#"{"error":"simulated throttling"}"#).with_wait(1, pace),
        FaultKind::Unavailable => {
            Answer::json(503, r#"{"error":"simulated outage"}"#).with_wait_as_date(2, now_ns, pace)
        }
        FaultKind::Truncated => {
            let whole = if honest.body.is_empty() { r#"{"cut":"short"}"# } else { &honest.body };
            let mut end = whole.len() / 2;
            while !whole.is_char_boundary(end) {
                end -= 1;
            }
            Answer::json(posing, &whole[..end])
        }
        FaultKind::Html => Answer::html(posing),
        FaultKind::Reset => return Reply::Reset,
        FaultKind::Close => return Reply::Close,
        FaultKind::Hang => return Reply::Hang,
    };
    Reply::Answer(answer)
}
