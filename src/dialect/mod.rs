//! How a backend speaks: a declarative description of one job API.
//!
//! A [`Dialect`] is read from TOML, the presets like a user's own, and one interpreter serves them all: it builds
//! requests ([`crate::Backend`]) and turns answers into [`Reading`]s ([`Dialect::read`]).

mod address;
mod bulk;
mod classify;
mod description;
mod file;
mod hints;
mod instant;
mod names;
mod rate_limit;
mod reading;
mod template;
mod wanted;

use core::fmt;
use core::time::Duration;
use std::borrow::Cow;
use std::string::String;
use std::sync::Arc;

use serde_json::Value;

pub use address::Address;
pub(crate) use address::without_secrets;
pub(crate) use bulk::BulkAnswer;
pub(crate) use classify::{Answer, ResultAnswer, header_text, is_success};
pub(crate) use description::{Ask, Description, JobClass, Place, extend_missing};
pub use file::DialectError;
pub use hints::HintSource;
pub(crate) use hints::{HintHeader, HintUnit};
pub(crate) use hints::{parse_delay, parse_http_date};
pub(crate) use names::Names;
pub(crate) use rate_limit::exhausted_for;
pub use reading::{Reading, Rule};
pub(crate) use template::ID;
use wanted::Wanted;

use crate::policy::PolicyBuilder;

/// The most bytes that are kept of a backend's word or message; a body may be megabytes of one.
const LONGEST_TEXT: usize = 1_000;

/// The presets, in the order in which they are listed.
const PRESETS: [(&str, &str); 17] = [
    ("tracker", include_str!("presets/tracker.toml")),
    ("heygen-v3", include_str!("presets/heygen-v3.toml")),
    ("heygen-v2", include_str!("presets/heygen-v2.toml")),
    ("rfc9110", include_str!("presets/rfc9110.toml")),
    ("azure", include_str!("presets/azure.toml")),
    ("google-lro", include_str!("presets/google-lro.toml")),
    ("openai", include_str!("presets/openai.toml")),
    ("replicate", include_str!("presets/replicate.toml")),
    ("runway", include_str!("presets/runway.toml")),
    ("fal", include_str!("presets/fal.toml")),
    ("luma", include_str!("presets/luma.toml")),
    ("assemblyai", include_str!("presets/assemblyai.toml")),
    ("elevenlabs-dubbing", include_str!("presets/elevenlabs-dubbing.toml")),
    ("anthropic-batches", include_str!("presets/anthropic-batches.toml")),
    ("x-media", include_str!("presets/x-media.toml")),
    ("bfl", include_str!("presets/bfl.toml")),
    ("bigquery", include_str!("presets/bigquery.toml")),
];

/// How one backend's job API speaks. What exists is well-formed; cloning is cheap.
///
#[doc = include_str!("format.md")]
#[derive(Clone)]
pub struct Dialect {
    inner: Arc<Description>,
    wanted: Arc<Wanted>,
    digest: u64,
}

impl Dialect {
    /// The preset of this name.
    pub fn preset(name: &str) -> Option<Self> {
        Some(Self::from_toml(Self::preset_file(name)?).expect("presets are well-formed, as a test shows"))
    }

    /// The file of the preset of this name, to start one's own from.
    pub fn preset_file(name: &str) -> Option<&'static str> {
        PRESETS.iter().find(|(preset, _)| *preset == name).map(|(_, text)| *text)
    }

    /// The names of the presets.
    pub fn presets() -> impl Iterator<Item = &'static str> {
        PRESETS.iter().map(|(name, _)| *name)
    }

    /// The status tracker: the system that jobwatch was born from, and what `jobwatch simulate` speaks.
    pub fn tracker() -> Self {
        Self::preset("tracker").expect("it is a preset")
    }

    /// `HeyGen`'s video translation, version 3: one create makes a job for each language, and one look can ask for a hundred.
    pub fn heygen_v3() -> Self {
        Self::preset("heygen-v3").expect("it is a preset")
    }

    /// Reads a dialect file.
    ///
    /// ```
    /// use jobwatch::Dialect;
    ///
    /// let dialect = Dialect::from_toml(r#"
    ///     name = "kiln"
    ///     poll.path = "/firings/{id}"
    ///     state.pointer = "/firing/state"
    ///     state.running = ["heating", "cooling"]
    ///     state.succeeded = ["fired"]
    ///     state.failed = ["cracked"]
    /// "#)?;
    /// assert_eq!(dialect.name(), "kiln");
    /// # Ok::<(), jobwatch::DialectError>(())
    /// ```
    ///
    /// # Errors
    /// The key that is wrong, and what to write instead.
    pub fn from_toml(text: &str) -> Result<Self, DialectError> {
        let description = file::parse(text)?;
        let wanted = Arc::new(Wanted::by(&description));
        Ok(Self { inner: Arc::new(description), wanted, digest: digest(text) })
    }

    /// The dialect's name.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// A number that is another for another file, to tell whether what was stored was read by this description. The same
    /// on every machine, and no protection against somebody who wants two files to have one.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// One line on what it speaks to.
    pub fn about(&self) -> &str {
        &self.inner.about
    }

    /// The backend's own address, where it has one.
    pub fn base_url(&self) -> Option<&str> {
        self.inner.base_url.as_ref().map(url::Url::as_str)
    }

    /// Nobody could try this description on the live service: it stands on the vendor's documents.
    pub fn is_untried(&self) -> bool {
        self.inner.untried
    }

    /// Whether it says how a job is created.
    pub fn can_create(&self) -> bool {
        self.inner.create.is_some()
    }

    /// Whether it says how a job is cancelled.
    pub fn can_cancel(&self) -> bool {
        self.inner.cancel.is_some()
    }

    /// The most jobs that one request can ask for; `None` where each needs its own.
    pub fn bulk_limit(&self) -> Option<u16> {
        self.inner.bulk.as_ref().map(|bulk| bulk.max)
    }

    /// For how long the backend may repeat an old answer.
    pub fn freshness(&self) -> Duration {
        self.inner.freshness
    }

    /// The names of the headers that carry the backend's credentials, as far as it tells them.
    pub fn credential_headers(&self) -> impl Iterator<Item = &str> {
        self.inner.credential_headers.iter().map(http::HeaderName::as_str)
    }

    /// The environment variable in which the vendor's own tools look for the key.
    pub fn key_variable(&self) -> Option<&str> {
        self.inner.key.as_ref().map(|key| key.variable.as_str())
    }

    /// The header that carries this key, and its value.
    pub fn key_header(&self, key: &str) -> Option<(&str, String)> {
        let source = self.inner.key.as_ref()?;
        Some((source.header.as_str(), format!("{}{key}", source.prefix)))
    }

    /// The policy that suits this backend, to start from.
    pub fn policy(&self) -> PolicyBuilder {
        self.inner.policy.clone()
    }

    pub(crate) fn description(&self) -> &Description {
        &self.inner
    }
}

