//! Jobs as they really are, and answers together with what they mean.

use core::fmt;
use core::time::Duration;
use std::rc::Rc;

use http::Response;
use jobwatch::{LookError, Outcome};

use super::dice::Dice;
use super::hints::Told;
use super::speech::{ABROAD, FOREIGN, HOME, Lists, Results, Speech, encoded};

/// A job as it really is; instants in nanoseconds of the world.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) starts: u64,
    pub(crate) ends: u64,
    pub(crate) end: Outcome,
    /// From here on the result is there.
    pub(crate) complete: u64,
    /// Until the backend loses its memory.
    pub(crate) known: bool,
    /// No false end was ever told of it.
    pub(crate) honest: bool,
    /// No old state was told of it without saying so.
    pub(crate) timely: bool,
}

/// What an answer says of one job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tell {
    Unfinished,
    End(Outcome),
    /// A success without its result: believed after a while.
    Incomplete,
    Denied {
        definite: bool,
    },
}

/// What an answer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    States(Vec<(String, Tell)>),
    Redirect,
    Throttled,
    Broken,
    Fatal,
    Refused,
    Result,
    Created,
}

/// An answer, and what it means.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) response: Response<Vec<u8>>,
    pub(crate) what: What,
    /// When to ask again, as far as that is to be believed.
    pub(crate) hint: Option<Duration>,
    /// Nobody is to ask for so long.
    pub(crate) cool_down: Option<Duration>,
}

/// What comes of a request.
#[derive(Clone, Debug)]
pub(crate) enum Delivery {
    Reply(Rc<Reply>),
    Error(LookError),
}

impl Job {
    /// Its result came later than its end.
    pub(crate) fn is_late(&self) -> bool {
        self.complete > self.ends
    }

    /// The word at this instant, and what it means.
    pub(crate) fn state(&mut self, at: u64, lies: bool, unknown: bool, dice: &mut Dice) -> (&'static str, Tell) {
        if lies {
            self.honest = false;
            return dice.of(&[
                ("baked", Tell::End(Outcome::Succeeded)),
                ("burnt", Tell::End(Outcome::Failed)),
                ("queued", Tell::Unfinished),
            ]);
        }
        match self.end {
            _ if unknown && at < self.ends => ("proving", Tell::Unfinished),
            _ if at < self.starts => ("queued", Tell::Unfinished),
            _ if at < self.ends => ("baking", Tell::Unfinished),
            Outcome::Failed => ("burnt", Tell::End(Outcome::Failed)),
            Outcome::Cancelled => ("Eaten", Tell::End(Outcome::Cancelled)),
            _ => ("BAKED", Tell::End(Outcome::Succeeded)),
        }
    }

    pub(crate) fn body(&self, word: &str, tell: Tell, now: u64, results: Results, dice: &mut Dice) -> String {
        let id = escaped(&self.id);
        let more = match (tell, results) {
            (Tell::End(Outcome::Succeeded), Results::Inline) if now >= self.complete => {
                format!(",\"cake\":\"cake of {id}\"")
            }
            (Tell::End(Outcome::Succeeded), Results::Follow) => {
                let origin = dice.of(&["", "", "", HOME, ABROAD, FOREIGN[0]]);
                format!(",\"cake_at\":\"{origin}/v1/jobs/{}/cake\"", encoded(&self.id))
            }
            (Tell::End(Outcome::Failed), _) => ",\"error\":{\"message\":\"it burnt\"}".to_owned(),
            _ => String::new(),
        };
        format!("{{\"id\":\"{id}\",\"state\":\"{word}\"{more}}}")
    }
}

/// A state in plain HTTP.
pub(crate) fn by_status(job: &Job, tell: Tell, told: &Told, dice: &mut Dice) -> Reply {
    let tells = |tell| What::States(vec![(job.id.clone(), tell)]);
    let path = format!("/v1/jobs/{}", encoded(&job.id));
    match tell {
        Tell::End(_) if dice.percent(50) => {
            let mut reply = answer(303, tells(Tell::End(Outcome::Succeeded)), "", &told.of_quotas());
            reply.response.headers_mut().insert("location", format!("{path}/cake").parse().unwrap());
            reply
        }
        Tell::End(_) => answer(200, tells(Tell::End(Outcome::Succeeded)), "{\"cake\":1}", &Told::default()),
        tell => {
            let mut reply = answer(202, tells(tell), "", told);
            if dice.percent(20) {
                let origin = dice.of(&["", HOME, ABROAD, FOREIGN[0]]);
                reply.response.headers_mut().insert("location", format!("{origin}{path}").parse().unwrap());
            }
            reply
        }
    }
}

pub(crate) fn answer(status: u16, what: What, body: &str, told: &Told) -> Reply {
    let mut response = Response::builder().status(status);
    for (name, value) in &told.headers {
        response = response.header(*name, value);
    }
    let for_all = told.to_all || what == What::Throttled || status == 503;
    let cool_down = told.after.filter(|_| for_all);
    Reply { response: response.body(body.as_bytes().to_vec()).unwrap(), what, hint: told.after, cool_down }
}

pub(crate) fn escaped(id: &str) -> String {
    id.replace('"', "\\\"")
}

/// The second word of an answer about a list comes with a request of its own.
pub(crate) fn asks_again(speech: &Speech, in_list: bool, end: Outcome) -> bool {
    (in_list && speech.lists == Lists::Detail)
        || (end == Outcome::Succeeded && (speech.results != Results::Inline || speech.by_status))
}

/// In one line.
impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(error) => write!(f, "{error:?}"),
            Self::Reply(reply) => {
                let headers: Vec<_> = reply.response.headers().iter().collect();
                let body = String::from_utf8_lossy(reply.response.body());
                write!(f, "{} {headers:?} {body} ({:?})", reply.response.status().as_u16(), reply.what)
            }
        }
    }
}
