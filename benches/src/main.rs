//! Runs every benchmark and writes what they print as one page of tables: `cargo run --release -p jobwatch-benches`.
//!
//! Words on the command line take the benchmarks with one of them in their names; then the tables go to standard output,
//! and the page stays as it is.

use std::io::{Error, Write};
use std::process::{Command, ExitCode, Stdio};
use std::{env, fs, io};

use jobwatch_benches::{cargo, table::markdown};

/// The end of the guide's chapter that tells what they mean.
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../src/guide/measured.md");

const BENCHMARKS: [&str; 5] = ["instructions", "fleet", "loopback", "frontier", "take_in"];

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let is_wanted = |name: &&str| words.is_empty() || words.iter().any(|word| name.contains(word.as_str()));
    let mut page = format!("Measured on {}.\n", machine());
    for name in BENCHMARKS.into_iter().filter(is_wanted) {
        match run(name) {
            Ok(printed) => page.push_str(&markdown(&printed)),
            Err(error) => {
                eprintln!("{name}: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    if !words.is_empty() {
        println!("{page}");
    } else if let Err(error) = fs::write(PAGE, page) {
        eprintln!("{PAGE}: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// What it prints, which is also shown.
fn run(name: &str) -> io::Result<String> {
    println!("== {name}");
    let mut cargo = cargo();
    cargo.args(["bench", "--quiet", "--locked", "-p", "jobwatch-benches", "--bench", name]);
    let output = cargo.stderr(Stdio::inherit()).output()?;
    io::stdout().write_all(&output.stdout)?;
    if !output.status.success() {
        return Err(Error::other(format!("it ended with {}", output.status)));
    }
    String::from_utf8(output.stdout).map_err(Error::other)
}

/// What can be said of it that others may compare with theirs.
fn machine() -> String {
    let told = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = told.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("a processor without a name", |(_, model)| model);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let rustc = Command::new("rustc").arg("--version").output().map(|output| output.stdout).unwrap_or_default();
    format!("{cores} cores of {model}, {}, {}", env::consts::OS, String::from_utf8_lossy(&rustc).trim())
}
