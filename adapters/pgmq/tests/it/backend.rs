//! A backend of a few lines that speaks `tracker`, and answers as a test says.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use jobwatch_reqwest::{Client, Dialect, Policy};
use tokio::sync::watch;

use jobwatch_pgmq::{Destination, JobRef};

/// What becomes of a look.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    State(&'static str),
    Body(String),
    Status(u16),
    /// No answer comes.
    Hangs,
}

pub(crate) struct Backend {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    answers: Mutex<HashMap<String, Answer>>,
    asked: watch::Sender<Vec<String>>,
}

impl Backend {
    /// Jobs are pending unless something else is said.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared { answers: Mutex::default(), asked: watch::channel(Vec::new()).0 });
        let served = Arc::clone(&shared);
        // It lives as long as the test's process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&served);
                thread::spawn(move || serve(&stream, &shared));
            }
        });
        Self { address, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on a look at this job is answered so.
    pub(crate) fn set(&self, id: &str, answer: Answer) {
        lock(&self.shared.answers).insert(id.to_owned(), answer);
    }

    /// Waits until this job was asked for so often.
    pub(crate) async fn asked_for(&self, id: &str, times: usize) {
        let mut asked = self.shared.asked.subscribe();
        let often = |asked: &Vec<String>| asked.iter().filter(|asked| *asked == id).count() >= times;
        asked.wait_for(often).await.expect("the backend lives");
    }

    pub(crate) fn times_asked(&self, id: &str) -> usize {
        self.shared.asked.borrow().iter().filter(|asked| *asked == id).count()
    }

    pub(crate) fn destination(&self) -> Destination {
        Destination::new(&Dialect::tracker(), Some(&self.url()), "default").expect("the address is one")
    }

    /// A client with short gaps.
    pub(crate) fn client(&self) -> Client {
        let millis = std::time::Duration::from_millis;
        let policy = Policy::builder().with_min_delay(millis(20)).with_max_delay(millis(100));
        let policy = policy.with_total_timeout(std::time::Duration::from_secs(600)).build().expect("it is one");
        self.client_with(policy)
    }

    pub(crate) fn client_with(&self, policy: Policy) -> Client {
        let client = Client::builder(Dialect::tracker()).base_url(self.url()).policy(policy).rate(None);
        client.build().expect("a client")
    }
}

/// Jobs of these ids.
pub(crate) fn jobs<T: Into<String>>(ids: impl IntoIterator<Item = T>) -> Vec<JobRef> {
    ids.into_iter().map(|id| JobRef::new(id).expect("an id")).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 0 {
        let id = line.split(' ').nth(1).and_then(|path| path.rsplit('/').next()).unwrap_or_default().to_owned();
        while line.trim() != "" {
            line.clear();
            reader.read_line(&mut line)?;
        }
        line.clear();
        let answer = lock(&shared.answers).get(&id).cloned().unwrap_or(Answer::State("pending"));
        shared.asked.send_modify(|asked| asked.push(id));
        let (status, body) = match answer {
            Answer::State(word) => (200, format!(r#"{{"result":"{word}"}}"#)),
            Answer::Body(body) => (200, body),
            Answer::Status(status) => (status, "{}".to_owned()),
            Answer::Hangs => return reader.read_to_end(&mut Vec::new()).map(drop),
        };
        let length = body.len();
        let answer =
            format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\ncontent-type: application/json\r\n\r\n{body}");
        (&*stream).write_all(answer.as_bytes())?;
    }
    Ok(())
}
