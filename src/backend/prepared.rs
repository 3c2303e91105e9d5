//! Requests of which only ids are missing: what is the same in each of them is made once.

use std::string::String;

use http::uri::{Authority, Parts, PathAndQuery, Scheme};
use http::{HeaderMap, Uri};
use percent_encoding::utf8_percent_encode;

use super::Backend;
use crate::LookError;
use crate::dialect::ID;

/// Stands for an id. All of it is unreserved (RFC 3986 §2.3), so that it comes out of any address as it went in.
const PLACE: &str = "jobwatch-place-of-an-id";

/// A request's target need not be longer; one that is goes the long way, and is refused there if it must be.
const LONGEST: usize = 32_768;

/// What is the same in each request for a look.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    /// The caller's headers, the dialect's, and `Accept`.
    pub(super) headers: HeaderMap,
    poll: Option<Target>,
    bulk: Option<(Target, String)>,
}

/// An absolute address with ids to be filled in.
#[derive(Clone, Debug)]
struct Target {
    scheme: Scheme,
    authority: Authority,
    before: String,
    after: String,
}

impl Prepared {
    pub(super) fn of(backend: &Backend) -> Self {
        let description = backend.dialect.description();
        Self { headers: backend.headers_with(&description.poll.headers), poll: poll(backend), bulk: bulk(backend) }
    }

    /// Where a job is asked for by the dialect's path; `None` where that has to be worked out each time.
    pub(super) fn poll_uri(&self, backend: &Backend, id: &str) -> Option<Result<Uri, LookError>> {
        let template = backend.dialect.description().poll.path.as_ref()?;
        let target = self.poll.as_ref()?;
        match template.encoded(id) {
            Ok(id) => target.with(id).map(Ok),
            Err(error) => Some(Err(error)),
        }
    }

    /// Where all these jobs are asked for at once.
    pub(super) fn bulk_uri<'i>(&self, ids: impl IntoIterator<Item = &'i str>) -> Option<Uri> {
        let (target, separator) = self.bulk.as_ref()?;
        let pieces = ids.into_iter().enumerate().flat_map(|(number, id)| {
            let separator = if number > 0 { separator.as_str() } else { "" };
            core::iter::once(separator).chain(utf8_percent_encode(id, ID))
        });
        target.with(pieces)
    }
}

fn poll(backend: &Backend) -> Option<Target> {
    let template = backend.dialect.description().poll.path.as_ref()?;
    let (before, after) = template.around();
    if !stands_alone(before, after) {
        return None;
    }
    let (target, _) = target(backend, &template.expand(PLACE).ok()?, 1)?;
    Some(target)
}

fn bulk(backend: &Backend) -> Option<(Target, String)> {
    let bulk = backend.dialect.bulk()?;
    if !stands_alone(&bulk.path.0, &bulk.path.1) {
        return None;
    }
    let path = [&bulk.path.0, PLACE, &bulk.separator, PLACE, &bulk.path.1].concat();
    target(backend, &path, 2)
}

/// Whether no id can become a part of a `.` or `..` segment, which an address must not keep (RFC 3986 §5.2.4): an id that
/// is one is no id.
fn stands_alone(before: &str, after: &str) -> bool {
    before.ends_with(['/', '=']) && (after.is_empty() || after.starts_with(['/', ':', '?', '&']))
}

/// The address of a path in which so many ids are missing, and what stands between two of them.
fn target(backend: &Backend, path: &str, ids: usize) -> Option<(Target, String)> {
    // With this word in the address itself nobody could tell the places apart.
    if backend.base.as_str().contains(PLACE) || path.matches(PLACE).count() != ids {
        return None;
    }
    let uri: Uri = backend.below_base(path).as_str().parse().ok()?;
    let Parts { scheme, authority, path_and_query, .. } = uri.into_parts();
    let text = path_and_query?.as_str().to_owned();
    let (before, rest) = text.split_once(PLACE)?;
    let (between, after) = if ids > 1 { rest.split_once(PLACE)? } else { ("", rest) };
    let target = Target { scheme: scheme?, authority: authority?, before: before.into(), after: after.into() };
    Some((target, between.into()))
}

