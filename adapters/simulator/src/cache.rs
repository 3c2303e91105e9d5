//! Old answers, repeated for a while for each path.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::answer::Answer;
use crate::ledger::JobState;

/// An answer as it was first given.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub(crate) at_ns: u64,
    pub(crate) state: JobState,
    pub(crate) answer: Answer,
}

/// All answers live equally long, so they expire in the order in which they came.
#[derive(Debug)]
pub(crate) struct Cache {
    life_ns: u64,
    kept: HashMap<Arc<str>, Kept>,
    order: VecDeque<(u64, Arc<str>)>,
}

impl Cache {
    pub(crate) fn new(life_ns: u64) -> Self {
        Self { life_ns, kept: HashMap::new(), order: VecDeque::new() }
    }

    /// The answer to repeat, if one is fresh enough.
    pub(crate) fn get(&mut self, path: &str, now_ns: u64) -> Option<&Kept> {
        while let Some((at_ns, _)) = self.order.front() {
            if now_ns.saturating_sub(*at_ns) < self.life_ns {
                break;
            }
            if let Some((_, path)) = self.order.pop_front() {
                self.kept.remove(&path);
            }
        }
        self.kept.get(path)
    }

    /// Keeps an answer for a path for which [`get`](Self::get) has just found none.
    pub(crate) fn put(&mut self, path: &Arc<str>, kept: Kept) {
        self.order.push_back((kept.at_ns, Arc::clone(path)));
        self.kept.insert(Arc::clone(path), kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_repeated_for_their_life_and_forgotten_after_it() {
        let mut cache = Cache::new(10);
        let path: Arc<str> = "/a".into();
        let kept = |at_ns| Kept { at_ns, state: JobState::Pending, answer: Answer::json(200, "{}") };
        assert!(cache.get(&path, 100).is_none());
        cache.put(&path, kept(100));
        assert_eq!(cache.get(&path, 109).map(|kept| kept.at_ns), Some(100));
        assert!(cache.get("/b", 109).is_none());
        assert!(cache.get(&path, 110).is_none());
        assert!(cache.kept.is_empty() && cache.order.is_empty());
        cache.put(&path, kept(110));
        assert!(cache.get(&path, 119).is_some());
    }
}
