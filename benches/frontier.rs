//! Requests against delay: the rules of other clients and ours, played by `jobwatch compare` on the same jobs, a thousand of
//! each kind, in simulated time. The same seed gives the same figures on every machine.
//!
//! `cost` is the mean delay, and two seconds for each request: the weight that the default policy gives to one.

use std::error::Error;
use std::process::ExitCode;

use jobwatch_benches::{cargo, table};
use serde_json::Value;

/// Half a minute, minutes, times about which nothing is known from the age, and two kinds at once.
const DURATIONS: [&str; 4] =
    ["uniform:20..40", "lognormal:480,0.5", "exponential:60", "mix:0.6*lognormal:30,0.2+0.4*uniform:5m..10m"];

const COLUMNS: [&str; 4] = ["requests a job", "mean delay, s", "p99, s", "cost, s"];
const FIELDS: [&str; 4] = ["requests_per_job", "delay_mean_s", "delay_p99_s", "cost_s"];

fn main() -> ExitCode {
    for durations in DURATIONS {
        if let Err(error) = print(durations) {
            eprintln!("{durations}: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn print(durations: &str) -> Result<(), Box<dyn Error>> {
    let mut program = cargo();
    program.args(["run", "--quiet", "--release", "--locked", "-p", "jobwatch-cli", "--", "compare", "--json"]);
    let output = program.args(["--durations", durations]).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    table::heading(&format!("compare --durations {durations}"), &COLUMNS);
    for line in output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let told: Value = serde_json::from_slice(line)?;
        let Some(policy) = told["policy"].as_str() else { continue };
        let figures = FIELDS.map(|field| told[field].as_f64().map_or("-".into(), |value| format!("{value:.2}")));
        table::row(policy, &figures);
    }
    Ok(())
}
