//! What a driver adds to its HTTP client: requests per second and processor time a request over loopback, beside a bare
//! loop over the same client, and beside hyper alone as the limit.
//!
//! Jobs that need five looks each, never due later than the driver can ask; the bare loops send the same requests with
//! the same number in flight, read the bodies and parse them. Each contender is a process with a server in a process of
//! its own. They take turns, so that whatever else the machine does meets all of them; a ratio is the middle of the
//! rounds' ratios, and no other figure should be compared between rows. Processor time is all that the client's process
//! takes, in all its threads and in the kernel, and nothing of the server's.
//!
//! A server that answers at once keeps the client's processor busy all the time: the ratio is then that of the work a
//! request costs, the hardest case there is.
//!
//! ```sh
//! cargo bench -p jobwatch-benches --bench loopback                       # about five minutes
//! cargo bench -p jobwatch-benches --bench loopback -- --quick            # one
//! cargo bench -p jobwatch-benches --bench loopback -- "ureq, HTTP/1.1, 64"   # rows with such names
//! ```

mod bare;
mod child;
mod contender;
mod server;

use std::process::ExitCode;

use jobwatch_benches::{is_wanted, median, table};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use contender::{Contender, Cost, Kind, Task, contend};

/// The driver should reach this share of the bare loop's requests per second, for so much of its processor time.
const TARGET: (f64, f64) = (0.95, 1.1);

/// Of hyper alone, of the bare loop and of the driver, and how the driver stands to the other two.
const COLUMNS: [&str; 10] = [
    "hyper, 1/s",
    "bare, 1/s",
    "driver, 1/s",
    "to bare",
    "to hyper",
    "hyper, µs",
    "bare, µs",
    "driver, µs",
    "to bare",
    "to hyper",
];

/// So many requests in flight at once.
const IN_FLIGHT: [usize; 4] = [1, 64, 512, 10_000];

/// File descriptors of a process beside its connections.
const OTHER_FILES: u64 = 64;

/// So many jobs, each with five looks, make a round of about a second.
const JOBS: usize = 2_000;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.split_first() {
        Some((word, rest)) if word == "contend" => {
            raise_files();
            return if contend(rest) { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
        Some((word, rest)) if word == "serve" => {
            raise_files();
            server::serve(rest.first().and_then(|jobs| jobs.parse().ok()).unwrap_or_default());
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    let quick = words.iter().any(|word| word == "--quick");
    let cells = cells(quick);
    table::heading("requests per second, processor time of the client a request; hyper is the limit", &COLUMNS);
    cells.iter().filter(|cell| is_wanted(&cell.name())).for_each(compare);
    ExitCode::SUCCESS
}

/// A row of the table.
struct Cell {
    driver: Kind,
    task: Task,
    rounds: usize,
}

impl Cell {
    fn name(&self) -> String {
        let driver = if self.driver == Kind::Ureq { "ureq" } else { "reqwest" };
        let protocol = if self.task.is_http2 { "HTTP/2" } else { "HTTP/1.1" };
        let threads = if self.task.threads > 1 { ", two threads" } else { "" };
        format!("{driver}, {protocol}, {} in flight{threads}", self.task.in_flight)
    }
}

fn cells(quick: bool) -> Vec<Cell> {
    let possible = raise_files().saturating_sub(OTHER_FILES);
    let mut cells = Vec::new();
    for (driver, is_http2) in [(Kind::Reqwest, false), (Kind::Reqwest, true), (Kind::Ureq, false)] {
        for wanted in IN_FLIGHT {
            // By HTTP/2 all requests share a connection.
            let most = if is_http2 { u64::MAX } else { possible };
            let in_flight = wanted.min(usize::try_from(most).unwrap_or(usize::MAX));
            if in_flight < wanted {
                println!("{wanted} in flight become {in_flight}: the system allows no more open files");
            }
            let (jobs, rounds) = match (in_flight, quick) {
                (..1_000, true) => (JOBS / 4, 3),
                (..1_000, false) => (JOBS, 7),
                (_, quick) => (in_flight, if quick { 1 } else { 3 }),
            };
            cells.push(Cell { driver, rounds, task: Task { is_http2, threads: 1, in_flight, jobs } });
            if in_flight == 64 && driver == Kind::Reqwest && !is_http2 {
                cells.push(Cell { driver, rounds, task: Task { is_http2, threads: 2, in_flight, jobs } });
            }
        }
    }
    cells
}

/// Prints a row.
fn compare(cell: &Cell) {
    let bare = if cell.driver == Kind::Ureq { Kind::BareUreq } else { Kind::BareReqwest };
    let mut contenders = [Kind::Hyper, bare, cell.driver].map(|kind| Contender::start(kind, cell.task));
    let mut costs = [const { Vec::new() }; 3];
    for _ in 0..cell.rounds {
        for (costs, contender) in costs.iter_mut().zip(&mut contenders) {
            costs.push(contender.turn());
        }
    }
    let [hyper, bare, driver] = costs;
    let middle = |costs: &[Cost], of: fn(&Cost) -> f64| median(costs.iter().map(of).collect());
    let ratio =
        |of: fn(&Cost) -> f64, to: &[Cost]| median(to.iter().zip(&driver).map(|(a, b)| of(b) / of(a)).collect());
    let speed: fn(&Cost) -> f64 = |cost| cost.per_second;
    let cpu: fn(&Cost) -> f64 = |cost| cost.cpu_micros;
    let (reached, spent) = (ratio(speed, &bare), ratio(cpu, &bare));
    let figures = |of: fn(&Cost) -> f64, digits: usize, to_bare: f64| {
        let values = [&hyper, &bare, &driver].map(|costs| format!("{:.digits$}", middle(costs, of)));
        values.into_iter().chain([to_bare, ratio(of, &hyper)].map(|ratio| format!("{ratio:.3}")))
    };
    table::row(&cell.name(), &figures(speed, 0, reached).chain(figures(cpu, 1, spent)).collect::<Vec<_>>());
    if reached < TARGET.0 || spent > TARGET.1 {
        println!("  misses the target");
    }
}

/// Opens as many files as the system allows; tells how many those are.
fn raise_files() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    // Otherwise what was allowed before has to do.
    let reached = if setrlimit(Resource::Nofile, raised).is_ok() { limit.maximum } else { limit.current };
    reached.unwrap_or(u64::MAX)
}
