//! `--save-results`: writes what succeeded jobs made into a directory, beside the waiting.
//!
//! A result is written into a temporary file of the directory, and gets its name when it is whole and on the disk. So a
//! file under a job's name is a whole result, and one of an earlier run stays until then. Temporary files are gone when
//! the program ends, but for a second Ctrl-C, which waits for nothing: it may leave a `.jobwatch-….part`.

mod names;

use std::collections::BTreeMap;
use std::convert::identity;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jobwatch::{Finished, LookError, TransportError};
use jobwatch_reqwest::Client;
use serde_json::Value;
use tempfile::NamedTempFile;
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, spawn_blocking};

use crate::failure::Failure;
use names::{Names, extension};

/// Downloads at once.
const PLACES: usize = 4;

/// How often a download is tried, and the time before the second try, which doubles from then on.
const TRIES: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// As long as bytes come, a download may go on.
const LONGEST_DOWNLOAD: Duration = Duration::from_secs(24 * 60 * 60);

/// Addresses fetched for one job. No job has as many outputs; a backend that says so is not obeyed.
const MOST_ADDRESSES: usize = 1_000;

/// Saves results, several at a time.
pub(crate) struct Saver {
    shared: Arc<Shared>,
    saving: JoinSet<(u64, Result<Saved, String>)>,
    /// The ends whose results are being saved, in the order in which they came.
    ends: BTreeMap<u64, Finished>,
    next: u64,
}

struct Shared {
    client: Client,
    directory: PathBuf,
    names: Mutex<Names>,
    places: Semaphore,
    /// A download of which nothing has come for so long is stuck.
    patience: Duration,
}

/// What was written, in order; nothing where the job made nothing.
#[derive(Debug, Default)]
pub(crate) struct Saved {
    pub(crate) files: Vec<PathBuf>,
    /// Those of them that took the place of an earlier file.
    pub(crate) replaced: Vec<PathBuf>,
}

impl Saver {
    /// Results go into this directory, which is made where it is missing.
    pub(crate) fn open(directory: &Path, client: &Client, patience: Duration) -> Result<Self, Failure> {
        // A directory that cannot be written to shows now, and not when the first job has ended.
        let tried = fs::create_dir_all(directory).and_then(|()| temporary(directory));
        tried.map_err(|error| {
            Failure::local(format_args!("cannot write into --save-results {}: {error}", directory.display()))
        })?;
        let shared = Shared {
            client: client.clone(),
            directory: directory.to_owned(),
            names: Mutex::default(),
            places: Semaphore::new(PLACES),
            patience,
        };
        Ok(Self { shared: Arc::new(shared), saving: JoinSet::new(), ends: BTreeMap::new(), next: 0 })
    }

    /// Saves the result of a job that succeeded.
    pub(crate) fn save(&mut self, finished: Finished) {
        let (number, shared) = (self.next, Arc::clone(&self.shared));
        self.next += 1;
        let (id, result) = (finished.job.id().to_owned(), finished.result.clone());
        let missing = finished.error.clone();
        self.ends.insert(number, finished);
        self.saving.spawn(async move {
            let saved = match (result, missing) {
                (Some(result), _) => shared.save(&id, result).await,
                // The job made something that could not be had.
                (None, Some(problem)) => Err(problem),
                (None, None) => Ok(Saved::default()),
            };
            (number, saved)
        });
    }

    /// Whether something is being saved.
    pub(crate) fn is_busy(&self) -> bool {
        !self.ends.is_empty()
    }

    /// The next end whose result was saved, or why it was not. Comes never while nothing is being saved; dropping the
    /// future loses nothing.
    pub(crate) async fn next(&mut self) -> (Finished, Result<Saved, String>) {
        loop {
            match self.saving.join_next().await {
                Some(Ok((number, saved))) => {
                    if let Some(finished) = self.ends.remove(&number) {
                        return (finished, saved);
                    }
                }
                // A task that panicked has said so; its job is told in the end.
                Some(Err(_)) => {}
                None => match self.ends.pop_first() {
                    Some((_, finished)) => return (finished, Err("saving it panicked".to_owned())),
                    None => std::future::pending().await,
                },
            }
        }
    }

    /// Ends all saving, and gives the ends whose results are not saved. No part of them is left.
    pub(crate) async fn stop(&mut self) -> Vec<Finished> {
        self.saving.shutdown().await;
        std::mem::take(&mut self.ends).into_values().collect()
    }
}

impl Shared {
    async fn save(self: &Arc<Self>, id: &str, result: Value) -> Result<Saved, String> {
        let mut saved = Saved::default();
        if let Some(url) = address(&result) {
            let name = self.name(id, None, extension(url).as_deref());
            self.fetch(url, &name, &mut saved).await?;
            return Ok(saved);
        }
        let urls = addresses(&result);
        let (text, kind) = match result {
            Value::String(text) => (text.into_bytes(), "txt"),
            result => (format!("{result:#}\n").into_bytes(), "json"),
        };
        self.write(text, &self.name(id, None, Some(kind)), &mut saved).await?;
        if urls.len() > MOST_ADDRESSES {
            return Err(format!("it names more than {MOST_ADDRESSES} addresses"));
        }
        for (number, url) in (1..).zip(&urls) {
            let name = self.name(id, Some(number), extension(url).as_deref());
            self.fetch(url, &name, &mut saved).await?;
        }
        Ok(saved)
    }

    fn name(&self, id: &str, number: Option<usize>, extension: Option<&str>) -> String {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.choose(id, number, extension)
    }

