//! A server behind TLS, honest or not, for the drivers' own tests: what certificates they trust is not on their face.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection};

/// Who a server says it is.
#[derive(Clone, Copy, Debug)]
pub enum Identity {
    /// The address at which it is, by a certificate of today.
    Own,
    /// Another host.
    Other,
    /// The address at which it is, by a certificate whose time is over.
    Expired,
    /// The address at which it is, by a certificate whose time is to come.
    TooSoon,
}

/// A server that gives every connection one answer. Dropping it joins its thread.
#[derive(Debug)]
pub struct TlsServer {
    address: SocketAddr,
    certificate: CertificateDer<'static>,
    heard: Arc<Mutex<Vec<u8>>>,
    accepting: Option<JoinHandle<()>>,
}

impl TlsServer {
    /// A server of this identity, which gives this answer and closes the connection: with the farewell of TLS, or as one
    /// does who has cut it.
    pub fn start(identity: Identity, answer: impl Into<Vec<u8>>, farewell: bool) -> Self {
        let (config, certificate) = identity.make();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let heard = Arc::new(Mutex::new(Vec::new()));
        let accepting = thread::spawn({
            let (heard, answer) = (Arc::clone(&heard), answer.into());
            move || {
                // A connection of nothing ends it; so does one that fails to be accepted.
                while let Ok((stream, _)) = listener.accept() {
                    if stream.peek(&mut [0]).unwrap_or(0) == 0 {
                        break;
                    }
                    // A client may leave whenever it likes.
                    let _ = serve(stream, &config, &answer, farewell, &heard);
                }
            }
        });
        Self { address, certificate, heard, accepting: Some(accepting) }
    }

    /// The base URL.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Its certificate, in DER, which it has signed itself.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// What it was told, decrypted.
    pub fn heard(&self) -> String {
        String::from_utf8_lossy(&self.heard.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        // Wakes the thread; where that fails, the listener is gone already.
        drop(TcpStream::connect(self.address));
        let ended = self.accepting.take().map_or(Ok(()), JoinHandle::join);
        assert!(ended.is_ok() || thread::panicking(), "the server's thread panicked");
    }
}

impl Identity {
    fn make(self) -> (Arc<ServerConfig>, CertificateDer<'static>) {
        let name = if matches!(self, Self::Other) { "kiln.example" } else { "127.0.0.1" };
        let mut params = CertificateParams::new([name.to_owned()]).expect("it is a name");
        let (from, to) = match self {
            Self::Own | Self::Other => (1990, 2190),
            Self::Expired => (1990, 2020),
            Self::TooSoon => (2150, 2190),
        };
        (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.self_signed(&key).expect("it can sign itself").der().clone();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("the provider has all versions").with_no_client_auth();
        let config =
            config.with_single_cert(vec![certificate.clone()], key.into()).expect("the key is the certificate's");
        (Arc::new(config), certificate)
    }
}

/// One request and its answer.
fn serve(
    mut stream: TcpStream,
    config: &Arc<ServerConfig>,
    answer: &[u8],
    farewell: bool,
    heard: &Mutex<Vec<u8>>,
) -> io::Result<()> {
    let mut connection = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
    let mut tls = rustls::Stream::new(&mut connection, &mut stream);
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        tls.read_exact(&mut byte)?;
        request.extend(byte);
        heard.lock().unwrap_or_else(PoisonError::into_inner).extend(byte);
    }
    tls.write_all(answer)?;
    if farewell {
        tls.conn.send_close_notify();
    }
    tls.flush()?;
    stream.shutdown(std::net::Shutdown::Write)?;
    // A client that has not read yet would take a close for a reset.
    io::copy(&mut stream, &mut io::sink()).map(drop)
}
