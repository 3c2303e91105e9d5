//! `jobwatch plan`: when it will ask for one job and why, and what holds in the worst case.

mod forecast;
mod known;
mod looks;
mod picture;
mod table;

use std::io::{self, Write};
use std::time::Duration;

use jobwatch::learn::{HistoryKey, Plan, Since};
use jobwatch::{FirstLook, HintRule, Policy, PolicyBuilder, Schedule, Spacing};
use serde::Serialize;

use crate::args::PlanArgs;
use crate::failure::Failure;
use crate::picture::{clock, save};
use crate::target::Target;
use forecast::{AtLook, Distribution, Forecast};
use looks::{Known, Look, MOST, Planned, Rule, looks};

/// All that is told, however it is told.
#[derive(Debug)]
struct Reckoned {
    policy: Policy,
    /// The schedule's name.
    schedule: String,
    hints: HintRule,
    /// What is known, in words.
    source: String,
    /// The kind of job, where a history is kept.
    key: Option<HistoryKey>,
    /// Jobs in the history.
    jobs: f64,
    distribution: Distribution,
    forecast: Forecast,
    looks: Vec<Look>,
}

pub(crate) fn plan(args: &PlanArgs) -> Result<u8, Failure> {
    if let Some(problem) = args.policy.contradiction() {
        return Err(Failure::usage(problem));
    }
    let target = args.api.as_deref().map(Target::named).transpose()?;
    let reckoned = reckon(args, target.as_ref())?;
    if let Some(path) = &args.svg {
        save(path, &picture::picture(&reckoned)?)?;
    }
    let mut out = io::stdout().lock();
    if args.json {
        serde_json::to_writer(&mut out, &reckoned.line()).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        reckoned.tell(&mut out)?;
    }
    out.flush()?;
    Ok(0)
}

fn reckon(args: &PlanArgs, target: Option<&Target>) -> Result<Reckoned, Failure> {
    let defaults = target.map_or_else(default_policy, |target| target.dialect.policy());
    let first = if args.created { defaults.with_first_look(FirstLook::BySchedule) } else { defaults };
    let policy = args.policy.apply(first).map_err(Failure::usage)?;
    let source = known::known(args, target)?;
    let schedule = match policy.spacing() {
        Spacing::Learned => Planned::Learned(Plan::for_policy(&source.history, &policy, 1.0)),
        _ => Planned::Policy,
    };
    let distribution = Distribution::new(source.history.seen_density());
    let forecast = Forecast::draw(&distribution, &policy, &schedule, MOST);
    let jobs = source.history.jobs();
    let looks = looks(&policy, &schedule, &Known { jobs, distribution: &distribution, forecast: &forecast });
    Ok(Reckoned {
        schedule: args.policy.schedule_name(policy.spacing()),
        policy,
        hints: schedule.hint_rule(),
        source: source.words,
        key: source.key,
        jobs,
        distribution,
        forecast,
        looks,
    })
}

/// Where no backend is named, as for one without defaults of its own.
fn default_policy() -> PolicyBuilder {
    Policy::builder().with_spacing(Spacing::Learned)
}

#[derive(Serialize)]
struct PlanLine<'a> {
    v: u8,
    r#type: &'static str,
    schedule: &'a str,
    history_jobs: f64,
    history: Option<Kind<'a>>,
    request_cost_s: f64,
    expected_requests: f64,
    expected_delay_s: Option<f64>,
    expected_cost_s: Option<f64>,
    unfinished_share: Option<f64>,
    bounds: BoundsPart,
    looks_cut: bool,
    looks: Vec<LookPart>,
}

/// Whose history it is.
#[derive(Serialize)]
struct Kind<'a> {
    dialect: &'a str,
    origin: &'a str,
    class: &'a str,
    since: Since,
}

#[derive(Serialize)]
struct BoundsPart {
    max_looks: Option<u32>,
    schedule_looks: Option<usize>,
    min_gap_s: f64,
    max_gap_s: Option<f64>,
    max_gap_hinted_s: Option<f64>,
    deadline_s: Option<f64>,
    max_wait_s: Option<f64>,
    worst_delay_s: f64,
}

#[derive(Serialize)]
struct LookPart {
    look: usize,
    age_from_s: f64,
    age_to_s: f64,
    gap_from_s: f64,
    gap_to_s: f64,
    rule: Rule,
    why: &'static str,
    ended_share: f64,
    found_share: f64,
    delay_s: Option<f64>,
}

impl Reckoned {
    /// The longest gap before any look, if nothing goes wrong and the server asks for nothing: a job may end right after
    /// the look before.
    fn worst_delay(&self) -> Duration {
        self.looks.iter().map(|look| look.gap.1).max().unwrap_or_default()
    }

