//! Sockets: accepting, serving, resetting and hanging.

use std::error::Error;
use std::fmt;
use std::future::{pending, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::HOST;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::answer::{Answer, Reply};
use crate::api::wrong_method;
use crate::asked::Asked;
use crate::world::{Link, World};

/// Pause after a failed accept: usually the process is out of descriptors, and they come back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What is kept of a body; no create that makes sense is longer.
const LONGEST_BODY: usize = 1 << 20;

type Answered = Result<Response<Full<Bytes>>, Abort>;

/// Ends a connection in place of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Abort {
    Reset,
    Close,
}

impl fmt::Display for Abort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "simulated fault: {self:?}")
    }
}

impl Error for Abort {}

/// Serves until told to stop, or until nobody is left who could tell. What it spawned ends with the
/// runtime.
pub(crate) async fn run(listener: TcpListener, world: Arc<World>, mut stop: watch::Receiver<bool>) {
    tokio::spawn(accept(listener, world));
    // An error means that every handle is gone, which is as good as being told.
    let _ = stop.wait_for(|stopped| *stopped).await;
}

async fn accept(listener: TcpListener, world: Arc<World>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(serve(stream, Arc::clone(&world)));
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn serve(stream: TcpStream, world: Arc<World>) {
    // Small answers should not wait for an acknowledgement; without the option they only come later.
    let _ = stream.set_nodelay(true);
    let link = Arc::new(Link::open(world, stream.local_addr().ok()));
    let service = service_fn(|request| {
        let answered: Pin<Box<dyn Future<Output = Answered> + Send>> = Box::pin(handle(Arc::clone(&link), request));
        answered
    });
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // Without shutdown, so that a reset does not have a FIN sent before it.
    let ended = poll_fn(|cx| connection.poll_without_shutdown(cx)).await;
    let stream = connection.into_parts().io.into_inner();
    let abort = ended.err().and_then(|error| error.source().and_then(|source| source.downcast_ref::<Abort>()).copied());
    if abort == Some(Abort::Reset) {
        // With a linger of zero, closing sends RST. Should it fail, the client sees a close instead.
        let _ = stream.set_zero_linger();
    }
    drop(stream);
}

async fn handle(link: Arc<Link>, request: Request<Incoming>) -> Answered {
    let (head, mut body) = request.into_parts();
    let mut kept = Vec::new();
    // Read to its end, however long, so that the connection can be reused.
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return Err(Abort::Close);
        };
        if let Ok(data) = frame.into_data() {
            let room = LONGEST_BODY - kept.len();
            kept.extend_from_slice(&data[..data.len().min(room)]);
        }
    }
    let asked = Asked {
        method: &head.method,
        path: head.uri.path(),
        query: head.uri.query().unwrap_or_default(),
        headers: &head.headers,
        body: &kept,
        base: base(&head.headers, link.local()),
    };
    let answer = match asked.path {
        "/_health" | "/_ledger" if head.method != Method::GET => wrong_method("GET"),
        "/_health" => Answer::json(200, r#"{"status":"ok"}"#),
        "/_ledger" => ledger(Arc::clone(link.world())).await,
        _ => match link.world().answer(&link, &asked) {
            Reply::Answer(answer) => answer,
            Reply::Reset => return Err(Abort::Reset),
            Reply::Close => return Err(Abort::Close),
            Reply::Hang => pending().await,
        },
    };
    Ok(answer.into_response())
}

/// The origin that a client used: as it named the host, so that it sees its own origin again.
fn base(headers: &HeaderMap, local: Option<SocketAddr>) -> String {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).filter(|host| !host.is_empty());
    match (host, local) {
        (Some(host), _) => format!("http://{host}"),
        (None, Some(local)) => format!("http://{local}"),
        (None, None) => String::new(),
    }
}

/// A full ledger is a long text: made beside the loop that serves everybody else.
async fn ledger(world: Arc<World>) -> Answer {
    let text = tokio::task::spawn_blocking(move || serde_json::to_string(&world.ledger())).await;
    match text {
        Ok(Ok(text)) => Answer::json(200, text),
        _ => Answer::json(500, r#"{"error":"the ledger cannot be written"}"#),
    }
}
