//! What the presets ask: the request that creates, the jobs that its answer names, the look at each, and the request
//! that cancels.

use http::{Method, Request};
use http_support::{BASE, START, World, job, reply, response, rng};
use jobwatch::{
    Backend, Cancel, CancelAction, Dialect, JobRef, Policy, Status, Submit, SubmitAction, SubmitError, Watch,
    WatchAction,
};

use crate::{extended, http_support, preset};

type Headers = &'static [(&'static str, &'static str)];

/// A create, and what its answer names.
struct Creation {
    preset: &'static str,
    /// Where it is not the vendor's own.
    base: Option<&'static str>,
    url: &'static str,
    /// Constant headers, of the create and of each look.
    headers: Headers,
    answer: (u16, Headers, &'static str),
    /// Each job's name, and where it is asked for.
    jobs: &'static [(&'static str, &'static str)],
}

const NONE: Headers = &[];

#[rustfmt::skip]
const CREATIONS: &[Creation] = &[
    // WIRE §1.2: always an array, one id for each language.
    Creation {
        preset: "heygen-v3", base: None, url: "https://api.heygen.com/v3/video-translations", headers: NONE,
        answer: (200, NONE, r#"{"data":{"video_translation_ids":["t1","t/2"]}}"#),
        jobs: &[
            ("t1", "https://api.heygen.com/v3/video-translations/t1"),
            ("t/2", "https://api.heygen.com/v3/video-translations/t%2F2"),
        ],
    },
    Creation {
        preset: "heygen-v2", base: None, url: "https://api.heygen.com/v2/video_translate", headers: NONE,
        answer: (200, NONE, r#"{"error":null,"data":{"video_translate_id":"t1"}}"#),
        jobs: &[("t1", "https://api.heygen.com/v2/video_translate/t1")],
    },
    Creation {
        preset: "rfc9110", base: Some("https://api.example.com/reports"), url: "https://api.example.com/reports",
        headers: NONE, answer: (202, &[("Location", "/operations/7?v=1")], ""),
        jobs: &[("https://api.example.com/operations/7?v=1", "https://api.example.com/operations/7?v=1")],
    },
    Creation {
        preset: "rfc9110", base: Some("https://api.example.com"), url: "https://api.example.com/",
        headers: NONE, answer: (201, &[("Location", "https://api.example.com/operations/7")], "<html>"),
        jobs: &[("https://api.example.com/operations/7", "https://api.example.com/operations/7")],
    },
    // WIRE §2, azure: of three headers the first that is there.
    Creation {
        preset: "azure", base: Some("https://management.example.com/disks"), headers: NONE,
        url: "https://management.example.com/disks",
        answer: (202, &[
            ("Location", "https://management.example.com/c"),
            ("Azure-AsyncOperation", "https://management.example.com/b?api-version=2"),
            ("Operation-Location", "https://management.example.com/a?api-version=1"),
        ], "{}"),
        jobs: &[(
            "https://management.example.com/a?api-version=1", "https://management.example.com/a?api-version=1",
        )],
    },
    Creation {
        preset: "azure", base: Some("https://management.example.com/disks"), headers: NONE,
        url: "https://management.example.com/disks",
        answer: (201, &[
            ("Location", "https://management.example.com/c"),
            ("Azure-AsyncOperation", "https://management.example.com/b?api-version=2"),
        ], r#"{"properties":{"provisioningState":"Updating"}}"#),
        jobs: &[(
            "https://management.example.com/b?api-version=2", "https://management.example.com/b?api-version=2",
        )],
    },
    Creation {
        preset: "azure", base: Some("https://management.example.com/disks"), headers: NONE,
        url: "https://management.example.com/disks",
        answer: (202, &[("Location", "https://management.example.com/c")], ""),
        jobs: &[("https://management.example.com/c", "https://management.example.com/c")],
    },
    Creation {
        preset: "openai", base: None, url: "https://api.openai.com/v1/videos", headers: NONE,
        answer: (200, NONE, r#"{"id":"video_1","object":"video","status":"queued"}"#),
        jobs: &[("video_1", "https://api.openai.com/v1/videos/video_1")],
    },
    // WIRE §2, replicate: it is asked for where the answer says.
    Creation {
        preset: "replicate", base: None, url: "https://api.replicate.com/v1/predictions", headers: NONE,
        answer: (201, NONE, r#"{"id":"p1","status":"starting","urls":{
            "get":"https://api.replicate.com/v1/deployments/d/predictions/p1",
            "cancel":"https://api.replicate.com/v1/predictions/p1/cancel"}}"#),
        jobs: &[("p1", "https://api.replicate.com/v1/deployments/d/predictions/p1")],
    },
    Creation {
        preset: "replicate", base: None, url: "https://api.replicate.com/v1/predictions", headers: NONE,
        answer: (201, NONE, r#"{"id":"p1","status":"starting"}"#),
        jobs: &[("p1", "https://api.replicate.com/v1/predictions/p1")],
    },
    Creation {
        preset: "runway", base: None, url: "https://api.dev.runwayml.com/v1/image_to_video",
        headers: &[("x-runway-version", "2024-11-06")],
        answer: (200, NONE, r#"{"id":"17f20503-6c24-4c16-946b-35dbbce2af2f"}"#),
        jobs: &[(
            "17f20503-6c24-4c16-946b-35dbbce2af2f",
            "https://api.dev.runwayml.com/v1/tasks/17f20503-6c24-4c16-946b-35dbbce2af2f",
        )],
    },
    // WIRE §2, fal: of a model with a path of its own the requests are elsewhere.
    Creation {
        preset: "fal", base: Some("https://queue.fal.run/fal-ai/flux/dev"),
        url: "https://queue.fal.run/fal-ai/flux/dev", headers: NONE,
        answer: (200, NONE, r#"{"request_id":"q1","status":"IN_QUEUE","queue_position":0,
            "status_url":"https://queue.fal.run/fal-ai/flux/requests/q1/status",
            "response_url":"https://queue.fal.run/fal-ai/flux/requests/q1",
            "cancel_url":"https://queue.fal.run/fal-ai/flux/requests/q1/cancel"}"#),
        jobs: &[(
            "https://queue.fal.run/fal-ai/flux/requests/q1/status",
            "https://queue.fal.run/fal-ai/flux/requests/q1/status",
        )],
    },
    Creation {
        preset: "luma", base: None, url: "https://api.lumalabs.ai/dream-machine/v1/generations", headers: NONE,
        answer: (201, NONE, r#"{"id":"l1","state":"queued"}"#),
        jobs: &[("l1", "https://api.lumalabs.ai/dream-machine/v1/generations/l1")],
    },
    Creation {
        preset: "assemblyai", base: None, url: "https://api.assemblyai.com/v2/transcript", headers: NONE,
        answer: (200, NONE, r#"{"id":"a1","status":"queued"}"#),
        jobs: &[("a1", "https://api.assemblyai.com/v2/transcript/a1")],
    },
    Creation {
        preset: "elevenlabs-dubbing", base: None, url: "https://api.elevenlabs.io/v1/dubbing", headers: NONE,
        answer: (200, NONE, r#"{"dubbing_id":"d1","expected_duration_sec":127.5}"#),
        jobs: &[("d1", "https://api.elevenlabs.io/v1/dubbing/d1")],
    },
    Creation {
        preset: "anthropic-batches", base: None, url: "https://api.anthropic.com/v1/messages/batches",
        headers: &[("anthropic-version", "2023-06-01")],
        answer: (200, NONE, r#"{"id":"msgbatch_1","type":"message_batch","processing_status":"in_progress"}"#),
        jobs: &[("msgbatch_1", "https://api.anthropic.com/v1/messages/batches/msgbatch_1")],
    },
    // WIRE §2, bfl: it is asked for on a server of its region.
    Creation {
        preset: "bfl", base: Some("https://api.bfl.ai/v1/flux-2-pro"), url: "https://api.bfl.ai/v1/flux-2-pro",
        headers: NONE,
        answer: (200, NONE, r#"{"id":"b1","polling_url":"https://api.eu1.bfl.ai/v1/get_result?id=b1"}"#),
        jobs: &[("https://api.eu1.bfl.ai/v1/get_result?id=b1", "https://api.eu1.bfl.ai/v1/get_result?id=b1")],
    },
];

#[test]
fn creates_and_the_jobs_they_name() {
    for row in CREATIONS {
        let name = row.preset;
        let backend = Backend::new(preset(name), row.base).unwrap();
        let (request, created) = create(&backend, row.answer);
        assert_eq!((request.method(), request.uri().to_string().as_str()), (&Method::POST, row.url), "{name}");
        assert_eq!(request.body(), BODY, "{name}");
        assert_eq!(request.headers()["content-type"], "application/json", "{name}");
        let created = created.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(
            created.iter().map(JobRef::id).collect::<Vec<_>>(),
            row.jobs.iter().map(|job| job.0).collect::<Vec<_>>()
        );
        let looks: Vec<_> = created.into_iter().map(|job| look(&backend, job)).collect();
        let urls: Vec<_> = looks.iter().map(|look| look.uri().to_string()).collect();
        assert_eq!(urls, row.jobs.iter().map(|job| job.1).collect::<Vec<_>>(), "{name}");
        assert!(looks.iter().all(|look| look.method() == Method::GET && look.body().is_empty()), "{name}");
        for request in looks.iter().chain([&request]) {
            for (header, value) in row.headers {
                assert_eq!(request.headers()[*header], *value, "{name}");
            }
        }
    }
}

/// The others need more than one JSON request, or a path that is each service's own.
#[test]
fn every_preset_that_creates_is_in_the_table() {
    for name in Dialect::presets().filter(|name| *name != "tracker") {
        let is_there = CREATIONS.iter().any(|row| row.preset == name);
        assert_eq!(preset(name).can_create(), is_there, "{name}");
    }
}

#[test]
fn only_heygen_v3_takes_an_idempotency_key() {
    for row in CREATIONS {
        let backend = Backend::new(preset(row.preset), row.base).unwrap();
        let (request, _) = create(&backend, row.answer);
        let key = request.headers().get("idempotency-key");
        assert_eq!(key.is_some(), row.preset == "heygen-v3", "{}", row.preset);
        // WIRE §1.2: 1 to 255 of these.
        let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"_:.-".contains(byte);
        assert!(key.is_none_or(|key| (1..=255).contains(&key.len()) && key.as_bytes().iter().all(is_allowed)));
    }
}

/// WIRE §1.2: a duplicate in flight gets 409, and is asked for again under the same key.
#[test]
fn a_heygen_create_that_is_in_progress_is_asked_for_again() {
    let backend = Backend::new(preset("heygen-v3"), None).unwrap();
    let mut submit = Submit::new(&backend, policy(&backend), BODY.to_vec(), START, &mut rng(3));
    let mut now = START;
    let mut keys = Vec::new();
    let created = loop {
        match submit.poll(now) {
            SubmitAction::Sleep { until } => now = until,
            SubmitAction::Send { id, request, .. } => {
                keys.push(request.headers()["idempotency-key"].clone());
                let answer = match keys.len() {
                    1 => response(409, &[], r#"{"error":{"code":"request_in_progress","message":"wait"}}"#),
                    _ => response(200, &[], r#"{"data":{"video_translation_ids":["t1"]}}"#),
                };
                submit.handle_response(now, id, &answer);
            }
            SubmitAction::Created(jobs) => break jobs,
            action => panic!("{action:?}"),
        }
    };
    assert_eq!((created[0].id(), keys.len()), ("t1", 2));
    assert_eq!(keys[0], keys[1]);
    let other = (409, NONE, r#"{"error":{"code":"conflict","message":"no"}}"#);
    let error = create(&backend, other).1.unwrap_err();
    assert_eq!((error.message.as_str(), error.maybe_created), ("no", false));
}

/// WIRE §1.3: an error on HTTP 200 created nothing.
#[test]
fn a_heygen_v2_create_can_fail_with_200() {
    let backend = Backend::new(preset("heygen-v2"), None).unwrap();
    let answer = (200, NONE, r#"{"error":{"code":"invalid_parameter","message":"no such language"},"data":null}"#);
    let error = create(&backend, answer).1.unwrap_err();
    assert_eq!((error.message.as_str(), error.maybe_created), ("no such language", false));
}

#[test]
fn an_answer_that_names_no_job_may_have_created_one() {
    for row in CREATIONS {
        let backend = Backend::new(preset(row.preset), row.base).unwrap();
        for body in ["", "{}", "<html>"] {
            let error = create(&backend, (200, NONE, body)).1.unwrap_err();
            assert!(error.maybe_created, "{}: {body}: {error}", row.preset);
        }
    }
}

/// A service's own path, added to a copy.
#[test]
fn a_copy_of_google_lro_can_create() {
    let create_section = "[create]\npath = \"/v1/speech:longrunningrecognize\"";
    let dialect = extended("google-lro", create_section);
    let backend = Backend::new(dialect, Some("https://speech.example.com")).unwrap();
    let answer = (200, NONE, r#"{"name":"projects/p/locations/l/operations/7"}"#);
    let (request, created) = create(&backend, answer);
    assert_eq!(request.uri(), "https://speech.example.com/v1/speech:longrunningrecognize");
    let job = created.unwrap().remove(0);
    assert_eq!(job.id(), "projects/p/locations/l/operations/7");
    assert_eq!(look(&backend, job).uri(), "https://speech.example.com/v1/projects/p/locations/l/operations/7");
}

/// What the file says of batches.
#[test]
fn a_copy_of_openai_speaks_to_batches() {
    let file = Dialect::preset_file("openai").unwrap();
    let copy = file
        .replace("\npath = \"/v1/videos", "\npath = \"/v1/batches")
        .replace(
            "[progress]",
            "[cancel]\npath = \"/v1/batches/{id}/cancel\"\n\n[result]\npointer = \"/output_file_id\"\n\n[progress]",
        )
        .replace("min_delay = \"1s\"", "min_delay = \"1s\"\ntimeout = \"25h\"");
    let backend = Backend::new(http_support::dialect(&copy), None).unwrap();
    let (request, created) =
        create(&backend, (200, NONE, r#"{"id":"batch_1","object":"batch","status":"validating"}"#));
    assert_eq!(request.uri(), "https://api.openai.com/v1/batches");
    assert_eq!(look(&backend, created.unwrap().remove(0)).uri(), "https://api.openai.com/v1/batches/batch_1");
    let done = response(200, &[], r#"{"id":"batch_1","status":"completed","output_file_id":"file_2"}"#);
    assert_eq!(backend.dialect().read(&done, START).result, Some("file_2".into()));
    let cancelled = cancel(&backend, job("batch_1"), r#"{"id":"batch_1","status":"in_progress"}"#);
    assert_eq!(cancelled.unwrap().uri(), "https://api.openai.com/v1/batches/batch_1/cancel");
}

/// The preset, an id, and where it is asked for.
#[rustfmt::skip]
const LOOKS: [(&str, &str, &str); 13] = [
    ("heygen-v3", "a b?c#d%2e", "https://api.heygen.com/v3/video-translations/a%20b%3Fc%23d%252e"),
    ("heygen-v2", "../t1", "https://api.heygen.com/v2/video_translate/..%2Ft1"),
    // WIRE §2, rfc9110: or the given URL.
    ("rfc9110", "https://api.example.com/operations/7?v=1", "https://api.example.com/operations/7?v=1"),
    ("azure", "https://api.example.com/operations/7?api-version=1", "https://api.example.com/operations/7?api-version=1"),
    // WIRE §2, google-lro: the name holds slashes.
    ("google-lro", "projects/p/locations/l/operations/7", "https://api.example.com/v1/v1/projects/p/locations/l/operations/7"),
    ("google-lro", "operations/a:b?c", "https://api.example.com/v1/v1/operations/a:b%3Fc"),
    ("openai", "batch/1", "https://api.openai.com/v1/videos/batch%2F1"),
    ("replicate", "p1", "https://api.replicate.com/v1/predictions/p1"),
    ("x-media", "1146654567674912769", "https://api.x.com/2/media/upload?command=STATUS&media_id=1146654567674912769"),
    ("x-media", "1&command=INIT", "https://api.x.com/2/media/upload?command=STATUS&media_id=1%26command%3DINIT"),
    ("bigquery", "my-project/jobs/job_7", "https://bigquery.googleapis.com/bigquery/v2/projects/my-project/jobs/job_7"),
    ("bigquery", "example.com:p/jobs/job_7", "https://bigquery.googleapis.com/bigquery/v2/projects/example.com:p/jobs/job_7"),
    (
        "bigquery", "https://bigquery.googleapis.com/bigquery/v2/projects/p/jobs/j?location=europe-west4",
        "https://bigquery.googleapis.com/bigquery/v2/projects/p/jobs/j?location=europe-west4",
    ),
];

#[test]
fn where_a_job_is_asked_for() {
    for (name, id, url) in LOOKS {
        let backend = backend(name);
        assert_eq!(look(&backend, job(id)).uri(), url, "{name}");
    }
}

/// The preset, the answer to a look, and the request that cancels.
#[rustfmt::skip]
const CANCELS: [(&str, &str, &str, &str, &str); 9] = [
    ("heygen-v3", "t/1", r#"{"data":{"status":"running"}}"#, "DELETE", "https://api.heygen.com/v3/video-translations/t%2F1"),
    ("google-lro", "projects/p/operations/7", "{}", "POST", "https://api.example.com/v1/v1/projects/p/operations/7:cancel"),
    ("replicate", "p1", r#"{"status":"starting"}"#, "POST", "https://api.replicate.com/v1/predictions/p1/cancel"),
    (
        "replicate", "p1", r#"{"status":"starting","urls":{"cancel":"https://api.replicate.com/v1/elsewhere/p1/cancel"}}"#,
        "POST", "https://api.replicate.com/v1/elsewhere/p1/cancel",
    ),
    ("runway", "r1", r#"{"status":"THROTTLED"}"#, "DELETE", "https://api.dev.runwayml.com/v1/tasks/r1"),
    (
        "fal", "https://queue.fal.run/a/requests/q1/status",
        r#"{"status":"IN_QUEUE","cancel_url":"https://queue.fal.run/a/requests/q1/cancel"}"#,
        "PUT", "https://queue.fal.run/a/requests/q1/cancel",
    ),
    (
        "anthropic-batches", "msgbatch_1", r#"{"processing_status":"in_progress"}"#,
        "POST", "https://api.anthropic.com/v1/messages/batches/msgbatch_1/cancel",
    ),
    (
        "bigquery", "p/jobs/j", r#"{"status":{"state":"RUNNING"}}"#,
        "POST", "https://bigquery.googleapis.com/bigquery/v2/projects/p/jobs/j/cancel",
    ),
    (
        "bigquery", "example.com:p/jobs/j", r#"{"status":{"state":"PENDING"}}"#,
        "POST", "https://bigquery.googleapis.com/bigquery/v2/projects/example.com:p/jobs/j/cancel",
    ),
];

#[test]
fn how_a_job_is_cancelled() {
    for (name, id, seen, method, url) in CANCELS {
        let request = cancel(&backend(name), job(id), seen).unwrap_or_else(|message| panic!("{name}: {message}"));
        assert_eq!((request.method().as_str(), request.uri().to_string().as_str()), (method, url), "{name}");
        assert!(request.body().is_empty(), "{name}");
        let headers = match name {
            "runway" => [Some("2024-11-06"), None],
            "anthropic-batches" => [None, Some("2023-06-01")],
            _ => [None, None],
        };
        let sent = ["x-runway-version", "anthropic-version"].map(|header| request.headers().get(header));
        assert_eq!(sent.map(|value| value.map(|value| value.to_str().unwrap())), headers, "{name}");
    }
    for name in Dialect::presets() {
        assert_eq!(preset(name).can_cancel(), CANCELS.iter().any(|row| row.0 == name), "{name}");
    }
}

/// WIRE §2, fal: nothing but the backend tells the address.
#[test]
fn without_an_address_a_fal_job_cannot_be_cancelled() {
    let job = job("https://queue.fal.run/a/requests/q1/status");
    let refused = cancel(&backend("fal"), job, r#"{"status":"IN_QUEUE"}"#).unwrap_err();
    assert!(refused.contains("nobody has told where"), "{refused}");
}

/// WIRE §5: credentials stay at home, and with the servers that a preset trusts.
#[test]
fn a_poll_url_elsewhere_is_not_asked() {
    for (name, job, asked) in [
        ("bfl", "https://api.us1.bfl.ai/v1/get_result?id=b1", true),
        ("bfl", "https://api.us.bfl.ai/v1/get_result?id=b1", true),
        ("bfl", "http://api.us1.bfl.ai/v1/get_result?id=b1", false),
        ("bfl", "https://api.evil.example/v1/get_result?id=b1", false),
        ("fal", "https://queue.fal.run.evil.example/q1/status", false),
        ("azure", "https://elsewhere.example.com/operations/7", false),
    ] {
        let backend = backend(name).with_header("x-key", "hush").unwrap();
        let mut watch = Watch::new(&backend, policy(&backend), http_support::job(job), START, &mut rng(1));
        match watch.poll(START) {
            WatchAction::Send { request, .. } => assert!(asked, "{name}: {}", request.uri()),
            WatchAction::Finished(finished) => assert!(!asked, "{name}: {finished:?}"),
            action @ WatchAction::Sleep { .. } => panic!("{name}: {action:?}"),
        }
    }
}

const BODY: &[u8] = br#"{"prompt":"a kiln"}"#;

/// At the vendor's own address, or else at one for tests.
fn backend(name: &str) -> Backend {
    let dialect = preset(name);
    let base = dialect.base_url().is_none().then_some(BASE);
    Backend::new(dialect, base).unwrap()
}

fn policy(backend: &Backend) -> Policy {
    backend.dialect().policy().build().unwrap()
}

/// The request that creates, and what comes of this answer.
fn create(
    backend: &Backend,
    (status, headers, body): (u16, Headers, &str),
) -> (Request<Vec<u8>>, Result<Vec<JobRef>, SubmitError>) {
    let mut submit = Submit::new(backend, policy(backend), BODY.to_vec(), START, &mut rng(3));
    let SubmitAction::Send { id, request, .. } = submit.poll(START) else { panic!("nothing is sent") };
    submit.handle_response(START, id, &response(status, headers, body));
    match submit.poll(START) {
        SubmitAction::Created(jobs) => (request, Ok(jobs)),
        SubmitAction::Failed(error) => (request, Err(error)),
        action => panic!("{action:?}"),
    }
}

/// The first request for a job.
fn look(backend: &Backend, job: JobRef) -> Request<Vec<u8>> {
    let mut watch = Watch::new(backend, policy(backend), job, START, &mut rng(1));
    let mut now = START;
    loop {
        match watch.poll(now) {
            WatchAction::Sleep { until, .. } => now = until,
            WatchAction::Send { request, .. } => return request,
            WatchAction::Finished(finished) => panic!("{finished:?}"),
        }
    }
}

/// The request that cancels a job after a look that was answered so, or why there is none.
fn cancel(backend: &Backend, job: JobRef, seen: &str) -> Result<Request<Vec<u8>>, String> {
    let policy = policy(backend);
    let mut world = World::new(|_: &Request<Vec<u8>>, _| reply(200, &[], seen));
    let status = Status::of(world.drive(&mut Watch::new(backend, policy.one_look(), job, START, &mut rng(1))));
    match Cancel::new(backend, policy, status, START, &mut rng(1)).poll(START) {
        CancelAction::Send { request, .. } => Ok(request),
        CancelAction::Done(Err(error)) => Err(error.message),
        action => panic!("{action:?}"),
    }
}
