//! What would need TLS, or no socket at all, to be told of a driver: told of the core that every driver obeys.

use http::{HeaderMap, Response, StatusCode};
use jobwatch::driver::Download;
use jobwatch::{Backend, Dialect, JobRef, LookError, Outcome, Policy, Timestamp, Watch, WatchAction};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

/// A backend behind TLS, where plain origins are allowed, its own host's among them.
fn backend() -> Backend {
    let kiln = r#"
        name = "kiln"
        poll.path = "/firings/{id}"
        state = { pointer = "/state", running = ["heating"], succeeded = ["fired"] }
        result = { pointer = "/result", follow = "/more" }
        cancel = { url = "/stop" }
        trust.allowed_origins = ["http://kiln.example", "http://other.example", "https://other.example"]
    "#;
    let dialect = Dialect::from_toml(kiln).expect("it is well-formed");
    let backend = Backend::new(dialect, Some("https://kiln.example")).expect("it has an address");
    backend.with_header("x-api-key", "sesame").expect("it is a header")
}

/// The next address that a wait asks; else its outcome, its error and its result.
type Next = Result<String, (Outcome, Option<LookError>, Option<String>)>;

/// Where a wait asks first, and where it asks after this answer; else how it ends.
fn asked_after(answer: &Response<&str>) -> (String, Next) {
    let job = JobRef::new("a").expect("it is an id");
    let mut watch = Watch::new(backend(), Policy::default(), job, NOW, &mut ChaCha8Rng::seed_from_u64(1));
    let (mut now, mut first) = (NOW, None);
    loop {
        match watch.poll(now) {
            WatchAction::Sleep { until, .. } => now = until,
            WatchAction::Send { id, request, .. } => {
                let asked = request.uri().to_string();
                match first {
                    Some(first) => return (first, Ok(asked)),
                    None => first = Some(asked),
                }
                watch.handle_response(now, id, answer);
            }
            WatchAction::Finished(done) => {
                let result = done.result.map(|result| result.to_string());
                return (first.unwrap_or_default(), Err((done.outcome, done.last_error, result)));
            }
        }
    }
}

/// By no way that an answer can point does a wait leave TLS.
#[test]
fn https_never_becomes_http() {
    let to = |status: u16, address: &str| {
        Response::builder().status(status).header("location", address).body("").expect("it is an answer")
    };
    let at_home = "https://kiln.example/firings/a".to_owned();
    for plain in ["http://kiln.example/firings/a", "http://other.example/a"] {
        for status in [301, 302, 303, 307, 308] {
            let (first, next) = asked_after(&to(status, plain));
            assert_eq!(first, at_home);
            assert_eq!(next, Err((Outcome::Rejected, Some(LookError::ForeignOrigin), None)));
        }
        assert_eq!(asked_after(&to(202, plain)).1, Ok(at_home.clone()), "the old address goes on serving");
        let more = format!(r#"{{"state":"fired","more":"{plain}"}}"#);
        let answer = Response::new(more.as_str());
        let told = format!("{plain:?}");
        assert_eq!(asked_after(&answer).1, Err((Outcome::Succeeded, None, Some(told))), "it is told, not asked");
    }
    // What is allowed and safe is followed.
    let safe = "https://other.example/a";
    for status in [302, 202] {
        assert_eq!(asked_after(&to(status, safe)).1, Ok(safe.to_owned()));
    }
    assert_eq!(asked_after(&to(302, "//other.example/a")).1, Ok(safe.to_owned()), "the scheme is kept");
}

/// A download may go abroad, but not from TLS to no TLS: neither at once nor by a redirect.
#[test]
fn downloads_never_leave_tls() {
    assert_eq!(
        Download::new(&backend(), "http://cdn.example/vase").map(drop).map_err(|error| error.error),
        Err(LookError::ForeignOrigin)
    );
    let mut download = Download::new(&backend(), "https://cdn.example/vase").expect("it may go there");
    assert!(download.request().headers().get("x-api-key").is_none());
    let mut headers = HeaderMap::new();
    headers.insert("location", "http://cdn.example/vase".parse().expect("it is a value"));
    let failed = download.handle_head(StatusCode::FOUND, &headers).expect_err("that is plain");
    assert_eq!(failed.error, LookError::ForeignOrigin);
}

/// A download can be printed without the signature in its address.
#[test]
fn downloads_hide_queries() {
    let download = Download::new(&backend(), "https://cdn.example/vase?sig=s3cret").expect("it may go there");
    assert!(!format!("{download:?}").contains("s3cret"));
}
