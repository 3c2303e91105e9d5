//! Watches and fleets in the kit's world.
#![cfg(feature = "http")]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;

use jobwatch::testing::{HttpReply, HttpWorld, START, Seed, any_http_reply, http_script, ordinary_policy};
use jobwatch::{Backend, Dialect, Fleet, FleetEvent, JobRef, LookError, Outcome, Policy, Submit, Watch};
use proptest::collection::vec;
use proptest::prelude::*;
use support::{every_second, secs};

fn backend() -> Backend {
    Backend::new(Dialect::tracker(), Some("https://api.example.com")).expect("it is sound")
}

fn job(id: usize) -> JobRef {
    JobRef::new(format!("job-{id}")).expect("an id")
}

fn word(word: &str) -> HttpReply {
    HttpReply::json(&format!(r#"{{"result":"{word}"}}"#))
}

fn words() -> Vec<String> {
    ["pending", "completed", "error", "Job ID not found"].map(|word| format!(r#"{{"result":"{word}"}}"#)).to_vec()
}

fn fleet(policy: Policy, jobs: usize) -> Fleet {
    let mut fleet = Fleet::new(Arc::new(backend()), Arc::new(policy), &mut Seed(1));
    for id in 0..jobs {
        fleet.insert(job(id), START);
    }
    fleet
}

proptest! {
    #![proptest_config(support::cases(100))]

    #[test]
    fn whatever_is_answered_a_watch_ends_and_calls_no_failed_request_a_failed_job(
        policy in ordinary_policy(),
        answers in vec(any_http_reply(words()), 1..12),
    ) {
        let backend = backend();
        let mut watch = Watch::new(&backend, policy, job(0), START, &mut Seed(1));
        let mut world = HttpWorld::new(http_script(answers.clone()));
        let finished = world.drive(&mut watch);
        prop_assert_eq!(usize::try_from(finished.requests).expect("few"), world.sent.len());
        let says = |answer: &HttpReply, word: &str| match answer {
            HttpReply::Answer(_, response) => String::from_utf8_lossy(response.body()).contains(word),
            _ => false,
        };
        let said = |word: &str| answers.iter().any(|answer| says(answer, word));
        prop_assert!(finished.outcome != Outcome::Failed || said("error"));
        prop_assert!(finished.outcome != Outcome::Succeeded || said("completed"));
    }

    #[test]
    fn whatever_is_answered_each_job_of_a_fleet_ends_once(
        policy in ordinary_policy(),
        answers in vec(any_http_reply(words()), 1..12),
        jobs in 0_usize..8,
    ) {
        let mut fleet = fleet(policy, jobs);
        let told = HttpWorld::new(http_script(answers)).drive_fleet(&mut fleet);
        let ends: Vec<_> = told.iter().filter_map(|event| match event {
            FleetEvent::Finished { finished, .. } => Some(finished.job.id()),
            _ => None,
        }).collect();
        prop_assert_eq!(ends.len(), jobs);
        prop_assert_eq!(ends.iter().collect::<BTreeSet<_>>().len(), jobs);
        prop_assert!(fleet.is_empty());
    }
}

#[test]
fn a_script_goes_on_with_its_last_answer() {
    let backend = backend();
    let mut world = HttpWorld::new(http_script(vec![
        HttpReply::Error(secs(2), LookError::Disconnected),
        word("pending"),
        word("pending").later(secs(3)),
        HttpReply::Never,
        word("completed"),
    ]));
    let policy = every_second().with_failure_backoff(secs(1), secs(1)).with_attempt_timeout(secs(10)).build();
    let mut watch = Watch::new(&backend, policy.expect("it is sound"), job(7), START, &mut Seed(1));
    let finished = world.drive(&mut watch);
    assert_eq!((finished.outcome, finished.requests, finished.failed_requests), (Outcome::Succeeded, 5, 2));
    let times: Vec<_> = world.sent.iter().map(|sent| sent.at.saturating_since(START).as_secs()).collect();
    assert_eq!(times, [0, 3, 4, 8, 19]);
    assert_eq!(world.now(), secs(19));
}

#[test]
fn answers_of_a_fleet_overtake_each_other() {
    let mut fleet = fleet(every_second().build().expect("it is sound"), 3);
    let mut world = HttpWorld::new(|request: &http::Request<Vec<u8>>, _| {
        let last = request.uri().path().ends_with("job-0");
        word("completed").later(if last { secs(5) } else { secs(1) })
    });
    let told = world.drive_fleet(&mut fleet);
    let ends = told.iter().filter_map(|event| match event {
        FleetEvent::Finished { finished, .. } => Some((finished.job.id().to_owned(), finished.elapsed)),
        _ => None,
    });
    let ends: Vec<_> = ends.collect();
    assert_eq!(ends.last(), Some(&("job-0".to_owned(), secs(5))));
    assert!(ends[..2].iter().all(|(_, elapsed)| *elapsed == secs(1)), "{ends:?}");
}

#[test]
#[should_panic(expected = "a script has an answer")]
fn an_empty_script_is_refused() {
    let _ = http_script(Vec::new());
}

#[test]
#[should_panic(expected = "nothing would ever happen again")]
fn a_watch_that_has_ended_is_not_driven_for_ever() {
    let backend = backend();
    let mut watch = Watch::new(&backend, Policy::default(), job(0), START, &mut Seed(1));
    let mut world = HttpWorld::new(|_: &http::Request<Vec<u8>>, _| word("completed"));
    assert_eq!(world.drive(&mut watch).outcome, Outcome::Succeeded);
    world.drive(&mut watch);
}

#[test]
fn nobody_renews_credentials_in_a_world() {
    let (backend, refused) = (backend(), || HttpWorld::new(http_script(vec![HttpReply::new(401, &[], "")])));
    let mut submit = Submit::new(&backend, Policy::default(), Vec::new(), START, &mut Seed(1)).with_renewal();
    let error = refused().submit(&mut submit).expect_err("it is refused");
    assert!(error.to_string().contains("nobody has other credentials"), "{error}");

    let mut fleet = fleet(Policy::default(), 2).with_renewal();
    let told = refused().drive_fleet(&mut fleet);
    let rejected = told.iter().filter(|event| match event {
        FleetEvent::Finished { finished, .. } => finished.outcome == Outcome::Rejected,
        _ => false,
    });
    assert_eq!(rejected.count(), 2);
}
