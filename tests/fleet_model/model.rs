//! The model: what the fleet may do, and what it must have done in the end.

use core::time::Duration;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use http::Response;
use jobwatch::{
    Backend, ClassId, Finished, FirstLook, Fleet, FleetAction, FleetEvent, JobHandle, JobSnapshot, LookError, Outcome,
    Policy, RateLimit, RequestId, Timestamp, TransportError,
};

use crate::fleet_support::{Meter, Sent};
use crate::http_support::{START, every_second, job, kiln, response, rng, secs};

pub(crate) const ABROAD: &str = "https://b.example.com";

/// A job that was inserted, at whatever time.
#[derive(Clone, Copy, Debug)]
struct Job {
    handle: JobHandle,
    class: usize,
    started: Timestamp,
    state: State,
    /// No new attempt before this, unless it is the final look.
    free_at: Timestamp,
    /// When the attempt under way is over.
    expires: Option<Timestamp>,
    /// The next request belongs to that attempt.
    continues: bool,
    final_looks: usize,
    requests: u32,
    sent_at: Timestamp,
    /// What it has been told that nobody may take back.
    truth: Option<Outcome>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Here,
    Removed,
    Finished,
}

/// A request on the wire.
#[derive(Clone, Debug)]
struct OnWire {
    id: RequestId,
    number: usize,
    job: usize,
    origin: String,
    expires: Timestamp,
    /// The job still waits for this very request.
    current: bool,
}

/// What an answer says.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Say {
    Heating,
    Queued,
    Hinted(u8),
    Fired,
    Cracked,
    Missing,
    Gone,
    Redirect(u8),
    Abroad(u8),
    Moved(u8),
    Broken,
    Unavailable(u8),
    Throttled(Option<u8>),
    Exhausted(u8),
    Html,
    Refused,
    Error(LookError),
}

