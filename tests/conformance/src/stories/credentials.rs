//! Credentials that expire: renewed once, for everybody, and what was refused is repeated.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use jobwatch::{Finished, LookError, Outcome};
use serde_json::{Value, json};

use crate::kiln::{KEY, build, dialect_with, fired, firing, firings, heating, hurried, millis, outcomes, state};
use crate::{Answer, Driver, HANG_GUARD, Provider, Server, Setup};

const NEW_KEY: &str = "sesame-4712";

fn refused() -> Answer {
    Answer::json(401, r#"{"error":"the key has expired"}"#)
}

fn key(value: &str) -> Vec<(String, String)> {
    vec![("x-api-key".to_owned(), value.to_owned())]
}

/// A source that gives key after key, and a count of how often it was asked.
fn source() -> (Provider, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let provider = Provider::new(move || Ok(key(&format!("sesame-{}", 4712 + count.fetch_add(1, Ordering::SeqCst)))));
    (provider, asked)
}

/// A source that has nothing, and a count of how often it was asked.
fn empty_source() -> (Provider, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let provider = Provider::new(move || {
        count.fetch_add(1, Ordering::SeqCst);
        Err("the vault is sealed".to_owned())
    });
    (provider, asked)
}

fn count(asked: &AtomicUsize) -> usize {
    asked.load(Ordering::SeqCst)
}

/// How many requests came with this key.
fn with_key(server: &Server, key: &str) -> usize {
    server.requests().iter().filter(|request| request.header("x-api-key") == Some(key)).count()
}

fn all_rejected(done: &[Finished], because: &str) {
    for done in done {
        assert_eq!((done.outcome, done.last_error), (Outcome::Rejected, Some(LookError::Status(401))));
        let error = done.error.as_deref().expect("a rejection has a reason");
        assert!(error.contains(because), "{error}");
        assert!(!error.contains(KEY) && !error.contains(NEW_KEY), "{error}");
    }
}

/// All are refused at once, the source is asked once, and each job's true end is told in the same wait.
pub fn renewed_once_for_all(driver: &dyn Driver) {
    let server = Server::start();
    let ids = ["a", "b", "c", "d", "e", "f", "g", "h"];
    for (number, id) in ids.into_iter().enumerate() {
        let end = if number % 2 == 0 { fired() } else { state("cracked") };
        server.on(format!("/firings/{id}"), [heating(), end]);
    }
    server.lock("x-api-key", NEW_KEY, refused().held_until_arrived(8));
    let (provider, asked) = source();
    let mut setup = Setup::of(&server).credentials(provider).max_in_flight(8);
    setup.headers.push(("x-tenant".to_owned(), "clay".to_owned()));
    let client = driver.client(setup);
    let done = client.wait_all(firings(ids));

    assert_eq!(done.len(), 8);
    for done in &done {
        let number = ids.iter().position(|id| *id == done.job.id()).expect("it is one of them");
        assert_eq!(done.outcome, if number % 2 == 0 { Outcome::Succeeded } else { Outcome::Failed });
        assert_eq!((done.requests, done.failed_requests), (3, 1));
    }
    assert_eq!(count(&asked), 1);
    assert_eq!((with_key(&server, KEY), with_key(&server, NEW_KEY)), (8, 16));
    assert!(server.requests().iter().all(|request| request.header("x-tenant") == Some("clay")), "the others stay");

    // What was learned stays with the client.
    server.on("/firings/i", [heating(), fired()]);
    assert_eq!(client.wait(&firing("i")).requests, 2);
    assert_eq!((with_key(&server, KEY), count(&asked)), (8, 1));
    let metrics = client.metrics();
    assert_eq!((metrics.requests, metrics.failed_requests), (26, 8));
}

/// A refusal of the old key that comes late is no reason for another renewal.
pub fn late_refusal_of_the_old_key(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings/a", [refused().held_until_arrived(2), fired()]);
    server.on("/firings/b", [refused().held_until_released(), heating(), fired()]);
    let (provider, asked) = source();
    let client = driver.client(Setup::of(&server).credentials(provider));
    let done = client.wait_all_while(firings(["a", "b"]), &mut |_| {
        server.release();
        true
    });

    assert_eq!(outcomes(&done), [("a", Outcome::Succeeded), ("b", Outcome::Succeeded)]);
    assert_eq!((count(&asked), with_key(&server, KEY), with_key(&server, NEW_KEY)), (1, 2, 3));
}

/// A key that has worked may expire, too: then there is another.
pub fn renewed_again_and_again(driver: &dyn Driver) {
    let server = Server::start();
    for id in ["a", "b", "c"] {
        server.on(format!("/firings/{id}"), [refused(), fired()]);
    }
    let (provider, asked) = source();
    let client = driver.client(Setup::of(&server).credentials(provider).max_in_flight(1));
    let done = client.wait_all(firings(["a", "b", "c"]));

    assert!(done.iter().all(|done| done.outcome == Outcome::Succeeded));
    assert_eq!((done.len(), count(&asked)), (3, 3));
    let keys: Vec<_> =
        server.requests().iter().filter_map(|request| Some(request.header("x-api-key")?.to_owned())).collect();
    let expected: [String; 6] =
        [KEY, "sesame-4712", "sesame-4712", "sesame-4713", "sesame-4713", "sesame-4714"].map(str::to_owned);
    assert_eq!(keys, expected);
}

/// If the new key is refused as well, everybody's wait ends, and the server is left alone.
pub fn new_key_is_refused(driver: &dyn Driver) {
    for in_flight in [1, 3] {
        let server = Server::start();
        server.lock("x-api-key", "nobody has this", refused().held_until_arrived(in_flight));
        let (provider, asked) = source();
        let client = driver.client(Setup::of(&server).credentials(provider).max_in_flight(in_flight));
        let done = client.wait_all(firings(["a", "b", "c", "d", "e"]));

        assert_eq!(done.len(), 5);
        all_rejected(&done, "");
        assert_eq!((count(&asked), with_key(&server, KEY)), (1, in_flight));
        assert!((1..=in_flight).contains(&with_key(&server, NEW_KEY)));
        let requests: u32 = done.iter().map(|done| done.requests).sum();
        assert_eq!(requests as usize, server.requests().len());
    }
}

/// A source that has nothing ends the waits in its words, without another request.
pub fn source_fails(driver: &dyn Driver) {
    let server = Server::start();
    server.lock("x-api-key", NEW_KEY, refused());
    let (provider, asked) = empty_source();
    let client = driver.client(Setup::of(&server).credentials(provider).max_in_flight(1));
    let done = client.wait_all(firings(["a", "b", "c", "d"]));

    assert_eq!(done.len(), 4);
    all_rejected(&done, "the vault is sealed");
    assert_eq!((count(&asked), server.requests().len()), (1, 1));
}

/// Once it has failed it is not asked again for those who are refused later; their ends are told all the same.
pub fn source_fails_once(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings/a", [refused().held_until_arrived(3)]);
    server.on("/firings/b", [refused().held_until_released()]);
    server.on("/firings/c", [fired().held_until_released()]);
    let (provider, asked) = empty_source();
    let client = driver.client(Setup::of(&server).credentials(provider).max_in_flight(3));
    let mut done = client.wait_all_while(firings(["a", "b", "c", "d"]), &mut |_| {
        server.release();
        true
    });

    done.sort_by(|a, b| a.job.id().cmp(b.job.id()));
    assert_eq!((done.len(), done[2].outcome), (4, Outcome::Succeeded), "what was under way may tell its end");
    done.remove(2);
    all_rejected(&done, "");
    assert_eq!((server.requests().len(), count(&asked)), (3, 1));
}

/// What a source gives can be no header at all; that is said without the value.
pub fn source_gives_nonsense(driver: &dyn Driver) {
    let server = Server::start();
    server.lock("x-api-key", NEW_KEY, refused());
    let provider = Provider::new(|| Ok(key("sesame-4712\r\nx-evil: 1")));
    let done = driver.client(Setup::of(&server).credentials(provider)).wait_all(firings(["a"]));
    all_rejected(&done, "x-api-key");
    assert_eq!(server.requests().len(), 1);
}

/// A source that panics is one that fails.
pub fn source_panics(driver: &dyn Driver) {
    let server = Server::start();
    server.lock("x-api-key", NEW_KEY, refused());
    let provider = Provider::new(|| panic!("a panic that the story wants"));
    let policy = build(hurried().with_total_timeout(millis(3_000)).with_attempt_timeout(millis(1_000)));
    let setup = Setup::of(&server).credentials(provider).policy(policy);
    let done = driver.client(setup).wait_all(firings(["a"]));
    all_rejected(&done, "");
}

/// A stop does not wait for a source that takes its time.
pub fn stop_during_a_renewal(driver: &dyn Driver) {
    let server = Server::start();
    server.lock("x-api-key", NEW_KEY, refused());
    let (asked, question) = mpsc::channel();
    let (answer, answered) = mpsc::channel::<()>();
    let channels = Mutex::new((asked, answered));
    let provider = Provider::new(move || {
        let (asked, answered) = &*channels.lock().expect("it is asked once");
        asked.send(()).expect("the story waits for it");
        let _ = answered.recv_timeout(HANG_GUARD);
        Err("the story is over".to_owned())
    });
    let question = Mutex::new(question);
    let client = driver.client(Setup::of(&server).credentials(provider));
    let done = client.wait_all_stopped(firings(["a", "b"]), &|| {
        let asked = question.lock().expect("one thread waits").recv_timeout(HANG_GUARD);
        asked.expect("the source is asked");
    });
    drop(answer);

    assert_eq!(outcomes(&done), [("a", Outcome::Stopped), ("b", Outcome::Stopped)]);
}

/// Without a source the first refusal ends all waits; only what is under way may still tell an end.
pub fn refused_without_a_source(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings/a", [refused().held_until_arrived(4)]);
    server.on("/firings/b", [fired().held_until_released()]);
    server.on("/firings/c", [heating().held_until_released(), fired()]);
    server.on("/firings/d", [Answer::status(500).held_until_released(), fired()]);
    let client = driver.client(Setup::of(&server).max_in_flight(4));
    let mut done = client.wait_all_while(firings(["a", "b", "c", "d", "e", "f"]), &mut |_| {
        server.release();
        true
    });

    done.sort_by(|a, b| a.job.id().cmp(b.job.id()));
    assert_eq!((done.len(), done[1].outcome), (6, Outcome::Succeeded));
    done.remove(1);
    all_rejected(&done, "refused");
    assert!(done[0].error.as_deref().is_some_and(|error| error.contains("the key has expired")));
    assert_eq!(done[1].state.as_deref(), Some("heating"), "what is known of it is kept");
    assert_eq!(server.requests().len(), 4);
}

/// One look renews like a wait does.
pub fn status_renews(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings/a", [heating()]);
    server.on("/firings/b", [fired()]);
    server.lock("x-api-key", NEW_KEY, refused().held_until_arrived(2));
    let (provider, asked) = source();
    let client = driver.client(Setup::of(&server).credentials(provider));
    let found = client.statuses(&firings(["a", "b"]));

    assert_eq!((found["a"].outcome, found["a"].state.as_deref()), (None, Some("heating")));
    assert_eq!((found["b"].outcome, found["b"].requests), (Some(Outcome::Succeeded), 2));
    assert_eq!(client.status(&firing("a")).requests, 1);
    assert_eq!((count(&asked), server.requests().len()), (1, 5));
}

/// A create that was refused has created nothing: it is sent once more, even without an idempotency key.
pub fn create_renews(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings", [Answer::json(200, r#"{"id":"a"}"#)]);
    server.lock("x-api-key", NEW_KEY, refused());
    let (provider, asked) = source();
    let client = driver.client(Setup::of(&server).credentials(provider));
    assert_eq!(client.create(&json!({"cone": 6})).expect("the kiln accepts")[0].id(), "a");
    client.create(&json!({"cone": 6})).expect("the kiln accepts");
    assert_eq!((count(&asked), with_key(&server, KEY), with_key(&server, NEW_KEY)), (1, 1, 2));
    assert!(server.requests().iter().all(|request| request.body == br#"{"cone":6}"#));

    server.lock("x-api-key", "nobody has this", refused());
    let failed = client.create(&Value::Null).expect_err("the next key is refused, too");
    assert_eq!((failed.error, failed.maybe_created), (Some(LookError::Status(401)), false));
    assert_eq!((count(&asked), server.requests().len()), (2, 5));
}

/// A create whose source has nothing says so.
pub fn create_without_a_new_key(driver: &dyn Driver) {
    let server = Server::start();
    server.lock("x-api-key", NEW_KEY, refused());
    let (provider, asked) = empty_source();
    let failed = driver.client(Setup::of(&server).credentials(provider)).create(&Value::Null).expect_err("no key");

    assert_eq!((failed.error, failed.maybe_created), (Some(LookError::Status(401)), false));
    assert!(failed.message.contains("the vault is sealed"), "{failed}");
    assert_eq!((count(&asked), server.requests().len()), (1, 1));
}

/// A cancellation's look renews, and the request goes with the new key.
pub fn cancel_renews_at_its_look(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings/a", [heating()]);
    server.on("/firings/a/stop", [Answer::status(204)]);
    server.lock("x-api-key", NEW_KEY, refused());
    let (provider, asked) = source();
    let dialect = dialect_with("cancel.path = '/firings/{id}/stop'");
    let client = driver.client(Setup::of(&server).dialect(dialect).credentials(provider));
    assert!(client.cancel(&firing("a")).expect("the kiln agrees").requested);
    assert_eq!(server.targets(), ["/firings/a", "/firings/a", "/firings/a/stop"]);
    assert_eq!((count(&asked), with_key(&server, NEW_KEY)), (1, 2));
}

/// A key that expires between the look and the request is renewed as well.
pub fn cancel_renews(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings/a", [heating()]);
    server.on("/firings/a/stop", [refused(), Answer::status(204)]);
    let (provider, asked) = source();
    let dialect = dialect_with("cancel.path = '/firings/{id}/stop'");
    let client = driver.client(Setup::of(&server).dialect(dialect).credentials(provider));
    assert!(client.cancel(&firing("a")).expect("the kiln agrees").requested);
    assert_eq!((count(&asked), with_key(&server, NEW_KEY)), (1, 1));
}

/// The request for a result and a redirect's hop are repeated where they were refused.
pub fn renewed_on_the_way(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings/a", [Answer::status(302).header("location", "/shelf/a")]);
    let more = Answer::json(200, r#"{"state":"fired","more":"/cellar/a"}"#);
    server.on("/shelf/a", [refused(), more]);
    server.on("/cellar/a", [refused(), Answer::json(200, r#"{"result":7}"#)]);
    let (provider, asked) = source();
    let dialect = dialect_with("result.follow = '/more'");
    let done = driver.client(Setup::of(&server).dialect(dialect).credentials(provider)).wait(&firing("a"));

    assert_eq!((done.outcome, done.result), (Outcome::Succeeded, Some(7.into())));
    assert_eq!((done.requests, done.failed_requests, count(&asked)), (5, 2, 2));
    assert_eq!(server.targets(), ["/firings/a", "/shelf/a", "/shelf/a", "/cellar/a", "/cellar/a"]);
}
