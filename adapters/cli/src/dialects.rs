//! `jobwatch dialects`.

mod answer;
mod reading;

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::time::SystemTime;

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use jobwatch::{Dialect, Timestamp};
use serde::Serialize;

use crate::args::{CheckArgs, DialectsArgs, DialectsCommand};
use crate::failure::Failure;
use crate::target::Target;
use crate::{credentials, target};
use answer::Recorded;
use reading::Explained;

/// Narrow enough for every terminal.
const WIDTH: u16 = 80;

pub(crate) fn dialects(args: &DialectsArgs) -> Result<u8, Failure> {
    match &args.command {
        None if args.json => list_as_json()?,
        None => list()?,
        Some(DialectsCommand::Show { preset }) => show(preset)?,
        Some(DialectsCommand::Check(args)) => check(args)?,
    }
    Ok(0)
}

/// What a dialect is and can, as a machine reads it.
#[derive(Serialize)]
struct DialectLine<'a> {
    v: u8,
    r#type: &'static str,
    name: &'a str,
    about: &'a str,
    untried: bool,
    base_url: Option<&'a str>,
    create: bool,
    /// The most jobs of one look.
    bulk: Option<u16>,
    cancel: bool,
    freshness_s: f64,
    credential_headers: Vec<&'a str>,
    key_variable: Option<&'a str>,
}

impl<'a> DialectLine<'a> {
    fn of(dialect: &'a Dialect) -> Self {
        Self {
            v: 1,
            r#type: "dialect",
            name: dialect.name(),
            about: dialect.about(),
            untried: dialect.is_untried(),
            base_url: dialect.base_url(),
            create: dialect.can_create(),
            bulk: dialect.bulk_limit(),
            cancel: dialect.can_cancel(),
            freshness_s: dialect.freshness().as_secs_f64(),
            credential_headers: dialect.credential_headers().collect(),
            key_variable: dialect.key_variable(),
        }
    }

    /// What it can beside waiting.
    fn abilities(&self) -> String {
        let create = self.create.then(|| "create".to_owned());
        let bulk = self.bulk.map(|most| format!("bulk {most}"));
        let cancel = self.cancel.then(|| "cancel".to_owned());
        [create, bulk, cancel].into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

fn presets() -> impl Iterator<Item = Dialect> {
    Dialect::presets().filter_map(Dialect::preset)
}

fn list_as_json() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for dialect in presets() {
        print_json(&mut out, &DialectLine::of(&dialect))?;
    }
    Ok(())
}

fn list() -> io::Result<()> {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["name", "speaks to; can; is at"]);
    let terminal = table.width().filter(|_| io::stdout().is_terminal());
    table.set_width(terminal.unwrap_or(WIDTH));
    for dialect in presets() {
        let line = DialectLine::of(&dialect);
        let mark = if line.untried { " *" } else { "" };
        let abilities = Some(line.abilities()).filter(|abilities| !abilities.is_empty());
        let facts = [abilities, line.base_url.map(|url| url.trim_end_matches('/').to_owned())];
        let facts: Vec<_> = facts.into_iter().flatten().collect();
        table.add_row([format!("{}{mark}", line.name), format!("{}\n{}", line.about, facts.join("; "))]);
    }
    let mut out = io::stdout().lock();
    writeln!(out, "{}", table.trim_fmt())?;
    writeln!(out)?;
    writeln!(out, "* described from the vendor's documents; nobody could try it on the live service")?;
    writeln!(out, "bulk N: one look asks for N jobs. Where no address is told, give --base-url.")?;
    writeln!(out, "jobwatch dialects show NAME prints a file to start one of your own from.")
}

fn show(name: &str) -> Result<(), Failure> {
    match Dialect::preset_file(name) {
        Some(text) => Ok(io::stdout().lock().write_all(text.as_bytes())?),
        None => Err(target::no_such_preset(name, "")),
    }
}

fn check(args: &CheckArgs) -> Result<(), Failure> {
    let target = Target::named(&args.dialect)?;
    let dialect = &target.dialect;
    let mut out = io::stdout().lock();
    let Some(source) = &args.answer else {
        let line = DialectLine::of(dialect);
        if args.json {
            print_json(&mut out, &line)?;
        } else {
            summarize(&mut out, dialect, &line)?;
        }
        return Ok(());
    };
    let (bytes, source) = match source.as_str() {
        "-" => (io::read_to_string(io::stdin().lock()).map(String::into_bytes), "standard input"),
        path => (fs::read(path), path),
    };
    let bytes = bytes.map_err(|error| Failure::usage(format_args!("cannot read {source}: {error}")))?;
    let recorded = Recorded::parse(bytes).map_err(|problem| Failure::usage(format_args!("{source}: {problem}")))?;
    let now = Timestamp::from(SystemTime::now());
    let reading = dialect.read(&recorded.response, now);
    let policy = dialect.policy().build().map_err(Failure::usage)?;
    let explained = Explained::of(dialect, &policy, &recorded, &reading);
    if args.json {
        print_json(&mut out, &explained)?;
    } else {
        explained.print(&mut out)?;
    }
    Ok(())
}

/// What a well-formed dialect says, in short.
fn summarize(out: &mut impl Write, dialect: &Dialect, line: &DialectLine<'_>) -> Result<(), Failure> {
    let policy = dialect.policy().build().map_err(Failure::usage)?;
    let time = humantime::format_duration;
    writeln!(out, "{} is well-formed", line.name)?;
    let mut row = |name: &str, text: String| reading::row(out, name, &text);
    if !line.about.is_empty() {
        row("about", line.about.to_owned())?;
    }
    row("address", line.base_url.map_or_else(|| "none: give --base-url".to_owned(), str::to_owned))?;
    let abilities = line.abilities();
    row("can", if abilities.is_empty() { "wait".to_owned() } else { format!("wait, {abilities}") })?;
    let longest = policy.max_delay().map_or_else(|| "ever more".to_owned(), |longest| time(longest).to_string());
    let total = policy.total_timeout().map_or_else(String::new, |total| format!(", for {} at the most", time(total)));
    row("asks", format!("every {} to {longest}{total}", time(policy.min_delay())))?;
    if !dialect.freshness().is_zero() {
        row("answers", format!("may be {} old", time(dialect.freshness())))?;
    }
    if let Some(advice) = credentials::advice(dialect) {
        row("key", advice)?;
    }
    if line.untried {
        row("untried", "it is described from documents; nobody could try it on the live service".to_owned())?;
    }
    Ok(())
}

fn print_json(out: &mut impl Write, line: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    writeln!(out)
}
