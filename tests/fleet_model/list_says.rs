//! What a backend that can be asked for many jobs at once says, and what that means by its dialect.

use core::time::Duration;

use http::Response;
use jobwatch::{Backend, LookError, Outcome};
use proptest::prelude::*;

use crate::http_support::{dialect, response, secs};

const OVEN: &str = r#"
    name = "oven"
    [poll]
    path = "/jobs/{id}"
    [state]
    pointer = "/state"
    pending = ["queued"]
    running = ["baking"]
    succeeded = ["baked"]
    failed = ["burnt"]
    cancelled = ["eaten"]
    lost = ["unknown"]
    [result]
    pointer = "/cake"
    follow = "/cake_at"
    [bulk]
    path = "/jobs?ids={ids}"
    max = SIZE
    items = "/jobs"
    id = "/id"
    next = "/next"
    next_parameter = "page"
    detail = DETAIL
    [bulk.state]
    pointer = "/state"
    pending = ["queued"]
    running = ["baking"]
    succeeded = ["baked"]
    failed = ["burnt"]
    cancelled = ["eaten"]
    lost = ["unknown"]
"#;

/// Lists of so many at the most; with `detail` they carry no results.
pub(crate) fn backend(size: u16, detail: bool) -> Backend {
    let text = OVEN.replace("SIZE", &size.to_string()).replace("DETAIL", &detail.to_string());
    let backend = Backend::new(dialect(&text), Some("https://oven.example.com/v1")).unwrap();
    ORIGINS[1..3].iter().fold(backend, |backend, origin| backend.with_allowed_origin(origin).unwrap())
}

/// The backend's own origin, two others that it may point at, and one that it may not.
pub(crate) const ORIGINS: [&str; 4] =
    ["https://oven.example.com", "https://b.example.com", "https://c.example.com", "https://evil.example.com"];

/// Where the dialect asks for a job.
pub(crate) fn home(id: &str) -> String {
    format!("{}/v1/jobs/{}", ORIGINS[0], id.replace(',', "%2C"))
}

/// Somewhere that an answer points at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    origin: usize,
    number: u8,
}

impl Place {
    pub(crate) fn is_allowed(self) -> bool {
        self.origin < 3
    }

    pub(crate) fn address(self) -> String {
        format!("{}/x/{}", ORIGINS[self.origin], self.number)
    }
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Job,
    List,
    Result,
}

/// What an answer says of one job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Unfinished,
    Ended(Outcome),
    Denied,
}

/// A state as the backend writes it. Most looks find a job unfinished.
const WORDS: [(&str, Class); 16] = [
    ("baking", Class::Unfinished),
    ("baking", Class::Unfinished),
    ("queued", Class::Unfinished),
    ("baking", Class::Unfinished),
    ("baked", Class::Ended(Outcome::Succeeded)),
    ("baking", Class::Unfinished),
    ("queued", Class::Unfinished),
    ("baking", Class::Unfinished),
    ("rising", Class::Unfinished),
    ("burnt", Class::Ended(Outcome::Failed)),
    ("baking", Class::Unfinished),
    ("unknown", Class::Denied),
    ("baking", Class::Unfinished),
    ("eaten", Class::Ended(Outcome::Cancelled)),
    ("baking", Class::Unfinished),
    ("queued", Class::Unfinished),
];

/// The word that no list of the dialect has.
pub(crate) const NO_WORD: &str = "rising";

/// What comes of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Say {
    /// States: of each job by its number among those asked for, as the digits of `words` say.
    Tell(Tell),
    /// This status, and when to come again.
    Status(u16, Option<u8>),
    /// To be asked for there; for ever, if it is permanent.
    Redirect {
        to: Place,
        permanent: bool,
    },
    Html,
    Error(LookError),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Tell {
    words: u64,
    /// Jobs that the list leaves out, by the bits of their numbers.
    left_out: u16,
    /// The job of which it says two things, if it is among them.
    twice: usize,
    /// The token of a further page.
    pub(crate) next: Option<u8>,
    hint: Option<u8>,
    exhausted: Option<u8>,
    /// Where the cake is, if not in the answer itself.
    pub(crate) cake_at: Option<Place>,
}

impl Tell {
    pub(crate) fn word(&self, number: usize) -> (&'static str, Class) {
        WORDS[(self.words >> (4 * (number % 16)) & 15) as usize]
    }

    /// What the list tells of this one; nothing where it leaves it out, or contradicts itself.
    pub(crate) fn entry(&self, number: usize) -> Option<(&'static str, Class)> {
        let is_told = self.left_out >> (number % 16) & 1 == 0 && number != self.twice;
        is_told.then(|| self.word(number))
    }

    pub(crate) fn token(&self) -> Option<String> {
        self.next.map(|next| next.to_string())
    }
}

