//! The wires that the simulator speaks. Another backend is another variant of [`Api`] here and
//! another [`Wire`] beside the present ones.

mod azure;
mod heygen;
mod rfc9110;
mod tracker;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use hyper::Method;

use crate::answer::Answer;
use crate::asked::Asked;
use crate::clock::Pace;
use crate::jobs::{Details, Job};
use crate::ledger::JobState;

/// Which job API the simulator imitates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Api {
    /// The status tracker: `POST /create_job`, then `GET /status/{id}`.
    #[default]
    Tracker,
    /// Video translations as `HeyGen` v3 has them: several jobs from one create, a status for many
    /// jobs at once in other words, results at presigned URLs.
    HeygenV3,
    /// The asynchronous pattern of RFC 9110: 202 with `Location`, and the HTTP status is the state.
    Rfc9110,
    /// Long-running operations as Azure has them: `Operation-Location`, and a hint on every answer
    /// before the end.
    Azure,
}

impl Api {
    /// Every API there is.
    pub const ALL: &'static [Self] = &[Self::Tracker, Self::HeygenV3, Self::Rfc9110, Self::Azure];

    /// The name as it is written on a command line; also the name of the preset dialect of `jobwatch`
    /// that speaks it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tracker => "tracker",
            Self::HeygenV3 => "heygen-v3",
            Self::Rfc9110 => "rfc9110",
            Self::Azure => "azure",
        }
    }

    pub(crate) fn wire(self) -> &'static dyn Wire {
        match self {
            Self::Tracker => &tracker::Tracker,
            Self::HeygenV3 => &heygen::HeygenV3,
            Self::Rfc9110 => &rfc9110::Rfc9110,
            Self::Azure => &azure::Azure,
        }
    }
}

impl fmt::Display for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Api {
    type Err = UnknownApi;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.iter().copied().find(|api| api.name() == name).ok_or_else(|| UnknownApi(name.to_owned()))
    }
}

/// The simulator does not speak the API of this name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownApi(String);

impl fmt::Display for UnknownApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = Api::ALL.iter().map(|api| api.name()).collect();
        let names = names.join(", ");
        write!(f, "unknown API '{}': the simulator speaks {names}", self.0)
    }
}

impl std::error::Error for UnknownApi {}

/// One API: where its requests go and how its answers look. It decides nothing about jobs.
pub(crate) trait Wire: Sync {
    /// Finds what is asked for.
    fn route<'r>(&self, asked: &Asked<'r>) -> Route<'r>;

    /// What a create orders, or why it is refused.
    fn order(&self, asked: &Asked<'_>) -> Result<Order, Answer> {
        let _ = asked;
        Ok(Order { key: None, jobs: vec![Details::default()] })
    }

    /// Answers a create.
    fn created(&self, jobs: &[Job], scene: &Scene<'_>) -> Answer;

    /// Tells a state: the answer, and what it comes to.
    fn told(&self, id: &str, job: Option<&Job>, scene: &Scene<'_>) -> (JobState, Answer);

    /// The status of an answer that a fault makes up, where it wants to pass for an honest one.
    fn posing_status(&self) -> u16 {
        200
    }

    /// Tells the states of many jobs, where the wire has [`Route::Bulk`]. `number` is that of the
    /// status request, for whatever is drawn.
    fn told_of_many(&self, jobs: &[(Arc<str>, Option<&Job>)], number: u64, scene: &Scene<'_>) -> Answer {
        let _ = (jobs, number, scene);
        nothing_here()
    }

    /// Answers a cancel, where the wire has [`Route::Cancel`]; `job` is as it was before.
    fn cancelled(&self, id: &str, job: Option<&Job>, scene: &Scene<'_>) -> Answer {
        let _ = (id, job, scene);
        nothing_here()
    }

    /// Hands out what a job made, where the wire has [`Route::Result`] or [`Route::File`].
    fn result(&self, id: &str, job: Option<&Job>, scene: &Scene<'_>) -> Answer {
        let _ = (id, job, scene);
        nothing_here()
    }
}

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route<'p> {
    Create,
    Status(&'p str),
    /// The status of many jobs, each named once.
    Bulk(Vec<String>),
    Cancel(&'p str),
    Result(&'p str),
    /// A result that needs no key.
    File(&'p str),
    /// What is wrong with the request shows before any job is looked at.
    Refused(Answer),
    Unknown,
    WrongMethod {
        allow: &'static str,
    },
}

/// What a create orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Order {
    /// The name under which a repetition gets the same answer.
    pub(crate) key: Option<String>,
    /// One job for each.
    pub(crate) jobs: Vec<Details>,
}

/// What answers are made from beside the jobs.
#[derive(Debug)]
pub(crate) struct Scene<'s> {
    pub(crate) asked: &'s Asked<'s>,
    pub(crate) now_ns: u64,
    pub(crate) pace: Pace,
    pub(crate) seed: u64,
}

/// The answer at a path of no meaning.
pub(crate) fn nothing_here() -> Answer {
    Answer::json(404, r#"{"error":"there is nothing at this path"}"#)
}

/// The answer at a path that takes other methods.
pub(crate) fn wrong_method(allow: &'static str) -> Answer {
    let body = format!("{{\"error\":\"this path takes {allow}\"}}");
    Answer::json(405, body).with("allow", allow.to_owned())
}

fn allowed<'p>(method: &Method, allow: &'static str, route: Route<'p>) -> Route<'p> {
    if method.as_str() == allow { route } else { Route::WrongMethod { allow } }
}

/// The one path segment after a prefix.
fn segment<'p>(path: &'p str, prefix: &str) -> Option<&'p str> {
    path.strip_prefix(prefix).filter(|rest| !rest.is_empty() && !rest.contains('/'))
}

/// Reading a job or cancelling it.
fn job_route<'p>(method: &Method, id: &'p str) -> Route<'p> {
    match *method {
        Method::GET => Route::Status(id),
        Method::DELETE => Route::Cancel(id),
        _ => Route::WrongMethod { allow: "GET, DELETE" },
    }
}

