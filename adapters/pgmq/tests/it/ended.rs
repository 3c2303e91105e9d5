//! Waits that have ended, as a fleet tells them.

use std::sync::Arc;
use std::time::Duration;

use jobwatch_pgmq::{Finished, JobRef, JobSnapshot};
use jobwatch_reqwest::{Dialect, FleetEvent, Policy};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// How a wait ends by the tracker's answer, and its snapshot after the answer before.
pub(crate) fn ended(id: &str, answer: &str) -> (Finished, JobSnapshot) {
    let backend = jobwatch::Backend::new(Dialect::tracker(), Some("http://127.0.0.1:9")).unwrap();
    let start = jobwatch::Timestamp::from_secs(1_700_000_000);
    let policy = Policy::builder().with_max_polls(2).with_total_timeout(Duration::from_secs(600)).build().unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut fleet = jobwatch::Fleet::new(Arc::new(backend), Arc::new(policy), &mut rng);
    let handle = fleet.insert(JobRef::new(id).unwrap(), start);
    let mut snapshot = None;
    let mut now = start;
    loop {
        match fleet.poll(now) {
            jobwatch::FleetAction::Send { id, .. } => {
                let body = if snapshot.is_none() { r#"{"result":"pending"}"# } else { answer };
                fleet.handle_response(now, id, &http::Response::new(body));
                snapshot = snapshot.or_else(|| fleet.snapshot(handle));
            }
            jobwatch::FleetAction::Sleep { until } => now = until,
            _ => {}
        }
        while let Some(event) = fleet.next_event() {
            if let FleetEvent::Finished { finished, .. } = event {
                return (*finished, snapshot.expect("a first look"));
            }
        }
    }
}
