//! A small HTTP/1.1 server that does what a script says, however wrong, and remembers what it was asked.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use socket2::{Domain, SockRef, Socket, Type};

use crate::answer::{Answer, Hold, Then};
use crate::driver::HANG_GUARD;

/// An endless answer ends here, lest a client that reads for ever takes the machine down before the story fails.
const MOST_REPEATED: u64 = 256 * 1024 * 1024;

/// What is sent at a time, and counted.
const LARGEST_PIECE: usize = 64 * 1024;

/// A server on loopback with one thread per connection. Dropping it closes every connection and joins every thread.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method, as in `GET`.
    pub method: String,
    /// Path and query, as they were sent.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// Which connection it came over, from 1.
    pub connection: usize,
    /// When it had arrived as a whole.
    pub at: Instant,
    /// When its answer was begun, if it was.
    pub answered_at: Option<Instant>,
}

/// What has happened at a server so far.
#[derive(Debug, Default)]
pub struct Log {
    /// Every request, in the order of arrival.
    pub requests: Vec<Request>,
    /// Connections accepted.
    pub connections: usize,
    /// Answers begun.
    pub answered: usize,
    /// The most requests that waited for their answers at the same time.
    pub most_at_once: usize,
    /// Bytes that endless answers took to make the client leave.
    pub repeated: u64,
    /// Bytes of all answers that were on their way before the client had left.
    pub sent: u64,
    /// Connections that are over, whoever ended them.
    pub closed: usize,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    scripts: HashMap<String, Script>,
    lock: Option<Lock>,
    log: Log,
    waiting: usize,
    open: HashMap<usize, TcpStream>,
    released: bool,
    stopping: bool,
}

/// What a request must carry, or else is answered.
#[derive(Debug)]
struct Lock {
    header: String,
    value: String,
    refusal: Answer,
}

#[derive(Debug)]
struct Script {
    answers: Vec<Answer>,
    given: usize,
}

impl Server {
    /// A server that knows no answer yet.
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared::default());
        let accepting = thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared)
        });
        Self { address, shared, accepting: Some(accepting) }
    }

    /// What to answer to requests for a path with its query, in order; the last answer is repeated for ever.
    pub fn on(&self, target: impl Into<String>, answers: impl IntoIterator<Item = Answer>) {
        let answers: Vec<_> = answers.into_iter().collect();
        assert!(!answers.is_empty(), "a script has at least one answer");
        self.shared.lock().scripts.insert(target.into(), Script { answers, given: 0 });
    }

    /// From now on, gives this answer to every request whose header of this name has another value, or none; the scripts
    /// do not move on for it.
    pub fn lock(&self, header: &str, value: &str, refusal: Answer) {
        let (header, value) = (header.to_owned(), value.to_owned());
        self.shared.lock().lock = Some(Lock { header, value, refusal });
    }

    /// The base URL, as in `http://127.0.0.1:34567`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Every request so far, in the order of arrival.
    pub fn requests(&self) -> Vec<Request> {
        self.log(|log| log.requests.clone())
    }

    /// The requests for this path with its query.
    pub fn requests_for(&self, target: &str) -> Vec<Request> {
        self.requests().into_iter().filter(|request| request.target == target).collect()
    }

    /// What every request asked for, in the order of arrival.
    pub fn targets(&self) -> Vec<String> {
        self.requests().into_iter().map(|request| request.target).collect()
    }

    /// Reads the log.
    pub fn log<T>(&self, read: impl FnOnce(&Log) -> T) -> T {
        read(&self.shared.lock().log)
    }

    /// Lets the answers go that wait for it.
    pub fn release(&self) {
        self.shared.lock().released = true;
        self.shared.changed.notify_all();
    }

    /// Blocks until the log shows what is waited for.
    pub fn wait_until(&self, shown: impl Fn(&Log) -> bool) {
        let state = self.shared.lock();
        let (_state, waited) = self
            .shared
            .changed
            .wait_timeout_while(state, HANG_GUARD, |state| !shown(&state.log))
            .unwrap_or_else(PoisonError::into_inner);
        assert!(!waited.timed_out(), "the server never saw what the story waits for");
    }
}

/// An address where nobody listens, and nobody else can, since the port is taken.
pub(crate) struct Refusing(Socket);

