//! Redirects: followed at home, never abroad.

use jobwatch::{LookError, Outcome};

use crate::kiln::{KEY, fired, firing, giving_up_after, heating};
use crate::{Answer, Driver, Server, Setup};

fn redirect(status: u16, to: impl Into<String>) -> Answer {
    Answer::status(status).header("location", to)
}

/// A temporary redirect is followed with the credentials, and not remembered.
pub fn redirect_to_the_same_origin(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings/a", [redirect(302, "/shelf/a"), redirect(307, format!("{}/shelf/a", server.url()))]);
    server.on("/shelf/a", [heating(), fired()]);
    let done = driver.client(Setup::of(&server)).wait(&firing("a"));

    assert_eq!(done.outcome, Outcome::Succeeded);
    assert_eq!((done.requests, done.failed_requests), (4, 0));
    assert_eq!(server.targets(), ["/firings/a", "/shelf/a", "/firings/a", "/shelf/a"]);
    assert!(server.requests().iter().all(|request| request.header("x-api-key") == Some(KEY)));
    assert_eq!(server.log(|log| log.connections), 1);
}

/// A permanent redirect saves its hop from then on.
pub fn permanent_redirect_is_remembered(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings/a", [redirect(308, "../shelf/a?row=2")]);
    server.on("/shelf/a?row=2", [heating(), fired()]);
    let done = driver.client(Setup::of(&server)).wait(&firing("a"));

    assert_eq!((done.outcome, done.requests), (Outcome::Succeeded, 3));
    assert_eq!(server.targets(), ["/firings/a", "/shelf/a?row=2", "/shelf/a?row=2"]);
}

/// Credentials do not travel: the wait is rejected, and the other server does not hear of it.
pub fn redirect_to_another_origin(driver: &dyn Driver) {
    let other = Server::start();
    let host = other.url().split_off("http:".len());
    for status in [301, 302, 303, 307, 308] {
        for location in [format!("{}/firings/a?sig=1", other.url()), format!("{host}/firings/a?sig=1")] {
            let server = Server::start();
            server.on("/firings/a", [redirect(status, location)]);
            let done = driver.client(Setup::of(&server)).wait(&firing("a"));

            assert_eq!((done.outcome, done.last_error), (Outcome::Rejected, Some(LookError::ForeignOrigin)));
            assert_eq!(done.job.id(), "a");
            assert_eq!((done.requests, server.requests().len()), (1, 1));
        }
    }
    assert_eq!(other.log(|log| log.connections), 0, "nobody came");
}

/// An origin is its scheme, host and port as written: another name for the same address is another origin.
pub fn redirect_to_another_name_of_the_host(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings/a", [redirect(302, format!("http://localhost:{}/shelf/a", server.port()))]);
    server.on("/shelf/a", [fired()]);
    let done = driver.client(Setup::of(&server)).wait(&firing("a"));

    assert_eq!((done.outcome, done.last_error), (Outcome::Rejected, Some(LookError::ForeignOrigin)));
    assert_eq!(server.targets(), ["/firings/a"]);
}

/// A 202 may move the poll URL, but not abroad; the old address goes on serving.
pub fn accepted_with_a_foreign_location(driver: &dyn Driver) {
    let other = Server::start();
    let server = Server::start();
    let moved = redirect(202, "/shelf/a");
    server.on("/firings/a", [redirect(202, format!("{}/firings/a", other.url())), moved]);
    server.on("/shelf/a", [fired()]);
    let done = driver.client(Setup::of(&server)).wait(&firing("a"));

    assert_eq!((done.outcome, done.requests), (Outcome::Succeeded, 3));
    assert_eq!(server.targets(), ["/firings/a", "/firings/a", "/shelf/a"]);
    assert_eq!(other.log(|log| log.connections), 0, "nobody came");
}

/// A redirect that leads back is a failed look, and not run in circles.
pub fn redirect_loop(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings/a", [redirect(302, "/shelf/a")]);
    server.on("/shelf/a", [redirect(302, "/firings/a")]);
    let done = driver.client(Setup::of(&server).policy(giving_up_after(2))).wait(&firing("a"));

    assert_eq!((done.outcome, done.last_error), (Outcome::GaveUp, Some(LookError::RedirectLoop)));
    assert_eq!((done.job.id(), done.requests), ("a", 4));
    assert_eq!(server.targets(), ["/firings/a", "/shelf/a", "/firings/a", "/shelf/a"]);
}

/// At most five redirects in a row, wherever they lead.
pub fn redirects_without_end(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings/a", [redirect(302, "/shelf/1")]);
    for shelf in 1..9 {
        server.on(format!("/shelf/{shelf}"), [redirect(302, format!("/shelf/{}", shelf + 1))]);
    }
    let done = driver.client(Setup::of(&server).policy(giving_up_after(1))).wait(&firing("a"));

    assert_eq!((done.outcome, done.last_error), (Outcome::GaveUp, Some(LookError::RedirectLoop)));
    assert_eq!(server.targets().last().map(String::as_str), Some("/shelf/5"));
    assert_eq!((done.requests, server.requests().len()), (6, 6));
}
