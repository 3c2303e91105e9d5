//! Lengths, chunks, and what comes after them.

use jobwatch::LookError::{Disconnected, Expired, Malformed, TooLarge};

use super::Verdict::{self, Either, Fails, Read, Unfinished};
use super::{CRACKED, Case, FIRED, NO_PAUSE, all_survived};
use crate::kiln::{firing, giving_up_after, millis};
use crate::{Answer, Driver, HANG_GUARD, Server};

const OK: &str = "HTTP/1.1 200 OK\r\n";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

/// An answer whose headers may say of its body what is not so; it says the wrong end where it must not be read.
fn framed(headers: &str, verdict: Verdict) -> Case {
    let body = if matches!(verdict, Fails(_)) { CRACKED } else { FIRED };
    let headers = headers.replace('$', &body.len().to_string());
    Case::new(headers.replace("\r\n", ", "), Answer::raw(format!("{OK}{headers}\r\n\r\n{body}")), verdict)
}

/// The same with a body in chunks: `$` is the size of the one and `@` the one itself.
fn chunked(headers: &str, body: &str, verdict: Verdict) -> Case {
    let chunk = if matches!(verdict, Fails(_)) { CRACKED } else { FIRED };
    let name = format!("{headers} {body:.100}");
    let body = body.replace('$', &format!("{:x}", chunk.len())).replace('@', chunk);
    Case::new(name, Answer::raw(format!("{OK}{headers}\r\n\r\n{body}")), verdict)
}

/// A `Content-Length` that lies: too long, too short, no number, or more than one.
pub fn hostile_lengths(driver: &dyn Driver) {
    let broken = Fails(&[Disconnected]);
    let nines = "9".repeat(100);
    all_survived(
        driver,
        [
            framed("content-length: 500", broken),
            framed("content-length: 36", Fails(&[Malformed])),
            framed("content-length: 0", Fails(&[Malformed])),
            framed("content-length: -1", broken),
            framed("content-length: +$", broken),
            framed("content-length: 0x25", broken),
            framed("content-length: many", broken),
            framed("content-length:", broken),
            framed("content-length: $.0", broken),
            framed("content-length: 18446744073709551616", broken),
            framed("content-length: 18446744073709551615", broken),
            framed("content-length: 9223372036854775808", broken),
            framed(&format!("content-length: {nines}"), broken),
            framed("content-length: $\r\ncontent-length: 38", broken),
            framed("content-length: 36\r\ncontent-length: $", broken),
            framed("content-length: $, 5", broken),
            framed("content-length: $\r\ncontent-length: $", Read),
            framed("content-length: $, $", Either(&[Disconnected])),
        ],
    );
    let waits = |case: Case| Case { answer: case.answer.then_hang(), ..case };
    all_survived(driver, [waits(framed("content-length: 500", Fails(&[Expired])))]);
}

/// Bodies whose length nobody tells end with the connection, if it ends well.
pub fn bodies_without_a_length(driver: &dyn Driver) {
    let headers = "x-length: none";
    all_survived(
        driver,
        [
            framed(headers, Read),
            Case { answer: framed(headers, Fails(&[])).answer.then_hang(), ..framed(headers, Fails(&[Expired])) },
            Case { answer: framed(headers, Fails(&[])).answer.then_reset(), ..framed(headers, Fails(&[Disconnected])) },
            framed("transfer-encoding: identity", Read),
            framed("transfer-encoding: xchunked", Either(&[Disconnected, Malformed])),
        ],
    );
}

/// A reset is no end of a body: ureq takes it for one where nobody told the length.
pub fn regression_reset_was_taken_for_the_end_of_a_body(driver: &dyn Driver) {
    let server = Server::start();
    let cut = Answer::raw("HTTP/1.1 200 OK\r\n\r\nhalf a vase").then_reset();
    server.on("/firings/a", [cut.clone()]);
    server.on("/vase", [cut]);
    let client = driver.client(super::setup(&server).policy(giving_up_after(1)));
    let done = client.wait(&firing("a"));
    assert_eq!(done.last_error, Some(Disconnected), "{done:?}");
    let mut sink = Vec::new();
    let fetched = client.download(&format!("{}/vase", server.url()), &mut sink, HANG_GUARD);
    assert_eq!(fetched.map_err(|error| error.error), Err(Disconnected), "half a vase is no vase");
}

/// `Transfer-Encoding` beside a length, or of another kind.
pub fn hostile_transfer_encodings(driver: &dyn Driver) {
    let body = "$\r\n@\r\n0\r\n\r\n";
    let either = Either(&[Disconnected, Malformed]);
    all_survived(
        driver,
        [
            chunked("transfer-encoding: chunked\r\ncontent-length: 3", body, either),
            chunked("content-length: 3\r\ntransfer-encoding: chunked", body, either),
            chunked("transfer-encoding: chunked\r\ntransfer-encoding: chunked", body, either),
            chunked("transfer-encoding: gzip, chunked", body, either),
            chunked("transfer-encoding: chunked, gzip", body, either),
            chunked("transfer-encoding: xchunked", body, Fails(&[Disconnected, Malformed])),
            framed("content-length: $\r\ntransfer-encoding: chunked", Fails(&[Disconnected])),
            framed("transfer-encoding: chunked", Fails(&[Disconnected])),
        ],
    );
    let old =
        format!("HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{CRACKED}\r\n0\r\n\r\n", CRACKED.len());
    all_survived(driver, [Case::new("HTTP/1.0 in chunks", Answer::raw(old), Fails(&[Disconnected, Malformed]))]);
}

