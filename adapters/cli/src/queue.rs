//! `jobwatch queue`.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use jobwatch_pgmq::{Queue, QueueStatus};
use serde::Serialize;

use crate::args::QueueArgs;
use crate::database;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::report::one_line;

#[derive(Serialize)]
struct Line<'a> {
    v: u8,
    r#type: &'static str,
    queue: &'a str,
    waiting: u64,
    running: u64,
    oldest_waiting_s: Option<f64>,
    set_aside: u64,
    ended: &'a BTreeMap<String, u64>,
    workers: Vec<WorkerLine<'a>>,
}

#[derive(Serialize)]
struct WorkerLine<'a> {
    name: &'a str,
    /// How long ago something was heard of it; `null` for one that has left.
    seen_s: Option<f64>,
    running: u64,
    ended: &'a BTreeMap<String, u64>,
}

pub(crate) async fn queue(args: &QueueArgs) -> Result<u8, Failure> {
    let address = database::address(&args.database)?;
    let name = &args.database.queue;
    let interrupt = Interrupt::watch()?;
    let look = async { Ok(Queue::find(&address, name).await?.status().await?) };
    let status = interrupt.or(look).await?;
    let mut out = io::stdout().lock();
    if args.json {
        serde_json::to_writer(&mut out, &line(name, &status)).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        writeln!(out, "{}", sentence(&status))?;
        if !status.workers.is_empty() {
            writeln!(out, "{}", table(&status))?;
        }
    }
    out.flush()?;
    Ok(0)
}

fn line<'a>(name: &'a str, status: &'a QueueStatus) -> Line<'a> {
    let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
    let workers = status.workers.iter().map(|worker| WorkerLine {
        name: &worker.name,
        seen_s: seconds(worker.seen),
        running: worker.running,
        ended: &worker.ended,
    });
    Line {
        v: 1,
        r#type: "queue",
        queue: name,
        waiting: status.waiting,
        running: status.running,
        oldest_waiting_s: seconds(status.oldest_waiting),
        set_aside: status.set_aside,
        ended: &status.ended,
        workers: workers.collect(),
    }
}

fn sentence(status: &QueueStatus) -> String {
    let oldest = status.oldest_waiting.map_or_else(String::new, |time| format!(" (the oldest for {})", whole(time)));
    let aside = match status.set_aside {
        0 => String::new(),
        some => format!(", {some} set aside"),
    };
    format!("{} waiting{oldest}, {} running, {}{aside}", status.waiting, status.running, ended(&status.ended))
}

/// How many have ended, and how.
fn ended(ended: &BTreeMap<String, u64>) -> String {
    let by_outcome: Vec<_> = ended.iter().map(|(outcome, count)| format!("{count} {outcome}")).collect();
    match by_outcome.as_slice() {
        [] => "0 ended".to_owned(),
        some => format!("{} ended: {}", ended.values().sum::<u64>(), some.join(", ")),
    }
}

fn table(status: &QueueStatus) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(["worker", "running", "ended", "last heard of"]);
    for worker in &status.workers {
        let seen = worker.seen.map_or_else(|| "has left".to_owned(), |time| format!("{} ago", whole(time)));
        let ended: u64 = worker.ended.values().sum();
        table.add_row([one_line(&worker.name), worker.running.to_string(), ended.to_string(), seen]);
    }
    for number in [1, 2] {
        if let Some(column) = table.column_mut(number) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// Without fractions of a second.
fn whole(time: Duration) -> String {
    humantime::format_duration(Duration::from_secs(time.as_secs())).to_string()
}
