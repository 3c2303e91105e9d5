//! Paths with a job's id in them.

use std::string::String;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};

use crate::LookError;

/// Everything but the unreserved characters of RFC 3986 §2.3 is encoded within an id.
pub(crate) const ID: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Of the reserved characters that RFC 6570 §3.2.3 keeps, those that cannot leave the path.
const PATH: &AsciiSet = &ID
    .remove(b'/')
    .remove(b':')
    .remove(b'@')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=');

/// In a query only a slash stays, since the others may begin another parameter.
const QUERY: &AsciiSet = &ID.remove(b'/');

/// A path with one id in it.
#[derive(Debug)]
pub(crate) struct Template {
    before: String,
    after: String,
    /// Written `{+id}`: an id that is itself a path.
    reserved: bool,
}

impl Template {
    /// `None` where there is not exactly one `{id}` or `{+id}`, or no `/` or `?` at the beginning.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (reserved, (before, after)) = match text.split_once("{+id}") {
            Some(parts) => (true, parts),
            None => (false, text.split_once("{id}")?),
        };
        let plain = !before.contains(['{', '}']) && !after.contains(['{', '}']);
        let template = Self { before: before.into(), after: after.into(), reserved };
        (plain && before.starts_with(['/', '?'])).then_some(template)
    }

    /// The path for an id.
    ///
    /// # Errors
    /// An id that is a path must not climb out of it.
    pub(crate) fn expand(&self, id: &str) -> Result<String, LookError> {
        let id = self.encoded(id)?;
        Ok(std::format!("{}{id}{}", self.before, self.after))
    }

    /// An id as it stands in the path.
    ///
    /// # Errors
    /// As above.
    pub(crate) fn encoded<'i>(&self, id: &'i str) -> Result<PercentEncode<'i>, LookError> {
        if !self.reserved {
            return Ok(utf8_percent_encode(id, ID));
        }
        if id.split('/').any(|segment| matches!(segment, "." | "..")) {
            return Err(LookError::BadUrl);
        }
        Ok(utf8_percent_encode(id, if self.before.contains('?') { QUERY } else { PATH }))
    }

    /// What stands before the id, and after it.
    pub(crate) fn around(&self) -> (&str, &str) {
        (&self.before, &self.after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(template: &str, id: &str) -> Result<String, LookError> {
        Template::parse(template).expect(template).expand(id)
    }

    #[test]
    fn ids_are_encoded_and_paths_keep_their_slashes() {
        let rows = [
            ("/jobs/{id}", "a/b?c#d e", "/jobs/a%2Fb%3Fc%23d%20e"),
            ("/jobs/{id}/state", "ä", "/jobs/%C3%A4/state"),
            ("?command=STATUS&media_id={id}", "7&x=1", "?command=STATUS&media_id=7%26x%3D1"),
            ("/v1/{+id}", "projects/p/operations/7", "/v1/projects/p/operations/7"),
            ("/v1/{+id}:cancel", "operations/a:b", "/v1/operations/a:b:cancel"),
            ("/v1/{+id}", "a?b#c\\d%2e%2e", "/v1/a%3Fb%23c%5Cd%252e%252e"),
            ("/v1?job={+id}", "a/b&c=d", "/v1?job=a/b%26c%3Dd"),
        ];
        for (template, id, path) in rows {
            assert_eq!(expand(template, id).as_deref(), Ok(path));
        }
    }

    #[test]
    fn a_path_cannot_climb() {
        for id in ["..", "a/../b", "./a", "a/.."] {
            assert_eq!(expand("/v1/{+id}", id), Err(LookError::BadUrl), "{id}");
        }
    }

    #[test]
    fn what_is_no_template() {
        for text in ["", "/jobs", "jobs/{id}", "/{id}/{id}", "/{id}/{name}", "/{+id}/{id}", "/{id}}"] {
            assert!(Template::parse(text).is_none(), "{text}");
        }
    }
}
