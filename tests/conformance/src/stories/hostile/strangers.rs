//! Servers that are no HTTP servers, or do not get as far.

use jobwatch::LookError::{Disconnected, Expired, Unreachable};
use jobwatch::{EndReason, LookError, Outcome};
use serde_json::Value;

use super::{CRACKED, impatient};
use crate::kiln::{KEY, firing, giving_up_after};
use crate::stranger::{Deaf, Manner, Stranger};
use crate::{Client, Driver, Identity, Setup, TlsServer};

fn client(driver: &dyn Driver, url: String) -> Box<dyn Client> {
    driver.client(Setup::at(url).policy(giving_up_after(2)))
}

fn impatient_client(driver: &dyn Driver, url: String) -> Box<dyn Client> {
    driver.client(impatient(Setup::at(url).policy(giving_up_after(2))))
}

/// Who is not to be answered at all need not wait for it.
fn client_that_expects(error: LookError, driver: &dyn Driver, url: String) -> Box<dyn Client> {
    if error == Expired { impatient_client(driver, url) } else { client(driver, url) }
}

/// The wait is given up after two looks, with one of these errors, and the job is not called failed.
fn is_given_up(client: &dyn Client, name: &str, errors: &[LookError]) {
    let done = client.wait(&firing("a"));
    assert_eq!((done.outcome, done.reason), (Outcome::GaveUp, EndReason::FailuresSpent), "{name}: {done:?}");
    assert!(done.last_error.is_some_and(|error| errors.contains(&error)), "{name}: {done:?}");
    assert_eq!((done.job.id(), done.requests, done.failed_requests), ("a", 2, 2), "{name}: {done:?}");
    assert!(!format!("{done:?}").contains(KEY), "{name}: {done:?}");
}

/// Whoever hangs up, or says nothing, is no backend; a wait for it ends by its own limits.
pub fn servers_that_do_not_speak(driver: &dyn Driver) {
    let rows = [
        ("closes at once", Manner::Close, Disconnected),
        ("resets at once", Manner::Reset, Disconnected),
        ("neither reads nor answers", Manner::Ignore, Expired),
        ("reads and does not answer", Manner::SayAndHang(Vec::new()), Expired),
        ("speaks SMTP", Manner::Greet(b"220 mail.example ESMTP\r\n".to_vec()), Disconnected),
        ("speaks SSH", Manner::Say(b"SSH-2.0-OpenSSH_9.9\r\n".to_vec()), Disconnected),
        ("speaks TLS", Manner::Say(b"\x15\x03\x01\0\x02\x02\x0a".to_vec()), Disconnected),
        (
            "speaks HTTP/2",
            Manner::Say(b"\0\0\x0c\x04\0\0\0\0\0\0\x03\0\0\0\x64\0\x04\0\x10\0\0".to_vec()),
            Disconnected,
        ),
    ];
    for (name, manner, error) in rows {
        let stranger = Stranger::start(manner);
        is_given_up(&*client_that_expects(error, driver, stranger.url("http")), name, &[error]);
    }
}

/// A server whose queue is full lets nobody in: no answer in time, or no connection.
pub fn server_that_never_accepts(driver: &dyn Driver) {
    let deaf = Deaf::listen();
    is_given_up(&*impatient_client(driver, deaf.url()), "never accepts", &[Expired, Unreachable]);
}

/// A create whose body nobody reads ends with its attempt, and says that there may be a job.
pub fn create_that_is_not_read(driver: &dyn Driver) {
    let stranger = Stranger::start(Manner::Ignore);
    let client = impatient_client(driver, stranger.url("http"));
    let body = Value::String("x".repeat(32 * 1024 * 1024));
    let failed = client.create(&body).expect_err("nobody reads it");

    assert_eq!((failed.error, failed.maybe_created), (Some(Expired), true), "{failed:?}");
    assert!(!format!("{failed:?} {failed}").contains(KEY));
}

