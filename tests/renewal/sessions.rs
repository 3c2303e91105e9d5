//! The session that a client's waits share: one source of credentials for all of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use jobwatch::driver::{FromSession, Session};
use jobwatch::{BuildError, ClientBuilder, Credentials, Dialect};

/// A client that does nothing but have a session.
struct Client(Session);

impl FromSession for Client {
    fn from_session(session: Session) -> Result<Self, BuildError> {
        Ok(Self(session))
    }
}

fn builder() -> ClientBuilder<Client> {
    ClientBuilder::new(Dialect::tracker()).base_url("http://127.0.0.1:5000").header("x-api-key", "key-0")
}

#[test]
fn waits_that_were_refused_together_ask_once() {
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let source = move || {
        let number = count.fetch_add(1, Ordering::Relaxed) + 1;
        Ok::<_, String>(vec![("x-api-key".to_owned(), format!("key-{number}"))])
    };
    let Client(session) = builder().credentials(source).build().unwrap();
    assert!(session.can_renew());
    let first = session.backend();
    let second = session.renew(&first).unwrap();
    assert!(Arc::ptr_eq(&session.renew(&first).unwrap(), &second) && Arc::ptr_eq(&session.backend(), &second));
    let third = session.renew(&second).unwrap();
    assert!(!Arc::ptr_eq(&third, &second));
    assert!(Arc::ptr_eq(&session.renew(&first).unwrap(), &third));
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}

#[test]
fn waits_in_many_threads_ask_once() {
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let source = move || {
        count.fetch_add(1, Ordering::Relaxed);
        Ok::<_, String>(vec![("x-api-key".to_owned(), "new".to_owned())])
    };
    let Client(session) = builder().credentials(source).build().unwrap();
    let refused = session.backend();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| session.renew(&refused).unwrap());
        }
    });
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[test]
fn what_can_go_wrong_is_said_and_changes_nothing() {
    let Client(session) = builder().build().unwrap();
    assert!(!session.can_renew());
    assert_eq!(session.renew(&session.backend()).unwrap_err(), "no source of credentials was given");

    let Client(session) = builder().credentials(|| Err::<Vec<_>, _>("the vault is shut")).build().unwrap();
    let before = session.backend();
    assert_eq!(session.renew(&before).unwrap_err(), "the vault is shut");
    assert!(Arc::ptr_eq(&session.backend(), &before));

    let bad = || Ok::<_, String>(vec![("x-api-key".to_owned(), "a\nhush".to_owned())]);
    let Client(session) = builder().credentials(bad).build().unwrap();
    let error = session.renew(&session.backend()).unwrap_err();
    assert!(error.contains("x-api-key") && !error.contains("hush"), "{error}");
}

/// A source that panics has no credentials to give: whoever waits for them hears of it, and may ask again.
#[test]
fn a_source_that_panics_is_asked_again() {
    struct Fickle(AtomicU32);
    impl Credentials for Fickle {
        fn renew(&self) -> Result<Vec<(String, String)>, String> {
            assert!(self.0.fetch_add(1, Ordering::Relaxed) > 0, "not yet");
            Ok(Vec::new())
        }
    }
    let Client(session) = builder().credentials(Fickle(AtomicU32::new(0))).build().unwrap();
    let refused = session.backend();
    assert_eq!(session.renew(&refused).unwrap_err(), "the source of credentials panicked");
    assert!(session.renew(&refused).is_ok());
}
