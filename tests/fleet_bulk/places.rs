//! Who takes part in a shared request: those that are due, and those that may be asked for early.

use std::cell::RefCell;
use std::collections::HashMap;

use jobwatch::{EndReason, Outcome, Policy, Timestamp};
use proptest::prelude::*;

use crate::fleet_support::{Sent, World};
use crate::http_support::{Reply, at, job, millis, response, rng, secs};
use crate::oven::{Oven, backend, backend_for, patient, world};

/// Final looks are looks: they share, and so find room before their grace is over.
#[test]
fn regression_final_looks_share_requests() {
    let oven = Oven::default();
    // Nobody is asked for while the time runs out.
    let rare = patient().with_min_delay(secs(8)).with_max_delay(secs(8)).with_total_timeout(secs(30));
    let mut world = World::new(backend_for(100), rare).limits(2, None);
    world.insert(1_000);
    world.run(&mut |sent| {
        // Slow enough that a thousand of them, two at a time, would take longer than the grace.
        match oven.serve(sent, secs(30)) {
            Reply::Answer(_, response) => Reply::Answer(millis(if sent.bulk { 300 } else { 1 }), response),
            reply => reply,
        }
    });
    assert_eq!(world.ended(Outcome::Succeeded), 1_000);
    let finals = world.bulk().filter(|sent| sent.time() >= secs(30)).count();
    assert!((10..=20).contains(&finals), "{finals}");
}

/// A look of which there are few is not given away early.
#[test]
fn regression_counted_looks_are_not_spent_on_free_places() {
    let policy = patient().with_min_delay(secs(1)).with_max_delay(secs(60)).with_factor(10.0);
    let few = policy.clone().without_total_timeout().with_max_polls(6).build().unwrap();
    let (oven, mut world) = (Oven::default(), World::new(backend(), patient().with_total_timeout(secs(100))));
    world.insert(3);
    let class = world.fleet.add_class("few", few.into());
    let counted = world.fleet.insert_in(class, job("job-7"), world.clock);
    world.run(&mut |sent| oven.serve(sent, secs(400)));
    // 1, 10 and 60 seconds at the most between six looks, and not the one second of its neighbours.
    let done = &world.finished[&counted];
    assert_eq!((done.reason, world.naming("job-7")), (EndReason::PollsSpent, 6));
    assert!(done.elapsed >= secs(60), "{:?}", done.elapsed);
}

/// Beside six jobs, four that are looked at by themselves once a minute are in each list of ten.
fn fills_its_places_with_rare_ones(mut world: World) {
    let oven = Oven::default();
    let rare = patient().with_max_delay(secs(60)).with_factor(1_000.0).build().unwrap();
    let class = world.fleet.add_class("rare", rare.into());
    for n in 6..10 {
        world.fleet.insert_in(class, job(&format!("job-{n}")), world.clock);
    }
    world.run_until(at(secs(5)), &mut |sent| oven.serve(sent, secs(100)));
    assert!(world.sent.len() >= 4);
    assert!(world.sent.iter().all(|sent| sent.ids.len() == 10), "{:?}", world.sent);
}

/// Who is in the list already is not considered for its free places: they go to others, however far their own looks are.
#[test]
fn regression_free_places_were_lost_on_those_who_are_in_the_list() {
    fills_its_places_with_rare_ones(world(6));
}

/// The same for those who stood in line, and have a timer for their deadline, which comes before the others' own looks.
#[test]
fn regression_the_deadlines_of_those_in_the_list_took_its_free_places() {
    let mut world = World::new(backend(), patient().with_total_timeout(secs(30)));
    world.insert(6);
    fills_its_places_with_rare_ones(world);
}

/// Those that cannot share are not passed by one by one, over and over, by those that can.
#[test]
fn a_line_of_loners_is_not_searched_for_company_for_ever() {
    let mut world = world(0).limits(1, None);
    for n in 0..20_000 {
        world.insert_one(&format!("https://oven.example.com/v1/jobs/{n}"));
    }
    world.insert(40);
    let oven = Oven::default();
    world.run(&mut |sent| match oven.serve(sent, secs(0)) {
        Reply::Answer(_, response) => Reply::Answer(millis(1), response),
        reply => reply,
    });
    assert_eq!(world.ended(Outcome::Succeeded), 20_040);
}

