//! A PostgreSQL server of the tests' own: in a temporary folder, on a free port, gone when the last test that uses it has
//! ended, however that ends.

use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use sqlx::{Connection, PgConnection};

/// No test may print it.
pub(crate) const PASSWORD: &str = "hush-pg-4711";

/// In CI a missing server is a failure.
const REQUIRED: &str = "JOBWATCH_REQUIRE_POSTGRES";

const HANG_GUARD: Duration = Duration::from_secs(60);

/// The time between two looks at something that tells no news by itself.
const PAUSE: Duration = Duration::from_millis(20);

/// Starts the server and stays until its standard input is closed: also when the test process was killed. `exec` keeps the
/// server's own process, so that signals reach it.
const GUARD: &str = r#"
"$@" >>"$LOG" 2>&1 </dev/null &
server=$!
echo $server
read -r _
kill -QUIT $server 2>/dev/null
wait $server
[ -z "$REMOVE" ] || rm -rf "$REMOVE"
"#;

/// A database of one test's own.
pub(crate) struct Database {
    server: Arc<Server>,
    name: String,
}

impl Database {
    /// A new database on the server that tests share; nothing where there is no PostgreSQL, which is said aloud.
    pub(crate) async fn create() -> Option<Self> {
        static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
        let server = {
            let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(server) = shared.upgrade() {
                server
            } else {
                let server = Arc::new(Server::found()?);
                *shared = Arc::downgrade(&server);
                server
            }
        };
        Some(Self::on(server).await)
    }

    /// A new database on a server of its own, which can be stopped and started; nothing where there are no binaries.
    pub(crate) async fn create_alone(durable: bool) -> Option<Self> {
        Some(Self::on(Arc::new(Server::start(durable)?)).await)
    }

    async fn on(server: Arc<Server>) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("jobwatch_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::SeqCst));
        let mut connection = PgConnection::connect(&server.url).await.expect("the server can be connected to");
        let create = format!("CREATE DATABASE {name}");
        sqlx::query(&create).execute(&mut connection).await.expect("a database can be made");
        Self { server, name }
    }

    /// Its address, with the password.
    pub(crate) fn url(&self) -> String {
        let (server, _) = self.server.url.rsplit_once('/').expect("an address names a database");
        format!("{server}/{}", self.name)
    }

    pub(crate) async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.url()).await.expect("the database can be connected to")
    }

    pub(crate) fn server(&self) -> &Server {
        &self.server
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // A server of ours goes as a whole.
        if self.server.own.is_some() {
            return;
        }
        let (url, name) = (self.server.url.clone(), self.name.clone());
        let dropped = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let mut connection = PgConnection::connect(&url).await?;
                sqlx::query(&format!("DROP DATABASE {name} WITH (FORCE)")).execute(&mut connection).await
            })
        });
        let _ = dropped.join();
    }
}

pub(crate) struct Server {
    url: String,
    own: Option<Own>,
}

/// What is needed to stop and start it.
struct Own {
    binaries: PathBuf,
    folder: PathBuf,
    port: u16,
    durable: bool,
    guard: Mutex<Option<Guard>>,
}

struct Guard {
    shell: Child,
    server: String,
}

impl Server {
    /// The one of `DATABASE_URL`, or one of our own.
    fn found() -> Option<Self> {
        match env::var("DATABASE_URL") {
            Ok(url) if !url.is_empty() => Some(Self { url, own: None }),
            _ => Self::start(false),
        }
    }

    fn start(durable: bool) -> Option<Self> {
        let Some(binaries) = binaries() else {
            assert!(env::var_os(REQUIRED).is_none(), "{REQUIRED} is set, and there is no PostgreSQL");
            eprintln!("\n*** NOT TESTED: no PostgreSQL was found; install it, or set DATABASE_URL ***\n");
            return None;
        };
        let folder = tempfile::Builder::new().prefix("jobwatch-pg-").tempdir().expect("a temporary folder").keep();
        let password = folder.join("password");
        fs::write(&password, PASSWORD).expect("a file can be written");
        give_away(&folder);
        let mut initdb = as_nobody_special(&binaries.join("initdb"));
        initdb.arg("-D").arg(folder.join("data")).arg("--pwfile").arg(&password);
        let made =
            initdb.args(["-A", "scram-sha-256", "-U", "tester", "-E", "UTF8", "--locale=C", "--no-sync"]).output();
        let made = made.expect("initdb runs");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        // Somebody else may take the port before the server does.
        for _ in 0..5 {
            let port = free_port();
            let url = format!("postgres://tester:{PASSWORD}@127.0.0.1:{port}/postgres");
            let own =
                Own { binaries: binaries.clone(), folder: folder.clone(), port, durable, guard: Mutex::new(None) };
            let server = Self { url, own: Some(own) };
            if server.begin() {
                return Some(server);
            }
        }
        panic!("the server does not start: {}", fs::read_to_string(folder.join("log")).unwrap_or_default());
    }

