//! The backend: a ledger of jobs, what it says of them, and what becomes of that on the way.

use core::time::Duration;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::SystemTime;

use jobwatch::{LookError, Outcome};

use super::dice::Dice;
use super::hints::{self, Told};
use super::ledger::{Delivery, Job, Reply, Tell, What, answer, by_status, escaped};
use super::speech::{ABROAD, Ask, Asked, FOREIGN, HOME, MOST_IN_LIST, Speech, encoded};
use super::weather::Weather;

/// The world begins here on the server's clock, in seconds.
const EPOCH: u64 = 1_700_000_000;

pub(crate) const SECOND: u64 = 1_000_000_000;

#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) speech: &'static Speech,
    pub(crate) weather: Weather,
    pub(crate) jobs: Vec<Job>,
    pub(crate) by_key: BTreeMap<String, usize>,
    /// The number of the API key in force, and until when the one before it is taken, too.
    pub(crate) key: u64,
    pub(crate) old_key_until: u64,
    pub(crate) down_until: u64,
    /// How far its clock is ahead of the world's, or behind.
    pub(crate) skew: i64,
}

impl Server {
    pub(crate) fn new(speech: &'static Speech, dice: &mut Dice) -> Self {
        let weather = Weather::draw(dice);
        let skew = dice.between(0, 600).cast_signed() - 300;
        let (jobs, by_key) = (Vec::new(), BTreeMap::new());
        Self { speech, weather, jobs, by_key, key: 0, old_key_until: 0, down_until: 0, skew }
    }

    /// A job that begins now; its number.
    pub(crate) fn create(&mut self, now: u64, dice: &mut Dice) -> usize {
        let number = self.jobs.len();
        let id = match dice.below(12) {
            0 => format!("a/b {number}"),
            1 => format!("x,{number}"),
            2 => format!("ü%2e?{number}#"),
            _ => format!("job-{number}"),
        };
        let starts = now + dice.between(0, 3 * SECOND);
        let ends =
            starts + u64::try_from(dice.time(Duration::from_millis(100), Duration::from_secs(120)).as_nanos()).unwrap();
        let ends_well = self.speech.by_status || dice.percent(70);
        let end = if ends_well { Outcome::Succeeded } else { dice.of(&[Outcome::Failed, Outcome::Cancelled]) };
        let complete = ends + if self.speech.late_results && dice.percent(50) { dice.below(40 * SECOND) } else { 0 };
        self.jobs.push(Job { id, starts, ends, end, complete, known: true, honest: true, timely: true });
        number
    }

    pub(crate) fn job(&self, id: &str) -> Option<&Job> {
        self.jobs.iter().find(|job| job.id == id)
    }

    fn job_mut(&mut self, id: &str) -> Option<&mut Job> {
        self.jobs.iter_mut().find(|job| job.id == id)
    }

    /// Goes down, and comes up again without its memory, if `forgets`.
    pub(crate) fn crash(&mut self, until: u64, forgets: bool) {
        self.down_until = self.down_until.max(until);
        if forgets {
            self.jobs.iter_mut().for_each(|job| job.known = false);
            self.by_key.clear();
        }
    }

