//! Requests that ask for many jobs at once, against a backend that does with them whatever one can do.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used)] // in shared functions too

mod fleet_support;
mod http_support;

#[path = "fleet_bulk/arbitrary.rs"]
mod arbitrary;
#[path = "fleet_bulk/details.rs"]
mod details;
#[path = "fleet_bulk/oven.rs"]
mod oven;
#[path = "fleet_bulk/places.rs"]
mod places;
#[path = "fleet_bulk/whole.rs"]
mod whole;

use core::time::Duration;
use std::collections::HashSet;

use fleet_support::World;
use http_support::{Reply, at, millis, secs};
use jobwatch::{EndReason, LookError, Outcome};
use oven::{BURNT, Oven, answer, backend, list, patient, world};

mod entries {
    use super::*;

    #[test]
    fn a_hundred_and_twenty_jobs_take_twelve_requests_a_round() {
        let (oven, mut world) = (Oven::default(), world(120));
        let rounds = 5;
        world.run(&mut |sent| oven.serve(sent, secs(rounds)));
        assert_eq!(world.ended(Outcome::Succeeded), 120);
        let bulk = world.bulk().count() as u64;
        assert!(bulk <= 12 * (rounds + 2), "{bulk}");
        assert!(world.bulk().all(|sent| sent.ids.len() <= 10));
        assert_eq!(world.sent.iter().filter(|sent| !sent.bulk).count(), 120, "one detail for each");
        for done in world.finished.values() {
            assert_eq!(done.result.as_ref().unwrap(), &format!("cake of {}", done.job.id()));
        }
    }

