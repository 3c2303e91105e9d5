//! Connections: reused, bounded, and not trusted to last.

use jobwatch::{LookError, Outcome};

use crate::kiln::{fired, firing, heating};
use crate::{Answer, Driver, Server, Setup};

/// All looks of a client go over one connection, those of its next wait too.
pub fn mistake_26_one_connection_for_sequential_looks(driver: &dyn Driver) {
    let server = Server::start();
    // Answers without JSON have bodies too, which must be read to their ends.
    let trouble = Answer::status(502).body(vec![b'x'; 100_000]);
    server.on("/firings/a", [heating(), heating(), trouble, Answer::status(202), heating(), fired()]);
    server.on("/firings/b", [heating(), fired()]);
    let client = driver.client(Setup::of(&server));

    assert_eq!(client.wait(&firing("a")).outcome, Outcome::Succeeded);
    assert_eq!(client.wait(&firing("b")).outcome, Outcome::Succeeded);
    assert_eq!(client.status(&firing("b")).outcome, Some(Outcome::Succeeded));
    assert_eq!(server.requests().len(), 9);
    assert_eq!(server.log(|log| log.connections), 1);
}

/// Four requests in flight are four, not fewer and not more, and take no more connections than that.
pub fn connections_are_bounded_by_requests_in_flight(driver: &dyn Driver) {
    let server = Server::start();
    let jobs: Vec<_> = (0..20).map(|number| firing(&format!("{number}"))).collect();
    for job in &jobs {
        // The first answers come only when four requests are there.
        let first = heating().held_until_arrived(4);
        server.on(format!("/firings/{job}"), [first, heating(), heating(), fired()]);
    }
    let client = driver.client(Setup::of(&server).max_in_flight(4));
    let done = client.wait_all(jobs);

    assert_eq!(done.len(), 20);
    assert!(done.iter().all(|done| done.outcome == Outcome::Succeeded && done.requests == 4));
    assert_eq!(server.requests().len(), 80);
    assert_eq!(server.log(|log| log.most_at_once), 4);
    let connections = server.log(|log| log.connections);
    assert!((4..=5).contains(&connections), "{connections} connections");
}

/// A server may close an idle connection at any time; the next look opens another.
pub fn idle_connection_closed_by_the_server(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings/a", [heating().then_close(), heating().then_close(), fired()]);
    let done = driver.client(Setup::of(&server)).wait(&firing("a"));

    assert_eq!(done.outcome, Outcome::Succeeded);
    assert_eq!(server.requests().len(), 3);
    assert_eq!(server.log(|log| log.connections), 3);
}

/// A server may close an idle connection at the very moment when the next look is on its way, with a reset or without: it
/// is looked once more, over another connection, and no failure is counted.
pub fn idle_connection_closed_when_it_is_used(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings/a", [heating(), heating(), Answer::reset(), heating(), Answer::raw(""), fired()]);
    let done = driver.client(Setup::of(&server)).wait(&firing("a"));

    assert_eq!(done.outcome, Outcome::Succeeded);
    assert_eq!((done.requests, done.failed_requests, done.last_error), (4, 0, None));
    assert_eq!(server.requests().len(), 6);
    assert_eq!(server.log(|log| log.connections), 3);
}

/// Once: a server that takes no request at all is a failure, and so is an answer that was begun.
pub fn broken_connections_are_not_tried_for_ever(driver: &dyn Driver) {
    let server = Server::start();
    let begun = "HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{";
    server.on(
        "/firings/a",
        [
            heating(),
            Answer::reset(),
            Answer::reset(),
            heating(),
            Answer::raw(begun),
            heating(),
            Answer::raw("?"),
            fired(),
        ],
    );
    let done = driver.client(Setup::of(&server)).wait(&firing("a"));

    assert_eq!((done.outcome, done.last_error), (Outcome::Succeeded, Some(LookError::Disconnected)));
    assert_eq!((done.requests, done.failed_requests), (7, 3));
    assert_eq!(server.requests().len(), 8);
}
