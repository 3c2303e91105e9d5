//! Any mix of everything that can go wrong with lists: every job its true end, exactly once.

use core::time::Duration;
use std::collections::HashSet;

use jobwatch::{JobHandle, LookError, Outcome};
use proptest::prelude::*;

use crate::fleet_support::{Sent, World};
use crate::http_support::{Reply, at, millis, secs};
use crate::oven::{BURNT, Oven, answer, backend, backend_without_details, list, page, patient};

/// What happens to one request.
#[derive(Clone, Copy, Debug)]
enum Mood {
    Fine,
    Shuffled(usize),
    LeavesOut(usize),
    Paged(usize),
    Strangers,
    Status(u16),
    Throttles(u8),
    Html,
    Cut,
    TooLarge,
    Breaks,
    Silent,
    Slow(u16),
}

fn mood() -> impl Strategy<Value = Mood> {
    prop_oneof![
        10 => Just(Mood::Fine),
        2 => (1_usize..10).prop_map(Mood::Shuffled),
        3 => (0_usize..10).prop_map(Mood::LeavesOut),
        2 => (1_usize..5).prop_map(Mood::Paged),
        1 => Just(Mood::Strangers),
        2 => prop::sample::select(&[413_u16, 414, 500, 502, 503][..]).prop_map(Mood::Status),
        1 => (0_u8..9).prop_map(Mood::Throttles),
        1 => Just(Mood::Html),
        1 => Just(Mood::Cut),
        1 => Just(Mood::TooLarge),
        1 => Just(Mood::Breaks),
        1 => Just(Mood::Silent),
        1 => (0_u16..15_000).prop_map(Mood::Slow),
    ]
}

