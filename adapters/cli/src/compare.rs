//! `jobwatch compare`: polling rules played on the same durations, in simulated time.

mod picture;

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, Table};
use jobwatch::play::{Exponential, Learned, Limit, Oracle, Peer, Played, Rule, play, play_limited};
use jobwatch::{Policy, Spacing};
use jobwatch_simulator::Durations;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::Serialize;

use crate::args::{CompareArgs, Rate};
use crate::failure::Failure;
use crate::picture::save;
use picture::{Curve, Point};

/// Rules by the names under which they are asked for, in the order in which they are told.
const NAMES: [&str; 11] = [
    "tracker",
    "heygen-cli",
    "heygen-guide",
    "aws-waiter",
    "google-lro",
    "azure-lro",
    "openai-sdk",
    "k8s",
    "exponential",
    "learned",
    "oracle",
];

/// Jobs of a distribution; a file tells its own.
const JOBS: usize = 1_000;

/// Behind a limit a minute of arrivals shows nothing but the start: so many seconds are played.
const SECONDS: f64 = 400.0;

/// A rule by its name.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Named {
    Peer(Peer),
    Exponential,
    Learned,
    Oracle,
    /// What `--schedule` says.
    Given,
}

#[derive(Serialize)]
struct PolicyLine<'a> {
    v: u8,
    r#type: &'static str,
    policy: &'a str,
    jobs: usize,
    requests_per_job: f64,
    delay_mean_s: f64,
    delay_p50_s: Option<f64>,
    delay_p99_s: Option<f64>,
    delay_max_s: Option<f64>,
    cost_s: f64,
}

pub(crate) fn compare(args: &CompareArgs) -> Result<u8, Failure> {
    let limit = limit(args)?;
    let mut rules = rules(args.policies.as_deref(), limit.is_some())?;
    let policy = Arc::new(args.policy.apply(Policy::builder()).map_err(Failure::usage)?);
    if matches!(policy.spacing(), Spacing::Constant | Spacing::Steps(_)) {
        rules.push((args.policy.schedule_name(policy.spacing()), Named::Given));
    }
    let durations = durations(args, limit)?;
    let mut played = Vec::with_capacity(rules.len());
    for (name, rule) in &rules {
        played.push((name.as_str(), run(*rule, &policy, &durations, limit, args.seed)));
    }
    if let Some(path) = &args.svg {
        save(path, &drawing(args, &policy, &durations, limit, &rules, &played)?)?;
    }
    let mut out = io::stdout().lock();
    if args.json {
        for (name, played) in &played {
            serde_json::to_writer(&mut out, &line(name, played, policy.request_cost())).map_err(io::Error::from)?;
            writeln!(out)?;
        }
    } else {
        writeln!(out, "{}", table(&played, policy.request_cost()))?;
        let limited = limit.map_or_else(String::new, |limit| format!("; {}", in_words(limit)));
        writeln!(
            out,
            "\n{} jobs of {}, in this order, in simulated time; seed {}{limited}\ncost: the mean delay, and {} for each request",
            durations.len(),
            durations_in_words(&args.durations),
            args.seed,
            humantime::format_duration(policy.request_cost()),
        )?;
    }
    out.flush()?;
    Ok(0)
}

/// Each policy a point; those that weigh requests against delay are curves over what a request is worth, unless a limit
/// sets that.
fn drawing(
    args: &CompareArgs,
    policy: &Policy,
    durations: &[Duration],
    limit: Option<Limit>,
    rules: &[(String, Named)],
    played: &[(&str, Played)],
) -> Result<String, Failure> {
    let point = |name: &str, played: &Played| Point {
        name: name.to_owned(),
        requests: played.requests_per_job(),
        delay: played.mean_delay(),
    };
    let mut curves = Vec::new();
    for (name, rule) in [("oracle", Named::Oracle), ("learned", Named::Learned)] {
        if limit.is_some() || !rules.iter().any(|(_, there)| *there == rule) {
            continue;
        }
        let play = |cost: Duration| {
            let policy = policy.to_builder().with_request_cost(cost).build().map_err(Failure::usage)?;
            Ok((cost, point(name, &run(rule, &Arc::new(policy), durations, limit, args.seed))))
        };
        // Each cost is a game of its own, and thousands of plans are made in all.
        let points: Result<Vec<_>, Failure> = thread::scope(|scope| {
            let games = COSTS.map(|cost| scope.spawn(move || play(Duration::from_millis(cost))));
            games.into_iter().map(|game| game.join().expect("playing does not panic")).collect()
        });
        let points = points?;
        curves.push(Curve { name, points });
    }
    let points: Vec<_> = played.iter().map(|(name, played)| point(name, played)).collect();
    let limited = limit.map_or_else(String::new, |limit| format!(" There come {}.", in_words(limit)));
    let jobs = format!("{} jobs of {}", durations.len(), durations_in_words(&args.durations));
    picture::picture(&jobs, &limited, &points, &curves)
}

/// What a request is worth along a curve, in milliseconds.
const COSTS: [u64; 8] = [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000];

fn in_words(limit: Limit) -> String {
    format!("{} jobs and at most {} requests a second", limit.arrivals, limit.rate)
}

fn limit(args: &CompareArgs) -> Result<Option<Limit>, Failure> {
    match (&args.rate, &args.arrivals) {
        (Some(rate), Some(arrivals)) => {
            // Their long-run intervals are the numbers again, checked.
            let per_second = |rate: &Rate| 1.0 / rate.limit.interval().as_secs_f64();
            Ok(Some(Limit { rate: per_second(rate), arrivals: per_second(arrivals) }))
        }
        (None, None) => Ok(None),
        _ => Err(Failure::usage("--rate and --arrivals go together: a limit matters to jobs that keep coming")),
    }
}

