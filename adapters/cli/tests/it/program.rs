//! Running the program: its arguments, its output line by line, and a guard against hanging.

use std::fmt::Debug;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Far longer than anything here takes: it turns a test that would hang into one that fails.
const HANG_GUARD: Duration = Duration::from_secs(60);

/// The time between two looks at something that tells no news by itself.
const PAUSE: Duration = Duration::from_millis(3);

/// Looks until it is so.
pub(crate) fn eventually(what: &str, so: impl Fn() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < HANG_GUARD, "this never came: {what}");
        thread::sleep(PAUSE);
    }
}

/// The program with these arguments, to be run.
pub(crate) fn jobwatch(arguments: &[&str]) -> Program {
    Program::other(env!("CARGO_BIN_EXE_jobwatch")).args(arguments)
}

/// A command that speaks to a tracker, with short delays where it waits.
pub(crate) fn tracker(command: &str, url: &str, arguments: &[&str]) -> Program {
    let program = jobwatch(&[command, "--api", "tracker", "--base-url", url]);
    let given = |flag| arguments.contains(&flag);
    match command {
        "wait" | "submit"
            if (command == "wait" || given("--wait")) && !given("--min-delay") && !given("--max-delay") =>
        {
            program.args(&["--min-delay", "20ms", "--max-delay", "200ms"]).args(arguments)
        }
        _ => program.args(arguments),
    }
}

/// Creates jobs with `jobwatch submit`.
pub(crate) fn submit(url: &str, count: usize) -> Vec<String> {
    let ran = tracker("submit", url, &["--count", &count.to_string()]).run().exits_with(0);
    let ids: Vec<String> = ran.out.lines().map(str::to_owned).collect();
    assert_eq!(ids.len(), count, "{ran:?}");
    ids
}

pub(crate) struct Program {
    command: Command,
    input: Vec<u8>,
}

impl Program {
    /// Another program, which may run this one.
    pub(crate) fn other(name: &str) -> Self {
        let mut command = Command::new(name);
        for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
            command.env_remove(name).env_remove(name.to_uppercase());
        }
        command.env_remove("JOBWATCH_LOG").env_remove("JOBWATCH_HISTORY").env_remove("HEYGEN_API_KEY");
        Self { command, input: Vec::new() }
    }

    pub(crate) fn args<T: AsRef<std::ffi::OsStr>>(mut self, arguments: &[T]) -> Self {
        self.command.args(arguments);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it in this directory.
    pub(crate) fn within(mut self, directory: &str) -> Self {
        self.command.current_dir(directory);
        self
    }

    /// What it reads from standard input; nothing otherwise.
    pub(crate) fn input(mut self, text: impl Into<String>) -> Self {
        self.input = text.into().into_bytes();
        self
    }

    /// Runs it to its end.
    pub(crate) fn run(self) -> Ran {
        self.start().finish()
    }

    pub(crate) fn start(self) -> Running {
        let (mut running, stdout) = self.start_unread();
        running.out = Some(Lines::of(stdout));
        running
    }

    /// Starts it with its standard input left open.
    pub(crate) fn start_open(self) -> (Running, Input) {
        let (mut running, stdout, stdin) = self.start_piped();
        running.out = Some(Lines::of(stdout));
        (running, Input(stdin))
    }

    /// Starts it without reading its standard output.
    pub(crate) fn start_unread(mut self) -> (Running, ChildStdout) {
        let input = std::mem::take(&mut self.input);
        let (running, stdout, mut stdin) = self.start_piped();
        // A program that refuses its arguments reads nothing.
        thread::spawn(move || stdin.write_all(&input));
        (running, stdout)
    }

    fn start_piped(mut self) -> (Running, ChildStdout, ChildStdin) {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().expect("the program starts");
        let stdin = child.stdin.take().expect("standard input is a pipe");
        let stdout = child.stdout.take().expect("standard output is a pipe");
        let err = Lines::of(child.stderr.take().expect("standard error is a pipe"));
        (Running { child, out: None, err }, stdout, stdin)
    }

    /// Runs it with its standard output going into a file.
    pub(crate) fn run_into(mut self, file: std::fs::File) -> Ran {
        self.command.stdin(Stdio::null()).stdout(file).stderr(Stdio::piped());
        let mut child = self.command.spawn().expect("the program starts");
        let err = Lines::of(child.stderr.take().expect("standard error is a pipe"));
        Running { child, out: None, err }.finish()
    }
}

/// Standard input that stays open as long as this lives.
pub(crate) struct Input(ChildStdin);

impl Input {
    /// Writes a line. That nobody reads it any more is no trouble.
    pub(crate) fn line(&mut self, line: &str) {
        let _ = self.0.write_all(format!("{line}\n").as_bytes());
    }
}

/// The program, running. Dropping it kills it.
pub(crate) struct Running {
    child: Child,
    out: Option<Lines>,
    pub(crate) err: Lines,
}

impl Running {
    pub(crate) fn out(&self) -> &Lines {
        self.out.as_ref().expect("standard output is read")
    }