impl Target {
    /// The address with an id in it, which comes in pieces.
    fn with<'i>(&self, mut id: impl Iterator<Item = &'i str>) -> Option<Uri> {
        // Most ids are one piece, and then nothing is left over that an address could not share.
        let first = id.next().unwrap_or_default();
        let mut path = String::with_capacity(self.before.len() + first.len() + self.after.len());
        path.push_str(&self.before);
        path.push_str(first);
        path.extend(id);
        path.push_str(&self.after);
        let mut parts = Parts::default();
        parts.path_and_query = Some(PathAndQuery::try_from(path).ok().filter(|path| path.as_str().len() <= LONGEST)?);
        (parts.scheme, parts.authority) = (Some(self.scheme.clone()), Some(self.authority.clone()));
        Uri::from_parts(parts).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::{Backend, Dialect, JobRef};

    fn backend(path: &str, base: &str) -> Backend {
        let file =
            std::format!("name = \"x\"\npoll.path = {path:?}\nstate.pointer = \"/state\"\nstate.succeeded = [\"s\"]\n");
        let file = file
            + "bulk.path = \"/all?ids={ids}\"\nbulk.max = 100\nbulk.items = \"/d\"\nbulk.id = \"/i\"\nbulk.state.pointer = \"/s\"\nbulk.state.succeeded = [\"s\"]\n";
        Backend::new(Dialect::from_toml(&file).unwrap(), Some(base)).unwrap()
    }

    const PATHS: [&str; 12] = [
        "/jobs/{id}",
        "/jobs/{id}/state",
        "/jobs/{id}?full=1",
        "?media_id={id}",
        "/v1/{+id}",
        "/v1/{+id}:get",
        "/v1?name={+id}&x=1",
        "/v1/.{id}",
        "/v1/{+id}/..",
        "/v1/{+id}.",
        "/ä ö/{id}",
        "//{id}",
    ];

    const BASES: [&str; 4] = [
        "https://api.example.com",
        "http://127.0.0.1:5000/",
        "https://x.test/api/v2/",
        "https://x.test/jobwatch-place-of-an-id",
    ];

    #[test]
    fn the_usual_paths_are_prepared() {
        for path in &PATHS[..2] {
            for base in &BASES[..3] {
                let backend = backend(path, base);
                assert!(backend.prepared().poll_uri(&backend, "7").is_some(), "{path} {base}");
                assert!(backend.prepared().bulk_uri(["7", "8"]).is_some(), "{path} {base}");
            }
        }
    }

    proptest! {
        /// The short way leads where the long one does.
        #[test]
        fn a_prepared_address_is_the_same(
            path in prop::sample::select(&PATHS[..]),
            base in prop::sample::select(&BASES[..]),
            id in prop_oneof!["[a-z0-9-]{1,40}", "[./a%?#&=ä ~'|:@\\\\]{1,8}", "\\PC{1,8}"],
        ) {
            let backend = backend(path, base);
            let Ok(job) = JobRef::new(id) else { return Ok(()) };
            let Some(prepared) = backend.prepared().poll_uri(&backend, job.id()) else { return Ok(()) };
            let long = backend.poll_url(&job);
            prop_assert_eq!(prepared.clone().map(|uri| uri.to_string()), long.clone().map(String::from));
            let request = backend.look_request(&job);
            prop_assert_eq!(request.map(|request| request.uri().clone()), prepared);
        }

        #[test]
        fn so_is_one_of_many_ids(
            base in prop::sample::select(&BASES[..]),
            ids in prop::collection::vec(prop_oneof!["[a-z0-9-]{1,40}", "\\PC{1,8}"], 1..4),
        ) {
            let backend = backend("/jobs/{id}", base);
            let ids: Vec<_> = ids.iter().map(String::as_str).collect();
            let Some(prepared) = backend.prepared().bulk_uri(ids.iter().copied()) else { return Ok(()) };
            let encoded: Vec<_> =
                ids.iter().map(|id| percent_encoding::utf8_percent_encode(id, crate::dialect::ID).to_string()).collect();
            let long = backend.below_base(&std::format!("/all?ids={}", encoded.join(",")));
            prop_assert_eq!(prepared.to_string(), String::from(long));
        }
    }
}
