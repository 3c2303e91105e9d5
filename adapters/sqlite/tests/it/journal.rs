//! The journal: in order, in company, and honest about failures.

use std::fmt;
use std::sync::mpsc::{Receiver, Sender, channel};

use jobwatch::store::{BackendKey, Change, Intent, Kept, Record, Store};
use jobwatch_sqlite::{Journal, JournalError};

use crate::support::{Scratch, ended, job, key, left};

fn added(id: &str) -> Vec<Change> {
    vec![Change::Added(Kept::Job(job(id)))]
}

#[test]
fn what_was_acknowledged_is_in_the_file_in_its_order() {
    let scratch = Scratch::new();
    let journal = Journal::start(scratch.open(), key()).unwrap();
    let (done, acknowledged) = channel();
    for number in 0..500 {
        let done = done.clone();
        journal.write(added(&format!("{number:03}")), move |written| done.send((number, written.is_ok())).unwrap());
    }
    journal.write(vec![Change::Ended(ended("000", "completed"))], |written| written.unwrap());
    journal.write(vec![Change::Told("000".to_owned())], |written| written.unwrap());
    let (asked, answer) = channel();
    journal.ask(move |store| asked.send(left(store.unwrap()).len()).unwrap());
    assert_eq!(answer.recv().unwrap(), 499, "a question comes after what was handed in before it");
    assert_eq!(
        acknowledged.iter().take(500).collect::<Vec<_>>(),
        (0..500).map(|number| (number, true)).collect::<Vec<_>>()
    );
    let mut store = journal.close().unwrap();
    assert_eq!(left(&mut store)[0], "001 new");
}

#[test]
fn dropping_it_writes_what_is_left() {
    let scratch = Scratch::new();
    let journal = Journal::start(scratch.open(), key()).unwrap();
    for number in 0..100 {
        journal.write(added(&number.to_string()), |_| ());
    }
    drop(journal);
    assert_eq!(left(&mut scratch.open()).len(), 100);
}

/// A store that tells how many changes each transaction has, and waits for leave to end it.
struct Slow {
    began: Sender<usize>,
    leave: Receiver<Result<(), Trouble>>,
}

#[derive(Clone, Debug)]
struct Trouble;

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the disk is full")
    }
}

impl std::error::Error for Trouble {}

impl Store for Slow {
    type Error = Trouble;

    fn write(&mut self, _: &BackendKey, changes: &[Change]) -> Result<(), Trouble> {
        self.began.send(changes.len()).unwrap();
        self.leave.recv().expect("leave is given, or the store has to panic")
    }

    fn unfinished(&mut self, _: &BackendKey, _: &mut dyn FnMut(Record)) -> Result<(), Trouble> {
        Ok(())
    }

    fn find(&mut self, _: &BackendKey, _: &str) -> Result<Option<Record>, Trouble> {
        Ok(None)
    }

    fn intents(&mut self, _: &BackendKey) -> Result<Vec<Intent>, Trouble> {
        Ok(Vec::new())
    }
}

fn slow() -> (Journal<Slow>, Receiver<usize>, Sender<Result<(), Trouble>>) {
    let ((began, begins), (give, leave)) = (channel(), channel());
    (Journal::start(Slow { began, leave }, key()).unwrap(), begins, give)
}

#[test]
fn what_comes_while_the_disk_is_busy_shares_one_transaction() {
    let (journal, begins, give) = slow();
    let (done, acknowledged) = channel();
    let write = |id: &str| {
        let done = done.clone();
        journal.write(added(id), move |written| done.send(written.map_err(|error| error.to_string())).unwrap());
    };
    write("first");
    assert_eq!(begins.recv().unwrap(), 1);
    (0..1_000).for_each(|number| write(&number.to_string()));
    assert!(acknowledged.try_recv().is_err(), "nothing is safe yet");
    give.send(Ok(())).unwrap();
    assert_eq!(begins.recv().unwrap(), 1_000);
    assert_eq!(acknowledged.recv().unwrap(), Ok(()));
    // One failure is that of all in the transaction, and of nothing after it.
    give.send(Err(Trouble)).unwrap();
    assert!(acknowledged.iter().take(1_000).all(|written| written == Err("the disk is full".to_owned())));
    write("last");
    give.send(Ok(())).unwrap();
    assert_eq!((begins.recv().unwrap(), acknowledged.recv().unwrap()), (1, Ok(())));
}

#[test]
fn a_store_that_panics_is_told_to_everybody_after_it() {
    let (journal, begins, give) = slow();
    journal.write(added("a"), |_| ());
    begins.recv().unwrap();
    drop(give);
    for _ in 0..3 {
        let (done, written) = channel();
        journal.write(added("b"), move |written| done.send(written).unwrap());
        let gone = written.recv().unwrap();
        assert!(matches!(gone, Err(JournalError::Gone)), "{gone:?}");
        let (asked, answer) = channel();
        journal.ask(move |store| asked.send(store.is_none()).unwrap());
        assert!(answer.recv().unwrap());
    }
    assert!(journal.close().is_none());
}
