//! A recorded answer: as `curl -i` prints it, or a JSON body alone.

use http::header::CONTENT_ENCODING;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use serde::de::IgnoredAny;

/// An answer that was read from a file.
#[derive(Debug)]
pub(super) struct Recorded {
    pub(super) response: Response<Vec<u8>>,
    /// There is no head; the status was taken to be 200.
    pub(super) body_alone: bool,
}

impl Recorded {
    /// # Errors
    /// What is wrong with it, and where.
    pub(super) fn parse(bytes: Vec<u8>) -> Result<Self, String> {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Err("it is empty".to_owned());
        }
        if bytes.starts_with(b"HTTP/") {
            return Ok(Self { response: raw(&bytes)?, body_alone: false });
        }
        match serde_json::from_slice::<IgnoredAny>(&bytes) {
            Ok(_) => Ok(Self { response: Response::new(bytes), body_alone: true }),
            Err(error) => Err(format!(
                "it is neither an HTTP answer, which begins as in `HTTP/1.1 200 OK`, nor JSON ({error}); `curl -i` \
                 records an answer"
            )),
        }
    }
}

/// An answer with its head. Heads before the last are of other answers: 100 Continue, a proxy's, a redirect's.
fn raw(bytes: &[u8]) -> Result<Response<Vec<u8>>, String> {
    let mut lines = Lines { left: bytes, number: 0 };
    let (status, headers) = loop {
        let head = head(&mut lines)?;
        if !lines.left.starts_with(b"HTTP/") {
            break head;
        }
    };
    if headers.contains_key(CONTENT_ENCODING) && std::str::from_utf8(lines.left).is_err() {
        return Err("its body is compressed; record it with `curl -i --compressed`".to_owned());
    }
    let mut response = Response::new(lines.left.to_vec());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

fn head(lines: &mut Lines<'_>) -> Result<(StatusCode, HeaderMap), String> {
    let status = lines.next().and_then(status_of);
    let status = status
        .ok_or_else(|| format!("line {} is no status line, which is written as in `HTTP/1.1 200 OK`", lines.number))?;
    let mut headers = HeaderMap::new();
    loop {
        match lines.next() {
            // A body may be missing, and with it the empty line.
            None | Some([]) => return Ok((status, headers)),
            Some(line) => {
                let (name, value) = header_of(line).ok_or_else(|| {
                    format!("line {} is no header, and no empty line ends the head before it", lines.number)
                })?;
                headers.append(name, value);
            }
        }
    }
}

/// `HTTP/1.1 200 OK`, or as of HTTP/2 without the words.
fn status_of(line: &[u8]) -> Option<StatusCode> {
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    words.next().filter(|version| version.starts_with("HTTP/"))?;
    words.next().filter(|code| code.len() == 3)?.parse().ok()
}

fn header_of(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let name = HeaderName::from_bytes(&line[..colon]).ok()?;
    let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?;
    Some((name, value))
}

/// Lines that end with LF or CRLF.
struct Lines<'a> {
    left: &'a [u8],
    /// Of the last line given, from 1.
    number: usize,
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.number += 1;
        if self.left.is_empty() {
            return None;
        }
        let end = self.left.iter().position(|byte| *byte == b'\n');
        let (line, left) = match end {
            Some(end) => (&self.left[..end], &self.left[end + 1..]),
            None => (self.left, &self.left[self.left.len()..]),
        };
        self.left = left;
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<(u16, String, String), String> {
        let recorded = Recorded::parse(text.as_bytes().to_vec())?;
        let response = recorded.response;
        let hint = response.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
        let body = String::from_utf8(response.body().clone()).unwrap();
        Ok((response.status().as_u16(), hint.unwrap_or_default(), body))
    }

    #[test]
    fn answers_are_read_as_they_are_recorded() {
        let answer = |status, hint: &str, body: &str| Ok((status, hint.to_owned(), body.to_owned()));
        for (text, expected) in [
            ("HTTP/1.1 200 OK\r\nRetry-After: 5\r\n\r\n{}", answer(200, "5", "{}")),
            ("HTTP/1.1 202 Accepted\nretry-after:5\n\n{\n}\n", answer(202, "5", "{\n}\n")),
            ("HTTP/2 404 \r\n\r\n", answer(404, "", "")),
            ("HTTP/2 204", answer(204, "", "")),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n{}", answer(200, "", "{}")),
            ("HTTP/1.1 303 See Other\nRetry-After: 9\n\nHTTP/1.1 200 OK\n\n{}", answer(200, "", "{}")),
            ("HTTP/1.1 200 OK\n\n\nline\n", answer(200, "", "\nline\n")),
            (" {\"a\":1}\n", answer(200, "", " {\"a\":1}\n")),
            ("\"word\"", answer(200, "", "\"word\"")),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_answer_is_told_with_its_line() {
        for (text, words) in [
            ("", "empty"),
            (" \n", "empty"),
            ("<html>", "neither"),
            ("{\"half\":", "neither"),
            ("HTTP/1.1\n\n", "line 1"),
            ("HTTP/1.1 OK\n\n", "line 1"),
            ("HTTP/1.1 2000 OK\n\n", "line 1"),
            ("HTTP/1.1 200 OK\nA: b\n{\"no\": \"empty line\"}", "line 3"),
            ("HTTP/1.1 100 Continue\n\nHTTP/1.1 x\n", "line 3"),
        ] {
            let problem = parse(text).unwrap_err();
            assert!(problem.contains(words), "{text:?}: {problem}");
        }
        let packed = b"HTTP/1.1 200 OK\nContent-Encoding: gzip\n\n\x1f\x8b\xff";
        assert!(Recorded::parse(packed.to_vec()).unwrap_err().contains("--compressed"));
    }
}
