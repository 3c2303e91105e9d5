//! Redirects that lead nowhere, or elsewhere.

use jobwatch::LookError::{BadUrl, Disconnected, Expired, ForeignOrigin, Malformed, RedirectLoop, TooLarge};
use jobwatch::{LookError, Outcome};

use super::Verdict::Fails;
use super::{CRACKED, Case, FIRED, NO_PAUSE, all_survived, honest, impatient, setup};
use crate::kiln::{KEY, firing, millis};
use crate::{Answer, Driver, Server};

const STATUSES: [u16; 5] = [301, 302, 303, 307, 308];

fn to(status: u16, location: &str) -> Answer {
    Answer::status(status).header("location", location).body(CRACKED)
}

/// Redirects that cannot be followed, but may be gone the next time.
pub fn mazes(driver: &dyn Driver) {
    for status in STATUSES {
        let looped = Fails(&[RedirectLoop]);
        all_survived(
            driver,
            [
                Case::new(format!("{status} to itself"), to(status, "/firings/a"), looped),
                Case::new(format!("{status} to nothing"), to(status, ""), looped),
                Case::new(format!("{status} to here"), to(status, "a"), looped),
                Case::new(format!("{status} in a circle"), to(status, "x/../a"), looped),
                Case::new(
                    format!("{status} without an address"),
                    Answer::status(status).body(CRACKED),
                    Fails(&[Malformed]),
                ),
            ],
        );
    }
    let endless = |head: &str, bytes: &str| {
        Answer::endless(format!("HTTP/1.1 302 Found\r\nlocation: /shelf/a\r\n{head}"), bytes.repeat(1_000), NO_PAUSE)
    };
    let raw = |location: &[u8]| {
        Answer::raw([&b"HTTP/1.1 302 Found\r\ncontent-length: 0\r\nlocation: "[..], location, b"\r\n\r\n"].concat())
    };
    all_survived(
        driver,
        [
            Case::new("300 with a choice", to(300, "/shelf/a"), Fails(&[Malformed])),
            Case::new("with a body without end", endless("\r\n", "more of it"), Fails(&[TooLarge])),
            Case::new("with headers without end", endless("", "x-a: b\r\n"), Fails(&[Disconnected])),
            Case::new("with an address without end", endless("location: /", "a/b/c/"), Fails(&[Disconnected])),
            Case::new("with a NUL", raw(b"/shelf/\0a"), Fails(&[Disconnected])),
            Case::new("with a line's end", raw(b"/shelf\rx-api-key: none/a"), Fails(&[Disconnected])),
        ],
    );
}

/// Redirects to what is no place to ask, or not ours: the wait is rejected, nobody is asked, and a later wait finds the end.
pub fn mazes_that_lead_out(driver: &dyn Driver) {
    let other = Server::start();
    let there = other.url().split_off("http://".len());
    let server = Server::start();
    let here = server.url().split_off("http://".len());
    let rows: [(String, &[LookError]); 17] = [
        ("ftp://203.0.113.1/a".into(), &[BadUrl, ForeignOrigin]),
        ("file:///etc/passwd".into(), &[BadUrl, ForeignOrigin]),
        ("javascript:alert(1)".into(), &[BadUrl, ForeignOrigin]),
        (format!("data:application/json,{CRACKED}"), &[BadUrl, ForeignOrigin]),
        (format!("ws://{here}/firings/a"), &[BadUrl, ForeignOrigin]),
        (format!("gopher://{here}/firings/a"), &[BadUrl, ForeignOrigin]),
        ("about:blank".into(), &[BadUrl, ForeignOrigin]),
        (format!("blob:http://{here}/a"), &[BadUrl, ForeignOrigin]),
        (format!("https://{here}/firings/a"), &[ForeignOrigin]),
        (format!("http://{there}/firings/a"), &[ForeignOrigin]),
        (format!("http://{here}@{there}/a"), &[BadUrl, ForeignOrigin]),
        (format!("http://user:pass@{here}/a"), &[BadUrl]),
        (format!("http://{here}:99999/a"), &[BadUrl]),
        ("http://127.0.0.1:0/a".into(), &[BadUrl, ForeignOrigin]),
        ("http://".into(), &[BadUrl]),
        ("http://[::1/a".into(), &[BadUrl]),
        (format!("//{there}%2f@{here}/a"), &[BadUrl, ForeignOrigin]),
    ];
    for (address, errors) in rows {
        for status in STATUSES {
            server.on("/firings/a", [to(status, &address), honest()]);
            let client = driver.client(setup(&server));
            let done = client.wait(&firing("a"));
            assert_eq!((done.outcome, done.requests), (Outcome::Rejected, 1), "{status} to {address}: {done:?}");
            assert!(done.last_error.is_some_and(|error| errors.contains(&error)), "{address}: {done:?}");
            assert!(!format!("{done:?}").contains(KEY) && !format!("{done:?}").contains("pass@"), "{done:?}");
            assert_eq!(client.wait(&firing("a")).outcome, Outcome::Succeeded, "the job was never touched");
        }
    }
    assert_eq!(other.log(|log| log.connections), 0, "nobody came");
    assert!(server.targets().iter().all(|target| target == "/firings/a"), "{:?}", server.targets());
}

