//! Learning how long jobs take, and looking when that wastes least.
//!
//! Exponential backoff is what one does when nothing is known. After a few jobs one knows how long they take, and then
//! *when to look at something that ends at an unknown time with a known distribution* is a problem that was solved in
//! 1963: the optimum checking plan minimises the expected delay plus a price for each request, the
//! [request cost](crate::Policy::request_cost): the delay that one would accept to save one request.
//!
//! A [`History`] learns from [`Lesson`]s, of which most are intervals: an answer says only that a job ended between the
//! last look that found it unfinished and now. A [`Plan`] is made from a history for the bounds of a policy, so that
//! everything which is promised of a policy holds of a learned schedule, too.
//!
//! ```
//! use core::time::Duration;
//! use jobwatch::learn::{History, Lesson, Plan};
//!
//! let mut history = History::new();
//! for seconds in [31, 28, 33, 30, 29, 32] {
//!     let end = Duration::from_secs(seconds);
//!     history.learn(&Lesson::ended(end - Duration::from_secs(3), end));
//! }
//! let secs = Duration::from_secs;
//! let plan = Plan::new(&history, secs(1), secs(60), secs(2));
//! // Nothing to see in the first twenty seconds, and then it looks often.
//! assert!(plan.gap(secs(0)) > secs(20));
//! assert!(plan.gap(secs(30)) < secs(6));
//! ```

pub(crate) mod budget;
mod histogram;
mod histories;
mod history;
pub mod idea;
mod learner;
mod planner;

pub use histories::{Histories, HistoryKey, Since, Taught};
#[cfg(feature = "serde")]
pub use history::HistorySnapshot;
pub use history::{History, HistoryError, Lesson};
pub use learner::Learner;
pub use planner::Plan;
