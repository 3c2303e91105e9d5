//! `jobwatch simulate`.

use std::error::Error;
use std::io::{self, Write};

use jobwatch_simulator::{Faults, Simulator, StartError};

use crate::args::SimulateArgs;
use crate::failure::Failure;
use crate::interrupt::Interrupt;

pub(crate) fn simulate(args: &SimulateArgs) -> Result<u8, Failure> {
    let seed = args.seed.or_else(|| getrandom::u32().ok().map(u64::from)).unwrap_or_default();
    let simulator = Simulator::builder()
        .listen(args.listen)
        .api(args.api)
        .durations(args.duration.clone())
        .fail_rate(args.fail_rate)
        .faults(args.faults.clone().unwrap_or_else(Faults::none))
        .cache(args.cache.unwrap_or_default())
        .speed(args.speed)
        .seed(seed)
        .start()
        .map_err(|error| explain(&error))?;
    let stopper = simulator.stopper();
    // A simulator that is stopped has done its work: the exit status is 0, and 130 only for a second Ctrl-C.
    Interrupt::watch_and(move || stopper.stop()).map_err(Failure::local)?;

    let mut out = io::stdout().lock();
    writeln!(out, "listening on {}", simulator.url())?;
    out.flush()?;
    let _ = writeln!(
        io::stderr(),
        "{} jobs of {} s, {} of them failing; seed {seed}; what was asked: {}/_ledger; Ctrl-C stops it",
        args.api,
        args.duration,
        args.fail_rate,
        simulator.url()
    );
    simulator.wait();
    Ok(0)
}

/// The error with its causes.
pub(crate) fn explain(error: &StartError) -> Failure {
    let causes = std::iter::successors(Some(error as &(dyn Error + 'static)), |&error| error.source());
    let message = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
    match error {
        StartError::BadValue { .. } => Failure::usage(message),
        StartError::Bind { source, .. } if source.kind() == io::ErrorKind::AddrInUse => Failure::local(format_args!(
            "{message}; choose another with --listen, as in --listen 127.0.0.1:0, which takes a free one"
        )),
        _ => Failure::local(message),
    }
}
