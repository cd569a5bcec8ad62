//! An origin that logs the bytes it receives, and a strict parser of messages.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use crate::support::repo;

/// An origin that answers the first request of each connection and logs all bytes.
pub struct ByteLog {
    pub http: SocketAddr,
    pub https: SocketAddr,
    seen: Arc<Mutex<LoggedConnections>>,
}

#[derive(Default)]
struct LoggedConnections {
    connections: Vec<JoinHandle<Vec<u8>>>,
}

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

impl ByteLog {
    pub fn start() -> Self {
        let seen = Arc::<Mutex<LoggedConnections>>::default();
        let listen = |tls: Option<Arc<rustls::ServerConfig>>| {
            let (listener, seen) = (TcpListener::bind("127.0.0.1:0").unwrap(), seen.clone());
            let addr = listener.local_addr().unwrap();
            std::thread::spawn(move || {
                for stream in listener.incoming() {
                    let (stream, tls) = (stream.unwrap(), tls.clone());
                    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
                    let connection = std::thread::spawn(move || match tls {
                        None => note(stream),
                        Some(config) => {
                            let session = rustls::ServerConnection::new(config).unwrap();
                            note(rustls::StreamOwned::new(session, stream))
                        }
                    });
                    seen.lock().unwrap().connections.push(connection);
                }
            });
            addr
        };
        ByteLog { http: listen(None), https: listen(Some(http1_alone())), seen }
    }

    pub fn args(&self) -> Vec<String> {
        let maps = [format!("api.test:443={}", self.https), format!("api.test:80={}", self.http)];
        let ca = repo("certs/ca.pem").display().to_string();
        maps.into_iter().flat_map(|map| ["--map".to_owned(), map]).chain(["--upstream-ca".to_owned(), ca]).collect()
    }

    /// The received bytes by connection. Call it after harproxy has ended.
    pub fn seen(self) -> Vec<Vec<u8>> {
        let connections = std::mem::take(&mut self.seen.lock().unwrap().connections);
        connections.into_iter().map(|connection| connection.join().unwrap()).filter(|bytes| !bytes.is_empty()).collect()
    }
}

fn http1_alone() -> Arc<rustls::ServerConfig> {
    let certs = CertificateDer::pem_file_iter(repo("certs/origin.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(repo("certs/origin-key.pem")).unwrap();
    let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certs.map(Result::unwrap).collect(), key)
        .unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

/// Answers the first complete request and reads to the end.
fn note(mut stream: impl Read + Write) -> Vec<u8> {
    let (mut all, mut piece, mut answered) = (Vec::new(), [0; 4096], false);
    while let Ok(n @ 1..) = stream.read(&mut piece) {
        all.extend_from_slice(&piece[..n]);
        if !answered && Message::first(&all).is_some_and(|message| message.is_ok()) {
            answered = stream.write_all(ANSWER).and_then(|()| stream.flush()).is_ok();
        }
    }
    all
}

/// A message that every parser reads in the same way.
#[derive(Debug)]
pub struct Message {
    pub start: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The length of head and body on the wire.
    pub len: usize,
}

impl Message {
    pub fn header(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect()
    }

    /// The first message of these bytes: `None` while it is incomplete, an error if it is ambiguous.
    pub fn first(bytes: &[u8]) -> Option<Result<Message, String>> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = match head(&bytes[..end]) {
            Ok(head) => head,
            Err(error) => return Some(Err(error)),
        };
        let mut message = Message { start: head.0, headers: head.1, body: Vec::new(), len: end + 4 };
        let length = message.header("content-length").into_iter().map(str::to_owned).collect::<Vec<_>>();
        let coding = message.header("transfer-encoding").into_iter().map(str::to_owned).collect::<Vec<_>>();
        let bodiless = message.start.starts_with("HTTP/1.1 204") || message.start.starts_with("HTTP/1.1 304");
        match (&length[..], &coding[..]) {
            ([], []) => {}
            _ if bodiless && coding.is_empty() => {}
            ([length], []) if length.bytes().all(|byte| byte.is_ascii_digit()) => {
                let length: usize = length.parse().ok()?;
                message.body = bytes.get(end + 4..end + 4 + length)?.to_vec();
                message.len += length;
            }
            ([], [coding]) if coding == "chunked" => {
                let (body, len) = match chunks(&bytes[end + 4..])? {
                    Ok(chunks) => chunks,
                    Err(error) => return Some(Err(error)),
                };
                message.body = body;
                message.len += len;
            }
            _ => return Some(Err(format!("its length is {length:?} and {coding:?}"))),
        }
        Some(Ok(message))
    }

    /// The only message of these bytes.
    pub fn only(bytes: &[u8]) -> Result<Message, String> {
        let text = String::from_utf8_lossy(bytes);
        match Message::first(bytes) {
            None => Err(format!("not complete: {text}")),
            Some(Err(error)) => Err(format!("{error}: {text}")),
            Some(Ok(message)) if message.len < bytes.len() => Err(format!("more bytes follow: {text}")),
            Some(Ok(message)) => Ok(message),
        }
    }
}

type Head = (String, Vec<(String, String)>);

fn head(bytes: &[u8]) -> Result<Head, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "a head that is not UTF-8".to_owned())?;
    let mut lines = text.split("\r\n");
    let start = lines.next().unwrap_or_default().to_owned();
    if start.contains(['\r', '\n', '\0', '\t']) || start.split(' ').count() < 3 {
        return Err(format!("an invalid first line {start:?}"));
    }
    let mut headers = Vec::new();
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { return Err(format!("a line without a colon: {line:?}")) };
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(token) || value.contains(['\r', '\n', '\0']) {
            return Err(format!("an invalid header: {line:?}"));
        }
        headers.push((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()));
    }
    Ok((start, headers))
}