impl Refusing {
    pub(crate) fn bind() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket can be had");
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("loopback has a free port");
        Self(socket)
    }

    pub(crate) fn url(&self) -> String {
        let address = self.0.local_addr().expect("a bound socket has an address");
        format!("http://{}", address.as_socket().expect("it is an internet address"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        {
            let mut state = self.shared.lock();
            state.stopping = true;
            for stream in state.open.values() {
                // One that the client has closed needs no closing.
                let _ = stream.shutdown(std::net::Shutdown::Both);
            }
        }
        self.shared.changed.notify_all();
        // Wakes the accepting thread; where that fails, the listener is gone already.
        let _ = TcpStream::connect(self.address);
        let ended = self.accepting.take().map_or(Ok(()), JoinHandle::join);
        assert!(ended.is_ok() || thread::panicking(), "a thread of the server panicked");
    }
}

impl Request {
    /// A header's value; `None` where it is absent.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// When its answer was begun.
    pub fn answered_at(&self) -> Instant {
        self.answered_at.expect("the request was answered")
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a connection; `None` where the server is about to stop.
    fn open(&self, stream: &TcpStream) -> Option<usize> {
        let mut state = self.lock();
        if state.stopping {
            return None;
        }
        state.log.connections += 1;
        let number = state.log.connections;
        state.open.insert(number, stream.try_clone().expect("a socket can be duplicated"));
        Some(number)
    }

    /// Notes a request and finds its answer.
    fn take(&self, request: Request) -> (usize, Answer) {
        let mut state = self.lock();
        let locked = state.lock.as_ref().filter(|lock| request.header(&lock.header) != Some(&lock.value));
        let refusal = locked.map(|lock| lock.refusal.clone());
        let answer = match (refusal, state.scripts.get_mut(&request.target)) {
            (Some(refusal), _) => refusal,
            (None, Some(script)) => {
                let number = script.given.min(script.answers.len() - 1);
                script.given += 1;
                script.answers[number].clone()
            }
            (None, None) => Answer::status(400).body(format!("the story has no answer to {}", request.target)),
        };
        state.log.requests.push(request);
        state.waiting += 1;
        state.log.most_at_once = state.log.most_at_once.max(state.waiting);
        self.changed.notify_all();
        (state.log.requests.len() - 1, answer)
    }

    /// Waits until the answer may be given, and notes that it is.
    fn begin(&self, request: usize, hold: Option<Hold>) {
        let state = self.lock();
        let held = |state: &mut State| {
            let log = &state.log;
            !state.stopping
                && match hold {
                    None => false,
                    Some(Hold::Arrived(requests)) => log.requests.len() < requests,
                    Some(Hold::Answered(requests)) => log.answered < requests,
                    Some(Hold::Released) => !state.released,
                }
        };
        let mut state = self.changed.wait_while(state, held).unwrap_or_else(PoisonError::into_inner);
        state.waiting -= 1;
        state.log.answered += 1;
        state.log.requests[request].answered_at = Some(Instant::now());
        self.changed.notify_all();
    }

    /// Waits until the story lets the answers go, or the server ends.
    fn await_release(&self) {
        let state = self.lock();
        let waited = self.changed.wait_while(state, |state| !state.released && !state.stopping);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Lets time pass between two bytes; ends early with the server.
    fn pause(&self, time: Duration) {
        let state = self.lock();
        let waited = self.changed.wait_timeout_while(state, time, |state| !state.stopping);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut threads = Vec::new();
    for stream in listener.incoming() {
        let Ok(stream) = stream else { continue };
        let Some(number) = shared.open(&stream) else { break };
        let shared = Arc::clone(shared);
        threads.push(thread::spawn(move || serve(stream, number, &shared)));
    }
    for thread in threads {
        thread.join().expect("a connection's thread does not panic");
    }
}

/// Answers one connection's requests until it ends.
fn serve(stream: TcpStream, number: usize, shared: &Shared) {
    // Small answers should not wait for an acknowledgement; without the option they only come later.
    let _ = stream.set_nodelay(true);
    // What was sent is what the client took, but for little; without the option it is for more.
    let _ = SockRef::from(&stream).set_send_buffer_size(LARGEST_PIECE);
    let mut reader = BufReader::new(&stream);
    let mut end = Then::Close;
    while let Ok(Some(request)) = read_request(&mut reader, number) {
        let (request, answer) = shared.take(request);
        shared.begin(request, answer.hold);
        let whole = send(&stream, &answer, shared);
        if !whole || !matches!(answer.then, Then::KeepAlive) {
            end = answer.then;
            break;
        }
    }
    match end {
        Then::KeepAlive | Then::Close | Then::Reset => {}
        Then::Add(ref bytes) => {
            shared.await_release();
            // The client may have left.
            let added = (&stream).write_all(bytes).map_or(0, |()| bytes.len() as u64);
            shared.lock().log.sent += added;
            shared.changed.notify_all();
            let _ = io::copy(&mut reader, &mut io::sink());
        }
        Then::Hang => {
            // Until the client leaves, in whatever manner.
            let _ = io::copy(&mut reader, &mut io::sink());
        }
        Then::Repeat { ref bytes, pause } => repeat(&stream, bytes, pause, shared),
    }
    if matches!(end, Then::Reset) {
        SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("a socket can linger");
    }
    // The socket is closed when both copies of it are.
    shared.lock().open.remove(&number);
    drop(stream);
    shared.lock().log.closed += 1;
    shared.changed.notify_all();
}

/// Sends an answer piece by piece, and says whether the client took all of it.
fn send(mut stream: &TcpStream, answer: &Answer, shared: &Shared) -> bool {
    let (bytes, pace) = (answer.bytes(), answer.pace);
    let piece = if pace.is_zero() { LARGEST_PIECE } else { 1 };
    for piece in bytes.chunks(piece) {
        if stream.write_all(piece).is_err() {
            return false;
        }
        shared.lock().log.sent += piece.len() as u64;
        shared.changed.notify_all();
        if !pace.is_zero() {
            shared.pause(pace);
        }
    }
    true
}

fn repeat(mut stream: &TcpStream, bytes: &[u8], pause: Duration, shared: &Shared) {
    let mut repeated = 0;
    while repeated < MOST_REPEATED && stream.write_all(bytes).is_ok() {
        repeated += bytes.len() as u64;
        shared.lock().log.sent += bytes.len() as u64;
        shared.changed.notify_all();
        if !pause.is_zero() {
            shared.pause(pause);
        }
    }
    shared.lock().log.repeated += repeated;
    shared.changed.notify_all();
}

/// The next request; `None` where the client has left.
fn read_request(reader: &mut BufReader<&TcpStream>, connection: usize) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_ascii_whitespace().map(str::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let mut body = vec![0; length.map_or(0, |(_, length)| length.parse().expect("a length is a number"))];
    assert!(!headers.iter().any(|(name, _)| name == "transfer-encoding"), "this server reads no chunks");
    reader.read_exact(&mut body)?;
    Ok(Some(Request { method, target, headers, body, connection, at: Instant::now(), answered_at: None }))
}
