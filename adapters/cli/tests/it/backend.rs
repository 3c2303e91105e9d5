//! A backend of a few lines that answers as a test says, and remembers what it was asked.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use jobwatch_simulator::{Durations, Simulator, SimulatorBuilder};

use crate::program::eventually;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    /// How many requests came before it.
    pub(crate) earlier: usize,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The last segment of the path.
    pub(crate) fn id(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

/// What becomes of a request.
pub(crate) enum Answer {
    Says {
        status: u16,
        headers: String,
        body: String,
    },
    Leaves,
    Hangs,
    /// Sends this, promises more, and leaves.
    Breaks(String),
    /// Sends this, promises more, and hangs.
    Stalls(String),
}

/// 200 with this body.
pub(crate) fn json(body: impl Into<String>) -> Answer {
    Answer::Says { status: 200, headers: "content-type: application/json\r\n".to_owned(), body: body.into() }
}

/// The tracker's answer to a look.
pub(crate) fn state(word: &str) -> Answer {
    json(format!(r#"{{"result":"{word}"}}"#))
}

/// The tracker's answer to a create.
pub(crate) fn created(id: impl std::fmt::Display) -> Answer {
    json(format!(r#"{{"job_id":"{id}"}}"#))
}

/// An answer of this status.
pub(crate) fn code(status: u16) -> Answer {
    with_header(status, "")
}

/// An answer of this status with a header line.
pub(crate) fn with_header(status: u16, line: &str) -> Answer {
    let headers = if line.is_empty() { String::new() } else { format!("{line}\r\n") };
    Answer::Says { status, headers, body: "{}".to_owned() }
}

/// A server with one thread per connection.
pub(crate) struct Backend {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    closing: Arc<AtomicBool>,
}

impl Backend {
    pub(crate) fn start(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let backend = Self { address, asked: Arc::default(), closing: Arc::default() };
        let (asked, closing, answer) = (Arc::clone(&backend.asked), Arc::clone(&backend.closing), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if closing.load(Ordering::SeqCst) {
                    return;
                }
                let (Ok(stream), asked, answer) = (stream, Arc::clone(&asked), Arc::clone(&answer)) else { continue };
                // Whatever ends a connection, the program has to cope with it; the test looks at the program.
                thread::spawn(move || serve(&stream, &asked, &*answer));
            }
        });
        backend
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every request so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        lock(&self.asked).clone()
    }

    /// Waits for so many requests.
    pub(crate) fn wait_for(&self, requests: usize) {
        eventually("requests at the backend", || lock(&self.asked).len() >= requests);
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(stream: &TcpStream, log: &Mutex<Vec<Asked>>, answer: &dyn Fn(&Asked) -> Answer) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    while let Some(mut asked) = read(&mut reader)? {
        {
            let mut log = lock(log);
            asked.earlier = log.len();
            log.push(asked.clone());
        }
        match answer(&asked) {
            Answer::Leaves => return Ok(()),
            // Until the client leaves.
            Answer::Hangs => return reader.read_to_end(&mut Vec::new()).map(drop),
            Answer::Breaks(body) => return half(stream, &body),
            Answer::Stalls(body) => {
                half(stream, &body)?;
                return reader.read_to_end(&mut Vec::new()).map(drop);
            }
            Answer::Says { status, headers, body } => {
                let length = body.len();
                // In one piece: the end of an answer must not wait for somebody to acknowledge its beginning.
                let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n{headers}\r\n{body}");
                (&*stream).write_all(answer.as_bytes())?;
            }
        }
    }
    Ok(())
}

fn half(mut stream: &TcpStream, body: &str) -> io::Result<()> {
    let length = body.len() + 100;
    stream.write_all(format!("HTTP/1.1 200 X\r\ncontent-length: {length}\r\n\r\n{body}").as_bytes())
}

fn read(reader: &mut impl BufRead) -> io::Result<Option<Asked>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut asked = Asked { method, path, headers: Vec::new(), body: String::new(), earlier: 0 };
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => asked.headers.push((name.to_ascii_lowercase(), value.trim().to_owned())),
            None => break,
        }
    }
    let length = asked.header("content-length").and_then(|length| length.parse().ok()).unwrap_or_default();
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    asked.body = String::from_utf8_lossy(&body).into_owned();
    Ok(Some(asked))
}

/// An address where nobody listens, and nobody else can as long as this lives, since a connection has its port.
pub(crate) struct Nobody {
    address: SocketAddr,
    _taken: [TcpStream; 2],
}

impl Nobody {
    pub(crate) fn listens() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let near = TcpStream::connect(listener.local_addr().expect("an address")).expect("loopback connects");
        let (far, address) = listener.accept().expect("somebody connects");
        Self { address, _taken: [near, far] }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// The simulator with jobs that take this long, all of which succeed.
pub(crate) fn simulator(durations: &str) -> SimulatorBuilder {
    Simulator::builder().durations(Durations::parse(durations).expect("durations")).fail_rate(0.0)
}