/// Chunks whose sizes lie, and what may come with them.
pub fn hostile_chunks(driver: &dyn Driver) {
    let te = "transfer-encoding: chunked";
    let broken = Fails(&[Disconnected]);
    let either = Either(&[Disconnected]);
    let trailers = format!("$\r\n@\r\n0\r\n{}\r\n", "x: y\r\n".repeat(1_000));
    let large_trailer = format!("$\r\n@\r\n0\r\nx: {}\r\n\r\n", "y".repeat(100_000));
    let large_extension = format!("$;{}\r\n@\r\n0\r\n\r\n", "y".repeat(100_000));
    all_survived(
        driver,
        [
            chunked(te, "$\r\n@\r\n0\r\n\r\n", Read),
            chunked(te, "$;a=b\r\n@\r\n0;c\r\n\r\n", Read),
            chunked(te, "$\r\n@\r\n0\r\nx: y\r\n\r\n", Read),
            chunked(te, "0000000$\r\n@\r\n000\r\n\r\n", Read),
            chunked(te, "-$\r\n@\r\n0\r\n\r\n", broken),
            chunked(te, "+$\r\n@\r\n0\r\n\r\n", either),
            chunked(te, "0x$\r\n@\r\n0\r\n\r\n", broken),
            chunked(te, "size\r\n@\r\n0\r\n\r\n", broken),
            chunked(te, "\r\n@\r\n0\r\n\r\n", broken),
            chunked(te, "10000000000000000\r\n@\r\n0\r\n\r\n", broken),
            chunked(te, "ffffffffffffffff\r\n@\r\n0\r\n\r\n", broken),
            chunked(te, "8000000000000000\r\n@\r\n0\r\n\r\n", broken),
            chunked(te, "$\n@\n0\n\n", either),
            chunked(te, "$\r\n@0\r\n\r\n", broken),
            chunked(te, "24\r\n@\r\n0\r\n\r\n", broken),
            chunked(te, "$\r\n@\r\n", broken),
            chunked(te, "$\r\n@\r\n0\r\n", either),
            chunked(te, "$\r\n@\r\n0\r\nnonsense\r\n\r\n", either),
            chunked(te, &trailers, either),
            chunked(te, &large_trailer, either),
            chunked(te, &large_extension, either),
        ],
    );
    let waits = |case: Case| Case { answer: case.answer.then_hang(), ..case };
    all_survived(driver, [waits(chunked(te, "$\r\n@\r\n", Fails(&[Expired])))]);
}

/// Bodies that do not end are left at the limit, and framing that does not end is not collected.
pub fn endless_bodies(driver: &dyn Driver) {
    let sixteen = |bytes: &str| bytes.repeat(16 * 1024 / bytes.len());
    let endless = |name: &str, head: &str, repeated: String, errors| {
        Case::new(name, Answer::endless(head, repeated, NO_PAUSE), Fails(errors))
    };
    let (large, broken) = (&[TooLarge], &[Disconnected, Expired]);
    let last = format!("{CHUNKED}{:x}\r\n{CRACKED}\r\n0\r\n", CRACKED.len());
    let sized = format!("{OK}content-length: 1099511627776\r\n\r\n");
    all_survived(
        driver,
        [
            endless("with a length", &sized, sixteen(" "), large),
            endless("without a length", &format!("{OK}\r\n"), sixteen(" "), large),
            endless("large chunks", CHUNKED, format!("4000\r\n{}\r\n", sixteen(" ")), large),
            endless("chunks of one byte", CHUNKED, sixteen("1\r\n \r\n"), large),
            endless("an extension", &format!("{CHUNKED}13;"), sixteen("x"), broken),
            endless("extensions of small chunks", CHUNKED, format!("1;{}\r\n \r\n", "x".repeat(8_000)), broken),
            endless("a trailer", &format!("{last}x: "), sixteen("x"), broken),
            endless("trailers", &last, sixteen("x: y\r\n"), broken).floods(),
        ],
    );
}

/// Bodies that do not end in time are no answer.
pub fn slow_bodies(driver: &dyn Driver) {
    let last = format!("{CHUNKED}{:x}\r\n{CRACKED}\r\n0\r\n", CRACKED.len());
    let slowly = |name: &str, head: &str, repeated: &str| {
        Case::new(name, Answer::endless(head, repeated, millis(20)), Fails(&[Expired]))
    };
    all_survived(
        driver,
        [
            slowly("chunks, slowly", CHUNKED, "1\r\n \r\n"),
            slowly("an extension, slowly", &format!("{CHUNKED}13;"), "x"),
            // At full speed it would be a test of how fast a client reads zeros.
            slowly("the size of a chunk, slowly", CHUNKED, "0000000000"),
            slowly("trailers, slowly", &last, "x: y\r\n"),
        ],
    );
}

/// Statuses that have no body: what comes all the same is no answer to the next request.
pub fn bodies_where_none_belongs(driver: &dyn Driver) {
    let whole = format!("{OK}content-length: {}\r\n\r\n{CRACKED}", CRACKED.len());
    let rests = [
        format!("content-length: {}\r\n\r\n{CRACKED}", CRACKED.len()),
        format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n{CRACKED}\r\n0\r\n\r\n", CRACKED.len()),
        format!("\r\n{CRACKED}"),
        format!("\r\n{whole}"),
        format!("content-encoding: gzip\r\n\r\n{whole}"),
    ];
    for rest in rests {
        for (status, verdict) in [(204, Fails(&[Malformed])), (304, Unfinished)] {
            let answer = Answer::raw(format!("HTTP/1.1 {status} No Body\r\n{rest}")).then_keep_open();
            all_survived(driver, [Case::new(format!("{status} {rest}"), answer, verdict)]);
        }
    }
}
