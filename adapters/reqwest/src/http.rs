//! reqwest, set up to do what it is told and nothing else.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::header::{ACCEPT_ENCODING, HeaderName, HeaderValue};
use http::uri::{Authority, Scheme};
use http::{Extensions, HeaderMap, Method, Request, Uri};
use hyper_util::client::legacy::connect::HttpInfo;
use jobwatch::driver::body::ENCODINGS;
use jobwatch::driver::meter::origin;
use jobwatch::{LookError, TransportError};
use reqwest::{Response, Url};
use rustls::{ClientConfig, RootCertStore};
use tower_service::Service;

use crate::errors::{causes, is_break_before_the_answer, translate, words};

/// Longer than the longest gap between two looks at one job under the default policy, so that its connection is reused.
const IDLE_AGE: Duration = Duration::from_secs(90);

/// Most paths of looks have fewer bytes.
const USUAL_PATH: usize = 120;

/// A client: no redirects, nothing kept but connections. Proxies come from the environment.
///
/// Two repetitions there are, both of a request on a connection that lay idle and that the server closed: one of which no
/// byte was written goes to another connection, which nothing in hyper can turn off; and so does, once, one that changes
/// nothing at the server, see [`send`](Self::send).
pub(crate) struct Http {
    client: reqwest::Client,
    answered: Ports,
    /// Where most requests go, and an address there with a path that takes as much room as most do.
    home: OnceLock<(Scheme, Authority, Url)>,
}

/// A request that was begun. Nothing is sent before it is polled.
pub(crate) struct Begun {
    sending: Sending,
    /// What is needed to send it once more; `None` where that might change something.
    again: Option<(Method, Vec<(HeaderName, HeaderValue)>)>,
    pub(crate) origin: String,
}

enum Sending {
    UnderWay(<reqwest::Client as Service<reqwest::Request>>::Future),
    /// Seldom, and large.
    Answered(Option<Box<reqwest::Result<Response>>>),
    Refused(TransportError),
}

impl Begun {
    /// Lets it get as far as it gets at once, and wake this one when it can go on. Tells whether it waits for anything.
    pub(crate) fn set_off(&mut self, waker: &Waker) -> bool {
        if let Sending::UnderWay(sending) = &mut self.sending
            && let Poll::Ready(answer) = Pin::new(sending).poll(&mut Context::from_waker(waker))
        {
            self.sending = Sending::Answered(Some(Box::new(answer)));
        }
        matches!(self.sending, Sending::UnderWay(_))
    }
}

/// Local ports of connections.
struct Ports(Box<[AtomicU64]>);

