//! The blocks of a Markdown file, and the commands in them.

/// A fenced block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// Where its first line is: `README.md:12`.
    pub(super) place: String,
    /// The first word behind the fence.
    pub(super) language: String,
    pub(super) text: String,
    /// Nothing but blank lines stands between it and the block before.
    pub(super) follows: bool,
}

pub(super) fn blocks(file: &str, markdown: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut is_open = false;
    // Before the first block there is none that it could follow.
    let mut prose = true;
    for (line, number) in markdown.lines().zip(1..) {
        if let Some(info) = line.trim_start().strip_prefix("```") {
            is_open = !is_open;
            if is_open {
                let language = info.split([' ', ',']).next().unwrap_or_default().to_owned();
                let place = format!("{file}:{}", number + 1);
                blocks.push(Block { place, language, text: String::new(), follows: !std::mem::take(&mut prose) });
            }
        } else if is_open {
            let block = blocks.last_mut().expect("one is open");
            block.text.push_str(line);
            block.text.push('\n');
        } else {
            prose |= !line.trim().is_empty();
        }
    }
    assert!(!is_open, "{file}: a block has no end");
    blocks
}

/// The commands of a transcript, each with the output that is printed below it.
pub(super) fn transcript(text: &str) -> Vec<(String, String)> {
    let mut commands: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            commands.push((command.to_owned(), String::new()));
        } else if let Some((command, output)) = commands.last_mut() {
            let is_continued = output.is_empty() && command.trim_end().ends_with(['\\', '|']);
            let to = if is_continued { command } else { output };
            if is_continued || !to.is_empty() {
                to.push('\n');
            }
            to.push_str(line);
        }
    }
    commands
}

/// A line without the remark behind it.
pub(super) fn without_remark(line: &str) -> &str {
    line.split("  # ").next().unwrap_or_default().trim()
}

/// Whether a line is what was printed: ids are others each time, and numbers differ by a hair on another machine.
pub(super) fn is_alike(printed: &str, told: &str) -> bool {
    let (printed, told): (Vec<_>, Vec<_>) = (printed.split_whitespace().collect(), told.split_whitespace().collect());
    let is_id = |word: &str| word.len() == 36 && word.chars().all(|c| c == '-' || c.is_ascii_hexdigit());
    let alike = |(a, b): (&&str, &&str)| match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => (a - b).abs() <= 0.02 * a.abs().max(1.0),
        _ => a == b || (is_id(a) && is_id(b)),
    };
    printed.len() == told.len() && printed.iter().zip(&told).all(alike)
}

#[test]
fn blocks_are_found_with_their_places() {
    let found = blocks("a.md", "one\n```sh\nx\ny\n```\n\n```text\nz\n```\ntwo\n ```rust,no_run\n ```\n");
    let block = |place: &str, language: &str, text: &str, follows| {
        let [place, language, text] = [place, language, text].map(str::to_owned);
        Block { place, language, text, follows }
    };
    let expected = [
        block("a.md:3", "sh", "x\ny\n", false),
        block("a.md:8", "text", "z\n", true),
        block("a.md:12", "rust", "", false),
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_transcript_has_commands_and_their_outputs() {
    let found = transcript("aside\n$ a |\n  b\nout\n\nmore\n$ c\n");
    let expected = [("a |\n  b", "out\n\nmore"), ("c", "")];
    assert_eq!(found, expected.map(|(command, output)| (command.to_owned(), output.to_owned())));
}

#[test]
fn only_ids_and_hairs_may_differ() {
    let (a, b) = ("0f9f9a52-5b1f-4bd1-93c5-d3fd7d0a2b4e", "ce4f1a35-2a6e-4c51-8a86-1f4c0a2d7f5b");
    assert!(is_alike(&format!("{a}\tsucceeded"), &format!("{b}\tsucceeded")));
    assert!(!is_alike(&format!("{a}\tsucceeded"), &format!("{b}\tfailed")));
    assert!(is_alike("learned  1.78", "learned 1.79") && !is_alike("learned 1.78", "learned 2.78"));
    assert!(!is_alike("learned 1.78", "learned 1.78 3"));
}
