//! jobwatch in runtimes that are not its own: each program in `src/bin` is read in a minute, starts its own backend, runs to
//! its end in a few seconds and fails where the outcome is wrong.
//!
//! | `cargo run -p jobwatch-examples --bin …` | |
//! |---|---|
//! | `plain_thread` | one job, one thread, the sockets of `std` |
//! | `own_runtime` | many jobs in smol: a runtime of one's own |
//! | `own_schedule` | a schedule of one's own, with the test that it keeps its bounds |
//! | `own_dialect` | a backend that nobody has described yet |
//! | `tokio_select` | `select!`, a graceful shutdown, and the next run, which goes on |
//! | `axum_service` | submits, streams progress as server-sent events, takes webhooks as wake-ups |
//!
//! A loop without `std`, `alloc`, clock and entropy is the program in `tests/no_std`.
//!
//! What they share is below: HTTP on a socket of one's own, in place of a client. It follows no redirect, which is right
//! for jobwatch: the core does.

use std::io;
use std::time::SystemTime;

use http::{Request, Response};
use jobwatch::{LookError, Timestamp, TransportError};

/// The present instant. A driver that outlives a suspended machine or a clock that is set needs more care.
pub fn now() -> Timestamp {
    SystemTime::now().into()
}

/// Host and port to connect to.
pub fn server<B>(request: &Request<B>) -> String {
    let uri = request.uri();
    format!("{}:{}", uri.host().unwrap_or_default(), uri.port_u16().unwrap_or(80))
}

/// A request as it goes over the wire: HTTP/1.0, so that the answer ends where the connection does.
pub fn to_bytes(request: &Request<Vec<u8>>) -> Vec<u8> {
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let mut bytes = format!("{} {target} HTTP/1.0\r\nhost: {}\r\n", request.method(), server(request)).into_bytes();
    bytes.extend_from_slice(format!("content-length: {}\r\n", request.body().len()).as_bytes());
    for (name, value) in request.headers() {
        bytes.extend_from_slice(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    [&bytes, b"\r\n".as_slice(), request.body()].concat()
}

/// What came until the connection was closed, as an answer.
///
/// # Errors
/// There is none, it is none, or it is cut short.
pub fn to_response(came: io::Result<Vec<u8>>) -> Result<Response<Vec<u8>>, TransportError> {
    let came = came.map_err(|error| TransportError::new(LookError::Disconnected, error.to_string()))?;
    let response = parse(&came).ok_or_else(|| TransportError::new(LookError::Malformed, "no HTTP"))?;
    let told = response.headers().get("content-length").and_then(|value| value.to_str().ok()?.parse().ok());
    if told.is_some_and(|told: usize| told != response.body().len()) {
        return Err(TransportError::new(LookError::Disconnected, "the answer is cut short"));
    }
    Ok(response)
}

fn parse(bytes: &[u8]) -> Option<Response<Vec<u8>>> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let mut lines = std::str::from_utf8(&bytes[..end]).ok()?.split("\r\n");
    let mut response = Response::builder().status(lines.next()?.split(' ').nth(1)?);
    for line in lines {
        let (name, value) = line.split_once(':')?;
        response = response.header(name, value.trim());
    }
    response.body(bytes[end + 4..].to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_whole_or_not_at_all() {
        let whole = b"HTTP/1.0 200 OK\r\nX: 1\r\ncontent-length: 2\r\n\r\nok".to_vec();
        let read = to_response(Ok(whole.clone())).unwrap();
        assert_eq!((read.status().as_u16(), read.headers()["x"].as_bytes()), (200, b"1".as_slice()));
        assert_eq!(read.body(), b"ok");
        for cut in 0..whole.len() {
            assert!(to_response(Ok(whole[..cut].to_vec())).is_err(), "{cut} bytes");
        }
        let reset = to_response(Err(io::ErrorKind::ConnectionReset.into()));
        assert_eq!(reset.unwrap_err().error, LookError::Disconnected);
    }

    #[test]
    fn a_request_carries_its_headers_and_its_body() {
        let request = Request::post("http://localhost:81/jobs?a=b").header("x-key", "k").body(b"{}".to_vec()).unwrap();
        let text = String::from_utf8(to_bytes(&request)).unwrap();
        let wire = "POST /jobs?a=b HTTP/1.0\r\nhost: localhost:81\r\ncontent-length: 2\r\nx-key: k\r\n\r\n{}";
        assert_eq!(text, wire);
    }
}
