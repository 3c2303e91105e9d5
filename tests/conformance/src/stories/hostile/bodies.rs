//! What is in a body that is whole.

use jobwatch::LookError::{Malformed, TooLarge};
use jobwatch::Outcome;

use super::Verdict::{Fails, Read, Unfinished};
use super::{Case, all_survived, given_up};
use crate::kiln::firing;
use crate::{Answer, Driver, Server, Setup};

fn json(body: impl Into<String>) -> Answer {
    Answer::json(200, body)
}

fn bytes(body: &[u8]) -> Answer {
    Answer::status(200).header("content-type", "application/json").body(body)
}

/// What is not JSON, or JSON of another kind, tells nothing; what is unknown is no end.
pub fn hostile_contents(driver: &dyn Driver) {
    let refused: [&[u8]; 25] = [
        b"",
        b"null",
        b"true",
        b"1",
        b"\"cracked\"",
        b"[{\"state\":\"cracked\"}]",
        b"{}",
        b"\0{\"state\":\"cracked\"}",
        b"{\"state\":\"cracked\"}\0",
        b"{\"state\":\"cracked\0\"}",
        b"{\"state\":\"cracked\xff\"}",
        b"{\"state\":\"\xc1\xa3racked\"}",
        b"{\"state\":\"cracked\\ud800\"}",
        b"\xef\xbb\xbf{\"state\":\"cracked\"}",
        b"\xff\xfe{\0\"\0s\0t\0",
        b"{\"state\":\"cracked\"}{\"state\":\"cracked\"}",
        b"done({\"state\":\"cracked\"})",
        b"/**/{\"state\":\"cracked\"}",
        b"{\"state\":\"cracked\",}",
        b"{'state':'cracked'}",
        b"{\"state\":\"cracked\",\"x\":NaN}",
        b"{\"state\":null}",
        b"{\"state\":{\"state\":\"cracked\"}}",
        b"{\"state\":[\"cracked\"]}",
        b"{\"State\":\"cracked\"}",
    ];
    let name = |body: &[u8]| String::from_utf8_lossy(body).into_owned();
    all_survived(driver, refused.map(|body| Case::new(name(body), bytes(body), Fails(&[Malformed]))));
    let unknown = [
        r#"{"state":""}"#,
        r#"{"state":true}"#,
        r#"{"state":1}"#,
        r#"{"state":" cracked "}"#,
        r#"{"state":"cracked\u0000"}"#,
        r#"{"state":"cracked\u001b[2J"}"#,
        r#"{"state":"cr\u00e1cked"}"#,
        r#"{"state":"\ud83d\ude00"}"#,
        r#"{"state":-1e-400}"#,
    ];
    all_survived(driver, unknown.map(|body| Case::new(body, json(body), Unfinished)));
    // Of two members of one name the last one counts, for every reader of serde_json: one answer has one meaning.
    let twice = r#"{"state":"cracked","result":1,"state":"fired","result":"a vase"}"#;
    all_survived(driver, [Case::new(twice, json(twice), Read)]);
    given_up(driver, "null", json("null"), &[Malformed]);
}

/// JSON that costs more than it weighs: depth, numbers, words and names without measure. What nobody asks for is passed over.
pub fn enormous_contents(driver: &dyn Driver) {
    let deep = 30_000;
    let digits = "9".repeat(60_000);
    let word = "x".repeat(60_000);
    let names = (0..6_000).map(|name| format!(r#""{name}":1,"#)).collect::<Vec<_>>().concat();
    let nested = format!(r#"{{"state":"heating","x":{}{}}}"#, "[".repeat(deep), "]".repeat(deep));
    let objects = format!("{}1{}", r#"{"a":"#.repeat(10_000), "}".repeat(10_000));
    all_survived(
        driver,
        [
            Case::new("arrays in arrays", json(nested), Unfinished),
            Case::new("arrays without ends", json("[".repeat(60_000)), Fails(&[Malformed])),
            Case::new("objects in objects", json(objects), Fails(&[Malformed])),
            Case::new("a number", json(format!(r#"{{"state":"heating","x":{digits}}}"#)), Unfinished),
            Case::new("a number for a state", json(format!(r#"{{"state":{digits}}}"#)), Fails(&[Malformed])),
            Case::new("an exponent", json(r#"{"state":"heating","x":1e999999999}"#), Unfinished),
            Case::new("a word", json(format!(r#"{{"state":"{word}"}}"#)), Unfinished),
            Case::new("names", json(format!(r#"{{{names}"state":"fired","result":"a vase"}}"#)), Read),
            Case::new(
                "10 MB of a word",
                json(format!(r#"{{"state":"{}"}}"#, "x".repeat(10_000_000))),
                Fails(&[TooLarge]),
            ),
            Case::new("100,000 levels", json("[".repeat(100_000)), Fails(&[TooLarge])),
        ],
    );
}

/// Under the usual limit, too: 100,000 levels that nobody asks for overflow no stack, and a state of 10 MB is not carried along.
pub fn enormous_contents_within_the_usual_limit(driver: &dyn Driver) {
    let server = Server::start();
    let levels = 100_000;
    let nested = format!(r#"{{"x":{}{},"state":"heating"}}"#, "[".repeat(levels), "]".repeat(levels));
    let word = format!(r#"{{"state":"{}"}}"#, "x".repeat(10_000_000));
    let failed = format!(r#"{{"state":"cracked","error":"{}"}}"#, "y".repeat(10_000_000));
    server.on("/firings/a", [json(nested), json(word), json(failed)]);
    let done = driver.client(Setup::of(&server)).wait(&firing("a"));

    assert_eq!((done.outcome, done.requests, done.failed_requests), (Outcome::Failed, 3, 0));
    let told = format!("{done:?}");
    assert!(told.len() < 10_000, "{} characters", told.len());
    assert!(done.error.is_some_and(|error| error.starts_with("yyy")));
}
