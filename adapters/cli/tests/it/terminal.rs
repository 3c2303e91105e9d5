//! Progress on a real terminal, which is one of tmux: what stands on it while jobs are waited for, and what is left of it.

use std::path::Path;
use std::process::{Command, Output};

use crate::backend::{Backend, state};
use crate::program::{Scratch, eventually};

/// A terminal with a command in it. Dropping it ends both.
pub(crate) struct Terminal {
    scratch: Scratch,
}

impl Terminal {
    /// Runs this line of the shell in a window of so many columns and rows; nothing where there is no tmux.
    pub(crate) fn start(columns: u16, rows: u16, line: &str) -> Option<Self> {
        if !Command::new("tmux").arg("-V").output().is_ok_and(|output| output.status.success()) {
            println!("left out: there is no tmux");
            return None;
        }
        let terminal = Self { scratch: Scratch::new() };
        let program = Path::new(env!("CARGO_BIN_EXE_jobwatch")).parent().expect("it lies somewhere");
        let path = format!("PATH={}:{}", program.display(), std::env::var("PATH").expect("a path in UTF-8"));
        // The shell outlives an interruption.
        let line = format!("trap : INT; {line}; echo \"[status $?]\"; exec cat");
        let (columns, rows) = (columns.to_string(), rows.to_string());
        let new = ["new-session", "-d", "-x", &columns, "-y", &rows, "env", "-u", "NO_COLOR", &path, "sh", "-c", &line];
        let started = terminal.tmux(&new);
        assert!(started.status.success(), "tmux: {started:?}");
        Some(terminal)
    }

    fn tmux(&self, arguments: &[&str]) -> Output {
        let mut tmux = Command::new("tmux");
        tmux.args(["-f", "/dev/null", "-u", "-S", &self.scratch.path("socket")]).env_remove("TMUX");
        tmux.args(arguments).output().expect("tmux runs")
    }

    pub(crate) fn key(&self, key: &str) {
        self.tmux(&["send-keys", key]);
    }

    fn resize(&self, columns: u16) {
        self.tmux(&["resize-window", "-x", &columns.to_string()]);
    }

    /// What stands on it, without the blank lines at its end.
    pub(crate) fn shows(&self) -> String {
        String::from_utf8_lossy(&self.tmux(&["capture-pane", "-p"]).stdout).trim_end().to_owned()
    }

    /// The same with what makes its colours.
    pub(crate) fn shows_with_colours(&self) -> String {
        String::from_utf8_lossy(&self.tmux(&["capture-pane", "-p", "-e"]).stdout).trim_end().to_owned()
    }

