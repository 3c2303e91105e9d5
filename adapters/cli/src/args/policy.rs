//! The policy's flags.
#![allow(clippy::doc_markdown)] // the doc comments are the program's help, which is no Markdown

use std::fmt;
use std::time::Duration;

use clap::{Args, ValueEnum};
use jobwatch::{FirstLook, Jitter, Policy, PolicyBuilder, PolicyError, Spacing, Steps};

/// The heading of these flags in the help.
pub(crate) const HEADING: &str = "Policy (durations are written 500ms, 30s, 5m, 1h30m)";

/// By which an exponential schedule grows unless `--factor` says otherwise.
const FACTOR: f64 = 1.5;

/// When to ask, and for how long. A flag given here wins over the dialect's default.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = HEADING)]
pub(crate) struct PolicyArgs {
    /// How looks are spaced: learned (by how long the jobs before took; `jobwatch plan` shows how), exponential (ever
    /// wider), constant (every --min-delay), or by the job's age as in steps:30s@0,60s@3m [default: learned]
    #[arg(long, value_name = "SCHEDULE", value_parser = parse_schedule)]
    schedule: Option<ScheduleArg>,
    /// The delay that you would accept to save one request: the learned schedule weighs the two by it [default: 2s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    request_cost: Option<Duration>,
    /// Wait this long before the first look [default: none]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    initial_delay: Option<Duration>,
    /// The shortest time from an answer to the next look [default: 1s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    min_delay: Option<Duration>,
    /// The longest time from an answer to the next look, unless the server asks for more [default: 60s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    max_delay: Option<Duration>,
    /// How fast the exponential schedule grows, at least 1; asks for that schedule where none is named [default: 1.5]
    #[arg(long, value_name = "NUMBER")]
    factor: Option<f64>,
    /// How much of a wait is left to chance [default: equal for exponential, a sixteenth of each wait for learned, none
    /// for the others]
    #[arg(long, value_name = "KIND", value_enum)]
    jitter: Option<JitterArg>,
    /// The time limit of each job's wait; at its end comes one final look [default: 60m]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    timeout: Option<Duration>,
    /// The time limit of one look [default: 20s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    attempt_timeout: Option<Duration>,
    /// Give a job up after so many failed looks in a row [default: 5 before the backend's first good answer, then 15
    /// minutes of them]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_failures: Option<u32>,
    /// The most looks at each job [default: no limit but time]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_polls: Option<u32>,
    /// The longest Retry-After that is followed in full [default: 15m]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    max_retry_after: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum ScheduleArg {
    Learned,
    Exponential,
    Constant,
    Steps(Steps),
}

impl fmt::Display for ScheduleArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps = match self {
            Self::Learned => return f.write_str("learned"),
            Self::Exponential => return f.write_str("exponential"),
            Self::Constant => return f.write_str("constant"),
            Self::Steps(steps) => steps,
        };
        let time = |time: Duration| humantime::format_duration(time).to_string().replace(' ', "");
        let steps: Vec<_> = steps.iter().map(|(gap, age)| format!("{}@{}", time(gap), time(age))).collect();
        write!(f, "steps:{}", steps.join(","))
    }
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum JitterArg {
    /// No chance at all
    None,
    /// Anything from the minimum delay to the whole wait
    Full,
    /// From half of the wait to the whole
    Equal,
    /// From the minimum delay to three times the previous wait
    Decorrelated,
}

impl PolicyArgs {
    /// No flag but this one.
    pub(crate) fn with_attempt_timeout(attempt_timeout: Option<Duration>) -> Self {
        Self { attempt_timeout, ..Self::default() }
    }

    /// No flags but these.
    pub(crate) fn with_timeouts(timeout: Duration, attempt_timeout: Option<Duration>) -> Self {
        Self { timeout: Some(timeout), attempt_timeout, ..Self::default() }
    }

    /// The dialect's policy with what was given instead of it.
    pub(crate) fn apply(&self, defaults: PolicyBuilder) -> Result<Policy, PolicyError> {
        let mut set = defaults;
        if let Some(schedule) = self.schedule {
            set = set.with_spacing(match schedule {
                ScheduleArg::Learned => Spacing::Learned,
                ScheduleArg::Exponential => Spacing::Exponential { factor: FACTOR },
                ScheduleArg::Constant => Spacing::Constant,
                ScheduleArg::Steps(steps) => Spacing::Steps(steps),
            });
        }
        if let Some(factor) = self.factor {
            set = set.with_factor(factor);
        }
        if let Some(cost) = self.request_cost {
            set = set.with_request_cost(cost);
        }
        if let Some(jitter) = self.jitter {
            set = set.with_jitter(match jitter {
                JitterArg::None => Jitter::None,
                JitterArg::Full => Jitter::Full,
                JitterArg::Equal => Jitter::Equal,
                JitterArg::Decorrelated => Jitter::Decorrelated,
            });
        }
        if let Some(delay) = self.initial_delay {
            set = set.with_first_look(FirstLook::After(delay));
        }
        set = self.apply_delays(set)?;
        if let Some(timeout) = self.timeout {
            set = set.with_total_timeout(timeout);
        }
        if let Some(timeout) = self.attempt_timeout {
            set = set.with_attempt_timeout(timeout);
        }
        if let Some(failures) = self.max_failures {
            set = set.with_max_consecutive_failures(failures);
        }
        if let Some(polls) = self.max_polls {
            set = set.with_max_polls(polls);
        }
        if let Some(longest) = self.max_retry_after {
            set = set.with_max_retry_after(longest);
        }
        set.build()
    }

