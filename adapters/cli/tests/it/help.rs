//! `--help` and `--version`.

use crate::program::jobwatch;

const BACKEND: [&str; 4] = ["--api", "--base-url", "--header", "--max-body"];

const POLICY: [&str; 11] = [
    "--schedule",
    "--initial-delay",
    "--min-delay",
    "--max-delay",
    "--factor",
    "--jitter",
    "--timeout",
    "--attempt-timeout",
    "--max-failures",
    "--max-polls",
    "--max-retry-after",
];

#[track_caller]
fn mentions(command: &str, flags: &[&[&str]]) {
    for help in ["--help", "-h"] {
        let ran = jobwatch(&[command, help]).run().exits_with(0);
        assert_eq!(ran.err, "");
        let words: Vec<&str> = ran.out.split([' ', '\n', ',', '.', '[', ']']).collect();
        for flag in flags.iter().copied().flatten() {
            assert!(words.contains(flag), "{command} {help}: no {flag} in {}", ran.out);
        }
        assert!(words.contains(&"--verbose"), "{}", ran.out);
    }
}

#[test]
fn each_command_tells_its_flags() {
    mentions("demo", &[&["--jobs", "--speed", "--seed", "--faults", "--json"]]);
    mentions(
        "simulate",
        &[&["--listen", "--api", "--duration", "--fail-rate", "--faults", "--cache", "--speed", "--seed"]],
    );
    mentions("submit", &[&BACKEND, &["--body", "--count", "--attempt-timeout", "--json"]]);
    mentions("wait", &[&BACKEND, &POLICY, &["--concurrency", "--overall-timeout", "--json", "--quiet"]]);
    mentions("status", &[&BACKEND, &["--attempt-timeout", "--concurrency", "--json"]]);
}

#[test]
fn the_program_tells_its_commands_and_exit_statuses() {
    let ran = jobwatch(&["--help"]).run().exits_with(0);
    for word in ["demo", "simulate", "submit", "wait", "status", "Exit status", "130", "143"] {
        assert!(ran.out.contains(word), "no {word} in {}", ran.out);
    }
}

#[test]
fn the_version_is_told() {
    for arguments in [&["--version"][..], &["-V"], &["wait", "--version"]] {
        let ran = jobwatch(arguments).run().exits_with(0);
        assert!(ran.out.contains(env!("CARGO_PKG_VERSION")) && ran.out.starts_with("jobwatch"), "{}", ran.out);
    }
}
