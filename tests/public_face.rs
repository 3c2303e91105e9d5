//! Public functions of which the other tests have no need: what owners of many states, drivers and those who play schedules
//! call.

use core::time::Duration;

use jobwatch::{
    Action, EndReason, FirstLook, GapRange, LookError, Observation, Outcome, Policy, PolicySchedule, PollerState,
    Spacing, Steps, Timestamp,
};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

const START: Timestamp = Timestamp::from_secs(1_700_000_000);
const UNFINISHED: Observation = Observation::Running { hint: None };

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn rng() -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(1)
}

/// A policy of 10 s to 60 s, and a state after its first look, which found the job unfinished.
fn waiting() -> (Policy, PollerState) {
    let policy = Policy::builder().with_min_delay(secs(10)).with_first_look(FirstLook::AtOnce).build();
    let policy = policy.expect("it is sound");
    let mut state = PollerState::new(&policy, &PolicySchedule, START, &mut rng());
    let Action::Send(attempt) = state.poll(&policy, START) else { panic!("the first look comes at once") };
    let _ =
        state.handle_observation(&policy, &PolicySchedule, START, attempt.id, UNFINISHED).expect("it is the attempt");
    (policy, state)
}

#[test]
fn an_exact_gap_is_a_range_of_one() {
    assert_eq!(GapRange::exactly(secs(7)), GapRange::new(secs(7), secs(7)));
}

#[test]
fn a_policy_tells_what_it_was_given() {
    let policy = Policy::default();
    assert_eq!((policy.max_consecutive_failures(), policy.max_failure_time()), (None, secs(15 * 60)));
    assert_eq!((policy.failure_backoff(), policy.lost_after()), ((secs(1), secs(30)), (3, secs(15))));
    let other = Policy::builder()
        .with_max_consecutive_failures(7)
        .with_max_failure_time(secs(60))
        .with_failure_backoff(secs(2), secs(20))
        .with_lost_after(2, secs(5));
    let other = other.build().expect("it is sound");
    assert_eq!((other.max_consecutive_failures(), other.max_failure_time()), (Some(7), secs(60)));
    assert_eq!((other.failure_backoff(), other.lost_after()), ((secs(2), secs(20)), (2, secs(5))));
}

#[test]
fn a_wait_that_has_begun_is_replaced_within_the_bounds() {
    for (after, least, most) in [(0, 10, 11), (30, 30, 31), (3_600, 60, 60)] {
        let (policy, mut state) = waiting();
        state.ask_again_after(&policy, START, secs(after));
        let due = state.due().expect("it waits").saturating_since(START);
        assert!((secs(least)..=secs(most)).contains(&due), "{after} s became {due:?}");
    }
    let (policy, mut state) = waiting();
    let _ = state.stop(START);
    state.ask_again_after(&policy, START, secs(30));
    assert_eq!(state.due(), None, "an end is an end");
}

#[test]
fn a_wake_that_is_noted_looks_no_sooner_than_the_minimum() {
    let (policy, mut state) = waiting();
    state.ask_again_after(&policy, START, secs(50));
    state.note_wake(&policy, START.saturating_add(secs(3)));
    assert_eq!(state.due(), Some(START.saturating_add(secs(10))));
}

#[test]
fn an_age_counts_from_the_creation_that_is_learned_later() {
    let steps = Steps::new(&[(secs(5), Duration::ZERO), (secs(40), secs(60))]).expect("they ascend");
    let policy = Policy::builder().with_spacing(Spacing::Steps(steps)).with_first_look(FirstLook::AtOnce);
    let policy = policy.build().expect("it is sound");
    let mut state = PollerState::new(&policy, &PolicySchedule, START, &mut rng());
    state.note_born(START.saturating_sub(secs(100)));
    let Action::Send(attempt) = state.poll(&policy, START) else { panic!("the first look comes at once") };
    let _ =
        state.handle_observation(&policy, &PolicySchedule, START, attempt.id, UNFINISHED).expect("it is the attempt");
    assert_eq!(state.due(), Some(START.saturating_add(secs(40))), "the step of its age");
}

