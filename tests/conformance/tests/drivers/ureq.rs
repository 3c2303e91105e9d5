//! The blocking driver.

use std::collections::BTreeMap;
use std::io::Write;
use std::iter;
use std::thread;
use std::time::Duration;

use jobwatch::store::Intent;
use jobwatch::{
    CancelError, Cancellation, Finished, FleetEvent, JobRef, JobSnapshot, Stats, Status, SubmitError, TransportError,
};
use jobwatch_conformance::{Add, Client, Driver, Setup, Stop};
use jobwatch_ureq::WaitAll;
use serde_json::Value;

pub(crate) struct Ureq;

#[derive(Debug)]
struct UreqClient(jobwatch_ureq::Client);

impl Driver for Ureq {
    fn client(&self, setup: Setup) -> Box<dyn Client> {
        let mut builder = jobwatch_ureq::Client::builder(setup.dialect)
            .base_url(setup.base_url)
            .policy(setup.policy)
            .max_in_flight(setup.max_in_flight)
            .rate(setup.rate);
        for (name, value) in setup.headers {
            builder = builder.header(name, value);
        }
        for origin in setup.allowed_origins {
            builder = builder.allow_origin(origin);
        }
        if let Some(provider) = setup.provider {
            builder = builder.credentials(provider);
        }
        if let Some(seed) = setup.seed {
            builder = builder.seed(seed);
        }
        if let Some(bytes) = setup.max_body {
            builder = builder.max_body(bytes);
        }
        Box::new(UreqClient(builder.build().expect("the story's setup is sound")))
    }
}

impl Client for UreqClient {
    fn create(&self, body: &Value) -> Result<Vec<JobRef>, SubmitError> {
        self.0.create(body)
    }

    fn intent(&self, body: &[u8]) -> Intent {
        self.0.intent(body.to_vec())
    }

    fn create_intended(&self, intent: &Intent) -> Result<Vec<JobRef>, SubmitError> {
        self.0.create_intended(intent)
    }

    fn status(&self, job: &JobRef) -> Status {
        self.0.status(job)
    }

    fn statuses(&self, jobs: &[JobRef]) -> BTreeMap<String, Status> {
        self.0.statuses(jobs)
    }

    fn cancel(&self, job: &JobRef) -> Result<Cancellation, CancelError> {
        self.0.cancel(job)
    }

    fn download(&self, url: &str, sink: &mut dyn Write, timeout: Duration) -> Result<u64, TransportError> {
        self.0.download(url, sink, timeout)
    }

    fn wait(&self, job: &JobRef) -> Finished {
        self.0.wait(job)
    }

    fn wait_all(&self, jobs: Vec<JobRef>) -> Vec<Finished> {
        self.0.wait_all(jobs).collect()
    }

    fn wait_all_stopped(&self, jobs: Vec<JobRef>, when: &(dyn Fn() + Sync)) -> Vec<Finished> {
        let all = self.0.wait_all(jobs);
        let stopper = all.stopper();
        thread::scope(|scope| {
            scope.spawn(move || {
                when();
                stopper.stop();
            });
            all.collect()
        })
    }

    fn wait_all_while(&self, jobs: Vec<JobRef>, go_on: &mut dyn FnMut(&Finished) -> bool) -> Vec<Finished> {
        tell_while(self.0.wait_all(jobs), go_on)
    }

    fn wait_all_from(
        &self,
        jobs: Box<dyn Iterator<Item = JobRef> + Send>,
        begin: &mut dyn FnMut(Stop),
        go_on: &mut dyn FnMut(&Finished) -> bool,
    ) -> Vec<Finished> {
        let all = self.0.wait_all(jobs);
        let stopper = all.stopper();
        begin(Box::new(move || stopper.stop()));
        tell_while(all, go_on)
    }

    fn track(&self, begin: &mut dyn FnMut(Add), go_on: &mut dyn FnMut(&Finished) -> bool) -> Vec<Finished> {
        let (tracker, all) = self.0.track();
        begin(Box::new(move |job| tracker.add(job)));
        tell_while(all, go_on)
    }

    fn track_waking(&self, jobs: Vec<JobRef>, wake: &(dyn Fn() -> String + Sync)) -> Vec<Finished> {
        let (tracker, all) = self.0.track();
        for job in jobs {
            tracker.add(job).expect("the wait is there");
        }
        thread::scope(|scope| {
            scope.spawn(move || tracker.wake(wake()));
            all.collect()
        })
    }

    fn wait_waking(&self, job: JobRef) -> Finished {
        let mut all = self.0.wait_all([]);
        let (handle, mut woken) = (all.add(job), false);
        loop {
            match all.next_event().expect("there is an end") {
                FleetEvent::Finished { finished, .. } => {
                    assert!(woken && !all.wake(handle), "its wait has ended");
                    return *finished;
                }
                _ => woken |= all.wake(handle),
            }
        }
    }

    fn events(&self, jobs: Vec<JobRef>) -> Vec<FleetEvent> {
        let mut all = self.0.wait_all(jobs);
        iter::from_fn(|| all.next_event()).collect()
    }

    fn wait_for_first(&self, jobs: Vec<JobRef>) -> (Finished, Vec<JobSnapshot>) {
        let mut all = self.0.wait_all(jobs);
        let first = all.next().expect("there is a job");
        (first, all.fleet().snapshots().collect())
    }

    fn resume(&self, snapshots: Vec<JobSnapshot>) -> Vec<Finished> {
        self.0.resume(snapshots).expect("they are whole").collect()
    }

    fn wait_all_with(&self, jobs: Vec<JobRef>, snapshots: Vec<JobSnapshot>) -> Vec<Finished> {
        let mut all = self.0.wait_all(jobs);
        for snapshot in snapshots {
            all.add_snapshot(snapshot).expect("it is whole");
        }
        all.collect()
    }

    fn metrics(&self) -> Stats {
        self.0.metrics()
    }
}

fn tell_while(all: WaitAll, go_on: &mut dyn FnMut(&Finished) -> bool) -> Vec<Finished> {
    let mut told = Vec::new();
    for finished in all {
        let goes_on = go_on(&finished);
        told.push(finished);
        if !goes_on {
            break;
        }
    }
    told
}
