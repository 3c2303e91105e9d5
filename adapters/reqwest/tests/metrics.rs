//! What the `metrics` facade is told, heard by a recorder of one's own.
#![cfg(feature = "metrics")]

#[path = "../../../tests/support/heard.rs"]
mod heard;

use std::time::Duration;

use heard::Heard;
use jobwatch_reqwest::{Client, Dialect, Policy};
use jobwatch_simulator::Simulator;
use metrics::with_local_recorder;

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
