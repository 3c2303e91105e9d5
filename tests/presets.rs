//! The presets: what each says of every answer that its vendor is known to give, and what it asks.
//!
//! Nobody could try them on the live services but for `tracker`; they stand on what the vendors have published, and
//! these tables hold them to it, row by row.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used)] // in shared functions too

mod http_support;

#[path = "presets/asking.rs"]
mod asking;
#[path = "presets/clouds.rs"]
mod clouds;
#[path = "presets/elsewhere.rs"]
mod elsewhere;
#[path = "presets/endings.rs"]
mod endings;
#[path = "presets/heygen.rs"]
mod heygen;
#[path = "presets/media.rs"]
mod media;
#[path = "presets/reading.rs"]
mod reading;
#[path = "presets/words.rs"]
mod words;

use core::time::Duration;

use http_support::{millis, secs};
use jobwatch::Observation::{self, Cancelled, Failed, Succeeded};
use jobwatch::{Dialect, LookError};

const PENDING: Observation = Observation::Pending { hint: None };
const RUNNING: Observation = Observation::Running { hint: None };
const LOST: Observation = Observation::Lost { definite: false };
const MALFORMED: Observation = Observation::Transient { error: LookError::Malformed, hint: None };

fn preset(name: &str) -> Dialect {
    Dialect::preset(name).unwrap_or_else(|| panic!("there is no preset {name}"))
}

/// What a preset says of itself.
struct Facts {
    preset: &'static str,
    base: Option<&'static str>,
    /// The variable that holds the key, and the header with the key `k`.
    key: Option<(&'static str, &'static str, &'static str)>,
    credentials: &'static [&'static str],
    creates: bool,
    cancels: bool,
    bulk: Option<u16>,
    min_delay: Duration,
    max_delay: Duration,
    timeout: Duration,
}

const USUAL: Facts = Facts {
    preset: "",
    base: None,
    key: None,
    credentials: &["authorization"],
    creates: true,
    cancels: false,
    bulk: None,
    min_delay: secs(1),
    max_delay: secs(60),
    timeout: secs(60 * 60),
};

/// In the order in which they are listed.
#[rustfmt::skip]
const FACTS: [Facts; 17] = [
    Facts { preset: "tracker", credentials: &[], ..USUAL },
    Facts {
        preset: "heygen-v3", base: Some("https://api.heygen.com/"), key: Some(("HEYGEN_API_KEY", "x-api-key", "k")),
        credentials: &["x-api-key", "authorization"], cancels: true, bulk: Some(100), min_delay: secs(5), ..USUAL
    },
    Facts {
        preset: "heygen-v2", base: Some("https://api.heygen.com/"), key: Some(("HEYGEN_API_KEY", "x-api-key", "k")),
        credentials: &["x-api-key", "authorization"], min_delay: secs(5), ..USUAL
    },
    Facts { preset: "rfc9110", ..USUAL },
    Facts {
        preset: "azure", credentials: &["ocp-apim-subscription-key", "api-key", "authorization"],
        min_delay: secs(5), max_delay: secs(30), ..USUAL
    },
    Facts {
        preset: "google-lro", credentials: &["authorization", "x-goog-api-key"], creates: false, cancels: true,
        max_delay: secs(20), ..USUAL
    },
    Facts {
        preset: "openai", base: Some("https://api.openai.com/"),
        key: Some(("OPENAI_API_KEY", "authorization", "Bearer k")), ..USUAL
    },
    Facts {
        preset: "replicate", base: Some("https://api.replicate.com/"),
        key: Some(("REPLICATE_API_TOKEN", "authorization", "Bearer k")), cancels: true, min_delay: millis(500), ..USUAL
    },
    Facts {
        preset: "runway", base: Some("https://api.dev.runwayml.com/"),
        key: Some(("RUNWAYML_API_SECRET", "authorization", "Bearer k")), cancels: true, min_delay: secs(6), ..USUAL
    },
    Facts {
        preset: "fal", base: Some("https://queue.fal.run/"), key: Some(("FAL_KEY", "authorization", "Key k")),
        cancels: true, min_delay: millis(500), ..USUAL
    },
    Facts {
        preset: "luma", base: Some("https://api.lumalabs.ai/"),
        key: Some(("LUMAAI_API_KEY", "authorization", "Bearer k")), ..USUAL
    },
    Facts {
        preset: "assemblyai", base: Some("https://api.assemblyai.com/"),
        key: Some(("ASSEMBLYAI_API_KEY", "authorization", "k")), min_delay: secs(3), ..USUAL
    },
    Facts {
        preset: "elevenlabs-dubbing", base: Some("https://api.elevenlabs.io/"),
        key: Some(("ELEVENLABS_API_KEY", "xi-api-key", "k")), credentials: &["xi-api-key"], ..USUAL
    },
    Facts {
        preset: "anthropic-batches", base: Some("https://api.anthropic.com/"),
        key: Some(("ANTHROPIC_API_KEY", "x-api-key", "k")), credentials: &["x-api-key", "authorization"],
        cancels: true, min_delay: secs(30), max_delay: secs(10 * 60), timeout: secs(25 * 60 * 60), ..USUAL
    },
    Facts { preset: "x-media", base: Some("https://api.x.com/2/media/upload"), creates: false, ..USUAL },
    Facts {
        preset: "bfl", base: Some("https://api.bfl.ai/"), key: Some(("BFL_API_KEY", "x-key", "k")),
        credentials: &["x-key"], ..USUAL
    },
    Facts {
        preset: "bigquery", base: Some("https://bigquery.googleapis.com/"), creates: false, cancels: true,
        timeout: secs(6 * 60 * 60), ..USUAL
    },
];