#[test]
fn refused_credentials_end_a_wait_and_no_end() {
    let (_, mut state) = waiting();
    state.refuse(START, LookError::Status(401));
    let ended = state.ended().expect("it has ended");
    assert_eq!(
        (ended.outcome, ended.reason, ended.last_error),
        (Outcome::Rejected, EndReason::Refused, Some(LookError::Status(401)))
    );
    let (_, mut state) = waiting();
    let _ = state.stop(START);
    state.refuse(START, LookError::Status(401));
    assert_eq!(state.ended().map(|ended| ended.outcome), Some(Outcome::Stopped));
}

#[cfg(feature = "alloc")]
mod learned {
    use std::sync::Arc;

    use jobwatch::learn::{History, Learner, Lesson};
    use jobwatch::play::{Learned, Rule, play};

    use super::{Duration, Policy, rng, secs};

    /// What is known after these lessons about jobs of a minute.
    fn taught(lesson: impl Fn(u64) -> Lesson) -> History {
        let mut history = History::new();
        for job in 0..50 {
            history.learn(&lesson(job));
        }
        history
    }

    fn minute(job: u64) -> Lesson {
        Lesson::ended(secs(55 + job % 5), secs(60 + job % 5))
    }

    #[test]
    fn a_density_is_one_in_all_and_lies_where_the_jobs_were_seen() {
        let history = taught(minute);
        let share = |steps: &mut dyn Iterator<Item = (f64, f64, f64)>| {
            let steps: Vec<_> = steps.collect();
            assert!(steps.iter().all(|(from, to, share)| from < to && *share >= 0.0));
            let within = steps.iter().filter(|(from, to, _)| *to > 40.0 && *from < 80.0);
            (steps.iter().map(|step| step.2).sum::<f64>(), within.map(|step| step.2).sum::<f64>())
        };
        for (all, there) in [share(&mut history.density()), share(&mut history.seen_density())] {
            assert!((all - 1.0).abs() < 0.05, "{all}");
            assert!(there > 0.7, "{there}");
        }
    }

    #[test]
    fn what_was_noted_is_planned_with_when_somebody_wants_to_look() {
        let policy = Arc::new(Policy::default());
        let (mut at_once, mut later) =
            (Learner::new(History::new(), Arc::clone(&policy)), Learner::new(History::new(), policy));
        let before = later.plan().gaps().to_vec();
        for job in 0..50 {
            at_once.learn(job, &minute(job));
            later.note(job, &minute(job));
        }
        assert_eq!((later.history().jobs(), later.plan().gaps()), (at_once.history().jobs(), before.as_slice()));
        assert!(later.refresh(), "there is much that is new");
        assert_ne!(later.plan().gaps(), before, "and by it another plan is better");
        assert!(!later.refresh(), "nothing has come since");
    }

    #[test]
    fn a_job_that_outlasted_its_wait_teaches_that_it_takes_longer() {
        let (without, with) = (taught(minute), {
            let mut history = taught(minute);
            for _ in 0..50 {
                history.learn(&Lesson::outlasted(secs(300)));
            }
            history
        });
        assert!(with.survival(secs(200)) > without.survival(secs(200)) + 0.1);
    }

    #[test]
    fn jobs_that_one_answer_told_teach_less_than_as_many_answers() {
        let late = |job: u64| Lesson::ended(secs(595 + job % 5), secs(600 + job % 5));
        let after = |lesson: &dyn Fn(Lesson) -> Lesson| {
            let mut history = taught(minute);
            for job in 0..10 {
                history.learn(&lesson(late(job)));
            }
            history.survival(secs(300))
        };
        let (alone, together) = (after(&|lesson| lesson), after(&|lesson| lesson.among(100)));
        assert!(together < alone, "{together} {alone}");
        assert!(after(&|lesson| lesson.beside(1_000)) <= alone);
    }