impl Say {
    /// The answer to a request for these jobs.
    pub(crate) fn answer(&self, ids: &[String], subject: Subject) -> Result<Response<Vec<u8>>, LookError> {
        let after = |n: &Option<u8>| n.map(|n| n.to_string());
        match self {
            Self::Tell(tell) => {
                let body = match subject {
                    Subject::Job => tell.alone(&ids[0]),
                    Subject::List => tell.list(ids),
                    Subject::Result => format!(r#"{{"cake":"cake of {}"}}"#, ids[0]),
                };
                let mut response = response(200, &[], body);
                if let Some(hint) = after(&tell.hint) {
                    response.headers_mut().insert("retry-after", hint.parse().unwrap());
                }
                if let Some(exhausted) = tell.exhausted {
                    response.headers_mut().insert("ratelimit", format!("a;r=0;t={exhausted}").parse().unwrap());
                }
                Ok(response)
            }
            Self::Status(status, hint) => Ok(match after(hint) {
                Some(hint) => response(*status, &[("retry-after", &hint)], ""),
                None => response(*status, &[], ""),
            }),
            Self::Redirect { to, permanent } => {
                Ok(response(if *permanent { 308 } else { 302 }, &[("location", &to.address())], ""))
            }
            Self::Html => Ok(response(200, &[], "<html>")),
            Self::Error(error) => Err(*error),
        }
    }

    /// When the backend wants to be asked again.
    pub(crate) fn hint(&self) -> Option<Duration> {
        let hint = match self {
            Self::Tell(tell) => tell.hint.or(tell.exhausted),
            Self::Status(_, hint) => *hint,
            Self::Redirect { .. } | Self::Html | Self::Error(_) => None,
        };
        hint.map(|hint| secs(hint.into()))
    }

    /// Where the result of a job that was asked for alone is to be asked for.
    pub(crate) fn result_at(&self) -> Option<String> {
        match self {
            Self::Tell(tell) if tell.word(0).1 == Class::Ended(Outcome::Succeeded) => {
                tell.cake_at.filter(|place| place.is_allowed()).map(Place::address)
            }
            _ => None,
        }
    }

    /// How long nobody should ask.
    pub(crate) fn cool_down(&self) -> Option<Duration> {
        match self {
            Self::Tell(tell) => tell.exhausted.map(|exhausted| secs(exhausted.into())),
            Self::Status(429 | 503, hint) => hint.map(|hint| secs(hint.into())),
            _ => None,
        }
    }
}

impl Tell {
    fn alone(&self, id: &str) -> String {
        match (self.word(0).0, self.cake_at) {
            ("baked", Some(place)) => format!(r#"{{"state":"baked","cake_at":"{}"}}"#, place.address()),
            ("baked", None) => format!(r#"{{"state":"baked","cake":"cake of {id}"}}"#),
            (word, _) => format!(r#"{{"state":"{word}"}}"#),
        }
    }

    fn list(&self, ids: &[String]) -> String {
        let mut items = vec![r#"{"id":"stranger","state":"burnt"}"#.to_string()];
        for (number, id) in ids.iter().enumerate() {
            let entry = |word: &str| format!(r#"{{"id":"{id}","state":"{word}"}}"#);
            if number == self.twice {
                items.extend([entry("baked"), entry("burnt")]);
            } else if let Some((word, _)) = self.entry(number) {
                items.push(entry(word));
            }
        }
        let next = self.token().map_or("null".to_string(), |token| format!("{token:?}"));
        format!(r#"{{"jobs":[{}],"next":{next}}}"#, items.join(","))
    }
}

fn tell() -> impl Strategy<Value = Tell> {
    let left_out = prop_oneof![3 => Just(0), 1 => any::<u16>(), 1 => (0_u32..8).prop_map(|bit| 1 << bit)];
    let twice = prop_oneof![9 => Just(usize::MAX), 1 => 0_usize..4];
    let rarely = |n: core::ops::Range<u8>| prop_oneof![9 => Just(None), 1 => n.prop_map(Some)];
    let next = prop::option::weighted(0.15, 0_u8..3);
    let cake_at = prop::option::of(place());
    (any::<u64>(), left_out, twice, next, rarely(0..40), rarely(0..20), cake_at).prop_map(
        |(words, left_out, twice, next, hint, exhausted, cake_at)| Tell {
            words,
            left_out,
            twice,
            next,
            hint,
            exhausted,
            cake_at,
        },
    )
}

pub(crate) fn place() -> impl Strategy<Value = Place> {
    let origin = prop_oneof![3 => Just(0_usize), 6 => 1_usize..3, 1 => Just(3)];
    (origin, 0_u8..3).prop_map(|(origin, number)| Place { origin, number })
}

pub(crate) fn say() -> impl Strategy<Value = Say> {
    const REFUSED: [u16; 6] = [400, 403, 413, 414, 422, 431];
    const ERRORS: [LookError; 4] =
        [LookError::Disconnected, LookError::Unreachable, LookError::TooLarge, LookError::Tls];
    prop_oneof![
        24 => tell().prop_map(Say::Tell),
        2 => prop::sample::select(&[500_u16, 502, 503][..]).prop_map(|status| Say::Status(status, None)),
        1 => (0_u8..40).prop_map(|hint| Say::Status(503, Some(hint))),
        1 => prop::option::of(0_u8..60).prop_map(|hint| Say::Status(429, hint)),
        2 => prop::sample::select(&REFUSED[..]).prop_map(|status| Say::Status(status, None)),
        1 => prop::sample::select(&[404_u16, 405, 410, 402][..]).prop_map(|status| Say::Status(status, None)),
        1 => Just(Say::Status(401, None)),
        3 => (place(), prop::bool::weighted(0.3)).prop_map(|(to, permanent)| Say::Redirect { to, permanent }),
        1 => Just(Say::Html),
        2 => prop::sample::select(&ERRORS[..]).prop_map(Say::Error),
    ]
}