#[cfg(test)]
mod tests {
    use hyper::HeaderMap;

    use super::*;

    #[test]
    fn names_read_back() {
        for api in Api::ALL {
            assert_eq!(api.to_string().parse(), Ok(*api));
        }
        let refusal = "heygen".parse::<Api>().unwrap_err().to_string();
        assert_eq!(refusal, "unknown API 'heygen': the simulator speaks tracker, heygen-v3, rfc9110, azure");
    }

    /// The route of a request, with its query told apart.
    fn check(api: Api, method: &Method, target: &str, expected: &Route<'_>) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let headers = HeaderMap::new();
        let asked = Asked { method, path, query, headers: &headers, body: b"", base: String::new() };
        assert_eq!(&api.wire().route(&asked), expected, "{api} {method} {target}");
    }

    #[test]
    fn every_wire_finds_its_way() {
        use Api::{Azure, HeygenV3, Rfc9110, Tracker};
        use Route::{Cancel, Create, File, Result, Status, Unknown};
        let (get, post, delete) = (&Method::GET, &Method::POST, &Method::DELETE);
        for (api, method, target, expected) in [
            (Tracker, post, "/create_job", Create),
            (Tracker, get, "/status/x", Status("x")),
            (Tracker, get, "/status/", Unknown),
            (Tracker, get, "/status/a/b", Unknown),
            (Tracker, &Method::HEAD, "/status/x", Route::WrongMethod { allow: "GET" }),
            (HeygenV3, post, "/v3/video-translations", Create),
            (HeygenV3, get, "/v3/video-translations/x", Status("x")),
            (HeygenV3, delete, "/v3/video-translations/x", Cancel("x")),
            (HeygenV3, delete, "/v3/video-translations/statuses", Route::WrongMethod { allow: "GET" }),
            (HeygenV3, get, "/files/x.mp4", File("x")),
            (HeygenV3, get, "/files/x.mov", Unknown),
            (HeygenV3, get, "/v3/video-translations/x/y", Unknown),
            (Rfc9110, post, "/jobs", Create),
            (Rfc9110, post, "/", Create),
            (Rfc9110, get, "/", Route::WrongMethod { allow: "POST" }),
            (Rfc9110, get, "/jobs/x", Status("x")),
            (Rfc9110, get, "/jobs/x/result", Result("x")),
            (Rfc9110, get, "/jobs//result", Unknown),
            (Rfc9110, delete, "/jobs/x", Cancel("x")),
            (Azure, post, "/operations", Create),
            (Azure, post, "/?api-version=1", Create),
            (Tracker, post, "/", Unknown),
            (HeygenV3, post, "/", Unknown),
            (Azure, get, "/operations/x?api-version=1", Status("x")),
            (Azure, delete, "/operations/x", Cancel("x")),
            (Azure, post, "/operations/x", Route::WrongMethod { allow: "GET, DELETE" }),
        ] {
            check(api, method, target, &expected);
        }
    }

    #[test]
    fn a_bulk_look_names_each_job_once() {
        let bulk = Route::Bulk(vec!["a".into(), "b".into(), "c".into()]);
        for query in ["a,b,c", "a%2Cb%2cc", "a,b,a,,c", "a&video_translation_ids=b,c"] {
            let target = format!("/v3/video-translations/statuses?video_translation_ids={query}");
            check(Api::HeygenV3, &Method::GET, &target, &bulk);
        }
    }
}
