//! The flags of `jobwatch plan`.
#![allow(clippy::doc_markdown)] // the doc comments are the program's help, which is no Markdown

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::PolicyArgs;

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// Plan for jobs that take so long, in seconds: a distribution as in uniform:20..40, lognormal:480,0.5,
    /// exponential:60, pareto:1.5,10, mix:0.6*lognormal:30,0.1+0.4*lognormal:600,0.1, or a file with one duration a line
    #[arg(long, value_name = "FILE|SPEC", value_hint = ValueHint::FilePath, conflicts_with = "history")]
    pub(crate) durations: Option<String>,
    /// Learn from so many of these durations [default: 200, or as many as the file has]
    #[arg(long, value_name = "N", requires = "durations", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) jobs: Option<u32>,
    /// The same seed draws the same durations
    #[arg(long, value_name = "N", requires = "durations", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Plan by the history that `jobwatch wait` keeps in this file [default: JOBWATCH_HISTORY, where that is set]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) history: Option<PathBuf>,
    /// The class of job whose history is meant, as it was named to `jobwatch wait`
    #[arg(long, value_name = "NAME", conflicts_with = "durations")]
    pub(crate) class: Option<String>,
    /// The backend: its history, and its dialect's own defaults for the policy. A preset or a dialect file
    #[arg(long, value_name = "NAME|FILE.toml")]
    pub(crate) api: Option<String>,
    /// Where the backend is whose history is meant
    #[arg(long, value_name = "URL", conflicts_with = "durations")]
    pub(crate) base_url: Option<String>,
    /// Plan for a job that was just created, as `jobwatch submit --wait` does: the first look comes by the schedule, not
    /// at once
    #[arg(long)]
    pub(crate) created: bool,
    /// Draw it: how long jobs take, when it looks, and how late an end is noticed
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) svg: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) policy: PolicyArgs,
}