/// Lists do not push those aside who are asked for alone, nor the other way round.
#[test]
fn nobody_starves_beside_lists() {
    let oven = Oven::default();
    let mut world = World::new(backend(), patient()).limits(1, None);
    world.insert(100);
    for n in 0..5 {
        world.insert_one(&format!("https://oven.example.com/v1/jobs/loner-{n}"));
    }
    world.run_until(at(secs(60)), &mut |sent| oven.serve(sent, secs(100)));
    let mut last = HashMap::new();
    for sent in &world.sent {
        for id in &sent.ids {
            let gap = sent.at.saturating_since(last.insert(id.clone(), sent.at).unwrap_or(at(secs(0))));
            // Its own gap, and one turn of the line: ten lists, five loners, a tenth of a second each.
            assert!(gap <= millis(1_100 + 1_600), "{id} waited for {gap:?}");
        }
    }
    assert_eq!(last.len(), 105);
}

/// Whose attempt ended before the list that asked for it was refused has nothing to do with that any more: who stands in
/// line by then would have stood there twice, and gone before others the next time.
#[test]
fn regression_a_refused_list_put_those_in_line_again_who_had_left_it() {
    let mut world = World::new(backend(), patient()).limits(1, None);
    let hasty = patient().with_attempt_timeout(secs(2)).with_failure_backoff(millis(500), millis(500));
    let class = world.fleet.add_class("hasty", hasty.build().unwrap().into());
    world.insert_one("job-0");
    world.fleet.insert_in(class, job("job-1"), world.clock);
    let mut backend = |sent: &Sent| Reply::Answer(secs(5), response(if sent.bulk { 404 } else { 500 }, &[], ""));
    world.run_until(at(secs(3)), &mut backend);
    assert_eq!((world.bulk().count(), world.fleet.kept().in_line), (1, 1));
    // The other one goes on, alone.
    world.run_until(at(secs(6)), &mut backend);
    assert_eq!((world.alone("job-0").count(), world.sent.len(), world.fleet.kept().in_line), (1, 2, 1));
}

/// What the world outside knows of a job that is asked for.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// Since when it may be asked again, by its minimum delay or by the server's word.
    free_at: Timestamp,
    under_way: bool,
}

#[derive(Clone, Copy, Debug)]
enum Then {
    Unfinished,
    Hint(u8),
}

proptest! {
    #![proptest_config(crate::http_support::cases(60))]

    /// No place is given to a job whose minimum delay or hint forbids it, none stays free while one is allowed, and none
    /// is more than there are.
    #[test]
    fn free_places_are_filled_with_those_that_may_be_asked(
        jobs in prop_oneof![1_usize..12, 1_usize..60],
        most in 2_u16..12,
        min in 200_u64..3_000,
        factor in 1.0_f64..4.0,
        answers in prop::collection::vec(prop_oneof![
            4 => Just(Then::Unfinished),
            1 => (0_u8..12).prop_map(Then::Hint),
        ], 1..20),
        seed in any::<u64>(),
    ) {
        let policy = Policy::builder().with_min_delay(millis(min)).with_max_delay(secs(20)).with_factor(factor);
        let fleet = jobwatch::Fleet::new(backend_for(most).into(), policy.build().unwrap().into(), &mut rng(seed));
        let mut world = World::of(fleet).limits(1, None);
        world.insert(jobs);
        let oven = Oven::default();
        let fresh = Known { free_at: at(secs(0)), under_way: false };
        let known = RefCell::new((0..jobs).map(|n| (format!("job-{n}"), fresh)).collect::<HashMap<_, _>>());
        let mut asked = 0;
        world.run_until(at(secs(90)), &mut |sent: &Sent| {
            let mut known = known.borrow_mut();
            assert!(sent.ids.len() <= usize::from(most));
            // Nothing is under way: there is one place, and this request takes it.
            known.values_mut().for_each(|job| job.under_way = false);
            for id in &sent.ids {
                let job = known.get_mut(id).unwrap();
                assert!(sent.at >= job.free_at, "{id} is asked for too early");
                job.under_way = true;
            }
            let allowed = known.values().filter(|job| !job.under_way && job.free_at <= sent.at).count();
            // Twice as many as there are free places are considered, those first whose own looks come first: all of them,
            // even if everybody who is asked for was due and took no free place.
            let all = jobs + sent.ids.len() <= 2 * usize::from(most);
            assert!(!all || sent.ids.len() == usize::from(most) || allowed == 0, "{allowed} could have come along");
            let then = answers[asked % answers.len()];
            asked += 1;
            let Reply::Answer(after, mut response) = oven.serve(sent, secs(1_000)) else { panic!() };
            let mut wait = millis(min);
            if let Then::Hint(seconds) = then {
                response.headers_mut().insert("retry-after", seconds.to_string().parse().unwrap());
                wait = secs(seconds.into()).max(wait);
            }
            let free_at = sent.at.saturating_add(after).saturating_add(wait);
            for id in &sent.ids {
                known.insert(id.clone(), Known { free_at, under_way: true });
            }
            Reply::Answer(after, response)
        });
        prop_assert!(asked > 3);
    }
}
