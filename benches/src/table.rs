//! Tables that people read and that the program of this package collects: a heading, and rows of a name and figures, with tabs between them.

use std::fmt::Write;

/// Prints what a table tells, and the names of its columns.
pub fn heading(title: &str, columns: &[&str]) {
    println!("\n# {}", line(title, columns.iter().copied()));
}

/// Prints what was measured.
pub fn row(name: &str, figures: &[String]) {
    println!("{}", line(name, figures.iter().map(String::as_str)));
}

fn line<'a>(name: &str, figures: impl Iterator<Item = &'a str>) -> String {
    figures.fold(format!("{name:<58}"), |mut line, figure| {
        let _ = write!(line, "\t{figure:>14}"); // a String takes everything
        line
    })
}

/// The tables of what a benchmark printed, in Markdown; other lines are left out.
pub fn markdown(printed: &str) -> String {
    let mut tables = String::new();
    for line in printed.lines().filter(|line| line.contains('\t')) {
        let cells: Vec<_> = line.split('\t').map(|cell| cell.trim().replace('|', "\\|")).collect();
        let _ = match cells.split_first() {
            Some((title, columns)) if line.starts_with("# ") => {
                let title = title.trim_start_matches("# ");
                writeln!(tables, "\n| {title} | {} |\n|---|{}", columns.join(" | "), "--:|".repeat(columns.len()))
            }
            _ => writeln!(tables, "| {} |", cells.join(" | ")),
        };
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_printed_becomes_tables_and_the_rest_is_left_out() {
        let printed = format!(
            "a line that tells something\n# {}\n{}\n",
            line("timers", ["ns", "bytes"].into_iter()),
            line("a | b", ["1", "2"].into_iter())
        );
        assert_eq!(markdown(&printed), "\n| timers | ns | bytes |\n|---|--:|--:|\n| a \\| b | 1 | 2 |\n");
    }
}
