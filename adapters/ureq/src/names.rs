//! Where servers are.
//!
//! ureq asks for each request, also where a connection to the server is open, and by way of a thread of its own each time,
//! so that it can give up when the time is over. A wait asks the same server over and over.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use boot_time::Instant;
use http::Uri;
use ureq::Error;
use ureq::config::Config;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// For so long a name stands for what it was found to stand for: shorter than what servers of names ask for, and long
/// beside the time between two looks.
const KNOWN_FOR: Duration = Duration::from_secs(5);

/// A wait asks few servers; more than these are not remembered.
const MOST_KNOWN: usize = 64;

/// Remembers for a moment what another resolver has found, and takes addresses that are none but numbers as they are.
pub(crate) struct Names<R = DefaultResolver> {
    inner: R,
    known_for: Duration,
    known: Mutex<HashMap<String, (Instant, ResolvedSocketAddrs)>>,
}

impl<R: Resolver> Names<R> {
    pub(crate) fn over(inner: R) -> Self {
        Self { inner, known_for: KNOWN_FOR, known: Mutex::default() }
    }
}

impl<R: Resolver> Resolver for Names<R> {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let server = uri.scheme().zip(uri.authority());
        let Some(server) = server.and_then(|(scheme, authority)| DefaultResolver::host_and_port(scheme, authority))
        else {
            return self.inner.resolve(uri, config, timeout);
        };
        if let Ok(address) = server.parse::<SocketAddr>() {
            let mut found = self.empty();
            found.push(address);
            return Ok(found);
        }
        // Nothing panics while it is held.
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, found)) = known().get(&server)
            && at.elapsed() < self.known_for
        {
            return Ok(found.clone());
        }
        let found = self.inner.resolve(uri, config, timeout)?;
        let mut known = known();
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        known.insert(server, (Instant::now(), found.clone()));
        Ok(found)
    }
}

impl<R> fmt::Debug for Names<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Knows one name, and counts how often it is asked.
    #[derive(Debug, Default)]
    struct Counting(Arc<AtomicUsize>);

    impl Resolver for Counting {
        fn resolve(&self, uri: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
            self.0.fetch_add(1, Ordering::Relaxed);
            if uri.host() != Some("known.test") {
                return Err(Error::HostNotFound);
            }
            let mut found = self.empty();
            found.push(SocketAddr::from(([192, 0, 2, 1], 443)));
            Ok(found)
        }
    }

    fn resolve(names: &Names<Counting>, uri: &'static str) -> Result<Vec<SocketAddr>, Error> {
        names.resolve(&Uri::from_static(uri), &Config::default(), NextTimeout::default()).map(|found| found.to_vec())
    }

    #[test]
    fn what_was_found_is_known_for_a_moment_and_numbers_are_known_anyway() {
        let mut names = Names::over(Counting::default());
        let asked = Arc::clone(&names.inner.0);
        for _ in 0..3 {
            assert_eq!(resolve(&names, "http://127.0.0.1:5000/a").unwrap(), ["127.0.0.1:5000".parse().unwrap()]);
            assert_eq!(resolve(&names, "https://[::1]/").unwrap(), ["[::1]:443".parse().unwrap()]);
        }
        assert_eq!(asked.load(Ordering::Relaxed), 0);
        for _ in 0..3 {
            assert_eq!(resolve(&names, "https://known.test/").unwrap(), ["192.0.2.1:443".parse().unwrap()]);
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        // Another port is another server, and what was not found is asked for again.
        resolve(&names, "https://known.test:8443/").unwrap();
        for _ in 0..2 {
            assert!(matches!(resolve(&names, "https://unknown.test/"), Err(Error::HostNotFound)));
        }
        assert_eq!(asked.load(Ordering::Relaxed), 4);
        names.known_for = Duration::ZERO;
        resolve(&names, "https://known.test/").unwrap();
        assert_eq!(asked.load(Ordering::Relaxed), 5);
    }
}
