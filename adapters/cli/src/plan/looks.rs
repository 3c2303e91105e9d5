//! The looks of one wait: between which ages each of them comes, and which rule sets it.

use std::time::Duration;

use jobwatch::learn::Plan;
use jobwatch::{FirstLook, GapRange, HintRule, Policy, PolicySchedule, Position, Schedule, Spacing};
use serde::Serialize;

use super::forecast::{Distribution, Forecast};

/// No wait is followed beyond so many looks. By then nearly every job has ended, or the shortest delay is a mistake.
pub(crate) const MOST: usize = 10_000;

/// An age between two at which a schedule is asked: so many of them tell its range.
const SAMPLES: u32 = 32;

/// The schedule that a policy names, with its plan where it is a learned one.
#[derive(Clone, Debug)]
pub(crate) enum Planned {
    Learned(Plan),
    Policy,
}

impl Schedule for Planned {
    fn gap(&self, policy: &Policy, at: &Position) -> GapRange {
        match self {
            Self::Learned(plan) => Schedule::gap(plan, policy, at),
            Self::Policy => PolicySchedule.gap(policy, at),
        }
    }

    fn hint_rule(&self) -> HintRule {
        match self {
            Self::Learned(plan) => plan.hint_rule(),
            Self::Policy => PolicySchedule.hint_rule(),
        }
    }
}

/// What sets the instant of a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Rule {
    AtOnce,
    InitialDelay,
    Growth,
    Constant,
    Step,
    NothingKnown,
    HardlyAnyEnds,
    ManyEnd,
    FewTakeSoLong,
    Weighed,
    MinDelay,
    MaxDelay,
    LastPoll,
    Deadline,
}

impl Rule {
    /// In words that a person understands.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::AtOnce => "at once: shows a wrong key or id",
            Self::InitialDelay => "--initial-delay is over",
            Self::Growth => "ever wider, by --factor",
            Self::Constant => "every --min-delay",
            Self::Step => "the step for this age",
            Self::NothingKnown => "little is known: ever wider",
            Self::HardlyAnyEnds => "skips when hardly any job ends",
            Self::ManyEnd => "many jobs end about now",
            Self::FewTakeSoLong => "few jobs take so long",
            Self::Weighed => "delay weighed against requests",
            Self::MinDelay => "as soon as --min-delay allows",
            Self::MaxDelay => "as late as --max-delay allows",
            Self::LastPoll => "the last of --max-polls",
            Self::Deadline => "the final look, at --timeout",
        }
    }
}

/// One look of a wait, if nothing goes wrong and the server asks for nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Look {
    /// From 1.
    pub(crate) number: usize,
    /// The job's age at the earliest, and at the latest.
    pub(crate) from: Duration,
    pub(crate) to: Duration,
    /// The gap before it, shortest and longest.
    pub(crate) gap: (Duration, Duration),
    pub(crate) rule: Rule,
}

/// Every look that the longest of all waits makes.
pub(crate) fn looks(policy: &Policy, schedule: &Planned, known: &Known<'_>) -> Vec<Look> {
    let mut walk = Walk { policy, schedule, known, previous: None, gaps: 0 };
    let mut looks = vec![walk.first()];
    let most = policy.max_polls().map_or(MOST, |polls| MOST.min(polls as usize));
    while let Some(last) = looks.last()
        && looks.len() < most
        && !matches!(last.rule, Rule::Deadline | Rule::LastPoll)
    {
        looks.push(walk.next(last));
    }
    if let Some(last) = looks.last_mut()
        && policy.max_polls().is_some_and(|polls| last.number == polls as usize && last.rule != Rule::Deadline)
    {
        last.rule = Rule::LastPoll;
    }
    looks
}

/// What the reasons are told by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known<'a> {
    /// Jobs in the history.
    pub(crate) jobs: f64,
    pub(crate) distribution: &'a Distribution,
    pub(crate) forecast: &'a Forecast,
}

struct Walk<'a> {
    policy: &'a Policy,
    schedule: &'a Planned,
    known: &'a Known<'a>,
    /// The gap before, shortest and longest, once the schedule was asked for one.
    previous: Option<(Duration, Duration)>,
    gaps: u32,
}

