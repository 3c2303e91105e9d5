//! `jobwatch completions` and `jobwatch man`: everything that the help tells, in a real shell and a real reader.

use std::collections::BTreeSet;
use std::process::Command;

use jobwatch::Dialect;

use crate::program::{Program, Scratch, jobwatch, sorted};

/// The commands, as the help lists them.
fn commands() -> Vec<String> {
    let help = jobwatch(&["--help"]).run().exits_with(0).out;
    let (_, list) = help.split_once("Commands:\n").expect("it lists them");
    let name = |line: &str| line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')).map(first_word);
    let names: Vec<_> = list.lines().take_while(|line| !line.is_empty()).filter_map(name).collect();
    assert!(names.len() > 12, "{names:?}");
    names.into_iter().filter(|name| name != "help").collect()
}

/// A command and those below it.
fn all_commands() -> Vec<Vec<String>> {
    let below = ["show", "check"].map(|name| vec!["dialects".to_owned(), name.to_owned()]);
    commands().into_iter().map(|name| vec![name]).chain(below).collect()
}

fn first_word(text: &str) -> String {
    text.split(' ').next().unwrap_or_default().to_owned()
}

/// The long flags of a command, as its help lists them.
fn flags(command: &[String]) -> BTreeSet<String> {
    let help = Program::other(env!("CARGO_BIN_EXE_jobwatch")).args(command).args(&["--help"]).run().exits_with(0).out;
    let lines = help.lines().map(str::trim).filter(|line| line.starts_with('-'));
    let long = lines.filter_map(|line| line.split([' ', ',']).find(|word| word.starts_with("--")));
    long.map(|flag| flag.trim_end_matches('.').to_owned()).collect()
}

fn is_there(program: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
    let is_there = found.is_ok_and(|found| found.status.success());
    if !is_there {
        println!("left out: there is no {program}");
    }
    is_there
}

/// What bash offers for the last of these words, for each of the lines.
fn offered(lines: &[&str]) -> Vec<BTreeSet<String>> {
    let scratch = Scratch::new();
    let script = scratch.file("completions", &jobwatch(&["completions", "bash"]).run().exits_with(0).out);
    let complete = r#"
        . "$0"
        for line in "$@"; do
            read -ra COMP_WORDS <<<"$line"
            [[ $line != *" " ]] || COMP_WORDS+=("")
            COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
            # As readline does: with the function that is registered for the word.
            $(complete -p jobwatch | sed 's/.*-F \([^ ]*\).*/\1/') jobwatch "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
            echo "${COMPREPLY[@]}"
        done"#;
    let ran = Program::other("bash").args(&["-c", complete, &script]).args(lines).run().exits_with(0);
    assert_eq!(ran.err, "");
    let told: Vec<_> = ran.out.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect();
    assert_eq!(told.len(), lines.len(), "{ran:?}");
    told
}

fn set(words: &[&str]) -> BTreeSet<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn bash_completes_every_command_and_flag() {
    if !is_there("bash") {
        return;
    }
    let all = all_commands();
    let lines: Vec<String> = all.iter().map(|command| format!("jobwatch {} --", command.join(" "))).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).chain(["jobwatch "]).collect();
    let mut told = offered(&lines);
    let names: BTreeSet<String> =
        told.pop().expect("a line").into_iter().filter(|word| !word.starts_with('-')).collect();
    assert_eq!(names, commands().into_iter().chain(["help".to_owned()]).collect());
    for (command, told) in all.iter().zip(told) {
        assert_eq!(told, flags(command), "{command:?}");
    }
}

#[test]
fn bash_completes_values() {
    if !is_there("bash") {
        return;
    }
    let told = offered(&[
        "jobwatch wa",
        "jobwatch wait --api heygen",
        "jobwatch simulate --api t",
        "jobwatch wait --schedule ",
        "jobwatch plan --jitter e",
        "jobwatch dialects show a",
        "jobwatch completions z",
    ]);
    let beginning = |with| Dialect::presets().filter(move |name| name.starts_with(with)).collect::<Vec<_>>();
    assert_eq!(told[0], set(&["wait"]));
    assert_eq!(told[1], set(&beginning("heygen")));
    assert_eq!(told[2], set(&["tracker"]));
    assert_eq!(told[3], set(&["learned", "exponential", "constant"]));
    assert_eq!(told[4], set(&["equal"]));
    let shown = told[5].iter().filter(|word| word.starts_with('a')).map(String::as_str);
    assert_eq!(sorted(shown), sorted(beginning("a")));
    assert_eq!(told[6], set(&["zsh"]));
}

