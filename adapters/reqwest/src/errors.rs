//! What reqwest says went wrong.

use std::error::Error as StdError;
use std::io;

use http::uri::Authority;
use jobwatch::{LookError, TransportError};

/// The most of the client's own words that is kept, in characters.
const LONGEST_MESSAGE: usize = 300;

/// The client's error in the terms of the core.
#[allow(clippy::needless_pass_by_value)] // for map_err
pub(crate) fn translate(error: reqwest::Error) -> TransportError {
    let look_error = classify(&error);
    let message = match look_error {
        // Anything said of an address might repeat it.
        LookError::BadUrl => String::new(),
        _ => words(&error),
    };
    let server = error.url().and_then(|url| Authority::try_from(url.authority()).ok());
    TransportError::new(look_error, message).at(server.as_ref())
}

fn classify(error: &reqwest::Error) -> LookError {
    let io = io_errors(error);
    if error.is_builder() {
        LookError::BadUrl
    } else if error.is_timeout() {
        LookError::Expired
    } else if io.iter().any(|error| is_about_certificate(error)) {
        LookError::Tls
    } else if error.is_connect() && !io.iter().any(|error| is_break(error)) {
        LookError::Unreachable
    } else {
        LookError::Disconnected
    }
}

/// The I/O errors behind an error. One that wraps another hides it from `source`, which tells the cause of the wrapped.
fn io_errors(error: &reqwest::Error) -> Vec<&io::Error> {
    let mut found = Vec::new();
    for error in causes(error) {
        let mut next = error.downcast_ref::<io::Error>();
        while let Some(error) = next {
            found.push(error);
            next = error.get_ref().and_then(|inner| inner.downcast_ref());
        }
    }
    found
}

/// Asking again does not cure a certificate; every other trouble of a handshake may pass.
fn is_about_certificate(error: &io::Error) -> bool {
    let error = error.get_ref().and_then(|inner| inner.downcast_ref());
    matches!(error, Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented))
}

/// Somebody was there, and left or spoke nonsense during a handshake.
fn is_break(error: &io::Error) -> bool {
    let kind = error.kind();
    let broken = matches!(
        kind,
        io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof
    );
    broken || error.get_ref().is_some_and(<dyn StdError + Send + Sync>::is::<rustls::Error>)
}

/// The connection was there and broke before there was an answer. hyper does not tell whether a part of its head had come.
pub(crate) fn is_break_before_the_answer(error: &reqwest::Error) -> bool {
    let is_cut = |cause: &(dyn StdError + 'static)| {
        cause.downcast_ref::<hyper::Error>().is_some_and(|error| error.is_incomplete_message() || error.is_closed())
    };
    !error.is_connect()
        && !error.is_timeout()
        && (causes(error).any(is_cut) || io_errors(error).iter().any(|error| is_break(error)))
}

/// What the client says of an error: no address, and of the chain of causes only what tells something.
pub(crate) fn words(error: &reqwest::Error) -> String {
    let mut words = String::new();
    for cause in causes(error) {
        let cause = cause.to_string();
        if cause.starts_with("client error (") || words.contains(&cause) {
            continue;
        }
        if !words.is_empty() {
            words.push_str(": ");
        }
        words.push_str(&cause);
    }
    words.chars().take(LONGEST_MESSAGE).collect()
}

/// The causes behind an error, without the error itself: reqwest's own words may hold the address.
pub(crate) fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    std::iter::successors(error.source(), |&error| error.source())
}
