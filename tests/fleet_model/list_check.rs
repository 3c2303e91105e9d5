//! What the fleet and the reference agree on, after each step and before each sleep.

use jobwatch::{FleetEvent, Timestamp};

use crate::list_duo::Duo;
use crate::list_job::{Job, Line, News, Over};
use crate::list_reference::Counts;

impl Duo {
    /// Nobody is woken late, nor early for nothing.
    pub(crate) fn check_sleep(&self, until: Timestamp) {
        let now = self.clock;
        let latest = self.reference.next_instant(now);
        assert!(until > now && until <= latest, "until {until:?}, where something is to be done at {latest:?}");
        // The line is searched for those whose deadline comes soon, and who has left it is not known to have left.
        let is_ready = |job: &Job| job.is_here && matches!(job.line, Line::Ready { .. });
        let is_searched = self.reference.places_left > 0 || self.reference.jobs.iter().any(is_ready);
        let place = self.reference.wire.iter().map(|request| request.expires).min();
        let opens = self.reference.lanes.iter().any(|lane| lane.opens_at() == until);
        let is_known = until == latest || Some(until) == place || opens;
        assert!(is_known || is_searched, "until {until:?}, not {latest:?}");
    }

    /// What both know after each step.
    pub(crate) fn check(&mut self) {
        self.check_news();
        let counted = self.fleet.stats();
        let counts = Counts {
            requests: counted.requests,
            lists: counted.bulk_requests,
            failed: counted.failed_requests,
            throttled: counted.throttled_requests,
            hints: counted.hints,
            ends: counted.outcomes.total(),
        };
        assert_eq!(counts, self.reference.counts);
        assert_eq!(self.fleet.is_backend_proven(), self.reference.lanes[0].proven);
        let by_origin = self.fleet.stats_by_origin().map(|(origin, stats)| (origin, stats.requests));
        assert!(by_origin.eq(self.reference.lanes.iter().map(|lane| (lane.origin.as_str(), lane.requests))));
        let here: Vec<&Job> = self.reference.jobs.iter().filter(|job| job.is_here).collect();
        assert_eq!(self.fleet.len(), here.len());
        for job in &here {
            let progress = self.fleet.progress(job.handle).expect("it is there");
            assert_eq!(progress.job.id(), job.id);
            let told = (progress.state, progress.requests, progress.in_flight, progress.next);
            let in_flight = job.poller.in_flight().is_some();
            assert_eq!(told, (job.state.as_deref(), job.requests, in_flight, job.poller.due().unwrap()), "{job:?}");
        }
        // One at a time: they come round.
        self.steps += 1;
        if !here.is_empty() {
            self.check_snapshot(here[self.steps % here.len()]);
        }
    }

    fn check_news(&mut self) {
        while let Some(event) = self.fleet.next_event() {
            let (handle, news) = match event {
                FleetEvent::Changed { handle, state } => (handle, News::Changed(state)),
                FleetEvent::UnknownState { handle, state } => (handle, News::Unknown(state)),
                FleetEvent::Finished { handle, finished } => (
                    handle,
                    News::Over(Over {
                        outcome: finished.outcome,
                        reason: finished.reason,
                        state: finished.state.clone(),
                        result: finished.result.as_ref().and_then(|result| result.as_str()).map(String::from),
                        last_error: finished.last_error,
                        requests: finished.requests,
                        failed_requests: finished.failed_requests,
                        elapsed: finished.elapsed,
                        delay: finished.detection_delay_max,
                    }),
                ),
                event => panic!("{event:?}"),
            };
            let jobs = &mut self.reference.jobs;
            let job = jobs.iter_mut().rfind(|job| job.handle == handle && !job.news.is_empty());
            let job = job.unwrap_or_else(|| panic!("news of nobody: {news:?}"));
            assert_eq!(news, job.news.remove(0), "{job:?}");
        }
        assert!(self.reference.jobs.iter().all(|job| job.news.is_empty()), "news that were not told");
    }

    /// A snapshot of this instant has everything that matters. A fleet tells a sleeping job nothing of the time, nor of its
    /// neighbours; and when a streak began is of no matter once it is over.
    fn check_snapshot(&self, job: &Job) {
        let snapshot = serde_json::to_value(self.fleet.snapshot(job.handle).unwrap()).unwrap();
        let of_matter = |mut poller: serde_json::Value| {
            for (streak, began) in [("failures", "failing_since"), ("denials", "denied_since")] {
                if poller[streak] == 0 {
                    poller[began] = 0.into();
                }
            }
            (poller["latest"], poller["proven"]) = (0.into(), 0.into());
            poller
        };
        let (poller, expected) = (snapshot["job"]["poller"].clone(), serde_json::to_value(&job.poller).unwrap());
        assert_eq!(of_matter(poller), of_matter(expected), "{job:?}");
        let extra = &snapshot["job"]["extra"];
        let is_set = |name: &str| extra.is_object() && !(extra[name].is_null() || extra[name] == false);
        assert_eq!((is_set("missed"), is_set("apart"), is_set("told")), (job.missed, job.apart, job.told.is_some()));
    }
}
