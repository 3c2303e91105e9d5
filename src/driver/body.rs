//! Bodies as they come, decoded and bounded; for those who write a driver.
//!
//! HTTP clients decode on their own, but not alike: some stop at the first of several members (RFC 1952 §2.2), take an
//! empty body for a broken one, or bound only what comes out, so that an answer of which nothing comes is read for as long
//! as its attempt lasts. Here every driver reads the same.

use core::fmt;
use std::boxed::Box;
use std::io::{self, Write};
use std::string::ToString;

use flate2::write::MultiGzDecoder;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;

use crate::{LookError, TransportError};

/// The encodings that are decoded, for `Accept-Encoding`.
pub const ENCODINGS: &str = "gzip";

/// The body of an answer on its way into a sink.
///
/// ```
/// use http::HeaderMap;
/// use jobwatch::driver::body::Body;
///
/// let mut bytes = Vec::new();
/// let mut body = Body::new(&HeaderMap::new(), &mut bytes, 16);
/// body.take(b"{}")?;
/// body.finish()?;
/// assert_eq!(bytes, b"{}");
/// # Ok::<(), jobwatch::TransportError>(())
/// ```
#[must_use = "a body that is not finished may be cut off"]
pub struct Body<W: Write> {
    decoder: Decoder<W>,
    received: u64,
    limit: u64,
}

enum Decoder<W: Write> {
    None(Outlet<W>),
    Gzip(Box<MultiGzDecoder<Outlet<W>>>),
}

/// Where decoded bytes go, and what went wrong there: a decoder does not tell its own errors from those of its sink.
struct Outlet<W> {
    sink: W,
    written: u64,
    limit: u64,
    failed: Option<TransportError>,
}

impl<W: Write> Body<W> {
    /// The body of an answer with these headers. No more than `limit` bytes may come of it, nor many more be received;
    /// nothing is allocated ahead for them.
    pub fn new(headers: &HeaderMap, sink: W, limit: u64) -> Self {
        let outlet = Outlet { sink, written: 0, limit, failed: None };
        let mut encodings = headers.get_all(CONTENT_ENCODING).iter();
        let is_gzip = encodings.next().is_some_and(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"gzip"));
        // Encoded twice is not what was asked for, and left as it is.
        let decoder = if is_gzip && encodings.next().is_none() {
            Decoder::Gzip(Box::new(MultiGzDecoder::new(outlet)))
        } else {
            Decoder::None(outlet)
        };
        Self { decoder, received: 0, limit }
    }

    /// Takes the next piece, as it came from the connection.
    ///
    /// # Errors
    /// The body is larger than the limit, or not in the encoding that its headers tell, or the sink fails. Then there is
    /// no use in going on.
    pub fn take(&mut self, piece: &[u8]) -> Result<(), TransportError> {
        self.received += piece.len() as u64;
        match &mut self.decoder {
            Decoder::None(outlet) => outlet.write_all(piece).map_err(|error| outlet.blame(&error)),
            Decoder::Gzip(_) if self.received > most_encoded(self.limit) => Err(too_large(self.limit)),
            Decoder::Gzip(decoder) => decoder.write_all(piece).map_err(|error| decoder.get_mut().blame(&error)),
        }
    }

    /// The connection says that the body is whole; how many decoded bytes the sink was given.
    ///
    /// # Errors
    /// The encoding ends in the middle, or its checksum is wrong.
    pub fn finish(self) -> Result<u64, TransportError> {
        match self.decoder {
            Decoder::None(outlet) => Ok(outlet.written),
            // No body has no encoding, whatever a header says.
            Decoder::Gzip(_) if self.received == 0 => Ok(0),
            Decoder::Gzip(mut decoder) => {
                decoder.try_finish().map_err(|error| decoder.get_mut().blame(&error))?;
                Ok(decoder.get_ref().written)
            }
        }
    }
}

impl<W: Write> fmt::Debug for Body<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("received", &self.received).field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl<W> Outlet<W> {
    /// Whose error it was: the sink's, the limit's, or else the encoding's.
    fn blame(&mut self, error: &io::Error) -> TransportError {
        self.failed.take().unwrap_or_else(|| TransportError::new(LookError::Malformed, error.to_string()))
    }
}

impl<W: Write> Write for Outlet<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.written + bytes.len() as u64;
        let failed = if written > self.limit {
            too_large(self.limit)
        } else if let Err(error) = self.sink.write_all(bytes) {
            TransportError::new(LookError::Sink, error.to_string())
        } else {
            self.written = written;
            return Ok(bytes.len());
        };
        self.failed = Some(failed);
        Err(io::Error::other("the sink takes no more"))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What cannot be compressed grows a little (RFC 1951 §3.2.4), and each member has a header with room for names.
fn most_encoded(limit: u64) -> u64 {
    limit.saturating_add(limit / 8).saturating_add(64 * 1024)
}

fn too_large(limit: u64) -> TransportError {
    let message = std::format!("its body has more than {limit} bytes; raise max_body (--max-body) to accept it");
    TransportError::new(LookError::TooLarge, message)
}
