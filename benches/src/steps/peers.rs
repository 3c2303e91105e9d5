//! What others do for the same: a next delay alone, without an answer that is taken, deadlines, budgets or hints; and an
//! answer read by hand.

use std::hint::black_box;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use exponential_backoff::Backoff;
use google_cloud_gax::exponential_backoff::ExponentialBackoff as GoogleBackoff;
use google_cloud_gax::polling_backoff_policy::PollingBackoffPolicy;
use google_cloud_gax::polling_state::PollingState;
use http::header::ACCEPT;
use jobwatch::play::{Peer, Rule};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use serde_json::Value;
use tokio_retry2::strategy::{ExponentialFactorBackoff, jitter};

use super::Step;
use super::answers::{RUNNING, response};
use crate::job_id;

pub(super) const STEPS: [Step; 10] = [
    Step::others("backon 1.6: the next delay, with jitter", 10_000, backon),
    Step::others("exponential-backoff 2.1: the next delay, with jitter", 10_000, exponential_backoff),
    Step::others("tokio-retry2 0.9: the next delay, with jitter", 10_000, tokio_retry2),
    Step::others("google-cloud-gax 1: the delay of google-cloud-lro's loop", 10_000, google),
    Step::others("the tracker's original client: its next delay", 10_000, tracker),
    Step::others("the AWS waiter's rule: its next delay", 10_000, aws),
    Step::others("Azure's rule: its next delay", 10_000, azure),
    Step::others("by hand: 500 bytes into a Value, one word compared", 300, value),
    Step::others("by hand: 500 bytes into a struct, one word compared", 300, record),
    Step::others("by hand: a request by format! and http's builder", 1_000, request),
];

const LEAST: Duration = Duration::from_secs(1);
const MOST: Duration = Duration::from_mins(1);

fn backon(times: u32) {
    let builder = ExponentialBuilder::new().with_min_delay(LEAST).with_max_delay(MOST).with_factor(1.5).with_jitter();
    let mut delays = builder.without_max_times().build();
    for _ in 0..times {
        black_box(delays.next());
    }
}

fn exponential_backoff(times: u32) {
    let mut delays = Backoff::new(u32::MAX, LEAST, MOST).into_iter();
    for _ in 0..times {
        black_box(delays.next());
    }
}

fn tokio_retry2(times: u32) {
    let mut delays = ExponentialFactorBackoff::from_millis(1_000, 1.5).max_delay(MOST).map(jitter);
    for _ in 0..times {
        black_box(delays.next());
    }
}

fn google(times: u32) {
    let policy = GoogleBackoff::default();
    let mut state = PollingState::default();
    for attempt in 0..times {
        state.attempt_count = attempt;
        black_box(policy.wait_period(black_box(&state)));
    }
}

fn tracker(times: u32) {
    delays(Peer::Tracker, times);
}

fn aws(times: u32) {
    delays(Peer::AwsWaiter, times);
}

fn azure(times: u32) {
    delays(Peer::AzureLro, times);
}

fn delays(mut rule: Peer, times: u32) {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let ((), mut age) = rule.start(&mut rng);
    for looks in 1..=times {
        age += black_box(rule.next(&mut (), black_box(age), looks, &mut rng)).unwrap_or_default();
    }
}

fn value(times: u32) {
    let answer = response(RUNNING);
    for _ in 0..times {
        let body: Value = serde_json::from_slice(black_box(answer.body())).expect("it is JSON");
        assert_eq!(body.pointer("/data/status").and_then(Value::as_str), Some("running"));
    }
}

fn record(times: u32) {
    #[derive(serde::Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        data: Data<'a>,
    }
    #[derive(serde::Deserialize)]
    struct Data<'a> {
        status: &'a str,
    }
    let answer = response(RUNNING);
    for _ in 0..times {
        let body: Body<'_> = serde_json::from_slice(black_box(answer.body())).expect("it is JSON");
        assert_eq!(body.data.status, "running");
    }
}

fn request(times: u32) {
    let id = job_id(1);
    for _ in 0..times {
        let id = utf8_percent_encode(black_box(&id), NON_ALPHANUMERIC);
        let request = http::Request::builder()
            .uri(format!("https://api.heygen.com/v3/video-translations/{id}"))
            .header("x-api-key", "secret")
            .header(ACCEPT, "application/json")
            .body(Vec::<u8>::new());
        drop(black_box(request.expect("it is well-formed")));
    }
}
