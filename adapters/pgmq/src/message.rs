//! A job as a message: what any worker needs to go on waiting for it, and no secret.

use jobwatch::{Backend, BackendError, Dialect, JobRef, JobSnapshot};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The version of messages that this release writes, and the only one it adopts.
pub(crate) const VERSION: u16 = 1;

/// Which backend jobs belong to, and with whose credential they are asked for. A worker adopts the jobs of one
/// destination alone: no message can send its credential elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Destination {
    dialect: String,
    base_url: String,
    credential: String,
    origin: String,
}

impl Destination {
    /// The backend of this dialect at this address, or at the dialect's own; and the **name** of a credential, whose value
    /// the workers have.
    ///
    /// # Errors
    /// The address is wrong, or there is none.
    pub fn new(dialect: &Dialect, base_url: Option<&str>, credential: &str) -> Result<Self, BackendError> {
        let origin = Backend::new(dialect.clone(), base_url)?.origin();
        let given = base_url.or(dialect.base_url()).unwrap_or_default();
        // The same address in other words is the same backend.
        let base_url = url::Url::parse(given).map_or_else(|_| given.to_owned(), String::from);
        let base_url = base_url.trim_end_matches('/').to_owned();
        Ok(Self { dialect: dialect.name().to_owned(), base_url, credential: credential.to_owned(), origin })
    }

    /// What is shared by all who ask this origin with this credential: a rate.
    pub(crate) fn lane(&self) -> String {
        format!("{} {}", self.origin, self.credential)
    }

    /// What every message for this destination contains.
    pub(crate) fn filter(&self) -> Value {
        json!({
            "v": VERSION, "dialect": self.dialect, "base_url": self.base_url, "credential": self.credential,
        })
    }

    /// The message of a job that nobody has looked at.
    pub(crate) fn message(&self, job: &JobRef) -> String {
        let message = Message {
            v: VERSION,
            dialect: self.dialect.clone(),
            base_url: self.base_url.clone(),
            credential: self.credential.clone(),
            job: job.clone(),
            snapshot: None,
        };
        // Plain data: text, numbers, maps with text as keys.
        serde_json::to_string(&message).expect("a message can be written as JSON")
    }
}

#[derive(Serialize, Deserialize)]
struct Message {
    v: u16,
    dialect: String,
    base_url: String,
    credential: String,
    job: JobRef,
    /// Read apart: of a newer one the job is known all the same.
    snapshot: Option<Value>,
}

/// A message that was adopted, as far as it can be read.
pub(crate) fn read(message: &str) -> Result<(JobRef, Option<JobSnapshot>), String> {
    let message: Message = serde_json::from_str(message).map_err(|error| error.to_string())?;
    let snapshot = message.snapshot.and_then(|snapshot| serde_json::from_value::<JobSnapshot>(snapshot).ok());
    // A snapshot of another job is not this job's past.
    let snapshot = snapshot.filter(|snapshot| snapshot.job().id() == message.job.id());
    Ok((message.job, snapshot))
}

/// A snapshot as it is stored.
pub(crate) fn written(snapshot: &JobSnapshot) -> Option<String> {
    let mut snapshot = serde_json::to_value(snapshot).ok()?;
    replace_nul(&mut snapshot);
    Some(snapshot.to_string())
}

/// Text without the one character that PostgreSQL has no place for.
pub(crate) fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

fn replace_nul(value: &mut Value) {
    match value {
        Value::String(text) if text.contains('\0') => *text = storable(text),
        Value::Array(items) => items.iter_mut().for_each(replace_nul),
        Value::Object(fields) => fields.values_mut().for_each(replace_nul),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn destination(url: Option<&str>) -> Destination {
        Destination::new(&Dialect::tracker(), url, "default").unwrap()
    }

    #[test]
    fn the_same_address_in_other_words_is_the_same_destination() {
        let plain = destination(Some("http://127.0.0.1:5000"));
        for same in ["http://127.0.0.1:5000/", "HTTP://127.0.0.1:5000", "http://127.0.0.1:5000//"] {
            assert_eq!(destination(Some(same)), plain, "{same}");
        }
        for other in ["http://127.0.0.1:5001", "http://127.0.0.1:5000/v2"] {
            assert_ne!(destination(Some(other)), plain, "{other}");
        }
        let heygen = |url| Destination::new(&Dialect::heygen_v3(), url, "default").unwrap();
        assert_eq!(heygen(None), heygen(Some("https://api.heygen.com")));
        assert!(Destination::new(&Dialect::tracker(), None, "default").is_err());
    }

    #[test]
    fn a_message_is_read_as_it_was_written() {
        let job = JobRef::new("a \"job\"\u{7f3}").unwrap();
        let written = destination(Some("http://h")).message(&job);
        assert_eq!(read(&written).unwrap().0, job);
        assert!(read(r#"{"v":1}"#).is_err());
        let with = |snapshot: &str| written.replace("\"snapshot\":null", &format!("\"snapshot\":{snapshot}"));
        assert_ne!(with("{}"), written);
        for unreadable in ["{}", "[1]", r#"{"v":9,"job":{"new":"shape"}}"#] {
            let (read, snapshot) = read(&with(unreadable)).unwrap();
            assert!(read == job && snapshot.is_none(), "{unreadable}");
        }
    }

    #[test]
    fn what_postgres_has_no_place_for_is_replaced() {
        let mut value = json!({ "a": ["x\u{0}y", { "b": "\u{0}" }], "c": 1 });
        replace_nul(&mut value);
        assert_eq!(value, json!({ "a": ["x\u{fffd}y", { "b": "\u{fffd}" }], "c": 1 }));
    }
}
