//! Servers that change their minds, and those that answer another question than was asked.

use jobwatch::{Dialect, LookError, Outcome};
use serde_json::json;

use super::{CAP, honest, setup};
use crate::kiln::{build, dialect_with, fired, firing, firings, heating, hurried, millis, outcomes, state};
use crate::{Answer, Driver, Server, Setup};

const LISTS: &str = r#"
    bulk.path = "/list?ids={ids}"
    bulk.max = 10
    bulk.items = "/firings"
    bulk.id = "/id"
    bulk.state.pointer = "/state"
    bulk.state.running = ["heating"]
    bulk.state.succeeded = ["fired"]
    bulk.state.failed = ["cracked"]
"#;

fn lists(keys: &str) -> Dialect {
    dialect_with(&format!("{LISTS}{keys}"))
}

/// Two firings, whose looks come together.
fn asking_for_lists(server: &Server, dialect: Dialect) -> Setup {
    let steady = hurried().with_min_delay(millis(20)).with_max_delay(millis(1_000)).with_factor(50.0);
    Setup::of(server).dialect(dialect).policy(build(steady))
}

fn on_lists(server: &Server, answers: &[Answer]) {
    for ids in ["a,b", "b,a"] {
        server.on(format!("/list?ids={ids}"), answers.to_vec());
    }
}

