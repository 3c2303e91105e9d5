//! A connection whose breaking is always told, and for what it is.
//!
//! ureq takes a reset, and TLS that ends without its own farewell (RFC 8446 §6.1), for the end of a body whose length
//! nobody told: whoever can cut a connection could shorten a result, and the rest would pass for the whole.
//!
//! And it does not tell a connection that broke while it lay idle from any other, since it cannot know: a server may close
//! one at any time, also at the moment when the next request is on its way.

use std::{fmt, io};

use ureq::Error;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

/// Wraps each connection that the connectors before it have opened.
#[derive(Debug)]
pub(crate) struct Strict;

#[derive(Debug)]
pub(crate) struct StrictTransport<T> {
    inner: T,
    phase: Phase,
}

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Its first request is under way, or none was sent.
    First,
    /// An answer has come, or a part of one.
    Answered,
    /// It is back in the pool.
    Idle,
    /// A further request is under way, and nothing has come yet.
    Again,
}

/// The connection was closed while it lay idle, or before it brought anything in answer to a further request.
#[derive(Debug)]
pub(crate) struct ClosedIdle;

impl fmt::Display for ClosedIdle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server closed an idle connection when it was used again")
    }
}

impl std::error::Error for ClosedIdle {}

impl ClosedIdle {
    /// Whether it is this that went wrong.
    pub(crate) fn is(error: &Error) -> bool {
        matches!(error, Error::Other(error) if error.is::<Self>())
    }

    fn error() -> Error {
        Error::Other(Box::new(Self))
    }
}

impl<T: Transport> Connector<T> for Strict {
    type Out = StrictTransport<T>;

    fn connect(&self, _: &ConnectionDetails<'_>, opened: Option<T>) -> Result<Option<Self::Out>, Error> {
        Ok(opened.map(|inner| StrictTransport { inner, phase: Phase::First }))
    }
}

impl<T: Transport> Transport for StrictTransport<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        if self.phase == Phase::Idle {
            self.phase = Phase::Again;
        }
        self.inner.transmit_output(amount, timeout).map_err(|error| match error {
            Error::Io(error) if self.phase == Phase::Again && is_break(error.kind()) => ClosedIdle::error(),
            error => error,
        })
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let again = self.phase == Phase::Again;
        match self.inner.await_input(timeout) {
            Ok(false) if again => Err(ClosedIdle::error()),
            Ok(came) => {
                self.phase = Phase::Answered;
                Ok(came)
            }
            Err(Error::Io(error)) if is_break(error.kind()) => {
                Err(if again { ClosedIdle::error() } else { Error::Io(io::Error::other(error)) })
            }
            Err(error) => Err(error),
        }
    }

    /// ureq asks before it puts a connection into its pool, and again when it takes it out. Only the second time counts,
    /// and each time takes three calls to the system.
    fn is_open(&mut self) -> bool {
        if self.phase == Phase::Answered {
            self.phase = Phase::Idle;
            return true;
        }
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}

/// What ureq would take for an end. An honest end is no error, but a read of nothing.
fn is_break(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(kind, UnexpectedEof | ConnectionAborted | ConnectionReset | BrokenPipe)
}