    #[cfg(unix)]
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("sh").args(["-c", r#"kill -s "$0" "$1""#, name, &id]).status();
        assert!(sent.expect("sh runs").success(), "no signal {name} was sent");
    }

    /// Kills it, whatever it is doing.
    pub(crate) fn kill(mut self) -> Self {
        self.child.kill().expect("it can be killed");
        self
    }

    /// Waits for its end.
    pub(crate) fn finish(mut self) -> Ran {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("the program can be waited for") {
                break status;
            }
            let out = self.out.as_ref().map(Lines::so_far);
            assert!(start.elapsed() < HANG_GUARD, "it does not end: {out:#?} {:#?}", self.err.so_far());
            thread::sleep(PAUSE);
        };
        let out = self.out.take().map(Lines::text).unwrap_or_default();
        let err = std::mem::take(&mut self.err).text();
        Ran { code: status.code(), out, err }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a pipe has brought so far.
#[derive(Default)]
pub(crate) struct Lines {
    shared: Arc<(Mutex<Seen>, Condvar)>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Seen {
    text: String,
    ended: bool,
}

impl Lines {
    fn of(pipe: impl Read + Send + 'static) -> Self {
        let shared = Arc::new((Mutex::new(Seen::default()), Condvar::new()));
        let filled = Arc::clone(&shared);
        let reader = thread::spawn(move || {
            let (seen, changed) = &*filled;
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            while pipe.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                lock(seen).text.push_str(&String::from_utf8_lossy(&line));
                changed.notify_all();
                line.clear();
            }
            lock(seen).ended = true;
            changed.notify_all();
        });
        Self { shared, reader: Some(reader) }
    }

    pub(crate) fn so_far(&self) -> String {
        lock(&self.shared.0).text.clone()
    }

    /// Waits for a line that fits, and gives it without its end.
    pub(crate) fn wait_for(&self, fits: impl Fn(&str) -> bool) -> String {
        let find = |seen: &Seen| seen.text.lines().find(|line| fits(line)).map(str::to_owned);
        let (seen, changed) = &*self.shared;
        let waiting = |seen: &mut Seen| !seen.ended && find(seen).is_none();
        let (seen, _) =
            changed.wait_timeout_while(lock(seen), HANG_GUARD, waiting).unwrap_or_else(PoisonError::into_inner);
        find(&seen).unwrap_or_else(|| panic!("no such line in: {}", seen.text))
    }

    /// Waits for so many lines.
    pub(crate) fn wait_for_lines(&self, count: usize) {
        self.wait_for_lines_or_end(count);
        let seen = self.so_far();
        assert!(seen.lines().count() >= count, "too few lines: {seen}");
    }

    /// The same, or for all that there are.
    pub(crate) fn wait_for_lines_or_end(&self, count: usize) {
        let (seen, changed) = &*self.shared;
        let waiting = |seen: &mut Seen| !seen.ended && seen.text.lines().count() < count;
        let waited = changed.wait_timeout_while(lock(seen), HANG_GUARD, waiting);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    fn text(mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("reading does not panic");
        }
        self.so_far()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a run left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    /// `None` where a signal killed it.
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    #[track_caller]
    pub(crate) fn exits_with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// Standard error holds each of these.
    #[track_caller]
    pub(crate) fn complains(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.err.contains(word), "no {word:?} on standard error: {self:#?}");
        }
        assert!(!self.err.contains("panicked"), "{self:#?}");
        self
    }

    /// Nothing was printed on standard output.
    #[track_caller]
    pub(crate) fn prints_nothing(self) -> Self {
        assert_eq!(self.out, "", "{self:#?}");
        self
    }

    /// Neither output holds it.
    #[track_caller]
    pub(crate) fn never_tells(self, secret: &str) -> Self {
        assert!(!self.out.contains(secret) && !self.err.contains(secret), "{secret} was told: {self:#?}");
        self
    }

    /// Lines of columns, sorted.
    pub(crate) fn rows(&self) -> Vec<Vec<&str>> {
        let mut rows: Vec<Vec<&str>> = self.out.lines().map(|line| line.split('\t').collect()).collect();
        rows.sort_unstable();
        rows
    }

    /// The first two columns, id and outcome, sorted.
    pub(crate) fn ends(&self) -> Vec<(&str, &str)> {
        self.rows().iter().map(|row| (row[0], row[1])).collect()
    }

    /// Every line of standard output as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Vec<Value> {
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.out.lines().map(parse).collect()
    }

    /// The job objects, and the summary that has to come last.
    #[track_caller]
    pub(crate) fn report(&self) -> (Vec<Value>, Value) {
        let mut lines = self.json();
        let summary = lines.pop().unwrap_or_else(|| panic!("nothing was printed: {self:#?}"));
        assert_eq!(summary["type"], "summary", "{self:#?}");
        assert!(lines.iter().all(|line| line["type"] == "job"), "{self:#?}");
        (lines, summary["summary"].clone())
    }

    /// The one job that was reported.
    #[track_caller]
    pub(crate) fn job(&self) -> Value {
        let (mut jobs, _) = self.report();
        assert_eq!(jobs.len(), 1, "{self:#?}");
        jobs.remove(0)
    }
}

/// A number that is there.
#[track_caller]
pub(crate) fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// Text that is there.
#[track_caller]
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

/// Files in a directory of their own, which lives as long as this does.
pub(crate) struct Scratch(tempfile::TempDir);

impl Scratch {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("there is room for a temporary directory"))
    }

    /// Writes a file and gives its path.
    pub(crate) fn file(&self, name: &str, content: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, content).expect("a temporary file can be written");
        path
    }

    /// The names in a directory of it, sorted.
    pub(crate) fn names(&self, directory: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path().join(directory)).expect("the directory is there");
        let name = |entry: std::io::Result<std::fs::DirEntry>| entry.expect("an entry").file_name();
        sorted(entries.map(|entry| name(entry).into_string().expect("names are text")))
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.path().join(name).into_os_string().into_string().expect("temporary paths are text")
    }
}

/// The same, sorted.
pub(crate) fn sorted<T: Ord + Debug>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut items: Vec<T> = items.into_iter().collect();
    items.sort_unstable();
    items
}
