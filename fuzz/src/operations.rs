//! A fleet under any operations, with any answers.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arbitrary::{Result, Unstructured};
use http::Response;
use jobwatch::{
    Backend, ClassId, Dialect, Fleet, FleetAction, FleetEvent, JobHandle, JobRef, JobSnapshot, LookError, Outcome,
    Policy, RateLimit, RequestId, Spacing, Timestamp, TransportError,
};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

/// A backend that can be asked in every way.
const OVEN: &str = r#"
name = "oven"
base_url = "https://own.test/v1"
job.id = "/id"
poll.path = "/jobs/{id}"
state.pointer = "/state"
state.pending = ["queued"]
state.running = ["baking"]
state.succeeded = ["baked"]
state.failed = ["burnt"]
state.cancelled = ["eaten"]
state.lost = ["unknown"]
result.pointer = "/cake"
result.follow = "/cake_at"
trust.allowed_origins = ["https://b.test"]
[bulk]
path = "/jobs?ids={ids}"
max = 3
items = "/jobs"
id = "/id"
next = "/next"
next_parameter = "page"
detail = true
[bulk.state]
pointer = "/state"
running = ["baking"]
succeeded = ["baked"]
failed = ["burnt"]
lost = ["unknown"]
"#;

const WORDS: [&str; 7] = ["queued", "baking", "baked", "burnt", "eaten", "unknown", "proving"];

/// After this no wait of a policy used here goes on.
const LONGEST: Duration = Duration::from_secs(3_600);

/// Each wait has one end, told once; limits and origins are kept; no answer and no moment harms it.
pub fn operations(data: &[u8]) {
    let mut data = Unstructured::new(data);
    let Ok(mut world) = World::new(&mut data) else { return };
    while !data.is_empty() {
        if world.operate(&mut data).is_err() {
            break;
        }
        world.check();
    }
    world.wind_up();
}

struct World {
    fleet: Fleet,
    classes: Vec<ClassId>,
    now: Timestamp,
    limit: usize,
    /// The greatest instant that the fleet was told.
    latest: Timestamp,
    /// Where each request goes that holds a place, and when its time is over.
    wire: HashMap<RequestId, (String, Timestamp)>,
    /// In the order in which they were sent.
    asked: Vec<RequestId>,
    here: Vec<JobHandle>,
    gone: HashSet<JobHandle>,
    stored: Vec<JobSnapshot>,
    jobs: usize,
    renewing: bool,
}

impl World {
    fn new(data: &mut Unstructured<'_>) -> Result<Self> {
        static OVEN_DIALECT: OnceLock<Dialect> = OnceLock::new();
        let dialect = OVEN_DIALECT.get_or_init(|| Dialect::from_toml(OVEN).expect("it is well-formed")).clone();
        let backend = Backend::new(dialect, None).expect("it is a URL");
        // Plans are what takes long: worlds with a short story learn, and choose among few gaps.
        let learns = data.len() < 96 && data.ratio(1, 4)?;
        let policy = |total: u64| {
            let builder = Policy::builder().with_total_timeout(Duration::from_secs(total));
            if learns {
                builder.with_max_delay(Duration::from_secs(2))
            } else {
                builder.with_spacing(Spacing::default())
            }
        };
        let policies =
            [policy(60), policy(600).with_max_polls(7), policy(20).with_min_delay(Duration::from_millis(100))];
        let policies = policies.map(|policy| Arc::new(policy.build().expect("it is valid")));
        let (limit, seed) = (data.int_in_range(1..=4)?, data.arbitrary()?);
        let mut fleet = Fleet::new(Arc::new(backend), Arc::clone(&policies[0]), &mut ChaCha8Rng::seed_from_u64(seed));
        fleet = fleet.with_max_in_flight(limit).with_rate(None);
        if data.arbitrary()? {
            fleet = fleet.with_renewal();
        }
        let classes = policies.into_iter().map(|policy| fleet.add_class("jobs", policy)).collect();
        let now = Timestamp::from_nanos(*data.choose(&[1_700_000_000_000_000_000, 0, u64::MAX - 30_000_000_000, 1])?);
        let (wire, gone) = (HashMap::new(), HashSet::new());
        let (asked, here, stored) = (Vec::new(), Vec::new(), Vec::new());
        let latest = Timestamp::UNIX_EPOCH;
        Ok(Self { fleet, classes, now, latest, limit, wire, asked, here, gone, stored, jobs: 0, renewing: false })
    }