/// A chunked body and its length on the wire.
fn chunks(mut bytes: &[u8]) -> Option<Result<(Vec<u8>, usize), String>> {
    let (all, mut body) = (bytes.len(), Vec::new());
    loop {
        let end = bytes.windows(2).position(|two| two == b"\r\n")?;
        let size = std::str::from_utf8(&bytes[..end]).unwrap_or("?");
        if size.is_empty() || !size.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Some(Err(format!("an invalid chunk size {size:?}")));
        }
        let Ok(size) = usize::from_str_radix(size, 16) else { return Some(Err("a huge chunk".to_owned())) };
        bytes = &bytes[end + 2..];
        if size == 0 {
            break;
        }
        body.extend_from_slice(bytes.get(..size)?);
        if bytes.get(size..size + 2)? != b"\r\n" {
            return Some(Err("a chunk of another length".to_owned()));
        }
        bytes = &bytes[size + 2..];
    }
    loop {
        let end = bytes.windows(2).position(|two| two == b"\r\n")?;
        let trailer = &bytes[..end];
        bytes = &bytes[end + 2..];
        if trailer.is_empty() {
            return Some(Ok((body, all - bytes.len())));
        }
        if let Err(error) = head(&[b"X Y Z\r\n", trailer].concat()) {
            return Some(Err(error));
        }
    }
}

/// Sends bytes and reads the first answer: status and body; status 0 without an answer.
pub fn ask(proxy: SocketAddr, request: &[u8]) -> (u16, Vec<u8>) {
    let mut stream = TcpStream::connect(proxy).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(request).unwrap();
    answer(&mut stream, request)
}

/// Reads the next answer on a connection.
pub fn answer(stream: &mut TcpStream, request: &[u8]) -> (u16, Vec<u8>) {
    let (mut got, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        if let Some(message) = Message::first(&got) {
            let message = message.unwrap_or_else(|error| panic!("{error} for {:?}", String::from_utf8_lossy(request)));
            return (message.start.split(' ').nth(1).unwrap().parse().unwrap(), message.body);
        }
        match stream.read(&mut piece) {
            Ok(n @ 1..) => got.extend_from_slice(&piece[..n]),
            Ok(0) => return (0, got),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return (0, got),
            Err(error) => panic!("{error} for {:?}", String::from_utf8_lossy(request)),
        }
    }
}
