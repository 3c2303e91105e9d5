//! Ids: from arguments and from the lines of standard input.

use std::io::{self, BufRead, IsTerminal, Read};
use std::path::Path;
use std::thread;

use jobwatch::JobRef;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::failure::Failure;
use crate::view::note;

/// An id is a word; what is longer is a file of something else.
const LONGEST_ID: usize = 8192;

/// A line may hold a whole result beside the id, in JSON as we print it. What is longer has no end of line at all.
const LONGEST_LINE: u64 = 256 << 20;

/// Ids that were read and not taken yet. A faster writer is held up by its pipe.
const READ_AHEAD: usize = 4096;

/// Stands for the ids on standard input.
const STANDARD_INPUT: &str = "-";

type Id = Result<JobRef, Failure>;

/// The jobs named by the arguments; `-` stands for those that standard input names, one a line, to its end.
pub(crate) fn all(ids: &[String]) -> Result<Vec<JobRef>, Failure> {
    let mut jobs = Vec::new();
    for id in ids {
        if id != STANDARD_INPUT {
            jobs.push(argument(id, false)?);
            continue;
        }
        tell_of_terminal();
        let mut lines = Lines::of(io::stdin().lock());
        while let Some(read) = lines.next_id() {
            jobs.push(read?);
        }
    }
    Ok(jobs)
}

/// The jobs named by the arguments themselves, and the others as they come, if there is a `-`.
pub(crate) fn named(ids: &[String], quiet: bool) -> Result<(Vec<JobRef>, Option<Intake>), Failure> {
    let jobs = ids.iter().filter(|id| *id != STANDARD_INPUT).map(|id| argument(id, quiet)).collect::<Result<_, _>>()?;
    let intake = ids.iter().any(|id| id == STANDARD_INPUT).then(Intake::start).transpose()?;
    Ok((jobs, intake))
}

/// Somebody may wonder why nothing happens.
fn tell_of_terminal() {
    if io::stdin().is_terminal() {
        note(format_args!("ids are read from this terminal, one a line; Ctrl-D ends them"));
    }
}

/// The jobs that standard input names, each as its line comes.
pub(crate) struct Intake {
    read: mpsc::Receiver<Id>,
}

impl Intake {
    /// Reads on a thread of its own, which nobody waits for: a read that waits for a line cannot be called off.
    fn start() -> Result<Self, Failure> {
        tell_of_terminal();
        let (sender, read) = mpsc::channel(READ_AHEAD);
        let reader = move || {
            let mut lines = Lines::of(io::stdin().lock());
            while let Some(read) = lines.next_id() {
                // What comes after a bad line is not read: it may be a file of something else.
                let is_last = read.is_err();
                if sender.blocking_send(read).is_err() || is_last {
                    return;
                }
            }
        };
        thread::Builder::new().name("ids".to_owned()).spawn(reader).map_err(Failure::local)?;
        Ok(Self { read })
    }

    /// The next one; `None` at the end.
    pub(crate) async fn first(&mut self) -> Option<Id> {
        self.read.recv().await
    }

    /// Those that have come, once there are any; none at the end. Dropping the future loses none.
    pub(crate) async fn next(&mut self) -> Vec<Id> {
        let mut came = Vec::new();
        self.read.recv_many(&mut came, READ_AHEAD).await;
        came
    }

    /// Reads no more. Gives what was read and not taken, and whether there may be more.
    pub(crate) fn close(mut self) -> (Vec<Id>, bool) {
        let may_have_more = !self.read.is_closed();
        self.read.close();
        let left = std::iter::from_fn(|| self.read.try_recv().ok()).collect();
        (left, may_have_more)
    }
}

struct Lines<R> {
    reader: R,
    line: Vec<u8>,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    fn of(reader: R) -> Self {
        Self { reader, line: Vec::new(), number: 0 }
    }

    /// The id in the next line that has one, or what is wrong with it.
    fn next_id(&mut self) -> Option<Id> {
        loop {
            self.line.clear();
            self.number += 1;
            let unreadable =
                |error: &dyn std::fmt::Display| Failure::usage(format_args!("cannot read standard input: {error}"));
            match self.reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut self.line) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) => return Some(Err(unreadable(&error))),
            }
            let id = match std::str::from_utf8(&self.line) {
                Ok(line) => id_of_line(line.trim_end_matches(['\r', '\n'])),
                Err(error) => return Some(Err(unreadable(&format_args!("line {}: {error}", self.number)))),
            };
            if let Some(id) = id {
                let number = self.number;
                let told = |failure: Failure| {
                    Failure::usage(format_args!("line {number} of standard input: {}", failure.message))
                };
                return Some(job(&id).map_err(told));
            }
        }
    }
}

/// The id in a line: what `submit` and `wait` print can be piped in, so that it is the first column, or the `id` of one
/// of our JSON objects. Empty lines and summaries have none.
fn id_of_line(line: &str) -> Option<String> {
    if let Ok(Value::Object(object)) = serde_json::from_str(line)
        && object.get("v") == Some(&1.into())
    {
        return object.get("id").and_then(Value::as_str).map(str::to_owned);
    }
    let id = line.split('\t').next().unwrap_or_default().trim();
    (!id.is_empty()).then(|| id.to_owned())
}

/// A job that is named by an argument. That it might have been meant as the file of that name is said.
fn argument(id: &str, quiet: bool) -> Result<JobRef, Failure> {
    if !quiet && Path::new(id).is_file() {
        note(format_args!("{id} is taken for an id; the ids in the file of that name are read with: - <{id}"));
    }
    job(id)
}

fn job(id: &str) -> Result<JobRef, Failure> {
    if id.len() > LONGEST_ID {
        return Err(Failure::usage(format_args!("an id has {} bytes; is this a list of ids, one a line?", id.len())));
    }
    JobRef::new(id).map_err(Failure::usage)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_print_can_be_piped_in() {
        let cases = [
            ("plain", Some("plain")),
            ("a b\tsucceeded\tdone", Some("a b")),
            (r#"{"v":1,"type":"created","id":"x"}"#, Some("x")),
            (r#"{"v":1,"type":"summary","summary":{}}"#, None),
            (r#"{"id":1}"#, Some(r#"{"id":1}"#)),
            ("  ", None),
        ];
        for (line, id) in cases {
            assert_eq!(id_of_line(line).as_deref(), id, "{line}");
        }
    }

    #[test]
    fn a_bad_line_is_told_with_its_number() {
        for bad in [&b"a\x07b"[..], b"..", b"\xff", &b"x".repeat(LONGEST_ID + 1)] {
            let input = [&b"a\n\n"[..], bad].concat();
            let mut lines = Lines::of(&input[..]);
            assert_eq!(lines.next_id().map(|read| read.unwrap().id().to_owned()).as_deref(), Some("a"));
            let failure = lines.next_id().unwrap().unwrap_err();
            assert!(failure.status == 2 && failure.message.contains("line 3"), "{}", failure.message);
        }
    }
}
