//! What goes over the wire, and what becomes of answers that are none: against servers of a few lines.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use jobwatch::LookError;
use jobwatch_reqwest::{Client, ClientBuilder, Dialect, Finished, JobRef, Outcome, Policy};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

#[tokio::test]
async fn probe() {
    for (name, answer) in [
        ("close", &b""[..]),
        ("half head", b"HTTP/1.1 200 OK\r\nContent-"),
        ("short body", b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{}"),
        ("short chunk", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n10\r\n{}"),
        ("bad chunk", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}"),
        ("bad gzip", b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 18\r\n\r\n{}{}{}{}{}{}{}{}{}"),
        ("bad head", b"SSH-2.0 hello\r\n\r\n"),
        ("bad head", b"HTTP/1.1 200 OK\r\nfoo bar: \x01\r\n\r\n"),
    ] {
        let (url, _) = serve(answer.to_vec()).await;
        let f = ask(&url, |c| c).await;
        println!("{name}: {:?} {:?}", f.last_error, f.error);
    }
    let gz = gzip(b"{\"result\":\"completed\"}");
    let cut = [format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", gz.len() - 12).as_bytes(), &gz[..gz.len() - 12]].concat();
    let (url, _) = serve(cut).await;
    let f = ask(&url, |c| c).await;
    println!("gzip cut: {:?} {:?}", f.last_error, f.error);
    let cut = [format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", gz.len()).as_bytes(), &gz[..gz.len() - 12]].concat();
    let (url, _) = serve(cut).await;
    let f = ask(&url, |c| c).await;
    println!("gzip conn cut: {:?} {:?}", f.last_error, f.error);
    let mut wrong = gz.clone(); let n = wrong.len(); wrong[n - 6] ^= 1;
    let cut = [format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", gz.len()).as_bytes(), &wrong[..]].concat();
    let (url, _) = serve(cut).await;
    let f = ask(&url, |c| c).await;
    println!("gzip crc: {:?} {:?}", f.last_error, f.error);

    let l = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", l.local_addr().unwrap());
    drop(l);
    let f = ask(&url, |c| c).await;
    println!("refused: {:?} {:?}", f.last_error, f.error);
    let f = ask("http://nobody.invalid", |c| c).await;
    println!("dns: {:?} {:?}", f.last_error, f.error);
    let (url, _) = serve(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()).await;
    let f = ask(&url.replace("http", "https"), |c| c).await;
    println!("tls to plain: {:?} {:?}", f.last_error, f.error);
    let (url, _) = serve(b"".to_vec()).await;
    let f = ask(&url.replace("http", "https"), |c| c).await;
    println!("tls to closed: {:?} {:?}", f.last_error, f.error);
    let url = serve_tls().await;
    let f = ask(&url, |c| c).await;
    println!("tls self-signed: {:?} {:?}", f.last_error, f.error);
    let (url, mut heads) = serve(b"HTTP/1.1 200 OK\r\ncontent-length: 19\r\n\r\n{\"job_id\":\"job-12\"}".to_vec()).await;
    let client = Client::builder(Dialect::tracker()).base_url(url).build().unwrap();
    println!("{:?}", client.create(&()).await);
    println!("{}", heads.recv().await.unwrap());
    println!("{:?}", client.create(&serde_json::json!({"a":1})).await);
    println!("{}", heads.recv().await.unwrap());
    println!("{:?}", client.status(&JobRef::new("j 1?x#").unwrap()).await);
    println!("{}", heads.recv().await.unwrap());
}

async fn ask(url: &str, set: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Finished {
    let policy = Policy::default().to_builder().with_attempt_timeout(std::time::Duration::from_secs(2)).build().unwrap().one_look();
    let client = set(Client::builder(Dialect::tracker()).base_url(url).policy(policy)).build().unwrap();
    client.wait(&JobRef::new("job").unwrap()).await
}

async fn serve(answer: Vec<u8>) -> (String, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, heads) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let head = read_head(&mut stream).await;
            let _ = sender.send(head);
            let _ = stream.write_all(&answer).await;
            let _ = stream.shutdown().await;
        }
    });
    (url, heads)
}

async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&head).into_owned()
}

async fn serve_tls() -> String {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key.into()).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = acceptor.accept(stream).await;
        }
    });
    url
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