fn rules(names: Option<&[String]>, limited: bool) -> Result<Vec<(String, Named)>, Failure> {
    let all = || NAMES.iter().filter(|name| !(limited && **name == "oracle")).map(ToString::to_string).collect();
    let names: Vec<String> = names.map_or_else(all, <[_]>::to_vec);
    names.into_iter().map(|name| Ok((name.clone(), rule(&name)?))).collect()
}

fn rule(name: &str) -> Result<Named, Failure> {
    if let Some(gap) = name.strip_prefix("fixed:") {
        let gap = humantime::parse_duration(gap).ok().filter(|gap| *gap >= Duration::from_millis(1));
        let gap =
            gap.ok_or_else(|| Failure::usage(format_args!("{name:?}: write it as in fixed:30s, at least 1ms")))?;
        return Ok(Named::Peer(Peer::Fixed(gap)));
    }
    Ok(match name {
        "tracker" => Named::Peer(Peer::Tracker),
        "heygen-cli" => Named::Peer(Peer::HeygenCli),
        "heygen-guide" => Named::Peer(Peer::HeygenGuide),
        "aws-waiter" => Named::Peer(Peer::AwsWaiter),
        "google-lro" => Named::Peer(Peer::GoogleLro),
        "azure-lro" => Named::Peer(Peer::AzureLro),
        "openai-sdk" => Named::Peer(Peer::OpenAiSdk),
        "k8s" => Named::Peer(Peer::K8s),
        "exponential" => Named::Exponential,
        "learned" => Named::Learned,
        "oracle" => Named::Oracle,
        _ => {
            let names = NAMES.join(", ");
            return Err(Failure::usage(format_args!("there is no policy {name:?}; there are: {names}, and fixed:30s")));
        }
    })
}

fn durations(args: &CompareArgs, limit: Option<Limit>) -> Result<Vec<Duration>, Failure> {
    let durations = read_durations(&args.durations)?;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // some ten thousand
    let usual = limit.map_or(JOBS, |limit| ((limit.arrivals * SECONDS) as usize).clamp(JOBS, 100_000));
    let jobs = args.jobs.map(|jobs| jobs as usize).or(durations.recorded().map(<[_]>::len)).unwrap_or(usual);
    Ok(drawn(&durations, jobs, args.seed).collect())
}

/// A file, or a distribution in words.
pub(crate) fn read_durations(spec: &str) -> Result<Durations, Failure> {
    let durations = if Path::new(spec).is_file() { Durations::file(spec) } else { Durations::parse(spec) };
    durations.map_err(|error| {
        let no_file = if spec.contains(':') { "" } else { "there is no such file; " };
        Failure::usage(format_args!("--durations: {no_file}{error}"))
    })
}

/// What durations are called in a sentence.
pub(crate) fn durations_in_words(spec: &str) -> String {
    if Path::new(spec).is_file() { format!("the file {spec}") } else { format!("{spec} s") }
}

/// So many of them; the same for the same seed.
pub(crate) fn drawn(durations: &Durations, jobs: usize, seed: u64) -> impl Iterator<Item = Duration> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..jobs as u64).map(move |number| durations.nth(number, &mut rng))
}

fn run(rule: Named, policy: &Arc<Policy>, durations: &[Duration], limit: Option<Limit>, seed: u64) -> Played {
    match rule {
        Named::Peer(mut peer) => played(&mut peer, durations, limit, seed),
        Named::Given => played(&mut Exponential::new(policy), durations, limit, seed),
        Named::Exponential => {
            let other = !matches!(policy.spacing(), Spacing::Exponential { .. });
            let usual = policy.to_builder().with_spacing(Spacing::default()).build();
            let policy = usual.ok().filter(|_| other).unwrap_or_else(|| Policy::clone(policy));
            played(&mut Exponential::new(&policy), durations, limit, seed)
        }
        Named::Learned => played(&mut Learned::new(Arc::clone(policy)), durations, limit, seed),
        Named::Oracle => {
            let max = policy.max_delay().unwrap_or(Duration::MAX);
            let mut oracle = Oracle::new(durations, policy.min_delay(), max, policy.request_cost());
            played(&mut oracle, durations, limit, seed)
        }
    }
}

/// Every rule has the same luck.
fn played<R: Rule>(rule: &mut R, durations: &[Duration], limit: Option<Limit>, seed: u64) -> Played {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x5eed);
    match limit {
        None => play(rule, durations, &mut rng),
        Some(limit) => play_limited(rule, durations, limit, &mut rng),
    }
}

fn line<'a>(policy: &'a str, played: &Played, request_cost: Duration) -> PolicyLine<'a> {
    PolicyLine {
        v: 1,
        r#type: "policy",
        policy,
        jobs: played.jobs(),
        requests_per_job: played.requests_per_job(),
        delay_mean_s: played.mean_delay(),
        delay_p50_s: played.delay_quantile(0.5),
        delay_p99_s: played.delay_quantile(0.99),
        delay_max_s: played.delay_quantile(1.0),
        cost_s: played.cost(request_cost),
    }
}

fn table(played: &[(&str, Played)], request_cost: Duration) -> Table {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["policy", "requests a job", "mean delay s", "median", "p99", "longest", "cost"]);
    for (name, played) in played {
        let line = line(name, played, request_cost);
        let seconds = |time: Option<f64>| time.map_or_else(String::new, |time| format!("{time:.2}"));
        table.add_row([
            (*name).to_owned(),
            format!("{:.2}", line.requests_per_job),
            format!("{:.2}", line.delay_mean_s),
            seconds(line.delay_p50_s),
            seconds(line.delay_p99_s),
            seconds(line.delay_max_s),
            format!("{:.2}", line.cost_s),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
