//! Ends that the database has not recorded yet. They are kept until it has.

use std::collections::VecDeque;

use jobwatch::Finished;
use serde_json::Value;

use crate::{Claim, Error};

/// So many ends are recorded in one transaction.
const BATCH: usize = 500;

/// Their results have at most about so many bytes together, a single one of more apart.
const BATCH_BYTES: usize = 4 << 20;

/// How a wait for an owned job has ended.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) claim: Claim,
    pub(super) finished: Finished,
}

#[derive(Debug, Default)]
pub(super) struct Outbox {
    ends: VecDeque<End>,
    /// So many of the first are recorded one by one: one of them is to blame for a refusal.
    one_by_one: usize,
}

impl Outbox {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub(super) fn push(&mut self, end: End) {
        self.ends.push_back(end);
    }

    pub(super) fn claims(&self) -> impl Iterator<Item = Claim> {
        self.ends.iter().map(|end| end.claim)
    }

    /// The next to be recorded together.
    pub(super) fn batch(&mut self) -> Vec<End> {
        let most = if self.one_by_one > 0 { 1 } else { BATCH };
        self.one_by_one = self.one_by_one.saturating_sub(1);
        let mut bytes = 0;
        let mut batch = Vec::new();
        while batch.len() < most
            && let Some(end) = self.ends.front()
        {
            bytes += end.finished.result.as_ref().map_or(0, size_of_text);
            if bytes > BATCH_BYTES && !batch.is_empty() {
                break;
            }
            batch.extend(self.ends.pop_front());
        }
        batch
    }

    /// They were not recorded: to be tried again as they are.
    pub(super) fn take_back(&mut self, batch: Vec<End>) {
        for end in batch.into_iter().rev() {
            self.ends.push_front(end);
        }
    }

    /// The database does not take one of their values. The one to blame is recorded without what cannot be stored; an end
    /// that has nothing more to leave out cannot be recorded at all.
    pub(super) fn take_back_refused(&mut self, mut batch: Vec<End>, problem: &str) -> Result<(), Error> {
        match batch.as_mut_slice() {
            [end] if end.finished.result.is_some() => {
                end.finished.result = None;
                end.finished.error = Some(format!("the result could not be stored: {problem}"));
                self.one_by_one += 1;
            }
            [_] | [] => return Err(Error::Value(problem.to_owned())),
            several => self.one_by_one = several.len(),
        }
        self.take_back(batch);
        Ok(())
    }
}

/// About how many bytes a value has as JSON.
fn size_of_text(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 2,
        Value::Array(items) => items.iter().map(|item| size_of_text(item) + 1).sum::<usize>() + 2,
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| name.len() + size_of_text(value) + 4).sum::<usize>() + 2
        }
        _ => 8,
    }
}
