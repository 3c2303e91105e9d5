//! Fetching results that live at addresses of their own, without the credentials.

use std::io::{self, Write};
use std::time::Duration;

use jobwatch::{LookError, TransportError};

use crate::kiln::{KEY, millis};
use crate::server::Refusing;
use crate::{Answer, Client, Driver, Server, Setup};

const PATIENCE: Duration = Duration::from_secs(30);

fn fetch(client: &dyn Client, url: &str) -> (Result<u64, TransportError>, Vec<u8>) {
    let mut sink = Vec::new();
    (client.download(url, &mut sink, PATIENCE), sink)
}

fn to(status: u16, address: impl Into<String>) -> Answer {
    Answer::status(status).header("location", address).body("not the result")
}

/// Bytes that are no text.
fn bytes(length: u32) -> Vec<u8> {
    (0..length).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// A client with more than one secret header.
fn client(driver: &dyn Driver, server: &Server) -> Box<dyn Client> {
    let mut setup = Setup::of(server);
    for name in ["authorization", "cookie", "x-tenant"] {
        setup.headers.push((name.to_owned(), format!("{name} {KEY}")));
    }
    driver.client(setup.allow_origin(server.url()))
}

/// Of all that the client knows, nothing goes along: not abroad, and not home either.
pub fn download_carries_no_header(driver: &dyn Driver) {
    let (server, other) = (Server::start(), Server::start());
    let client = client(driver, &server);
    for host in [&server, &other] {
        host.on("/vase?sig=1", [Answer::status(200).body("a vase")]);
        let (done, sink) = fetch(&*client, &format!("{}/vase?sig=1", host.url()));
        assert_eq!((done, &*sink), (Ok(6), &b"a vase"[..]));
        let request = &host.requests()[0];
        assert_eq!(&*request.method, "GET");
        for (name, value) in &request.headers {
            assert!(["host", "accept", "accept-encoding", "user-agent"].contains(&&**name), "{name}: {value}");
            assert!(!value.contains(KEY), "{name}: {value}");
        }
    }
}

/// Redirects are followed wherever they lead, still without anything secret.
pub fn download_follows_redirects_abroad(driver: &dyn Driver) {
    let (server, other) = (Server::start(), Server::start());
    server.on("/vase", [to(302, format!("{}/a/vase", other.url()))]);
    other.on("/a/vase", [to(307, "../b/vase?sig=1")]);
    other.on("/b/vase?sig=1", [to(303, format!("{}/shelf/vase", server.url()))]);
    server.on("/shelf/vase", [Answer::status(200).body("a vase")]);
    let (done, sink) = fetch(&*client(driver, &server), &format!("{}/vase", server.url()));

    assert_eq!((done, &*sink), (Ok(6), &b"a vase"[..]));
    assert_eq!((server.requests().len(), other.requests().len()), (2, 2));
    for request in [server.requests(), other.requests()].concat() {
        assert!(request.headers.iter().all(|(_, value)| !value.contains(KEY)));
    }
}

/// The backend's own address is one like any other: it was not asked before.
pub fn download_of_the_base_address(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/", [Answer::status(200).body("a vase")]);
    let (done, sink) = fetch(&*client(driver, &server), &server.url());
    assert_eq!((done, &*sink), (Ok(6), &b"a vase"[..]));
}

/// Redirects in a circle, and redirects without end.
pub fn download_stops_at_loops(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/a?sig=s3cret", [to(302, "/b")]);
    server.on("/b", [to(302, "/a?sig=s3cret")]);
    for shelf in 1..20 {
        server.on(format!("/shelf/{shelf}?sig=s3cret"), [to(302, format!("/shelf/{}?sig=s3cret", shelf + 1))]);
    }
    let client = client(driver, &server);
    for (target, most) in [("/a?sig=s3cret", 2), ("/shelf/1?sig=s3cret", 6)] {
        let before = server.requests().len();
        let (done, sink) = fetch(&*client, &format!("{}{target}", server.url()));
        let error = done.expect_err("it leads nowhere");
        assert_eq!((error.error, sink.len()), (LookError::RedirectLoop, 0));
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
        assert!(server.requests().len() - before <= most);
    }
}

/// What arrives is what was sent: binary, large, empty, in chunks, or compressed on the way.
pub fn download_is_exact(driver: &dyn Driver) {
    let server = Server::start();
    let large = bytes(3_000_000);
    let mut chunked = b"HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for piece in large.chunks(70_000) {
        chunked.extend(format!("{:x}\r\n", piece.len()).into_bytes());
        chunked.extend(piece);
        chunked.extend(b"\r\n");
    }
    chunked.extend(b"0\r\n\r\n");
    let rows = [
        (Answer::status(200).body(large.clone()), large.clone()),
        (Answer::status(200).body(large.clone()).gzipped(), large.clone()),
        (Answer::raw(chunked), large),
        (Answer::status(200), Vec::new()),
    ];
    // The limit on answers is not one on results.
    let client = driver.client(Setup::of(&server).max_body(1_000));
    for (answer, expected) in rows {
        server.on("/vase", [answer]);
        let (done, sink) = fetch(&*client, &format!("{}/vase", server.url()));
        assert_eq!(done, Ok(expected.len() as u64));
        assert!(sink == expected);
    }
}