    #[test]
    fn order_strangers_and_gaps_do_not_matter() {
        let (oven, mut world) = (Oven::default(), world(30));
        world.run(&mut |sent| {
            if !sent.bulk {
                return oven.serve(sent, secs(4));
            }
            let mut entries = oven.entries(sent, secs(4));
            entries.reverse();
            entries.rotate_left(sent.ids.len() / 3);
            let mut items: Vec<String> =
                entries.iter().map(|(id, word)| format!(r#"{{"id":"{id}","state":"{word}"}}"#)).collect();
            items.insert(1, r#"{"id":"stranger","state":"baked"}"#.into());
            items.insert(2, r#"{"id":null,"state":"burnt"}"#.into());
            items.insert(0, r#"{"state":"burnt"}"#.into());
            items.push(r#"{"id":{},"state":"burnt"}"#.into());
            items.push("17".into());
            // Of two that contradict each other neither counts.
            items.insert(0, format!(r#"{{"id":"{}","state":"burnt"}}"#, sent.ids[0]));
            answer(200, &[], &format!(r#"{{"jobs":[{}]}}"#, items.join(",")))
        });
        assert_eq!(world.ended(Outcome::Succeeded), 30);
    }

    #[test]
    fn what_is_said_twice_counts() {
        let (oven, mut world) = (Oven::default(), world(30));
        world.run(&mut |sent| {
            if !sent.bulk {
                return oven.serve(sent, secs(4));
            }
            let entries = oven.entries(sent, secs(4));
            let items = entries.iter().map(|(id, word)| format!(r#"{{"id":"{id}","state":"{word}"}}"#));
            let items = items.collect::<Vec<_>>().join(",");
            answer(200, &[], &format!(r#"{{"jobs":[{items},{items}]}}"#))
        });
        assert_eq!(world.ended(Outcome::Succeeded), 30);
        assert_eq!(world.sent.iter().filter(|sent| !sent.bulk).count(), 30, "one detail for each");
    }

    #[test]
    fn an_unknown_word_in_a_list_can_be_refused() {
        let gave_up = |backend| {
            let mut world = World::new(backend, patient().with_max_consecutive_failures(3));
            world.insert(2);
            world.run_until(at(secs(60)), &mut |sent| {
                let entries: Vec<_> = sent.ids.iter().map(|id| (id.clone(), "proving")).collect();
                list(&entries)
            });
            world.ended(Outcome::GaveUp)
        };
        assert_eq!((gave_up(backend()), gave_up(oven::backend_that_refuses_unknown_words())), (0, 2));
    }

    #[test]
    fn left_out_once_is_no_news_and_twice_is_a_look_alone() {
        for times in [1, 2, 3] {
            let (oven, mut world) = (Oven::default(), world(8));
            let mut left_out = 0;
            world.run(&mut |sent| {
                let mut entries = oven.entries(sent, secs(20));
                if sent.bulk && sent.time() > secs(5) && left_out < times {
                    left_out += 1;
                    entries.retain(|(id, _)| id != "job-3");
                }
                if sent.bulk { list(&entries) } else { oven.serve(sent, secs(20)) }
            });
            assert_eq!(world.ended(Outcome::Succeeded), 8);
            // The detail at the end, and whatever was needed before.
            assert_eq!(world.alone("job-3").count(), times, "left out {times} times");
            assert_eq!(world.alone("job-4").count(), 1);
            assert_eq!(world.fleet.stats().failed_requests, 0);
        }
    }

    /// An entry without a state is as good as none.
    #[test]
    fn one_that_is_never_told_of_is_found_all_the_same() {
        for blank in ["", r#","state":null"#, r#","state":[]"#] {
            let (oven, mut world) = (Oven::default(), world(5));
            world.run(&mut |sent| {
                if !sent.bulk {
                    return oven.serve(sent, secs(6));
                }
                let others = oven.entries(sent, secs(6)).into_iter().filter(|(id, _)| id != "job-3");
                let mut items: Vec<_> =
                    others.map(|(id, word)| format!(r#"{{"id":"{id}","state":"{word}"}}"#)).collect();
                items.push(format!(r#"{{"id":"job-3"{blank}}}"#));
                answer(200, &[], &format!(r#"{{"jobs":[{}]}}"#, items.join(",")))
            });
            assert_eq!(world.ended(Outcome::Succeeded), 5);
        }
    }

    /// Nobody but the backend itself says that a job is lost: three times, over 15 seconds.
    #[test]
    fn denied_three_times_is_lost() {
        let (oven, mut world) = (Oven::default(), world(6));
        let mut denials = Vec::new();
        world.run(&mut |sent| {
            if sent.ids == ["job-2"] {
                denials.push(sent.time());
                return answer(404, &[], "");
            }
            let mut entries = oven.entries(sent, secs(40));
            for (id, word) in entries.iter_mut().filter(|(id, _)| id == "job-2") {
                assert_eq!(id, "job-2");
                *word = "unknown";
                denials.push(sent.time());
            }
            if sent.bulk { list(&entries) } else { oven.serve(sent, secs(40)) }
        });
        assert_eq!((world.ended(Outcome::Lost), world.ended(Outcome::Succeeded)), (1, 5));
        assert!(denials.len() >= 3);
        let took = denials.last().unwrap().saturating_sub(denials[0]);
        assert!(took >= secs(15) && took < secs(20), "{took:?}");
        let lost = world.finished.values().find(|done| done.outcome == Outcome::Lost).unwrap();
        assert_eq!(lost.reason, EndReason::DeniedRepeatedly);
    }

    /// To be left out says nothing; it does not make a lost job a known one again.
    #[test]
    fn regression_left_out_in_between_the_denials_of_a_job_count() {
        let (oven, mut world) = (Oven::default(), world(6));
        let mut looks = 0;
        world.run(&mut |sent| {
            if sent.ids == ["job-2"] {
                return answer(404, &[], "");
            }
            let mut entries = oven.entries(sent, secs(100));
            if sent.ids.iter().any(|id| id == "job-2") {
                looks += 1;
                entries.retain(|(id, _)| id != "job-2");
                if looks % 2 == 1 {
                    entries.push(("job-2".into(), "unknown"));
                }
            }
            if sent.bulk { list(&entries) } else { oven.serve(sent, secs(100)) }
        });
        let lost = world.finished.values().find(|done| done.job.id() == "job-2").unwrap();
        assert_eq!(lost.outcome, Outcome::Lost);
        assert!(lost.elapsed < secs(20), "{:?}", lost.elapsed);
    }

    #[test]
    fn the_same_id_twice_is_asked_for_once_and_told_twice() {
        let (oven, mut world) = (Oven::default(), world(0));
        for _ in 0..2 {
            world.insert(4);
        }
        world.run(&mut |sent| {
            let distinct: HashSet<_> = sent.ids.iter().collect();
            assert_eq!(distinct.len(), sent.ids.len(), "{:?}", sent.ids);
            oven.serve(sent, secs(5))
        });
        assert_eq!(world.ended(Outcome::Succeeded), 8);
        assert_eq!(world.sent.iter().filter(|sent| !sent.bulk).count(), 8, "details alone");
    }

    #[test]
    fn an_unknown_word_is_told_and_goes_on() {
        let (oven, mut world) = (Oven::default(), world(3));
        world.run(&mut |sent| {
            if sent.bulk && sent.time() < secs(3) {
                list(&oven.entries(sent, secs(9)).into_iter().map(|(id, _)| (id, "sulking")).collect::<Vec<_>>())
            } else {
                oven.serve(sent, secs(5))
            }
        });
        assert_eq!(world.ended(Outcome::Succeeded), 3);
        assert_eq!(world.changes.iter().filter(|(_, state)| state == "sulking").count(), 3);
    }
}

mod pages {
    use super::*;

    /// Three entries a page, under tokens that say where it begins; what else is asked must stay as it was.
    fn paged(oven: &Oven, sent: &fleet_support::Sent, ends: Duration) -> Reply {
        if !sent.bulk {
            return oven.serve(sent, ends);
        }
        let from: usize = sent.page().map_or(0, |page| page.parse().unwrap());
        let entries = oven.entries(sent, ends);
        let page = &entries[from.min(entries.len())..(from + 3).min(entries.len())];
        let next = (from + 3 < entries.len()).then(|| (from + 3).to_string());
        oven::page(page, next.as_deref())
    }

    #[test]
    fn regression_every_page_is_asked_for_with_the_same_ids() {
        let (oven, mut world) = (Oven::default(), world(10));
        world.run(&mut |sent| paged(&oven, sent, secs(6)));
        assert_eq!(world.ended(Outcome::Succeeded), 10);
        // One detail each, and hardly anybody who fell out of step with the others.
        assert!(world.sent.iter().filter(|sent| !sent.bulk).count() <= 10 + 3);
        let first: Vec<_> = world.sent.iter().take(4).map(|sent| (sent.ids.clone(), sent.page())).collect();
        for (n, (ids, page)) in first.iter().enumerate() {
            assert_eq!(*ids, first[0].0);
            assert_eq!(*page, (n > 0).then(|| (3 * n).to_string()));
        }
    }

    #[test]
    fn a_token_that_repeats_ends_it() {
        for tokens in [&["a"][..], &["a", "b"]] {
            let (oven, mut world) = (Oven::default(), world(10));
            let mut asked = 0;
            world.run(&mut |sent| {
                if !sent.bulk {
                    return oven.serve(sent, secs(4));
                }
                asked += 1;
                let entries = oven.entries(sent, secs(4));
                oven::page(&entries[..entries.len().min(4)], Some(tokens[asked % tokens.len()]))
            });
            assert_eq!(world.ended(Outcome::Succeeded), 10);
            assert!(world.bulk().count() < 200, "{}", world.bulk().count());
        }
    }

    #[test]
    fn pages_without_end_are_left_after_twenty() {
        let (oven, mut world) = (Oven::default(), world(2));
        let (mut pages, mut looks) = (0, Vec::new());
        world.run(&mut |sent| {
            if !sent.bulk {
                return oven.serve(sent, secs(3));
            }
            match (sent.page(), looks.last_mut()) {
                (Some(_), Some(look)) => *look += 1,
                _ => looks.push(1),
            }
            pages += 1;
            oven::page(&[], Some(&pages.to_string()))
        });
        assert_eq!(world.ended(Outcome::Succeeded), 2);
        // The first page, and twenty further ones.
        assert!(!looks.is_empty() && looks.iter().all(|asked| *asked == 21), "{looks:?}");
    }

    /// Asked for the sake of one job, it is a page of a list of ten: shorter lists are tried, and not each job alone.
    #[test]
    fn regression_a_page_that_failed_for_one_job_ended_all_lists() {
        let (oven, mut world) = (Oven::default(), world(10));
        let mut is_first = true;
        world.run(&mut |sent| {
            let entries = oven.entries(sent, secs(5));
            match sent.page() {
                Some(_) => Reply::Error(millis(50), LookError::TooLarge),
                None if sent.bulk && std::mem::take(&mut is_first) => oven::page(&entries[..9], Some("rest")),
                None => oven.serve(sent, secs(5)),
            }
        });
        assert_eq!(world.ended(Outcome::Succeeded), 10);
        assert!(world.finished.values().filter(|done| done.failed_requests == 1).count() == 1);
        let later: Vec<_> = world.bulk().filter(|sent| sent.time() > secs(1)).map(|sent| sent.ids.len()).collect();
        assert!(later.contains(&10), "{later:?}");
        let alone = world.sent.iter().filter(|sent| !sent.bulk && sent.time() < secs(5)).count();
        assert!(alone <= 4, "{alone}, where one is out of step with the others");
    }

    #[test]
    fn who_leaves_between_two_pages_is_not_waited_for() {
        let (oven, mut world) = (Oven::default(), world(10));
        let mut backend = |sent: &fleet_support::Sent| paged(&oven, sent, secs(2));
        let until = world.poll(&mut backend).unwrap();
        world.pass_until(until);
        for (handle, _) in world.fleet.jobs().map(|(handle, job)| (handle, job.clone())).collect::<Vec<_>>() {
            world.fleet.stop(handle, world.clock);
        }
        world.run(&mut |_| panic!("nobody waits"));
        assert_eq!(world.ended(Outcome::Stopped), 10);
    }
}

mod members {
    use super::*;

    #[test]
    fn what_cannot_stand_in_a_list_is_asked_for_alone() {
        let (oven, mut world) = (Oven::default(), world(6));
        world.insert_one("a,b");
        world.insert_one("https://oven.example.com/v1/elsewhere/job-x");
        world.run(&mut |sent| {
            assert!(!sent.bulk || sent.ids.iter().all(|id| id.starts_with("job-") && id != "job-x"), "{:?}", sent.ids);
            oven.serve(sent, secs(4))
        });
        assert_eq!(world.ended(Outcome::Succeeded), 8);
    }

    #[test]
    fn who_is_stopped_or_removed_in_company_leaves_the_others_alone() {
        let (oven, mut world) = (Oven::default(), world(0));
        let handles = world.insert(8);
        let mut backend = |sent: &fleet_support::Sent| oven.serve(sent, secs(3));
        world.poll(&mut backend);
        assert_eq!(world.sent.len(), 1);
        assert!(world.fleet.stop(handles[2], world.clock));
        let snapshot = world.fleet.remove(handles[3]).unwrap();
        world.run(&mut backend);
        assert_eq!((world.ended(Outcome::Succeeded), world.ended(Outcome::Stopped)), (6, 1));
        assert_eq!(world.finished[&handles[2]].requests, 1);
        // It goes on elsewhere, where it was.
        let mut other = oven::world(0);
        other.clock = world.clock;
        let handle = other.fleet.resume(snapshot, other.clock).unwrap();
        other.run(&mut backend);
        assert_eq!((other.finished[&handle].outcome, other.finished[&handle].requests), (Outcome::Succeeded, 2));
    }

    /// The whole company leaves while the answer is on its way: a throttle in it is heard nevertheless.
    #[test]
    fn a_throttle_is_heard_though_its_company_has_gone() {
        let (oven, mut world) = (Oven::default(), world(0));
        let handles = world.insert(4);
        world.poll(&mut |_| answer(429, &[("retry-after", "30")], ""));
        for handle in handles {
            world.fleet.remove(handle).unwrap();
        }
        world.insert_one("job-9");
        world.clock = at(millis(100));
        world.arrive();
        world.run(&mut |sent| {
            assert!(sent.time() >= millis(30_100));
            oven.serve(sent, secs(1))
        });
        assert_eq!(world.ended(Outcome::Succeeded), 1);
    }

    /// Lest the company is to blame, whose looks fail twice in a row is asked for alone until one is answered well.
    #[test]
    fn who_fails_repeatedly_is_kept_apart_until_it_is_well() {
        let (oven, mut world) = (Oven::default(), world(5));
        world.fleet.note_backend_proven();
        let well = secs(20);
        world.run(&mut |sent| {
            if sent.time() >= well {
                return oven.serve(sent, secs(40));
            }
            if sent.ids == ["job-3"] {
                return answer(500, &[], "");
            }
            let mut entries = oven.entries(sent, secs(40));
            entries.retain(|(id, _)| id != "job-3");
            list(&entries)
        });
        assert_eq!(world.ended(Outcome::Succeeded), 5);
        let failed: Vec<_> = world.alone("job-3").map(fleet_support::Sent::time).filter(|time| *time < well).collect();
        assert!(failed.len() >= 4, "{failed:?}");
        let is_named = |sent: &&fleet_support::Sent| sent.ids.iter().any(|id| id == "job-3");
        let named: Vec<_> = world.bulk().filter(is_named).map(fleet_support::Sent::time).collect();
        assert!(named.iter().all(|time| *time <= failed[1] || *time > well), "{named:?}, alone at {failed:?}");
        assert!(named.iter().any(|time| *time > well), "in company again");
    }

    /// A list that comes when the time of a job's look was over, and another one asks for it, tells nothing of it.
    #[test]
    fn who_is_asked_for_anew_hears_nothing_of_the_list_before() {
        let policy = |timeout| patient().with_min_delay(secs(1)).with_attempt_timeout(timeout);
        let mut world = World::new(backend(), policy(secs(20)));
        let hasty = world.fleet.add_class("hasty", policy(secs(2)).build().unwrap().into());
        world.insert(3);
        let handle = world.fleet.insert_in(hasty, http_support::job("job-9"), world.clock);
        let oven = Oven::default();
        let mut number = 0;
        world.run_until(at(secs(8)), &mut |sent| {
            number += 1;
            let Reply::Answer(_, response) = (match number {
                1 => list(&[("job-0", "rising"), ("job-9", "flat")].map(|(id, word)| (id.to_owned(), word))),
                _ => oven.serve(sent, secs(60)),
            }) else {
                panic!()
            };
            // The first one comes while the next look at the hasty one is under way.
            Reply::Answer(if number == 1 { secs(4) } else { millis(1_900) }, response)
        });
        let words = |word: &str| world.changes.iter().filter(|(_, state)| state == word).count();
        assert_eq!((words("rising"), words("flat")), (1, 0));
        assert!(world.sent.iter().any(|sent| sent.ids == ["job-9"] && sent.time() < secs(4)));
        assert!(world.fleet.progress(handle).is_some());
    }

    #[test]
    fn a_wake_brings_the_others_along() {
        let policy = patient().with_min_delay(millis(100)).with_max_delay(secs(60)).with_factor(1_000.0);
        let (oven, mut world) = (Oven::default(), World::new(backend(), policy));
        let handles = world.insert(8);
        let mut backend = |sent: &fleet_support::Sent| oven.serve(sent, secs(1));
        world.run_until(at(secs(5)), &mut backend);
        let before = world.sent.len();
        assert!(world.fleet.wake(handles[5], world.clock));
        world.poll(&mut backend);
        assert_eq!((world.sent.len(), world.sent[before].ids.len()), (before + 1, 8));
        world.run(&mut backend);
        assert!(world.finished.values().all(|done| done.elapsed < secs(6)));
    }

    #[test]
    fn one_look_each_takes_a_request_for_ten() {
        let policy = oven::patient().build().unwrap().one_look().to_builder();
        let (oven, mut world) = (Oven::default(), World::new(backend(), policy));
        world.insert(35);
        world.run(&mut |sent| oven.serve(sent, secs(100)));
        assert_eq!((world.ended(Outcome::TimedOut), world.sent.len()), (35, 4));
        assert!(world.finished.values().all(|done| done.state.as_deref() == Some("baking") && done.requests == 1));
    }

    /// It is the only look: what it is left out of is no answer.
    #[test]
    fn regression_left_out_of_the_last_look_is_asked_for_alone() {
        let policy = patient().build().unwrap().one_look().to_builder();
        let timed = patient().with_total_timeout(secs(10));
        for (policy, ends) in [(policy, Duration::ZERO), (timed, secs(10))] {
            let (oven, mut world) = (Oven::default(), World::new(backend(), policy));
            world.insert(5);
            world.run(&mut |sent| {
                let mut entries = oven.entries(sent, ends);
                entries.retain(|(id, _)| id != "job-3" || sent.time() < ends);
                if sent.bulk { list(&entries) } else { oven.serve(sent, ends) }
            });
            assert_eq!(world.ended(Outcome::Succeeded), 5);
        }
    }

    /// The deadline's own instant is past it: there is no other look.
    #[test]
    fn left_out_at_the_very_deadline_is_asked_for_alone() {
        let policy = patient().with_min_delay(millis(9_500)).with_max_delay(millis(9_500)).with_total_timeout(secs(10));
        let (oven, mut world) = (Oven::default(), World::new(backend(), policy));
        world.insert(5);
        world.run(&mut |sent| {
            let mut entries = oven.entries(sent, secs(5));
            entries.retain(|(id, _)| !sent.bulk || id != "job-3" || sent.time() < secs(5));
            let reply = if sent.bulk { list(&entries) } else { oven.serve(sent, secs(5)) };
            let Reply::Answer(_, response) = reply else { panic!() };
            Reply::Answer(if sent.time() < secs(5) { Duration::ZERO } else { millis(500) }, response)
        });
        assert!(world.bulk().any(|sent| sent.time() == millis(9_500)));
        assert_eq!(world.ended(Outcome::Succeeded), 5);
    }

    #[test]
    fn counts_are_of_requests_here_and_of_askings_there() {
        let (oven, mut world) = (Oven::default(), world(0));
        let handles = world.insert(10);
        let mut number = 0;
        world.run(&mut |sent| {
            number += 1;
            match number {
                2 => answer(500, &[], ""),
                3 => answer(429, &[], ""),
                _ => oven.serve(sent, secs(12)),
            }
        });
        assert_eq!(world.ended(Outcome::Succeeded), 10);
        let stats = world.fleet.stats();
        assert_eq!((stats.failed_requests, stats.throttled_requests), (2, 1));
        for (n, handle) in handles.iter().enumerate() {
            let done = &world.finished[handle];
            assert_eq!(done.requests as usize, world.naming(&format!("job-{n}")));
            assert!(done.failed_requests >= 1 && done.failed_requests <= 2);
        }
    }

    /// A hint in a shared answer holds for each of its unfinished jobs, and is one hint.
    #[test]
    fn a_hint_is_for_all_and_counts_once() {
        let (oven, mut world) = (Oven::default(), world(10));
        world.run(&mut |sent| match sent.time() {
            time if time < secs(1) => {
                let Reply::Answer(after, mut response) = oven.serve(sent, secs(100)) else { panic!() };
                response.headers_mut().insert("retry-after", "20".parse().unwrap());
                Reply::Answer(after, response)
            }
            time => {
                assert!(time >= secs(20));
                oven.serve(sent, secs(20))
            }
        });
        assert_eq!((world.ended(Outcome::Succeeded), world.fleet.stats().hints), (10, 1));
    }

    /// A quota that a good answer calls exhausted concerns all, also where the answer is shared.
    #[test]
    fn regression_an_exhausted_quota_in_a_shared_answer_cools_the_lane() {
        let (oven, mut world) = (Oven::default(), world(25));
        let mut first = true;
        world.run(&mut |sent| {
            assert!(sent.time() < millis(100) || sent.time() >= millis(20_100), "asked without a quota");
            let Reply::Answer(after, mut response) = oven.serve(sent, secs(30)) else { panic!() };
            if std::mem::take(&mut first) {
                response.headers_mut().insert("ratelimit", "a;r=0;t=20".parse().unwrap());
            }
            Reply::Answer(after, response)
        });
        assert_eq!(world.ended(Outcome::Succeeded), 25);
    }

    #[test]
    fn every_end_is_its_own() {
        let (oven, mut world) = (Oven { words: vec!["baked", BURNT, "eaten"] }, world(0));
        let handles = world.insert(40);
        world.run(&mut |sent| oven.serve(sent, secs(3)));
        for (n, handle) in handles.iter().enumerate() {
            let expected = [Outcome::Succeeded, Outcome::Failed, Outcome::Cancelled][n % 3];
            assert_eq!(world.finished[handle].outcome, expected);
        }
    }
}
