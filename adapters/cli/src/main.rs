//! The program `jobwatch`.

mod args;
mod demo;
mod failure;
mod interrupt;
mod log;
mod report;
mod simulate;
mod submit;
mod target;
mod view;
mod wait;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use tokio::runtime::Builder;

use args::{Cli, Command};
use failure::Failure;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(status) => ExitCode::from(status),
        Err(failure) => {
            if !failure.message.is_empty() {
                let _ = writeln!(io::stderr(), "jobwatch: {}", failure.message);
            }
            ExitCode::from(failure.status)
        }
    }
}

fn run(cli: &Cli) -> Result<u8, Failure> {
    let logging = log::start(cli.verbose)?;
    // One thread is enough: the work is waiting.
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::local(format_args!("cannot start: {error}")))?;
    match &cli.command {
        Command::Demo(args) => runtime.block_on(demo::demo(args, logging)),
        Command::Submit(args) => runtime.block_on(submit::submit(args)),
        Command::Wait(args) => runtime.block_on(wait::wait(args, logging)),
        Command::Status(args) => runtime.block_on(wait::status(args)),
        Command::Simulate(args) => simulate::simulate(args),
    }
}