    fn operate(&mut self, data: &mut Unstructured<'_>) -> Result<()> {
        match data.int_in_range(0..=19)? {
            0 | 1 => {
                let (class, id) = (*data.choose(&self.classes)?, data.int_in_range(0..=9)?);
                self.jobs += 1;
                let job =
                    JobRef::new(if id == 9 { "x,y".to_owned() } else { format!("job-{id}") }).expect("it is an id");
                let now = self.tell();
                let handle = self.fleet.insert_in(class, job, now);
                self.greet(handle);
            }
            2..=7 => self.answer(data)?,
            8..=11 => self.poll(),
            12 => self.now = self.now.saturating_add(Duration::from_millis(data.arbitrary::<u16>()?.into())),
            13 => self.now = self.now.saturating_sub(Duration::from_millis(data.arbitrary::<u16>()?.into())),
            14 => {
                let handle = self.pick(data)?;
                let now = self.tell();
                self.fleet.wake(handle, now);
            }
            15 => {
                let handle = self.pick(data)?;
                let now = self.tell();
                assert!(!self.fleet.stop(handle, now) || !self.gone.contains(&handle), "it was gone");
            }
            16 => {
                let handle = self.pick(data)?;
                if let Some(snapshot) = self.fleet.remove(handle) {
                    assert!(self.gone.insert(handle), "it was gone");
                    self.stored.push(snapshot);
                }
            }
            17 => {
                if let Some(snapshot) = self.stored.pop() {
                    let now = self.tell();
                    let handle = self.fleet.resume_in(*data.choose(&self.classes)?, snapshot, now);
                    self.greet(handle.expect("what was stored is valid"));
                }
            }
            18 => {
                self.limit = data.int_in_range(1..=4)?;
                self.fleet.set_max_in_flight(self.limit);
                let rate = RateLimit::per_second(f64::from(data.int_in_range(1..=9_u8)?)).expect("it is a rate");
                self.fleet.set_rate(data.arbitrary::<bool>()?.then_some(rate));
            }
            _ => {
                self.renew(data.arbitrary()?);
                if data.ratio(1, 8)? {
                    self.fleet.forget_requests();
                    self.wire.clear();
                }
            }
        }
        Ok(())
    }

    /// The time, which the fleet is told with this.
    fn tell(&mut self) -> Timestamp {
        self.latest = self.latest.max(self.now);
        self.now
    }

    fn greet(&mut self, handle: JobHandle) {
        assert!(!self.here.contains(&handle), "a handle names two jobs");
        self.here.push(handle);
    }

    fn pick(&self, data: &mut Unstructured<'_>) -> Result<JobHandle> {
        data.choose(&self.here).copied()
    }

    fn renew(&mut self, works: bool) {
        if std::mem::take(&mut self.renewing) {
            let backend = self.fleet.backend().renewed([("x-api-key", "new")]).expect("it is a header");
            let now = self.tell();
            self.fleet.renewed(now, if works { Ok(Arc::new(backend)) } else { Err("no".into()) });
        }
    }

    fn poll(&mut self) {
        for _ in 0..1_000 {
            let now = self.tell();
            let action = self.fleet.poll(now);
            let latest = self.latest;
            self.wire.retain(|_, (_, expires)| *expires > latest);
            match action {
                FleetAction::Send { id, request, timeout } => {
                    let (host, scheme) = (request.uri().host(), request.uri().scheme_str());
                    assert!(
                        matches!(host, Some("own.test" | "b.test")) && scheme == Some("https"),
                        "{}",
                        request.uri()
                    );
                    assert!(!self.renewing, "sent while the key is renewed");
                    let host = host.unwrap_or_default().to_owned();
                    let others = self.wire.values().filter(|(other, _)| *other == host).count();
                    assert!(others < self.limit, "{} in flight, {} allowed", others + 1, self.limit);
                    self.wire.insert(id, (host, latest.saturating_add(timeout)));
                    self.asked.push(id);
                }
                FleetAction::Renew => self.renewing = true,
                FleetAction::Sleep { .. } | FleetAction::Idle => return,
            }
        }
        panic!("a thousand actions at one instant");
    }