    /// What comes of a request, and after which time each.
    pub(crate) fn serve(&mut self, now: u64, asked: &Asked, dice: &mut Dice) -> Vec<(u64, Delivery)> {
        let weather = self.weather.clone();
        let fine = weather.calm || now >= weather.clears_at;
        let chance = |dice: &mut Dice, percent: u64| !fine && dice.percent(percent);
        // In a calm world no look is too short for its answer.
        let mut latency = dice.between(0, if weather.calm { 100_000 } else { 200_000_000 });
        if chance(dice, weather.slow) {
            latency = dice.between(0, 30 * SECOND);
        }
        let after = latency / 2 + dice.below(latency / 2 + 1);
        if now < self.down_until {
            let error = dice.of(&[LookError::Unreachable, LookError::Disconnected]);
            return if dice.percent(20) { Vec::new() } else { vec![(after.min(SECOND), Delivery::Error(error))] };
        }
        let lost = chance(dice, weather.lost);
        if lost && dice.percent(50) {
            return Vec::new();
        }
        let reply = Rc::new(self.reply(now + latency / 2, asked, fine, dice));
        if lost {
            return Vec::new();
        }
        if chance(dice, weather.reset) {
            // Where nobody was reached, nothing was created.
            let other = if asked.ask == Ask::Create { LookError::Disconnected } else { LookError::Unreachable };
            return vec![(after, Delivery::Error(dice.of(&[LookError::Disconnected, other])))];
        }
        if chance(dice, weather.too_large) {
            return vec![(after, Delivery::Error(LookError::TooLarge))];
        }
        let mut deliveries = vec![(after, Delivery::Reply(Rc::clone(&reply)))];
        while chance(dice, weather.twice) && deliveries.len() < 4 {
            let again = after + dice.between(0, 20 * SECOND);
            let other = if asked.ask != Ask::Create && dice.percent(50) {
                Rc::new(self.reply(now + again, asked, fine, dice))
            } else {
                Rc::clone(&reply)
            };
            deliveries.push((again, Delivery::Reply(other)));
        }
        deliveries
    }

    fn clock(&self, now: u64) -> SystemTime {
        let seconds = (now / SECOND).saturating_add_signed(self.skew) + EPOCH;
        SystemTime::UNIX_EPOCH + Duration::new(seconds, u32::try_from(now % SECOND).unwrap())
    }

    /// What the backend answers at this instant.
    fn reply(&mut self, now: u64, asked: &Asked, fine: bool, dice: &mut Dice) -> Reply {
        let weather = self.weather.clone();
        let chance = |dice: &mut Dice, percent: u64| !fine && dice.percent(percent);
        let told = if chance(dice, weather.hinted) {
            hints::draw(dice, self.clock(now), weather.longest_hint)
        } else {
            Told::default()
        };
        if !self.accepts(now, asked) {
            return answer(401, What::Refused, "", &Told::default());
        }
        if chance(dice, weather.throttled) {
            // Without a hint a 403 is a refusal.
            let limited = told.headers.iter().any(|(name, _)| matches!(*name, "retry-after" | "x-ratelimit-remaining"));
            let status = if limited && dice.percent(30) { 403 } else { 429 };
            return answer(status, What::Throttled, "", &told);
        }
        if chance(dice, weather.broken) {
            // Those who create hear of an error that the work was done behind.
            if asked.ask == Ask::Create && dice.percent(50) {
                self.take_create(now, asked, dice);
            }
            return answer(dice.of(&[500, 502, 503, 504, 408]), What::Broken, "<html>", &told);
        }
        if chance(dice, weather.fatal) {
            return answer(dice.of(&[400, 403, 405, 422]), What::Fatal, "", &Told::default());
        }
        if chance(dice, weather.garbled) && !self.speech.by_status {
            let whole = self.honest(now, asked, &Told::default(), true, dice);
            let half = &whole.response.body()[..whole.response.body().len() / 2];
            return answer(200, What::Broken, &String::from_utf8_lossy(half), &told);
        }
        if chance(dice, weather.redirected) && asked.ask != Ask::Create {
            return self.redirect(asked, &told, dice);
        }
        self.honest(now, asked, &told, fine, dice)
    }

    fn accepts(&self, now: u64, asked: &Asked) -> bool {
        let key = asked.api_key.as_deref().and_then(|key| key.strip_prefix("key-")?.parse::<u64>().ok());
        key.is_some_and(|key| key == self.key || (now < self.old_key_until && key + 1 == self.key))
    }