impl Walk<'_> {
    fn first(&mut self) -> Look {
        let zero = Duration::ZERO;
        match self.policy.first_look() {
            FirstLook::BySchedule => {
                let unborn = Look { number: 0, from: zero, to: zero, gap: (zero, zero), rule: Rule::AtOnce };
                self.next(&unborn)
            }
            FirstLook::After(delay) => {
                let to = delay.saturating_add((delay / 10).min(MOST_INITIAL_JITTER));
                self.cut(Look { number: 1, from: delay, to, gap: (delay, to), rule: Rule::InitialDelay }, (zero, zero))
            }
            _ => Look { number: 1, from: zero, to: zero, gap: (zero, zero), rule: Rule::AtOnce },
        }
    }

    fn next(&mut self, last: &Look) -> Look {
        let (mut from, mut to) = (Duration::MAX, Duration::ZERO);
        let (mut shortest, mut longest) = (Duration::MAX, Duration::ZERO);
        for age in self.samples(last) {
            for (_, gap) in self.ranges(last.number, age) {
                from = from.min(age.saturating_add(gap.lo()));
                to = to.max(age.saturating_add(gap.hi()));
                (shortest, longest) = (shortest.min(gap.lo()), longest.max(gap.hi()));
            }
        }
        let rule = self.rule(last);
        (self.previous, self.gaps) = (Some((shortest, longest)), self.gaps.saturating_add(1));
        self.cut(Look { number: last.number + 1, from, to, gap: (shortest, longest), rule }, (last.from, last.to))
    }

    /// Ages at which this look may come: evenly, and on both sides of each edge of a step.
    fn samples(&self, last: &Look) -> Vec<Duration> {
        let width = last.to.saturating_sub(last.from);
        let mut ages = vec![last.from, last.to];
        if !width.is_zero() {
            ages.extend((1..SAMPLES).map(|sample| last.from.saturating_add(width / SAMPLES * sample)));
        }
        if let Spacing::Steps(steps) = self.policy.spacing() {
            let edges = steps.iter().flat_map(|(_, age)| [age.saturating_sub(Duration::from_nanos(1)), age]);
            ages.extend(edges.filter(|age| (last.from..=last.to).contains(age)));
        }
        ages
    }

    /// As it is before it is cut to the policy's bounds, and after.
    fn ranges(&self, looks: usize, age: Duration) -> impl Iterator<Item = (GapRange, GapRange)> {
        let looks = u32::try_from(looks).unwrap_or(u32::MAX);
        let previous = self.previous.map_or([None, None], |(lo, hi)| [Some(lo), Some(hi)]);
        let (min, max) = (self.policy.min_delay(), self.policy.max_delay().unwrap_or(Duration::MAX));
        previous.into_iter().map(move |previous| {
            let raw = self.schedule.gap(self.policy, &Position::new(age, looks, self.gaps, previous));
            (raw, GapRange::new(raw.lo().clamp(min, max), raw.hi().clamp(min, max)))
        })
    }

    /// Nothing comes after the deadline, at which the final look does; for it a gap is cut short.
    fn cut(&self, look: Look, last: (Duration, Duration)) -> Look {
        let Some(deadline) = self.policy.total_timeout() else { return look };
        let rule = if look.from >= deadline { Rule::Deadline } else { look.rule };
        let gap = (look.gap.0.min(deadline.saturating_sub(last.1)), look.gap.1.min(deadline.saturating_sub(last.0)));
        Look { from: look.from.min(deadline), to: look.to.min(deadline), gap, rule, ..look }
    }

    /// Which rule sets the gap after this look, at its usual age.
    fn rule(&self, last: &Look) -> Rule {
        let drawn = last.number.checked_sub(1).and_then(|index| self.known.forecast.looks.get(index));
        let age = match drawn {
            Some(look) => super::forecast::duration(look.age).clamp(last.from, last.to),
            None => last.from,
        };
        let Some((raw, gap)) = self.ranges(last.number, age).last() else { return Rule::Weighed };
        let (min, max) = (self.policy.min_delay(), self.policy.max_delay().unwrap_or(Duration::MAX));
        match (self.policy.spacing(), self.schedule) {
            (_, Planned::Learned(plan)) if plan.gap(age) >= max.mul_f64(1.0 - GRAIN) => Rule::MaxDelay,
            (_, Planned::Learned(plan)) if plan.gap(age) <= min.mul_f64(1.0 + GRAIN) => Rule::MinDelay,
            (_, Planned::Learned(plan)) => self.plan_rule(age, plan.gap(age)),
            (Spacing::Constant, _) => Rule::Constant,
            (Spacing::Steps(_), _) if raw.lo() > max => Rule::MaxDelay,
            (Spacing::Steps(_), _) if raw.hi() < min => Rule::MinDelay,
            (Spacing::Steps(_), _) => Rule::Step,
            _ if gap.hi() >= max => Rule::MaxDelay,
            _ if gap.hi() <= min => Rule::MinDelay,
            _ => Rule::Growth,
        }
    }

    /// Why a learned plan chose this gap at this age.
    fn plan_rule(&self, age: Duration, gap: Duration) -> Rule {
        let (age, gap, jobs) = (age.as_secs_f64(), gap.as_secs_f64(), self.known.distribution);
        let ended = jobs.ended(age);
        if self.known.jobs < 1.0 {
            return Rule::NothingKnown;
        }
        if ended > 1.0 - RARE {
            return Rule::FewTakeSoLong;
        }
        let share_within = |time: f64| (jobs.ended(age + time) - ended) / (1.0 - ended);
        if share_within(gap / 2.0) < RARE {
            Rule::HardlyAnyEnds
        } else if share_within(gap) > OFTEN && gap < age * SOON {
            Rule::ManyEnd
        } else {
            Rule::Weighed
        }
    }
}

