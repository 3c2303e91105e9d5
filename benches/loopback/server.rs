//! A backend that does as little as a backend can, in a process of its own: what it costs is not what is measured.

use std::convert::Infallible;
use std::io::{BufRead, Write, stdin, stdout};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use jobwatch_benches::job_number;
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime;

use crate::child::Child;

/// So many looks a job needs: the last of them tells its end, and then it starts anew.
pub(crate) const LOOKS: u32 = 5;

/// Connections come by the thousand when a client starts.
const BACKLOG: u32 = 16_384;

/// More requests than these are never in flight.
const MOST_STREAMS: u32 = 100_000;

/// A server that runs as long as this is kept. It speaks the dialect `tracker`, over HTTP/1.1 and HTTP/2 alike.
pub(crate) struct Server {
    child: Child,
    port: u16,
}

impl Server {
    /// Starts to serve so many jobs.
    pub(crate) fn start(jobs: usize) -> Self {
        let mut child = Child::start(&["serve", &jobs.to_string()]);
        let port = child.hear().parse().expect("a server tells its port");
        Self { child, port }
    }

    /// As in `127.0.0.1:5000`.
    pub(crate) fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// How often it was asked.
    pub(crate) fn looks(&mut self) -> u64 {
        self.child.ask("looks").parse().expect("a server tells a number")
    }
}

/// What the server's process does, until nobody listens to it any more.
pub(crate) fn serve(jobs: usize) {
    let looks: Arc<[_]> = (0..jobs).map(|_| AtomicU32::new(0)).collect();
    let served = Arc::clone(&looks);
    thread::spawn(move || {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be had");
        runtime.block_on(accept(served));
    });
    for line in stdin().lock().lines() {
        line.expect("lines come in UTF-8");
        let asked: u64 = looks.iter().map(|looks| u64::from(looks.load(Ordering::Relaxed))).sum();
        println!("{asked}");
    }
}

async fn accept(looks: Arc<[AtomicU32]>) {
    let listener = listen().expect("loopback has a free port");
    println!("{}", listener.local_addr().expect("it is bound").port());
    stdout().flush().expect("somebody waits for it");
    loop {
        let (stream, _) = listener.accept().await.expect("loopback accepts");
        stream.set_nodelay(true).expect("sockets have this option");
        let looks = Arc::clone(&looks);
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let answer = answer(&looks, &request);
                async move { Ok::<_, Infallible>(answer) }
            });
            let mut server = auto::Builder::new(TokioExecutor::new());
            server.http2().max_concurrent_streams(MOST_STREAMS);
            // A connection that breaks is the client's trouble.
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

fn listen() -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.bind("127.0.0.1:0".parse().expect("it is an address"))?;
    socket.listen(BACKLOG)
}

fn answer(looks: &[AtomicU32], request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let asked = job_number(request.uri().path()).and_then(|number| looks.get(number));
    let body = match asked.map(|looks| (looks.fetch_add(1, Ordering::Relaxed) + 1) % LOOKS) {
        Some(0) => r#"{"result":"completed"}"#,
        Some(_) => r#"{"result":"pending"}"#,
        None => r#"{"result":"Job ID not found"}"#,
    };
    let mut response = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
