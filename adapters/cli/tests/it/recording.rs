//! The picture of a terminal in the README: a real session, as tmux shows it, drawn as SVG for light and dark.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use crate::program::{eventually, jobwatch, sorted};
use crate::terminal::Terminal;

/// What is seen. The seed makes the same jobs wherever it runs.
const COMMAND: &str = "jobwatch demo --seed 20";
const COLUMNS: u16 = 80;
const ROWS: u16 = 30;

/// A cell, in pixels.
const WIDTH: f64 = 8.0;
const HEIGHT: f64 = 18.0;
const MARGIN: f64 = 14.0;

const STYLE: &str = "\
.w{fill:#fff;stroke:#d0d7de}text{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;\
fill:#1f2328;white-space:pre}.green{fill:#1a7f37}.red{fill:#cf222e}.magenta{fill:#8250df}.cyan{fill:#1b7c83}.dim{opacity:.45}\
@media(prefers-color-scheme:dark){.w{fill:#0d1117;stroke:#30363d}text{fill:#e6edf3}.green{fill:#3fb950}.red{fill:#ff7b72}\
.magenta{fill:#d2a8ff}.cyan{fill:#56d4dd}}";

fn kept() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../src/guide/terminal.svg"))
}

/// Takes it anew: `cargo test -p jobwatch-cli --test it -- --ignored take_the_picture`.
#[test]
#[ignore = "it writes the picture of the README"]
fn take_the_picture_of_the_terminal() {
    let line = format!("echo '$ {COMMAND}'; {COMMAND}");
    let terminal = Terminal::start(COLUMNS, ROWS, &line).expect("there is tmux");
    let half = |shown: &str| (4..9).any(|ended| shown.contains(&format!(" {ended}/12")));
    let mut screens = Vec::new();
    eventually("half of the jobs have ended", || half(&terminal.shows()));
    screens.push(terminal.shows_with_colours());
    terminal.wait_for("[status 0]");
    let end = terminal.shows_with_colours();
    screens.push(end.split("[status").next().unwrap_or_default().trim_end().to_owned());
    fs::write(kept(), drawn(&screens)).expect("it can be written");
}

#[test]
fn the_picture_of_the_terminal_is_of_this_program() {
    let kept = fs::read_to_string(kept()).expect("there is one");
    assert!(kept.len() < 60_000, "it is large");
    let picture = roxmltree::Document::parse(&kept).expect("it is XML");
    let texts: Vec<&str> =
        picture.descendants().filter(roxmltree::Node::is_text).filter_map(|node| node.text()).collect();
    let shown = |words: &str| texts.iter().any(|text| text.contains(words));

    let ran = jobwatch(&COMMAND.split(' ').skip(1).collect::<Vec<_>>()).args(&["--speed", "100"]).run().exits_with(0);
    assert!(shown(&format!("$ {COMMAND}")));
    for line in ran.err.lines().filter(|line| line.contains("apart") || line.contains("pending\" until")) {
        assert!(shown(line), "it says now: {line}");
    }
    // The header of the table, and a row for each job, in whatever order.
    let mut rows: Vec<&str> = ran.out.lines().take_while(|line| !line.is_empty()).collect();
    for column in rows.remove(0).split_whitespace() {
        assert!(shown(column), "no column {column}");
    }
    let ended = |row: &&str| row.split_whitespace().take(3).map(str::to_owned).collect::<Vec<_>>().join(" ");
    for row in sorted(rows.iter().map(ended)) {
        let (id, outcome) = row.split_once(' ').expect("a row has columns");
        let place = texts.iter().position(|text| *text == id).unwrap_or_else(|| panic!("no {id}"));
        assert_eq!(texts[place + 1..].iter().copied().find(|text| !text.trim().is_empty()), Some(outcome), "{id}");
    }
    for figure in ran.out.lines().filter_map(|line| line.trim().split_once("  ")).map(|(name, _)| name).skip(13) {
        assert!(shown(figure), "no {figure}");
    }
}

