//! Fetching a result that lives at an address of its own: a presigned URL, which must not see the credentials.

use core::fmt;
use std::string::ToString;
use std::vec::Vec;

use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use url::Url;

use crate::dialect::{header_text, without_secrets};
use crate::finished::TransportError;
use crate::{Backend, LookError};

/// Redirects followed in a row.
const MOST_REDIRECTS: usize = 5;

/// One download, without a socket: the requests to send, none of which carries a header of the backend's.
///
/// It may lead to any origin, since nothing secret goes along, but from an https backend or address never to plain http.
pub struct Download {
    visited: Vec<Url>,
}

/// What to do with the head of an answer to a [`Download`].
#[derive(Debug)]
#[must_use = "the answer is not read yet"]
pub enum DownloadStep {
    /// Read the body: it is what was asked for.
    Body,
    /// Leave the body alone and send [`Download::request`] again, which has moved on.
    Again,
}

impl Download {
    /// A download of an address that a backend told as a result.
    ///
    /// # Errors
    /// It is no http or https URL, has a user or password in it, or is plain http where the backend is https.
    pub fn new(backend: &Backend, url: &str) -> Result<Self, TransportError> {
        let mut download = Self { visited: Vec::new() };
        download.go(backend.base(), url)?;
        Ok(download)
    }

    /// The request to send now.
    pub fn request(&self) -> Request<Vec<u8>> {
        let mut request = Request::new(Vec::new());
        *request.method_mut() = Method::GET;
        if let Some(Ok(uri)) = self.visited.last().map(|url| url.as_str().parse()) {
            *request.uri_mut() = uri;
        }
        request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        request
    }

    /// Takes the head of an answer.
    ///
    /// # Errors
    /// A status that brings no body, redirects without an end, or one from https to http.
    pub fn handle_head(&mut self, status: StatusCode, headers: &HeaderMap) -> Result<DownloadStep, TransportError> {
        match (status.as_u16(), header_text(headers, "location")) {
            (200, _) => Ok(DownloadStep::Body),
            (301..=303 | 307 | 308, Some(to)) => {
                let from = self.visited.last().cloned().ok_or_else(|| TransportError::new(LookError::BadUrl, ""))?;
                self.go(&from, to)?;
                Ok(DownloadStep::Again)
            }
            (code, _) => Err(TransportError::new(LookError::Status(code), "")),
        }
    }

    fn go(&mut self, from: &Url, to: &str) -> Result<(), TransportError> {
        let wrong = |error: LookError| TransportError::new(error, "");
        let url = from.join(to).map_err(|_| wrong(LookError::BadUrl))?;
        let plain = url.username().is_empty() && url.password().is_none();
        if !matches!(url.scheme(), "http" | "https") || !plain || url.as_str().parse::<http::Uri>().is_err() {
            return Err(wrong(LookError::BadUrl));
        }
        if from.scheme() == "https" && url.scheme() == "http" {
            return Err(TransportError::new(LookError::ForeignOrigin, "from https to http".to_string()));
        }
        if self.visited.len() > MOST_REDIRECTS || self.visited.contains(&url) {
            return Err(wrong(LookError::RedirectLoop));
        }
        self.visited.push(url);
        Ok(())
    }
}

impl fmt::Debug for Download {
    /// Leaves out the queries, which may be signatures.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let visited: Vec<_> = self.visited.iter().map(|url| without_secrets(url.as_str())).collect();
        f.debug_struct("Download").field("visited", &visited).finish()
    }
}
