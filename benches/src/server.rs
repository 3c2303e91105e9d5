//! A backend that does as little as a backend can: what it costs is not what is measured.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::runtime;

use crate::{job_number, thread_cpu_time};

/// So many looks a job needs: the last of them tells its end, and then it starts anew.
pub const LOOKS: u32 = 5;

/// A server on a thread of its own, which ends with the process. It speaks the dialect `tracker`.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    thread: i32,
    looks: Arc<[AtomicU32]>,
}

impl Server {
    /// Starts to serve so many jobs, each request after it has thought about it for so long.
    pub fn start(jobs: usize, thought: Duration) -> Self {
        let looks: Arc<[_]> = (0..jobs).map(|_| AtomicU32::new(0)).collect();
        let (sender, started) = mpsc::channel();
        let served = Arc::clone(&looks);
        thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be had");
            runtime.block_on(async move {
                let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback has a free port");
                let address = listener.local_addr().expect("it is bound");
                let told = sender.send((address, rustix::thread::gettid().as_raw_nonzero().get()));
                told.expect("somebody waits for it");
                serve(listener, served, thought).await;
            });
        });
        let (address, thread) = started.recv().expect("the server starts");
        Self { address, thread, looks }
    }

    /// Its address, as in `http://127.0.0.1:5000`.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The time that it has spent on a processor.
    pub fn cpu_time(&self) -> Duration {
        thread_cpu_time(self.thread)
    }

    /// How often it was asked.
    pub fn looks(&self) -> u64 {
        self.looks.iter().map(|looks| u64::from(looks.load(Ordering::Relaxed))).sum()
    }
}

async fn serve(listener: TcpListener, looks: Arc<[AtomicU32]>, thought: Duration) {
    loop {
        let (stream, _) = listener.accept().await.expect("loopback accepts");
        stream.set_nodelay(true).expect("sockets have this option");
        let looks = Arc::clone(&looks);
        let service = service_fn(move |request| {
            let answer = answer(&looks, &request);
            async move {
                if !thought.is_zero() {
                    tokio::time::sleep(thought).await;
                }
                Ok::<_, Infallible>(answer)
            }
        });
        // A connection that breaks is the client's trouble.
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
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