/// An initial delay gets the upward jitter of hints: a tenth, at most this.
const MOST_INITIAL_JITTER: Duration = Duration::from_secs(1);

/// A plan's gaps are whole units of about a millisecond: a bound is met to this part.
const GRAIN: f64 = 5e-3;

/// A smaller share of the jobs is hardly any.
const RARE: f64 = 0.02;

/// A greater share of the jobs that are left, within a gap ...
const OFTEN: f64 = 0.1;

/// ... of less than this part of the age: many jobs end about now.
const SOON: f64 = 0.25;

#[cfg(test)]
mod tests {
    use jobwatch::learn::{History, Lesson};
    use jobwatch::{Jitter, PolicyBuilder, Steps};

    use super::*;

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Whatever is drawn by the poller that waits for real jobs lies where it was told.
    #[test]
    fn every_wait_keeps_to_what_is_told() {
        let mut history = History::new();
        for number in 0..100 {
            let end = secs(200 + number * 37 % 90);
            history.learn(&Lesson::ended(end, end));
        }
        let steps = Steps::new(&[(secs(7), secs(0)), (secs(90), secs(40)), (secs(20), secs(300))]).unwrap();
        for spacing in [Spacing::Learned, Spacing::default(), Spacing::Constant, Spacing::Steps(steps)] {
            for jitter in [None, Some(Jitter::Full), Some(Jitter::Decorrelated)] {
                for first in [FirstLook::AtOnce, FirstLook::BySchedule, FirstLook::After(secs(30))] {
                    let set = Policy::builder()
                        .with_spacing(spacing)
                        .with_first_look(first)
                        .with_total_timeout(secs(400))
                        .with_min_delay(secs(5));
                    let set = jitter.map_or(set.clone(), |jitter| set.with_jitter(jitter));
                    is_kept(&history, set);
                }
            }
        }
    }

    fn is_kept(history: &History, set: PolicyBuilder) {
        let policy = set.build().unwrap();
        let schedule = match policy.spacing() {
            Spacing::Learned => Planned::Learned(Plan::for_policy(history, &policy, 1.0)),
            _ => Planned::Policy,
        };
        let distribution = Distribution::new(history.seen_density());
        let forecast = Forecast::draw(&distribution, &policy, &schedule, MOST);
        let known = Known { jobs: history.jobs(), distribution: &distribution, forecast: &forecast };
        let looks = looks(&policy, &schedule, &known);
        assert_eq!(looks.last().map(|look| look.rule), Some(Rule::Deadline), "{policy:?}");
        for ages in &forecast.waits {
            assert!(ages.len() <= looks.len(), "{policy:?}: {} and {}", ages.len(), looks.len());
            // A plan is asked at some ages of a range, not at all of them: a few milliseconds may be missing.
            for (look, age) in looks.iter().zip(ages) {
                let (from, to) = (look.from.as_secs_f64(), look.to.as_secs_f64());
                assert!((from - 0.02..=to + 0.02).contains(age), "{policy:?}: {age} in {look:?}");
            }
        }
    }

    #[test]
    fn the_last_look_of_all_is_told_as_that() {
        let distribution = Distribution::new(History::new().seen_density());
        let told = |set: PolicyBuilder| {
            let policy = set.with_spacing(Spacing::Constant).with_min_delay(secs(10)).build().unwrap();
            let forecast = Forecast::draw(&distribution, &policy, &Planned::Policy, MOST);
            let known = Known { jobs: 0.0, distribution: &distribution, forecast: &forecast };
            looks(&policy, &Planned::Policy, &known).into_iter().map(|look| look.rule).collect::<Vec<_>>()
        };
        let few = Policy::builder().with_max_polls(3);
        assert_eq!(told(few), [Rule::AtOnce, Rule::Constant, Rule::LastPoll]);
        assert_eq!(told(Policy::builder().with_max_polls(1)), [Rule::LastPoll]);
        let short = Policy::builder().with_total_timeout(secs(15));
        assert_eq!(told(short), [Rule::AtOnce, Rule::Constant, Rule::Deadline]);
        let both = Policy::builder().with_total_timeout(secs(15)).with_max_polls(3);
        assert_eq!(told(both), [Rule::AtOnce, Rule::Constant, Rule::Deadline]);
    }
}
