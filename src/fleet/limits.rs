//! What ended jobs teach, and what limits leave for those that go on.

use core::time::Duration;

use super::class::Limits;
use super::{Fleet, Lane};
use crate::Timestamp;
use crate::learn::budget::PERIOD;

/// How much the last end counts in the mean time for which jobs are waited for.
const WEIGHT: f64 = 0.02;

/// How much is asked for, in the mean.
#[derive(Debug, Default)]
pub(super) struct Demand {
    /// The mean time from a wait's beginning to its end, in seconds, and the ends that it was taken from.
    stay: f64,
    ends: u32,
    /// When it is compared with the limits again.
    due: Option<Timestamp>,
    /// The jobs that were waited for side by side, and when that was; it fades as waits end.
    crowd: f64,
    crowd_at: Timestamp,
}

impl Demand {
    pub(super) fn note_stay(&mut self, elapsed: Duration) {
        self.ends = self.ends.saturating_add(1);
        // The first ones count alike.
        self.stay += (elapsed.as_secs_f64() - self.stay) * WEIGHT.max(1.0 / f64::from(self.ends));
    }

    /// The jobs beside which one that ends now was waited for, where so many are left: the last of a thousand that began
    /// together is one of a thousand still, and no more of a surprise than the first.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a count of jobs
    fn crowd(&mut self, left: usize, now: Timestamp) -> usize {
        let passed = now.saturating_since(self.crowd_at).as_secs_f64();
        let faded = if self.stay > 0.0 { self.crowd * (-passed / self.stay).exp() } else { 0.0 };
        (self.crowd, self.crowd_at) = (faded.max(left as f64), now);
        self.crowd as usize
    }
}

impl Fleet {
    /// Learns from a job whose wait has ended; a stopped one can have ended by the same word as a million others, and is
    /// left to those who hear of it.
    pub(super) fn learn_from(&mut self, slot: u32) {
        match &mut self.told_together {
            Some(told) => told.push(slot),
            None => self.learn_among(slot, 1),
        }
    }

    /// The same for all jobs of which one answer has told: they say the same thing.
    pub(super) fn learn_together(&mut self) {
        let told = self.told_together.take().unwrap_or_default();
        for slot in &told {
            self.learn_among(*slot, told.len());
        }
    }

    fn learn_among(&mut self, slot: u32, together: usize) {
        let class = usize::from(self.class_index(self.slab.at(slot).class));
        let beside = self.demand.crowd(self.jobs, self.latest);
        if let Some(job) = self.slab.ended(slot)
            && let Some(mut taught) = job.taught()
        {
            taught.lesson = taught.lesson.among(together).beside(beside);
            job.keep_taught(taught);
            let seed = job.poller.seed;
            self.classes[class].learn(taught.since, seed, &taught.lesson);
        }
    }

    /// Once a second: where there are fewer requests than the plans want, a request gets dearer, and where it asks for
    /// many jobs at once, cheaper.
    pub(super) fn weigh_limits(&mut self, now: Timestamp) {
        if self.demand.due.is_some_and(|due| now < due) {
            return;
        }
        self.demand.due = Some(now.saturating_add(Duration::from_secs_f64(PERIOD)));
        if !self.classes.iter().any(super::Class::is_learned) {
            return;
        }
        let limits = self.limits();
        for class in &mut self.classes {
            class.set_limits(limits);
        }
    }

    #[allow(clippy::cast_precision_loss)] // nobody has 2^52 jobs
    fn limits(&mut self) -> Limits {
        let lists = self.backend.dialect().bulk_limit().map_or(1, usize::from);
        let most = |lane: &Lane| lists.min(lane.company.most()).min(self.jobs).max(1) as f64;
        let company = self.lanes.iter().map(most).fold(1.0, f64::max);
        if self.jobs == 0 || self.demand.stay <= 0.0 {
            return Limits { company, looks: None };
        }
        // Who is there, and for how long, tells how many come and go (Little's law).
        let ending = self.jobs as f64 / self.demand.stay;
        let looks = |lane: &mut Lane| lane.budget(ending / company, company);
        let least = self.lanes.iter_mut().filter_map(looks).min_by(f64::total_cmp);
        Limits { company, looks: least }
    }
}

#[cfg(test)]
mod tests {
    use std::string::{String, ToString};
    use std::sync::Arc;

    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    use super::*;
    use crate::learn::budget::Budget;
    use crate::{Backend, Dialect, JobRef, Policy, RateLimit};

    const LISTS: &str = r#"
        name = "lists"
        [poll]
        path = "/jobs/{id}"
        [state]
        pointer = "/state"
        succeeded = ["done"]
        [bulk]
        path = "/jobs?ids={ids}"
        max = 100
        items = "/items"
        id = "/id"
        [bulk.state]
        pointer = "/state"
        succeeded = ["done"]
    "#;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_secs(1_700_000_000).saturating_add(Duration::from_millis(millis))
    }

    /// A fleet with a rate of 10 requests per second, and as many jobs.
    fn fleet(jobs: usize) -> Fleet {
        let backend = Backend::new(Dialect::from_toml(LISTS).unwrap(), Some("https://api.example.com")).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut fleet = Fleet::new(Arc::new(backend), Arc::new(Policy::default()), &mut rng);
        fleet.set_rate(RateLimit::per_second(10.0).ok());
        (0..jobs).for_each(|n| _ = fleet.insert(JobRef::new(n.to_string()).unwrap(), at(0)));
        fleet
    }

    #[test]
    fn limits_are_weighed_once_a_second() {
        let mut fleet = fleet(1);
        for (now, due) in [(0, 1_000), (999, 1_000), (1_000, 2_000), (4_500, 5_500)] {
            let _ = fleet.poll(at(now));
            assert_eq!(fleet.demand.due, Some(at(due)), "{now}");
        }
    }

    /// Who stays for ten seconds, in twenty, are two a second; each list asks for all of them. The tightest origin decides.
    #[test]
    fn a_look_may_cost_what_the_tightest_origin_has_for_it() {
        let mut fleet = fleet(20);
        assert_eq!(fleet.limits(), Limits { company: 20.0, looks: None });
        fleet.demand.note_stay(Duration::from_secs(10));
        let looks = |rate: f64| Some(Budget::default().next(rate, 0.0, 2.0 / 20.0, 0.0));
        assert_eq!(fleet.limits(), Limits { company: 20.0, looks: looks(10.0) });
        fleet.lanes.push(Lane::new(String::new(), 16, RateLimit::per_second(2.0).ok()));
        assert_eq!(fleet.limits().looks, looks(2.0));
    }
}
