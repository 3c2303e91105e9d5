//! How long jobs take, as far as is known, and what a schedule comes to on such jobs.

use std::time::Duration;

use jobwatch::{Action, Observation, Policy, PollerState, Schedule, Timestamp};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// So many waits are drawn at the most: jitter makes each another.
const WAITS: usize = 1_000;

/// All of them together make about so many looks at the most.
const STEPS: usize = 100_000;

/// How durations are distributed: within a step evenly.
#[derive(Clone, Debug)]
pub(crate) struct Distribution {
    /// In seconds.
    ages: Vec<f64>,
    /// The share of jobs that take longer.
    survival: Vec<f64>,
    /// Of survival.
    integral: Vec<f64>,
}

impl Distribution {
    /// From steps: from and to in seconds, and the share of jobs in between.
    pub(crate) fn new(steps: impl Iterator<Item = (f64, f64, f64)>) -> Self {
        let (mut ages, mut survival, mut integral) = (vec![0.0], vec![1.0], vec![0.0]);
        let (mut left, mut sum, mut before) = (1.0_f64, 0.0, 0.0);
        for (_, to, share) in steps {
            let after = (left - share.max(0.0)).max(0.0);
            sum += f64::midpoint(left, after) * (to - before);
            (left, before) = (after, to);
            ages.push(to);
            survival.push(left);
            integral.push(sum);
        }
        Self { ages, survival, integral }
    }

    /// The share of jobs that have ended by this age.
    pub(crate) fn ended(&self, age: f64) -> f64 {
        1.0 - self.at(age).0
    }

    /// The age by which this share of the jobs has ended.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let left = 1.0 - share;
        let place = self.survival.partition_point(|survival| *survival > left).clamp(1, self.ages.len() - 1);
        let (above, below) = (self.survival[place - 1], self.survival[place]);
        let part = if above > below { ((above - left) / (above - below)).clamp(0.0, 1.0) } else { 1.0 };
        self.ages[place - 1] + (self.ages[place] - self.ages[place - 1]) * part
    }

    /// What the jobs that end between two looks add to the mean delay, in seconds.
    fn delay(&self, from: f64, to: f64) -> f64 {
        let ((alive, lived), (_, lives)) = (self.at(from), self.at(to));
        ((to - from) * alive - (lives - lived)).max(0.0)
    }

    /// Survival and its integral.
    fn at(&self, age: f64) -> (f64, f64) {
        let place = self.ages.partition_point(|begin| *begin <= age).saturating_sub(1);
        let (begin, alive, lived) = (self.ages[place], self.survival[place], self.integral[place]);
        let Some(end) = self.ages.get(place + 1) else { return (alive, lived + alive * (age - begin)) };
        let inside = (age - begin).max(0.0);
        let survival = alive + (self.survival[place + 1] - alive) * inside / (end - begin);
        (survival, lived + inside * f64::midpoint(alive, survival))
    }
}

/// What becomes of the jobs at one look, in the mean over the waits that were drawn.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AtLook {
    /// The mean age, in seconds, in the waits that get so far.
    pub(crate) age: f64,
    /// Nine in ten of these waits look within these ages.
    pub(crate) usual: (f64, f64),
    /// The part of the waits that get so far, where jobs never end.
    pub(crate) reached: f64,
    /// The share of all jobs that have ended by then.
    pub(crate) ended: f64,
    /// The share of all jobs that this look finds to have ended.
    pub(crate) found: f64,
    /// What they add to the mean delay of all jobs, in seconds.
    pub(crate) delay: f64,
}

/// What is to be expected of a schedule.
#[derive(Clone, Debug)]
pub(crate) struct Forecast {
    /// In the order of looks.
    pub(crate) looks: Vec<AtLook>,
    /// Each wait's ages at its looks, in seconds, to the last look before the limit.
    pub(crate) waits: Vec<Vec<f64>>,
    /// Looks for each job.
    pub(crate) requests: f64,
    /// The share of jobs that are unfinished when the wait is over.
    pub(crate) unfinished: f64,
}

