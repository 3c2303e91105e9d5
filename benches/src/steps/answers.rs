//! From bytes to what an answer means, and the request before it.

use std::hint::black_box;
use std::time::Duration;

use http::Response;
use http::header::{CONTENT_TYPE, DATE, HeaderName, HeaderValue, SERVER};
use jobwatch::{Backend, Dialect, JobRef, Observation, Watch, WatchAction};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

use super::{START, Step, endless};
use crate::job_id;

pub(super) const STEPS: [Step; 6] = [
    Step::ours("answer: 500 bytes, running", 300, running),
    Step::ours("answer: 500 bytes, completed", 300, completed),
    Step::ours("answer: 20 bytes, running", 1_000, short),
    Step::ours("answer: 64 KiB beside the state, running", 10, long),
    Step::ours("request: made for a due job, then put off", 1_000, request),
    Step::ours("look: request and answer of 500 bytes, in a Watch", 300, look),
];

/// What a backend tells of a job, in 500 bytes; of any job, so that it does not name one where `heygen-v3` looks for it.
pub(crate) const RUNNING: &str = r#"{"code":100,"message":"Success","data":{"no":"7e7bfe92-0000-4000-8000-000000000000",
"title":"A translated video","status":"running","output_language":"German (Germany)","input_language":"English",
"created_at":1700000000,"mode":"precision","speakers":2,"duration":null,"video_url":null,"caption_url":null,
"thumbnail":{"url":"https://files.example.com/7e7bfe92.jpg","width":1280,"height":720},"steps":[{"name":"transcribe",
"done":true},{"name":"translate","done":true},{"name":"lip-sync","done":0.25}]}}"#;

/// The same of one that has ended.
pub(crate) const COMPLETED: &str = r#"{"code":100,"message":"Success","data":{"no":"7e7bfe92-0000-4000-8000-000000000000",
"title":"A translated video","status":"completed","output_language":"German (Germany)","input_language":"English",
"created_at":1700000000,"mode":"precision","speakers":2,"duration":61.5,"caption_url":null,
"video_url":"https://files.example.com/7e7bfe92.mp4?Expires=1700003600&Signature=0123456789abcdef0123456789abcdef",
"thumbnail":{"url":"https://files.example.com/7e7bfe92.jpg","width":1280,"height":720},"steps":[{"done":true}]}}"#;

/// With the headers that answers have.
pub(crate) fn response(body: impl Into<Vec<u8>>) -> Response<Vec<u8>> {
    let mut response = Response::new(body.into());
    let headers = [
        (CONTENT_TYPE, "application/json; charset=utf-8"),
        (DATE, "Tue, 14 Nov 2023 22:13:20 GMT"),
        (SERVER, "nginx"),
        (HeaderName::from_static("x-request-id"), "0f9f9a52-5b1f-4bd1-93c5-d3fd7d0a2b4e"),
    ];
    let headers = headers.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value)));
    response.headers_mut().extend(headers);
    response
}

fn read(dialect: &Dialect, response: &Response<Vec<u8>>, expected: Observation, times: u32) {
    for _ in 0..times {
        let reading = black_box(dialect.read(black_box(response), START));
        assert_eq!(reading.observation, expected, "the answer is understood");
    }
}

fn running(times: u32) {
    read(&Dialect::heygen_v3(), &response(RUNNING), Observation::Running { hint: None }, times);
}

fn completed(times: u32) {
    read(&Dialect::heygen_v3(), &response(COMPLETED), Observation::Succeeded, times);
}

fn short(times: u32) {
    read(&Dialect::tracker(), &response(r#"{"result":"pending"}"#), Observation::Pending { hint: None }, times);
}

/// A transcript so far, of which nothing is wanted.
fn long(times: u32) {
    let words: Vec<_> =
        (0..900).map(|at| format!(r#"{{"word":"so","start":{at}.5,"end":{at}.75,"confidence":0.98}}"#)).collect();
    let body = format!(r#"{{"data":{{"words":[{}],"status":"running"}}}}"#, words.join(","));
    read(&Dialect::heygen_v3(), &response(body), Observation::Running { hint: None }, times);
}

pub(crate) fn backend() -> Backend {
    let backend =
        Backend::new(Dialect::heygen_v3(), None).and_then(|backend| backend.with_header("x-api-key", "secret"));
    backend.expect("the preset has an address")
}

/// The next request is made when the time of the one before is over: nothing is answered.
fn request(times: u32) {
    let (backend, policy) = (backend(), endless());
    let (mut now, rng) = (START, &mut ChaCha8Rng::seed_from_u64(1));
    let job = || JobRef::new(job_id(1)).expect("it is an id");
    let mut watch = Watch::new(&backend, &policy, job(), now, rng);
    let mut left = times;
    while left > 0 {
        match watch.poll(now) {
            WatchAction::Send { id, request, .. } => {
                black_box(request);
                watch.handle_response(now, id, &black_box(Response::new("")));
                left -= 1;
            }
            WatchAction::Sleep { until, .. } => now = until,
            WatchAction::Finished(_) => watch = Watch::new(&backend, &policy, job(), now, rng),
        }
    }
}

fn look(times: u32) {
    let (backend, policy, answer) = (backend(), endless(), response(RUNNING));
    let job = JobRef::new(job_id(1)).expect("it is an id");
    let mut watch = Watch::new(&backend, &policy, job, START, &mut ChaCha8Rng::seed_from_u64(1));
    let mut now = START;
    for _ in 0..times {
        // Every gap is over by then.
        now = now.saturating_add(Duration::from_secs(100));
        let WatchAction::Send { id, request, .. } = watch.poll(now) else { unreachable!("it is due") };
        black_box(request);
        watch.handle_response(now, id, &answer);
    }
}
