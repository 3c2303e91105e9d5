//! Where credentials go, where requests go, and what an id can do to an address.

use http_support::{START, World, dialect, every_second, job, reply, rng, script, state};
use jobwatch::driver::{Download, DownloadStep};
use jobwatch::{Backend, Dialect, JobRef, LookError, Outcome, Watch, WatchAction};

use crate::http_support;

fn at(base: &str, keys: &str) -> Backend {
    let text = format!("name = \"t\"\n{keys}\nstate.status = {{ 200 = \"succeeded\" }}");
    Backend::new(dialect(&text), Some(base)).unwrap().with_header("x-api-key", "hush").unwrap()
}

/// Where the first look goes; `None` where it may not go.
fn asked(backend: &Backend, job: JobRef) -> Option<String> {
    let mut watch = Watch::new(backend, every_second().build().unwrap(), job, START, &mut rng(1));
    match watch.poll(START) {
        WatchAction::Send { request, .. } => {
            assert_eq!(request.headers()["x-api-key"], "hush");
            Some(request.uri().to_string())
        }
        WatchAction::Finished(finished) => {
            assert_eq!((finished.outcome, finished.requests), (Outcome::Rejected, 0));
            None
        }
        action @ WatchAction::Sleep { .. } => panic!("{action:?}"),
    }
}

mod ids {
    use super::*;

    #[test]
    fn an_id_that_is_a_path_keeps_its_slashes_and_climbs_nowhere() {
        let backend = at("https://api.example.com/v1", "poll.path = \"/{+id}\"");
        for (id, url) in [
            ("projects/p/operations/7", Some("https://api.example.com/v1/projects/p/operations/7")),
            ("a:b@c", Some("https://api.example.com/v1/a:b@c")),
            ("a?b=c&d#e", Some("https://api.example.com/v1/a%3Fb=c&d%23e")),
            ("a/%2e%2e/b", Some("https://api.example.com/v1/a/%252e%252e/b")),
            ("a\\..\\b", Some("https://api.example.com/v1/a%5C..%5Cb")),
            ("/evil.example/x", Some("https://api.example.com/v1//evil.example/x")),
            ("a//b", Some("https://api.example.com/v1/a//b")),
            ("...", Some("https://api.example.com/v1/...")),
            ("..a/b..", Some("https://api.example.com/v1/..a/b..")),
            ("../../admin", None),
            ("a/../b", None),
            ("a/..", None),
            ("./a", None),
            ("a/.", None),
        ] {
            assert_eq!(asked(&backend, job(id)).as_deref(), url, "{id}");
        }
    }

    #[test]
    fn a_base_without_a_path_does_not_let_an_id_name_a_host() {
        let backend = at("https://api.example.com", "poll.path = \"/{+id}\"");
        assert_eq!(asked(&backend, job("/evil.example/x")).as_deref(), Some("https://api.example.com//evil.example/x"));
        assert_eq!(asked(&backend, job("@evil.example")).as_deref(), Some("https://api.example.com/@evil.example"));
    }

    #[test]
    fn regression_an_id_in_the_query_adds_no_parameter() {
        let backend = at("https://api.example.com/v1", "poll.path = \"?name={+id}&full=1\"");
        for (id, query) in [
            ("a/b", "name=a/b&full=1"),
            ("a&full=0", "name=a%26full%3D0&full=1"),
            ("a+b;c", "name=a%2Bb%3Bc&full=1"),
            ("a#b", "name=a%23b&full=1"),
        ] {
            assert_eq!(asked(&backend, job(id)), Some(format!("https://api.example.com/v1?{query}")), "{id}");
        }
    }

    #[test]
    fn a_plain_id_is_one_segment() {
        let backend = at("https://api.example.com/v1", "poll.path = \"/jobs/{id}/state\"");
        for (id, segment) in
            [("a/b", "a%2Fb"), ("../x", "..%2Fx"), ("a?b#c", "a%3Fb%23c"), ("é", "%C3%A9"), ("%2e", "%252e")]
        {
            assert_eq!(asked(&backend, job(id)), Some(format!("https://api.example.com/v1/jobs/{segment}/state")));
        }
    }
}

/// Whose answer it is: `poll.id`.
mod strangers {
    use core::time::Duration;

    use http::Request;
    use jobwatch::{Fleet, FleetEvent};