impl Say {
    fn answer(self) -> Result<Response<Vec<u8>>, LookError> {
        let word = |word: &str| response(200, &[], format!(r#"{{"state":"{word}"}}"#));
        let after = |status, n: u8, body: &str| response(status, &[("retry-after", &n.to_string())], body);
        let to = |status, url: String| response(status, &[("location", &url)], "");
        Ok(match self {
            Self::Heating => word("Heating"),
            Self::Queued => word("queued"),
            Self::Hinted(n) => after(200, n, r#"{"state":"Heating"}"#),
            Self::Fired => word("fired"),
            Self::Cracked => word("cracked"),
            Self::Missing => response(404, &[], ""),
            Self::Gone => response(410, &[], ""),
            Self::Redirect(n) => to(302, format!("/v1/x/{n}")),
            Self::Abroad(n) => to(302, format!("{ABROAD}/x/{n}")),
            Self::Moved(n) => to(308, format!("{ABROAD}/y/{n}")),
            Self::Broken => response(502, &[], "<html>"),
            Self::Unavailable(n) => after(503, n, ""),
            Self::Throttled(Some(n)) => after(429, n, ""),
            Self::Throttled(None) => response(429, &[], ""),
            Self::Exhausted(n) => response(200, &[("ratelimit", &format!("a;r=0;t={n}"))], r#"{"state":"Heating"}"#),
            Self::Html => response(200, &[], "<html>"),
            Self::Refused => response(401, &[], ""),
            Self::Error(error) => return Err(error),
        })
    }

    fn silence(self) -> Option<Duration> {
        match self {
            Self::Unavailable(n) | Self::Throttled(Some(n)) | Self::Exhausted(n) => Some(secs(n.into())),
            _ => None,
        }
    }

    fn continues(self) -> bool {
        matches!(self, Self::Redirect(_) | Self::Abroad(_) | Self::Moved(_) | Self::Refused)
    }

    fn truth(self) -> Option<Outcome> {
        match self {
            Self::Fired => Some(Outcome::Succeeded),
            Self::Cracked => Some(Outcome::Failed),
            Self::Gone => Some(Outcome::Lost),
            _ => None,
        }
    }
}

#[allow(clippy::struct_excessive_bools)] // independent facts
pub(crate) struct Model {
    pub(crate) fleet: Fleet,
    pub(crate) clock: Timestamp,
    /// The greatest instant that the fleet has heard of.
    latest: Timestamp,
    classes: Vec<(ClassId, Arc<Policy>)>,
    limit: usize,
    rate: Option<RateLimit>,
    lanes: HashMap<String, Meter>,
    silent_until: HashMap<String, Timestamp>,
    jobs: Vec<Job>,
    known: HashSet<JobHandle>,
    wire: Vec<OnWire>,
    past: Vec<RequestId>,
    stored: Vec<(JobSnapshot, Job)>,
    finished: HashMap<JobHandle, Finished>,
    sent: u64,
    renewing: bool,
    pub(crate) renewable: bool,
    /// An end as refused was heard: nobody asks any more.
    refused: bool,
    pub(crate) drains: bool,
    pub(crate) effects: usize,
}

impl Model {
    pub(crate) fn new(limit: usize, renewable: bool) -> Self {
        let steady = every_second().with_total_timeout(secs(300)).with_attempt_timeout(secs(10));
        let slow = Policy::builder().with_min_delay(secs(2)).with_total_timeout(secs(120));
        let slow = slow.with_attempt_timeout(secs(10)).with_first_look(FirstLook::After(secs(5)));
        let few = every_second().with_max_polls(6).with_total_timeout(secs(200)).with_attempt_timeout(secs(30));
        let policies = [steady, slow, few].map(|policy| Arc::new(policy.build().unwrap()));
        let mut fleet =
            Fleet::new(Arc::new(backend()), Arc::clone(&policies[0]), &mut rng(5)).with_max_in_flight(limit);
        if renewable {
            fleet = fleet.with_renewal();
        }
        let classes = policies.into_iter().map(|policy| (fleet.add_class("", Arc::clone(&policy)), policy)).collect();
        Self {
            fleet,
            clock: START,
            latest: Timestamp::UNIX_EPOCH,
            classes,
            limit,
            rate: Some(RateLimit::POLITE),
            lanes: HashMap::new(),
            silent_until: HashMap::new(),
            jobs: Vec::new(),
            known: HashSet::new(),
            wire: Vec::new(),
            past: Vec::new(),
            stored: Vec::new(),
            finished: HashMap::new(),
            sent: 0,
            renewing: false,
            renewable,
            refused: false,
            drains: true,
            effects: 0,
        }
    }

    fn hear(&mut self) -> Timestamp {
        self.latest = self.latest.max(self.clock);
        self.clock
    }

    pub(crate) fn insert(&mut self, class: usize) {
        let (now, id) = (self.hear(), format!("job-{}", self.jobs.len()));
        let class = class % self.classes.len();
        let handle = self.fleet.insert_in(self.classes[class].0, job(&id), now);
        assert!(self.known.insert(handle), "a handle that named another job");
        let now = self.latest;
        self.jobs.push(Job {
            handle,
            class,
            started: now,
            state: State::Here,
            free_at: now,
            expires: None,
            continues: false,
            final_looks: 0,
            requests: 0,
            sent_at: now,
            truth: None,
        });
    }

    fn pick(&self, which: usize) -> Option<usize> {
        (!self.jobs.is_empty()).then(|| which % self.jobs.len())
    }

    /// Whether the fleet must say that the job is there; an end that was not drained may be one.
    fn agrees(&self, number: usize, is_there: bool) {
        if is_there {
            assert_eq!(self.jobs[number].state, State::Here, "{:?}", self.jobs[number]);
        } else {
            assert!(!self.drains || self.jobs[number].state != State::Here, "{:?}", self.jobs[number]);
        }
    }

    pub(crate) fn stop(&mut self, which: usize) {
        let Some(number) = self.pick(which) else { return };
        let now = self.hear();
        let is_there = self.fleet.stop(self.jobs[number].handle, now);
        self.agrees(number, is_there);
        self.leave(number);
    }

    pub(crate) fn stop_all(&mut self) {
        let now = self.hear();
        self.fleet.stop_all(now);
        assert_eq!((self.fleet.len(), self.fleet.jobs().count()), (0, 0));
        (0..self.jobs.len()).for_each(|number| self.leave(number));
    }

    /// Nobody waits for the requests of this job any more.
    fn leave(&mut self, number: usize) {
        self.wire.iter_mut().filter(|request| request.job == number).for_each(|request| request.current = false);
    }

    pub(crate) fn remove(&mut self, which: usize) {
        self.take_out(which);
    }

    fn take_out(&mut self, which: usize) -> Option<(JobSnapshot, Job)> {
        let number = self.pick(which)?;
        let snapshot = self.fleet.remove(self.jobs[number].handle);
        self.agrees(number, snapshot.is_some());
        let (snapshot, stored) = (snapshot?, self.stored_at(number));
        self.jobs[number].state = State::Removed;
        self.leave(number);
        Some((snapshot, stored))
    }

    /// Taken out, written down, read again, taken up: under another handle, with its age.
    pub(crate) fn move_elsewhere(&mut self, which: usize) {
        if let Some((snapshot, job)) = self.take_out(which) {
            self.resume(&snapshot, job);
        }
    }

    pub(crate) fn store(&mut self, which: usize) {
        let Some(number) = self.pick(which) else { return };
        let snapshot = self.fleet.snapshot(self.jobs[number].handle);
        self.agrees(number, snapshot.is_some());
        if let Some(snapshot) = snapshot {
            self.stored.push((snapshot, self.stored_at(number)));
        }
    }

    pub(crate) fn take_up_stored(&mut self, which: usize) {
        if !self.stored.is_empty() {
            let (snapshot, job) = self.stored.swap_remove(which % self.stored.len());
            self.resume(&snapshot, job);
        }
    }

    fn resume(&mut self, snapshot: &JobSnapshot, job: Job) {
        let now = self.hear();
        let stored = serde_json::to_string(snapshot).unwrap();
        let handle =
            self.fleet.resume_in(self.classes[job.class].0, serde_json::from_str(&stored).unwrap(), now).unwrap();
        assert!(self.known.insert(handle), "a handle that named another job");
        self.jobs.push(Job { handle, ..job });
    }

    /// The job as a snapshot that is taken now remembers it: what is under way will be repeated as soon as the minimum
    /// delay since its sending is over, the final look too.
    fn stored_at(&self, number: usize) -> Job {
        let job = &self.jobs[number];
        let min = self.classes[job.class].1.min_delay();
        let (free_at, final_looks) = match job.expires {
            Some(_) => (job.sent_at.saturating_add(min), 0),
            None => (job.free_at, job.final_looks),
        };
        Job { free_at, final_looks, expires: None, continues: false, state: State::Here, ..*job }
    }

    pub(crate) fn wake(&mut self, which: usize) {
        let Some(number) = self.pick(which) else { return };
        let now = self.hear();
        let is_there = self.fleet.wake(self.jobs[number].handle, now);
        self.agrees(number, is_there);
        self.expire_attempt(number);
    }

    pub(crate) fn answer(&mut self, which: usize, say: Say) {
        if self.wire.is_empty() {
            return;
        }
        let request = self.wire.swap_remove(which % self.wire.len());
        let now = self.hear();
        self.lanes.get_mut(&request.origin).unwrap().end(request.number);
        self.hand_in(now, request.id, say);
        self.past.push(request.id);
        if let Some(silence) = say.silence() {
            let until = self.silent_until.entry(request.origin.clone()).or_insert(Timestamp::UNIX_EPOCH);
            *until = (*until).max(self.latest.saturating_add(silence));
        }
        if request.current {
            let latest = self.latest;
            if say.continues() {
                self.jobs[request.job].continues = true;
            } else {
                self.note_end_of_attempt(request.job, latest);
            }
            let job = &mut self.jobs[request.job];
            if job.state == State::Here {
                job.truth = job.truth.or(say.truth());
            }
            self.note_attempts_given_up();
        }
    }

    pub(crate) fn answer_again(&mut self, which: usize, say: Say) {
        if self.past.is_empty() {
            return;
        }
        let (now, id) = (self.hear(), self.past[which % self.past.len()]);
        let before = format!("{:?}", self.fleet.stats());
        self.hand_in(now, id, say);
        assert_eq!(format!("{:?}", self.fleet.stats()), before, "a repeated answer was heard");
    }

    fn hand_in(&mut self, now: Timestamp, id: RequestId, say: Say) {
        match say.answer() {
            Ok(response) => self.fleet.handle_response(now, id, &response),
            Err(error) => self.fleet.handle_error(now, id, &TransportError::new(error, "")),
        }
    }

    /// The attempt ends with its time, whether its request is still on the wire or was forgotten.
    fn expire_attempt(&mut self, number: usize) {
        if let Some(expires) = self.jobs[number].expires.filter(|expires| *expires <= self.latest) {
            self.note_end_of_attempt(number, expires);
            self.leave(number);
        }
    }

    /// Redirects that lead nowhere, or into a cool-down, are not followed.
    fn note_attempts_given_up(&mut self) {
        for job in self.jobs.iter_mut().filter(|job| job.continues) {
            if self.fleet.progress(job.handle).is_some_and(|progress| !progress.in_flight) {
                (job.continues, job.expires) = (false, None);
                job.free_at = job.sent_at.saturating_add(self.classes[job.class].1.min_delay());
            }
        }
    }

    fn note_end_of_attempt(&mut self, number: usize, at: Timestamp) {
        let job = &mut self.jobs[number];
        job.expires = None;
        job.free_at = job.free_at.max(at.saturating_add(self.classes[job.class].1.min_delay()));
        job.continues = false;
    }

    /// The driver lost all its connections.
    pub(crate) fn forget(&mut self) {
        self.fleet.forget_requests();
        for request in self.wire.drain(..) {
            self.lanes.get_mut(&request.origin).unwrap().end(request.number);
            self.past.push(request.id);
        }
    }

    pub(crate) fn set_limit(&mut self, limit: usize) {
        self.limit = limit.max(1);
        self.fleet.set_max_in_flight(limit);
    }

    pub(crate) fn set_rate(&mut self, rate: Option<RateLimit>) {
        self.rate = rate;
        self.fleet.set_rate(rate);
    }

    pub(crate) fn renew(&mut self, succeeds: bool) {
        if !std::mem::take(&mut self.renewing) {
            return;
        }
        let now = self.hear();
        if succeeds {
            let backend = self.fleet.backend().renewed([("x-api-key", "new")]).unwrap();
            self.refused = false;
            self.fleet.renewed(now, Ok(Arc::new(backend)));
        } else {
            self.fleet.renewed(now, Err("no".into()));
            self.refused = true;
        }
    }

    pub(crate) fn advance(&mut self, by: Duration) {
        self.clock = self.clock.saturating_add(by);
    }

    pub(crate) fn go_back(&mut self, by: Duration) {
        self.clock = self.clock.saturating_sub(by);
    }

    /// Everything that is to be done now; then when to come again.
    pub(crate) fn poll(&mut self) -> Option<Timestamp> {
        loop {
            let now = self.hear();
            let action = self.fleet.poll(now);
            self.note_attempts_given_up();
            self.expire();
            if self.drains {
                self.drain();
            }
            match action {
                FleetAction::Send { id, request, timeout } => {
                    self.send(id, &Sent::new(self.latest, &request.uri().to_string(), timeout));
                }
                FleetAction::Renew => {
                    assert!(self.renewable && !self.renewing, "one renewal at a time");
                    self.renewing = true;
                    self.effects += 1;
                }
                FleetAction::Sleep { until } => {
                    assert!(until > self.latest, "a sleep that is over before it begins");
                    assert!(until < Timestamp::MAX || self.renewing, "nothing would ever happen again");
                    assert!(!self.fleet.is_empty());
                    return Some(until);
                }
                FleetAction::Idle => {
                    assert!(self.fleet.is_empty());
                    return None;
                }
            }
        }
    }

    /// Whose time is over is taken off the wire.
    fn expire(&mut self) {
        let latest = self.latest;
        let (over, on_wire): (Vec<_>, Vec<_>) = self.wire.drain(..).partition(|request| request.expires <= latest);
        self.wire = on_wire;
        for request in over {
            self.effects += 1;
            self.lanes.get_mut(&request.origin).unwrap().end(request.number);
            self.past.push(request.id);
        }
        (0..self.jobs.len()).for_each(|number| self.expire_attempt(number));
    }

    fn send(&mut self, id: RequestId, sent: &Sent) {
        let number = usize::try_from(self.sent).unwrap();
        (self.sent, self.effects) = (self.sent + 1, self.effects + 1);
        let now = self.latest;
        assert!(!self.renewing, "sent while the key was being renewed");
        assert!(!self.refused, "sent with a refused key");
        let origin = sent.origin();
        assert!(
            now >= self.silent_until.get(&origin).copied().unwrap_or(Timestamp::UNIX_EPOCH),
            "sent during a throttle"
        );
        let expires = now.saturating_add(sent.timeout);
        self.lanes.entry(origin.clone()).or_default().send(now, expires, number, self.limit, self.rate);
        let which = self.jobs.iter().position(|job| job.handle == id.job()).expect("a job of ours");
        let job = &mut self.jobs[which];
        assert_eq!(job.state, State::Here, "sent for a job that is gone");
        assert!(self.wire.iter().all(|request| request.job != which || !request.current), "two requests for one job");
        let deadline = job.started.saturating_add(self.classes[job.class].1.total_timeout().unwrap());
        if !job.continues {
            assert!(now >= job.free_at || now >= deadline, "sent too soon: {job:?}");
            job.final_looks += usize::from(now >= deadline);
            assert!(job.final_looks <= 1, "two final looks: {job:?}");
        }
        assert!(job.truth.is_none(), "its end was told: {job:?}");
        (job.sent_at, job.free_at) = (if job.continues { job.sent_at } else { now }, now);
        (job.expires, job.continues) = (Some(expires), false);
        job.requests += 1;
        self.wire.push(OnWire { id, number, job: which, origin, expires, current: true });
    }

    pub(crate) fn drain(&mut self) {
        while let Some(event) = self.fleet.next_event() {
            self.effects += 1;
            let (FleetEvent::Changed { handle, .. }
            | FleetEvent::UnknownState { handle, .. }
            | FleetEvent::Finished { handle, .. }) = event
            else {
                panic!("{event:?}")
            };
            let number = self.jobs.iter().position(|job| job.handle == handle).expect("a job of ours");
            assert_eq!(self.jobs[number].state, State::Here, "news of a job that is gone: {event:?}");
            let FleetEvent::Finished { finished, .. } = event else { continue };
            self.note_finished(number, *finished);
        }
    }

    fn note_finished(&mut self, number: usize, finished: Finished) {
        self.leave(number);
        let job = &mut self.jobs[number];
        job.state = State::Finished;
        assert_eq!(finished.requests, job.requests, "{job:?} {finished:?}");
        assert!(finished.failed_requests <= finished.requests);
        match job.truth {
            Some(truth) => assert_eq!(finished.outcome, truth, "{job:?} {finished:?}"),
            None => {
                assert!(!finished.outcome.is_jobs_end() || finished.outcome == Outcome::Lost, "{job:?} {finished:?}");
            }
        }
        self.refused |= finished.outcome == Outcome::Rejected && finished.last_error == Some(LookError::Status(401));
        assert!(self.finished.insert(job.handle, finished).is_none(), "two ends of one job");
    }

    /// What holds after every step.
    pub(crate) fn check(&mut self) {
        if self.drains {
            self.drain();
            let here: HashSet<_> =
                self.jobs.iter().filter(|job| job.state == State::Here).map(|job| job.handle).collect();
            let told: HashSet<_> = self.fleet.jobs().map(|(handle, _)| handle).collect();
            assert_eq!(told, here);
            assert_eq!(self.fleet.stats().outcomes.total(), self.finished.len() as u64);
            assert_eq!(self.fleet.snapshots().count(), here.len());
        }
        assert_eq!(self.fleet.len(), self.fleet.jobs().count());
        assert_eq!(self.fleet.is_empty(), self.fleet.jobs().next().is_none());
        for (handle, job) in self.fleet.jobs() {
            let progress = self.fleet.progress(handle).expect("it is there");
            assert_eq!((progress.job, self.fleet.job(handle)), (job, Some(job)));
            let known = self.jobs.iter().find(|known| known.handle == handle).expect("a job of ours");
            assert_eq!(progress.requests, known.requests, "{known:?}");
        }
        let stats = self.fleet.stats();
        assert_eq!((stats.requests, stats.bulk_requests), (self.sent, 0));
        assert!(stats.failed_requests <= stats.requests && stats.throttled_requests <= stats.failed_requests);
        for (origin, stats) in self.fleet.stats_by_origin() {
            let sent = self.lanes.get(origin).map_or(0, |lane| lane.times.len());
            assert_eq!(stats.requests, sent as u64, "{origin}");
            assert!(stats.failed_requests <= stats.requests, "{origin}");
        }
    }

    /// Drives time forward with a backend that says the same for ever, or nothing: every wait ends.
    pub(crate) fn wind_up(&mut self, end: Option<Say>) {
        self.drains = true;
        self.clock = self.latest.max(START);
        let began = self.clock;
        let longest = self.classes.iter().map(|(_, policy)| policy.total_timeout().unwrap()).max().unwrap();
        let (mut turns, jobs) = (0, self.jobs.len());
        while let Some(until) = self.poll() {
            turns += 1;
            // Each job gets in line, out of it, and on the wire; and each time a lane may wake up in vain.
            assert!(turns < 100 + 20 * (jobs + self.effects), "it wakes up over and over, and nothing happens");
            self.renew(!turns.is_multiple_of(3));
            match end {
                Some(say) if !self.wire.is_empty() => {
                    self.clock = self.clock.saturating_add(Duration::from_millis(500)).min(until);
                    while !self.wire.is_empty() {
                        self.answer(0, say);
                    }
                }
                _ if until == Timestamp::MAX => {}
                _ => self.clock = until,
            }
            self.check();
        }
        self.check();
        assert!(self.jobs.iter().all(|job| job.state != State::Here));
        // The deadline, the grace in which a final look finds room, and the look itself.
        assert!(self.clock <= began.saturating_add(longest + secs(5 + 30)), "{:?}", self.clock.saturating_since(began));
    }
}

fn backend() -> Backend {
    kiln().with_allowed_origin(ABROAD).unwrap()
}
