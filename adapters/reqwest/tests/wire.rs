//! What goes over the wire, what becomes of answers that are none, and what is said about it: against servers of a few
//! lines.

#![allow(clippy::unwrap_used)] // in shared functions too

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use jobwatch::LookError;
use jobwatch_reqwest::{Client, ClientBuilder, Dialect, Finished, JobRef, Outcome, Policy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

const DONE: &[u8] = b"{\"result\":\"completed\"}";

#[tokio::test]
async fn requests_are_plain_and_carry_what_they_must() {
    let (url, mut heads) = serve(answer("", b"{\"job_id\":\"job-12\"}")).await;
    let client = Client::builder(Dialect::tracker()).base_url(url).header("x-api-key", "sesame").build().unwrap();

    client.create(&()).await.unwrap();
    let head = heads.recv().await.unwrap();
    assert!(head.starts_with("POST /create_job HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("\r\ncontent-length: 0\r\n"), "{head}");
    assert!(!head.contains("content-type"), "{head}");

    client.create(&[1, 2]).await.unwrap();
    let head = heads.recv().await.unwrap();
    assert!(head.contains("\r\ncontent-length: 5\r\n"), "{head}");
    assert!(head.contains("\r\ncontent-type: application/json\r\n"), "{head}");

    client.status(&JobRef::new("a b/..?#").unwrap()).await;
    let head = heads.recv().await.unwrap();
    assert!(head.starts_with("GET /status/a%20b%2F..%3F%23 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains(concat!("\r\nuser-agent: jobwatch/", env!("CARGO_PKG_VERSION"), "\r\n")), "{head}");
    assert!(head.contains("\r\nx-api-key: sesame\r\n"), "{head}");
    assert!(head.contains("\r\naccept-encoding: gzip\r\n"), "{head}");
    assert!(!head.contains("content-length") && !head.contains("referer") && !head.contains("cookie"), "{head}");
}

#[tokio::test]
async fn what_is_no_answer_is_told_for_what_it_is() {
    let zipped = gzip(DONE);
    let mut wrong = zipped.clone();
    let checksum = wrong.len() - 6;
    wrong[checksum] ^= 1;
    let cut = &zipped[..zipped.len() - 12];
    let zip = "content-encoding: gzip\r\n";
    let endless = "HTTP/1.1 200 OK\r\ncontent-length: 9223372036854775807\r\n\r\n{}";
    let table = [
        ("nothing", Vec::new(), LookError::Disconnected),
        ("half a head", b"HTTP/1.1 200 OK\r\nContent-".to_vec(), LookError::Disconnected),
        ("half a body", b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{}".to_vec(), LookError::Disconnected),
        ("a body of which most is promised", endless.as_bytes().to_vec(), LookError::Disconnected),
        (
            "half a chunk",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n10\r\n{}".to_vec(),
            LookError::Disconnected,
        ),
        ("another protocol", b"SSH-2.0-server\r\n\r\n".to_vec(), LookError::Disconnected),
        ("no gzip", answer(zip, b"{\"result\":\"completed\"}"), LookError::Malformed),
        ("half a gzip", answer(zip, cut), LookError::Malformed),
        ("a gzip with a wrong checksum", answer(zip, &wrong), LookError::Malformed),
        ("no JSON", answer("", b"<html>"), LookError::Malformed),
    ];
    for (what, bytes, expected) in table {
        let (url, mut heads) = serve(bytes).await;
        let finished = ask(&url, |client| client).await;
        assert_eq!(finished.last_error, Some(expected), "{what}: {:?}", finished.error);
        assert_eq!(finished.requests, 1, "{what}");
        heads.recv().await.unwrap();
        assert!(heads.try_recv().is_err(), "{what}: nothing is repeated in secret");
    }
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_unreachable() {
    // Bound and not listening: nobody else can take it meanwhile.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let finished = ask(&format!("http://{}", socket.local_addr().unwrap()), |client| client).await;
    assert_eq!((finished.outcome, finished.last_error), (Outcome::GaveUp, Some(LookError::Unreachable)));
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_ends_the_wait() {
    let finished = ask(&serve_tls().await, |client| client).await;
    assert_eq!((finished.outcome, finished.last_error), (Outcome::Rejected, Some(LookError::Tls)));
}

#[tokio::test]
async fn a_handshake_that_breaks_off_may_work_next_time() {
    for bytes in [&b""[..], b"HTTP/1.1 400 Bad Request\r\n\r\n"] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 16 * 1024]).await;
            let _ = stream.write_all(bytes).await;
        });
        let finished = ask(&url, |client| client).await;
        assert_eq!((finished.outcome, finished.last_error), (Outcome::GaveUp, Some(LookError::Disconnected)));
    }
}

#[tokio::test]
async fn the_transport_follows_no_redirect() {
    let (foreign, mut foreign_heads) = serve(answer("", DONE)).await;
    let redirect = format!("HTTP/1.1 302 Found\r\nlocation: {foreign}/x\r\ncontent-length: 0\r\n\r\n").into_bytes();
    let (url, _heads) = serve(redirect).await;
    let finished = ask(&url, |client| client.header("x-api-key", "sesame")).await;
    assert_eq!(finished.last_error, Some(LookError::ForeignOrigin));
    assert!(foreign_heads.try_recv().is_err());

    let finished = ask(&url, |client| client.allow_origin(&foreign)).await;
    assert_eq!(finished.outcome, Outcome::Succeeded);
    assert!(foreign_heads.recv().await.unwrap().starts_with("GET /x HTTP/1.1\r\n"));
}

#[tokio::test]
async fn the_decoded_body_is_capped() {
    let (url, _heads) = serve(answer("", DONE)).await;
    let limit = DONE.len() as u64;
    assert_eq!(ask(&url, |client| client.max_body(limit)).await.outcome, Outcome::Succeeded);
    let finished = ask(&url, |client| client.max_body(limit - 1)).await;
    assert_eq!(finished.last_error, Some(LookError::TooLarge));
    assert!(finished.error.unwrap().contains("more than 21 bytes; raise max_body (--max-body)"));

    let (url, _heads) = serve(answer("content-encoding: gzip\r\n", &gzip(DONE))).await;
    assert_eq!(ask(&url, |client| client.max_body(limit)).await.outcome, Outcome::Succeeded);
    assert_eq!(ask(&url, |client| client.max_body(limit - 1)).await.last_error, Some(LookError::TooLarge));

    let bomb = gzip(&vec![b' '; 64 << 20]);
    assert!(bomb.len() < 1 << 20);
    let (url, _heads) = serve(answer("content-encoding: gzip\r\n", &bomb)).await;
    assert_eq!(ask(&url, |client| client.max_body(1 << 20)).await.last_error, Some(LookError::TooLarge));
}

#[tokio::test]
async fn a_body_that_drips_for_ever_does_not_outlast_its_attempt() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_head(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n").await;
        while stream.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let policy = Policy::builder().with_attempt_timeout(Duration::from_millis(200)).build().unwrap().one_look();
    let finished = ask(&url, |client| client.policy(policy)).await;
    assert_eq!(finished.last_error, Some(LookError::Expired));
}

#[tokio::test]
async fn nothing_secret_is_said_or_logged() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).with_writer(move || writer.clone());
    let _guard = tracing::subscriber::set_default(subscriber.with_ansi(false).finish());

    let mut said = String::new();
    for bytes in [answer("", DONE), Vec::new(), answer("location: /next?sig=sesame\r\n", b"{\"error\":1}")] {
        let (url, _heads) = serve(bytes).await;
        let client = Client::builder(Dialect::tracker()).base_url(&url).header("x-api-key", "sesame");
        let client = client.policy(Policy::default().one_look()).build().unwrap();
        let job = JobRef::new(format!("{url}/job-1?sig=sesame")).unwrap();
        let finished = client.wait(&job).await;
        said.extend([format!("{finished:?}\n"), finished.error.unwrap_or_default()]);
    }
    assert!(!said.contains("sesame"), "{said}");
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(!log.contains("sesame"), "{log}");
    for word in ["job-1", "status=200", "answered", "not answered", "the wait has ended", "outcome=succeeded"] {
        assert!(log.contains(word), "no {word:?} in {log}");
    }
}

/// Also one that was sent while its carrier slept: the connection is left, and the wait goes on with another.
#[tokio::test]
async fn a_request_that_hangs_is_given_up_when_its_time_is_over() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (asked, given_up) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (asked, given_up) = (Arc::clone(&asked), Arc::clone(&given_up));
            tokio::spawn(async move {
                while !read_head(&mut stream).await.is_empty() {
                    if asked.fetch_add(1, Ordering::Relaxed) == 2 {
                        let _ = stream.read(&mut [0]).await;
                        given_up.store(true, Ordering::Relaxed);
                        return;
                    }
                    let body = if given_up.load(Ordering::Relaxed) { DONE } else { b"{\"result\":\"pending\"}" };
                    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
                    let _ = stream.write_all(&[head.as_bytes(), body].concat()).await;
                }
            });
        }
    });
    let policy = Policy::builder()
        .with_min_delay(Duration::from_millis(10))
        .with_max_delay(Duration::from_millis(10))
        .with_attempt_timeout(Duration::from_millis(300))
        .with_max_polls(1_000)
        .build()
        .unwrap();
    let client = Client::builder(Dialect::tracker()).base_url(url).policy(policy).rate(None).build().unwrap();
    let finished = client.wait(&JobRef::new("job").unwrap()).await;
    assert_eq!(finished.outcome, Outcome::Succeeded, "{finished:?}");
    assert!(finished.failed_requests >= 1, "{finished:?}");
}

/// One look.
async fn ask(url: &str, set: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Finished {
    let client = Client::builder(Dialect::tracker()).base_url(url).policy(Policy::default().one_look());
    set(client).build().unwrap().wait(&JobRef::new("job").unwrap()).await
}

/// A server that answers every request with these bytes and closes, and tells what it was asked.
async fn serve(bytes: Vec<u8>) -> (String, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (tell, heads) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let head = read_head(&mut stream).await;
            let _ = tell.send(head);
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
            // A client that is still sending would take a close for a reset.
            let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
        }
    });
    (url, heads)
}

async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&head).into_owned()
}

fn answer(headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A server with a certificate that nobody has signed.
async fn serve_tls() -> String {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key.into()).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = acceptor.accept(stream).await;
        }
    });
    url
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