#[test]
fn every_shell_reads_its_completions() {
    for (shell, check) in [("bash", "-n"), ("zsh", "-n"), ("fish", "--no-execute"), ("elvish", ""), ("powershell", "")]
    {
        let script = jobwatch(&["completions", shell]).run().exits_with(0).out;
        for word in ["save-results", "overall-timeout", "heygen-v3"] {
            assert!(script.contains(word), "{shell}: no {word}");
        }
        if !check.is_empty() && is_there(shell) {
            let scratch = Scratch::new();
            Program::other(shell).args(&[check, &scratch.file("completions", &script)]).run().exits_with(0);
        }
    }
    jobwatch(&["completions", "tcsh"]).run().exits_with(2).complains(&["tcsh", "bash, elvish, fish, powershell, zsh"]);
}

/// The page as people see it, by whatever shows pages here.
fn shown(path: &str) -> Option<String> {
    let readers: [&[&str]; 3] =
        [&["mandoc", "-T", "utf8"], &["groff", "-man", "-T", "utf8", "-P", "-cbou", "-ww"], &["man", "-l"]];
    let [reader, arguments @ ..] = readers.into_iter().find(|reader| is_there(reader[0]))? else { return None };
    let ran = Program::other(reader).args(arguments).args(&[path]).env("MANWIDTH", "80").run().exits_with(0);
    assert_eq!(ran.err, "", "{reader} complains");
    Some(ran.out)
}

/// The flags that a page has as it is written.
fn flags_of(page: &str) -> BTreeSet<String> {
    let page = page.replace("\\-", "-").replace("\\fB", "").replace("\\fR", "");
    let tags = page.split(".TP\n").skip(1).filter_map(|item| item.lines().next());
    let long = tags.flat_map(|tag| tag.split([' ', ','])).filter(|word| word.starts_with("--"));
    long.map(str::to_owned).collect()
}

#[test]
fn the_manual_has_every_command_and_flag() {
    let page = jobwatch(&["man"]).run().exits_with(0).out;
    for command in all_commands() {
        let heading = format!(".SH \"JOBWATCH {}\"\n", command.join(" ").to_uppercase());
        let (_, chapter) = page.split_once(&heading).unwrap_or_else(|| panic!("no chapter {heading}"));
        let chapter = chapter.split("\n.SH ").next().unwrap_or_default();
        let everywhere = set(&["--help", "--version", "--verbose"]);
        assert_eq!(flags_of(chapter), &flags(&command) - &everywhere, "{command:?}");
    }
    for words in ["EXIT STATUS", "ENVIRONMENT", "EXAMPLES", "JOBWATCH_HISTORY", "-overall\\-timeout"] {
        assert!(page.contains(words), "no {words}");
    }
    assert!(page.is_ascii(), "a reader of pages may expect another encoding");
    // Nothing that a reader of pages would take for an order.
    assert!(!page.contains("\n'"), "{page}");

    let scratch = Scratch::new();
    let Some(shown) = shown(&scratch.file("jobwatch.1", &page)) else { return };
    for words in
        ["JOBWATCH(1)", "User Commands", "--overall-timeout", "jobwatch man | man -l -", "500ms, 30s, 5m, 1h30m"]
    {
        assert!(shown.contains(words), "no {words} in {shown}");
    }
}

#[test]
fn a_page_for_each_command_goes_into_a_directory() {
    let scratch = Scratch::new();
    let directory = scratch.path("man/man1");
    jobwatch(&["man", "--dir", &directory]).run().exits_with(0).prints_nothing();
    let names = all_commands().iter().map(|command| format!("jobwatch-{}.1", command.join("-"))).collect::<Vec<_>>();
    let expected = sorted(names.into_iter().chain(["jobwatch.1".to_owned()]));
    assert_eq!(scratch.names("man/man1"), expected);
    for command in all_commands() {
        let page = scratch.read(&format!("man/man1/jobwatch-{}.1", command.join("-")));
        assert_eq!(flags_of(&page), flags(&command), "{command:?}");
    }
    if let Some(shown) = shown(&scratch.path("man/man1/jobwatch-wait.1")) {
        assert!(shown.contains("JOBWATCH-WAIT(1)") && shown.contains("--min-delay"), "{shown}");
    }
    let taken = scratch.file("taken", "");
    jobwatch(&["man", "--dir", &taken]).run().exits_with(5).complains(&["taken cannot be written"]);
}
