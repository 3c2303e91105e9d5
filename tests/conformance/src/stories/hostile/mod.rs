//! A server that means harm, or has lost its mind: time and memory stay bounded, nobody is told an end that is none, and
//! the true end is found once the server is honest again.
//!
//! Most stories are tables of [`Case`]s. In a hostile answer the firing has cracked, and in truth it is fired: whoever
//! believes the answer tells the wrong end. Only where an answer may be read does it tell the truth.

mod bodies;
mod cuts;
mod encodings;
mod framing;
mod heads;
mod mazes;
mod minds;
mod strangers;

use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use jobwatch::{LookError, Outcome};

pub use bodies::*;
pub use cuts::*;
pub use encodings::*;
pub use framing::*;
pub use heads::*;
pub use mazes::*;
pub use minds::*;
pub use strangers::*;

use crate::kiln::{KEY, build, firing, giving_up_after, millis};
use crate::{Answer, Driver, Server, Setup};

/// The largest body of these stories, in bytes.
const CAP: u64 = 64 * 1024;

/// The most that two hostile answers get rid of before they are left: a few times the largest body each, and what the
/// sockets of a loopback connection hold, whatever the client does.
const MOST_SENT: u64 = 2 * (4 * CAP + 4 * 1024 * 1024);

/// How long an attempt may take that is not to be answered.
const ATTEMPT: Duration = millis(1_500);

/// The wrong end.
const CRACKED: &str = r#"{"state":"cracked","error":"too hot"}"#;

/// The true one.
const FIRED: &str = r#"{"state":"fired","result":"a vase"}"#;

/// Cases at once.
const AT_ONCE: usize = 4;

const NO_PAUSE: Duration = Duration::ZERO;

/// What a client makes of an answer.
#[derive(Clone, Copy, Debug)]
enum Verdict {
    /// It is an answer like any other, and tells the end.
    Read,
    /// It is an answer like any other, and says that the job goes on.
    Unfinished,
    /// It is a failed look, with one of these errors.
    Fails(&'static [LookError]),
    /// Clients differ: it tells the end, or else it is a failed look with one of these errors.
    Either(&'static [LookError]),
}

/// One hostile answer.
struct Case {
    name: String,
    answer: Answer,
    verdict: Verdict,
    /// Only the attempt's end keeps the server from sending: what it sends is thrown away as it comes.
    floods: bool,
}

impl Case {
    fn new(name: impl Into<String>, answer: Answer, verdict: Verdict) -> Self {
        Self { name: name.into(), answer, verdict, floods: false }
    }

    fn floods(self) -> Self {
        Self { floods: true, ..self }
    }
}

/// The truth.
fn honest() -> Answer {
    Answer::json(200, FIRED)
}

/// Little room.
fn setup(server: &Server) -> Setup {
    Setup::of(server).max_body(CAP)
}

/// Little patience, too. A machine in trouble may be too slow even for the truth.
fn impatient(setup: Setup) -> Setup {
    let policy = setup.policy.to_builder().with_attempt_timeout(ATTEMPT);
    setup.policy(build(policy))
}

/// Every case, against a server and a client of its own; several at once, since they wait more than they work.
fn all_survived(driver: &dyn Driver, cases: impl IntoIterator<Item = Case>) {
    let (floods, others): (Vec<_>, Vec<_>) = cases.into_iter().partition(|case| case.floods);
    let next = Mutex::new(others.into_iter());
    let take = || next.lock().unwrap_or_else(PoisonError::into_inner).next();
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(case) = take() {
                    survived(driver, &case);
                }
            });
        }
    });
    for case in floods {
        survived(driver, &case);
    }
}

/// Twice the hostile answer, and then the truth: it is found, at the cost of two looks, and nothing is left behind.
fn survived(driver: &dyn Driver, case: &Case) {
    let Case { name, answer, verdict, floods } = case;
    let server = Server::start();
    server.on("/firings/a", [answer.clone(), answer.clone(), honest()]);
    let expires = matches!(verdict, Verdict::Fails(errors) if errors.contains(&LookError::Expired));
    let setup = if expires { impatient(setup(&server)) } else { setup(&server) };
    let client = driver.client(setup);
    let done = client.wait(&firing("a"));

    assert_eq!((done.outcome, &done.result), (Outcome::Succeeded, &Some("a vase".into())), "{name}: {done:?}");
    let cost = (done.requests, done.failed_requests);
    let fails = |errors: &[LookError]| {
        let is_due = cost == (3, 2) || expires && done.failed_requests > 2 && done.requests == done.failed_requests + 1;
        assert!(is_due, "{name}: {done:?}");
        assert!(done.last_error.is_some_and(|error| errors.contains(&error)), "{name}: {done:?}");
    };
    match verdict {
        Verdict::Read => assert_eq!((cost, done.last_error), ((1, 0), None), "{name}"),
        Verdict::Unfinished => assert_eq!((cost, done.last_error), ((3, 0), None), "{name}"),
        Verdict::Either(_) if done.failed_requests == 0 => assert_eq!(cost, (1, 0), "{name}"),
        Verdict::Fails(errors) | Verdict::Either(errors) => fails(errors),
    }
    assert!(!format!("{done:?} {client:?}").contains(KEY), "{name}");
    drop(client);
    // A connection that somebody still held would stay open for ever.
    server.wait_until(|log| log.closed == log.connections);
    let sent = server.log(|log| log.sent);
    assert!(*floods || sent <= MOST_SENT, "{name}: {sent} bytes");
    println!("hostile case {name:?}: {:?}, {sent} bytes sent", done.last_error);
}

/// The hostile answer for ever: the wait is given up with its error, and the job is not called failed.
fn given_up(driver: &dyn Driver, name: &str, answer: Answer, errors: &[LookError]) {
    let server = Server::start();
    server.on("/firings/a", [answer]);
    let client = driver.client(setup(&server).policy(giving_up_after(2)));
    let done = client.wait(&firing("a"));

    assert_eq!((done.outcome, done.job.id()), (Outcome::GaveUp, "a"), "{name}: {done:?}");
    assert!(done.last_error.is_some_and(|error| errors.contains(&error)), "{name}: {done:?}");
    assert_eq!((done.requests, done.failed_requests, done.state), (2, 2, None), "{name}");
    assert!(done.error.is_some_and(|error| !error.contains(KEY)), "{name}");
}