    pub(crate) fn wait_for(&self, words: &str) -> String {
        eventually(words, || self.shows().contains(words));
        self.shows()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

/// Whatever only a moving line has.
const MOVING: [char; 13] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏', '━', '─', '╸'];

/// How many bars there are; each is another's remains but one.
fn bars(shown: &str) -> usize {
    shown.lines().filter(|line| line.contains("✔ ") && line.contains("✘ ")).count()
}

fn unfinished() -> Backend {
    Backend::start(|asked| state(if asked.id().starts_with("good") { "completed" } else { "pending" }))
}

fn wait(backend: &Backend, ids: &str) -> String {
    let url = backend.url();
    format!("jobwatch wait --api tracker --base-url {url} --min-delay 100ms --max-delay 300ms {ids}")
}

#[test]
fn a_demo_moves_and_leaves_its_table_alone() {
    let Some(terminal) = Terminal::start(80, 30, "jobwatch demo --seed 4 --speed 20") else { return };
    let shown = terminal.wait_for("0/12");
    assert_eq!((bars(&shown), shown.matches("next in").count()), (1, 12), "{shown}");
    let shown = terminal.wait_for("[status 0]");
    assert!(shown.contains("12 jobs of 20 to 40 s") && shown.contains("detection delay"), "{shown}");
    assert!(!shown.contains(MOVING), "{shown}");
    assert_eq!(shown.matches("succeeded ").count(), 12, "{shown}");
}

#[test]
fn an_interruption_leaves_what_was_told_and_nothing_else() {
    let backend = unfinished();
    let ids = "good-1 slow-1 動画の翻訳ジョブ-その一-とても長い名前のジョブです slow-2 \
               a-job-with-a-name-that-is-longer-than-any-column-of-the-terminal-could-ever-hold-0000000000001";
    let Some(terminal) = Terminal::start(80, 24, &wait(&backend, ids)) else { return };
    let shown = terminal.wait_for("1/5");
    assert_eq!(bars(&shown), 1, "{shown}");
    // The columns stand below each other, whatever is in them.
    let columns: Vec<_> = shown.lines().filter_map(|line| line.split_once("  pending ")).map(|(id, _)| id).collect();
    assert_eq!(columns.len(), 4, "{shown}");
    assert!(columns.iter().any(|id| id.ends_with('…')), "{shown}");

    terminal.key("C-c");
    let shown = terminal.wait_for("[status 130]");
    assert!(!shown.contains(MOVING), "{shown}");
    assert!(shown.contains("slow-1  stopped the wait was stopped; last seen: pending"), "{shown}");
    assert!(shown.contains("5 jobs: 1 succeeded, 4 stopped") && shown.contains("to go on waiting"), "{shown}");
}

#[test]
fn lines_follow_the_window() {
    let backend = unfinished();
    let ids = "good-1 6f35fc9a-0115-475c-ab32-090fee056c3d 22cf4ff8-546a-4c43-9ff6-f10152faf8f8 slow";
    let Some(terminal) = Terminal::start(100, 20, &wait(&backend, ids)) else { return };
    terminal.wait_for("6f35fc9a-0115-475c-ab32-090fee056c3d  pending");
    // When it gets narrower, the terminal wraps what is there before it tells: rows may be left above, never below.
    for columns in [140, 60, 20, 100] {
        terminal.resize(columns);
        eventually("lines for this width", || {
            let shown = terminal.shows();
            let last: Vec<&str> = shown.lines().rev().take(4).collect();
            let [bar, slow, second, first] = last[..] else { return false };
            let is_whole = second.contains("22cf4ff8-546a-4c43-9ff6-f10152faf8f8  pending ");
            let is_told = first.contains("6f35fc9") && second.contains("22cf4ff") && slow.contains("slow");
            is_told && bar.contains("1/4  ✔ 1  ✘ 0") && is_whole == (columns >= 100)
        });
        if columns > 100 {
            assert_eq!(bars(&terminal.shows()), 1, "{}", terminal.shows());
        }
    }
    terminal.key("C-c");
    terminal.wait_for("[status 130]");
}

#[test]
fn many_jobs_are_figures() {
    let backend = unfinished();
    let ids: Vec<_> = (0..1_000).map(|number| format!("slow-{number}")).collect();
    let scratch = Scratch::new();
    let ids = scratch.file("ids", &ids.join("\n"));
    let line = format!("{} --rate 10000/s --concurrency 100 <{ids}", wait(&backend, "-"));
    let Some(terminal) = Terminal::start(80, 24, &line) else { return };
    let shown = terminal.wait_for("1000 unfinished");
    assert!(bars(&shown) == 1 && shown.contains("0/1000") && shown.contains("slow-0 "), "{shown}");
    assert!(shown.lines().count() < 10, "{shown}");
    terminal.key("C-c");
    terminal.wait_for("[status 130]");
}

#[test]
fn colours_are_those_of_the_theme_or_none() {
    let backend = unfinished();
    let line = wait(&backend, "good-1 slow");
    let Some(terminal) = Terminal::start(80, 24, &line) else { return };
    terminal.wait_for("1/2");
    let shown = terminal.shows_with_colours();
    // Of the sixteen that every theme has, and none of them white, black or yellow, which are not to be seen on one of them.
    assert!(shown.contains("\u{1b}[36m") && shown.contains("\u{1b}[32m"), "{shown:?}");
    for colour in ["[38;", "[48;", "[30m", "[33m", "[37m", "[90m", "[97m"] {
        assert!(!shown.contains(colour), "{colour}: {shown:?}");
    }
    let Some(terminal) = Terminal::start(80, 24, &format!("NO_COLOR=1 {line}")) else { return };
    terminal.wait_for("1/2");
    assert!(!terminal.shows_with_colours().contains("\u{1b}["), "{:?}", terminal.shows_with_colours());
}

#[test]
fn a_terminal_that_cannot_move_its_cursor_gets_lines() {
    let backend = unfinished();
    let Some(terminal) = Terminal::start(80, 24, &format!("TERM=dumb {}", wait(&backend, "slow"))) else { return };
    let shown = terminal.wait_for("slow: pending");
    assert!(!shown.contains(MOVING) && bars(&shown) == 0, "{shown}");
    terminal.key("C-c");
    terminal.wait_for("[status 130]");
}

#[test]
fn who_types_ids_is_told_so() {
    let backend = unfinished();
    let Some(terminal) = Terminal::start(80, 24, &wait(&backend, "-")) else { return };
    terminal.wait_for("Ctrl-D ends them");
    for key in ["good-1", "Enter", "C-d"] {
        terminal.key(key);
    }
    let shown = terminal.wait_for("[status 0]");
    assert!(shown.contains("good-1  succeeded       completed"), "{shown}");
}

#[test]
fn an_interrupted_pipe_tells_how_to_go_on() {
    let backend = unfinished();
    // The signal ends `cat`, too.
    let Some(terminal) = Terminal::start(80, 24, &format!("{} | cat", wait(&backend, "slow-1 slow-2"))) else { return };
    terminal.wait_for("0/2");
    terminal.key("C-c");
    let shown = terminal.wait_for("not known to have ended: 2; to go on waiting:");
    assert!(!shown.contains(MOVING), "{shown}");
}
