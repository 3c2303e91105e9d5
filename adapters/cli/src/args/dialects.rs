//! The flags of `jobwatch dialects`.
#![allow(clippy::doc_markdown)] // the doc comments are the program's help, which is no Markdown

use clap::{Args, Subcommand, ValueHint};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, after_help = DIALECTS)]
pub(crate) struct DialectsArgs {
    #[command(subcommand)]
    pub(crate) command: Option<DialectsCommand>,
    /// Print one JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
}

const DIALECTS: &str = "\
To describe a backend of your own, start from the closest preset, and try the
file on recorded answers:
  jobwatch dialects show tracker >mine.toml
  curl -i https://api.example.com/jobs/7 >answer
  jobwatch dialects check mine.toml --answer answer";

#[derive(Debug, Subcommand)]
pub(crate) enum DialectsCommand {
    /// Print a preset's file, to start one of your own from
    Show {
        /// The preset's name
        #[arg(value_name = "NAME")]
        preset: String,
    },
    /// Check a dialect file; with --answer, tell how an answer would be read, and why
    Check(CheckArgs),
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// A dialect file, or the name of a preset
    #[arg(value_name = "FILE.toml|NAME", value_hint = ValueHint::FilePath)]
    pub(crate) dialect: String,
    /// A recorded answer to a look at a job: as `curl -i` prints it, or only its JSON body, which stands for status 200;
    /// - for standard input
    #[arg(long, value_name = "FILE|-", value_hint = ValueHint::FilePath)]
    pub(crate) answer: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}
