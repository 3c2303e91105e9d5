//! The commands of the README and of the guide, run as they are printed: in a shell, in a folder of their own, against a
//! simulated backend and, where there is PostgreSQL, a database of their own. Only three things are put in their place: the
//! addresses of the backend and the database, where the program is, and time, which runs faster.
//!
//! A block of a language that is run here has to succeed as a whole; what is printed below a command is what it prints.

mod markdown;

use std::collections::HashSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use jobwatch_simulator::{JobState, Simulator};

use crate::backend::simulator;
use crate::program::{Program, Scratch, sorted};
use crate::queue::on_database;
use markdown::{Block, blocks, is_alike, transcript, without_remark};

/// What is printed and not run here, a line each, and why.
const ELSEWHERE: &[(&str, &str)] = &[
    ("cargo run --release -- demo", "the gate runs it, and the tests of `demo` read what it prints"),
    ("cargo test", "it is what runs this"),
    ("cargo run --release -p jobwatch-benches", "it takes a quarter of an hour, and the machine for itself"),
    ("cargo run --release -p jobwatch-benches -- fleet", "so does a million jobs"),
    ("cargo bench -p jobwatch-benches --bench decision", "a busy machine tells nothing"),
    ("cargo test --test integration -- --nocapture", "`cargo test` runs it"),
];

/// What a block may need that not every machine has: without it the block is left out, which is said.
const TOOLS: [&str; 6] = ["curl", "jq", "make", "man", "psql", "python3"];

/// The backend and the database that are printed.
const BACKEND: &str = "127.0.0.1:5000";
const DATABASE: &str = "postgres://me@db.example.com/jobs";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn document(name: &str) -> Vec<Block> {
    blocks(name, &fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}")))
}

/// The chapters of the guide that there are.
fn chapters() -> Vec<String> {
    let files = fs::read_dir(root().join("src/guide")).expect("there is a guide");
    let name = |file: std::io::Result<fs::DirEntry>| file.expect("an entry").file_name().into_string().expect("text");
    let is_chapter = |name: &String| Path::new(name).extension().is_some_and(|extension| extension == "md");
    sorted(files.map(name).filter(is_chapter)).iter().map(|name| format!("src/guide/{name}")).collect()
}

/// A reader who follows one document from its beginning to its end.
struct Reader {
    backend: Simulator,
    home: Scratch,
    /// What the program was told to be, and what became of it.
    notes: Scratch,
    python: String,
    /// What the last block printed on standard output.
    printed: String,
    /// And on standard error.
    aside: String,
}

impl Reader {
    /// One whose jobs fail with this chance.
    fn new(fail_rate: f64) -> Self {
        let backend = simulator("uniform:20..40").speed(100.0).fail_rate(fail_rate).seed(5);
        let notes = Scratch::new();
        let program = notes.file("jobwatch", include_str!("printed/jobwatch.sh"));
        fs::set_permissions(program, Permissions::from_mode(0o755)).expect("it can be made a program");
        let backend = backend.start().expect("it starts");
        Self {
            backend,
            home: Scratch::new(),
            notes,
            python: String::new(),
            printed: String::new(),
            aside: String::new(),
        }
    }

    fn reads(&mut self, blocks: &[Block]) {
        for block in blocks {
            let text = block.text.as_str();
            match block.language.as_str() {
                "sh" | "bash" => self.pastes(block, text, "bash"),
                "python" => {
                    self.python.push_str(text);
                    let script = self.python.clone();
                    self.pastes(block, &script, "python3");
                }
                "make" => {
                    self.home.file("Makefile", &self.addressed(text));
                    self.pastes(block, "make", "bash");
                }
                "crontab" => self.is_scheduled(block),
                "text" | "console" if text.lines().any(|line| line.starts_with("$ ")) => {
                    for (command, printed) in transcript(text) {
                        self.pastes(block, &command, "bash");
                        self.has_begun_with(block, &printed);
                    }
                }
                "text" | "console" if block.follows => self.has_printed(block),
                _ => {}
            }
        }
    }