impl Http {
    /// A client that trusts these certificates; its settings can be adjusted, but for those that promises depend on.
    pub(crate) fn new(
        most_in_flight: usize,
        roots: RootCertStore,
        adjust: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
    ) -> Result<Self, String> {
        let tls = tls(roots).map_err(|error| error.to_string())?;
        let builder = reqwest::Client::builder()
            .default_headers(HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(ENCODINGS))]))
            .tls_backend_preconfigured(tls)
            .pool_idle_timeout(IDLE_AGE)
            .pool_max_idle_per_host(most_in_flight)
            .user_agent(concat!("jobwatch/", env!("CARGO_PKG_VERSION")));
        let client = adjust(builder)
            // Whoever else uses reqwest may have switched its own decoding on.
            .no_gzip()
            .no_brotli()
            .no_deflate()
            .no_zstd()
            .redirect(reqwest::redirect::Policy::none())
            // Not even a copy is kept, which it would be otherwise.
            .retry(reqwest::retry::never().max_retries_per_request(0))
            .referer(false)
            .build()
            .map_err(|error| words(&error))?;
        Ok(Self { client, answered: Ports::none(), home: OnceLock::new() })
    }

    /// Begins to send a request, as far as that can be done without a connection.
    pub(crate) fn begin(&self, request: Request<Vec<u8>>) -> Begun {
        // Of a copy only this is needed: an error tells the address.
        let again = (request.method().is_safe() && request.body().is_empty()).then(|| {
            let headers = request.headers().iter().map(|(name, value)| (name.clone(), value.clone()));
            (request.method().clone(), headers.collect())
        });
        let origin = origin(request.uri());
        let sending = match self.prepare(request) {
            Ok(request) => Sending::UnderWay((&self.client).call(request)),
            Err(error) => Sending::Refused(error),
        };
        Begun { sending, again, origin }
    }

    /// Sends what was begun; the body of the answer is still to be read.
    ///
    /// A server may close an idle connection at any time, also at the moment when the next request is on its way: that
    /// says nothing about the server's health, and such a request is repeated once, if it only asks.
    pub(crate) async fn send(&self, begun: &mut Begun) -> Result<Response, TransportError> {
        let mut answer = match &mut begun.sending {
            Sending::UnderWay(sending) => sending.await,
            Sending::Answered(answer) => *answer.take().expect("it is sent once"),
            Sending::Refused(error) => return Err(error.clone()),
        };
        if let (Err(error), Some((method, headers))) = (&answer, begun.again.take())
            && self.had_answered(error)
            && is_break_before_the_answer(error)
            && let Some(url) = error.url()
        {
            let mut again = reqwest::Request::new(method, url.clone());
            again.headers_mut().extend(headers);
            answer = self.client.execute(again).await;
        }
        let answer = answer.map_err(translate)?;
        if let Some(connection) = answer.extensions().get::<HttpInfo>() {
            self.answered.note(connection.local_addr().port());
        }
        Ok(answer)
    }

    /// Whether the connection that an error is about has brought an answer before. A port that was used by an earlier one
    /// passes for it, which makes a repetition too many at the worst.
    fn had_answered(&self, error: &reqwest::Error) -> bool {
        let connection = causes(error).find_map(|cause| {
            let mut extensions = Extensions::new();
            let error = cause.downcast_ref::<hyper_util::client::legacy::Error>()?;
            error.connect_info()?.get_extras(&mut extensions);
            extensions.remove::<HttpInfo>()
        });
        connection.is_some_and(|connection| self.answered.has(connection.local_addr().port()))
    }

    fn prepare(&self, request: Request<Vec<u8>>) -> Result<reqwest::Request, TransportError> {
        let (head, body) = request.into_parts();
        let mut request = reqwest::Request::new(head.method, self.url(&head.uri)?);
        *request.headers_mut() = head.headers;
        *request.body_mut() = Some(body.into());
        Ok(request)
    }

    /// An address in reqwest's terms. To take a host apart costs more than all else in it, and it is mostly the same.
    fn url(&self, uri: &Uri) -> Result<Url, TransportError> {
        let bad = || TransportError::new(LookError::BadUrl, "");
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else { return Err(bad()) };
        if let Some((_, _, home)) = self.home.get().filter(|home| home.0 == *scheme && home.1 == *authority) {
            let mut url = home.clone();
            // What is in its place has about this length: the room is there.
            url.set_path(uri.path());
            url.set_query(uri.query());
            return Ok(url);
        }
        if self.home.get().is_none()
            && let Ok(home) = Url::parse(&format!("{scheme}://{authority}/{}", "-".repeat(USUAL_PATH)))
        {
            // Another thread may have been first.
            let _ = self.home.set((scheme.clone(), authority.clone(), home));
        }
        Url::parse(&uri.to_string()).map_err(|_| bad())
    }
}

impl Ports {
    fn none() -> Self {
        Self((0..=u16::MAX / 64).map(|_| AtomicU64::new(0)).collect())
    }

    fn note(&self, port: u16) {
        let (word, bit) = self.place(port);
        if word.load(Ordering::Relaxed) & bit == 0 {
            word.fetch_or(bit, Ordering::Relaxed);
        }
    }

    fn has(&self, port: u16) -> bool {
        let (word, bit) = self.place(port);
        word.load(Ordering::Relaxed) & bit != 0
    }

    fn place(&self, port: u16) -> (&AtomicU64, u64) {
        (&self.0[usize::from(port / 64)], 1 << (port % 64))
    }
}

/// The certificates that everybody trusts.
pub(crate) fn public_roots() -> RootCertStore {
    RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }
}

/// A provider and roots of our own: what the process has installed for others is not touched.
fn tls(roots: RootCertStore) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_the_same_however_it_is_made() {
        let http = Http::new(1, RootCertStore::empty(), |http| http).unwrap();
        for address in [
            "http://127.0.0.1:5000/status/a%2Fb?x=1&y=%20",
            "http://127.0.0.1:5000",
            "http://127.0.0.1:5000/?",
            "http://127.0.0.1:5000/a/../b/./c//d;e=f,g@h:i",
            "http://127.0.0.1:5000/%C3%A4|^\"{}",
            "http://LOCALHOST:80/a",
            "https://127.0.0.1:5000/b?c",
            "http://[::1]:5000/a",
            "http://user:secret@127.0.0.1:5000/",
        ] {
            let uri: Uri = match address.parse() {
                Ok(uri) => uri,
                Err(_) => continue,
            };
            let expected = Url::parse(&uri.to_string()).unwrap();
            assert_eq!(http.url(&uri).unwrap(), expected, "{address}");
        }
        assert_eq!(http.url(&Uri::from_static("/status")).unwrap_err().error, LookError::BadUrl);
    }

    #[test]
    fn a_port_is_noted_and_its_neighbours_are_not() {
        let ports = Ports::none();
        for port in [0, 63, 64, 65_535] {
            assert!(!ports.has(port));
            ports.note(port);
            assert!(ports.has(port));
        }
        assert!(![1, 62, 65, 65_534].iter().any(|port| ports.has(*port)));
    }
}