#[test]
fn every_preset_is_in_these_tables_and_in_its_place() {
    assert_eq!(Dialect::presets().collect::<Vec<_>>(), FACTS.map(|facts| facts.preset));
}

#[test]
fn what_each_says_of_itself() {
    for facts in FACTS {
        let (name, dialect) = (facts.preset, preset(facts.preset));
        assert_eq!(dialect.name(), name);
        assert!(!dialect.about().is_empty() && !dialect.about().contains('\n'), "{name}");
        assert_eq!(dialect.is_untried(), name != "tracker", "{name}");
        assert_eq!(dialect.base_url(), facts.base, "{name}");
        assert_eq!(dialect.credential_headers().collect::<Vec<_>>(), facts.credentials, "{name}");
        assert_eq!(dialect.key_variable(), facts.key.map(|(variable, ..)| variable), "{name}");
        let header = facts.key.map(|(_, header, value)| (header, value.to_string()));
        assert_eq!(dialect.key_header("k"), header, "{name}");
        assert_eq!(dialect.can_create(), facts.creates, "{name}");
        assert_eq!(dialect.can_cancel(), facts.cancels, "{name}");
        assert_eq!(dialect.bulk_limit(), facts.bulk, "{name}");
        let policy = dialect.policy().build().unwrap();
        assert_eq!(policy.min_delay(), facts.min_delay, "{name}");
        assert_eq!(policy.max_delay(), Some(facts.max_delay), "{name}");
        assert_eq!(policy.total_timeout(), Some(facts.timeout), "{name}");
    }
}

#[test]
fn each_file_begins_with_what_it_speaks_to() {
    for name in Dialect::presets() {
        let file = Dialect::preset_file(name).unwrap();
        assert!(file.starts_with("# ") && file.contains(&format!("\nname = \"{name}\"\n")), "{name}");
    }
}

/// A preset to which a section was added, as a user adds it to a copy.
fn extended(name: &str, section: &str) -> Dialect {
    http_support::dialect(&format!("{}\n{section}", Dialect::preset_file(name).unwrap()))
}

/// Whether an observation is one of the three ends that an answer's word tells.
fn is_end(observation: Observation) -> bool {
    matches!(observation, Succeeded | Failed | Cancelled)
}