    /// Elsewhere, at home, abroad, or where nobody may go.
    fn redirect(&mut self, asked: &Asked, told: &Told, dice: &mut Dice) -> Reply {
        let n = dice.below(4);
        let path = match &asked.ask {
            Ask::Look(id) => format!("/v1/moved/{}/{n}", encoded(id)),
            Ask::Result(id) => format!("/v1/jobs/{}/cake", encoded(id)),
            Ask::List { .. } | Ask::Create => return answer(500, What::Broken, "", &Told::default()),
        };
        let (to, what) = match dice.below(20) {
            0 => (dice.of(&FOREIGN).to_owned() + &path, What::Fatal),
            1..6 => (ABROAD.to_owned() + &path, What::Redirect),
            6..10 => (HOME.to_owned() + &path, What::Redirect),
            _ => (path, What::Redirect),
        };
        let what = if matches!(asked.ask, Ask::Result(_)) { What::Result } else { what };
        let status = if self.speech.by_status { 307 } else { dice.of(&[301, 302, 303, 307, 308]) };
        let mut reply = answer(status, what, "", &told.of_quotas());
        reply.response.headers_mut().insert("location", to.parse().unwrap());
        reply
    }

    /// What is asked for, though perhaps not the truth.
    fn honest(&mut self, now: u64, asked: &Asked, told: &Told, fine: bool, dice: &mut Dice) -> Reply {
        match &asked.ask {
            Ask::Create => self.take_create(now, asked, dice),
            Ask::Look(id) => {
                let weather = self.weather.misrouted;
                let misrouted = self.speech.names_jobs && !fine && dice.percent(weather);
                let other = if misrouted { self.jobs[dice.index(self.jobs.len())].id.clone() } else { id.clone() };
                let mut reply = self.look(now, &other, told, fine, dice);
                match &reply.what {
                    _ if other == *id => reply,
                    // A denial names no job, and would be this one's.
                    What::States(tells) if matches!(tells[..], [(_, Tell::Denied { .. })]) => {
                        self.look(now, id, told, fine, dice)
                    }
                    _ => {
                        reply.what = What::Broken;
                        reply
                    }
                }
            }
            Ask::Result(id) => match self.job(id).filter(|job| job.known) {
                Some(_) => {
                    let body = format!("{{\"cake\":\"cake of {}\"}}", escaped(id));
                    answer(200, What::Result, &body, &told.of_quotas())
                }
                None => answer(404, What::Result, "", &Told::default()),
            },
            Ask::List { ids, page } => self.list(now, ids, *page, told, fine, dice),
        }
    }

    /// Creates a job, or tells of the one that was created under this key.
    pub(crate) fn take_create(&mut self, now: u64, asked: &Asked, dice: &mut Dice) -> Reply {
        let known = asked.idempotency_key.as_ref().and_then(|key| self.by_key.get(key).copied());
        if known.is_some() && dice.percent(10) {
            return answer(409, What::Broken, "{\"error\":{\"code\":\"in_progress\"}}", &Told::default());
        }
        let number = known.unwrap_or_else(|| self.create(now, dice));
        if let Some(key) = &asked.idempotency_key {
            self.by_key.insert(key.clone(), number);
        }
        let id = self.jobs[number].id.clone();
        let body = format!("{{\"id\":\"{}\"}}", escaped(&id));
        let mut reply = answer(if self.speech.by_status { 202 } else { 201 }, What::Created, &body, &Told::default());
        if self.speech.tells_address {
            let name = if self.speech.by_status { "location" } else { "operation-location" };
            let origin = dice.of(&[HOME, HOME, ABROAD]);
            reply.response.headers_mut().insert(name, format!("{origin}/v1/jobs/{}", encoded(&id)).parse().unwrap());
        }
        reply
    }

