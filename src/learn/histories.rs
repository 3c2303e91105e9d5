//! Histories of many kinds of jobs, and the one value in which they are kept.

use alloc::collections::BTreeMap;
use alloc::string::String;
#[cfg(feature = "serde")]
use alloc::vec::Vec;

use super::{History, Lesson};
#[cfg(feature = "serde")]
use super::{HistoryError, HistorySnapshot};

/// Where the ages of jobs are counted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Since {
    /// From the job's creation: we made it, or the backend tells.
    Creation,
    /// From the beginning of the wait, where nobody tells when the job was created.
    PickUp,
}

/// What the end of a wait has taught, and to which history.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Taught {
    /// Where the ages are counted from.
    pub since: Since,
    /// The lesson.
    pub lesson: Lesson,
    /// The backend is jobwatch's own simulator: the lesson must not get into a history that is kept.
    pub simulated: bool,
}

/// Names one kind of job, whose durations say something about each other's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct HistoryKey {
    /// The dialect's name.
    pub dialect: String,
    /// The backend's origin, as in `https://api.example.com`.
    pub origin: String,
    /// The caller's own class of job, for example its mode, language or length; may be empty.
    pub class: String,
    /// Where ages are counted from.
    pub since: Since,
}

#[cfg(feature = "http")]
impl HistoryKey {
    /// Jobs of this class, asked for at this backend.
    pub fn of(backend: &crate::Backend, class: &str, since: Since) -> Self {
        Self { dialect: backend.dialect().name().into(), origin: backend.origin(), class: class.into(), since }
    }
}

/// What is known of all kinds of jobs.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(into = "HistoriesSnapshot", try_from = "HistoriesSnapshot"))]
pub struct Histories(BTreeMap<HistoryKey, History>);

impl Histories {
    /// Nothing is known.
    pub fn new() -> Self {
        Self::default()
    }

    /// What is known of one kind.
    pub fn get(&self, key: &HistoryKey) -> Option<&History> {
        self.0.get(key)
    }

    /// Replaces what is known of one kind.
    pub fn insert(&mut self, key: HistoryKey, history: History) {
        self.0.insert(key, history);
    }

    /// Learns from a job.
    pub fn learn(&mut self, key: &HistoryKey, lesson: &Lesson) {
        match self.0.get_mut(key) {
            Some(history) => _ = history.learn(lesson),
            None => _ = self.0.entry(key.clone()).or_default().learn(lesson),
        }
    }

    /// Every kind that something is known of, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&HistoryKey, &History)> {
        self.0.iter()
    }

    /// How many kinds something is known of.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The stored form: versioned, and validated when it is read.
#[cfg(feature = "serde")]
#[derive(serde::Serialize, serde::Deserialize)]
struct HistoriesSnapshot {
    v: u16,
    histories: Vec<Kept>,
}

#[cfg(feature = "serde")]
#[derive(serde::Serialize, serde::Deserialize)]
struct Kept {
    #[serde(flatten)]
    key: HistoryKey,
    history: HistorySnapshot,
}

#[cfg(feature = "serde")]
impl From<Histories> for HistoriesSnapshot {
    fn from(histories: Histories) -> Self {
        let kept = histories.0.into_iter().map(|(key, history)| Kept { key, history: HistorySnapshot::of(&history) });
        Self { v: HistorySnapshot::VERSION, histories: kept.collect() }
    }
}

#[cfg(feature = "serde")]
impl TryFrom<HistoriesSnapshot> for Histories {
    type Error = HistoryError;

    fn try_from(stored: HistoriesSnapshot) -> Result<Self, HistoryError> {
        if stored.v != HistorySnapshot::VERSION {
            return Err(HistoryError::Version(stored.v));
        }
        let mut histories = Self::new();
        for kept in stored.histories {
            histories.insert(kept.key, kept.history.restore()?);
        }
        Ok(histories)
    }
}