    /// Runs it, and sees that nothing in it has failed but jobs.
    fn pastes(&mut self, block: &Block, text: &str, shell: &str) {
        let text: String = text.split_inclusive('\n').filter(|line| !is_elsewhere(line)).collect();
        self.printed.clear();
        self.aside.clear();
        if text.trim().is_empty() {
            return;
        }
        if let Some(tool) = TOOLS.iter().find(|tool| (mentions(&text, tool) || *tool == &shell) && !is_there(tool)) {
            println!("left out: {}: there is no {tool}", block.place);
            return;
        }
        let text = self.addressed(&text);
        if text.contains(DATABASE) {
            // Where there is none, that is said there.
            on_database(|database| self.runs(block, &text.replace(DATABASE, &database.url()), shell));
        } else {
            self.runs(block, &text, shell);
        }
    }

    /// The same with the address of the backend that there is. Who listens takes a free one.
    fn addressed(&self, text: &str) -> String {
        let text = text.replace(&format!("--listen {BACKEND}"), "--listen 127.0.0.1:0");
        text.replace(BACKEND, self.backend.url().trim_start_matches("http://"))
    }

    fn runs(&mut self, block: &Block, text: &str, shell: &str) {
        let failed = self.notes.file("failed", "");
        let statuses = self.notes.file("statuses", "");
        let trap = format!("set -E; trap 'printf \"%s\\t%s\\n\" \"$?\" \"$BASH_COMMAND\" >>{failed}' ERR\n");
        let script = if shell == "bash" { format!("{trap}{text}") } else { text.to_owned() };
        let ran = self.program(shell).args(&["-c", &script]).run();
        let told = format!("{}\n{text}\n{ran:#?}", block.place);

        let statuses = fs::read_to_string(statuses).expect("it is there");
        for line in statuses.lines() {
            self.may_end(line, text).unwrap_or_else(|why| panic!("{why}: {line}\n{told}"));
        }
        // Then a command beside the program may say so, too.
        let jobs_failed = statuses.lines().any(|line| line.starts_with("1\t"));
        let failed = fs::read_to_string(failed).expect("it is there");
        let only_jobs = |line: &str| jobs_failed && (line.starts_with("1\t") || line.starts_with("2\tmake"));
        assert!(failed.lines().all(only_jobs), "this failed: {failed}\n{told}");
        assert!(ran.code == Some(0) || !failed.is_empty(), "{told}");
        (self.printed, self.aside) = (ran.out, ran.err);
    }

    /// Whether the program may have ended so: with 0, with 1 where a job has failed, and with 4 where nobody read on.
    fn may_end(&self, line: &str, text: &str) -> Result<(), &'static str> {
        let failed = || self.backend.ledger().jobs.iter().any(|job| job.outcome == JobState::Failed);
        match line.split('\t').next() {
            Some("0") => Ok(()),
            Some("1") if failed() => Ok(()),
            Some("4") if text.contains("| head") => Ok(()),
            _ => Err("it ended otherwise than a reader expects"),
        }
    }

    /// What cron does: in the home directory, with little in the environment, again and again.
    fn is_scheduled(&mut self, block: &Block) {
        for line in block.text.lines() {
            let command =
                line.splitn(6, ' ').nth(5).unwrap_or_else(|| panic!("{}: no line of cron: {line}", block.place));
            assert!(!command.contains('%'), "{}: cron ends a command at a percent sign", block.place);
            for _ in 0..2 {
                self.pastes(block, command, "bash");
                let by_mail = format!("{}{}", self.printed, self.aside);
                assert_eq!(by_mail, "", "{}: cron would send this by mail", block.place);
            }
        }
    }

    /// Each of these lines was printed, in whatever order.
    fn has_printed(&self, block: &Block) {
        let told = format!("{}{}", self.printed, self.aside);
        for line in block.text.lines().filter(|line| !line.trim().is_empty() && line.trim() != "…") {
            // A block that was left out printed nothing.
            let found = told.is_empty() || told.lines().any(|told| is_alike(line, told));
            assert!(found, "{}: not printed: {line}\nbut:\n{told}", block.place);
        }
    }

    /// What was printed on standard output begins with these lines.
    fn has_begun_with(&self, block: &Block, lines: &str) {
        if lines.trim().is_empty() {
            return;
        }
        let printed: Vec<_> = lines.trim_end().lines().collect();
        let told: Vec<_> = self.printed.trim_end().lines().collect();
        let is_same = printed.len() <= told.len() && printed.iter().zip(&told).all(|(a, b)| is_alike(a, b));
        assert!(is_same, "{}: it prints now:\n{}", block.place, self.printed);
    }

    fn program(&self, shell: &str) -> Program {
        let path = |scratch: &Scratch| scratch.path("").trim_end_matches('/').to_owned();
        let others = std::env::var("PATH").expect("a path in UTF-8");
        let program = Program::other(shell).env("PATH", &format!("{}:{others}", path(&self.notes)));
        let program = program.env("JOBWATCH", env!("CARGO_BIN_EXE_jobwatch")).env("NOTES", &path(&self.notes));
        program.env("HOME", &path(&self.home)).within(&path(&self.home))
    }
}

