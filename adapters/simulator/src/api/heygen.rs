//! Video translations as `HeyGen` v3 has them, with what is surprising about them.
//!
//! A create makes one job for each language. The status of many jobs at once speaks other words than
//! that of one, in another order, and sometimes leaves a job out. A job is completed for a while
//! before its video has a URL, and that URL refuses a key.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use rand::seq::SliceRandom;
use serde_json::{Map, Value, json};

use super::{Answer, Asked, Details, Job, JobState, Order, Route, Scene, Wire, allowed, job_route, segment};
use crate::seed::{Domain, digits, stream};

const TRANSLATIONS: &str = "/v3/video-translations";
const STATUSES: &str = "/v3/video-translations/statuses";
const IDS: &str = "video_translation_ids";

/// The most jobs that one request can ask for or create; the vendor names it for asking.
const MOST: usize = 100;

/// How long a job is completed before its video has a URL, in simulated time.
const URL_DELAY: Duration = Duration::from_secs(2);

/// How often a bulk status leaves a job out.
const LOSS_RATE: f64 = 0.05;

/// How long a presigned URL holds, in real seconds: longer than any client takes to follow it.
const URL_LIFE: u64 = 3600;

pub(super) struct HeygenV3;

impl Wire for HeygenV3 {
    fn route<'r>(&self, asked: &Asked<'r>) -> Route<'r> {
        match asked.path {
            TRANSLATIONS => return allowed(asked.method, "POST", Route::Create),
            STATUSES => return allowed(asked.method, "GET", bulk(asked)),
            _ => {}
        }
        if let Some(id) = segment(asked.path, "/v3/video-translations/") {
            return job_route(asked.method, id);
        }
        let file = segment(asked.path, "/files/").and_then(|name| name.strip_suffix(".mp4"));
        file.map_or(Route::Unknown, |id| allowed(asked.method, "GET", Route::File(id)))
    }

    fn order(&self, asked: &Asked<'_>) -> Result<Order, Answer> {
        let key = match asked.headers.get("idempotency-key") {
            None => None,
            Some(key) => Some(idempotency_key(key.as_bytes())?),
        };
        let body: Map<String, Value> =
            serde_json::from_slice(asked.body).map_err(|_| invalid("the body is no JSON object", "body"))?;
        let title: Option<Arc<str>> = body.get("title").and_then(Value::as_str).map(Into::into);
        let languages = body.get("output_languages").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        if languages.is_empty() || languages.len() > MOST {
            return Err(invalid("want an array of 1 to 100 languages", "output_languages"));
        }
        let job = |language: &Value| {
            let language = language.as_str().filter(|language| !language.is_empty())?;
            Some(Details { language: Some(language.into()), title: title.clone() })
        };
        let jobs: Option<Vec<Details>> = languages.iter().map(job).collect();
        let jobs = jobs.ok_or_else(|| invalid("a language is no text", "output_languages"))?;
        Ok(Order { key, jobs })
    }

    fn created(&self, jobs: &[Job], _: &Scene<'_>) -> Answer {
        let ids: Vec<&str> = jobs.iter().map(|job| &*job.shown.id).collect();
        Answer::value(200, &json!({"data": {"video_translation_ids": ids}}))
    }

    fn told(&self, id: &str, job: Option<&Job>, scene: &Scene<'_>) -> (JobState, Answer) {
        let Some(job) = job.filter(|job| !job.deleted) else {
            return (JobState::Unknown, unknown(id));
        };
        let state = job.state_at(scene.now_ns);
        let mut data = json!({
            "id": id,
            "status": words(job, scene.now_ns).0,
            "output_language": job.details.language,
            "created_at": job.shown.created_at_ns / 1_000_000_000,
        });
        if let Some(title) = &job.details.title {
            data["title"] = json!(title);
        }
        match state {
            JobState::Succeeded => {
                data["duration"] = json!(job.takes.as_secs_f64());
                data["video_url"] = json!(video_url(job, scene));
            }
            JobState::Failed => data["failure_message"] = json!("the simulated translation failed"),
            _ => {}
        }
        (state, Answer::value(200, &json!({ "data": data })))
    }

    fn told_of_many(&self, jobs: &[(Arc<str>, Option<&Job>)], number: u64, scene: &Scene<'_>) -> Answer {
        let mut rng = stream(scene.seed, Domain::Bulk, number);
        let mut order: Vec<usize> = (0..jobs.len()).collect();
        order.shuffle(&mut rng);
        if order.is_sorted() {
            order.reverse();
        }
        if rng.random_bool(LOSS_RATE) {
            order.pop();
        }
        let entry = |(id, job): &(Arc<str>, Option<&Job>)| {
            let job = job.filter(|job| !job.deleted);
            let word = job.map_or("not_found", |job| words(job, scene.now_ns).1);
            json!({"video_id": id, "status": word})
        };
        let entries: Vec<Value> = order.into_iter().filter_map(|index| jobs.get(index)).map(entry).collect();
        Answer::value(200, &json!({"data": entries, "has_more": false, "next_token": null}))
    }

    fn cancelled(&self, id: &str, job: Option<&Job>, _: &Scene<'_>) -> Answer {
        match job {
            Some(job) if !job.deleted => Answer::value(200, &json!({"data": {"id": id}})),
            _ => unknown(id),
        }
    }

    fn result(&self, id: &str, job: Option<&Job>, scene: &Scene<'_>) -> Answer {
        if scene.asked.has_credentials() {
            let message = "a presigned URL takes no other credentials";
            return Answer::error(400, "invalid_request", message);
        }
        let (expires, signature) = (one(scene.asked, "Expires"), one(scene.asked, "Signature"));
        let expired = expires.parse().map_or(true, |end: u64| end < scene.now_ns / 1_000_000_000);
        if expired || signature != sign(scene.seed, id, &expires) {
            return Answer::error(403, "access_denied", "the URL is not signed, or has expired");
        }
        match job {
            Some(job) if job.state_at(scene.now_ns) == JobState::Succeeded && !job.deleted => {
                Answer::typed(200, "video/mp4", video(scene.seed, id))
            }
            _ => unknown(id),
        }
    }
}

