//! Requests for many jobs at once, over real sockets.

use jobwatch::Outcome;

use crate::kiln::{build, dialect_with, fired, firings, heating, hurried, millis, outcomes};
use crate::{Answer, Driver, Server, Setup};

const LISTS: &str = r#"
    create.path = "/firings"
    bulk.path = "/list?ids={ids}"
    bulk.max = 10
    bulk.items = "/firings"
    bulk.id = "/id"
    bulk.detail = true
    bulk.state.pointer = "/state"
    bulk.state.running = ["heating"]
    bulk.state.succeeded = ["fired"]
    bulk.state.failed = ["cracked"]
"#;

/// Two firings, `a` and `b`, whose looks come together.
fn setup(server: &Server) -> Setup {
    let steady = hurried().with_min_delay(millis(20)).with_max_delay(millis(1_000)).with_factor(50.0);
    Setup::of(server).dialect(dialect_with(LISTS)).policy(build(steady))
}

/// Says what a list says, in whichever order it is asked for.
fn on_lists(server: &Server, answers: &[Answer]) {
    for ids in ["a,b", "b,a"] {
        server.on(format!("/list?ids={ids}"), answers.to_vec());
    }
}

fn list(entries: &str) -> Answer {
    Answer::json(200, format!(r#"{{"firings":[{entries}]}}"#))
}

fn lists_asked_for(server: &Server) -> usize {
    server.targets().iter().filter(|target| target.starts_with("/list")).count()
}

/// Another order, strangers, nulls and gaps: each job is told by its own id.
pub fn lists_in_any_order(driver: &dyn Driver) {
    let server = Server::start();
    let odd =
        list(r#"{"id":"x","state":"cracked"},{"id":null},{"id":"b","state":"fired"},{"id":"a","state":"cracked"}"#);
    on_lists(&server, &[odd]);
    server.on("/firings/a", [Answer::json(200, r#"{"state":"cracked","error":"too hot"}"#)]);
    server.on("/firings/b", [Answer::json(200, r#"{"state":"fired","result":7}"#)]);
    let done = driver.client(setup(&server)).wait_all(firings(["a", "b"]));

    assert_eq!(outcomes(&done), [("a", Outcome::Failed), ("b", Outcome::Succeeded)]);
    let (a, b) = if done[0].job.id() == "a" { (&done[0], &done[1]) } else { (&done[1], &done[0]) };
    assert_eq!((a.error.as_deref(), &b.result), (Some("too hot"), &Some(7.into())));
    assert_eq!((lists_asked_for(&server), server.requests().len()), (1, 3), "one list, and what it did not tell");
    assert!(done.iter().all(|done| done.requests == 2 && done.failed_requests == 0));
}

/// A backend that has no lists is asked for one once.
pub fn lists_that_do_not_exist(driver: &dyn Driver) {
    let server = Server::start();
    on_lists(&server, &[Answer::status(404)]);
    for id in ["a", "b"] {
        server.on(format!("/firings/{id}"), [heating(), heating(), fired()]);
    }
    let client = driver.client(setup(&server));
    let done = client.wait_all(firings(["a", "b"]));

    assert_eq!(outcomes(&done), [("a", Outcome::Succeeded), ("b", Outcome::Succeeded)]);
    assert_eq!((lists_asked_for(&server), server.requests().len()), (1, 7));
    let metrics = client.metrics();
    assert_eq!((metrics.requests, metrics.bulk_requests, metrics.failed_requests), (7, 1, 1));
}

/// A list that is refused is no job refused: each is asked for by itself.
pub fn lists_that_are_refused(driver: &dyn Driver) {
    for refusal in [Answer::status(400), Answer::status(413), Answer::json(403, r#"{"error":"a is not yours"}"#)] {
        let server = Server::start();
        on_lists(&server, &[refusal]);
        server.on("/firings/a", [Answer::status(403)]);
        server.on("/firings/b", [heating(), fired()]);
        let done = driver.client(setup(&server)).wait_all(firings(["a", "b"]));

        assert_eq!(outcomes(&done), [("a", Outcome::Rejected), ("b", Outcome::Succeeded)]);
        assert_eq!((lists_asked_for(&server), server.requests().len()), (1, 4));
    }
}

/// One look at many jobs is one request.
pub fn statuses_by_lists(driver: &dyn Driver) {
    let server = Server::start();
    on_lists(&server, &[list(r#"{"id":"a","state":"heating"},{"id":"b","state":"heating"}"#)]);
    let found = driver.client(setup(&server)).statuses(&firings(["a", "b"]));

    assert_eq!((found.len(), server.requests().len()), (2, 1));
    assert!(found.values().all(|status| status.outcome.is_none() && status.state.as_deref() == Some("heating")));
}