impl fmt::Debug for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Dialect").field(&self.inner.name).finish()
    }
}

/// FNV-1a: short, and the same in every version.
fn digest(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The value at a JSON pointer, with `null` as absent.
pub(crate) fn at<'v>(value: &'v Value, pointer: &str) -> Option<&'v Value> {
    let found =
        if pointer.bytes().any(|byte| byte == b'~') { value.pointer(pointer) } else { at_plain(value, pointer) };
    found.filter(|value| !value.is_null())
}

/// The same, taken out of there.
fn take_at(value: &mut Value, pointer: &str) -> Option<Value> {
    value.pointer_mut(pointer).map(Value::take).filter(|value| !value.is_null())
}

/// Several pointers are followed in each answer, and hardly one has an escape (RFC 6901 §3), for which
/// [`Value::pointer`] copies each name.
fn at_plain<'v>(value: &'v Value, pointer: &str) -> Option<&'v Value> {
    let Some(mut names) = pointer.strip_prefix('/') else { return pointer.is_empty().then_some(value) };
    let mut value = value;
    loop {
        // Names are so short that a search by the byte is quicker than `split`.
        let end = names.bytes().position(|byte| byte == b'/');
        let name = &names[..end.unwrap_or(names.len())];
        value = match value {
            Value::Object(fields) => fields.get(name)?,
            Value::Array(items) => {
                let is_index = name == "0" || !name.starts_with(['0', '+']);
                items.get(name.parse::<usize>().ok().filter(|_| is_index)?)?
            }
            _ => return None,
        };
        let Some(end) = end else { return Some(value) };
        names = &names[end + 1..];
    }
}

/// Whether two words are the same, whatever their letter case; the first is in lower case.
pub(crate) fn is_among(words: &[String], word: &str) -> bool {
    if word.is_ascii() {
        return words.iter().any(|known| known.eq_ignore_ascii_case(word));
    }
    let lower = word.to_lowercase();
    words.contains(&lower)
}

/// The beginning of a text that is too long to be kept.
pub(crate) fn shortened(text: &str) -> Cow<'_, str> {
    if text.len() <= LONGEST_TEXT {
        return Cow::Borrowed(text);
    }
    let end = (0..=LONGEST_TEXT).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    Cow::Owned(format!("{}…", &text[..end]))
}

/// The same of one that is ours.
pub(crate) fn shorten(text: String) -> String {
    match shortened(&text) {
        Cow::Borrowed(_) => text,
        Cow::Owned(beginning) => beginning,
    }
}

/// A word or an id as text: strings as they are, numbers and booleans as written.
pub(crate) fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pointers_without_escapes_lead_where_all_do() {
        let value = json!({
            "": {"": 1}, "a": {"b": [10, {"c": true}, null]}, "0": "zero", "list": [[1, 2], []], "null": null, "ä": {"/": 1},
        });
        let names = [
            "",
            "a",
            "b",
            "c",
            "0",
            "1",
            "2",
            "00",
            "01",
            "+1",
            "-",
            "-1",
            " 1",
            "list",
            "null",
            "ä",
            "99999999999999999999",
        ];
        let mut pointers = vec![String::new(), "a".into(), "0".into(), "a/b".into()];
        for first in names {
            pointers.push(format!("/{first}"));
            for second in names {
                pointers.push(format!("/{first}/{second}"));
                pointers.extend(names.map(|third| format!("/{first}/{second}/{third}")));
            }
        }
        for pointer in pointers {
            assert_eq!(at_plain(&value, &pointer), value.pointer(&pointer), "{pointer:?}");
        }
        assert_eq!((at(&value, "/null"), at(&value, "/ä/~1")), (None, Some(&json!(1))));
    }

    #[test]
    fn only_what_is_too_long_is_shortened() {
        let text = "x".repeat(LONGEST_TEXT + 1);
        assert_eq!(shortened(&text[1..]), text[1..]);
        assert_eq!(shortened(&text), format!("{}…", &text[1..]));
    }

    #[test]
    fn words_are_the_same_in_any_letter_case() {
        let words = ["running", "läuft"].map(String::from);
        for (word, known) in [("Running", true), ("LÄUFT", true), ("läuft", true), ("run", false), ("\u{212a}", false)]
        {
            assert_eq!(is_among(&words, word), known, "{word}");
        }
    }
}
