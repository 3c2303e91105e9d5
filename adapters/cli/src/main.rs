//! The program `jobwatch`.

mod args;
mod failure;
mod interrupt;
mod report;
mod simulate;
mod submit;
mod target;
mod wait;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match &cli.command {
        Command::Submit(args) => submit::submit(args),
        Command::Wait(args) => wait::wait(args),
        Command::Status(args) => wait::status(args),
        Command::Simulate(args) => simulate::simulate(args),
    };
    match done {
        Ok(status) => ExitCode::from(status),
        Err(failure) => {
            if !failure.message.is_empty() {
                let _ = writeln!(io::stderr(), "jobwatch: {}", failure.message);
            }
            ExitCode::from(failure.status)
        }
    }
}
