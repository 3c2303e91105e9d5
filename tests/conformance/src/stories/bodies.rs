//! Bodies that are too large: an error of its own, that names the limit.

use std::fmt::Write as _;
use std::time::Duration;

use jobwatch::{LookError, Outcome};

use crate::kiln::{firing, giving_up_after};
use crate::{Answer, Driver, Server, Setup};

const LIMIT: u64 = 100_000;

/// What may be on its way in the sockets' buffers when the client leaves.
const BUFFERED: u64 = 64 * 1024 * 1024;

/// Is told the same answer twice and gives up because it is too large.
fn is_too_large(driver: &dyn Driver, server: &Server, answer: Answer) {
    server.on("/firings/a", [answer]);
    let setup = Setup::of(server).policy(giving_up_after(2)).max_body(LIMIT);
    let done = driver.client(setup).wait(&firing("a"));

    assert_eq!((done.outcome, done.last_error), (Outcome::GaveUp, Some(LookError::TooLarge)));
    let error = done.error.expect("giving up has a reason");
    assert!(error.contains("100000") && error.contains("max_body"), "does not name the limit: {error}");
    assert_eq!((done.requests, done.failed_requests), (2, 2));
    assert_eq!(server.requests().len(), 2);
}

/// An answer that is not ended is left, long before it has filled the memory.
fn is_left(server: &Server) {
    // Both answers have to end before their bytes can be counted.
    server.wait_until(|log| log.answered == 2 && log.repeated > 0);
    assert!(server.log(|log| log.repeated) < BUFFERED);
}

/// A length of a tebibyte is not believed, let alone allocated.
pub fn length_that_lies(driver: &dyn Driver) {
    let server = Server::start();
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 1099511627776\r\n\r\n{\"state\":\"fired\"";
    is_too_large(driver, &server, Answer::endless(head, vec![b' '; 16 * 1024], Duration::ZERO));
    is_left(&server);
}

/// Chunks that never end are cut off.
pub fn endless_chunks(driver: &dyn Driver) {
    let server = Server::start();
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut chunk = String::from("4000\r\n");
    write!(chunk, "{:16384}\r\n", "").expect("memory can be written to");
    is_too_large(driver, &server, Answer::endless(head, chunk, Duration::ZERO));
    is_left(&server);
}

/// It is the decoded bytes that are limited: a few kilobytes can hold many megabytes.
pub fn compression_bomb(driver: &dyn Driver) {
    let server = Server::start();
    let bomb = Answer::status(200).body(vec![0; 32 * 1024 * 1024]).gzipped();
    assert!((bomb.bytes().len() as u64) < LIMIT, "what travels is within the limit");
    is_too_large(driver, &server, bomb);
}

/// An honest compressed answer is asked for and read.
pub fn compressed_answer(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings/a", [Answer::json(200, r#"{"state":"fired","result":"a vase"}"#).gzipped()]);
    let done = driver.client(Setup::of(&server)).wait(&firing("a"));

    assert_eq!((done.outcome, done.requests), (Outcome::Succeeded, 1));
    assert_eq!(done.result, Some("a vase".into()));
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    assert!(requests[0].header("accept-encoding").is_some_and(|encodings| encodings.contains("gzip")));
}

/// A body of exactly the limit is read; one byte more is too large.
pub fn body_at_the_limit(driver: &dyn Driver) {
    let padded = |length: u64| {
        let state = r#"{"state":"fired"}"#;
        let padding = usize::try_from(length).expect("it is small") - state.len();
        Answer::json(200, state.to_owned() + &" ".repeat(padding))
    };
    let server = Server::start();
    server.on("/firings/b", [padded(LIMIT)]);
    let done = driver.client(Setup::of(&server).max_body(LIMIT)).wait(&firing("b"));
    assert_eq!((done.outcome, done.requests), (Outcome::Succeeded, 1));

    let server = Server::start();
    is_too_large(driver, &server, padded(LIMIT + 1));
}