impl Forecast {
    /// Draws waits for a job that never ends, by the poller that waits for real ones, and lets the jobs end in between.
    /// No wait is followed beyond so many looks.
    pub(crate) fn draw(distribution: &Distribution, policy: &Policy, schedule: &impl Schedule, most: usize) -> Self {
        let first = wait(policy, schedule, 0, most);
        let count = (STEPS / first.len().max(1)).clamp(4, WAITS);
        let mut waits = vec![first];
        waits.extend((1..count as u64).map(|seed| wait(policy, schedule, seed, most)));
        let longest = waits.iter().map(Vec::len).max().unwrap_or_default();
        let mut looks = vec![AtLook::default(); longest];
        let (mut requests, mut unfinished) = (0.0, 0.0);
        #[allow(clippy::cast_precision_loss)] // a thousand
        let part = 1.0 / count as f64;
        for ages in &waits {
            let mut before = 0.0;
            for (look, age) in looks.iter_mut().zip(ages) {
                let (ended_before, ended) =
                    (if before > 0.0 { distribution.ended(before) } else { 0.0 }, distribution.ended(*age));
                requests += part * (1.0 - ended_before);
                look.found += part * (ended - ended_before).max(0.0);
                look.delay += part * distribution.delay(before, *age);
                before = *age;
            }
            unfinished += part * (1.0 - distribution.ended(before));
            for (number, look) in looks.iter_mut().enumerate() {
                look.ended += part * distribution.ended(ages.get(number).copied().unwrap_or(before));
            }
        }
        for (number, look) in looks.iter_mut().enumerate() {
            let mut ages: Vec<f64> = waits.iter().filter_map(|ages| ages.get(number).copied()).collect();
            ages.sort_unstable_by(f64::total_cmp);
            #[allow(clippy::cast_precision_loss)] // a thousand
            let reached = part * ages.len() as f64;
            let aside = ages.len() / 20;
            look.usual = (ages[aside], ages[ages.len() - 1 - aside]);
            (look.reached, look.age) = (reached, mean(ages.into_iter()));
            // A thousand roundings add up.
            look.ended = look.ended.min(1.0);
        }
        Self { looks, waits, requests, unfinished: unfinished.min(1.0) }
    }

    /// The mean delay of the jobs that are found to have ended, in seconds; `None` where none is.
    pub(crate) fn delay(&self) -> Option<f64> {
        let (delay, found) = self.looks.iter().fold((0.0, 0.0), |sum, look| (sum.0 + look.delay, sum.1 + look.found));
        (found > 0.0).then(|| delay / found)
    }

    /// The mean delay of a job that ends at this age, in seconds; `None` where some waits are over by then.
    pub(crate) fn delay_at(&self, age: f64) -> Option<f64> {
        let next = |ages: &Vec<f64>| ages.get(ages.partition_point(|look| *look < age)).map(|look| look - age);
        let delays: Option<Vec<f64>> = self.waits.iter().map(next).collect();
        delays.map(|delays| mean(delays.into_iter()))
    }
}

#[allow(clippy::cast_precision_loss)] // a thousand
fn mean(numbers: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = numbers.fold((0.0, 0_usize), |(sum, count), number| (sum + number, count + 1));
    sum / count.max(1) as f64
}

/// The ages at which a job that never ends is looked at, in seconds.
fn wait(policy: &Policy, schedule: &impl Schedule, seed: u64, most: usize) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut now = Timestamp::UNIX_EPOCH;
    let mut state = PollerState::new(policy, schedule, now, &mut rng);
    let mut ages = Vec::new();
    while ages.len() < most {
        match state.poll(policy, now) {
            Action::Sleep { until, .. } => now = until,
            Action::Send(attempt) => {
                ages.push(now.saturating_since(Timestamp::UNIX_EPOCH).as_secs_f64());
                let unfinished = Observation::Running { hint: None };
                if state.handle_observation(policy, schedule, now, attempt.id, unfinished).is_err() {
                    break;
                }
            }
            Action::Done(_) | Action::TimedOut(_) => break,
        }
    }
    ages
}

