//! How to test one's own polling: worlds in simulated time, anything at all as strategies, and bounds that are held against
//! what really happened.
//!
//! ```toml
//! [dev-dependencies]
//! jobwatch = { version = "0.1", features = ["testing"] }
//! proptest = "1"
//! ```
//!
//! Polling code is tested badly where it has a clock of its own: its tests sleep, or they replace the clock and test the
//! replacement. Nothing here has one. A test hands in the time, so that a wait of hours takes microseconds, and the same
//! seed gives the same wait.
//!
//! # A story
//!
//! Tell what the backend does, drive the wait to its end, and look at what happened. [`World`] does it for one
//! [`Poller`](crate::Poller); `HttpWorld` (feature `http`) for a `Watch` or a `Fleet`, with requests and answers.
//!
//! ```
//! use core::time::Duration;
//! use jobwatch::testing::{Answer, World};
//! use jobwatch::{LookError, Observation, Outcome, Policy};
//!
//! let running = Observation::Running { hint: None };
//! let broken = Observation::Transient { error: LookError::Status(502), hint: None };
//! let mut world = World::new(Policy::builder().with_min_delay(Duration::from_secs(2)))
//!     .answering([running, broken, broken, Observation::Succeeded]);
//! let ended = world.drive();
//! assert_eq!((ended.outcome, ended.looks, ended.failed_looks), (Outcome::Succeeded, 4, 2));
//! ```
//!
//! # A property
//!
//! A story shows one life. What must hold in every life is a property, over policies, schedules, answers and histories that
//! [proptest](https://docs.rs/proptest) draws, and makes small where it fails. Say, that your way of telling users about an
//! outcome never calls a failed *request* a failed *job*:
//!
//! ```
//! use jobwatch::testing::{World, any_answer, ordinary_policy};
//! use jobwatch::Outcome;
//! use proptest::collection::vec;
//! use proptest::prelude::*;
//!
//! fn tell(outcome: Outcome) -> &'static str {
//!     match outcome {
//!         Outcome::Succeeded => "Your video is ready.",
//!         Outcome::Failed | Outcome::Cancelled | Outcome::Lost => "There will be no video.",
//!         _ => "We lost sight of your video; we shall look again.",
//!     }
//! }
//!
//! proptest!(ProptestConfig::with_cases(64), |(policy in ordinary_policy(), answers in vec(any_answer(), 1..20), seed: u64)| {
//!     let mut world = World::seeded(policy.to_builder(), seed).answering(answers);
//!     let ended = world.drive();
//!     prop_assert_eq!(tell(ended.outcome) == "There will be no video.", ended.outcome.is_jobs_end()
//!         && ended.outcome != Outcome::Succeeded);
//! });
//! ```
//!
//! [`any_history`] is what may befall a poller in between: answers, wakes, stops, crashes, and a clock that jumps.
//!
//! # Bounds
//!
//! [`Policy::bounds`](crate::Policy::bounds) says what every wait keeps to. [`assert_within_bounds`] drives a policy and a
//! schedule of yours against backends of every temper and says which bound was broken, when, and by how much;
//! [`assert_within`] does it for what you have promised to somebody:
//!
//! ```
//! use core::time::Duration;
//! use jobwatch::testing::assert_within;
//! use jobwatch::{Policy, PolicySchedule};
//!
//! let policy = Policy::builder()
//!     .with_min_delay(Duration::from_secs(5))
//!     .with_max_retry_after(Duration::from_secs(120))
//!     .with_total_timeout(Duration::from_secs(1_800))
//!     .build()?;
//! let mut promised = policy.bounds();
//! promised.max_looks = Some(400); // the contract with the vendor
//! promised.max_gap = Some(Duration::from_secs(121)); // the contract with our users
//! for seed in 0..10 {
//!     assert_within(&promised, &policy, &PolicySchedule, seed);
//! }
//! # Ok::<(), jobwatch::PolicyError>(())
//! ```
//!
//! A poller cuts every schedule to its policy's bounds. A *loop* around it can break them all the same, by a sleep that is
//! too short, or an answer that is handed in twice: record what it does as [`Looks`], with the clock that the test gives it,
//! and [check](Looks::check) that.
//!
//! # A dialect
//!
//! `any_http_reply` draws what backends, gateways and networks do, with your backend's own words among it, and a dialect of
//! one's own must neither panic at it nor wait for ever:
//!
#![cfg_attr(feature = "http", doc = "```")]
#![cfg_attr(not(feature = "http"), doc = "```ignore")]
//! use jobwatch::testing::{HttpWorld, START, Seed, any_http_reply, http_script, ordinary_policy};
//! use jobwatch::{Backend, Dialect, JobRef, Watch};
//! use proptest::collection::vec;
//! use proptest::prelude::*;
//!
//! let backend = Backend::new(Dialect::tracker(), Some("https://api.example.com")).unwrap();
//! let words = ["pending", "completed", "error"].map(|word| format!(r#"{{"result":"{word}"}}"#)).to_vec();
//! proptest!(ProptestConfig::with_cases(64), |(policy in ordinary_policy(), answers in vec(any_http_reply(words), 1..8))| {
//!     let mut watch = Watch::new(&backend, policy, JobRef::new("a").unwrap(), START, &mut Seed(1));
//!     let finished = HttpWorld::new(http_script(answers)).drive(&mut watch);
//!     prop_assert_eq!(finished.job.id(), "a");
//! });
//! ```

mod answers;
mod bounds;
mod history;
#[cfg(feature = "http")]
mod http;
mod rules;
mod schedules;
mod world;

use core::convert::Infallible;

use crate::Timestamp;

#[cfg(feature = "http")]
pub use crate::fleet::KeptEntries;
pub use answers::{Answer, any_answer, any_error, any_hint, any_observation, last_observation, unfinished_observation};
pub use bounds::{Breach, Looks, Temper, assert_within, assert_within_bounds, check_bounds};
pub use history::{
    Input, Move, Played, Said, any_history, any_input, any_move, any_played, ordinary_played, peaceful_history,
    peaceful_input, wild_history, wild_move,
};
#[cfg(feature = "http")]
pub use http::{HttpReply, HttpSent, HttpWorld, any_http_reply, http_script};
pub use rules::{
    Rules, any_duration, any_instant, any_jitter, any_policy, any_rules, any_spacing, ending_policy, ending_rules,
    ordinary_duration, ordinary_policy, ordinary_rules,
};
pub use schedules::{AnySchedule, any_schedule};
pub use world::{Event, Script, World};

/// When every story begins: Tue, 14 Nov 2023 22:13:20 GMT.
pub const START: Timestamp = Timestamp::from_secs(1_700_000_000);

/// A generator whose every word is this seed, so that a test can name the seed of a poller, a watch or a fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(pub u64);

impl rand_core::TryRng for Seed {
    type Error = Infallible;

    #[allow(clippy::cast_possible_truncation)] // the lower half
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.0 as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.chunks_mut(8).for_each(|chunk| chunk.copy_from_slice(&self.0.to_le_bytes()[..chunk.len()]));
        Ok(())
    }
}