    use super::*;

    fn kiln() -> Backend {
        let text = "name = \"t\"\npoll.path = \"/jobs/{id}\"\npoll.id = [\"/job/id\", { header = \"x-job\" }]\n\
                    state.pointer = \"/state\"\nstate.running = [\"up\"]\nstate.succeeded = [\"done\"]\n\
                    state.failed = [\"broken\"]\nstate.cancelled = [\"cut\"]\nstate.lost = [\"gone\"]\n\
                    state.status = { 404 = \"failed\" }\n\
                    bulk = { path = \"/jobs?ids={ids}\", max = 9, items = \"\", id = \"/id\", detail = true, \
                    state = { pointer = \"/state\", succeeded = [\"done\"] } }";
        Backend::new(dialect(text), Some("https://api.example.com/v1")).unwrap()
    }

    /// Whether this answer to a look at a job ends the wait for it, or is at least an answer about it.
    fn is_believed(job: &JobRef, status: u16, headers: &[(&str, &str)], body: &str) -> bool {
        let (first, mut later) = (reply(status, headers, body), Vec::new());
        later.extend([first, reply(200, &[], r#"{"state":"broken"}"#)]);
        let finished = World::new(script(later)).wait(&kiln(), every_second(), job.clone());
        finished.failed_requests == 0
    }

    #[test]
    fn regression_an_answer_about_another_job_was_believed() {
        for word in ["up", "done", "broken", "cut", "gone", "?"] {
            let about = |id: &str| format!(r#"{{"job":{{"id":{id}}},"state":"{word}"}}"#);
            for own in [r#""a1""#, r#""A1""#, "null", "[]", "{}"] {
                assert!(is_believed(&job("a1"), 200, &[], &about(own)), "{word} {own}");
            }
            for other in [r#""a2""#, r#""""#, r#"" a1""#, r#""a1\u0000""#, "1", "true"] {
                assert!(!is_believed(&job("a1"), 200, &[], &about(other)), "{word} {other}");
            }
            assert!(is_believed(&job("7"), 200, &[], &about("7")), "{word}");
            assert!(
                !is_believed(&job("7"), 200, &[], &about("8")) && !is_believed(&job("7"), 200, &[], &about("7.5e1"))
            );
            // No double is as exact as that.
            assert!(is_believed(&job("123456789012345678901"), 200, &[], &about("123456789012345678901")), "{word}");
            let named = job("https://api.example.com/v1/jobs/a1");
            assert!(is_believed(&named, 200, &[], &about(r#""a1""#)), "an address names no id: {word}");
        }
        let (own, other) = ([("x-job", "a1")], [("x-job", "a2")]);
        for status in [200, 202, 404, 410] {
            assert!(is_believed(&job("a1"), status, &own, r#"{"state":"done"}"#), "{status}");
            assert!(!is_believed(&job("a1"), status, &other, r#"{"state":"done"}"#), "{status}");
        }
    }

    #[test]
    fn what_is_said_of_the_request_stands_whatever_job_it_names() {
        let other = r#"{"job":{"id":"b"},"state":"done"}"#;
        let policy = every_second().with_max_polls(1).build().unwrap();
        for (status, error) in
            [(429, LookError::Status(429)), (503, LookError::Status(503)), (200, LookError::Malformed)]
        {
            let told = reply(status, &[("retry-after", "5"), ("ratelimit", "\"a\";r=0;t=7")], other);
            let mut watch = Watch::new(kiln(), policy.clone(), job("a"), START, &mut rng(1));
            let finished = World::new(script(vec![told])).drive(&mut watch);
            assert_eq!((finished.outcome, finished.last_error), (Outcome::TimedOut, Some(error)), "{status}");
        }
    }

    /// What a list tells of a job stands, and the answer that was to bring its result is another's.
    #[test]
    fn the_detail_of_a_list_is_held_to_it_too() {
        let mut asked = Vec::new();
        let mixed_up = move |request: &Request<Vec<u8>>, _: Duration| {
            let id = match request.uri().path() {
                "/v1/jobs/a" => "a",
                "/v1/jobs/b" => "b",
                _ => return reply(200, &[], r#"[{"id":"a","state":"done"},{"id":"b","state":"done"}]"#),
            };
            asked.push(id);
            let first = asked.iter().filter(|known| **known == id).count() == 1;
            let id = if first { "the other" } else { id };
            reply(200, &[], &format!(r#"{{"job":{{"id":"{id}"}},"state":"done"}}"#))
        };
        let policy = every_second().build().unwrap();
        let mut fleet = Fleet::new(kiln().into(), policy.into(), &mut rng(1));
        for id in ["a", "b"] {
            fleet.insert(job(id), START);
        }
        let mut world = World::new(mixed_up);
        let ends = world.drive_fleet(&mut fleet).into_iter().filter_map(|event| match event {
            FleetEvent::Finished { finished, .. } => Some((finished.outcome, finished.failed_requests)),
            _ => None,
        });
        assert_eq!(ends.collect::<Vec<_>>(), [(Outcome::Succeeded, 1); 2]);
    }
}

mod origins {
    use super::*;

    /// Whether a job that is named by this address is asked for.
    fn is_asked(base: &str, keys: &str, url: &str) -> bool {
        let backend = at(base, &format!("poll.path = \"/{{id}}\"\n{keys}"));
        asked(&backend, job(url)).is_some()
    }

    #[test]
    fn scheme_host_and_port_are_the_origin() {
        let https = "https://api.example.com/v1";
        for (url, trusted) in [
            ("https://api.example.com/v1/jobs/7", true),
            ("https://api.example.com/elsewhere", true),
            ("https://API.Example.COM/x", true),
            ("https://api.example.com:443/x", true),
            ("https://api.example.com:8443/x", false),
            ("http://api.example.com/x", false),
            ("http://api.example.com:443/x", false),
            ("https://api.example.com./x", false),
            ("https://example.com/x", false),
            ("https://eu.api.example.com/x", false),
            ("https://api.example.com.evil.example/x", false),
            ("https://user@api.example.com/x", false),
            ("https://:pass@api.example.com/x", false),
            ("https://user:pass@api.example.com/x", false),
            ("https://api.example.com@evil.example/x", false),
            ("https://evil.example/https://api.example.com/", false),
            ("https://evil.example#@api.example.com/", false),
            ("https://evil.example\\@api.example.com/", false),
        ] {
            assert_eq!(is_asked(https, "", url), trusted, "{url}");
        }
        assert!(is_asked("http://127.0.0.1:5000", "", "http://127.0.0.1:5000/x"));
        assert!(is_asked("http://127.0.0.1:5000", "", "http://2130706433:5000/x"), "the same address in another dress");
        assert!(!is_asked("http://127.0.0.1:5000", "", "http://localhost:5000/x"));
        assert!(!is_asked("http://127.0.0.1:5000", "", "https://127.0.0.1:5000/x"));
    }

    #[test]
    fn other_origins_are_trusted_by_name_and_never_below_https() {
        let keys = "trust.allowed_origins = [\"https://eu.example.com/ignored/path\", \"http://plain.example.com\"]";
        assert!(is_asked("https://api.example.com", keys, "https://eu.example.com/x"));
        assert!(!is_asked("https://api.example.com", keys, "https://eu.example.com:8443/x"));
        assert!(!is_asked("https://api.example.com", keys, "http://eu.example.com/x"));
        assert!(!is_asked("https://api.example.com", keys, "http://plain.example.com/x"), "from https to http");
        assert!(is_asked("http://api.example.com", keys, "http://plain.example.com/x"));
        assert!(is_asked("http://api.example.com", keys, "https://eu.example.com/x"));
    }

    #[test]
    fn no_answer_leads_from_https_to_http() {
        let keys = "poll.path = \"/{id}\"\ntrust.allowed_origins = [\"https://eu.example.com\"]";
        let up_and_down = vec![
            reply(302, &[("location", "https://eu.example.com/a")], ""),
            reply(302, &[("location", "http://api.example.com/a")], ""),
            state("done"),
        ];
        let mut world = World::new(script(up_and_down));
        let finished = world.wait(&at("http://api.example.com", keys), every_second(), job("a"));
        assert_eq!((finished.outcome, finished.last_error), (Outcome::Rejected, Some(LookError::ForeignOrigin)));
        assert_eq!(world.urls(), ["http://api.example.com/a", "https://eu.example.com/a"]);
    }
}

mod downloads {
    use super::*;

    fn backend(base: &str) -> Backend {
        Backend::new(Dialect::tracker(), Some(base)).unwrap().with_header("x-api-key", "hush").unwrap()
    }

    fn begin(base: &str, url: &str) -> Result<String, LookError> {
        let download = Download::new(&backend(base), url).map_err(|error| error.error)?;
        let request = download.request();
        assert_eq!(
            (request.method(), request.headers().len(), &request.headers()["accept"]),
            (&http::Method::GET, 1, &"*/*".parse().unwrap())
        );
        Ok(request.uri().to_string())
    }

    /// The head of an answer with this status and address.
    fn step(download: &mut Download, status: u16, to: Option<&str>) -> Result<bool, LookError> {
        let head = http_support::response(status, &to.map(|to| ("location", to)).into_iter().collect::<Vec<_>>(), "");
        let step = download.handle_head(head.status(), head.headers());
        step.map(|step| matches!(step, DownloadStep::Body)).map_err(|error| error.error)
    }

    #[test]
    fn a_result_is_fetched_from_anywhere_without_a_header_of_the_backends() {
        for (url, to) in [
            ("https://cdn.example/v.mp4?sig=abc#t", "https://cdn.example/v.mp4?sig=abc"),
            ("//cdn.example/v", "https://cdn.example/v"),
            ("/v1/files/7", "https://api.example.com/v1/files/7"),
            ("files/7", "https://api.example.com/files/7"),
            ("https://cdn.example:8443/v", "https://cdn.example:8443/v"),
        ] {
            assert_eq!(begin("https://api.example.com/v1", url).as_deref(), Ok(to), "{url}");
        }
        assert_eq!(begin("http://127.0.0.1:5000", "http://cdn.example/v").as_deref(), Ok("http://cdn.example/v"));
    }

    #[test]
    fn what_is_no_address_of_a_result() {
        let base = "https://api.example.com";
        assert_eq!(begin(base, "http://cdn.example/v"), Err(LookError::ForeignOrigin));
        for url in [
            "ftp://cdn.example/v",
            "file:///etc/passwd",
            "data:,x",
            "javascript:x",
            "https://u:p@cdn.example/",
            "https://u@cdn.example/",
            "https://[::1",
        ] {
            assert_eq!(begin(base, url), Err(LookError::BadUrl), "{url}");
        }
    }

    #[test]
    fn redirects_lead_on_to_a_body() {
        let mut download = Download::new(&backend("http://127.0.0.1:5000"), "/v").unwrap();
        assert_eq!(step(&mut download, 302, Some("w?x=1")), Ok(false));
        assert_eq!(download.request().uri(), "http://127.0.0.1:5000/w?x=1");
        assert_eq!(step(&mut download, 308, Some("https://cdn.example/v")), Ok(false));
        assert_eq!(step(&mut download, 307, Some("http://cdn.example/v")), Err(LookError::ForeignOrigin));
        assert_eq!(step(&mut download, 200, None), Ok(true));
        assert_eq!(download.request().uri(), "https://cdn.example/v");
    }

    #[test]
    fn other_statuses_bring_no_body() {
        for status in [201, 202, 204, 206, 300, 304, 401, 403, 404, 416, 429, 500, 503] {
            let mut download = Download::new(&backend("https://api.example.com"), "/v").unwrap();
            assert_eq!(step(&mut download, status, Some("/w")), Err(LookError::Status(status)));
        }
        let mut download = Download::new(&backend("https://api.example.com"), "/v").unwrap();
        assert_eq!(step(&mut download, 302, None), Err(LookError::Status(302)), "a redirect to nowhere");
    }

    #[test]
    fn five_redirects_and_no_loop() {
        let start = || Download::new(&backend("https://api.example.com"), "/0").unwrap();
        let mut download = start();
        for hop in 1..=5 {
            assert_eq!(step(&mut download, 302, Some(&format!("/{hop}"))), Ok(false));
        }
        assert_eq!(step(&mut download, 302, Some("/6")), Err(LookError::RedirectLoop));
        let mut download = start();
        assert_eq!(step(&mut download, 302, Some("/0")), Err(LookError::RedirectLoop));
        for to in ["https://u:p@cdn.example/", "gopher://x/"] {
            assert_eq!(step(&mut start(), 302, Some(to)), Err(LookError::BadUrl), "{to}");
        }
    }
}