    /// The state of one job, by itself.
    fn look(&mut self, now: u64, id: &str, told: &Told, fine: bool, dice: &mut Dice) -> Reply {
        let weather = self.weather.clone();
        let chance = |dice: &mut Dice, percent: u64| !fine && dice.percent(percent);
        let denial =
            answer(404, What::States(vec![(id.to_owned(), Tell::Denied { definite: false })]), "", &Told::default());
        let lies = chance(dice, weather.lie);
        let age = if chance(dice, weather.stale) { dice.between(1, 20) } else { 0 };
        let says_age = dice.percent(70);
        let speech = self.speech;
        let Some(job) = self.job_mut(id) else { return denial };
        if !job.known || chance(dice, weather.denied) {
            return match dice.below(10) {
                // Gone for good is not said by accident.
                0 if !job.known => answer(
                    410,
                    What::States(vec![(id.to_owned(), Tell::Denied { definite: true })]),
                    "",
                    &Told::default(),
                ),
                1..5 if !speech.by_status => {
                    let what = What::States(vec![(id.to_owned(), Tell::Denied { definite: false })]);
                    answer(200, what, "{\"state\":\"unknown\"}", &Told::default())
                }
                _ => denial,
            };
        }
        let at = now.saturating_sub(age * SECOND);
        job.timely &= age == 0 || says_age;
        let (word, tell) = job.state(at, lies, chance(dice, weather.unknown_word), dice);
        let mut reply = if speech.by_status {
            by_status(job, tell, told, dice)
        } else {
            let body = job.body(word, tell, now, speech.results, dice);
            let tell = if body.contains("cake") || tell != Tell::End(Outcome::Succeeded) || !speech.late_results {
                tell
            } else {
                Tell::Incomplete
            };
            // What is said of the time beside an end concerns the others alone.
            let told = if tell == Tell::Unfinished { told.clone() } else { told.of_quotas() };
            answer(200, What::States(vec![(id.to_owned(), tell)]), &body, &told)
        };
        // A quota that a cache kept is nobody's.
        if age > 0 && says_age && reply.cool_down.is_none() && reply.hint.is_none() {
            reply.response.headers_mut().insert("age", age.into());
        } else if age > 0 {
            job.timely = false;
        }
        reply
    }

    /// The states of several jobs.
    fn list(&mut self, now: u64, ids: &[String], page: usize, hint: &Told, fine: bool, dice: &mut Dice) -> Reply {
        let weather = self.weather.clone();
        let chance = |dice: &mut Dice, percent: u64| !fine && dice.percent(percent);
        assert!(ids.len() <= MOST_IN_LIST, "lists: {} ids in one", ids.len());
        assert!(ids.iter().all(|id| !id.contains(',')), "lists: an id looks like two, {ids:?}");
        if chance(dice, weather.too_many) {
            return answer(dice.of(&[413, 414, 400]), What::Broken, "", &Told::default());
        }
        let disorder = chance(dice, weather.disorder);
        let size = if disorder && dice.percent(40) { dice.between(1, 3) } else { 100 };
        let (from, to) = (page, (page + usize::try_from(size).unwrap()).min(ids.len()));
        let mut entries = Vec::new();
        for id in &ids[from.min(to)..to] {
            let lies = chance(dice, weather.lie);
            let (denied, unknown) = (chance(dice, weather.denied), chance(dice, weather.unknown_word));
            let entry = match self.job_mut(id).filter(|job| job.known && !denied) {
                None => ("unknown", Tell::Denied { definite: false }),
                Some(job) => job.state(now, lies, unknown, dice),
            };
            entries.push((id.clone(), entry));
        }
        let mut contradicted = None;
        if disorder {
            match dice.below(4) {
                0 => entries.reverse(),
                1 if !entries.is_empty() => drop(entries.remove(dice.index(entries.len()))),
                2 => entries.push(("stranger".into(), ("baked", Tell::End(Outcome::Succeeded)))),
                _ if !entries.is_empty() => {
                    // A list that says two things of one job says nothing of it.
                    contradicted = Some(entries[0].0.clone());
                    entries.push((entries[0].0.clone(), ("baking", Tell::Unfinished)));
                }
                _ => {}
            }
        }
        let items: Vec<_> = entries
            .iter()
            .map(|(id, (word, _))| format!("{{\"id\":\"{}\",\"state\":\"{word}\"}}", escaped(id)))
            .collect();
        let next = if to < ids.len() { format!(",\"next\":\"{to}\"") } else { String::new() };
        let told = entries.into_iter().filter(|(id, _)| contradicted.as_ref() != Some(id));
        let tells = told.map(|(id, (_, tell))| (id, tell)).collect();
        answer(200, What::States(tells), &format!("{{\"jobs\":[{}]{next}}}", items.join(",")), hint)
    }
}
