//! The pictures of the documentation are what the program draws.

use std::fs;
use std::path::PathBuf;

use crate::program::{Scratch, jobwatch};

/// The pictures, and the commands that draw them. The README, `src/learn/idea.rs` and the guide show them.
const PICTURES: [(&str, &[&str]); 4] = [
    ("learn/idea/plan.svg", &["plan", "--schedule", "learned", "--durations", "uniform:20..40", "--created"]),
    ("learn/idea/compare.svg", &["compare", "--durations", "uniform:20..40", "--jobs", "500"]),
    ("guide/compare-long.svg", &["compare", "--durations", "lognormal:480,0.5", "--jobs", "500"]),
    (
        "guide/compare-mix.svg",
        &["compare", "--durations", "mix:0.6*lognormal:30,0.2+0.4*lognormal:600,0.2", "--jobs", "500"],
    ),
];

/// Quarters of a pixel by which another machine's logarithms may move something.
const TOLERANCE: f64 = 2.0;

fn kept(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../src")).join(name)
}

fn drawn(command: &[&str]) -> String {
    let scratch = Scratch::new();
    jobwatch(command).args(&["--svg", &scratch.path("picture.svg")]).run().exits_with(0);
    scratch.read("picture.svg")
}

/// Draws them anew: `cargo test -p jobwatch-cli --test it -- --ignored pictures`.
#[test]
#[ignore = "it writes the pictures of the documentation"]
fn draw_the_pictures_of_the_documentation() {
    for (name, command) in PICTURES {
        fs::write(kept(name), drawn(command)).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn the_pictures_of_the_documentation_are_fresh() {
    for (name, command) in PICTURES {
        let kept = fs::read_to_string(kept(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(kept.len() < 60_000, "{name} is large");
        // A blank line would end the piece of HTML that it is in the documentation.
        assert!(!kept.contains("\n\n"), "{name} has a blank line");
        let is_fresh = are_alike(&kept, &drawn(command));
        assert!(is_fresh, "{name} is stale: cargo test -p jobwatch-cli --test it -- --ignored pictures");
    }
}

/// Whether two pictures are the same but for hairs.
fn are_alike(a: &str, b: &str) -> bool {
    let parts = |text: &str| -> Vec<String> {
        let is_number = |letter: char| letter.is_ascii_digit() || letter == '.' || letter == '-';
        let letters: Vec<char> = text.chars().collect();
        letters.chunk_by(|a, b| is_number(*a) == is_number(*b)).map(|part| part.iter().collect()).collect()
    };
    let (a, b) = (parts(a), parts(b));
    let alike = |(a, b): (&String, &String)| match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => (a - b).abs() <= TOLERANCE,
        _ => a == b,
    };
    a.len() == b.len() && a.iter().zip(&b).all(alike)
}

#[test]
fn hairs_are_alike_and_words_are_not() {
    assert!(are_alike("<circle cx=\"401\"/>", "<circle cx=\"402\"/>"));
    assert!(!are_alike("<circle cx=\"401\"/>", "<circle cx=\"440\"/>"));
    assert!(!are_alike("<circle cx=\"401\"/>", "<circle cy=\"401\"/>"));
    assert!(!are_alike("learned", "learned 2"));
}
