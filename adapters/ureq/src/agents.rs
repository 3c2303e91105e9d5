//! Agents of ureq, each with one connection.
//!
//! An agent's own pool walks past all its idle connections several times for each request, while it is locked: with some
//! thousands of them that takes longer than the request.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use boot_time::Instant;
use http::Uri;
use http::uri::{Authority, Scheme};
use jobwatch::driver::body::ENCODINGS;
use ureq::config::Config;
use ureq::tls::{RootCerts, TlsConfig};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{ChainedConnector, ConnectionDetails, Connector, DefaultConnector, NextTimeout};
use ureq::{Agent, Error};

use crate::exchange::READ_AT_ONCE;
use crate::names::Names;
use crate::strict::Strict;

/// Longer than the longest gap between two looks at one job under the default policy, so that its connection is reused.
const IDLE_AGE: Duration = Duration::from_secs(90);

/// As many agents as there are requests under way at once, and those that lie idle.
pub(crate) struct Agents {
    config: Config,
    connector: Common<ChainedConnector<(), DefaultConnector, Strict>>,
    names: Common<Names>,
    most_idle: usize,
    /// The longest idle first.
    idle: Mutex<VecDeque<Idle>>,
}

/// An agent whose connection is to this server.
struct Idle {
    server: Server,
    since: Instant,
    agent: Agent,
}

#[derive(PartialEq, Eq)]
pub(crate) struct Server(Option<Scheme>, Option<Authority>);

/// What all agents have in common.
struct Common<T>(Arc<T>);

impl Agents {
    /// They do what they are told and nothing else: no redirects, no statuses as errors, nothing kept but connections.
    /// Proxies come from the environment.
    pub(crate) fn new(most_idle: usize, roots: RootCerts) -> Self {
        let config = Agent::config_builder()
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections(1)
            .max_idle_connections_per_host(1)
            .max_idle_age(IDLE_AGE)
            .input_buffer_size(READ_AT_ONCE)
            .output_buffer_size(READ_AT_ONCE)
            // Whoever else uses ureq may have switched more of its own on.
            .accept_encoding(ENCODINGS)
            .allow_non_standard_methods(true)
            .user_agent(concat!("jobwatch/", env!("CARGO_PKG_VERSION")))
            .build();
        Self {
            config,
            connector: Common::new(DefaultConnector::default().chain(Strict)),
            names: Common::new(Names::over(DefaultResolver::default())),
            most_idle,
            idle: Mutex::default(),
        }
    }

    /// Asks a server with the agent that talked to it last, of those that are idle, or with a new one.
    pub(crate) fn with<T, E>(&self, server: Server, ask: impl FnOnce(&Agent) -> Result<T, E>) -> Result<T, E> {
        let agent = self
            .take(&server)
            .unwrap_or_else(|| Agent::with_parts(self.config.clone(), self.connector.clone(), self.names.clone()));
        let answer = ask(&agent);
        // Otherwise it has no connection any more.
        if answer.is_ok() {
            self.keep(server, agent);
        }
        answer
    }

    fn take(&self, server: &Server) -> Option<Agent> {
        let mut idle = self.idle();
        let at = idle.iter().rposition(|idle| idle.server == *server)?;
        idle.remove(at).map(|idle| idle.agent)
    }

    fn keep(&self, server: Server, agent: Agent) {
        let now = Instant::now();
        let mut idle = self.idle();
        idle.push_back(Idle { server, since: now, agent });
        let too_many = idle.len().saturating_sub(self.most_idle);
        let too_old = idle.iter().take_while(|idle| now.duration_since(idle.since) > IDLE_AGE).count();
        let left: Vec<Idle> = idle.drain(..too_many.max(too_old)).collect();
        // Their connections are closed while nobody waits for it.
        drop(idle);
        drop(left);
    }

    /// Nothing panics while it is held.
    fn idle(&self) -> MutexGuard<'_, VecDeque<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Server {
    /// To which a request with this address goes.
    pub(crate) fn of(uri: &Uri) -> Self {
        Self(uri.scheme().cloned(), uri.authority().cloned())
    }
}

impl<T> Common<T> {
    fn new(inner: T) -> Self {
        Self(Arc::new(inner))
    }
}

impl<T> Clone for Common<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: fmt::Debug> fmt::Debug for Common<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<C: Connector> Connector for Common<C> {
    type Out = C::Out;

    fn connect(&self, details: &ConnectionDetails<'_>, opened: Option<()>) -> Result<Option<C::Out>, Error> {
        self.0.connect(details, opened)
    }
}

impl<R: Resolver> Resolver for Common<R> {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        self.0.resolve(uri, config, timeout)
    }
}

#[cfg(test)]
mod tests {
    use jobwatch_conformance::{Answer, Server as TestServer};

    use super::*;

    fn ask(agents: &Agents, server: &TestServer) {
        let url = format!("{}/", server.url());
        let asked =
            agents.with(Server::of(&url.parse().unwrap()), |agent| agent.get(&url).call()?.into_body().read_to_vec());
        asked.unwrap();
    }

    #[test]
    fn each_server_is_asked_over_a_connection_of_its_own() {
        let agents = Agents::new(8, RootCerts::WebPki);
        let servers = [TestServer::start(), TestServer::start()];
        for server in &servers {
            server.on("/", [Answer::json(200, "{}")]);
        }
        for _ in 0..3 {
            for server in &servers {
                ask(&agents, server);
            }
        }
        for server in &servers {
            assert_eq!((server.requests().len(), server.log(|log| log.connections)), (3, 1));
        }
        assert_eq!(agents.idle().len(), 2);
    }

    #[test]
    fn no_more_lie_idle_than_may_and_none_that_failed() {
        let agents = Agents::new(2, RootCerts::WebPki);
        let uri = Uri::from_static("http://127.0.0.1/");
        let with = |inner: &dyn Fn() -> Result<(), ()>| agents.with(Server::of(&uri), |_| inner());
        with(&|| with(&|| with(&|| Ok(())))).unwrap();
        assert_eq!(agents.idle().len(), 2);
        with(&|| Err(())).unwrap_err();
        assert_eq!(agents.idle().len(), 1);
    }
}