/// A create that is answered while its body is still on its way: with a refusal, or with nonsense.
pub fn create_that_is_answered_too_soon(driver: &dyn Driver) {
    let refusal = b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec();
    for manner in [Manner::Say(refusal.clone()), Manner::SayAndHang(refusal), Manner::Say(b"no HTTP\r\n\r\n".to_vec())]
    {
        let stranger = Stranger::start(manner);
        let body = Value::String("x".repeat(32 * 1024 * 1024));
        let failed = impatient_client(driver, stranger.url("http")).create(&body).expect_err("it is not accepted");
        let error = failed.error.expect("there is a reason");
        assert!(matches!(error, LookError::Status(413) | Disconnected | Expired), "{failed:?}");
    }
}

/// Behind `https` nothing is said before the server has proved who it is; trouble on the way to that may pass.
pub fn servers_that_do_not_speak_tls(driver: &dyn Driver) {
    let alert = |description: u8| vec![0x15, 3, 3, 0, 2, 2, description];
    let plain = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{CRACKED}", CRACKED.len());
    let rows = [
        ("plain text", Manner::Say(plain.clone().into_bytes()), Disconnected),
        ("plain text, kept open", Manner::SayAndHang(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()), Disconnected),
        ("plain text before it is asked", Manner::Greet(plain.into_bytes()), Disconnected),
        ("closes at once", Manner::Close, Disconnected),
        ("resets at once", Manner::Reset, Disconnected),
        ("closes after the hello", Manner::Say(Vec::new()), Disconnected),
        ("says nothing", Manner::SayAndHang(Vec::new()), Expired),
        ("reads nothing", Manner::Ignore, Expired),
        ("alert: handshake failure", Manner::Say(alert(40)), Disconnected),
        ("alert: bad certificate", Manner::Say(alert(42)), Disconnected),
        ("alert: protocol version", Manner::Say(alert(70)), Disconnected),
        ("alert: internal error", Manner::Say(alert(80)), Disconnected),
        ("alert: unrecognized name", Manner::Say(alert(112)), Disconnected),
        ("alert: certificate required", Manner::Say(alert(116)), Disconnected),
        ("alert: close notify", Manner::Say(vec![0x15, 3, 3, 0, 2, 1, 0]), Disconnected),
        ("a record too large", Manner::SayAndHang(b"\x16\x03\x03\xff\xff".to_vec()), Disconnected),
        ("a handshake of nothing", Manner::Say(vec![0x16, 3, 3, 0, 0]), Disconnected),
        ("half a record", Manner::Say(vec![0x16, 3, 3, 1, 0, 2]), Disconnected),
        ("garbage without end", Manner::Repeat(vec![0xff; 16 * 1024]), Disconnected),
        ("warnings without end", Manner::Repeat([0x15, 3, 3, 0, 2, 1, 90].repeat(2_000)), Disconnected),
    ];
    for (name, manner, error) in rows {
        let stranger = Stranger::start(manner);
        is_given_up(&*client_that_expects(error, driver, stranger.url("https")), name, &[error]);
        let heard = stranger.heard();
        let says = |what: &str| heard.windows(what.len()).any(|bytes| bytes == what.as_bytes());
        assert!(!says(KEY) && !says("x-api-key") && !says("/firings"), "{name}: said before it was safe");
    }
}

/// A certificate that nobody has signed, whatever it says: asking again cannot cure it, and nothing is said to its bearer.
pub fn certificates_that_nobody_trusts(driver: &dyn Driver) {
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{CRACKED}", CRACKED.len());
    for identity in [Identity::Own, Identity::Other, Identity::Expired, Identity::TooSoon] {
        let server = TlsServer::start(identity, answer.as_str(), true);
        let done = client(driver, server.url()).wait(&firing("a"));
        assert_eq!(
            (done.outcome, done.last_error),
            (Outcome::Rejected, Some(LookError::Tls)),
            "{identity:?}: {done:?}"
        );
        assert_eq!((done.job.id(), done.requests, done.state), ("a", 1, None), "{identity:?}");
        assert!(server.heard().is_empty(), "{identity:?} was told: {}", server.heard());
    }
}

/// One record after the other, each of a few bytes, for ever: no handshake in time.
pub fn tls_that_drips(driver: &dyn Driver) {
    let stranger = Stranger::start(Manner::SayAndHang(vec![0x16, 3, 3, 0x40, 0, 2, 0, 0x3f]));
    is_given_up(&*impatient_client(driver, stranger.url("https")), "a record that is not ended", &[Expired]);
}