    /// Fetches what is at an address, in several tries.
    async fn fetch(self: &Arc<Self>, url: &str, name: &str, saved: &mut Saved) -> Result<(), String> {
        let _place = self.places.acquire().await.map_err(|error| error.to_string())?;
        let mut pause = FIRST_PAUSE;
        for tried in 1.. {
            let mut file = temporary(&self.directory).map_err(|error| self.trouble(&error))?;
            match self.download(url, file.as_file_mut()).await {
                Ok(()) => return self.keep(file, name, saved).await,
                Err(error) if tried < TRIES && may_pass(error.error) => {
                    // Before the pause, so that nothing is left of it.
                    drop(file);
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                Err(error) => return Err(format!("{name} could not be fetched: {error}")),
            }
        }
        unreachable!("the last try returns")
    }

    async fn download(&self, url: &str, file: &mut File) -> Result<(), TransportError> {
        let written = AtomicU64::new(0);
        let mut sink = Counted { file, written: &written };
        tokio::select! {
            done = self.client.download(url, &mut sink, LONGEST_DOWNLOAD) => done.map(|_| ()),
            () = stuck(&written, self.patience) => Err(TransportError::new(LookError::Expired, "")),
        }
    }

    async fn write(self: &Arc<Self>, text: Vec<u8>, name: &str, saved: &mut Saved) -> Result<(), String> {
        let directory = self.directory.clone();
        let written = spawn_blocking(move || {
            let mut file = temporary(&directory)?;
            file.write_all(&text)?;
            Ok(file)
        });
        let file = written.await.map_err(io::Error::other).and_then(identity).map_err(|error| self.trouble(&error))?;
        self.keep(file, name, saved).await
    }

    /// Gives a whole file its name.
    async fn keep(&self, file: NamedTempFile, name: &str, saved: &mut Saved) -> Result<(), String> {
        let path = self.directory.join(name);
        let (to, directory) = (path.clone(), self.directory.clone());
        let kept = spawn_blocking(move || {
            file.as_file().sync_all()?;
            let replaced = fs::symlink_metadata(&to).is_ok();
            file.persist(&to)?;
            sync_directory(&directory);
            Ok(replaced)
        });
        let kept: io::Result<bool> = kept.await.map_err(io::Error::other).and_then(identity);
        if kept.map_err(|error| self.trouble(&error))? {
            saved.replaced.push(path.clone());
        }
        saved.files.push(path);
        Ok(())
    }

    fn trouble(&self, error: &io::Error) -> String {
        format!("cannot write into {}: {error}", self.directory.display())
    }
}

/// A file without a name of its own yet; dropping it removes it.
pub(crate) fn temporary(directory: &Path) -> io::Result<NamedTempFile> {
    let mut file = tempfile::Builder::new();
    file.prefix(".jobwatch-").suffix(".part");
    #[cfg(unix)]
    {
        // As any other new file, less what the user's mask takes away, and not as a secret.
        use std::os::unix::fs::PermissionsExt;
        file.permissions(fs::Permissions::from_mode(0o666));
    }
    file.tempfile_in(directory)
}

/// On Unix a name is on the disk once its directory is. Where that cannot be had, the file is there all the same.
fn sync_directory(directory: &Path) {
    if cfg!(unix) {
        let _ = File::open(directory).and_then(|directory| directory.sync_all());
    }
}

/// A file that counts what is written into it.
struct Counted<'a> {
    file: &'a mut File,
    written: &'a AtomicU64,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.written.fetch_add(written as u64, Ordering::Relaxed);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Comes when nothing has been written for so long.
async fn stuck(written: &AtomicU64, patience: Duration) {
    loop {
        let before = written.load(Ordering::Relaxed);
        tokio::time::sleep(patience).await;
        if written.load(Ordering::Relaxed) == before {
            return;
        }
    }
}

/// Whether trying again may help.
fn may_pass(error: LookError) -> bool {
    match error {
        LookError::Status(code) => matches!(code, 408 | 425 | 429 | 500..),
        LookError::Expired | LookError::Unreachable | LookError::Disconnected => true,
        _ => false,
    }
}

/// The address that a value is, if it is one.
fn address(value: &Value) -> Option<&str> {
    let text = value.as_str()?;
    let (scheme, rest) = text.split_once("://")?;
    let is_web = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    (is_web && !rest.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control())).then_some(text)
}

/// The addresses inside of a value, in their order, each once.
fn addresses(value: &Value) -> Vec<String> {
    let (mut found, mut left) = (Vec::new(), vec![value]);
    while let Some(value) = left.pop() {
        if let Some(url) = address(value)
            && !found.iter().any(|known| known == url)
        {
            found.push(url.to_owned());
            if found.len() > MOST_ADDRESSES {
                break;
            }
        }
        // What is pushed last is looked at first.
        match value {
            Value::Array(items) => left.extend(items.iter().rev()),
            Value::Object(fields) => left.extend(fields.values().rev()),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn addresses_are_found_in_their_order() {
        let result = json!({
            "a": ["https://x/1.mp4", {"deep": "HTTP://x/2"}, "https://x/1.mp4"],
            "b": "see https://x/3",
            "c": ["https://x/4 5", "https://", "ftp://x/6", 7, null],
            "d": "https://x/8?sig=%20",
        });
        assert_eq!(addresses(&result), ["https://x/1.mp4", "HTTP://x/2", "https://x/8?sig=%20"]);
        assert_eq!(address(&json!("https://x/9")), Some("https://x/9"));
        assert!(addresses(&json!(null)).is_empty());
    }

    #[test]
    fn no_backend_makes_us_fetch_for_ever() {
        let many: Vec<_> = (0..5_000).map(|number| format!("https://x/{number}")).collect();
        assert_eq!(addresses(&json!(many)).len(), MOST_ADDRESSES + 1);
    }
}
