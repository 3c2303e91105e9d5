//! What drivers and stores call, called here as they do, over a transport that is a script.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used)] // in shared functions too

mod http_support;

use core::time::Duration;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use http_support::{BASE, KILN, START, at, dialect, job, millis, response, rng, secs};
use jobwatch::driver::{FromSession, Session};
use jobwatch::learn::{Histories, History, HistoryKey, Learner, Lesson, Since};
use jobwatch::play::{Exponential, Learned, Limit, play_limited};
use jobwatch::rand_core::Rng;
use jobwatch::store::{Change, Intent, Kept};
use jobwatch::{
    Address, BuildError, ClassId, ClientBuilder, Finished, Fleet, FleetAction, FleetEvent, LookError, Outcome, Policy,
    Poller, RateLimit, Spacing, TransportError,
};

/// A driver that has nothing but its session, and a clock that jumps.
struct Driver(Session);

impl FromSession for Driver {
    fn from_session(session: Session) -> Result<Self, BuildError> {
        Ok(Self(session))
    }
}

fn builder() -> ClientBuilder<Driver> {
    let policy = Policy::builder().with_spacing(Spacing::Learned).with_total_timeout(secs(600)).build().unwrap();
    ClientBuilder::new(dialect(KILN)).base_url(BASE).policy(policy)
}

fn session() -> Session {
    builder().max_in_flight(2).rate(None).seed(7).build().unwrap().0
}