/// Seconds as a duration; what is no duration is nothing.
pub(crate) fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::float_cmp)] // what can be reckoned without rounding
mod tests {
    use jobwatch::{FirstLook, PolicySchedule, Spacing};

    use super::*;

    /// From 20 to 40 s, evenly.
    fn even() -> Distribution {
        Distribution::new([(0.0, 20.0, 0.0), (20.0, 40.0, 1.0), (40.0, 100.0, 0.0)].into_iter())
    }

    #[test]
    fn jobs_end_evenly_within_a_step() {
        let even = even();
        assert_eq!([10.0, 20.0, 25.0, 40.0, 500.0].map(|age| even.ended(age)), [0.0, 0.0, 0.25, 1.0, 1.0]);
        assert_eq!([0.25, 0.5, 1.0].map(|share| even.quantile(share)), [25.0, 30.0, 40.0]);
        // A quarter of the jobs waits for two and a half seconds in the mean, and then for five more.
        assert!((even.delay(20.0, 25.0) - 0.25 * 2.5).abs() < 1e-9);
        assert!((even.delay(20.0, 30.0) - 0.5 * 5.0).abs() < 1e-9);
        assert_eq!(even.delay(40.0, 90.0), 0.0);
    }

    #[test]
    fn a_constant_schedule_comes_to_what_can_be_reckoned() {
        let secs = Duration::from_secs;
        let set = Policy::builder().with_spacing(Spacing::Constant).with_min_delay(secs(10));
        let policy = set.with_first_look(FirstLook::AtOnce).with_total_timeout(secs(35)).build().unwrap();
        let forecast = Forecast::draw(&even(), &policy, &PolicySchedule, 1_000);
        assert_eq!(forecast.waits[0], [0.0, 10.0, 20.0, 30.0, 35.0]);
        // All are looked at at 0, 10, 20 and 30; half of them again at 35, where a quarter is left.
        assert!((forecast.requests - 4.5).abs() < 1e-9, "{forecast:?}");
        assert!((forecast.unfinished - 0.25).abs() < 1e-9, "{forecast:?}");
        let delay = (0.5 * 5.0 + 0.25 * 2.5) / 0.75;
        assert!((forecast.delay().unwrap() - delay).abs() < 1e-9, "{forecast:?}");
        assert_eq!([3.0, 20.0, 31.0].map(|age| forecast.delay_at(age)), [Some(7.0), Some(0.0), Some(4.0)]);
        assert_eq!(forecast.delay_at(36.0), None);
    }

    /// Which must agree with what the plan says of itself.
    #[test]
    fn a_learned_plan_comes_to_its_own_forecast() {
        let mut history = jobwatch::learn::History::new();
        for number in 0..400_u64 {
            let end = Duration::from_millis(20_000 + number * 7_919 % 20_000);
            history.learn(&jobwatch::learn::Lesson::ended(end, end));
        }
        let set = Policy::builder().with_spacing(Spacing::Learned).with_first_look(FirstLook::BySchedule);
        let policy = set.build().unwrap();
        let plan = jobwatch::learn::Plan::for_policy(&history, &policy, 1.0);
        let forecast = Forecast::draw(&Distribution::new(history.seen_density()), &policy, &plan, 1_000);
        assert!((forecast.requests / plan.expected_requests() - 1.0).abs() < 0.05, "{plan:?} {}", forecast.requests);
        let delay = forecast.delay().unwrap();
        assert!((delay / plan.expected_delay() - 1.0).abs() < 0.1, "{} {delay}", plan.expected_delay());
    }
}