fn is_elsewhere(line: &str) -> bool {
    ELSEWHERE.iter().any(|(command, _)| without_remark(line) == *command)
}

fn mentions(text: &str, tool: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric() && c != '-' && c != '_').any(|word| word == tool)
}

fn is_there(tool: &str) -> bool {
    Command::new(tool).arg("--version").output().is_ok_and(|output| output.status.success())
}

#[test]
fn the_readme_runs_as_printed() {
    Reader::new(0.1).reads(&document("README.md"));
}

#[test]
fn the_guide_runs_as_printed() {
    for chapter in chapters().iter().filter(|chapter| *chapter != "src/guide/recipes.md") {
        Reader::new(0.1).reads(&document(chapter));
    }
}

#[test]
fn the_recipes_run_as_printed() {
    let mut reader = Reader::new(0.0);
    reader.reads(&document("src/guide/recipes.md"));
    let lines = |name: &str| reader.home.read(name).lines().count();
    assert_eq!((lines("jobs.tsv"), lines("again.txt"), lines("results.tsv"), lines("errors.log")), (6, 0, 5, 0));
}

#[test]
fn the_recipes_run_as_printed_where_jobs_fail() {
    let mut reader = Reader::new(0.4);
    reader.reads(&document("src/guide/recipes.md"));
    // What was made anew is what the failed jobs were made of.
    let (jobs, truth) = (reader.home.read("jobs.tsv"), reader.backend.ledger().jobs);
    let failed: HashSet<String> =
        truth.iter().filter(|job| job.outcome == JobState::Failed).map(|job| job.id.to_string()).collect();
    let of_failed = jobs.lines().filter_map(|line| line.split_once('\t')).filter(|(id, _)| failed.contains(*id));
    let bodies = sorted(of_failed.map(|(_, body)| body));
    assert!(!bodies.is_empty(), "none has failed: {jobs}");
    assert_eq!(sorted(reader.home.read("again.txt").lines()), bodies);
    assert_eq!(reader.home.read("jobs-again.tsv").lines().count(), bodies.len());
}

#[test]
fn what_is_not_run_here_is_printed() {
    let documents = [vec!["README.md".to_owned()], chapters()].concat();
    let texts: Vec<String> = documents.iter().flat_map(|name| document(name)).map(|block| block.text).collect();
    for (command, reason) in ELSEWHERE {
        assert!(reason.len() > 10, "{command}: {reason}");
        let is_printed = texts.iter().flat_map(|text| text.lines()).any(|line| without_remark(line) == *command);
        assert!(is_printed, "nobody prints it any more: {command}");
    }
}