/// Screens below each other, each in a window.
fn drawn(screens: &[String]) -> String {
    let width = f64::from(COLUMNS) * WIDTH + 2.0 * MARGIN;
    let mut windows = String::new();
    let mut top = 0.5;
    for screen in screens {
        let lines: Vec<&str> = screen.lines().collect();
        #[allow(clippy::cast_precision_loss)] // a screen has few rows
        let height = lines.len() as f64 * HEIGHT + 2.0 * MARGIN;
        let _ = writeln!(windows, r#"<rect class="w" x=".5" y="{top}" width="{width}" height="{height}" rx="8"/>"#);
        for (row, line) in lines.iter().enumerate() {
            #[allow(clippy::cast_precision_loss)]
            let base = top + MARGIN + (row as f64 + 0.75) * HEIGHT;
            for run in runs(line) {
                draw_run(&run, base, &mut windows);
            }
        }
        top += height + 10.0;
    }
    let (width, height) = (width + 1.0, top - 9.5);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         role=\"img\">\n<title>{COMMAND}: half-way, and at its end</title>\n<style>{STYLE}</style>\n{windows}</svg>\n"
    )
}

/// A piece of a line in one colour, without wide gaps.
#[derive(Debug, PartialEq, Eq)]
struct Run {
    column: usize,
    text: String,
    class: &'static str,
}

/// Whatever the font, each run has the width of its cells.
fn draw_run(run: &Run, base: f64, to: &mut String) {
    #[allow(clippy::cast_precision_loss)]
    let (x, length) = (0.5 + MARGIN + run.column as f64 * WIDTH, run.text.chars().count() as f64 * WIDTH);
    let class = if run.class.is_empty() { String::new() } else { format!(" class=\"{}\"", run.class) };
    let text = run.text.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(
        to,
        "<text x=\"{x}\" y=\"{base}\" textLength=\"{length}\" lengthAdjust=\"spacingAndGlyphs\"{class}>{text}</text>"
    );
}

/// A line of tmux in runs. Colours are told by escapes, and no others are there.
fn runs(line: &str) -> Vec<Run> {
    let (mut runs, mut class, mut column): (Vec<Run>, _, _) = (Vec::new(), "", 0);
    let mut rest = line;
    while let Some(next) = rest.chars().next() {
        if let Some(escape) = rest.strip_prefix("\u{1b}[") {
            let (codes, behind) = escape.split_once('m').expect("only colours are told");
            for code in codes.split(';') {
                class = class_of(code, class);
            }
            rest = behind;
            continue;
        }
        rest = &rest[next.len_utf8()..];
        match runs.last_mut() {
            // One blank belongs to the words beside it, and more are a gap.
            Some(run) if run.class == class && run.column + run.text.chars().count() + 2 > column && next != ' ' => {
                if run.column + run.text.chars().count() < column {
                    run.text.push(' ');
                }
                run.text.push(next);
            }
            _ if next != ' ' => runs.push(Run { column, text: next.to_string(), class }),
            _ => {}
        }
        column += 1;
    }
    runs
}

fn class_of(code: &str, before: &'static str) -> &'static str {
    match code {
        "" | "0" | "39" | "22" => "",
        "2" => "dim",
        "31" => "red",
        "32" => "green",
        "35" => "magenta",
        "36" => "cyan",
        "1" | "49" => before,
        other => panic!("this colour has no class yet: {other}"),
    }
}

#[test]
fn lines_are_runs_of_one_colour() {
    let run = |column, text: &str, class| Run { column, text: text.to_owned(), class };
    let line = "\u{1b}[36m⠋\u{1b}[39m a b  c\u{1b}[2m──\u{1b}[0m <";
    let expected = [run(0, "⠋", "cyan"), run(2, "a b", ""), run(7, "c", ""), run(8, "──", "dim"), run(11, "<", "")];
    assert_eq!(runs(line), expected);
    let picture = drawn(&[line.to_owned()]);
    assert!(roxmltree::Document::parse(&picture).is_ok(), "{picture}");
}
