//! How many instructions each step of the core takes, counted by callgrind: a number that no other program on the
//! machine can change. Beside it, its time, what peers take, and what a step took when `instructions.txt` was written.
//!
//! ```sh
//! cargo bench -p jobwatch-benches --bench instructions              # a table, peers included
//! cargo bench -p jobwatch-benches --bench instructions -- check     # fails where a step has become a quarter dearer
//! cargo bench -p jobwatch-benches --bench instructions -- keep      # writes instructions.txt
//! ```
//!
//! `check` and `keep` look at our own steps alone, and so need no peers: `--no-default-features` builds without them. A
//! further word takes the steps that have it in their names. Compilers differ by some percent, and a quarter is more.
//!
//! A step is made so many times and then thrice as many; what two thirds of the latter take is the step's own, without
//! the start of the program and what a step needs before it begins.

use std::collections::BTreeMap;
use std::process::{Command, ExitCode, Stdio};
use std::{env, fs};

use jobwatch_benches::{Step, steps, table};

/// Where the counts are kept.
const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.txt");

const HEADING: &str =
    "# Instructions a step, on x86_64; written by `cargo bench -p jobwatch-benches --bench instructions -- keep`.\n";

/// A step may take so much of what it took when the counts were kept.
const MOST: f64 = 1.25;

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    if let [run, name, times] = words.as_slice()
        && run == "run"
    {
        let step = steps().into_iter().find(|step| step.name == *name).expect("it is one of the steps");
        (step.run)(times.parse().expect("it is a number"));
        return ExitCode::SUCCESS;
    }
    let (checks, keeps) = (words.iter().any(|word| word == "check"), words.iter().any(|word| word == "keep"));
    let wanted: Vec<_> = words.iter().filter(|word| !matches!(word.as_str(), "check" | "keep")).collect();
    let is_wanted = |step: &Step| {
        (step.is_ours || !(checks || keeps))
            && (wanted.is_empty() || wanted.iter().any(|word| step.name.contains(word.as_str())))
    };
    let steps: Vec<_> = steps().into_iter().filter(is_wanted).collect();
    let counted: Result<Vec<_>, String> = steps.iter().map(|step| Ok((*step, count(step)?))).collect();
    match counted {
        Ok(counted) if keeps => keep(&counted),
        Ok(counted) => report(&counted, &kept(), checks),
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

/// The instructions of one step.
#[allow(clippy::cast_precision_loss)] // far below 2^52
fn count(step: &Step) -> Result<f64, String> {
    let (few, many) = (instructions(step, step.times)?, instructions(step, 3 * step.times)?);
    Ok(many.saturating_sub(few) as f64 / f64::from(2 * step.times))
}

/// The instructions of a program that makes the step so many times.
fn instructions(step: &Step, times: u32) -> Result<u64, String> {
    let program = env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(["run", step.name, &times.to_string()])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| {
            format!("valgrind could not be started: {error}; install it (Debian: apt-get install valgrind)")
        })?;
    let text = String::from_utf8_lossy(&output.stderr);
    let counted = text.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    match counted {
        Some(counted) if output.status.success() => Ok(counted),
        _ => Err(format!("{:?} could not be counted ({}):\n{text}", step.name, output.status)),
    }
}

/// What was kept, by the steps' names.
fn kept() -> BTreeMap<String, f64> {
    let text = fs::read_to_string(KEPT).unwrap_or_default();
    let lines = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('\t'));
    lines.filter_map(|(count, name)| Some((name.to_owned(), count.parse().ok()?))).collect()
}

fn keep(counted: &[(Step, f64)]) -> ExitCode {
    let mut all = kept();
    all.extend(counted.iter().map(|(step, count)| (step.name.to_owned(), *count)));
    // What is no step any more is not kept.
    let lines = steps().into_iter().filter_map(|step| Some((step.name, *all.get(step.name)?)));
    let lines: Vec<_> = lines.map(|(name, count)| format!("{count:.0}\t{name}\n")).collect();
    if let Err(error) = fs::write(KEPT, format!("{HEADING}{}", lines.concat())) {
        eprintln!("{KEPT}: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn report(counted: &[(Step, f64)], kept: &BTreeMap<String, f64>, checks: bool) -> ExitCode {
    table::heading("the core's steps, one by one", &["ns", "instructions", "kept", "ratio"]);
    let mut is_good = true;
    for (step, count) in counted {
        let before = kept.get(step.name);
        let (told, ratio) = before
            .map_or(("-".into(), "-".into()), |before| (format!("{before:.0}"), format!("{:.2}", count / before)));
        // Another machine's time says nothing about a change.
        let nanos = if checks { "-".into() } else { format!("{:.0}", step.nanos()) };
        table::row(step.name, &[nanos, format!("{count:.0}"), told, ratio]);
        match before {
            Some(before) if *count > before * MOST => println!("  dearer by more than a quarter"),
            Some(before) if *count * MOST < *before => println!("  cheaper by a fifth: keep it"),
            None if step.is_ours => println!("  not kept yet: keep it"),
            _ => {}
        }
        is_good &= !(step.is_ours && before.is_none_or(|before| *count > before * MOST));
    }
    if checks && !is_good {
        eprintln!("a step of the core has become dearer; where that is meant, keep the new counts and say why");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