impl Mood {
    fn reply(self, oven: &Oven, sent: &Sent, ends: Duration) -> Reply {
        let mut entries = oven.entries(sent, ends);
        match self {
            Self::Shuffled(by) if sent.bulk => {
                entries.reverse();
                entries.rotate_left(by % sent.ids.len());
                list(&entries)
            }
            Self::LeavesOut(which) if sent.bulk => {
                entries.remove(which % sent.ids.len());
                list(&entries)
            }
            Self::Paged(size) if sent.bulk => {
                let from: usize = sent.page().and_then(|page| page.parse().ok()).unwrap_or(0);
                let to = (from + size).min(entries.len());
                let next = (to < entries.len()).then(|| to.to_string());
                page(&entries[from.min(to)..to], next.as_deref())
            }
            Self::Strangers if sent.bulk => {
                entries.insert(0, ("stranger".into(), BURNT));
                list(&entries)
            }
            Self::Status(413 | 414) if !sent.bulk => oven.serve(sent, ends),
            Self::Status(status) => answer(status, &[], ""),
            Self::Throttles(seconds) => answer(429, &[("retry-after", &seconds.to_string())], ""),
            Self::Html => answer(200, &[], "<html>"),
            Self::Cut if sent.bulk => answer(200, &[], r#"{"jobs":[{"id":"job-0","state":"bur"#),
            Self::TooLarge if sent.bulk => Reply::Error(millis(30), LookError::TooLarge),
            Self::Breaks => Reply::Error(millis(30), LookError::Disconnected),
            Self::Silent => Reply::Never,
            Self::Slow(ms) => match oven.serve(sent, ends) {
                Reply::Answer(_, response) => Reply::Answer(millis(ms.into()), response),
                reply => reply,
            },
            _ => oven.serve(sent, ends),
        }
    }
}

/// Something outside, between two answers.
#[derive(Clone, Copy, Debug)]
enum Outside {
    Nothing,
    Insert(u8),
    Stop(usize),
    Remove(usize),
    Wake(usize),
    StoreAndResume(usize),
}

fn outside() -> impl Strategy<Value = Outside> {
    prop_oneof![
        6 => Just(Outside::Nothing),
        2 => (1_u8..12).prop_map(Outside::Insert),
        1 => any::<usize>().prop_map(Outside::Stop),
        1 => any::<usize>().prop_map(Outside::Remove),
        2 => any::<usize>().prop_map(Outside::Wake),
        1 => any::<usize>().prop_map(Outside::StoreAndResume),
    ]
}

/// Who has been let in and sent away.
#[derive(Debug, Default)]
struct Guests {
    inserted: usize,
    here: Vec<JobHandle>,
    stopped: HashSet<JobHandle>,
    removed: HashSet<JobHandle>,
}

impl Guests {
    fn apply(&mut self, world: &mut World, outside: Outside) {
        let pick = |which: usize| (!self.here.is_empty()).then(|| self.here[which % self.here.len()]);
        match outside {
            Outside::Nothing => {}
            Outside::Insert(count) => {
                for _ in 0..count {
                    self.here.push(world.insert_one(&format!("job-{}", self.inserted)));
                    self.inserted += 1;
                }
            }
            Outside::Stop(which) => {
                if let Some(handle) = pick(which)
                    && world.fleet.stop(handle, world.clock)
                {
                    self.stopped.insert(handle);
                }
            }
            Outside::Remove(which) => {
                if let Some(handle) = pick(which)
                    && world.fleet.remove(handle).is_some()
                {
                    self.removed.insert(handle);
                }
            }
            Outside::Wake(which) => {
                if let Some(handle) = pick(which) {
                    world.fleet.wake(handle, world.clock);
                }
            }
            Outside::StoreAndResume(which) => {
                if let Some(handle) = pick(which)
                    && let Some(snapshot) = world.fleet.remove(handle)
                {
                    self.removed.insert(handle);
                    let stored = serde_json::to_string(&snapshot).unwrap();
                    let again = world.fleet.resume(serde_json::from_str(&stored).unwrap(), world.clock).unwrap();
                    assert!(!self.here.contains(&again), "a handle that named another job");
                    self.here.push(again);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(crate::http_support::cases(150))]

    #[test]
    fn every_job_its_true_end_exactly_once(
        moods in prop::collection::vec(mood(), 1..60),
        visits in prop::collection::vec((0_u64..4_000, outside()), 0..25),
        details in any::<bool>(),
        limit in 1_usize..5,
        ends in 0_u64..60,
    ) {
        let backend = if details { backend() } else { backend_without_details() };
        let policy = patient().with_total_timeout(secs(3_000)).with_attempt_timeout(secs(10));
        let mut world = World::new(backend, policy).limits(limit, None);
        world.fleet.note_backend_proven();
        let oven = Oven { words: vec!["baked", BURNT, "eaten"] };
        let mut asked = 0;
        let mut backend = |sent: &Sent| {
            asked += 1;
            // The sun rises in the end.
            let mood = if sent.time() < secs(400) { moods[asked % moods.len()] } else { Mood::Fine };
            mood.reply(&oven, sent, secs(ends))
        };
        let mut guests = Guests::default();
        guests.apply(&mut world, Outside::Insert(13));
        for (gap, outside) in visits {
            let next = world.clock.saturating_add(millis(gap));
            world.run_until(next, &mut backend);
            guests.apply(&mut world, outside);
        }
        world.run(&mut backend);

        for handle in &guests.here {
            let finished = world.finished.get(handle);
            prop_assert_eq!(finished.is_none(), guests.removed.contains(handle), "{:?}", handle);
            let Some(finished) = finished else { continue };
            let truth = oven.outcome(finished.job.id());
            let stopped = guests.stopped.contains(handle) && finished.outcome == Outcome::Stopped;
            prop_assert!(stopped || finished.outcome == truth, "{finished:?}");
            if details && finished.outcome == Outcome::Succeeded && !guests.stopped.contains(handle) {
                prop_assert!(finished.result.is_some(), "{finished:?}");
            }
        }
        prop_assert!(world.clock < at(secs(400 + 200)), "{:?}", world.clock);
    }
}