    fn own(&self) -> &Own {
        self.own.as_ref().expect("this server was started here")
    }

    /// Starts it; tells whether it is there.
    pub(crate) fn begin(&self) -> bool {
        let own = self.own();
        let mut shell = as_nobody_special(Path::new("sh"));
        shell.args(["-c", GUARD, "sh"]).arg(own.binaries.join("postgres")).arg("-D").arg(own.folder.join("data"));
        shell.args(["-p", &own.port.to_string(), "-c", "listen_addresses=127.0.0.1"]);
        shell.args(["-c", "unix_socket_directories=", "-c", "max_connections=100"]);
        if !own.durable {
            shell.args(["-c", "fsync=off", "-c", "full_page_writes=off"]);
        }
        shell.env("LOG", own.folder.join("log")).env("REMOVE", &own.folder).current_dir(&own.folder);
        let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a shell runs");
        let mut server = String::new();
        let out = shell.stdout.take().expect("standard output is a pipe");
        std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut server).expect("it tells its number");
        let server = server.trim().to_owned();
        *own.guard.lock().unwrap_or_else(PoisonError::into_inner) = Some(Guard { shell, server: server.clone() });
        let start = Instant::now();
        while !answers(&self.url) {
            if !is_alive(&server) {
                return false;
            }
            assert!(start.elapsed() < HANG_GUARD, "the server does not come up");
            thread::sleep(PAUSE);
        }
        true
    }

    /// Ends it as a crash does, and keeps its data.
    pub(crate) fn crash(&self) {
        self.end("QUIT");
    }

    /// Ends it as an administrator does who restarts it.
    pub(crate) fn shut_down(&self) {
        self.end("INT");
    }

    fn end(&self, signal: &str) {
        let own = self.own();
        let Some(guard) = own.guard.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let _ = Command::new("kill").args(["-s", signal, &guard.server]).status();
        let start = Instant::now();
        while is_alive(&guard.server) {
            assert!(start.elapsed() < HANG_GUARD, "the server does not end");
            thread::sleep(PAUSE);
        }
        // The shell that waits for its input goes without removing the folder.
        let mut shell = guard.shell;
        let _ = shell.kill();
        let _ = shell.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let Some(own) = &self.own else { return };
        let guard = own.guard.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Guard { mut shell, .. }) = guard {
            // Its input ends, and with it the server.
            drop(shell.stdin.take().map(|mut input| input.write_all(b"\n")));
            let _ = shell.wait();
        }
        let _ = fs::remove_dir_all(&own.folder);
    }
}

/// Where the server's programs are.
fn binaries() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = env::split_paths(&path).collect();
    let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut installed: Vec<PathBuf> = installed.map(|version| version.path().join("bin")).collect();
    installed.sort();
    folders.extend(installed.into_iter().rev());
    folders.into_iter().find(|folder| folder.join("postgres").is_file() && folder.join("initdb").is_file())
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout.trim_ascii() == b"0")
}

/// The account under which root runs the server, which refuses to be run by root.
fn account() -> &'static str {
    let exists = Command::new("id").args(["-u", "postgres"]).output().is_ok_and(|id| id.status.success());
    if exists { "postgres" } else { "nobody" }
}

fn as_nobody_special(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    let group = Command::new("id").args(["-g", account()]).output().expect("id runs").stdout;
    let group = String::from_utf8_lossy(group.trim_ascii()).into_owned();
    command.args([&format!("--reuid={}", account()), &format!("--regid={group}"), "--clear-groups"]).arg(program);
    command
}

fn give_away(folder: &Path) {
    if is_root() {
        let given = Command::new("chown").args(["-R", account()]).arg(folder).status();
        assert!(given.expect("chown runs").success(), "the folder cannot be given to {}", account());
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    listener.local_addr().expect("an address").port()
}

/// A process that has ended and was not waited for is none.
fn is_alive(id: &str) -> bool {
    let state = match fs::read_to_string(format!("/proc/{id}/stat")) {
        Ok(stat) => stat.rsplit(") ").next().unwrap_or_default().to_owned(),
        Err(_) if Path::new("/proc/self/stat").exists() => String::new(),
        Err(_) => {
            let told = Command::new("ps").args(["-o", "stat=", "-p", id]).output().expect("ps runs");
            String::from_utf8_lossy(&told.stdout).into_owned()
        }
    };
    let state = state.trim();
    !state.is_empty() && !state.starts_with('Z')
}

fn answers(url: &str) -> bool {
    let url = url.to_owned();
    let asked = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async { PgConnection::connect(&url).await.is_ok() })
    });
    asked.join().expect("asking does not panic")
}
