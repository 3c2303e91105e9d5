//! Answers that asking again cannot cure.

use jobwatch::{EndReason, LookError, Outcome};

use crate::kiln::{firing, firings, heating, outcomes};
use crate::{Answer, Driver, Server, Setup};

/// A wrong key shows at once, and the server is left alone.
pub fn unauthorized_is_asked_once(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings/a", [Answer::json(401, r#"{"error":"unknown key"}"#)]);
    let done = driver.client(Setup::of(&server)).wait(&firing("a"));

    assert_eq!((done.outcome, done.reason), (Outcome::Rejected, EndReason::Refused));
    assert_eq!((done.job.id(), done.last_error), ("a", Some(LookError::Status(401))));
    assert!(done.error.is_some_and(|error| error.contains("unknown key")));
    assert_eq!((done.requests, server.requests().len()), (1, 1));
}

/// The same for every other status that blames the request; the job's last state is kept.
pub fn client_errors_are_rejected(driver: &dyn Driver) {
    for status in [400, 403, 405, 422, 451] {
        let server = Server::start();
        server.on("/firings/a", [heating(), Answer::status(status)]);
        let done = driver.client(Setup::of(&server)).wait(&firing("a"));

        assert_eq!((done.outcome, done.last_error), (Outcome::Rejected, Some(LookError::Status(status))));
        assert_eq!(done.state.as_deref(), Some("heating"));
        assert_eq!((done.requests, server.requests().len()), (2, 2));
    }
}

/// A wrong key ends every job's wait, each told once: nobody asks with it any more.
pub fn unauthorized_jobs_are_all_told(driver: &dyn Driver) {
    let server = Server::start();
    for id in ["a", "b", "c"] {
        server.on(format!("/firings/{id}"), [Answer::status(401)]);
    }
    let done = driver.client(Setup::of(&server).max_in_flight(1)).wait_all(firings(["a", "b", "c"]));

    let rejected = Outcome::Rejected;
    assert_eq!(outcomes(&done), [("a", rejected), ("b", rejected), ("c", rejected)]);
    assert!(done.iter().all(|done| done.last_error == Some(LookError::Status(401)) && done.error.is_some()));
    assert_eq!(done.iter().map(|done| done.requests).sum::<u32>(), 1);
    assert_eq!(server.requests().len(), 1);
}
