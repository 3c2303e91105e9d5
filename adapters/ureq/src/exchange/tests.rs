//! Behind TLS, with a certificate that is trusted for the test.

use std::time::Duration;

use http::Request;
use jobwatch::{LookError, TransportError};
use jobwatch_conformance::{Identity, TlsServer};
use ureq::tls::{Certificate, RootCerts};

use super::send_and_read;
use crate::agents::Agents;

const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfull";
/// Longer than any machine takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a client hears that trusts this server's certificate and no other.
fn ask(server: &TlsServer) -> Result<Vec<u8>, TransportError> {
    let roots = RootCerts::new_with_certs(&[Certificate::from_der(server.certificate()).to_owned()]);
    let request = Request::get(server.url()).header("x-api-key", "sesame").body(Vec::new()).unwrap();
    let answer = send_and_read(&Agents::new(1, roots), request, PATIENCE, 1_000);
    answer.map(http::Response::into_body)
}

#[test]
fn a_trusted_server_of_that_name_is_asked() {
    let server = TlsServer::start(Identity::Own, ANSWER, true);
    assert_eq!(ask(&server), Ok(b"full".to_vec()));
    assert!(server.heard().contains("x-api-key: sesame"), "{}", server.heard());
}

#[test]
fn a_wrong_name_or_a_wrong_time_is_fatal_and_hears_nothing() {
    for identity in [Identity::Other, Identity::Expired, Identity::TooSoon] {
        let server = TlsServer::start(identity, ANSWER, true);
        let error = ask(&server).expect_err("it is not who it should be");
        assert_eq!(error.error, LookError::Tls, "{identity:?}: {error}");
        assert!(server.heard().is_empty(), "{identity:?} was told: {}", server.heard());
    }
}

/// Whoever can cut a connection could shorten a body that has no length (RFC 8446 §6.1).
#[test]
fn a_body_without_a_length_is_whole_only_with_the_farewell() {
    let answer = "HTTP/1.1 200 OK\r\n\r\nfull";
    assert_eq!(ask(&TlsServer::start(Identity::Own, answer, true)), Ok(b"full".to_vec()));
    let error = ask(&TlsServer::start(Identity::Own, answer, false)).expect_err("it was cut");
    assert_eq!(error.error, LookError::Disconnected, "{error}");
}
