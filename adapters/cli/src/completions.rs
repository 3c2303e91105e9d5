//! `jobwatch completions`.

use std::io::{self, Write};

use clap::Command;
use clap::builder::{PossibleValue, PossibleValuesParser};
use jobwatch::Dialect;

use crate::args::{Cli, CompletionsArgs};
use crate::failure::Failure;

/// The schedules that are one word.
const SCHEDULES: [&str; 3] = ["learned", "exponential", "constant"];

pub(crate) fn completions(args: &CompletionsArgs) -> Result<u8, Failure> {
    // Into memory first: what writes into a closed pipe gives up with a panic.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut with_values(Cli::with_requirements()), "jobwatch", &mut script);
    let mut out = io::stdout();
    out.write_all(&script)?;
    out.flush()?;
    Ok(0)
}

/// The same commands, with the words that are offered where anything may be written: presets and schedules. What is typed
/// otherwise completes to the name of a file.
fn with_values(command: Command) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|inner| inner.get_name().to_owned()).collect();
    let command = names.into_iter().fold(command, |command, name| command.mut_subcommand(name, with_values));
    command.mut_args(|arg| {
        let is_free = arg.get_possible_values().is_empty();
        match arg.get_id().as_str() {
            "api" if is_free => arg.value_parser(one_of(Dialect::presets())),
            "preset" => arg.value_parser(one_of(Dialect::presets())),
            "schedule" => arg.value_parser(one_of(SCHEDULES)),
            _ => arg,
        }
    })
}

fn one_of(words: impl IntoIterator<Item = &'static str>) -> PossibleValuesParser {
    PossibleValuesParser::new(words.into_iter().map(PossibleValue::new))
}