/// The word for one job alone, and the word among many.
fn words(job: &Job, now_ns: u64) -> (&'static str, &'static str) {
    match job.state_at(now_ns) {
        JobState::Pending if job.has_begun_at(now_ns) => ("running", "processing"),
        JobState::Pending => ("pending", "queued"),
        JobState::Succeeded => ("completed", "completed"),
        JobState::Failed | JobState::Cancelled | JobState::Unknown => ("failed", "failed"),
    }
}

fn bulk(asked: &Asked<'_>) -> Route<'static> {
    let lists: Vec<String> = asked.parameter(IDS).collect();
    let mut ids: Vec<&str> = lists.iter().flat_map(|list| list.split(',')).filter(|id| !id.is_empty()).collect();
    if ids.is_empty() || ids.len() > MOST {
        return Route::Refused(invalid("want 1 to 100 ids, with commas between", IDS));
    }
    let mut seen = std::collections::HashSet::new();
    ids.retain(|id| seen.insert(*id));
    Route::Bulk(ids.into_iter().map(str::to_owned).collect())
}

fn idempotency_key(key: &[u8]) -> Result<String, Answer> {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"_:.-".contains(byte);
    match std::str::from_utf8(key) {
        Ok(text) if (1..=255).contains(&key.len()) && key.iter().all(allowed) => Ok(text.to_owned()),
        _ => Err(invalid("want 1 to 255 letters, digits and _:.-", "Idempotency-Key")),
    }
}

fn invalid(message: &str, parameter: &str) -> Answer {
    let error = json!({"code": "invalid_parameter", "message": message, "param": parameter});
    Answer::value(400, &json!({ "error": error }))
}

fn unknown(id: &str) -> Answer {
    Answer::error(404, "not_found", &format!("there is no video translation of the id '{id}'"))
}

/// Where the video is, once it can be had.
fn video_url(job: &Job, scene: &Scene<'_>) -> Option<String> {
    let from = job.shown.ended_at_ns.saturating_add(scene.pace.real_ns(URL_DELAY));
    if scene.now_ns < from {
        return None;
    }
    let (base, id) = (&scene.asked.base, &job.shown.id);
    let expires = (scene.now_ns / 1_000_000_000 + URL_LIFE).to_string();
    let signature = sign(scene.seed, id, &expires);
    Some(format!("{base}/files/{id}.mp4?Expires={expires}&Signature={signature}"))
}

fn sign(seed: u64, id: &str, expires: &str) -> String {
    digits(seed, Domain::Signature, &format!("{id} {expires}"), 4)
}

fn one(asked: &Asked<'_>, name: &str) -> String {
    asked.parameter(name).next().unwrap_or_default()
}

/// The two outermost boxes of an MP4 file: its type, and 256 bytes of data that show nothing.
fn video(seed: u64, id: &str) -> String {
    let data = digits(seed, Domain::File, id, 16);
    format!("\0\0\0\u{18}ftypmp42\0\0\0\0mp42isom\0\0\u{1}\u{8}mdat{data}")
}
