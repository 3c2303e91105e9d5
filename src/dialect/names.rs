//! Which headers an answer has, at a glance.

use http::{HeaderMap, HeaderName};

/// The names of an answer's headers, as far as 64 bits can tell: most lookups are for what hardly any answer has, and are
/// spared by this.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names(u64);

impl Names {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        Self(headers.keys().fold(0, |bits, name| bits | bit(name)))
    }

    /// Whether a header of this name may be there: no is certain.
    pub(crate) fn may_have(self, name: &HeaderName) -> bool {
        self.0 & bit(name) > 0
    }
}

/// Names that begin alike differ in length, or else at the end.
fn bit(name: &HeaderName) -> u64 {
    let name = name.as_str().as_bytes();
    let [first, last] = [name.first(), name.last()].map(|byte| byte.copied().map_or(0, usize::from));
    1 << ((name.len() ^ first << 1 ^ last << 2) % 64)
}

#[cfg(test)]
mod tests {
    use http::header::{AGE, CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderValue};

    use super::*;

    #[test]
    fn what_is_there_is_seen_and_most_of_what_is_not_is_known_not_to_be() {
        let seldom = HeaderName::from_static("x-jobwatch-created-at");
        let mut headers = HeaderMap::new();
        for name in [CONTENT_TYPE, CONTENT_LENGTH, DATE] {
            headers.append(&name, HeaderValue::from_static("x"));
            headers.append(&name, HeaderValue::from_static("y"));
        }
        let names = Names::of(&headers);
        assert!([CONTENT_TYPE, CONTENT_LENGTH, DATE].iter().all(|name| names.may_have(name)));
        assert!(!names.may_have(&AGE) && !names.may_have(&seldom));
        headers.append(&seldom, HeaderValue::from_static("x"));
        assert!(Names::of(&headers).may_have(&seldom));
        assert!(!Names::of(&HeaderMap::new()).may_have(&AGE));
    }
}
