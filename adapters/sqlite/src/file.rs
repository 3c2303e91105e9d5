//! Opening a state file: made whole or not at all, and looked at before anything can change it.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::error::Error;
use crate::schema::{self, APPLICATION, STEPS, VERSION};

/// Files up to this size are read through when they are opened; in a larger one damage shows when it is come upon.
const CHECKED_WHOLE: u64 = 64 << 20;

/// The first bytes of every SQLite file (<https://sqlite.org/fileformat.html>), and where its header tells what we ask.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
const HEADER: usize = 100;
const PAGE_SIZE: usize = 16;
const PAGES: usize = 28;
const USER_VERSION: usize = 60;
const APPLICATION_ID: usize = 68;

/// The file at this path, which is made where there is none, and ours alone until the connection is closed.
pub(crate) fn open(path: &Path) -> Result<(Connection, PathBuf), Error> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(path)?,
        Err(error) => return Err(Error::io(path, error)),
        Ok(found) if !found.is_file() => return Err(Error::foreign(path, "is not a file")),
        Ok(_) => {}
    }
    // Absolute: to SQLite some relative names are no files.
    let path = fs::canonicalize(path).map_err(|error| Error::io(path, error))?;
    let size = look_at(&path)?;
    let of_sqlite = |error| Error::of_sqlite(&path, error);
    if !has_log(&path) {
        // Before anything is written beside it, which opening does.
        check_unopened(&path, size)?;
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(&path, flags).map_err(of_sqlite)?;
    // SQLite opens what may not be written to all the same.
    if connection.is_readonly(rusqlite::MAIN_DB).map_err(of_sqlite)? {
        return Err(Error::read_only(&path));
    }
    prepare(&connection).map_err(of_sqlite)?;
    // What is in the log does not go into a file that is refused.
    let keep_log = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
    connection.set_db_config(keep_log, true).map_err(of_sqlite)?;
    check_opened(&connection, &path, size)?;
    connection.set_db_config(keep_log, false).map_err(of_sqlite)?;
    schema::bring_up_to_date(&mut connection, &STEPS).map_err(of_sqlite)?;
    Ok((connection, path))
}

/// Makes a new file under another name, which gets its own when it is whole and on the disk: a file that is there is
/// never half of one.
fn create(path: &Path) -> Result<(), Error> {
    let in_the_way = |error| Error::io(path, error);
    let of_sqlite = |error| Error::of_sqlite(path, error);
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // Readable by its owner alone; what SQLite puts beside it is, too.
    let new = tempfile::Builder::new().prefix(".jobwatch-").suffix(".new").tempfile_in(directory);
    let new = new.map_err(in_the_way)?;
    let temporary = fs::canonicalize(new.path()).map_err(in_the_way)?;
    let mut connection = Connection::open(temporary).map_err(of_sqlite)?;
    prepare(&connection).map_err(of_sqlite)?;
    schema::bring_up_to_date(&mut connection, &STEPS).map_err(of_sqlite)?;
    connection.pragma_update(None, "journal_mode", "WAL").map_err(of_sqlite)?;
    connection.close().map_err(|(_, error)| of_sqlite(error))?;
    match new.persist_noclobber(path) {
        Ok(file) => file.sync_all().map_err(in_the_way)?,
        // Somebody else was quicker.
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(in_the_way(error.error)),
    }
    // On Unix a name is on the disk once its directory is.
    if cfg!(unix) {
        File::open(directory).and_then(|directory| directory.sync_all()).map_err(in_the_way)?;
    }
    Ok(())
}

/// How a connection works, before it touches the file.
fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    // Held until the connection is closed, and by nobody but a living process.
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // Where a sync alone does not reach the disk's surface; elsewhere without effect.
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "checkpoint_fullfsync", true)
}

/// Reads the header without SQLite; gives the size.
fn look_at(path: &Path) -> Result<u64, Error> {
    let failed = |error| Error::io(path, error);
    let mut file = File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    let mut header = Vec::new();
    file.by_ref().take(HEADER as u64).read_to_end(&mut header).map_err(failed)?;
    if header.is_empty() {
        return Err(Error::foreign(path, "is empty"));
    }
    if !header.starts_with(MAGIC) && !MAGIC.starts_with(&header) {
        return Err(Error::foreign(path, "is something else"));
    }
    if header.len() < HEADER {
        return Err(Error::damaged(path, "it ends in its header"));
    }
    let number = |at: usize| header[at..at + 4].iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
    if number(APPLICATION_ID) != APPLICATION {
        return Err(Error::foreign(path, "belongs to another program"));
    }
    let version = i64::from(number(USER_VERSION));
    if version > VERSION {
        return Err(Error::Newer { path: path.to_owned(), version });
    }
    // The largest page size does not fit into its two bytes.
    let page = match u64::from(header[PAGE_SIZE]) << 8 | u64::from(header[PAGE_SIZE + 1]) {
        1 => 65_536,
        page => page,
    };
    let whole = u64::from(number(PAGES)) * page;
    // With a log the file may lag behind.
    if size < whole && !has_log(path) {
        return Err(Error::damaged(path, format_args!("it has {size} bytes of {whole}")));
    }
    Ok(size)
}

/// Whether there are commits beside the file that are not in it yet.
fn has_log(path: &Path) -> bool {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    fs::metadata(log).is_ok_and(|log| log.len() > 0)
}

/// Reads a file through that has no log, and changes nothing, not even beside it.
fn check_unopened(path: &Path, size: u64) -> Result<(), Error> {
    if size > CHECKED_WHOLE {
        return Ok(());
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(format!("file://{}?immutable=1", in_uri(path)), flags);
    connection.map_err(|error| Error::of_sqlite(path, error)).and_then(|connection| check_pages(&connection, path))
}

/// The same by the connection that has the file.
fn check_opened(connection: &Connection, path: &Path, size: u64) -> Result<(), Error> {
    // The first access, which takes the lock.
    let version = schema::version(connection).map_err(|error| Error::of_sqlite(path, error))?;
    if version > VERSION {
        return Err(Error::Newer { path: path.to_owned(), version });
    }
    if has_log(path) && size <= CHECKED_WHOLE {
        check_pages(connection, path)?;
    }
    Ok(())
}

fn check_pages(connection: &Connection, path: &Path) -> Result<(), Error> {
    let found = connection.pragma_query_value(None, "quick_check", |row| row.get::<_, String>(0));
    match found.map_err(|error| Error::of_sqlite(path, error))?.as_str() {
        "ok" => Ok(()),
        problem => Err(Error::damaged(path, problem.trim())),
    }
}

/// A path as it stands in a URI.
fn in_uri(path: &Path) -> String {
    let bytes = path.as_os_str().as_encoded_bytes();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte);
    let encode = |byte: &u8| if plain(*byte) { char::from(*byte).to_string() } else { format!("%{byte:02X}") };
    // What is no path of Unix needs a slash of its own.
    let slash = if bytes.first() == Some(&b'/') { "" } else { "/" };
    slash.chars().map(String::from).chain(bytes.iter().map(encode)).collect()
}