/// What an address smuggles arrives as an address, and not as a header or as another request.
pub fn addresses_that_smuggle(driver: &dyn Driver) {
    let rows = [
        ("/shelf/a%0d%0ax-smuggled:%201", "/shelf/a%0d%0ax-smuggled:%201"),
        ("/shelf/a HTTP/1.1", "/shelf/a%20HTTP/1.1"),
        ("/she\tlf/a", "/shelf/a"),
        ("/shelf/../../../etc/passwd", "/etc/passwd"),
        ("/shelf/a#fragment", "/shelf/a"),
        ("/shelf/\"<>`{}|^", "/shelf/%22%3C%3E%60%7B%7D|^"),
        ("?x=\u{1}", ""),
    ];
    for (location, target) in rows {
        let server = Server::start();
        server.on("/firings/a", [to(307, location), honest()]);
        server.on(target, [honest()]);
        let done = driver.client(setup(&server)).wait(&firing("a"));
        let requests = server.requests();
        assert_eq!(done.outcome, Outcome::Succeeded, "{location:?}: {done:?} {:?}", server.targets());
        if !target.is_empty() {
            assert_eq!(server.targets(), ["/firings/a", target], "{location:?}");
        }
        assert!(requests.iter().all(|request| request.header("x-smuggled").is_none()));
        assert!(requests.iter().all(|request| request.header("x-api-key") == Some(KEY)));
    }
}

/// However long an address is, the wait ends by its own limits; the end is found by a later one.
pub fn enormous_addresses(driver: &dyn Driver) {
    for size in [5_000, 60_000, 70_000, 300_000] {
        let server = Server::start();
        let long = format!("/{}", "x".repeat(size));
        server.on("/firings/a", [to(307, &long), honest()]);
        server.on(long.as_str(), [Answer::json(200, FIRED)]);
        let client = driver.client(setup(&server));
        let done = client.wait(&firing("a"));
        let is_refused = (done.outcome, done.last_error) == (Outcome::Rejected, Some(BadUrl));
        assert!(is_refused || done.outcome == Outcome::Succeeded, "{size}: {:?} {:?}", done.outcome, done.last_error);
        assert_eq!(client.wait(&firing("a")).outcome, Outcome::Succeeded);
    }
}

/// A maze of ever new addresses is left after five, each time; one that answers slowly, with the attempt's time.
pub fn mazes_of_new_addresses(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings/a", [to(307, "/maze/0"), to(308, "/maze/0"), honest()]);
    for room in 0..50 {
        server.on(format!("/maze/{room}"), [to(if room % 2 == 0 { 302 } else { 308 }, &format!("/maze/{}", room + 1))]);
    }
    let done = driver.client(setup(&server)).wait(&firing("a"));
    assert!(matches!(done.last_error, Some(RedirectLoop)), "{done:?}");
    assert!(done.failed_requests >= 2 && done.requests <= 40, "{done:?}");

    let server = Server::start();
    server.on("/firings/a", [to(302, "/maze/0"), honest()]);
    for room in 0..9 {
        let slow = to(302, &format!("/maze/{}", room + 1));
        server.on(format!("/maze/{room}"), [Answer::raw(slow.bytes()).dripped(millis(5)).then_keep_open()]);
    }
    let done = driver.client(impatient(setup(&server))).wait(&firing("a"));
    assert_eq!((done.outcome, done.last_error), (Outcome::Succeeded, Some(Expired)), "{done:?}");
}
