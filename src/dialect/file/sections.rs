//! The sections of the file as they are written.

use std::collections::BTreeMap;
use std::string::String;
use std::vec::Vec;

use serde::Deserialize;

use crate::dialect::description::JobClass;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) name: String,
    #[serde(default)]
    pub(super) about: String,
    #[serde(default)]
    pub(super) untried: bool,
    pub(super) base_url: Option<String>,
    pub(super) max_body: Option<u64>,
    pub(super) freshness: Option<String>,
    pub(super) create: Option<CreateSection>,
    #[serde(default)]
    pub(super) job: JobSection,
    #[serde(default)]
    pub(super) poll: PollSection,
    pub(super) envelope: Option<EnvelopeSection>,
    pub(super) state: StateSection,
    #[serde(default)]
    pub(super) refine: Vec<RefineSection>,
    #[serde(default)]
    pub(super) error: ErrorSection,
    #[serde(default)]
    pub(super) result: ResultSection,
    #[serde(default)]
    pub(super) progress: ProgressSection,
    #[serde(default)]
    pub(super) times: TimesSection,
    #[serde(default)]
    pub(super) hints: HintsSection,
    pub(super) bulk: Option<BulkSection>,
    pub(super) cancel: Option<CancelSection>,
    #[serde(default)]
    pub(super) trust: TrustSection,
    #[serde(default)]
    pub(super) defaults: DefaultsSection,
}

/// `"/pointer"`, `{ header = "Name" }`, or a list of both.
#[derive(Deserialize)]
#[serde(untagged, expecting = "write a JSON pointer as in \"/data/id\", { header = \"Name\" }, or a list of both")]
pub(super) enum PlaceValue {
    One(SourceValue),
    Many(Vec<SourceValue>),
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "write a JSON pointer as in \"/data/id\", or { header = \"Name\" }")]
pub(super) enum SourceValue {
    Pointer(String),
    Header(HeaderValue),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HeaderValue {
    pub(super) header: String,
}

/// `"/pointer"` or a list of them.
#[derive(Deserialize)]
#[serde(untagged, expecting = "write a JSON pointer as in \"/data/url\", or a list of them")]
pub(super) enum PointersValue {
    One(String),
    Many(Vec<String>),
}

/// A word as APIs have them.
#[derive(Deserialize)]
#[serde(untagged, expecting = "write a word: a string, an integer or a boolean")]
pub(super) enum WordValue {
    Text(String),
    Number(i64),
    Flag(bool),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateSection {
    pub(super) method: Option<String>,
    pub(super) path: String,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Option<toml::Table>,
    pub(super) idempotency_header: Option<String>,
    pub(super) idempotency_ttl: Option<String>,
    #[serde(default)]
    pub(super) in_progress: Vec<WordValue>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JobSection {
    pub(super) id: Option<PlaceValue>,
    pub(super) poll_url: Option<PlaceValue>,
    pub(super) expected_duration: Option<PlaceValue>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PollSection {
    pub(super) method: Option<String>,
    pub(super) path: Option<String>,
    pub(super) id: Option<PlaceValue>,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EnvelopeSection {
    pub(super) pointer: String,
    #[serde(default)]
    pub(super) ok: Vec<WordValue>,
    #[serde(default)]
    pub(super) throttled: Vec<WordValue>,
    #[serde(default)]
    pub(super) lost: Vec<WordValue>,
    #[serde(default)]
    pub(super) fatal: Vec<WordValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StateSection {
    pub(super) pointer: Option<PlaceValue>,
    #[serde(default)]
    pub(super) pending: Vec<WordValue>,
    #[serde(default)]
    pub(super) running: Vec<WordValue>,
    #[serde(default)]
    pub(super) succeeded: Vec<WordValue>,
    #[serde(default)]
    pub(super) failed: Vec<WordValue>,
    #[serde(default)]
    pub(super) cancelled: Vec<WordValue>,
    #[serde(default)]
    pub(super) lost: Vec<WordValue>,
    #[serde(default)]
    pub(super) status: BTreeMap<String, JobClass>,
    #[serde(default)]
    pub(super) unknown: UnknownWord,
    #[serde(default)]
    pub(super) missing: MissingState,
}

#[derive(Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum UnknownWord {
    #[default]
    Running,
    Error,
}

#[derive(Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum MissingState {
    #[default]
    Error,
    Pending,
    Running,
    Succeeded,
    Failed,
    Cancelled,
    Lost,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RefineSection {
    pub(super) when: JobClass,
    pub(super) present: Option<String>,
    pub(super) absent: Option<String>,
    pub(super) at: Option<String>,
    pub(super) equals: Option<WordValue>,
    pub(super) then: JobClass,
    pub(super) r#for: Option<String>,
    pub(super) ask_again: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ErrorSection {
    pub(super) pointer: Option<PlaceValue>,
    pub(super) code: Option<PlaceValue>,
    #[serde(default)]
    pub(super) quota: Vec<WordValue>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ResultSection {
    pub(super) pointer: Option<PointersValue>,
    pub(super) follow: Option<PlaceValue>,
    pub(super) path: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProgressSection {
    pub(super) pointer: Option<PlaceValue>,
    pub(super) of: Option<f64>,
    pub(super) queue: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TimesSection {
    pub(super) created: Option<PlaceValue>,
    pub(super) started: Option<PlaceValue>,
    pub(super) ended: Option<PlaceValue>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HintsSection {
    pub(super) header: Option<String>,
    pub(super) pointer: Option<String>,
    pub(super) unit: Option<Unit>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Unit {
    Seconds,
    Milliseconds,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BulkSection {
    pub(super) path: String,
    pub(super) separator: Option<String>,
    pub(super) max: u16,
    pub(super) items: String,
    pub(super) id: String,
    pub(super) state: StateSection,
    pub(super) next: Option<String>,
    pub(super) next_parameter: Option<String>,
    #[serde(default)]
    pub(super) detail: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CancelSection {
    pub(super) method: Option<String>,
    pub(super) path: Option<String>,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    pub(super) url: Option<PlaceValue>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TrustSection {
    #[serde(default)]
    pub(super) credential_headers: Vec<String>,
    pub(super) env: Option<String>,
    pub(super) prefix: Option<String>,
    #[serde(default)]
    pub(super) allowed_origins: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DefaultsSection {
    pub(super) min_delay: Option<String>,
    pub(super) max_delay: Option<String>,
    pub(super) factor: Option<f64>,
    pub(super) timeout: Option<String>,
    pub(super) attempt_timeout: Option<String>,
    pub(super) max_retry_after: Option<String>,
}
