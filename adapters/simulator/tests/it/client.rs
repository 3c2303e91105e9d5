//! The smallest HTTP client: one connection, whole answers, errors as the socket gives them.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use jobwatch_simulator::{Ledger, Simulator};
use serde_json::Value;

/// Far longer than anything here takes: it turns a test that would hang into one that fails.
const SAFETY: Duration = Duration::from_secs(60);

pub(crate) struct Client(BufReader<TcpStream>);

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(key, _)| key == name);
        found.next().map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("the body is JSON")
    }

    /// Seconds and nanoseconds of a time header.
    pub(crate) fn time(&self, name: &str) -> Option<u64> {
        let (seconds, nanos) = self.header(name)?.split_once('.').expect("a decimal point");
        assert_eq!(nanos.len(), 9);
        let seconds: u64 = seconds.parse().expect("seconds");
        Some(seconds * 1_000_000_000 + nanos.parse::<u64>().expect("nanoseconds"))
    }
}

impl Client {
    pub(crate) fn new(simulator: &Simulator) -> Self {
        let stream = TcpStream::connect(simulator.address()).expect("the simulator accepts");
        stream.set_read_timeout(Some(SAFETY)).expect("a timeout can be set");
        Self(BufReader::new(stream))
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        self.0.get_ref()
    }

    pub(crate) fn send(&mut self, method: &str, path: &str, body: &str) -> io::Result<()> {
        self.send_with(method, path, &[], body)
    }

    pub(crate) fn send_with(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> io::Result<()> {
        let (host, length) = (self.stream().peer_addr()?, body.len());
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n");
        let more: Vec<String> = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        self.0.get_mut().write_all((head + &more.concat() + "\r\n" + body).as_bytes())
    }

    pub(crate) fn receive(&mut self) -> io::Result<Answer> {
        let first = self.line()?;
        let status = first.split(' ').nth(1).and_then(|code| code.parse().ok());
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(": ") else {
                break;
            };
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let mut answer = Answer { status: status.expect("a status line"), headers, body: String::new() };
        let length = answer.header("content-length").unwrap_or("0");
        let mut body = vec![0; length.parse().expect("a length")];
        self.0.read_exact(&mut body)?;
        answer.body = String::from_utf8(body).expect("the body is text");
        Ok(answer)
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }

    pub(crate) fn ask(&mut self, method: &str, path: &str) -> io::Result<Answer> {
        self.send(method, path, "")?;
        self.receive()
    }

    /// As [`ask`](Self::ask), with headers and a body.
    pub(crate) fn ask_with(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        self.send_with(method, path, headers, body).expect("a request");
        self.receive().expect("an answer")
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.ask("GET", path).expect("an answer")
    }

    pub(crate) fn create(&mut self) -> String {
        let answer = self.ask("POST", "/create_job").expect("an answer");
        assert_eq!(answer.status, 200);
        let id = answer.json()["job_id"].as_str().map(str::to_owned);
        id.expect("an id")
    }
}

/// Looks at the ledger until it shows what is waited for.
pub(crate) fn until(simulator: &Simulator, mut shown: impl FnMut(&Ledger) -> bool) -> Ledger {
    loop {
        let ledger = simulator.ledger();
        if shown(&ledger) {
            return ledger;
        }
        std::thread::yield_now();
    }
}
