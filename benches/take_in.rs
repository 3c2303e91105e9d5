//! What it costs to take in: programs that wait for one job, with us, with peers and by hand, each built from nothing in a
//! folder of its own, and then run against a backend, so that each of them is known to do it.
//!
//! Crates are those that are linked, the standard library's aside; seconds of a processor are what the whole build takes
//! of them, where a machine with other work to do tells no honest time on the wall; the size is of the stripped program.
//! All of them speak TLS by rustls with ring. A word on the command line takes the programs with it in their names.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use jobwatch_benches::{is_wanted, table};
use jobwatch_simulator::Simulator;
use jobwatch_ureq::{Client, Dialect};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

const UREQ: &str = r#"serde_json = "1"
ureq = { version = "3.5", default-features = false, features = ["gzip", "json", "rustls"] }
"#;

const REQWEST: &str = r#"serde_json = "1"
reqwest = { version = "0.13", default-features = false, features = ["gzip", "json", "rustls-no-provider"] }
rustls = { version = "0.23", default-features = false, features = ["ring", "std", "tls12"] }
"#;

const TOKIO: &str = r#"tokio = { version = "1", features = ["macros", "rt", "time"] }
"#;

struct Program {
    name: &'static str,
    source: &'static str,
    dependencies: String,
}

fn programs() -> Vec<Program> {
    let program = |name, source, dependencies: &[&str]| Program { name, source, dependencies: dependencies.concat() };
    let ours = |folder: &str| format!("jobwatch-{folder} = {{ path = {:?} }}\n", format!("{ROOT}/adapters/{folder}"));
    let backon =
        "backon = { version = \"1\", default-features = false, features = [\"std\", \"std-blocking-sleep\"] }\n";
    let backon_tokio =
        "backon = { version = \"1\", default-features = false, features = [\"std\", \"tokio-sleep\"] }\n";
    let google = "google-cloud-gax = \"1\"\ngoogle-cloud-lro = \"1\"\n";
    let retry2 = "tokio-retry2 = { version = \"0.9\", features = [\"jitter\"] }\n";
    vec![
        program("ureq: a loop by hand", include_str!("take_in/bare_ureq.rs"), &[UREQ]),
        program("ureq and backon", include_str!("take_in/backon_ureq.rs"), &[UREQ, backon]),
        program("jobwatch-ureq", include_str!("take_in/jobwatch_ureq.rs"), &[&ours("ureq")]),
        program("reqwest: a loop by hand", include_str!("take_in/bare_reqwest.rs"), &[REQWEST, TOKIO]),
        program("reqwest and backon", include_str!("take_in/backon_reqwest.rs"), &[REQWEST, TOKIO, backon_tokio]),
        program("reqwest and tokio-retry2", include_str!("take_in/tokio_retry2_reqwest.rs"), &[REQWEST, TOKIO, retry2]),
        program(
            "reqwest and google-cloud-lro",
            include_str!("take_in/google_lro_reqwest.rs"),
            &[REQWEST, TOKIO, google],
        ),
        program("jobwatch-reqwest", include_str!("take_in/jobwatch_reqwest.rs"), &[&ours("reqwest"), TOKIO]),
    ]
}

fn main() -> ExitCode {
    table::heading("what it costs to take in", &["crates", "processor s", "wall s", "size, MB"]);
    for program in programs().iter().filter(|program| is_wanted(program.name)) {
        match measure(program) {
            Ok(figures) => table::row(program.name, &figures),
            Err(problem) => {
                eprintln!("{}: {problem}", program.name);
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

#[allow(clippy::cast_precision_loss)] // far below 2^52
fn measure(program: &Program) -> Result<Vec<String>, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    fs::create_dir(folder.path().join("src"))?;
    fs::write(folder.path().join("src/main.rs"), program.source)?;
    // The versions that the workspace has, as far as it has them.
    fs::copy(Path::new(ROOT).join("Cargo.lock"), folder.path().join("Cargo.lock"))?;
    let manifest = format!(
        "[package]\nname = \"waits\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[dependencies]\n{}\n\
         [profile.release]\nstrip = true\n\n[workspace]\n",
        program.dependencies
    );
    fs::write(folder.path().join("Cargo.toml"), manifest)?;
    let cargo = |arguments: &[&str]| -> Result<Vec<u8>, Box<dyn Error>> {
        let mut cargo = jobwatch_benches::cargo();
        cargo.args(arguments).current_dir(folder.path()).env("CARGO_TARGET_DIR", folder.path().join("target"));
        cargo.env_remove("RUSTFLAGS").stdin(Stdio::null());
        let output = cargo.output()?;
        if output.status.success() { Ok(output.stdout) } else { Err(String::from_utf8_lossy(&output.stderr).into()) }
    };
    let tree = String::from_utf8(cargo(&["tree", "--edges", "normal", "--prefix", "none", "--format", "{p}"])?)?;
    let crates: BTreeSet<_> =
        tree.lines().map(|line| line.trim_end_matches(" (*)")).filter(|line| !line.is_empty()).collect();
    cargo(&["fetch", "--quiet"])?;
    let (before, start) = (children_cpu_time(), Instant::now());
    cargo(&["build", "--quiet", "--release"])?;
    let (cpu, wall) = (children_cpu_time().saturating_sub(before), start.elapsed());
    let binary = folder.path().join("target/release/waits");
    let size = fs::metadata(&binary)?.len();
    let backend = Simulator::builder().durations("constant:0.1".parse()?).fail_rate(0.0).start()?;
    let job = Client::builder(Dialect::tracker()).base_url(backend.url()).build()?.create(&())?.remove(0);
    let ran = Command::new(binary).arg(format!("{}/status/{}", backend.url(), job.id())).output()?;
    if !ran.status.success() {
        return Err(format!("it did not wait: {}", String::from_utf8_lossy(&ran.stderr)).into());
    }
    Ok(vec![
        // Without the program itself.
        (crates.len() - 1).to_string(),
        format!("{:.0}", cpu.as_secs_f64()),
        format!("{:.0}", wall.as_secs_f64()),
        format!("{:.2}", size as f64 / 1e6),
    ])
}

/// The time that processes which this one has started, and theirs, have spent on processors.
fn children_cpu_time() -> Duration {
    /// What Linux tells its users, whatever it ticks itself.
    const TICKS: u64 = 100;
    let told = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name, in brackets, may contain anything.
    let fields = told.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    // Of user's and of system's time, the 16th and 17th field of all.
    let ticks: u64 = fields.skip(13).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 1_000 / TICKS)
}
