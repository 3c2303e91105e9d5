//! Heads of answers: status lines, headers, and what comes before them.

use jobwatch::LookError::{self, Disconnected, Expired, Malformed, Status};

use super::Verdict::{Either, Fails, Read};
use super::{CRACKED, Case, FIRED, NO_PAUSE, all_survived, given_up};
use crate::kiln::millis;
use crate::{Answer, Driver};

const OK: &str = "HTTP/1.1 200 OK\r\n";

/// An answer with these lines for a head, to which its length is added.
fn headed(head: &str, body: &str) -> Answer {
    Answer::raw(format!("{}\r\ncontent-length: {}\r\n\r\n{body}", head.trim_end_matches("\r\n"), body.len()))
}

/// The broken ones: whatever body follows, it is not read.
fn broken(head: &str) -> Case {
    Case::new(head, headed(head, CRACKED), Fails(&[Disconnected]))
}

/// What no HTTP/1 server says first, HTTP/0.9 among it.
pub fn hostile_status_lines(driver: &dyn Driver) {
    let lines = [
        "HTTP/1.1",
        "HTTP/1.1 ",
        "HTTP/1.1 OK",
        "HTTP/1.1 2",
        "HTTP/1.1 20 OK",
        "HTTP/1.1 2000 OK",
        "HTTP/1.1 -200 OK",
        "HTTP/1.1 2e2 OK",
        "HTTP/1.1 000 Zero",
        "HTTP/1.1 099 Low",
        "HTTP/1.1 1000 High",
        "HTTP/9.9 200 OK",
        "HTTP/1.2 200 OK",
        "HTTP/2 200 OK",
        "http/1.1 200 OK",
        "HTTP 200 OK",
        "SPDY/1.1 200 OK",
        "200 OK",
        " HTTP/1.1 200 OK",
        "\0",
        "\u{feff}HTTP/1.1 200 OK",
        "HTTP/1.1\t200 OK",
        "HTTP/1.1  200 OK",
        "HTTP/1.1 200\0 OK",
        "HTTP/1.1 200 O\0K",
        "GET / HTTP/1.1",
    ];
    all_survived(driver, lines.map(broken));
    all_survived(driver, [Case::new("HTTP/0.9", Answer::raw(CRACKED), Fails(&[Disconnected]))]);
    given_up(driver, "HTTP/0.9", Answer::raw(CRACKED), &[Disconnected]);
}

/// Statuses that nobody has defined, or that do not belong here: none of them is an end, whatever the body says.
pub fn hostile_statuses(driver: &dyn Driver) {
    let rows: [(&[u16], &[LookError]); 4] = [
        // Informational, and no answer comes after it.
        (&[100, 102, 103, 199], &[Disconnected]),
        (&[203, 206, 207, 299, 300, 305, 306, 399], &[Malformed]),
        (&[101], &[Status(101)]),
        (&[599, 600, 700, 999], &[Status(599), Status(600), Status(700), Status(999)]),
    ];
    for (statuses, errors) in rows {
        let case = |status: &u16| {
            Case::new(format!("status {status}"), headed(&format!("HTTP/1.1 {status} So"), CRACKED), Fails(errors))
        };
        all_survived(driver, statuses.iter().map(case));
    }
}

/// Ugly, and still HTTP; or what clients read differently.
pub fn hostile_headers(driver: &dyn Driver) {
    let read = [
        "HTTP/1.1 200",
        "HTTP/1.1 200 ",
        "HTTP/1.0 200 OK",
        "HTTP/1.1 200 \u{e9}\u{e8}",
        "HTTP/1.1 200 OK\r\nX-UPPER: a\r\nx-lower:b\r\nX-uPpEr: c",
        "HTTP/1.1 200 OK\r\nx-spaces: \t  a  \t ",
        "HTTP/1.1 200 OK\r\nx-empty:",
        "HTTP/1.1 200 OK\r\nx-no-ascii: \u{e9}\u{feff}",
        "HTTP/1.1 200 OK\nx-bare: a",
    ];
    all_survived(driver, read.map(|head| Case::new(head, headed(head, FIRED), Read)));
    let refused = [
        "HTTP/1.1 200 OK\r\nx-folded: a\r\n b",
        "HTTP/1.1 200 OK\r\n first: a",
        "HTTP/1.1 200 OK\r\nx-spaced : a",
        "HTTP/1.1 200 OK\r\nx-nul: a\0b",
        "HTTP/1.1 200 OK\r\nx\0: a",
        "HTTP/1.1 200 OK\r\nno colon",
        "HTTP/1.1 200 OK\r\n: no name",
        "HTTP/1.1 200 OK\r\nx y: a",
        "HTTP/1.1 200 OK\r\nx-cr: a\rb",
        "HTTP/1.1 200 OK\r\nx-bell: a\u{7}b",
    ];
    all_survived(driver, refused.map(broken));
}

