//! A connection whose breaking is always told.
//!
//! ureq takes a reset, and TLS that ends without its own farewell (RFC 8446 §6.1), for the end of a body whose length
//! nobody told: whoever can cut a connection could shorten a result, and the rest would pass for the whole.

use std::io;

use ureq::Error;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

/// Wraps each connection that the connectors before it have opened.
#[derive(Debug)]
pub(crate) struct Strict;

#[derive(Debug)]
pub(crate) struct StrictTransport<T>(T);

impl<T: Transport> Connector<T> for Strict {
    type Out = StrictTransport<T>;

    fn connect(&self, _: &ConnectionDetails<'_>, opened: Option<T>) -> Result<Option<Self::Out>, Error> {
        Ok(opened.map(StrictTransport))
    }
}

impl<T: Transport> Transport for StrictTransport<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.0.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.0.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.0.await_input(timeout).map_err(|error| match error {
            Error::Io(error) if is_break(error.kind()) => Error::Io(io::Error::other(error)),
            error => error,
        })
    }

    fn is_open(&mut self) -> bool {
        self.0.is_open()
    }

    fn is_tls(&self) -> bool {
        self.0.is_tls()
    }
}

/// What ureq would take for an end. An honest end is no error, but a read of nothing.
fn is_break(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(kind, UnexpectedEof | ConnectionAborted | ConnectionReset)
}
