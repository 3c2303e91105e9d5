//! The flags of `jobwatch compare`.
#![allow(clippy::doc_markdown)] // the doc comments are the program's help, which is no Markdown

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::backend::parse_rate;
use super::{PolicyArgs, Rate};

#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// How long the jobs take, in seconds: a distribution as in uniform:20..40, lognormal:480,0.5, exponential:60,
    /// pareto:1.5,10, mix:0.6*lognormal:30,0.1+0.4*lognormal:600,0.1, or a file with one duration a line
    #[arg(long, value_name = "FILE|SPEC", value_hint = ValueHint::FilePath)]
    pub(crate) durations: String,
    /// Which to compare: tracker, heygen-cli, heygen-guide, aws-waiter, google-lro, azure-lro, openai-sdk, k8s,
    /// fixed:30s; exponential and learned are ours; oracle knows how the durations are distributed and is the bound
    /// [default: all of them]
    #[arg(long, value_name = "A,B,...", value_delimiter = ',')]
    pub(crate) policies: Option<Vec<String>>,
    /// How many jobs [default: 1000, or as many as the file has]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) jobs: Option<u32>,
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
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) svg: Option<PathBuf>,
    /// Print one JSON object a line for each policy
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) policy: PolicyArgs,
}
