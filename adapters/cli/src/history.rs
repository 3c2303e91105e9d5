//! `--history`: how long jobs take, kept from run to run in a file that several programs may share.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jobwatch::learn::{Histories, HistoryKey, Taught};
use jobwatch::{Backend, Finished};

use crate::args::HistoryFlags;
use crate::failure::Failure;
use crate::view::note;

/// Names the file where no flag does.
const VARIABLE: &str = "JOBWATCH_HISTORY";

/// A history has a few kilobytes for each kind of jobs; what is larger than this is none.
const LARGEST: u64 = 64 << 20;

/// What was learned is written at the end, and in a long run each time so long has passed.
const PERIOD: Duration = Duration::from_secs(30);

/// Another program holds the lock for some milliseconds; one that holds it for so long is stuck.
const PATIENCE: Duration = Duration::from_secs(5);

/// The file, and what is yet to be written there.
pub(crate) struct History {
    path: Option<PathBuf>,
    class: String,
    taught: Vec<Taught>,
    simulated: bool,
    written: Instant,
}

impl History {
    /// The file that was named by a flag or the environment, if any, and what it knows.
    ///
    /// A file that is no history is set aside under another name, with a warning: it never stops a wait.
    pub(crate) fn open(flags: &HistoryFlags) -> Result<(Self, Histories), Failure> {
        let path = flags.path();
        let known = match &path {
            Some(path) => open(path)?,
            None => Histories::new(),
        };
        let class = flags.class.clone().unwrap_or_default();
        Ok((Self { path, class, taught: Vec::new(), simulated: false, written: Instant::now() }, known))
    }

    /// The caller's class of jobs.
    pub(crate) fn class(&self) -> &str {
        &self.class
    }

    /// A wait has ended.
    pub(crate) fn note(&mut self, backend: &Backend, finished: &Finished) {
        if let Some(taught) = finished.taught.filter(|_| self.path.is_some()) {
            self.simulated |= taught.simulated;
            if !taught.simulated {
                self.taught.push(taught);
            }
        }
        if self.written.elapsed() >= PERIOD {
            self.write(backend);
        }
    }

    /// Writes what is left, at the end; gives the exit status that this comes to.
    pub(crate) fn finish(mut self, backend: &Backend) -> u8 {
        if self.simulated {
            note(format_args!("the backend is a simulator: what its jobs taught is not kept in the history"));
        }
        if self.write(backend) { 0 } else { 5 }
    }

    /// Tells whether all went well.
    fn write(&mut self, backend: &Backend) -> bool {
        self.written = Instant::now();
        let Some(path) = self.path.as_deref().filter(|_| !self.taught.is_empty()) else { return true };
        let written = add(path, |histories| {
            for taught in &self.taught {
                histories.learn(&HistoryKey::of(backend, &self.class, taught.since), &taught.lesson);
            }
        });
        match written {
            Ok(()) => self.taught.clear(),
            Err(error) => {
                note(format_args!("jobwatch: cannot write the history {}: {error}", path.display()));
                return false;
            }
        }
        true
    }
}

impl HistoryFlags {
    /// The file that the flag or the environment names.
    pub(crate) fn path(&self) -> Option<PathBuf> {
        let variable = || std::env::var_os(VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
        self.history.clone().or_else(variable)
    }
}

/// What a file knows, which need not exist yet; what is no history is set aside.
pub(crate) fn open(path: &Path) -> Result<Histories, Failure> {
    let unreadable = |error| Failure::usage(format_args!("cannot read the history {}: {error}", path.display()));
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !directory.is_dir() {
        let directory = directory.display();
        return Err(unreadable(io::Error::new(ErrorKind::NotFound, format!("there is no directory {directory}"))));
    }
    match read(path).map_err(unreadable)? {
        Kept::Nothing => Ok(Histories::new()),
        Kept::Known(histories) => Ok(histories),
        // Somebody else may have mended or replaced it meanwhile: looked at again by the one who holds the lock.
        Kept::Spoilt(_) => locked(path, || read_or_set_aside(path)).map_err(unreadable),
    }
}

/// What is in a file.
enum Kept {
    Nothing,
    Known(Histories),
    /// It is no history, for this reason.
    Spoilt(String),
}

fn read(path: &Path) -> io::Result<Kept> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Kept::Nothing),
        file => file?,
    };
    let mut text = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut text)?;
    if text.is_empty() {
        return Ok(Kept::Nothing);
    }
    if text.len() as u64 > LARGEST {
        return Ok(Kept::Spoilt(format!("it is larger than {} MiB", LARGEST >> 20)));
    }
    Ok(match serde_json::from_slice(&text) {
        Ok(histories) => Kept::Known(histories),
        Err(error) => Kept::Spoilt(error.to_string()),
    })
}

