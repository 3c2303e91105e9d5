//! A request that has arrived as a whole.

use std::fmt;

use hyper::header::AUTHORIZATION;
use hyper::{HeaderMap, Method};
use percent_encoding::percent_decode_str;

const API_KEY: &str = "x-api-key";

/// A request, as far as anything here looks at it.
#[derive(Debug)]
pub(crate) struct Asked<'r> {
    pub(crate) method: &'r Method,
    pub(crate) path: &'r str,
    pub(crate) query: &'r str,
    pub(crate) headers: &'r HeaderMap,
    /// Cut where it is longer than the server keeps.
    pub(crate) body: &'r [u8],
    /// What absolute URLs in the answer begin with: the origin that the client used.
    pub(crate) base: String,
}

impl Asked<'_> {
    /// The decoded values of a parameter of the query, in order.
    pub(crate) fn parameter<'a>(&'a self, name: &'a str) -> impl Iterator<Item = String> + 'a {
        self.query.split('&').filter_map(move |pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (key == name).then(|| percent_decode_str(value).decode_utf8_lossy().into_owned())
        })
    }

    /// The text of a header; the name must be in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether it carries a credential of any kind.
    pub(crate) fn has_credentials(&self) -> bool {
        self.headers.contains_key(API_KEY) || self.headers.contains_key(AUTHORIZATION)
    }
}

/// The key that the backend asks for; the empty one asks for none.
#[derive(Clone, Default)]
pub(crate) struct ApiKey(String);

impl ApiKey {
    pub(crate) fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    /// Whether a request carries the key, where one is needed.
    pub(crate) fn admits(&self, asked: &Asked<'_>) -> bool {
        if self.0.is_empty() || asked.header(API_KEY) == Some(&self.0) {
            return true;
        }
        let bearer = asked.header(AUTHORIZATION.as_str()).and_then(|text| text.split_once(' '));
        bearer.is_some_and(|(scheme, key)| scheme.eq_ignore_ascii_case("bearer") && key.trim() == self.0)
    }
}

impl fmt::Debug for ApiKey {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "ApiKey(none)" } else { "ApiKey(redacted)" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_and_repeat() {
        let asked = Asked {
            method: &Method::GET,
            path: "/",
            query: "ids=a%2Cb&x=1&ids=c,d&flag",
            headers: &HeaderMap::new(),
            body: b"",
            base: String::new(),
        };
        assert_eq!(asked.parameter("ids").collect::<Vec<_>>(), ["a,b", "c,d"]);
        assert_eq!(asked.parameter("flag").collect::<Vec<_>>(), [""]);
        assert_eq!(asked.parameter("id").count(), 0);
    }

    #[test]
    fn a_key_does_not_show() {
        assert_eq!(format!("{:?}", ApiKey::new("secret")), "ApiKey(redacted)");
    }
}
