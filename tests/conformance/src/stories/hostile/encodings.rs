//! Compressed bodies. Both clients accept gzip and nothing else: what comes in another encoding is not decoded.

use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use jobwatch::LookError::{Disconnected, Malformed, TooLarge};

use super::Verdict::{Fails, Read};
use super::{CRACKED, Case, FIRED, NO_PAUSE, all_survived, setup};
use crate::kiln::firing;
use crate::{Answer, Driver, HANG_GUARD, Server};

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n";

fn encoded(encoding: &str, body: impl Into<Vec<u8>>) -> Answer {
    Answer::status(200).header("content-encoding", encoding).body(body)
}

fn gzip(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes.as_ref()).expect("memory can be written to");
    encoder.finish().expect("memory can be written to")
}

/// 32 MiB of nothing, which travel in 32 KiB.
fn nothing() -> Vec<u8> {
    vec![b' '; 32 * 1024 * 1024]
}

/// However little travels: what comes of it is bounded, in whichever encoding, however often wrapped.
pub fn bombs(driver: &dyn Driver) {
    let bomb = gzip(nothing());
    let mut deflate = DeflateEncoder::new(Vec::new(), Compression::best());
    deflate.write_all(&nothing()).expect("memory can be written to");
    let deflate = deflate.finish().expect("memory can be written to");
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::best());
    zlib.write_all(&nothing()).expect("memory can be written to");
    let zlib = zlib.finish().expect("memory can be written to");
    // The first meta-block of this brotli stream, and the header of this zstd frame, announce a lot.
    let (brotli, zstd) =
        (b"\xff\xff\xff\xff\xff\x0f".repeat(1_000), b"\x28\xb5\x2f\xfd\xa0\xff\xff\xff\xff".repeat(1_000));
    let malformed = Fails(&[Malformed]);
    all_survived(
        driver,
        [
            Case::new("gzip", encoded("gzip", bomb.clone()), Fails(&[TooLarge])),
            Case::new("GZIP", encoded("GZIP", bomb.clone()), Fails(&[TooLarge])),
            Case::new("x-gzip", encoded("x-gzip", bomb.clone()), Fails(&[Malformed])),
            Case::new(
                "the end behind a bomb",
                encoded("gzip", [gzip(CRACKED), bomb.clone()].concat()),
                Fails(&[TooLarge]),
            ),
            Case::new("deflate", encoded("deflate", deflate), malformed),
            Case::new("zlib", encoded("deflate", zlib), malformed),
            Case::new("brotli", encoded("br", brotli), malformed),
            Case::new("zstd", encoded("zstd", zstd), malformed),
            Case::new("gzip within gzip", encoded("gzip", gzip(&bomb)), malformed),
            Case::new("gzip, gzip", encoded("gzip, gzip", gzip(&bomb)), malformed),
            Case::new("gzip twice", encoded("gzip", gzip(&bomb)).header("content-encoding", "gzip"), malformed),
            Case::new("gzip, br", encoded("gzip, br", bomb.clone()), malformed),
            Case::new("br, gzip", encoded("br, gzip", bomb), malformed),
        ],
    );
}

