//! The flags of `jobwatch compare`.
#![allow(clippy::doc_markdown)] // the doc comments are the program's help, which is no Markdown

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::policy::parse_duration;
use super::{Rate, parse_rate};

/// Durations are written 500ms, 30s, 5m, 1h30m.
#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// How long the jobs take, in seconds: a distribution as in uniform:20..40, lognormal:480,0.5, exponential:60,
    /// pareto:1.5,10, mix:0.6*lognormal:30,0.1+0.4*lognormal:600,0.1, or a file with one duration a line
    #[arg(long, value_name = "FILE|SPEC")]
    pub(crate) durations: String,
    /// Which to compare: tracker, heygen-cli, heygen-guide, aws-waiter, google-lro, azure-lro, openai-sdk, k8s,
    /// fixed:30s; exponential and learned are ours; oracle knows how the durations are distributed and is the bound
    /// [default: all of them]
    #[arg(long, value_name = "A,B,...", value_delimiter = ',')]
    pub(crate) policies: Option<Vec<String>>,
    /// How many jobs [default: 1000, or as many as the file has]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) jobs: Option<u32>,
    /// The shortest gap of exponential, learned and oracle
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "1s")]
    pub(crate) min_delay: Duration,
    /// The longest gap of exponential, learned and oracle
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "60s")]
    pub(crate) max_delay: Duration,
    /// How fast the gaps of exponential grow, at least 1 [default: 1.5]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) factor: Option<f64>,
    /// The delay that you would accept to save one request
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "2s")]
    pub(crate) request_cost: Duration,
    /// Play behind a limit of requests per second; needs --arrivals
    #[arg(long, value_name = "N/s", value_parser = parse_rate)]
    pub(crate) rate: Option<Rate>,
    /// Jobs that arrive per second, at random; needs --rate
    #[arg(long, value_name = "N/s", value_parser = parse_rate)]
    pub(crate) arrivals: Option<Rate>,
    /// The same seed plays the same
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Draw requests against delay: each policy a point, learned and oracle curves over what a request is worth
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
    /// Print one JSON object a line for each policy
    #[arg(long)]
    pub(crate) json: bool,
}