/// Heads that do not end are left, and not collected.
pub fn endless_heads(driver: &dyn Driver) {
    let endless = |name: &str, head: &str, repeated: &str| {
        let answer = Answer::endless(head, repeated.repeat(16 * 1024 / repeated.len()), NO_PAUSE);
        Case::new(name, answer, Fails(&[Disconnected]))
    };
    all_survived(
        driver,
        [
            endless("one status line", "HTTP/1.1 200 ", "O"),
            endless("one line of no protocol", "", "O"),
            endless("empty lines", "", "\r\n"),
            endless("NULs", "", "\0"),
            endless("the name of a header", OK, "x"),
            endless("the value of a header", "HTTP/1.1 200 OK\r\nx-a: ", "x"),
            endless("headers", OK, "x-a: b\r\n"),
            endless("headers without names", OK, ": b\r\n"),
        ],
    );
}

/// Before an answer there may be others that tell nothing; for ever, they are no answer in time.
pub fn endless_informational_answers(driver: &dyn Driver) {
    let hint = "HTTP/1.1 103 Early Hints\r\nlink: <a>\r\n\r\n";
    let go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    let whole = format!("{OK}content-length: {}\r\n\r\n{FIRED}", FIRED.len());
    all_survived(
        driver,
        [
            Case::new("a few", Answer::raw([go_on, hint, "HTTP/1.1 102 P\r\n\r\n", &whole].concat()), Read),
            Case::new("many", Answer::raw([&hint.repeat(50), whole.as_str()].concat()), Read),
            Case::new("hints without end", Answer::endless("", hint.repeat(400), NO_PAUSE), Fails(&[Expired])).floods(),
            Case::new("continue without end", Answer::endless("", go_on.repeat(600), NO_PAUSE), Fails(&[Expired]))
                .floods(),
            Case::new("continue, slowly", Answer::endless("", go_on, millis(20)), Fails(&[Expired])),
        ],
    );
}

/// Where heads are too large, the limits are the clients' own; nothing beyond them is collected.
pub fn enormous_heads(driver: &dyn Driver) {
    let headers = |count: usize| headed(&format!("{OK}{}", "x-a: b\r\n".repeat(count)), FIRED);
    let one_of = |size: usize| headed(&format!("{OK}x-a: {}", "b".repeat(size)), FIRED);
    all_survived(
        driver,
        [
            Case::new("90 headers", headers(90), Read),
            Case::new("120 headers", headers(120), Either(&[Disconnected])),
            Case::new("thousands of headers", headers(5_000), Fails(&[Disconnected])),
            Case::new("ten thousands of headers", headers(50_000), Fails(&[Disconnected])),
            Case::new("a header of 12 kB", one_of(12_000), Read),
            Case::new("a header of 100 kB", one_of(100_000), Either(&[Disconnected])),
            Case::new("a header of 1 MB", one_of(1_000_000), Fails(&[Disconnected])),
            Case::new("a header of 10 MB", one_of(10_000_000), Fails(&[Disconnected])),
        ],
    );
}

/// One byte at a time: in time it is an answer like any other, and else it is none.
pub fn one_byte_at_a_time(driver: &dyn Driver) {
    let chunked = |body: &str| {
        let chunks = body.chars().map(|byte| format!("1\r\n{byte}\r\n")).collect::<Vec<_>>().concat();
        Answer::raw(format!("{OK}transfer-encoding: chunked\r\n\r\n{chunks}0\r\n\r\n"))
    };
    let (in_time, too_slow) = (millis(1), millis(100));
    all_survived(
        driver,
        [
            Case::new("in time", headed(OK, FIRED).dripped(in_time), Read),
            Case::new("too slow", headed(OK, CRACKED).dripped(too_slow), Fails(&[Expired])),
            Case::new("chunks in time", chunked(FIRED).dripped(in_time), Read),
            Case::new("chunks, too slow", chunked(CRACKED).dripped(too_slow), Fails(&[Expired])),
        ],
    );
}