    #[test]
    fn a_budget_makes_requests_dearer_and_no_budget_undoes_it() {
        let policy = Arc::new(Policy::default());
        let mut learner = Learner::new(taught(minute), Arc::clone(&policy));
        let free = learner.plan().expected_requests();
        assert!((learner.price() - 1.0).abs() < 1e-9 && free > 1.3, "{free}");
        assert!(learner.set_limits(1.0, Some(free / 1.2)));
        assert!(learner.price() > 1.0 && learner.plan().expected_requests() < free);
        let goes_on = |job: &u64| (learner.plan_for(*job).expected_requests() - free).abs() < 1e-9;
        let explorers = (0..1_000).filter(goes_on).count();
        assert!((1..500).contains(&explorers), "{explorers} of a thousand go on as if there were none");
        assert!(learner.set_limits(1.0, None));
        assert!((learner.price() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_rule_that_knows_something_is_better_from_the_first_job_on() {
        let policy = Arc::new(Policy::default());
        let durations: Vec<Duration> = (0..20).map(|job| secs(56 + job % 8)).collect();
        let fresh = play(&mut Learned::new(Arc::clone(&policy)), &durations, &mut rng());
        let mut knowing = Learned::knowing(taught(minute), policy);
        let known = play(&mut knowing, &durations, &mut rng());
        assert!(known.cost(secs(2)) < fresh.cost(secs(2)), "{} {}", known.cost(secs(2)), fresh.cost(secs(2)));
        assert_eq!((known.given_up(), known.jobs()), (0, 20));
        let (median, most) = (known.delay_quantile(0.5), known.delay_quantile(1.0));
        assert!(median <= most && known.part(0..0).delay_quantile(0.5).is_none());
        knowing.budget(1.0);
        assert!(knowing.learner().price() >= 1.0);
    }
}

#[cfg(feature = "http")]
mod http {
    use std::sync::Arc;

    use jobwatch::driver::{Distinct, Feed};
    use jobwatch::{Backend, Dialect, Fleet, FleetAction, JobRef, Policy, SubmitError, Watch, WatchAction};

    use super::{START, rng, secs};

    fn job(id: &str) -> JobRef {
        JobRef::new(id).expect("it is an id")
    }

    /// Whatever can be kept by a service is kept by its threads and tasks, and every error goes into a boxed one.
    #[test]
    fn everything_goes_anywhere() {
        fn goes<T: Send + Sync + core::fmt::Debug + 'static>() {}
        fn is_error<T: core::error::Error + Send + Sync + 'static>() {}
        goes::<Fleet>();
        goes::<Watch<Arc<Backend>, Arc<Policy>>>();
        goes::<jobwatch::Submit<Arc<Backend>, Arc<Policy>>>();
        goes::<jobwatch::Cancel<Arc<Backend>, Arc<Policy>>>();
        goes::<jobwatch::Finished>();
        goes::<jobwatch::JobSnapshot>();
        goes::<jobwatch::Stats>();
        goes::<jobwatch::store::Change>();
        goes::<jobwatch::store::Record>();
        goes::<jobwatch::learn::Histories>();
        is_error::<jobwatch::BackendError>();
        is_error::<jobwatch::BuildError>();
        is_error::<jobwatch::CancelError>();
        is_error::<jobwatch::DialectError>();
        is_error::<jobwatch::IdError>();
        is_error::<jobwatch::RateError>();
        is_error::<jobwatch::SnapshotError>();
        is_error::<jobwatch::TrackError>();
        is_error::<jobwatch::TransportError>();
        is_error::<SubmitError>();
    }

    #[test]
    fn a_job_that_nobody_would_hear_of_is_given_back_and_its_secrets_kept() {
        let address = job("https://api.example.com/jobs/7?signature=s3cret");
        let error = jobwatch::TrackError::new(address.clone());
        let told = error.to_string();
        assert!(told.contains("/jobs/7") && !told.contains("s3cret"), "{told}");
        assert_eq!(error.into_job(), address);
    }

    #[test]
    fn instants_are_the_systems_and_back() {
        let there = std::time::SystemTime::from(START);
        assert_eq!(there, std::time::SystemTime::UNIX_EPOCH + secs(1_700_000_000));
        assert_eq!(super::Timestamp::from(there), START);
    }

    #[test]
    fn a_backend_tells_its_address_without_a_slash_and_its_limit() {
        let backend =
            Backend::new(Dialect::tracker(), Some("http://kiln.example:8080/api/")).expect("it is an address");
        assert_eq!(backend.address(), "http://kiln.example:8080/api");
        assert_eq!(backend.with_max_body(77).max_body(), 77);
    }

    #[test]
    fn a_job_that_is_expected_to_take_long_is_looked_at_then() {
        let first_look = |job: JobRef| {
            let backend = Backend::new(Dialect::tracker(), Some("http://kiln.example")).expect("it is an address");
            let policy = Policy::builder().with_max_delay(secs(600)).build().expect("it is sound");
            match Watch::new(backend, policy, job, START, &mut rng()).poll(START) {
                WatchAction::Sleep { until, .. } => until.saturating_since(START).as_secs(),
                other => panic!("{other:?}"),
            }
        };
        let created = |id: &str| job(id).with_created_at(START);
        assert!(first_look(created("a").with_expected_duration(secs(300))).abs_diff(300) <= 1);
        assert!(first_look(created("a").with_expected_duration(secs(3_600))) <= 600, "within the policy's bounds");
    }

    #[test]
    fn what_was_not_sent_has_created_nothing() {
        let error = SubmitError::unsent("no body");
        assert_eq!((error.maybe_created, error.error, error.message.as_str()), (false, None, "no body"));
        assert!(error.created.is_empty());
    }

    #[test]
    fn a_dialect_that_cannot_cancel_says_so_before_a_look() {
        let backend = |dialect| Backend::new(dialect, Some("http://kiln.example")).expect("it is an address");
        let refused = backend(Dialect::tracker()).check_cancel(&job("a")).expect_err("the tracker cannot");
        assert!(refused.to_string().contains("tracker"), "{refused}");
        assert_eq!(backend(Dialect::heygen_v3()).check_cancel(&job("a")).map_err(|error| error.message), Ok(()));
    }

    #[test]
    fn a_feed_gives_each_id_once_a_thousand_at_a_time() {
        let backend = Backend::new(Dialect::tracker(), Some("http://kiln.example")).expect("it is an address");
        let mut fleet = Fleet::new(backend.into(), Policy::default().into(), &mut rng());
        let mut feed = Feed::new((0..1_500).map(|id| job(&format!("{}", id % 1_200))));
        assert_eq!((feed.size_hint(), feed.is_empty()), ((1_500, Some(1_500)), false));
        assert!(feed.take_some(&mut fleet, START));
        assert_eq!((fleet.len(), feed.size_hint().0), (1_000, 500));
        assert!(!feed.take_some(&mut fleet, START));
        assert_eq!((fleet.len(), feed.is_empty(), feed.size_hint()), (1_200, true, (0, Some(0))));
        assert!(!Feed::empty().take_some(&mut fleet, START));

        let mut distinct = Distinct::default();
        assert!(distinct.is_new("a") && distinct.is_new("b") && !distinct.is_new("a"));
    }

    #[test]
    fn a_request_tells_how_many_jobs_it_asks_for_while_it_is_under_way() {
        let backend = Backend::new(Dialect::heygen_v3(), None).expect("it has an address");
        let mut fleet = Fleet::new(backend.into(), Policy::default().into(), &mut rng());
        for id in ["a", "b", "c"] {
            fleet.insert(job(id), START);
        }
        let FleetAction::Send { id, .. } = fleet.poll(START) else { panic!("they are looked at at once") };
        assert_eq!(fleet.asked_for(id), 3);
        fleet.forget_requests();
        assert_eq!(fleet.asked_for(id), 0);
    }
}
