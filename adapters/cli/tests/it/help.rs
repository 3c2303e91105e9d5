//! `--help` and `--version`.

use jobwatch::Dialect;
use jobwatch_simulator::{Api, FaultKind};

use crate::program::jobwatch;

const BACKEND: [&str; 6] = ["--api", "--base-url", "--header", "--header-command", "--rate", "--max-body"];

const WAITING: [&str; 3] = ["--concurrency", "--overall-timeout", "--save-results"];

const POLICY: [&str; 12] = [
    "--schedule",
    "--request-cost",
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
    let own = ["--body", "--count", "--wait", "--max-active", "--json", "--quiet"];
    mentions("submit", &[&BACKEND, &POLICY, &WAITING, &own]);
    mentions("wait", &[&BACKEND, &POLICY, &WAITING, &["--json", "--quiet"]]);
    mentions("status", &[&BACKEND, &["--attempt-timeout", "--concurrency", "--json"]]);
    mentions("cancel", &[&BACKEND, &["--timeout", "--attempt-timeout", "--concurrency", "--json"]]);
    let database = ["--database", "--queue", "--json"];
    mentions("enqueue", &[&database, &["--api", "--base-url", "--credential"]]);
    let own = ["--credential", "--lease", "--max-jobs", "--name", "--once", "--drain", "--concurrency", "--quiet"];
    mentions("worker", &[&database, &BACKEND, &POLICY, &own]);
    mentions("queue", &[&database]);
    mentions("dialects", &[&["--json", "show", "check"]]);
    let own = [
        "--durations",
        "--jobs",
        "--seed",
        "--history",
        "--class",
        "--api",
        "--base-url",
        "--created",
        "--svg",
        "--json",
    ];
    mentions("plan", &[&POLICY, &own]);
    let own = ["--durations", "--policies", "--jobs", "--rate", "--arrivals", "--seed", "--svg", "--json"];
    mentions("compare", &[&POLICY, &own]);
}

#[test]
fn help_names_every_preset_simulated_api_and_fault() {
    let help = |command| jobwatch(&[command, "--help"]).run().exits_with(0).out;
    let words = |help: &str| help.split([' ', '\n', ',']).map(str::to_owned).collect::<Vec<_>>();
    for command in ["wait", "status", "submit", "cancel", "enqueue", "worker"] {
        let words = words(&help(command));
        for name in Dialect::presets() {
            assert!(words.iter().any(|word| word == name), "{command}: no {name}");
        }
    }
    let words = words(&help("simulate"));
    for api in Api::ALL {
        assert!(words.iter().any(|word| word == api.name()), "no {api}");
    }
    for kind in FaultKind::ALL {
        assert!(words.iter().any(|word| word == kind.name()), "no {}", kind.name());
    }
}

#[test]
fn the_program_tells_its_commands_and_exit_statuses() {
    let ran = jobwatch(&["--help"]).run().exits_with(0);
    for word in [
        "demo",
        "simulate",
        "submit",
        "wait",
        "status",
        "cancel",
        "dialects",
        "plan",
        "compare",
        "Exit status",
        "130",
        "143",
    ] {
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

#[test]
fn the_limits_are_told_with_their_defaults() {
    for command in ["wait", "status", "submit", "cancel"] {
        let help = jobwatch(&[command, "-h"]).run().exits_with(0).out;
        let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
        for (flag, default) in [("--rate <N/s>", "[default: 50/s, burst 100]"), ("--concurrency <N>", "[default: 16]")]
        {
            let about = words.split(flag).nth(1).and_then(|rest| rest.split(" --").next());
            assert!(about.is_some_and(|about| about.contains(default)), "{command}: {flag} in {help}");
        }
    }
    // Workers share a rate, without a burst.
    let help = jobwatch(&["worker", "-h"]).run().exits_with(0).out;
    assert!(help.contains("[default: 50/s]") && help.contains("[default: 10000]") && help.contains("[default: 60s]"));
}
