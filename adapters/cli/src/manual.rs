//! `jobwatch man`: the manual, made of the definitions of the flags.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use clap::{Arg, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::args::{Cli, EXAMPLES, EXIT_STATUS, ManArgs, POLICY};
use crate::failure::Failure;

const PROGRAM: &str = "jobwatch";

const OUTPUTS: &str = "Ids and outcomes go to standard output, one a line; with --json one object a line, and a summary at \
                       the end. Everything else goes to standard error. Durations are written 500ms, 30s, 5m, 1h30m.";

const ENVIRONMENT: &[(&str, &str)] = &[
    ("DATABASE_URL", "The database of enqueue, worker and queue, where --database does not name one"),
    ("JOBWATCH_HISTORY", "What --history is where it is not given"),
    ("JOBWATCH_LOG", "What is logged on standard error, as in jobwatch_reqwest=debug"),
    ("NO_COLOR", "Set to anything, progress has no colours"),
    ("HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY", "How backends are reached"),
];

/// What every command has is told once.
const EVERYWHERE: [&str; 3] = ["help", "version", "verbose"];

/// The two lines with which each piece of a page begins, and which it needs once.
const PREAMBLE: &str = ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n";

pub(crate) fn manual(args: &ManArgs) -> Result<u8, Failure> {
    let mut program = Cli::with_requirements().disable_help_subcommand(true).mut_subcommands(with_short_headings);
    program.build();
    if let Some(directory) = &args.dir {
        return write_pages(&program, directory).map(|()| 0);
    }
    let page = page(&program, true)?;
    let mut out = io::stdout();
    out.write_all(page.as_bytes())?;
    out.flush()?;
    Ok(0)
}

/// A heading is written in capitals, which units are not.
fn with_short_headings(command: Command) -> Command {
    command.mut_args(|arg| if arg.get_help_heading() == Some(POLICY) { arg.help_heading("Policy") } else { arg })
}

/// A page for each command.
fn write_pages(program: &Command, directory: &Path) -> Result<(), Failure> {
    let unwritable = |path: &Path, error| Failure::local(format_args!("{} cannot be written: {error}", path.display()));
    fs::create_dir_all(directory).map_err(|error| unwritable(directory, error))?;
    for command in [program].into_iter().chain(inner_commands(program)) {
        let path = directory.join(Man::new(command.clone()).get_filename());
        fs::write(&path, page(command, false)?).map_err(|error| unwritable(&path, error))?;
    }
    Ok(())
}

/// The page of a command: a whole one has all commands below it as chapters, another names them.
fn page(command: &Command, whole: bool) -> io::Result<String> {
    let man = Man::new(command.clone());
    let mut page = title(command).into_bytes();
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    write_paragraph(OUTPUTS, &mut page)?;
    man.render_options_section(&mut page)?;
    if whole {
        for inner in inner_commands(command) {
            write_chapter(inner, &mut page)?;
        }
    } else if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    if command.get_name() == PROGRAM {
        write_list("EXIT STATUS", &statuses(), &mut page)?;
        write_list("ENVIRONMENT", ENVIRONMENT, &mut page)?;
        write_examples("SH", EXAMPLES, &mut page)?;
    } else if let Some(examples) = command.get_after_help() {
        write_examples("SH", &examples.to_string(), &mut page)?;
    }
    let page = String::from_utf8_lossy(&page);
    Ok(format!("{PREAMBLE}{}", in_ascii(&page.replace(PREAMBLE, ""))))
}

/// Other letters as roff names them, whatever encoding a reader expects.
fn in_ascii(page: &str) -> String {
    let write = |c: char| if c.is_ascii() { c.to_string() } else { format!("\\[u{:04X}]", u32::from(c)) };
    page.chars().map(write).collect()
}

/// The first line: without a date, which would be that of the build.
fn title(command: &Command) -> String {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_uppercase();
    format!(".TH \"{name}\" \"1\" \"\" \"{PROGRAM} {}\" \"User Commands\"\n", env!("CARGO_PKG_VERSION"))
}

/// One command in the page of the program.
fn write_chapter(command: &Command, page: &mut Vec<u8>) -> io::Result<()> {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name()).to_uppercase();
    let mut heading = Roff::default();
    heading.control("SH", [name.as_str()]);
    heading.to_writer(page)?;
    let hidden = |arg: Arg| if EVERYWHERE.contains(&arg.get_id().as_str()) { arg.hide(true) } else { arg };
    let man = Man::new(command.clone().mut_args(hidden));
    let mut sections = Vec::new();
    man.render_synopsis_section(&mut sections)?;
    man.render_description_section(&mut sections)?;
    man.render_options_section(&mut sections)?;
    // What is a section of a page of its own is part of one here.
    let sections = String::from_utf8_lossy(&sections).replace("\n.SH ", "\n.SS ");
    let sections = sections.replacen(".SS SYNOPSIS\n", "", 1).replacen(".SS DESCRIPTION\n", ".PP\n", 1);
    page.extend_from_slice(sections.as_bytes());
    match command.get_after_help() {
        Some(examples) => write_examples("SS", &examples.to_string(), page),
        None => Ok(()),
    }
}

fn write_paragraph(text: &str, page: &mut Vec<u8>) -> io::Result<()> {
    let mut roff = Roff::default();
    roff.control("PP", []).text([roman(text)]);
    roff.to_writer(page)
}

/// The exit statuses with their meanings.
fn statuses() -> Vec<(&'static str, &'static str)> {
    let is_number = |c: char| c.is_ascii_digit() || ", ".contains(c);
    let split = |line: &'static str| line.split_at(line.find(|c| !is_number(c)).unwrap_or(line.len()));
    EXIT_STATUS.lines().map(split).map(|(number, meaning)| (number.trim(), meaning)).collect()
}

fn write_list(heading: &str, items: &[(&str, &str)], page: &mut Vec<u8>) -> io::Result<()> {
    let mut roff = Roff::default();
    roff.control("SH", [heading]);
    for (name, meaning) in items {
        roff.control("TP", []).text([bold(*name)]).text([roman(*meaning)]);
    }
    roff.to_writer(page)
}

/// Lines that are not filled.
fn write_examples(level: &str, lines: &str, page: &mut Vec<u8>) -> io::Result<()> {
    let mut roff = Roff::default();
    roff.control(level, ["EXAMPLES"]).control("nf", []);
    for line in lines.lines() {
        roff.text([roman(line)]);
    }
    roff.control("fi", []);
    roff.to_writer(page)
}

/// All commands below this one.
fn inner_commands(command: &Command) -> Vec<&Command> {
    command.get_subcommands().flat_map(|inner| [vec![inner], inner_commands(inner)].concat()).collect()
}
