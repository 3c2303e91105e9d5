//! The asynchronous driver, blocked on in a runtime of one thread, so that nothing goes on behind its back.

use std::collections::BTreeMap;
use std::io::Write;
use std::thread;
use std::time::Duration;

use jobwatch::store::Intent;
use jobwatch::{
    CancelError, Cancellation, Finished, FleetEvent, JobRef, JobSnapshot, Stats, Status, SubmitError, TransportError,
};
use jobwatch_conformance::{Add, Client, Driver, Setup, Stop};
use jobwatch_reqwest::WaitAll;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

pub(crate) struct Reqwest;

#[derive(Debug)]
struct ReqwestClient {
    client: jobwatch_reqwest::Client,
    runtime: Runtime,
}

impl Driver for Reqwest {
    fn client(&self, setup: Setup) -> Box<dyn Client> {
        let mut builder = jobwatch_reqwest::Client::builder(setup.dialect)
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
        let client = builder.build().expect("the story's setup is sound");
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime can be had");
        Box::new(ReqwestClient { client, runtime })
    }
}

impl ReqwestClient {
    fn tell_while(&self, mut all: WaitAll, go_on: &mut dyn FnMut(&Finished) -> bool) -> Vec<Finished> {
        self.runtime.block_on(async {
            let mut told = Vec::new();
            while let Some(finished) = all.next().await {
                let goes_on = go_on(&finished);
                told.push(finished);
                if !goes_on {
                    break;
                }
            }
            told
        })
    }
}

impl Client for ReqwestClient {
    fn create(&self, body: &Value) -> Result<Vec<JobRef>, SubmitError> {
        self.runtime.block_on(self.client.create(body))
    }

    fn intent(&self, body: &[u8]) -> Intent {
        self.client.intent(body.to_vec())
    }

    fn create_intended(&self, intent: &Intent) -> Result<Vec<JobRef>, SubmitError> {
        self.runtime.block_on(self.client.create_intended(intent))
    }

    fn status(&self, job: &JobRef) -> Status {
        self.runtime.block_on(self.client.status(job))
    }

    fn statuses(&self, jobs: &[JobRef]) -> BTreeMap<String, Status> {
        self.runtime.block_on(self.client.statuses(jobs))
    }

    fn cancel(&self, job: &JobRef) -> Result<Cancellation, CancelError> {
        self.runtime.block_on(self.client.cancel(job))
    }

    fn download(&self, url: &str, sink: &mut dyn Write, timeout: Duration) -> Result<u64, TransportError> {
        self.runtime.block_on(self.client.download(url, sink, timeout))
    }

    fn wait(&self, job: &JobRef) -> Finished {
        self.runtime.block_on(self.client.wait(job))
    }

    fn wait_all(&self, jobs: Vec<JobRef>) -> Vec<Finished> {
        self.wait_all_while(jobs, &mut |_| true)
    }

    fn wait_all_stopped(&self, jobs: Vec<JobRef>, when: &(dyn Fn() + Sync)) -> Vec<Finished> {
        let mut all = self.client.wait_all(jobs);
        let stopper = all.stopper();
        thread::scope(|scope| {
            scope.spawn(move || {
                when();
                stopper.stop();
            });
            self.runtime.block_on(async {
                let mut told = Vec::new();
                while let Some(finished) = all.next().await {
                    told.push(finished);
                }
                told
            })
        })
    }

    fn wait_all_while(&self, jobs: Vec<JobRef>, go_on: &mut dyn FnMut(&Finished) -> bool) -> Vec<Finished> {
        self.tell_while(self.client.wait_all(jobs), go_on)
    }

    fn wait_all_from(
        &self,
        jobs: Box<dyn Iterator<Item = JobRef> + Send>,
        begin: &mut dyn FnMut(Stop),
        go_on: &mut dyn FnMut(&Finished) -> bool,
    ) -> Vec<Finished> {
        let all = self.client.wait_all(jobs);
        let stopper = all.stopper();
        begin(Box::new(move || stopper.stop()));
        self.tell_while(all, go_on)
    }

    fn track(&self, begin: &mut dyn FnMut(Add), go_on: &mut dyn FnMut(&Finished) -> bool) -> Vec<Finished> {
        let (tracker, all) = self.client.track();
        begin(Box::new(move |job| tracker.add(job)));
        self.tell_while(all, go_on)
    }

    fn track_waking(&self, jobs: Vec<JobRef>, wake: &(dyn Fn() -> String + Sync)) -> Vec<Finished> {
        let (tracker, all) = self.client.track();
        for job in jobs {
            tracker.add(job).expect("the wait is there");
        }
        thread::scope(|scope| {
            scope.spawn(move || tracker.wake(wake()));
            self.tell_while(all, &mut |_| true)
        })
    }

    fn wait_waking(&self, job: JobRef) -> Finished {
        self.runtime.block_on(async {
            let mut all = self.client.wait_all([]);
            let (handle, mut woken) = (all.add(job), false);
            loop {
                match all.next_event().await.expect("there is an end") {
                    FleetEvent::Finished { finished, .. } => {
                        assert!(woken && !all.wake(handle), "its wait has ended");
                        return *finished;
                    }
                    _ => woken |= all.wake(handle),
                }
            }
        })
    }

    fn events(&self, jobs: Vec<JobRef>) -> Vec<FleetEvent> {
        self.runtime.block_on(async {
            let mut all = self.client.wait_all(jobs);
            let mut told = Vec::new();
            while let Some(event) = all.next_event().await {
                told.push(event);
            }
            told
        })
    }

    fn wait_for_first(&self, jobs: Vec<JobRef>) -> (Finished, Vec<JobSnapshot>) {
        self.runtime.block_on(async {
            let mut all = self.client.wait_all(jobs);
            let first = all.next().await.expect("there is a job");
            (first, all.fleet().snapshots().collect())
        })
    }

    fn resume(&self, snapshots: Vec<JobSnapshot>) -> Vec<Finished> {
        self.runtime.block_on(async {
            let mut all = self.client.resume(snapshots).expect("they are whole");
            let mut told = Vec::new();
            while let Some(finished) = all.next().await {
                told.push(finished);
            }
            told
        })
    }

    fn wait_all_with(&self, jobs: Vec<JobRef>, snapshots: Vec<JobSnapshot>) -> Vec<Finished> {
        let mut all = self.client.wait_all(jobs);
        for snapshot in snapshots {
            all.add_snapshot(snapshot).expect("it is whole");
        }
        self.tell_while(all, &mut |_| true)
    }

    fn metrics(&self) -> Stats {
        self.client.metrics()
    }
}