/// A body that breaks off is an error, however it does, and what there was of it is in the sink.
pub fn download_that_breaks_off(driver: &dyn Driver) {
    let short = "HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\nhalf a vase";
    let chunks = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nb\r\nhalf a vase\r\n";
    for answer in [Answer::raw(short), Answer::raw(chunks)] {
        let server = Server::start();
        server.on("/vase?sig=s3cret", [answer, Answer::status(200).body("another vase")]);
        let (done, sink) = fetch(&*client(driver, &server), &format!("{}/vase?sig=s3cret", server.url()));
        let error = done.expect_err("it was not whole");
        assert_eq!((error.error, &*sink), (LookError::Disconnected, &b"half a vase"[..]));
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
        assert_eq!(server.requests().len(), 1, "it is for the caller to ask again");
    }
    let server = Server::start();
    server.on("/vase", [Answer::raw(short).then_reset()]);
    let (done, _) = fetch(&*client(driver, &server), &format!("{}/vase", server.url()));
    assert_eq!(done.map_err(|error| error.error), Err(LookError::Disconnected));
}

/// Whatever is no 200 is no result; nothing of it reaches the sink.
pub fn download_of_nothing(driver: &dyn Driver) {
    for status in [204, 206, 304, 400, 401, 403, 404, 410, 429, 500, 503] {
        let server = Server::start();
        let answer = Answer::status(status);
        let has_body = !matches!(status, 204 | 304);
        server.on("/vase", [if has_body { answer.body("<Error>expired</Error>") } else { answer }]);
        let (done, sink) = fetch(&*client(driver, &server), &format!("{}/vase", server.url()));

        assert_eq!(done.map_err(|error| error.error), Err(LookError::Status(status)));
        assert_eq!((sink.len(), server.requests().len()), (0, 1));
    }
}

/// What is no address to fetch from is refused before anything is sent.
pub fn download_from_nowhere(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/away", [to(302, "ftp://203.0.113.1/vase")]);
    let with_password = server.url().replace("//", "//user:pass@");
    let urls = ["ftp://203.0.113.1/vase", "file:///etc/passwd", "http://", "http://[no/", "data:,x", &with_password];
    let client = client(driver, &server);
    for url in urls {
        let (done, sink) = fetch(&*client, url);
        let error = done.expect_err(url);
        assert_eq!((error.error, sink.len()), (LookError::BadUrl, 0), "{url}");
        assert!(!error.to_string().contains("pass@"), "{error}");
    }
    assert_eq!(server.log(|log| log.connections), 0);
    let (done, _) = fetch(&*client, &format!("{}/away", server.url()));
    assert_eq!(done.map_err(|error| error.error), Err(LookError::BadUrl));
}

/// The timeout is for the whole download, however slowly it drips.
pub fn download_that_hangs(driver: &dyn Driver) {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n";
    for answer in [Answer::hang(), Answer::endless(head, "x", millis(20))] {
        let server = Server::start();
        server.on("/vase", [answer]);
        let mut sink = Vec::new();
        let done = client(driver, &server).download(&format!("{}/vase", server.url()), &mut sink, millis(300));
        assert_eq!(done.map_err(|error| error.error), Err(LookError::Expired));
    }
    let refusing = Refusing::bind();
    let (done, _) = fetch(&*driver.client(Setup::at(refusing.url())), &format!("{}/vase", refusing.url()));
    assert_eq!(done.map_err(|error| error.error), Err(LookError::Unreachable));
}

/// A disk that is full is told apart from a server that fails.
pub fn download_into_a_full_disk(driver: &dyn Driver) {
    struct Full;

    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::other("no space left"))
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let server = Server::start();
    server.on("/vase", [Answer::status(200).body(bytes(100_000))]);
    let client = client(driver, &server);
    let failed = client.download(&format!("{}/vase", server.url()), &mut Full, PATIENCE).expect_err("it is full");
    assert_eq!(failed.error, LookError::Sink);
    assert!(failed.to_string().contains("no space left"), "{failed}");
}

/// From a backend behind TLS nothing is fetched without it.
pub fn download_from_https_to_http(driver: &dyn Driver) {
    let (refusing, other) = (Refusing::bind(), Server::start());
    let client = driver.client(Setup::at(refusing.url().replace("http:", "https:")).allow_origin(other.url()));
    let (done, _) = fetch(&*client, &format!("{}/vase", other.url()));

    assert_eq!(done.map_err(|error| error.error), Err(LookError::ForeignOrigin));
    assert_eq!(other.log(|log| log.connections), 0);
}
