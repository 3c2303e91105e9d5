//! What can be measured only where nothing else runs: the memory, the threads and the open files of this process. One test,
//! so that nothing does.
#![cfg(target_os = "linux")]

mod drivers;

use std::fs;
use std::io::{self, Write as _};
use std::thread;
use std::time::Instant;

use drivers::reqwest::Reqwest;
use drivers::ureq::Ureq;
use flate2::Compression;
use flate2::write::GzEncoder;
use jobwatch::{JobRef, LookError, Outcome};
use jobwatch_conformance::{Answer, Driver, HANG_GUARD, Server, Setup, stories};

/// How much more memory a flood of hundreds of megabytes may take, in kilobytes: buffers, and what an allocator keeps.
const MOST_MEMORY: usize = 32 * 1024;

/// Far more than the memory that it may take.
const BOMB: u64 = 128 * 1024 * 1024;

#[test]
fn memory_threads_and_connections_are_bounded() {
    let drivers: [(&str, &dyn Driver); 2] = [("reqwest", &Reqwest), ("ureq", &Ureq)];
    for (name, driver) in drivers {
        // What is set up once for all, as the first client does it.
        stories::immediate_success(driver);
        let before = Process::now();
        fs::write("/proc/self/clear_refs", "5").expect("the peak can be forgotten");
        let floods: [fn(&dyn Driver); 5] = [
            stories::endless_heads,
            stories::endless_informational_answers,
            stories::endless_bodies,
            stories::endless_encodings,
            bomb,
        ];
        for flood in floods {
            flood(driver);
        }
        let peak = status("VmHWM").saturating_sub(before.memory);
        assert!(peak < MOST_MEMORY, "{name} took {peak} kB");

        let waits: [fn(&dyn Driver); 4] = [
            stories::connections_are_bounded_by_requests_in_flight,
            stories::stop_during_hung_requests,
            stories::drop_in_the_middle,
            stories::servers_that_do_not_speak,
        ];
        for wait in waits {
            wait(driver);
        }
        before.is_restored(name);
    }
}

/// A body that is a thousand times as large as it travels, made without being held as a whole.
fn bomb(driver: &dyn Driver) {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    io::copy(&mut io::Read::take(io::repeat(b' '), BOMB), &mut encoder).expect("memory can be written to");
    encoder.flush().expect("memory can be written to");
    let body = encoder.finish().expect("memory can be written to");
    let server = Server::start();
    let honest = Answer::json(200, r#"{"state":"fired"}"#);
    server.on("/firings/a", [Answer::status(200).header("content-encoding", "gzip").body(body), honest]);
    let limit = 8 * 1024 * 1024;
    let done = driver.client(Setup::of(&server).max_body(limit)).wait(&JobRef::new("a").expect("it is an id"));
    assert_eq!((done.outcome, done.last_error), (Outcome::Succeeded, Some(LookError::TooLarge)));
}

/// What this process holds.
struct Process {
    /// In kilobytes.
    memory: usize,
    threads: usize,
    files: usize,
}

impl Process {
    fn now() -> Self {
        Self { memory: status("VmRSS"), threads: status("Threads"), files: open_files() }
    }

    /// Waits until there are no more threads and open files than there were: what has been joined and closed may be there
    /// for a moment.
    fn is_restored(&self, name: &str) {
        let start = Instant::now();
        loop {
            let (threads, files) = (status("Threads"), open_files());
            if threads <= self.threads && files <= self.files {
                return;
            }
            let (had, open) = (self.threads, self.files);
            assert!(start.elapsed() < HANG_GUARD, "{name}: {threads} threads of {had}, {files} files of {open}");
            thread::yield_now();
        }
    }
}

/// A number of this process.
fn status(name: &str) -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("Linux tells it");
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).expect("Linux tells it");
    line.trim().trim_end_matches(" kB").parse().expect("it is a number")
}

fn open_files() -> usize {
    // One of them is the directory itself, each time.
    fs::read_dir("/proc/self/fd").expect("Linux tells it").count()
}
