//! The simulator as its users hold it: a builder, a running server, a handle that stops it.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

use crate::api::Api;
use crate::asked::ApiKey;
use crate::clock::Pace;
use crate::durations::Durations;
use crate::faults::{Faults, is_probability};
use crate::jobs::Recipe;
use crate::ledger::Ledger;
use crate::server;
use crate::world::{Settings, World};

/// Connections that may wait to be accepted; the system may allow fewer.
const BACKLOG: u32 = 4096;

/// A running simulator. It serves from a thread of its own until it is stopped or dropped.
#[derive(Debug)]
pub struct Simulator {
    address: SocketAddr,
    world: Arc<World>,
    stopper: Stopper,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Simulator {
    /// Starts with the defaults that the setters name.
    pub fn builder() -> SimulatorBuilder {
        SimulatorBuilder::default()
    }

    /// The address that it listens on, with the real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base URL, such as `http://127.0.0.1:34567`. Where it listens on every address, the URL
    /// names the loopback one.
    pub fn url(&self) -> String {
        let ip = match self.address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        format!("http://{}", SocketAddr::new(ip, self.address.port()))
    }

    /// A copy of what was recorded so far; also after the end.
    pub fn ledger(&self) -> Ledger {
        self.world.ledger()
    }

    /// From now on asks for another API key, in place of the one before; the empty one asks for
    /// none. See [`SimulatorBuilder::api_key`].
    pub fn set_api_key(&self, key: impl Into<String>) {
        self.world.set_api_key(ApiKey::new(key));
    }

    /// A handle that stops the simulator from another thread, such as a signal handler's.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Stops: closes the listener and every connection, hung ones too, and returns when they are
    /// closed. Stopping again does nothing.
    pub fn stop(&self) {
        self.stopper.stop();
        self.wait();
    }

    /// Blocks until somebody stops the simulator.
    pub fn wait(&self) {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take() {
            // A panic of the server's thread has been reported there; there is nothing to add.
            let _ = thread.join();
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Stops a [`Simulator`] from anywhere. Cheap to clone; outliving the simulator is harmless.
#[derive(Debug, Clone)]
pub struct Stopper(watch::Sender<bool>);

impl Stopper {
    /// Asks the simulator to stop and returns at once; [`Simulator::wait`] returns soon after.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

/// Sets up a [`Simulator`]. Every setter has a default, and values are checked by
/// [`start`](Self::start).
#[derive(Debug, Clone)]
#[must_use = "nothing listens before start()"]
pub struct SimulatorBuilder {
    listen: SocketAddr,
    api: Api,
    durations: Durations,
    fail_rate: f64,
    faults: Faults,
    cache: Option<Duration>,
    speed: f64,
    seed: u64,
    api_key: ApiKey,
    max_active: Option<usize>,
    unresponsive: bool,
    ledger_limit: usize,
}

impl Default for SimulatorBuilder {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            api: Api::default(),
            durations: Durations::default(),
            fail_rate: 0.1,
            faults: Faults::none(),
            cache: None,
            speed: 1.0,
            seed: 0,
            api_key: ApiKey::default(),
            max_active: None,
            unresponsive: false,
            ledger_limit: 1_000_000,
        }
    }
}

impl SimulatorBuilder {
    /// Where to listen. Default `127.0.0.1:0`: loopback, at a port that is free.
    pub fn listen(self, listen: SocketAddr) -> Self {
        Self { listen, ..self }
    }

    /// Which job API to imitate. Default [`Api::Tracker`].
    pub fn api(self, api: Api) -> Self {
        Self { api, ..self }
    }

    /// How long jobs take, in simulated time. Default `uniform:20..40`.
    pub fn durations(self, durations: Durations) -> Self {
        Self { durations, ..self }
    }

    /// The probability that a job fails in the end, 0 to 1. Default 0.1.
    pub fn fail_rate(self, fail_rate: f64) -> Self {
        Self { fail_rate, ..self }
    }

    /// What goes wrong with status requests. Default nothing.
    pub fn faults(self, faults: Faults) -> Self {
        Self { faults, ..self }
    }

    /// Repeats the answer of a status path for this long, in simulated time, as a backend behind a
    /// cache does: a client that asks sooner is told an old state. Default no cache; zero is none.
    pub fn cache(self, life: Duration) -> Self {
        let cache = (!life.is_zero()).then_some(life);
        Self { cache, ..self }
    }

    /// Simulated seconds per real second. Default 1.
    pub fn speed(self, speed: f64) -> Self {
        Self { speed, ..self }
    }

    /// What ids, outcomes, durations and faults are drawn from. Default 0.
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// The key that every request of the API has to carry, as `x-api-key: KEY` or as
    /// `authorization: Bearer KEY`: without it the answer is 401. Files at presigned URLs, health and
    /// ledger need none. Default empty: no key is asked for.
    /// [`Simulator::set_api_key`] changes it later.
    pub fn api_key(self, key: impl Into<String>) -> Self {
        Self { api_key: ApiKey::new(key), ..self }
    }

    /// How many jobs may be unfinished at once: a create beyond that makes no job at all and is
    /// answered with 429, the code `rate_limit_exceeded` and a wait of one simulated second. Default
    /// no maximum.
    pub fn max_active(self, max_active: usize) -> Self {
        Self { max_active: Some(max_active), ..self }
    }

    /// Takes every request and never answers, creates too. Health and ledger still answer.
    /// Default false.
    pub fn unresponsive(self, unresponsive: bool) -> Self {
        Self { unresponsive, ..self }
    }

    /// How many requests, and how many jobs, are remembered; the oldest are forgotten. The status
    /// of a forgotten job is that of an unknown id. Default 1,000,000; at least one job is kept.
    pub fn ledger_limit(self, ledger_limit: usize) -> Self {
        Self { ledger_limit, ..self }
    }

    /// Checks the values, binds, and serves from a thread of its own.
    pub fn start(self) -> Result<Simulator, StartError> {
        let listen = self.listen;
        let world = Arc::new(World::new(self.settings()?));
        let runtime = Builder::new_current_thread().enable_all().build().map_err(StartError::Runtime)?;
        let bound = bind(&runtime, listen)
            .and_then(|listener| Ok((listener.local_addr()?, listener)))
            .map_err(|source| StartError::Bind { address: listen, source });
        let (address, listener) = bound?;
        let (sender, receiver) = watch::channel(false);
        let serving = Arc::clone(&world);
        let thread = std::thread::Builder::new()
            .name("jobwatch-simulator".to_owned())
            .spawn(move || {
                runtime.block_on(server::run(listener, serving, receiver));
                // Drops every connection where it stands, and waits for no ledger being written.
                runtime.shutdown_background();
            })
            .map_err(StartError::Runtime)?;
        Ok(Simulator { address, world, stopper: Stopper(sender), thread: Mutex::new(Some(thread)) })
    }

    fn settings(self) -> Result<Settings, StartError> {
        let pace = Pace::new(self.speed).ok_or(StartError::BadValue {
            what: "speed",
            value: self.speed,
            wanted: "a finite number above zero",
        })?;
        for (what, value) in [("fail rate", self.fail_rate), ("fault rate", self.faults.probability())] {
            if !is_probability(value) {
                let wanted = "a probability from 0 to 1";
                return Err(StartError::BadValue { what, value, wanted });
            }
        }
        Ok(Settings {
            api: self.api,
            recipe: Recipe { seed: self.seed, durations: self.durations, fail_rate: self.fail_rate, pace },
            faults: self.faults,
            cache_ns: self.cache.map(|life| pace.real_ns(life)),
            api_key: self.api_key,
            max_active: self.max_active,
            unresponsive: self.unresponsive,
            ledger_limit: self.ledger_limit,
        })
    }
}

fn bind(runtime: &Runtime, address: SocketAddr) -> io::Result<TcpListener> {
    let _entered = runtime.enter();
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // On Unix this lets a restarted server have its port back; elsewhere it would let two share it.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Why a simulator did not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The address cannot be listened on: in use, not of this machine, or not allowed. The source
    /// says which.
    Bind {
        /// The address that was asked for.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// The system gave no event loop or no thread.
    Runtime(io::Error),
    /// A setting is out of its range.
    BadValue {
        /// The setting.
        what: &'static str,
        /// What it was set to.
        value: f64,
        /// What it has to be.
        wanted: &'static str,
    },
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind { address, .. } => write!(f, "cannot listen on {address}"),
            Self::Runtime(_) => f.write_str("cannot start the simulator's thread"),
            Self::BadValue { what, value, wanted } => {
                write!(f, "the {what} {value} is not {wanted}")
            }
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Bind { source, .. } | Self::Runtime(source) => Some(source),
            Self::BadValue { .. } => None,
        }
    }
}
