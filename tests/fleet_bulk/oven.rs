//! A backend that can be asked for ten jobs at once.

use core::time::Duration;

use jobwatch::{Backend, Jitter, Outcome, Policy, PolicyBuilder};

use crate::fleet_support::{Sent, World};
use crate::http_support::{Reply, dialect, millis, response};

pub(crate) const BURNT: &str = "burnt";

const OVEN: &str = r#"
    name = "oven"
    [poll]
    path = "/jobs/{id}"
    [state]
    pointer = "/state"
    running = ["baking"]
    succeeded = ["baked"]
    failed = ["burnt"]
    cancelled = ["eaten"]
    [[refine]]
    when = "succeeded"
    absent = "/cake"
    then = "running"
    for = "10m"
    ask_again = "30s"
    [error]
    pointer = "/error"
    [result]
    pointer = "/cake"
    [times]
    ended = "/ended"
    [bulk]
    path = "/jobs?ids={ids}"
    max = 10
    items = "/jobs"
    id = "/id"
    next = "/next"
    next_parameter = "page"
    detail = true
    [bulk.state]
    pointer = "/state"
    running = ["baking"]
    succeeded = ["baked"]
    failed = ["burnt"]
    cancelled = ["eaten"]
    lost = ["unknown"]
"#;

pub(crate) fn backend() -> Backend {
    backend_of(OVEN)
}

/// The same where the shared answer says everything.
pub(crate) fn backend_without_details() -> Backend {
    backend_of(&OVEN.replace("detail = true", "detail = false"))
}

/// The same with another maximum.
pub(crate) fn backend_for(most: u16) -> Backend {
    backend_of(&OVEN.replace("max = 10", &format!("max = {most}")))
}

/// The same where refusals come under a good status.
pub(crate) fn backend_with_envelope() -> Backend {
    backend_of(&format!("envelope = {{ pointer = \"/refused\", fatal = [\"spoilt\"] }}\n{OVEN}"))
}

/// The same that refuses words which its lists are not known to have.
pub(crate) fn backend_that_refuses_unknown_words() -> Backend {
    backend_of(&OVEN.replace("lost = [\"unknown\"]", "lost = [\"unknown\"]\nunknown = \"error\""))
}

fn backend_of(text: &str) -> Backend {
    Backend::new(dialect(text), Some("https://oven.example.com/v1")).unwrap()
}

/// Looks every second, and every half where there is a free place.
pub(crate) fn patient() -> PolicyBuilder {
    let doubling = Policy::builder().with_jitter(Jitter::None).with_factor(2.0);
    doubling.with_min_delay(millis(500)).with_max_delay(millis(1_000))
}

/// So many jobs that are looked at every second.
pub(crate) fn world(jobs: usize) -> World {
    let mut world = World::new(backend(), patient());
    world.insert(jobs);
    world
}

/// An answer that takes a tenth of a second.
pub(crate) fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Reply {
    Reply::Answer(millis(100), response(status, headers, body))
}

/// A shared answer with these entries.
pub(crate) fn list(entries: &[(String, &str)]) -> Reply {
    page(entries, None)
}

pub(crate) fn page(entries: &[(String, &str)], next: Option<&str>) -> Reply {
    let items: Vec<_> = entries.iter().map(|(id, word)| format!(r#"{{"id":"{id}","state":"{word}"}}"#)).collect();
    let next = next.map_or("null".to_owned(), |next| format!("{next:?}"));
    answer(200, &[], &format!(r#"{{"jobs":[{}],"next":{next}}}"#, items.join(",")))
}

/// The truth about every job, which is `job-N`, and how it is told.
#[derive(Debug)]
pub(crate) struct Oven {
    /// How the N-th job ends, in turns.
    pub(crate) words: Vec<&'static str>,
}

impl Default for Oven {
    fn default() -> Self {
        Self { words: vec!["baked"] }
    }
}

impl Oven {
    /// A job's last word.
    pub(crate) fn end(&self, id: &str) -> &'static str {
        let digits: String = id.chars().filter(char::is_ascii_digit).collect();
        self.words[digits.parse::<usize>().unwrap_or(0) % self.words.len()]
    }

    pub(crate) fn outcome(&self, id: &str) -> Outcome {
        match self.end(id) {
            "baked" => Outcome::Succeeded,
            BURNT => Outcome::Failed,
            "eaten" => Outcome::Cancelled,
            _ => Outcome::Lost,
        }
    }

    /// What there is to say of each job asked for, if they all end at this time.
    pub(crate) fn entries(&self, sent: &Sent, ends: Duration) -> Vec<(String, &'static str)> {
        let word = |id: &str| if sent.time() < ends { "baking" } else { self.end(id) };
        sent.ids.iter().map(|id| (id.clone(), word(id))).collect()
    }

    /// The plain answer.
    pub(crate) fn serve(&self, sent: &Sent, ends: Duration) -> Reply {
        let entries = self.entries(sent, ends);
        if sent.bulk { list(&entries) } else { detail(&entries[0].0, entries[0].1) }
    }
}

/// A job by itself in this state.
fn detail(id: &str, word: &str) -> Reply {
    answer(
        200,
        &[],
        &match word {
            "baked" => format!(r#"{{"state":"baked","cake":"cake of {id}"}}"#),
            BURNT => format!(r#"{{"state":"burnt","error":"{id} was burnt"}}"#),
            word => format!(r#"{{"state":"{word}"}}"#),
        },
    )
}
