//! Connections that end where they should not: at every byte of an answer, before it, and after it.

use jobwatch::LookError::{Disconnected, Malformed};
use jobwatch::{LookError, Outcome};

use super::{CRACKED, FIRED, setup};
use crate::kiln::{build, firing, heating, hurried, millis};
use crate::{Answer, Client, Driver, Server};

/// Tells a good answer up to every byte but the last, closes or resets the connection there, and then tells the truth. The
/// bytes before `end` are not enough for an end; the others are, or else are lost like them. Where the connection has
/// brought an answer before and brings no whole head now, the client may look again at once, as over one that was idle.
fn cut_everywhere(driver: &dyn Driver, answer: &str, end: usize, errors: &[LookError]) {
    let server = Server::start();
    let policy = hurried().with_failure_backoff(millis(1), millis(2));
    let client = driver.client(setup(&server).policy(build(policy)));
    let head = answer.find("\r\n\r\n").expect("an answer has a head");
    for cut in 0..answer.len() {
        for reset in [false, true] {
            let id = format!("{cut}-{reset}");
            let bytes = Answer::raw(&answer.as_bytes()[..cut]);
            let truth = Answer::json(200, FIRED);
            server.on(format!("/firings/{id}"), [if reset { bytes.then_reset() } else { bytes }, truth]);
            let done = client.wait(&firing(&id));
            let told = (done.outcome, done.requests, done.failed_requests);
            let is_whole = cut >= end && told == (Outcome::Failed, 1, 0);
            let is_lost = told == (Outcome::Succeeded, 2, 1);
            let is_repeated = cut < head + 4 && told == (Outcome::Succeeded, 1, 0);
            assert!(is_whole || is_lost || is_repeated, "cut at {cut} of {answer:?}: {done:?}");
            assert!(!is_lost || done.last_error.is_some_and(|error| errors.contains(&error)), "{cut}: {done:?}");
        }
    }
    drop(client);
    server.wait_until(|log| log.closed == log.connections);
}

/// An answer that is cut is no answer, wherever the cut is.
pub fn cut_at_every_byte(driver: &dyn Driver) {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nretry-after: 1";
    let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{CRACKED}", CRACKED.len());
    cut_everywhere(driver, &answer, answer.len(), &[Disconnected]);
}

/// The same in chunks. What comes after the last one's size carries nothing, and may be lost.
pub fn cut_at_every_byte_of_chunks(driver: &dyn Driver) {
    let (half, other) = CRACKED.split_at(15);
    let chunk = |part: &str| format!("{:x}\r\n{part}\r\n", part.len());
    let before = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{}{}0\r\n", chunk(half), chunk(other));
    cut_everywhere(driver, &format!("{before}x-trailer: y\r\n\r\n"), before.len(), &[Disconnected]);
}

/// The same without a length: half a text is no text. Only a closing can end it, never a reset.
pub fn cut_at_every_byte_without_a_length(driver: &dyn Driver) {
    let answer = format!("HTTP/1.1 200 OK\r\nx-length: none\r\n\r\n{CRACKED}");
    cut_everywhere(driver, &answer, answer.len(), &[Disconnected, Malformed]);
}

/// What a client makes of a look at another job, after one whose answer was followed by more.
fn is_not_misled(client: &dyn Client, server: &Server, name: &str) {
    for id in ["b", "c", "d"] {
        server.on(format!("/firings/{id}"), [heating()]);
        let status = client.status(&firing(id));
        assert_eq!((status.outcome, status.state.as_deref()), (None, Some("heating")), "{name}: {status:?}");
        assert_eq!(server.requests_for(&format!("/firings/{id}")).len(), 1, "{name}");
    }
}

/// An answer to a request that was not sent is nobody's: not the next look's, and not another job's.
pub fn answers_to_nobody(driver: &dyn Driver) {
    let heats = r#"{"state":"heating"}"#;
    let good = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{heats}", heats.len());
    let chunked =
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{heats}\r\n0\r\n\r\n", heats.len());
    let more = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{CRACKED}", CRACKED.len());
    let rests = [more.clone(), more.repeat(3), CRACKED.to_owned(), "\r\n".to_owned() + &more, "\0".to_owned()];
    for answer in [&good, &chunked] {
        for rest in &rests {
            let server = Server::start();
            let client = driver.client(setup(&server));
            // In one piece with the answer.
            server.on("/firings/a", [Answer::raw([answer.as_str(), rest].concat()).then_keep_open()]);
            assert_eq!(client.status(&firing("a")).state.as_deref(), Some("heating"), "{rest:?}");
            is_not_misled(&*client, &server, rest);
        }
    }
}

/// The same, where it comes over a connection that lies idle, also in a runtime that does not run meanwhile: the next job
/// was told to have failed.
pub fn regression_answer_to_nobody_was_the_next_jobs(driver: &dyn Driver) {
    let heats = r#"{"state":"heating"}"#;
    let good = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{heats}", heats.len());
    let more = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{CRACKED}", CRACKED.len());
    for rest in [more.as_str(), "HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n", "x"] {
        let server = Server::start();
        let client = driver.client(setup(&server));
        let seen = good.len() as u64;
        server.on("/firings/a", [Answer::raw(good.as_str()).then_add(rest)]);
        assert_eq!(client.status(&firing("a")).state.as_deref(), Some("heating"), "{rest:?}");
        server.wait_until(|log| log.sent == seen);
        server.release();
        server.wait_until(|log| log.sent > seen);
        is_not_misled(&*client, &server, rest);
    }
}
