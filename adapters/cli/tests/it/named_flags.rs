//! Every flag that the README and the documentation name is one of a command's.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::program::jobwatch;

/// The flags of all commands, which the completions of a shell list.
fn flags() -> BTreeSet<String> {
    let script = jobwatch(&["completions", "bash"]).run().exits_with(0).out;
    script.split([' ', '"', '\n', ')', '(', '|']).filter(|word| is_flag(word)).map(str::to_owned).collect()
}

fn is_flag(word: &str) -> bool {
    word.strip_prefix("--").is_some_and(|name| {
        name.starts_with(|first: char| first.is_ascii_lowercase())
            && name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '-')
    })
}

/// The flags in what is code and belongs to the program: a command of it, or a flag by itself.
fn named(text: &str) -> Vec<&str> {
    let ends = ['|', '`', '\n', ';', '(', ')', '&', '<', '>'];
    // A command may go on in the next line.
    let mut goes_on = false;
    let mut found = Vec::new();
    for piece in text.split(ends).map(str::trim) {
        let is_ours = piece.starts_with("jobwatch ") || piece.starts_with("--") || goes_on;
        if is_ours {
            found.extend(piece.split([' ', '=', ',', '.']).filter(|word| is_flag(word)));
        }
        goes_on = is_ours && piece.ends_with('\\');
    }
    found
}

fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let guide =
        fs::read_dir(root.join("src/guide")).expect("there is a guide").map(|file| file.expect("it is there").path());
    let chapters = guide.filter(|file| file.extension().is_some_and(|end| end == "md"));
    let others = ["README.md", "CHANGELOG.md", "adapters/cli/README.md", "src/dialect/format.md", "src/learn/idea.rs"];
    others.iter().map(|name| root.join(name)).chain(chapters).collect()
}

#[test]
fn every_flag_that_is_named_is_one() {
    let flags = flags();
    assert!(flags.len() > 50, "{flags:?}");
    let mut count = 0;
    for document in documents() {
        let text = fs::read_to_string(&document).expect("it is text");
        for flag in named(&text) {
            assert!(flags.contains(flag), "{}: there is no flag {flag}", document.display());
            count += 1;
        }
    }
    assert!(count > 100, "only {count} were found");
}

#[test]
fn flags_are_found_where_they_are_the_programs() {
    let text = "`--a-b 3` and `cargo x --c`, `jobwatch wait --d=1 \\\n  --e - | other --f`; `--g`";
    assert_eq!(named(text), ["--a-b", "--d", "--e", "--g"]);
}
