//! The file form of a dialect: parsed into a [`Description`] that cannot be wrong, or refused with the key's name and
//! line.

mod check;
mod error;
mod sections;

use toml::de::{DeTable, DeValue};

use super::description::Description;
pub use error::DialectError;
use sections::File;

pub(super) fn parse(text: &str) -> Result<Description, DialectError> {
    let file: File = toml::from_str(text).map_err(|error| DialectError::new("", error))?;
    file.check().map_err(|error| {
        let line = line_of(text, error.key());
        error.on_line(line)
    })
}

/// The line, from 1, of a key such as `state.pointer` or `refine[1].then`, or of as much of it as is there.
fn line_of(text: &str, key: &str) -> Option<usize> {
    let document = DeTable::parse(text).ok()?;
    let mut table = document.get_ref();
    let mut at = None;
    for segment in key.split('.') {
        let (name, index) = match segment.split_once('[') {
            Some((name, index)) => (name, index.trim_end_matches(']').parse().ok()),
            None => (segment, None),
        };
        let Some((found, mut value)) = table.iter().find(|(known, _)| known.get_ref() == name) else { break };
        at = Some(found.span().start);
        if let (Some(index), DeValue::Array(values)) = (index, value.get_ref())
            && let Some(entry) = values.get::<usize>(index)
        {
            at = Some(entry.span().start);
            value = entry;
        }
        let DeValue::Table(next) = value.get_ref() else { break };
        table = next;
    }
    Some(text.get(..at?)?.matches('\n').count() + 1)
}
