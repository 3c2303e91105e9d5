//! Many jobs in one fleet, with answers of 500 bytes.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use http::Response;
use jobwatch::{Backend, Dialect, FirstLook, Fleet, FleetAction, Jitter, JobRef, JobSnapshot, Policy, Timestamp};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

use super::answers::{RUNNING, backend, response};
use super::decisions::backoff;
use super::{START, Step, endless};
use crate::job_id;

pub(super) const STEPS: [Step; 5] = [
    Step::ours("fleet: a look of 1,000 jobs, one by one", 200, one_by_one),
    Step::ours("fleet: a look of 1,000 jobs, in lists of 100", 1_000, in_lists),
    Step::ours("fleet: insert a job", 1_000, insert),
    Step::ours("fleet: a snapshot of a job", 1_000, snapshot),
    Step::ours("fleet: a job restored from a snapshot", 1_000, restore),
];

const JOBS: u32 = 1_000;

/// The time from a request to its answer.
const TICK: Duration = Duration::from_millis(50);

fn fleet(backend: Backend) -> Fleet {
    fleet_by(endless(), backend)
}

fn fleet_by(policy: Policy, backend: Backend) -> Fleet {
    Fleet::new(Arc::new(backend), Arc::new(policy), &mut ChaCha8Rng::seed_from_u64(2))
        .with_max_in_flight(4_096)
        .with_rate(None)
}

fn job(number: u32) -> JobRef {
    JobRef::new(job_id(number as usize)).expect("it is an id")
}

fn one_by_one(times: u32) {
    let file = Dialect::preset_file("heygen-v3").expect("it is a preset");
    // What follows is of the lists' section alone.
    let (before, rest) = file.split_once("[bulk]").expect("it has such requests");
    let (_, after) = rest.split_once("[cancel]").expect("its order is known");
    let dialect = Dialect::from_toml(&format!("{before}[cancel]{after}")).expect("it may go without them");
    let backend = Backend::new(dialect, None).expect("it has an address");
    let answer = response(RUNNING);
    looks(fleet(backend.with_header("x-api-key", "secret").expect("it is a header")), times, |_| answer.clone());
}

fn in_lists(times: u32) {
    // A learned plan would be made anew, now and then, as the lists get longer; that is a step of its own.
    let fleet = fleet_by(backoff(Jitter::Equal, FirstLook::AtOnce), backend());
    looks(fleet, times, |query| {
        // One that is due by itself is asked for by itself.
        let Some((_, ids)) = query.split_once('=') else { return response(RUNNING) };
        let entries: Vec<_> =
            ids.split(',').map(|id| format!(r#"{{"video_id":"{id}","status":"processing"}}"#)).collect();
        response(format!(r#"{{"data":[{}],"has_more":false,"next_token":null}}"#, entries.join(",")))
    });
}

/// Looks until there were so many; what the backend does is small beside it and in both counts.
fn looks(mut fleet: Fleet, times: u32, answer: impl Fn(&str) -> Response<Vec<u8>>) {
    for number in 0..JOBS {
        fleet.insert(job(number), START);
    }
    let (mut now, mut sent, mut left) = (START, Vec::new(), u64::from(JOBS + times));
    loop {
        match fleet.poll(now) {
            FleetAction::Send { id, request, .. } => {
                let looks = fleet.asked_for(id) as u64;
                sent.push((id, answer(request.uri().query().unwrap_or_default())));
                left = left.saturating_sub(looks);
                if left > 0 {
                    continue;
                }
            }
            FleetAction::Sleep { until } if sent.is_empty() => now = until,
            FleetAction::Idle => unreachable!("no job ends"),
            _ => now = now.saturating_add(TICK),
        }
        for (id, answer) in sent.drain(..) {
            fleet.handle_response(now, id, &answer);
        }
        while let Some(event) = fleet.next_event() {
            black_box(event);
        }
        if left == 0 {
            return;
        }
    }
}

fn insert(times: u32) {
    let mut fleet = fleet(backend());
    for number in 0..times {
        black_box(fleet.insert(job(number), START));
    }
}

/// As many as the fleet has, over and over.
fn snapshots(times: u32) -> Vec<JobSnapshot> {
    let mut fleet = fleet(backend());
    for number in 0..JOBS {
        fleet.insert(job(number), START);
    }
    let mut taken = Vec::with_capacity(JOBS as usize);
    for number in 0..times {
        if number % JOBS == 0 {
            taken.clear();
            taken.extend(fleet.snapshots());
        }
    }
    taken
}

fn snapshot(times: u32) {
    black_box(snapshots(times.next_multiple_of(JOBS)));
}

fn restore(times: u32) {
    let taken = snapshots(JOBS);
    let text: Vec<_> = taken.iter().map(|job| serde_json::to_vec(job).expect("snapshots can be written")).collect();
    let mut fleet = fleet(backend());
    for number in 0..times {
        let text = &text[(number % JOBS) as usize];
        let snapshot = serde_json::from_slice(text).expect("what was written can be read");
        fleet.resume(snapshot, Timestamp::from_secs(1_700_000_100)).expect("it is whole");
    }
}
