//! What drivers tell the `metrics` facade, where the feature of that name is on; without it nothing.
//!
//! | name | kind | labels |
//! |---|---|---|
//! | `jobwatch_requests_total` | counter | `origin`; `answer`: the HTTP status, or the error's kind |
//! | `jobwatch_response_seconds` | histogram, of requests that brought an answer | `origin` |
//! | `jobwatch_jobs_total` | counter | `outcome` |
//! | `jobwatch_detection_delay_seconds` | histogram, where the backend tells the real end | |

use core::time::Duration;
use std::string::String;

use http::Response;

use crate::{Finished, TransportError};

/// Whether anybody is told: what only serves that need not be found out otherwise.
pub const IS_ON: bool = cfg!(feature = "metrics");

/// The origin of an address, as in `https://api.example.com`; empty without the feature.
pub fn origin(uri: &http::Uri) -> String {
    if !IS_ON {
        return String::new();
    }
    let port = uri.port_u16().map_or_else(String::new, |port| format!(":{port}"));
    format!("{}://{}{port}", uri.scheme_str().unwrap_or_default(), uri.host().unwrap_or_default())
}

/// A request has ended.
pub fn request_ended(origin: &str, answer: Result<&Response<Vec<u8>>, &TransportError>, time: Duration) {
    #[cfg(feature = "metrics")]
    {
        let label = match answer {
            Ok(response) => response.status().as_u16().to_string(),
            Err(error) => error.error.kind().to_string(),
        };
        metrics::counter!("jobwatch_requests_total", "origin" => origin.to_string(), "answer" => label).increment(1);
        if answer.is_ok() {
            metrics::histogram!("jobwatch_response_seconds", "origin" => origin.to_string()).record(time);
        }
    }
    #[cfg(not(feature = "metrics"))]
    let _ = (origin, answer, time);
}

/// A wait has ended.
pub fn wait_ended(finished: &Finished) {
    #[cfg(feature = "metrics")]
    {
        metrics::counter!("jobwatch_jobs_total", "outcome" => finished.outcome.as_str()).increment(1);
        if let Some(delay) = finished.detection_delay {
            metrics::histogram!("jobwatch_detection_delay_seconds").record(delay);
        }
    }
    #[cfg(not(feature = "metrics"))]
    let _ = finished;
}
