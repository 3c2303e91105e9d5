//! The program `jobwatch`.

mod args;
mod cancel;
mod compare;
mod completions;
mod creating;
mod credentials;
mod database;
mod demo;
mod dialects;
mod enqueue;
mod failure;
mod go_on;
mod header_command;
mod history;
mod ids;
mod interrupt;
mod log;
mod manual;
mod picture;
mod plan;
mod queue;
mod report;
mod saving;
mod simulate;
mod state;
mod status;
mod submit;
mod target;
mod view;
mod wait;
mod waiting;
mod worker;

use std::io::{self, Write};
use std::process::ExitCode;

use tokio::runtime::Builder;

use args::{Cli, Command};
use failure::Failure;

fn main() -> ExitCode {
    let cli = Cli::read();
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
    let status = match &cli.command {
        Command::Demo(args) => runtime.block_on(demo::demo(args, logging)),
        Command::Submit(args) => runtime.block_on(submit::submit(args, logging)),
        Command::Wait(args) => runtime.block_on(wait::wait(args, logging)),
        Command::Status(args) => runtime.block_on(status::status(args)),
        Command::Cancel(args) => runtime.block_on(cancel::cancel(args)),
        Command::Enqueue(args) => runtime.block_on(enqueue::enqueue(args)),
        Command::Worker(args) => runtime.block_on(worker::worker(args)),
        Command::Queue(args) => runtime.block_on(queue::queue(args)),
        Command::Dialects(args) => dialects::dialects(args),
        Command::Plan(args) => plan::plan(args),
        Command::Compare(args) => compare::compare(args),
        Command::Simulate(args) => simulate::simulate(args),
        Command::Completions(args) => completions::completions(args),
        Command::Man(args) => manual::manual(args),
    };
    // A command that renews credentials may hang, and nobody waits for it any more.
    runtime.shutdown_background();
    status
}