impl Driver {
    /// Waits for so many jobs of a class, which all take this long; tells how they ended, and the most that was on the wire
    /// at once.
    fn wait(&self, class: &str, jobs: usize, takes: Duration) -> (Vec<Finished>, usize) {
        let mut fleet = self.0.fleet(Arc::clone(self.0.policy()), class, 1);
        let (mut now, mut most, mut ended) = (START, 0, Vec::new());
        for n in 0..jobs {
            fleet.insert(job(&format!("job-{n}")).with_created_at(START), now);
        }
        let mut wire = BTreeMap::new();
        loop {
            let until = loop {
                match fleet.poll(now) {
                    FleetAction::Send { id, .. } => wire.insert((now.saturating_add(millis(200)), wire.len()), id),
                    FleetAction::Sleep { until } => break Some(until),
                    FleetAction::Idle => break None,
                    FleetAction::Renew => panic!("nobody can renew"),
                };
                most = most.max(wire.len());
            };
            self.note_ends(&mut fleet, class, &mut ended);
            let Some(until) = until else { break };
            now = wire.keys().next().map_or(until, |(arrives, _)| until.min(*arrives));
            while let Some(entry) = wire.first_entry().filter(|entry| entry.key().0 <= now) {
                let word = if now >= START.saturating_add(takes) { "fired" } else { "Heating" };
                fleet.handle_response(now, entry.remove(), &response(200, &[], format!(r#"{{"state":"{word}"}}"#)));
            }
        }
        self.0.note_wait(&fleet);
        (ended, most)
    }

    fn note_ends(&self, fleet: &mut Fleet, class: &str, ended: &mut Vec<Finished>) {
        while let Some(event) = fleet.next_event() {
            if let FleetEvent::Finished { finished, .. } = event {
                self.0.learn(fleet, class, &finished);
                ended.push(*finished);
            }
        }
    }
}

/// All waits of a client keep its limits, add up to one account, and teach those that come after.
#[test]
fn what_one_wait_has_learned_serves_the_next() {
    let driver = Driver(session());
    assert_eq!((driver.0.max_in_flight(), driver.0.stats().requests), (2, 0));
    let (first, most) = driver.wait("short", 6, secs(40));
    assert_eq!(most, 2);
    assert!(first.iter().all(|done| done.outcome == Outcome::Succeeded));
    let requests: u32 = first.iter().map(|done| done.requests).sum();
    let stats = driver.0.stats();
    assert_eq!((stats.requests, stats.outcomes.of(Outcome::Succeeded)), (requests.into(), 6));
    assert!(driver.0.fleet(Arc::clone(driver.0.policy()), "short", 2).is_backend_proven());
    for _ in 0..20 {
        driver.wait("short", 2, secs(40));
    }
    let (later, _) = driver.wait("short", 6, secs(40));
    let later: u32 = later.iter().map(|done| done.requests).sum();
    assert!(4 * later < 3 * requests, "{later} requests for six jobs, {requests} at first");

    // Another class has learned nothing; another client knows what it is told.
    let histories = driver.0.histories();
    let jobs = |class: &str, histories: &Histories| {
        let key = HistoryKey::of(&driver.0.backend(), class, Since::Creation);
        histories.get(&key).map_or(0.0, History::jobs)
    };
    assert!(jobs("short", &histories) > 40.0 && jobs("long", &histories) < 0.5);
    let heir = Driver(builder().rate(None).max_in_flight(2).seed(7).histories(histories.clone()).build().unwrap().0);
    assert!((jobs("short", &heir.0.histories()) - jobs("short", &histories)).abs() < 1e-6);
    let (told, _) = heir.wait("short", 6, secs(40));
    let told: u32 = told.iter().map(|done| done.requests).sum();
    assert!(4 * told < 3 * requests, "{told} requests for six jobs");
}

/// Nothing is learned where nobody plans.
#[test]
fn a_wait_without_a_plan_teaches_nothing() {
    let policy = Policy::builder().with_spacing(Spacing::Constant).with_min_delay(secs(5)).build().unwrap();
    let driver = Driver(builder().policy(policy).rate(None).build().unwrap().0);
    assert_eq!(driver.wait("", 3, secs(30)).0.len(), 3);
    assert!(driver.0.histories().is_empty());
}

/// How much of a body is read: what the dialect says, unless the caller knows better.
#[test]
fn the_largest_body_is_the_callers_choice() {
    let session = builder().max_body(1_234).build().unwrap().0;
    assert_eq!((session.max_body(), session.backend().max_body()), (1_234, 1_234));
    assert_eq!(builder().build().unwrap().0.max_body(), 16 << 20);
}

/// Creates go at their own rate, in whatever waits they are.
#[test]
fn creates_take_turns() {
    let rate = RateLimit::per_second(2.0).unwrap().with_burst(2);
    let session = builder().rate(rate).build().unwrap().0;
    let turns: Vec<_> = (0..5).map(|_| session.reserve_create(START).saturating_since(START)).collect();
    assert_eq!(turns, [0, 0, 500, 1_000, 1_500].map(millis));
    assert_eq!(session.reserve_create(at(secs(60))), at(secs(60)));
}

#[test]
fn a_seed_makes_every_wait_the_same_and_entropy_another() {
    let draw = |session: &Session, entropy| session.rng(entropy).next_u64();
    let (seeded, free) = (session(), builder().build().unwrap().0);
    assert_eq!(draw(&seeded, 1), draw(&seeded, 2));
    assert_eq!(draw(&seeded, 1), draw(&free, 7));
    assert_ne!(draw(&free, 1), draw(&free, 2));
}

#[test]
fn an_origin_that_is_allowed_is_asked_and_a_wrong_one_refused() {
    let there = "https://b.example.com";
    let allowed = builder().allow_origin(there).build().unwrap().0;
    for (session, is_asked) in [(allowed, true), (session(), false)] {
        let mut fleet = session.fleet(Arc::clone(session.policy()), "", 1);
        fleet.insert(job(&format!("{there}/firings/1")), START);
        assert_eq!(matches!(fleet.poll(START), FleetAction::Send { .. }), is_asked);
    }
    assert!(builder().allow_origin("no origin").build().is_err());
}

/// What has to survive the loss of power: whatever is not told again by the backend.
#[test]
fn what_must_last_is_written_before_what_need_not() {
    let backend = session().backend();
    let intent = Intent::new(&backend, b"{}".to_vec(), START, 1);
    assert_eq!(intent.at(), START);
    let settled = Change::Settled { intent: intent.id().into(), jobs: Vec::new() };
    for (change, is_lasting) in [
        (settled, true),
        (Change::Intended(intent), true),
        (Change::Added(Kept::Job(job("job-1"))), true),
        (Change::Told("job-1".into()), false),
    ] {
        assert_eq!(change.is_lasting(), is_lasting, "{change:?}");
    }
}

#[test]
fn a_wait_is_taken_over_as_plain_data() {
    let policy = Policy::builder().with_min_delay(secs(2)).build().unwrap();
    let mut first = Poller::new(&policy, START, &mut rng(3));
    let _ = first.poll(START);
    let mut second = Poller::from_state(&policy, jobwatch::PolicySchedule, first.state().clone());
    assert_eq!(second.state().started(), START);
    assert_eq!(second.poll(at(secs(60))), first.poll(at(secs(60))));
    assert_eq!(second.state(), first.state());
}

#[test]
fn a_learner_that_is_told_another_history_plans_by_it() {
    let policy = Policy::builder().with_spacing(Spacing::Learned).build().unwrap();
    let mut learner = Learner::new(History::new(), Arc::new(policy));
    assert_eq!(learner.policy().request_cost(), secs(2));
    let before = learner.plan().gap(Duration::ZERO);
    learner.set_history(History::of(&[secs(50); 60]));
    assert!((learner.history().jobs() - 60.0).abs() < 1.0);
    let after = learner.plan().gap(Duration::ZERO);
    assert!(after > 4 * before && after > secs(40), "{before:?} {after:?}");
}

/// At two requests a job a rule that plans waits in no line, and one that does not does.
#[test]
fn under_a_limit_planning_pays() {
    let durations: Vec<Duration> = (0..600).map(|n| millis(20_000 + n * 7_919 % 20_000)).collect();
    let limit = Limit { arrivals: 5.0, rate: 10.0 };
    let policy = |spacing| Policy::builder().with_spacing(spacing).with_max_delay(secs(30)).build().unwrap();
    let loops = &mut Exponential::new(&policy(Spacing::Exponential { factor: 1.5 }));
    let loops = play_limited(loops, &durations, limit, &mut rng(1));
    let mut plans = Learned::knowing(History::of(&durations), Arc::new(policy(Spacing::Learned)));
    let plans = play_limited(&mut plans, &durations, limit, &mut rng(1));
    assert_eq!((loops.jobs(), plans.jobs(), plans.given_up()), (600, 600, 0));
    assert!(plans.requests_per_job() <= 2.2, "{}", plans.requests_per_job());
    assert!(2.0 * plans.mean_delay() < loops.mean_delay(), "{} and {}", plans.mean_delay(), loops.mean_delay());
}

/// The words of interfaces, labels and files: each its own, and the same in every place.
#[test]
fn words_are_words() {
    let outcomes = [
        Outcome::Succeeded,
        Outcome::Failed,
        Outcome::Cancelled,
        Outcome::Lost,
        Outcome::TimedOut,
        Outcome::GaveUp,
        Outcome::Rejected,
        Outcome::Stopped,
    ];
    for outcome in outcomes {
        assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.as_str());
        assert_eq!(outcome.to_string(), outcome.as_str());
    }
    let errors = [LookError::Status(502), LookError::Expired, LookError::Tls, LookError::Sink, LookError::BadUrl];
    let kinds: HashSet<_> = errors.iter().map(|error| error.kind()).collect();
    assert_eq!(kinds.len(), errors.len());
    assert!(kinds.iter().all(|kind| kind.chars().all(|c| c.is_ascii_lowercase() || c == '_')), "{kinds:?}");
    let lesson = Lesson::ended(secs(1), secs(2));
    assert_eq!(lesson.among(1), lesson);
}

#[test]
fn what_is_printed_of_addresses_tells_no_secret() {
    let address = Address::new("https://me:hush@example.com/jobs/1?token=hush#hush");
    assert_eq!(address.without_secrets(), "https://example.com/jobs/1");
    let server = "me:hush@example.com:8443".parse().unwrap();
    let error = TransportError::new(LookError::Unreachable, "refused").at(Some(&server));
    assert_eq!(error.to_string(), "the server could not be reached: example.com:8443: refused");
    let other = TransportError::new(LookError::Expired, "late").at(Some(&server));
    assert_eq!(other.to_string(), "no answer in time: late");
}

#[test]
fn a_description_is_told_from_another() {
    let (one, same, other) = (dialect(KILN), dialect(KILN), dialect(&KILN.replace("queued", "waiting")));
    assert_eq!(one.digest(), same.digest());
    assert_ne!(one.digest(), other.digest());
    assert_eq!(session().backend().origin(), "https://api.example.com");
    assert!(session().fleet(Arc::new(Policy::default()), "", 1).is_learned(ClassId::default()));
}

#[cfg(feature = "gzip")]
mod bodies {
    use http::header::{CONTENT_ENCODING, HeaderMap, HeaderValue};
    use jobwatch::LookError;
    use jobwatch::driver::body::Body;

    /// `{"state":"fired"}`, compressed.
    const FIRED: [u8; 37] = [
        31, 139, 8, 0, 0, 0, 0, 0, 2, 255, 171, 86, 42, 46, 73, 44, 73, 85, 178, 82, 74, 203, 44, 74, 77, 81, 170, 5,
        0, 111, 61, 77, 124, 17, 0, 0, 0,
    ];

    /// The body that comes in such pieces, read up to a limit.
    fn read(pieces: &[&[u8]], gzip: bool, limit: u64) -> Result<Vec<u8>, LookError> {
        let mut headers = HeaderMap::new();
        if gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        let mut bytes = Vec::new();
        let mut body = Body::new(&headers, &mut bytes, limit);
        pieces.iter().try_for_each(|piece| body.take(piece)).map_err(|error| error.error)?;
        let length = body.finish().map_err(|error| error.error)?;
        assert_eq!(length, bytes.len() as u64);
        Ok(bytes)
    }

    #[test]
    fn a_body_is_decoded_as_it_comes_and_bounded() {
        let fired = br#"{"state":"fired"}"#;
        assert_eq!(read(&[fired], false, 17).unwrap(), fired);
        assert_eq!(read(&[fired], false, 16), Err(LookError::TooLarge));
        for cut in 0..FIRED.len() {
            let (first, rest) = FIRED.split_at(cut);
            assert_eq!(read(&[first, rest], true, 17).unwrap(), fired);
            let wanted = if cut == 0 { Ok(Vec::new()) } else { Err(LookError::Malformed) };
            assert_eq!(read(&[first], true, 17), wanted, "cut after {cut}");
        }
        assert_eq!(read(&[&FIRED], true, 16), Err(LookError::TooLarge));
        assert_eq!(read(&[fired], true, 17), Err(LookError::Malformed));
    }
}

#[cfg(feature = "metrics")]
#[test]
fn labels_name_origins_and_no_more() {
    let uri = "https://me:hush@api.example.com:8443/v1/jobs/7?key=hush".parse().unwrap();
    assert_eq!(jobwatch::driver::meter::origin(&uri), "https://api.example.com:8443");
}
