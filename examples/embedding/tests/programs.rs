//! Each program runs to its end and says that it was the right one; what is called short is short.

use std::process::Command;

fn runs(program: &str) -> String {
    let output = Command::new(program).output().expect("it was built");
    let (told, complaint) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program}: {}\n{told}\n{complaint}", output.status);
    told.into_owned()
}

#[test]
fn plain_thread() {
    assert!(runs(env!("CARGO_BIN_EXE_plain_thread")).contains(": succeeded after "));
}

#[test]
fn own_runtime() {
    assert_eq!(runs(env!("CARGO_BIN_EXE_own_runtime")).matches(": succeeded after ").count(), 12);
}

#[test]
fn own_schedule() {
    assert!(runs(env!("CARGO_BIN_EXE_own_schedule")).contains("\nsucceeded after "));
}

#[test]
fn own_dialect() {
    assert!(runs(env!("CARGO_BIN_EXE_own_dialect")).contains(": succeeded (completed)"));
}

#[test]
fn tokio_select() {
    let told = runs(env!("CARGO_BIN_EXE_tokio_select"));
    assert!(told.contains("shutting down with "), "{told}");
    assert_eq!(told.matches("\tsucceeded\n").count(), 10, "{told}");
}

#[test]
fn axum_service() {
    let told = runs(env!("CARGO_BIN_EXE_axum_service"));
    assert!(told.contains("data: succeeded\n") && told.contains("kept for the next run: [{"), "{told}");
}

/// The lines of an item, from the one that starts so to the one that closes it.
fn lines(source: &str, start: &str, end: &str) -> usize {
    let from = source.find(start).unwrap_or_else(|| panic!("no {start}"));
    let item = &source[from..];
    item[..item.find(end).expect("it ends")].trim_end().lines().count() + 1
}

#[test]
fn what_is_of_ones_own_takes_less_than_thirty_lines() {
    let dialect = lines(include_str!("../src/bin/own_dialect.rs"), "const RENDER_FARM", "\n\"#;");
    let schedule = lines(include_str!("../src/bin/own_schedule.rs"), "struct TenthOfAge;", "\n}");
    let runtime = lines(include_str!("../src/bin/own_runtime.rs"), "async fn drive", "\n}");
    println!("dialect {dialect}, schedule {schedule}, runtime {runtime}");
    assert!(dialect < 30 && schedule < 30 && runtime < 30, "{dialect}, {schedule}, {runtime}");
}
