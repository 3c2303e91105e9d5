//! How many changes a second reach the disk, with and without company, and how long a restart with very many unfinished
//! jobs takes.
//!
//! ```sh
//! cargo run --release -p jobwatch-sqlite --example figures [JOBS [DIRECTORY]]
//! ```
//!
//! The directory decides: a sync on a disk takes far longer than one in memory. The default is the current one.

use std::env;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use jobwatch::store::{BackendKey, Change, Kept, Standing, Store};
use jobwatch::{Backend, Dialect, Fleet, FleetAction, JobRef, JobSnapshot, Policy, Timestamp};
use jobwatch_sqlite::{Journal, Sqlite};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

/// Changes that are written one by one, and in company.
const ALONE: u32 = 1_000;
const TOGETHER: u32 = 100_000;

/// Changes that wait for their acknowledgement at once, as those of so many jobs would.
const WAITING: [usize; 4] = [1, 16, 256, 4_096];

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let jobs = arguments.next().map_or(Ok(1_000_000), |jobs| jobs.parse())?;
    let directory = tempfile::tempdir_in(arguments.next().unwrap_or_else(|| ".".to_owned()))?;
    let backend = Arc::new(Backend::new(Dialect::tracker(), Some("http://127.0.0.1:5000"))?);
    writes(directory.path(), &backend)?;
    restart(directory.path(), &backend, jobs)
}

fn writes(directory: &Path, backend: &Arc<Backend>) -> Result<(), Box<dyn Error>> {
    let key = BackendKey::of(backend);
    let mut store = Sqlite::open(directory.join("writes.state"))?;
    let snapshot = snapshot(backend)?;
    let start = Instant::now();
    for number in 0..ALONE {
        store.write(&key, &[added(&snapshot, number)?])?;
    }
    tell("changes, each in a transaction of its own", ALONE, start.elapsed());

    for (round, waiting) in (1_u32..).zip(WAITING) {
        let journal = Journal::start(store, key.clone())?;
        let changes = if waiting == 1 { ALONE } else { TOGETHER };
        let (done, acknowledged) = channel();
        let start = Instant::now();
        for number in 0..changes {
            if number as usize >= waiting {
                acknowledged.recv()?;
            }
            let done = done.clone();
            let change = added(&snapshot, round * 1_000_000 + number)?;
            journal.write(vec![change], move |written| {
                written.expect("there is room on the disk");
                let _ = done.send(());
            });
        }
        store = journal.close().ok_or("the journal panicked")?;
        tell(&format!("changes through the journal, {waiting} of them waiting at once"), changes, start.elapsed());
    }
    Ok(())
}

fn restart(directory: &Path, backend: &Arc<Backend>, jobs: u32) -> Result<(), Box<dyn Error>> {
    let key = BackendKey::of(backend);
    let path = directory.join("restart.state");
    let mut store = Sqlite::open(&path)?;
    let snapshot = snapshot(backend)?;
    let start = Instant::now();
    for from in (0..jobs).step_by(4_096) {
        let changes: Result<Vec<_>, _> =
            (from..jobs.min(from + 4_096)).map(|number| added(&snapshot, number)).collect();
        store.write(&key, &changes?)?;
    }
    tell("jobs added, 4096 in a transaction", jobs, start.elapsed());
    drop(store);
    println!("{:>12} bytes a job in the file", fs::metadata(&path)?.len() / u64::from(jobs.max(1)));

    let start = Instant::now();
    let mut store = Sqlite::open(&path)?;
    let opened = start.elapsed();
    let mut fleet = Fleet::new(Arc::clone(backend), Arc::new(Policy::default()), &mut ChaCha8Rng::seed_from_u64(1));
    let mut refused = 0;
    store.unfinished(&key, &mut |record| match record.standing {
        Standing::Open(Kept::Wait(snapshot)) => refused += u32::from(fleet.resume(snapshot.anew(), NOW).is_err()),
        Standing::Open(Kept::Job(job)) => drop(fleet.insert(job, NOW)),
        Standing::Ended { .. } => {}
    })?;
    let ready = start.elapsed();
    assert!(refused == 0 && fleet.len() == jobs as usize, "not every job is waited for");
    assert!(matches!(fleet.poll(NOW), FleetAction::Send { .. }), "the first look comes at once");
    println!("{:>12.3} s to open the file", opened.as_secs_f64());
    println!("{:>12.3} s until {jobs} unfinished jobs were in the fleet again", ready.as_secs_f64());
    println!("{:>12.3} s until the first request", start.elapsed().as_secs_f64());
    Ok(())
}

/// A wait after one look, as JSON.
fn snapshot(backend: &Arc<Backend>) -> Result<String, Box<dyn Error>> {
    let mut fleet = Fleet::new(Arc::clone(backend), Arc::new(Policy::default()), &mut ChaCha8Rng::seed_from_u64(1));
    let handle = fleet.insert(JobRef::new(id(u32::MAX))?.with_created_at(NOW), NOW);
    let FleetAction::Send { id, .. } = fleet.poll(NOW) else { return Err("there is no look".into()) };
    let answer = http::Response::builder().body(br#"{"result":"pending"}"#.to_vec())?;
    fleet.handle_response(NOW, id, &answer);
    Ok(serde_json::to_string(&fleet.snapshot(handle).ok_or("it waits")?)?)
}

fn added(snapshot: &str, number: u32) -> Result<Change, Box<dyn Error>> {
    let snapshot: Box<JobSnapshot> = serde_json::from_str(&snapshot.replace(&id(u32::MAX), &id(number)))?;
    Ok(Change::Added(Kept::Wait(snapshot)))
}

/// As long as a UUID.
fn id(number: u32) -> String {
    format!("{number:08x}-aaaa-4aaa-8aaa-{:012x}", number.reverse_bits())
}

fn tell(what: &str, count: u32, time: Duration) {
    println!("{:>12.0} {what}, per second", f64::from(count) / time.as_secs_f64());
}