fn read_or_set_aside(path: &Path) -> io::Result<Histories> {
    match read(path)? {
        Kept::Nothing => Ok(Histories::new()),
        Kept::Known(histories) => Ok(histories),
        Kept::Spoilt(why) => {
            let aside = free_name(path)?;
            fs::rename(path, &aside)?;
            note(format_args!(
                "jobwatch: {} is no history of jobwatch and was set aside as {}; a new one is begun ({why})",
                path.display(),
                aside.display()
            ));
            Ok(Histories::new())
        }
    }
}

/// A name beside the file that is not taken.
fn free_name(path: &Path) -> io::Result<PathBuf> {
    let names = (1..10_000).map(|number| with_ending(path, &format!(".bad-{number}")));
    let mut free = names.filter(|name| !name.exists());
    free.next().ok_or_else(|| io::Error::new(ErrorKind::AlreadyExists, "there are too many files set aside beside it"))
}

/// Reads the file again, changes what it says, and replaces it as a whole: whoever reads it sees the old or the new.
fn add(path: &Path, change: impl FnOnce(&mut Histories)) -> io::Result<()> {
    // A link stays a link.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    locked(&path, || {
        let mut histories = read_or_set_aside(&path)?;
        change(&mut histories);
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::Builder::new().prefix(".jobwatch-history-").tempfile_in(directory)?;
        serde_json::to_writer(&mut file, &histories).map_err(io::Error::from)?;
        file.write_all(b"\n")?;
        file.as_file().sync_all()?;
        file.persist(&path)?;
        Ok(())
    })
}

/// Does something while no other program does. The file itself is replaced, and cannot carry the lock.
fn locked<T>(path: &Path, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let lock = with_ending(path, ".lock");
    let file = File::options().create(true).truncate(false).write(true).open(&lock)?;
    let begin = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return work(),
            Err(fs::TryLockError::Error(error)) => return Err(error),
            Err(fs::TryLockError::WouldBlock) if begin.elapsed() > PATIENCE => {
                let why = format!("another program holds {} for a long time", lock.display());
                return Err(io::Error::new(ErrorKind::WouldBlock, why));
            }
            Err(fs::TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use jobwatch::learn::{Lesson, Since};

    use super::*;

    fn key(class: &str) -> HistoryKey {
        HistoryKey { dialect: "d".into(), origin: "o".into(), class: class.into(), since: Since::Creation }
    }

    fn jobs(path: &Path, class: &str) -> f64 {
        open(path).unwrap().get(&key(class)).map_or(0.0, jobwatch::learn::History::jobs)
    }

    #[test]
    fn writers_at_the_same_time_lose_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("history.json");
        let lesson = Lesson::ended(Duration::from_secs(9), Duration::from_secs(10));
        thread::scope(|scope| {
            for writer in 0..4 {
                let path = &path;
                scope.spawn(move || {
                    for _ in 0..10 {
                        add(path, |histories| histories.learn(&key(&format!("{writer}")), &lesson)).unwrap();
                    }
                });
            }
        });
        for writer in 0..4 {
            let jobs = jobs(&path, &format!("{writer}"));
            assert!((jobs - 10.0).abs() < 0.2, "{jobs}");
        }
        // Neither a temporary file nor anything else is left but the lock.
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_is_no_history_is_set_aside_and_not_lost() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("history.json");
        for (number, spoilt) in ["{", "[]", r#"{"v":9,"histories":[]}"#, "\0\0\0", "hello"].iter().enumerate() {
            fs::write(&path, spoilt).unwrap();
            assert!(open(&path).unwrap().is_empty());
            assert!(!path.exists());
            let aside = directory.path().join(format!("history.json.bad-{}", number + 1));
            assert_eq!(fs::read_to_string(aside).unwrap(), *spoilt);
        }
        // Also where it was spoilt in mid-wait.
        fs::write(&path, "{").unwrap();
        let lesson = Lesson::ended(Duration::from_secs(9), Duration::from_secs(10));
        add(&path, |histories| histories.learn(&key(""), &lesson)).unwrap();
        assert!((jobs(&path, "") - 1.0).abs() < 0.01);
    }

    #[test]
    fn an_empty_file_and_a_missing_one_know_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("history.json");
        assert!(open(&path).unwrap().is_empty());
        File::create(&path).unwrap();
        assert!(open(&path).unwrap().is_empty() && path.exists());
        assert_eq!(open(&directory.path().join("no/history.json")).unwrap_err().status, 2);
        assert_eq!(open(directory.path()).unwrap_err().status, 2);
    }
}