    /// A bound that is given moves a default that would contradict it; two that are given must agree.
    fn apply_delays(&self, set: PolicyBuilder) -> Result<PolicyBuilder, PolicyError> {
        let defaults = set.clone().build()?;
        let (min, max) = (defaults.min_delay(), defaults.max_delay());
        let (min, max) = match (self.min_delay, self.max_delay) {
            (None, None) => (min, max),
            (Some(min), None) => (min, max.map(|max| max.max(min))),
            (None, Some(max)) => (min.min(max), Some(max)),
            (Some(min), Some(max)) => (min, Some(max)),
        };
        let set = set.with_min_delay(min);
        Ok(max.map_or(set.clone(), |max| set.with_max_delay(max)))
    }

    /// The flags that were given, as words of a command line.
    pub(crate) fn words(&self) -> Vec<String> {
        let time =
            |time: Option<Duration>| time.map(|time| humantime::format_duration(time).to_string().replace(' ', ""));
        let flags = [
            ("--schedule", self.schedule.map(|schedule| schedule.to_string())),
            ("--request-cost", time(self.request_cost)),
            ("--initial-delay", time(self.initial_delay)),
            ("--min-delay", time(self.min_delay)),
            ("--max-delay", time(self.max_delay)),
            ("--factor", self.factor.map(|factor| factor.to_string())),
            ("--jitter", self.jitter.and_then(|jitter| Some(jitter.to_possible_value()?.get_name().to_owned()))),
            ("--timeout", time(self.timeout)),
            ("--attempt-timeout", time(self.attempt_timeout)),
            ("--max-failures", self.max_failures.map(|failures| failures.to_string())),
            ("--max-polls", self.max_polls.map(|polls| polls.to_string())),
            ("--max-retry-after", time(self.max_retry_after)),
        ];
        flags.into_iter().filter_map(|(flag, value)| Some(format!("{flag} {}", value?))).collect()
    }

    /// The schedule in force, as it is written.
    pub(crate) fn schedule_name(&self, spacing: Spacing) -> String {
        let named = match spacing {
            Spacing::Learned => Some(ScheduleArg::Learned),
            Spacing::Exponential { .. } => Some(ScheduleArg::Exponential),
            Spacing::Constant => Some(ScheduleArg::Constant),
            Spacing::Steps(steps) => Some(ScheduleArg::Steps(steps)),
            // Of a later release.
            _ => self.schedule,
        };
        named.map_or_else(String::new, |named| named.to_string())
    }

    /// `--factor` speaks of the exponential schedule alone, and `--request-cost` of the learned one.
    pub(crate) fn contradiction(&self) -> Option<&'static str> {
        if self.factor.is_some() && !matches!(self.schedule, None | Some(ScheduleArg::Exponential)) {
            return Some("--factor has no effect on this --schedule; leave one of them out");
        }
        if self.request_cost.is_some() && !matches!(self.schedule, None | Some(ScheduleArg::Learned)) {
            return Some("--request-cost has no effect on this --schedule; leave one of them out");
        }
        if self.request_cost.is_some() && self.factor.is_some() {
            return Some(
                "--request-cost speaks of the learned schedule and --factor of the exponential one; leave one out",
            );
        }
        None
    }
}

/// `500ms`, `30s`, `1h30m`; a bare `0` too.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    humantime::parse_duration(text).map_err(|error| format!("{error}; write it as in 500ms, 30s or 1h30m"))
}

fn parse_schedule(text: &str) -> Result<ScheduleArg, String> {
    match text.split_once(':') {
        None if text == "learned" => Ok(ScheduleArg::Learned),
        None if text == "exponential" => Ok(ScheduleArg::Exponential),
        None if text == "constant" => Ok(ScheduleArg::Constant),
        Some(("steps", steps)) => parse_steps(steps).map(ScheduleArg::Steps),
        _ => Err("write learned, exponential, constant, or steps as in steps:30s@0,60s@3m".to_owned()),
    }
}