    /// Whether there are more looks than are told.
    fn is_cut(&self) -> bool {
        self.looks.last().is_some_and(|last| !matches!(last.rule, Rule::Deadline | Rule::LastPoll))
    }

    fn line(&self) -> PlanLine<'_> {
        let bounds = self.policy.bounds();
        let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
        let (cost, delay) = (self.policy.request_cost().as_secs_f64(), self.forecast.delay());
        let part = |look: &Look| {
            // No wait that was drawn got so far.
            let beyond = AtLook { ended: self.forecast.looks.last().map_or(0.0, |at| at.ended), ..AtLook::default() };
            let at = self.forecast.looks.get(look.number - 1).copied().unwrap_or(beyond);
            LookPart {
                look: look.number,
                age_from_s: look.from.as_secs_f64(),
                age_to_s: look.to.as_secs_f64(),
                gap_from_s: look.gap.0.as_secs_f64(),
                gap_to_s: look.gap.1.as_secs_f64(),
                rule: look.rule,
                why: look.rule.words(),
                ended_share: at.ended,
                found_share: at.found,
                delay_s: (at.found > 0.0).then(|| at.delay / at.found),
            }
        };
        PlanLine {
            v: 1,
            r#type: "plan",
            schedule: &self.schedule,
            history_jobs: self.jobs,
            history: self.key.as_ref().map(|key| Kind {
                dialect: &key.dialect,
                origin: &key.origin,
                class: &key.class,
                since: key.since,
            }),
            request_cost_s: cost,
            expected_requests: self.forecast.requests,
            expected_delay_s: delay,
            expected_cost_s: delay.map(|delay| delay + cost * self.forecast.requests),
            unfinished_share: Some(self.forecast.unfinished).filter(|_| !self.is_cut()),
            bounds: BoundsPart {
                max_looks: bounds.max_looks,
                schedule_looks: self.looks.last().filter(|_| !self.is_cut()).map(|last| last.number),
                min_gap_s: bounds.min_gap.as_secs_f64(),
                max_gap_s: seconds(self.policy.max_delay()),
                max_gap_hinted_s: seconds(bounds.max_gap),
                deadline_s: seconds(self.policy.total_timeout()),
                max_wait_s: seconds(bounds.max_wait),
                worst_delay_s: self.worst_delay().as_secs_f64(),
            },
            looks_cut: self.is_cut(),
            looks: self.looks.iter().map(part).collect(),
        }
    }

    /// For people.
    fn tell(&self, out: &mut impl Write) -> io::Result<()> {
        let told = |time: Duration| humantime::format_duration(time).to_string().replace(' ', "");
        writeln!(out, "schedule: {}\njobs: {}\n\n{}", self.schedule, self.source, table::table(self))?;
        if self.is_cut() {
            writeln!(out, " ... and so on; only the first {MOST} looks are told, and counted here:")?;
        }
        let cost = self.policy.request_cost();
        if let Some(delay) = self.forecast.delay() {
            let requests = self.forecast.requests;
            let sum = clock(delay + requests * cost.as_secs_f64());
            let late = clock(delay);
            writeln!(out, "\nexpected: {requests:.2} requests a job, its end noticed {late} late in the mean")?;
            writeln!(out, "cost: {sum}, with {} for each request", told(cost))?;
        }
        if self.forecast.unfinished > 1e-3 && !self.is_cut() {
            let share = table::share(self.forecast.unfinished);
            writeln!(out, "{share} of the jobs are unfinished when the wait is over; a longer --timeout finds them")?;
        }
        self.tell_bounds(out)
    }

    fn tell_bounds(&self, out: &mut impl Write) -> io::Result<()> {
        let bounds = self.policy.bounds();
        write!(
            out,
            "\nat the worst, where no request fails: noticed {} late",
            clock(self.worst_delay().as_secs_f64())
        )?;
        if let Some(last) = self.looks.last().filter(|_| !self.is_cut()) {
            write!(out, "; {} looks", last.number)?;
        }
        if let Some(wait) = bounds.max_wait {
            write!(out, "; over after {}", clock(wait.as_secs_f64()))?;
        }
        if let Some(looks) = bounds.max_looks {
            write!(out, "\nwhatever the server asks for, and however often it is woken: {looks} looks")?;
        }
        let follows = match self.hints {
            HintRule::Floor => "makes a gap longer, never shorter",
            HintRule::Follow => "takes the place of a gap",
        };
        let gap =
            bounds.max_gap.map_or_else(String::new, |gap| format!(", to {} at the most", clock(gap.as_secs_f64())));
        writeln!(out, "\na Retry-After on an unfinished job {follows}{gap}")
    }
}