/// What is no gzip, or not all of it, is malformed, and not taken for a broken connection.
pub fn corrupt_encodings(driver: &dyn Driver) {
    let good = gzip(CRACKED);
    let cut = |bytes: usize| good[..good.len() - bytes].to_vec();
    let flipped = |place: usize| {
        let mut bytes = good.clone();
        bytes[place] ^= 0x55;
        bytes
    };
    let long_name = [&b"\x1f\x8b\x08\x08\0\0\0\0\0\xff"[..], &vec![b'a'; 60_000]].concat();
    let rows = [
        ("half a header", good[..5].to_vec()),
        ("a header alone", good[..10].to_vec()),
        ("half a body", cut(12)),
        ("no trailer", cut(8)),
        ("half a trailer", cut(3)),
        ("another magic number", flipped(0)),
        ("another method", flipped(2)),
        ("reserved flags", flipped(3)),
        ("a broken body", flipped(14)),
        ("a wrong checksum", flipped(good.len() - 6)),
        ("a wrong length", flipped(good.len() - 2)),
        ("plain text", CRACKED.into()),
        ("zeros", vec![0; 100]),
        ("a name without end", long_name),
        ("garbage afterwards", [&good[..], b"garbage"].concat()),
        ("half a member afterwards", [&good[..], &good[..12]].concat()),
    ];
    all_survived(driver, rows.map(|(name, bytes)| Case::new(name, encoded("gzip", bytes), Fails(&[Malformed]))));
    // Within the encoding it is the connection that breaks.
    let broken = [HEAD.replace("\r\n\r\n", "\r\ncontent-length: 500\r\n\r\n").as_bytes(), &cut(9)].concat();
    all_survived(
        driver,
        [
            Case::new("a connection that breaks", Answer::raw(broken.clone()), Fails(&[Disconnected])),
            Case::new("a connection that is reset", Answer::raw(broken).then_reset(), Fails(&[Disconnected])),
        ],
    );
}

/// Names of encodings that do no harm.
pub fn odd_encodings(driver: &dyn Driver) {
    let malformed = Fails(&[Malformed]);
    all_survived(
        driver,
        [
            Case::new("gzip", encoded("gzip", gzip(FIRED)), Read),
            Case::new("GZIP", encoded("GZIP", gzip(FIRED)), Read),
            Case::new("identity", encoded("identity", FIRED), Read),
            Case::new("identity of gzip", encoded("identity", gzip(CRACKED)), malformed),
            Case::new("an unknown one of plain text", encoded("nonsense", FIRED), Read),
            Case::new("brotli, which nobody asked for", encoded("br", gzip(CRACKED)), malformed),
        ],
    );
}

/// Encoded bytes of which nothing comes do not go on for ever either.
pub fn endless_encodings(driver: &dyn Driver) {
    let endless = |name: &str, begin: &[u8], repeated: &[u8]| {
        let head = [HEAD.as_bytes(), begin].concat();
        let answer = Answer::endless(head, repeated.repeat(16 * 1024 / repeated.len()), NO_PAUSE);
        Case::new(name, answer, Fails(&[TooLarge, Malformed]))
    };
    let header = b"\x1f\x8b\x08\0\0\0\0\0\0\xff";
    let named = b"\x1f\x8b\x08\x08\0\0\0\0\0\xff";
    let empty_block = b"\0\0\0\xff\xff";
    all_survived(
        driver,
        [
            endless("a bomb", &gzip(CRACKED)[..10], &[0xed, 0xc1, 0x01, 0x01]),
            endless("the name of a file", named, b"x"),
            endless("empty blocks", header, empty_block),
            endless("empty members", &gzip(CRACKED), &gzip("")),
        ],
    );
}

/// All members of a body count (RFC 1952 §2.2): a client that stops at the first tells half of it as the whole.
pub fn regression_half_a_body_of_two_members_was_read(driver: &dyn Driver) {
    let server = Server::start();
    let (half, other) = FIRED.split_at(20);
    server.on("/firings/a", [encoded("gzip", [gzip(half), gzip(other)].concat())]);
    server.on("/vase", [encoded("gzip", [gzip("half a vase, "), gzip(""), gzip("and the other half")].concat())]);
    let client = driver.client(setup(&server));
    let done = client.wait(&firing("a"));
    assert_eq!((done.requests, done.failed_requests, done.result), (1, 0, Some("a vase".into())));
    let mut sink = Vec::new();
    let fetched = client.download(&format!("{}/vase", server.url()), &mut sink, HANG_GUARD);
    assert_eq!((fetched, &sink[..]), (Ok(31), &b"half a vase, and the other half"[..]));
}
