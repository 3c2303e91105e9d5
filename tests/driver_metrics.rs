//! What a driver tells the `metrics` facade by the core's functions.
#![cfg(feature = "metrics")]
#![allow(clippy::unwrap_used)] // in shared functions too

#[path = "support/heard.rs"]
mod heard;
mod http_support;

use heard::Heard;
use http_support::{START, World, every_second, job, kiln, millis, reply, response, rng, script};
use jobwatch::driver::meter;
use jobwatch::{LookError, TransportError, Watch};
use metrics::with_local_recorder;

const ORIGIN: &str = "https://api.example.com";

#[test]
fn a_request_is_counted_by_its_answer_and_timed_where_there_is_one() {
    let heard = Heard::default();
    with_local_recorder(&heard, || {
        for status in [200, 200, 503] {
            meter::request_ended(ORIGIN, Ok(&response(status, &[], "")), millis(40));
        }
        meter::request_ended(ORIGIN, Err(&TransportError::new(LookError::Unreachable, "")), millis(40));
    });
    let requests = |answer: &str| heard.of(&format!("jobwatch_requests_total{{origin={ORIGIN},answer={answer}}}"));
    assert_eq!(["200", "503", "unreachable"].map(requests), [2, 1, 1]);
    assert_eq!(heard.of(&format!("jobwatch_response_seconds{{origin={ORIGIN}}}")), 3);
}

#[test]
fn an_end_is_counted_by_its_outcome_and_its_delay_told_where_it_is_known() {
    let heard = Heard::default();
    let dated = [("x-jobwatch-ended-at", "2023-11-14T22:13:20Z")];
    for (headers, delays) in [(&dated[..0], 0), (&dated[..], 1)] {
        let mut world = World::new(script(vec![reply(200, headers, r#"{"state":"cracked"}"#)]));
        let backend = kiln();
        let mut watch = Watch::new(&backend, every_second().build().unwrap(), job("a"), START, &mut rng(3));
        let finished = world.drive(&mut watch);
        with_local_recorder(&heard, || meter::wait_ended(&finished));
        assert_eq!(heard.of("jobwatch_detection_delay_seconds{}"), delays);
    }
    assert_eq!(heard.of("jobwatch_jobs_total{outcome=failed}"), 2);
}
