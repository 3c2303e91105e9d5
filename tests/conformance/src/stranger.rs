//! A listener that need not speak HTTP, nor anything else.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

/// Does the same thing to every connection, and keeps what came over them. Dropping it closes all of them.
pub(crate) struct Stranger {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    heard: Mutex<Vec<u8>>,
    open: Mutex<Vec<TcpStream>>,
    stopping: Mutex<bool>,
}

/// What it does to a connection, from the first on.
#[derive(Clone)]
pub(crate) enum Manner {
    /// Closes it at once.
    Close,
    /// Resets it at once.
    Reset,
    /// Leaves it alone: reads nothing, says nothing.
    Ignore,
    /// Hears something, says these bytes, and closes.
    Say(Vec<u8>),
    /// Hears something, says these bytes, and keeps silent.
    SayAndHang(Vec<u8>),
    /// Hears something, and says these bytes until the other side leaves.
    Repeat(Vec<u8>),
    /// Says these bytes before it has heard anything, and keeps silent.
    Greet(Vec<u8>),
}

impl Stranger {
    pub(crate) fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared::default());
        let accepting = thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &manner, &shared)
        });
        Self { address, shared, accepting: Some(accepting) }
    }

    /// Its base URL under this scheme.
    pub(crate) fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.address)
    }

    /// Everything that came over all connections.
    pub(crate) fn heard(&self) -> Vec<u8> {
        lock(&self.shared.heard).clone()
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        *lock(&self.shared.stopping) = true;
        for stream in lock(&self.shared.open).drain(..) {
            // One that the client has closed needs no closing.
            let _ = stream.shutdown(Shutdown::Both);
        }
        // Wakes the accepting thread; where that fails, the listener is gone already.
        let _ = TcpStream::connect(self.address);
        let ended = self.accepting.take().map_or(Ok(()), JoinHandle::join);
        assert!(ended.is_ok() || thread::panicking(), "a thread of the stranger panicked");
    }
}

fn accept(listener: &TcpListener, manner: &Manner, shared: &Arc<Shared>) {
    let mut threads = Vec::new();
    for stream in listener.incoming() {
        let Ok(stream) = stream else { continue };
        if *lock(&shared.stopping) {
            break;
        }
        let (manner, shared) = (manner.clone(), Arc::clone(shared));
        lock(&shared.open).push(stream.try_clone().expect("a socket can be duplicated"));
        threads.push(thread::spawn(move || meet(stream, manner, &shared)));
    }
    for thread in threads {
        thread.join().expect("a connection's thread does not panic");
    }
}

fn meet(mut stream: TcpStream, manner: Manner, shared: &Shared) {
    match manner {
        Manner::Close => {}
        Manner::Reset => SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("a socket can linger"),
        // It is among the open ones, and stays there.
        Manner::Ignore => return,
        Manner::Say(bytes) => {
            hear(&mut stream, shared);
            // The other side may have left.
            let _ = stream.write_all(&bytes);
        }
        Manner::SayAndHang(bytes) => {
            hear(&mut stream, shared);
            let _ = stream.write_all(&bytes);
            while hear(&mut stream, shared) {}
        }
        Manner::Repeat(bytes) => {
            hear(&mut stream, shared);
            while stream.write_all(&bytes).is_ok() {}
        }
        Manner::Greet(bytes) => {
            let _ = stream.write_all(&bytes);
            while hear(&mut stream, shared) {}
        }
    }
    forget(&stream, shared);
}

/// Keeps a piece of what comes; tells whether there was any.
fn hear(stream: &mut TcpStream, shared: &Shared) -> bool {
    let mut piece = [0; 16 * 1024];
    let heard = stream.read(&mut piece).unwrap_or(0);
    lock(&shared.heard).extend_from_slice(&piece[..heard]);
    heard > 0
}

/// The socket is closed when both copies of it are.
fn forget(stream: &TcpStream, shared: &Shared) {
    let peer = stream.peer_addr().ok();
    lock(&shared.open).retain(|open| open.peer_addr().ok() != peer);
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An address where somebody listens who never accepts, and whose queue is full.
pub(crate) struct Deaf {
    listener: Socket,
    queue: Vec<Socket>,
}

impl Deaf {
    pub(crate) fn listen() -> Self {
        let socket = || Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket can be had");
        let listener = socket();
        listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("loopback has a free port");
        listener.listen(0).expect("a bound socket can listen");
        let address = listener.local_addr().expect("a bound socket has an address");
        let mut queue = Vec::new();
        loop {
            let next = socket();
            let queued = next.connect_timeout(&address, Duration::from_millis(200));
            if queued.is_err() {
                return Self { listener, queue };
            }
            queue.push(next);
            assert!(queue.len() < 1_000, "this system's queue has no end");
        }
    }

    pub(crate) fn url(&self) -> String {
        assert!(!self.queue.is_empty(), "who is in the queue stays there");
        let address = self.listener.local_addr().expect("a bound socket has an address");
        format!("http://{}", address.as_socket().expect("it is an internet address"))
    }
}
