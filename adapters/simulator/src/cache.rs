//! Things that are remembered for a while, each under a name.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// All things live equally long, so they expire in the order in which they came.
#[derive(Debug)]
pub(crate) struct Cache<T> {
    life_ns: u64,
    kept: HashMap<Arc<str>, T>,
    order: VecDeque<(u64, Arc<str>)>,
}

impl<T> Cache<T> {
    pub(crate) fn new(life_ns: u64) -> Self {
        Self { life_ns, kept: HashMap::new(), order: VecDeque::new() }
    }

    /// What is kept under this name, if it is fresh enough.
    pub(crate) fn get(&mut self, name: &str, now_ns: u64) -> Option<&T> {
        while let Some((at_ns, _)) = self.order.front() {
            if now_ns.saturating_sub(*at_ns) < self.life_ns {
                break;
            }
            if let Some((_, name)) = self.order.pop_front() {
                self.kept.remove(&name);
            }
        }
        self.kept.get(name)
    }

    /// Keeps a thing under a name for which [`get`](Self::get) has just found none.
    pub(crate) fn put(&mut self, name: &str, now_ns: u64, thing: T) {
        let name: Arc<str> = name.into();
        self.order.push_back((now_ns, Arc::clone(&name)));
        self.kept.insert(name, thing);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_are_kept_for_their_life_and_forgotten_after_it() {
        let mut cache = Cache::new(10);
        assert!(cache.get("/a", 100).is_none());
        cache.put("/a", 100, 'x');
        assert_eq!(cache.get("/a", 109), Some(&'x'));
        assert!(cache.get("/b", 109).is_none());
        assert!(cache.get("/a", 110).is_none());
        assert!(cache.kept.is_empty() && cache.order.is_empty());
        cache.put("/a", 110, 'y');
        assert_eq!(cache.get("/a", 119), Some(&'y'));
    }
}
