//! Waits whose jobs come while they run: added by a tracker, or taken from an iterator little by little.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use jobwatch::{JobRef, Outcome, Policy, Spacing, Steps, TrackError};

use crate::kiln::{fired, firing, firings, heating, outcomes};
use crate::{Add, Driver, Server, Setup, Stop, kiln};

/// Jobs are added from another thread while others are waited for; the wait ends when nobody can add any more.
pub fn jobs_added_while_it_runs(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings/a", [heating(), heating(), fired()]);
    server.on("/firings/b", [fired()]);
    server.on("/firings/c", [heating(), fired()]);
    let client = driver.client(Setup::of(&server));
    let done = thread::scope(|scope| {
        let server = &server;
        let begin = &mut |add: Add| {
            scope.spawn(move || {
                add(firing("a")).expect("the wait is there");
                server.wait_until(|log| log.requests.iter().any(|request| request.target == "/firings/a"));
                add(firing("b")).expect("the wait is there");
                // The wait has nothing to do for a while, and goes on.
                server.wait_until(|log| log.answered == 4);
                add(firing("c")).expect("the wait is there");
            });
        };
        client.track(begin, &mut |_| true)
    });

    let succeeded = Outcome::Succeeded;
    assert_eq!(outcomes(&done), [("a", succeeded), ("b", succeeded), ("c", succeeded)]);
    assert_eq!(server.requests().len(), 6);
}

/// A tracker that is dropped at once ends a wait that never had a job.
pub fn nobody_adds_a_job(driver: &dyn Driver) {
    let server = Server::start();
    let client = driver.client(Setup::of(&server));
    assert!(client.track(&mut drop, &mut |_| true).is_empty());
    assert_eq!(server.log(|log| log.connections), 0);
}

/// A wait that was dropped takes no more jobs: they are given back.
pub fn jobs_added_too_late_come_back(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings/a", [fired()]);
    let client = driver.client(Setup::of(&server));
    let mut kept = None;
    let begin = &mut |add: Add| {
        add(firing("a")).expect("the wait is there");
        kept = Some(add);
    };
    let done = client.track(begin, &mut |_| false);
    assert_eq!(outcomes(&done), [("a", Outcome::Succeeded)]);

    let add = kept.expect("the story has kept it");
    assert_eq!(add(firing("b")).map_err(TrackError::into_job), Err(firing("b")));
    assert_eq!(server.requests().len(), 1);
}

/// Ids, and how many of them were taken.
fn counted(
    ids: impl Iterator<Item = usize> + Send + 'static,
) -> (Box<dyn Iterator<Item = JobRef> + Send>, Arc<AtomicUsize>) {
    let taken = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&taken);
    let jobs = ids.map(move |id| {
        counter.fetch_add(1, Ordering::Relaxed);
        firing(&id.to_string())
    });
    (Box::new(jobs), taken)
}

/// Twenty thousand ids are taken as they are needed; the first end is told with ten jobs under way at the most.
pub fn ends_are_told_while_jobs_are_fed(driver: &dyn Driver) {
    let server = Server::start();
    for id in 0..20_000 {
        server.on(format!("/firings/{id}"), [fired()]);
    }
    let client = driver.client(Setup::of(&server).max_in_flight(10));
    let (jobs, taken) = counted(0..20_000);
    let mut at_first_end = 0;
    let done = client.wait_all_from(jobs, &mut drop, &mut |_| {
        at_first_end = taken.load(Ordering::Relaxed);
        false
    });
    println!("{at_first_end} of 20000 jobs taken when the first end was told");
    assert_eq!((done.len(), done[0].outcome), (1, Outcome::Succeeded));
    assert!(server.log(|log| log.most_at_once) <= 10);
}

/// Of jobs without end, ends are told all the same.
pub fn ends_are_told_of_jobs_without_end(driver: &dyn Driver) {
    let server = Server::start();
    for id in 0..100 {
        server.on(format!("/firings/{id}"), [fired()]);
    }
    let client = driver.client(Setup::of(&server));
    let (jobs, _) = counted(0..);
    let mut ends = 0;
    let done = client.wait_all_from(jobs, &mut drop, &mut |_| {
        ends += 1;
        ends < 20
    });
    assert_eq!(done.len(), 20);
}

