//! What the server says, and how it fails to.

use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

/// One answer of a script.
#[derive(Clone, Debug)]
#[must_use]
pub struct Answer {
    content: Content,
    pub(crate) then: Then,
    pub(crate) hold: Option<Hold>,
    /// From one byte to the next; none sends all at once.
    pub(crate) pace: Duration,
}

#[derive(Clone, Debug)]
enum Content {
    /// A whole answer, whose length is told.
    Whole { status: u16, headers: Vec<(String, String)>, body: Vec<u8> },
    /// These bytes and no others.
    Raw(Vec<u8>),
}

/// What becomes of the connection afterwards.
#[derive(Clone, Debug)]
pub(crate) enum Then {
    KeepAlive,
    Close,
    /// RST instead of FIN.
    Reset,
    /// Silence, until the client leaves.
    Hang,
    /// These bytes, once the story says so, and then silence until the client leaves.
    Add(Vec<u8>),
    /// These bytes over and over, until the client leaves.
    Repeat {
        bytes: Vec<u8>,
        pause: Duration,
    },
}

/// What the answer waits for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Hold {
    /// So many requests have arrived in all, this one included.
    Arrived(usize),
    /// So many requests have been answered.
    Answered(usize),
    /// The story says so.
    Released,
}

impl Answer {
    /// A whole answer without a body.
    pub fn status(status: u16) -> Self {
        Self::of(Content::Whole { status, headers: Vec::new(), body: Vec::new() }, Then::KeepAlive)
    }

    /// A whole answer with JSON.
    pub fn json(status: u16, body: impl Into<String>) -> Self {
        Self::status(status).header("content-type", "application/json").body(body.into())
    }

    /// Exactly these bytes; then the connection is closed.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self::of(Content::Raw(bytes.into()), Then::Close)
    }

    /// No byte; then the connection is reset.
    pub fn reset() -> Self {
        Self::raw("").then(Then::Reset)
    }

    /// No byte, and the connection stays open until the client leaves.
    pub fn hang() -> Self {
        Self::raw("").then(Then::Hang)
    }

    /// These bytes, and then others over and over with a pause after each time, until the client leaves.
    pub fn endless(head: impl Into<Vec<u8>>, repeated: impl Into<Vec<u8>>, pause: Duration) -> Self {
        Self::raw(head).then(Then::Repeat { bytes: repeated.into(), pause })
    }

    /// Adds a header to a whole answer.
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        if let Content::Whole { headers, .. } = &mut self.content {
            headers.push((name.to_owned(), value.into()));
        }
        self
    }

    /// Sets the body of a whole answer.
    pub fn body(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        if let Content::Whole { body, .. } = &mut self.content {
            *body = bytes.into();
        }
        self
    }

    /// Compresses the body of a whole answer.
    pub fn gzipped(mut self) -> Self {
        if let Content::Whole { body, .. } = &mut self.content {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(body).expect("memory can be written to");
            *body = encoder.finish().expect("memory can be written to");
        }
        self.header("content-encoding", "gzip")
    }

    /// Sends one byte at a time, with a pause after each.
    pub fn dripped(self, pace: Duration) -> Self {
        Self { pace, ..self }
    }

    /// Keeps the connection open for another request, whatever the bytes said.
    pub fn then_keep_open(self) -> Self {
        self.then(Then::KeepAlive)
    }

    /// Keeps the connection open until the client leaves, and says nothing more.
    pub fn then_hang(self) -> Self {
        self.then(Then::Hang)
    }

    /// Keeps the connection open afterwards, and says these bytes too when the story says so, by
    /// [`Server::release`](crate::Server::release).
    pub fn then_add(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.then(Then::Add(bytes.into()))
    }

    /// Closes the connection afterwards, without having said so.
    pub fn then_close(self) -> Self {
        self.then(Then::Close)
    }

    /// Resets the connection afterwards.
    pub fn then_reset(self) -> Self {
        self.then(Then::Reset)
    }

    /// Is given when so many requests have arrived at the server in all, this one included.
    pub fn held_until_arrived(self, requests: usize) -> Self {
        Self { hold: Some(Hold::Arrived(requests)), ..self }
    }

    /// Is given when the server has answered so many requests in all.
    pub fn held_until_answered(self, requests: usize) -> Self {
        Self { hold: Some(Hold::Answered(requests)), ..self }
    }

    /// Is given when the story says so, by [`Server::release`](crate::Server::release).
    pub fn held_until_released(self) -> Self {
        Self { hold: Some(Hold::Released), ..self }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let (status, headers, body) = match &self.content {
            Content::Raw(bytes) => return bytes.clone(),
            Content::Whole { status, headers, body } => (status, headers, body),
        };
        let mut head = format!("HTTP/1.1 {status} Scripted\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        head.push_str("\r\n");
        [head.as_bytes(), body].concat()
    }

    fn of(content: Content, then: Then) -> Self {
        Self { content, then, hold: None, pace: Duration::ZERO }
    }

    fn then(self, then: Then) -> Self {
        Self { then, ..self }
    }
}
