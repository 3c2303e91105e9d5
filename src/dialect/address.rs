//! Addresses that backends tell, whose queries may be signatures.

use core::fmt;
use core::ops::Deref;
use std::string::String;

/// An address that a backend told, as it was written. What its `Debug` prints has neither query nor user and password in
/// it, which may be secrets.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Address(String);

impl Address {
    /// An address as it was told, absolute or relative.
    pub fn new(told: impl Into<String>) -> Self {
        Self(told.into())
    }

    /// The address as far as it may be printed.
    pub fn without_secrets(&self) -> String {
        without_secrets(&self.0)
    }
}

impl Deref for Address {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.without_secrets(), f)
    }
}

/// An address without what may be secret in it: query and fragment, user and password.
pub(crate) fn without_secrets(address: &str) -> String {
    // Whoever follows the address leaves these out wherever they stand (<https://url.spec.whatwg.org/#url-parsing>).
    let mut text: String = address.trim().chars().filter(|c| !matches!(c, '\t' | '\n' | '\r')).collect();
    text.truncate(text.find(['?', '#']).unwrap_or(text.len()));
    let is_slash = |c| matches!(c, '/' | '\\');
    let scheme = ["http:", "https:"].into_iter().find(|scheme| {
        let start = text.get(..scheme.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    });
    let start = scheme.map_or(0, str::len);
    let slashes = text[start..].chars().take_while(|c| is_slash(*c)).count();
    // A path begins with one slash; everything else may begin with an authority.
    if scheme.is_none() && slashes == 1 {
        return text;
    }
    let start = start + slashes;
    let end = text[start..].find(is_slash).map_or(text.len(), |end| start + end);
    match text[start..end].rfind('@') {
        Some(at) => text.replace_range(start..=start + at, ""),
        // Another scheme has its authority behind the slashes.
        None if scheme.is_none() && slashes == 0 && text[end..].starts_with("//") => {
            let start = end + 2;
            let end = text[start..].find(is_slash).map_or(text.len(), |end| start + end);
            if let Some(at) = text[start..end].rfind('@') {
                text.replace_range(start..=start + at, "");
            }
        }
        None => {}
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_left_out_and_nothing_else() {
        let rows = [
            ("https://api.example.com/a?sig=x#y", "https://api.example.com/a"),
            ("https://user:pass@api.example.com:8443/a", "https://api.example.com:8443/a"),
            ("HTTPS://user@p@api.example.com", "HTTPS://api.example.com"),
            ("https:\\\\user:pass@api.example.com\\a", "https:\\\\api.example.com\\a"),
            ("http:user:pass@api.example.com/a", "http:api.example.com/a"),
            ("h\tttp://user:pass@api.example.com/a", "http://api.example.com/a"),
            ("//user:pass@api.example.com/a", "//api.example.com/a"),
            ("/\t/user:pass@api.example.com/a", "//api.example.com/a"),
            ("user:pass@api.example.com/a", "api.example.com/a"),
            ("ftp://user:pass@api.example.com/a", "ftp://api.example.com/a"),
            ("https://api.example.com/@me/a", "https://api.example.com/@me/a"),
            ("/@me/a", "/@me/a"),
            ("//api.example.com//me@x", "//api.example.com//me@x"),
            ("http:api.example.com//me@x", "http:api.example.com//me@x"),
            ("a/b@c", "a/b@c"),
            ("?sig=x", ""),
            ("", ""),
        ];
        for (told, printed) in rows {
            assert_eq!(without_secrets(told), printed, "{told:?}");
            assert_eq!(format!("{:?}", Address::new(told)), format!("{printed:?}"));
        }
    }

    proptest::proptest! {
        /// Whatever is a URL to those who follow it, its user, password and query are not printed.
        #[test]
        fn no_secret_is_printed(before in "[ \t]{0,2}(https?:)?[/\\\\\t]{0,4}", after in "([/\\\\]a)?") {
            let told = format!("{before}user:s3cret@host{after}?q=s3cret");
            let base = url::Url::parse("https://api.example.com/v1/").unwrap();
            if base.join(&told).is_ok_and(|url| url.password().is_some()) {
                let printed = without_secrets(&told);
                proptest::prop_assert!(!printed.contains("s3cret"), "{} {}", told, printed);
            }
        }
    }
}