/// An id that an iterator gives twice is waited for and told once, however far apart the two are.
pub fn fed_twice_is_told_once(driver: &dyn Driver) {
    let server = Server::start();
    for id in 0..5 {
        server.on(format!("/firings/{id}"), [heating(), fired()]);
    }
    let client = driver.client(Setup::of(&server));
    let (jobs, taken) = counted((0..4_000).map(|n| n % 5));
    let done = client.wait_all_from(jobs, &mut drop, &mut |_| true);

    let told: HashSet<_> = done.iter().map(|done| done.job.id()).collect();
    assert_eq!((done.len(), told.len(), taken.load(Ordering::Relaxed)), (5, 5, 4_000));
    assert_eq!(server.requests().len(), 10);
}

/// A stop ends a wait that is still being fed: everything that was taken is told, once.
pub fn stop_while_jobs_are_fed(driver: &dyn Driver) {
    let server = Server::start();
    let client = driver.client(Setup::of(&server));
    let stop: Arc<Mutex<Option<Stop>>> = Arc::default();
    let stopper = Arc::clone(&stop);
    let (jobs, taken) = counted((0..20_000).inspect(move |id| {
        if *id == 5_000 {
            let stop = stopper.lock().expect("nobody panicked").take();
            stop.expect("it was handed over before")();
        }
    }));
    let mut begin = |handed| *stop.lock().expect("nobody panicked") = Some(handed);
    let done = client.wait_all_from(jobs, &mut begin, &mut |_| true);

    let told: HashSet<_> = done.iter().map(|done| done.job.id()).collect();
    let taken = taken.load(Ordering::Relaxed);
    assert!(taken > 5_000);
    assert_eq!((done.len(), told.len()), (taken, taken));
    // The server refuses what it does not know; hardly any was asked for.
    let stopped = done.iter().filter(|done| done.outcome == Outcome::Stopped).count();
    assert!(stopped >= taken - 200, "{stopped} of {taken}");
    assert!(server.requests().len() <= 200);
}

/// The tracker and the list of a wait are told apart by nothing: the same jobs have the same ends.
pub fn tracked_jobs_are_jobs_like_others(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings/a", [heating(), fired()]);
    server.on("/firings/b", [heating(), crate::kiln::state("cracked")]);
    let client = driver.client(Setup::of(&server));
    let begin = &mut |add: Add| firings(["a", "b"]).into_iter().for_each(|job| add(job).expect("the wait is there"));
    let done = client.track(begin, &mut |_| true);

    assert_eq!(outcomes(&done), [("a", Outcome::Succeeded), ("b", Outcome::Failed)]);
    let metrics = client.metrics();
    assert_eq!((metrics.requests, metrics.outcomes.total()), (4, 2));
}

/// Looks come at once and then hardly ever: what goes on in time was woken.
fn unhurried() -> Policy {
    let (seldom, patience) = (Duration::from_secs(3_000), Duration::from_secs(6_000));
    let policy =
        kiln::hurried().with_spacing(Spacing::Steps(Steps::new(&[(seldom, Duration::ZERO)]).expect("one step")));
    policy.with_max_delay(seldom).with_total_timeout(patience).build().expect("the policy is sound")
}

/// A webhook told to a tracker makes the next look come now, at the job that it names and at no other.
pub fn a_tracker_wakes_a_job_by_its_id(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings/a", [heating(), fired()]);
    server.on("/firings/b", [fired()]);
    let client = driver.client(Setup::of(&server).policy(unhurried()));
    let done = client.track_waking(vec![firing("b"), firing("a")], &|| {
        server.wait_until(|log| log.answered == 2);
        "a".to_owned()
    });
    assert_eq!(outcomes(&done), [("a", Outcome::Succeeded), ("b", Outcome::Succeeded)]);
    assert_eq!(server.requests().len(), 3);
}

/// An id that nobody waits for wakes nobody.
pub fn a_foreign_id_wakes_nobody(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings/a", [fired()]);
    let client = driver.client(Setup::of(&server).policy(unhurried()));
    let done = client.track_waking(vec![firing("a")], &|| "nobody".to_owned());
    assert_eq!(outcomes(&done), [("a", Outcome::Succeeded)]);
    assert_eq!(server.requests().len(), 1);
}

/// A job is woken by its handle as long as its wait has not ended.
pub fn a_handle_wakes_its_job(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings/a", [heating(), fired()]);
    let client = driver.client(Setup::of(&server).policy(unhurried()));
    assert_eq!(client.wait_waking(firing("a")).outcome, Outcome::Succeeded);
    assert_eq!(server.requests().len(), 2);
}
