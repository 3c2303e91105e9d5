//! What the `metrics` facade is told, heard by a recorder of one's own.
#![cfg(feature = "metrics")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jobwatch_reqwest::{Client, Dialect, Policy};
use jobwatch_simulator::Simulator;
use metrics::{
    Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit, with_local_recorder,
};

/// Counts by name and labels: what was added to counters, and how often histograms heard something.
#[derive(Default)]
struct Heard(Mutex<BTreeMap<String, Arc<AtomicU64>>>);

struct Times(Arc<AtomicU64>);

impl HistogramFn for Times {
    fn record(&self, _: f64) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Heard {
    fn count(&self, key: &Key) -> Arc<AtomicU64> {
        let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let name = format!("{}{{{}}}", key.name(), labels.join(","));
        Arc::clone(self.0.lock().expect("nobody panics here").entry(name).or_default())
    }

    fn of(&self, name: &str) -> u64 {
        self.0.lock().expect("nobody panics here").get(name).map_or(0, |count| count.load(Ordering::Relaxed))
    }
}

impl Recorder for Heard {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.count(key))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Arc::new(Times(self.count(key))))
    }
}

#[test]
fn requests_and_ends_are_told_with_their_origin() {
    let durations = "constant:0.05".parse().unwrap();
    let simulator = Simulator::builder().durations(durations).fail_rate(0.0).start().unwrap();
    let policy = Policy::builder().with_min_delay(Duration::from_millis(20)).build().unwrap();
    let client = Client::builder(Dialect::tracker()).base_url(simulator.url()).policy(policy).build().unwrap();
    let heard = Heard::default();
    let stats = with_local_recorder(&heard, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let jobs = client.create(&()).await.unwrap();
            client.wait(&jobs[0]).await;
            client.metrics()
        })
    });

    let origin = simulator.url();
    // The create is a request, too.
    assert_eq!(heard.of(&format!("jobwatch_requests_total{{origin={origin},answer=200}}")), stats.requests + 1);
    assert_eq!(heard.of(&format!("jobwatch_response_seconds{{origin={origin}}}")), stats.requests + 1);
    assert_eq!(heard.of("jobwatch_jobs_total{outcome=succeeded}"), 1);
    assert_eq!(heard.of("jobwatch_detection_delay_seconds{}"), 1);
}