fn list(entries: impl AsRef<str>) -> Answer {
    Answer::json(200, format!(r#"{{"firings":[{}]}}"#, entries.as_ref()))
}

/// An end that was told never changes: not by what the server says of the job while its result is fetched.
pub fn success_that_is_taken_back(driver: &dyn Driver) {
    for second_thought in [state("cracked"), state("called off"), state("no such firing"), heating()] {
        let server = Server::start();
        let told = Answer::json(200, r#"{"state":"fired","more":"/firings/a/more"}"#);
        server.on("/firings/a", [heating(), told, second_thought.clone()]);
        server.on("/firings/a/more", [second_thought, Answer::status(500)]);
        let policy = build(hurried().with_total_timeout(millis(600)));
        let dialect = dialect_with("result.follow = '/more'");
        let done = driver.client(Setup::of(&server).dialect(dialect).policy(policy)).wait(&firing("a"));
        assert_eq!((done.outcome, done.state.as_deref()), (Outcome::Succeeded, Some("fired")), "{done:?}");
    }
}

/// The same for ends that a list tells, and whose details say otherwise: completed then pending, failed then completed.
pub fn ends_in_a_list_that_are_taken_back(driver: &dyn Driver) {
    for (told, second_thought, outcome) in [
        ("fired", heating(), Outcome::Succeeded),
        ("fired", state("cracked"), Outcome::Succeeded),
        ("fired", state("no such firing"), Outcome::Succeeded),
        ("fired", Answer::status(404), Outcome::Succeeded),
        ("cracked", heating(), Outcome::Failed),
        ("cracked", fired(), Outcome::Failed),
        ("cracked", Answer::json(200, "null"), Outcome::Failed),
    ] {
        let server = Server::start();
        let entry = |id: &str| format!(r#"{{"id":"{id}","state":"{told}"}}"#);
        on_lists(&server, &[list(format!("{},{}", entry("a"), entry("b")))]);
        for id in ["a", "b"] {
            server.on(format!("/firings/{id}"), [second_thought.clone()]);
        }
        let setup = asking_for_lists(&server, lists("bulk.detail = true"));
        let policy = setup.policy.to_builder().with_total_timeout(millis(600));
        let done = driver.client(setup.policy(build(policy))).wait_all(firings(["a", "b"]));
        assert_eq!(outcomes(&done), [("a", outcome), ("b", outcome)], "{told}: {done:?}");
        assert!(done.iter().all(|done| done.state.as_deref() == Some(told)), "{told}: {done:?}");
    }
}

/// States that go back and forth are no ends, as long as none of them is one.
pub fn states_that_flap(driver: &dyn Driver) {
    let server = Server::start();
    let words = ["heating", "queued", "heating", "melting", "queued", "", "heating", "42"];
    server.on("/firings/a", words.map(state).into_iter().chain([honest()]));
    let done = driver.client(setup(&server)).wait(&firing("a"));
    assert_eq!((done.outcome, done.requests, done.failed_requests), (Outcome::Succeeded, 9, 0));
    assert_eq!(done.result, Some("a vase".into()));
}

/// A list with thousands of strangers in it, and those who were asked for at the end, or not at all.
pub fn lists_of_strangers(driver: &dyn Driver) {
    let strangers: Vec<_> =
        (0..5_000).map(|id| json!({"id": format!("stranger-{id}"), "state": "cracked"}).to_string()).collect();
    let strangers = strangers.join(",");
    let odd = r#"{"id":["a"],"state":"cracked"},{"id":{"a":"a"},"state":"cracked"},{"id":"A","state":"cracked"},
        {"id":" a","state":"cracked"},{"id":"a\u0000","state":"cracked"},{"id":"","state":"cracked"},{"state":"cracked"},
        null,7,"a",[],{"id":"a"},{"id":"a","state":null}"#;
    let server = Server::start();
    let both = r#"{"id":"b","state":"fired"},{"id":"a","state":"fired"}"#;
    on_lists(&server, &[list(&strangers), list(odd), list(format!("{strangers},{odd},{both}"))]);
    for id in ["a", "b"] {
        // Who is missing in a list is asked for alone.
        server.on(format!("/firings/{id}"), [heating()]);
    }
    let done = driver.client(asking_for_lists(&server, lists(""))).wait_all(firings(["a", "b"]));
    assert_eq!(outcomes(&done), [("a", Outcome::Succeeded), ("b", Outcome::Succeeded)], "{done:?}");
    assert!(server.targets().iter().all(|target| !target.contains("stranger")), "nobody asked for them");
}

/// Answers that a cache or a gateway has mixed up, each an end of somebody else's; where the dialect says where an answer
/// names its job, none of them is believed.
pub fn answers_about_another_job(driver: &dyn Driver) {
    let server = Server::start();
    let about = |id: &str, state: &str| json!({"id": id, "state": state, "result": format!("{id}'s vase")}).to_string();
    let strangers = [("b", "fired"), ("b", "cracked"), ("b", "called off"), ("aa", "no such firing"), ("", "fired")];
    let strangers = strangers.map(|(id, state)| Answer::json(200, about(id, state)));
    let odd = [r#"{"id":["a"],"state":"heating"}"#, r#"{"id":null,"state":"heating"}"#, r#"{"state":"heating"}"#];
    let own = [Answer::json(200, about("a", "heating")), Answer::json(200, about("a", "fired"))];
    let mut answers = strangers.to_vec();
    answers.extend(odd.map(|body| Answer::json(200, body)));
    answers.extend(own);
    server.on("/firings/a", answers);
    let patient = build(hurried().with_max_consecutive_failures(100));
    let setup = setup(&server).dialect(dialect_with("poll.id = '/id'")).policy(patient);
    let done = driver.client(setup).wait(&firing("a"));
    assert_eq!((done.outcome, done.requests, done.failed_requests), (Outcome::Succeeded, 10, 5), "{done:?}");
    assert_eq!((done.last_error, done.result), (Some(LookError::Malformed), Some("a's vase".into())));
}

/// A list that says two things of one job says nothing of it.
pub fn regression_first_of_two_contradicting_entries_was_believed(driver: &dyn Driver) {
    let server = Server::start();
    let entry = |id: &str, state: &str| format!(r#"{{"id":"{id}","state":"{state}"}}"#);
    let torn = [entry("a", "cracked"), entry("b", "fired"), entry("a", "fired"), entry("b", "fired")].join(",");
    on_lists(&server, &[list(torn)]);
    server.on("/list?ids=a", [list(entry("a", "fired"))]);
    server.on("/firings/a", [fired()]);
    let done = driver.client(asking_for_lists(&server, lists(""))).wait_all(firings(["a", "b"]));
    assert_eq!(outcomes(&done), [("a", Outcome::Succeeded), ("b", Outcome::Succeeded)], "{done:?}");
}

/// Pages of a list without end are left, whether they repeat themselves or not.
pub fn lists_without_end(driver: &dyn Driver) {
    let paged = "bulk.next = '/next'\nbulk.next_parameter = 'page'";
    let page = |next: usize| Answer::json(200, format!(r#"{{"firings":[],"next":"{next}"}}"#));
    for circle in [true, false] {
        let server = Server::start();
        for ids in ["a,b", "b,a"] {
            server.on(format!("/list?ids={ids}"), [page(0)]);
            for number in 0..100 {
                let next = if circle { (number + 1) % 2 } else { number + 1 };
                server.on(format!("/list?ids={ids}&page={number}"), [page(next)]);
            }
        }
        for id in ["a", "b"] {
            server.on(format!("/firings/{id}"), [fired()]);
        }
        let done = driver.client(asking_for_lists(&server, lists(paged))).wait_all(firings(["a", "b"]));
        assert_eq!(outcomes(&done), [("a", Outcome::Succeeded), ("b", Outcome::Succeeded)], "{done:?}");
        assert!(server.requests().len() < 100, "{} requests", server.requests().len());
    }
}

/// A list larger than the limit is asked for in parts, and then for each job alone.
pub fn lists_that_are_too_large(driver: &dyn Driver) {
    let server = Server::start();
    let large = "x".repeat(usize::try_from(2 * CAP).expect("it is small"));
    let entry = |id: &str| format!(r#"{{"id":"{id}","state":"fired"}}"#);
    on_lists(&server, &[list(format!(r#"{{"id":"{large}","state":"cracked"}},{},{}"#, entry("a"), entry("b")))]);
    for id in ["a", "b"] {
        server.on(format!("/list?ids={id}"), [list(entry(id))]);
        server.on(format!("/firings/{id}"), [fired()]);
    }
    let done = driver.client(asking_for_lists(&server, lists("")).max_body(CAP)).wait_all(firings(["a", "b"]));
    assert_eq!(outcomes(&done), [("a", Outcome::Succeeded), ("b", Outcome::Succeeded)], "{done:?}");
    assert!(done.iter().all(|done| done.last_error.is_none_or(|error| error == LookError::TooLarge)), "{done:?}");
}