    fn answer(&mut self, data: &mut Unstructured<'_>) -> Result<()> {
        if self.asked.is_empty() {
            return Ok(());
        }
        let id = *data.choose(&self.asked)?;
        self.wire.remove(&id);
        let now = self.tell();
        match response(data)? {
            Ok(response) => self.fleet.handle_response(now, id, &response),
            Err(error) => self.fleet.handle_error(now, id, &TransportError::new(error, "")),
        }
        Ok(())
    }

    fn check(&mut self) {
        while let Some(event) = self.fleet.next_event() {
            if let FleetEvent::Finished { handle, finished } = event {
                assert!(self.gone.insert(handle), "it ends twice: {finished:?}");
                assert!(finished.failed_requests <= finished.requests, "{finished:?}");
                assert!(finished.error.is_some() || finished.outcome == Outcome::Succeeded, "{finished:?}");
            }
        }
        assert_eq!(self.fleet.len(), self.here.len() - self.gone.len());
        let stats = self.fleet.stats();
        assert!(stats.failed_requests <= stats.requests && stats.bulk_requests <= stats.requests, "{stats:?}");
    }

    /// Nobody answers any more: every wait ends in its time.
    fn wind_up(&mut self) {
        // Time that went backwards has to come back first.
        let end = self.now.saturating_add(Duration::from_secs(200_000)).saturating_add(LONGEST);
        for _ in 0..10_000 + 1_000 * self.jobs {
            self.renew(true);
            match self.fleet.poll(self.now) {
                FleetAction::Idle => {
                    self.check();
                    assert_eq!((self.here.len(), self.fleet.snapshots().count()), (self.gone.len(), 0));
                    return;
                }
                FleetAction::Sleep { until } => {
                    assert!(until <= end || self.renewing, "it sleeps until {until}");
                    self.now = self.now.max(until);
                }
                FleetAction::Renew => self.renewing = true,
                FleetAction::Send { .. } => {}
            }
        }
        panic!("the waits do not end");
    }
}

/// An answer of any kind, to one look or to a list.
fn response(data: &mut Unstructured<'_>) -> Result<std::result::Result<Response<Vec<u8>>, LookError>> {
    if data.ratio(1, 8)? {
        let errors = [LookError::Disconnected, LookError::TooLarge, LookError::Tls, LookError::Expired];
        return Ok(Err(*data.choose(&errors)?));
    }
    let mut response = Response::builder().status(*data.choose(&STATUSES)?);
    if data.ratio(1, 4)? {
        response = response.header("retry-after", u64::from(data.arbitrary::<u8>()?));
    }
    if data.ratio(1, 4)? {
        let places = ["/v1/x", "https://b.test/y", "https://evil.test/", "http://own.test/", "/v1/jobs/job-1"];
        response = response.header("location", *data.choose(&places)?);
    }
    let mut entries = Vec::new();
    for _ in 0..data.int_in_range(0..=4)? {
        let (id, word) = (data.int_in_range(0..=9)?, *data.choose(&WORDS)?);
        entries.push(format!(r#"{{"id":"job-{id}","state":"{word}"}}"#));
    }
    let next = if data.ratio(1, 4)? { r#","next":"more""# } else { "" };
    let cake = data.choose(&["", r#","cake":1"#, r#","cake_at":"/v1/cake""#, r#","cake_at":"https://evil.test/""#])?;
    let word = data.choose(&WORDS)?;
    let mut body = format!(r#"{{"state":"{word}"{cake},"jobs":[{}]{next}}}"#, entries.join(",")).into_bytes();
    if data.ratio(1, 16)? {
        body.truncate(body.len() / 2);
    }
    Ok(Ok(response.body(body).expect("its parts are valid")))
}

const STATUSES: [u16; 20] =
    [200, 200, 200, 200, 200, 202, 204, 302, 303, 308, 401, 403, 404, 410, 413, 429, 429, 500, 502, 503];