fn parse_steps(text: &str) -> Result<Steps, String> {
    let step = |step: &str| {
        let (gap, age) = step.split_once('@').ok_or_else(|| format!("write `{step}` as GAP@AGE, as in 30s@0"))?;
        Ok::<_, String>((parse_duration(gap)?, parse_duration(age)?))
    };
    let steps = text.split(',').map(step).collect::<Result<Vec<_>, _>>()?;
    Steps::new(&steps).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Command};

    #[test]
    fn a_bound_that_is_given_moves_a_default_in_its_way() {
        let policy = |min: Option<u64>, max: Option<u64>| {
            let args = PolicyArgs {
                min_delay: min.map(Duration::from_millis),
                max_delay: max.map(Duration::from_millis),
                ..PolicyArgs::default()
            };
            args.apply(Policy::builder()).map(|policy| (policy.min_delay(), policy.max_delay()))
        };
        let millis = Duration::from_millis;
        assert_eq!(policy(None, Some(200)), Ok((millis(200), Some(millis(200)))));
        assert_eq!(policy(Some(90_000), None), Ok((millis(90_000), Some(millis(90_000)))));
        assert!(matches!(policy(Some(2), Some(1)), Err(PolicyError::DelaysCrossed { .. })));
    }

    #[test]
    fn flags_are_told_as_they_are_read() {
        let line = "--schedule steps:30s@0s,1m@3m --request-cost 250ms --initial-delay 1m30s --min-delay 500ms --max-delay 2h --jitter full \
                    --timeout 1h --attempt-timeout 3s --max-failures 4 --max-polls 9 --max-retry-after 1day";
        let line = ["jobwatch", "wait", "--api", "tracker"].into_iter().chain(line.split_whitespace()).chain(["id"]);
        let Command::Wait(args) = Cli::try_parse_from(line.clone()).unwrap().command else { panic!("it is a wait") };
        let told = args.policy.words().join(" ");
        assert_eq!(told.split(' ').collect::<Vec<_>>(), line.skip(4).take(22).collect::<Vec<_>>());
    }

    #[test]
    fn a_flag_without_effect_is_a_contradiction() {
        let given = |schedule, factor: bool, cost: bool| {
            let request_cost = cost.then_some(Duration::from_secs(1));
            let args = PolicyArgs { schedule, request_cost, factor: factor.then_some(2.0), ..PolicyArgs::default() };
            args.contradiction()
        };
        for schedule in [None, Some(ScheduleArg::Learned)] {
            assert_eq!(given(schedule, false, true), None);
        }
        for schedule in [None, Some(ScheduleArg::Exponential)] {
            assert_eq!(given(schedule, true, false), None);
        }
        for schedule in [ScheduleArg::Exponential, ScheduleArg::Constant] {
            assert!(given(Some(schedule), false, true).unwrap().starts_with("--request-cost"));
        }
        for schedule in [ScheduleArg::Learned, ScheduleArg::Constant] {
            assert!(given(Some(schedule), true, false).unwrap().starts_with("--factor"));
        }
        assert!(given(None, true, true).is_some());
    }

    #[test]
    fn a_named_schedule_wins_over_the_default() {
        let spacing = |schedule: Option<ScheduleArg>, factor: Option<f64>, default: Spacing| {
            let args = PolicyArgs { schedule, factor, ..PolicyArgs::default() };
            args.apply(Policy::builder().with_spacing(default)).map(|policy| policy.spacing())
        };
        assert_eq!(spacing(None, None, Spacing::Learned), Ok(Spacing::Learned));
        assert_eq!(spacing(Some(ScheduleArg::Learned), None, Spacing::Constant), Ok(Spacing::Learned));
        let exponential = |factor| Ok(Spacing::Exponential { factor });
        assert_eq!(spacing(Some(ScheduleArg::Exponential), None, Spacing::Learned), exponential(1.5));
        assert_eq!(spacing(None, Some(2.0), Spacing::Learned), exponential(2.0));
        let cost = Duration::from_millis(70);
        let args = PolicyArgs { request_cost: Some(cost), ..PolicyArgs::default() };
        assert_eq!(args.apply(Policy::builder()).unwrap().request_cost(), cost);
    }

    #[test]
    fn schedules_are_read_as_documented() {
        for named in [ScheduleArg::Learned, ScheduleArg::Exponential, ScheduleArg::Constant] {
            assert_eq!(parse_schedule(&named.to_string()), Ok(named));
        }
        let guide = parse_schedule("steps:30s@0,60s@3m").unwrap();
        let secs = Duration::from_secs;
        let expected = Steps::new(&[(secs(30), secs(0)), (secs(60), secs(180))]).unwrap();
        assert_eq!(guide, ScheduleArg::Steps(expected));
        for wrong in
            ["", "linear", "steps", "steps:", "steps:30s", "steps:30s@1s", "steps:0s@0", "constant:5s", "Learned"]
        {
            assert!(parse_schedule(wrong).is_err(), "{wrong:?} was accepted");
        }
    }
}
