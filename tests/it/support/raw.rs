//! Origins and clients that send exact bytes, for messages that HTTP libraries refuse to send.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// An origin that handles one connection at a time with a closure over the raw stream.
pub struct RawOrigin {
    pub addr: SocketAddr,
}

impl RawOrigin {
    /// Reads the head of the first request of each connection, and passes it to `answer` with the stream.
    pub fn start(answer: impl Fn(&[u8], &mut TcpStream) + Send + 'static) -> Self {
        RawOrigin::start_at(Ipv4Addr::LOCALHOST, answer)
    }

    fn start_at(ip: impl Into<IpAddr>, answer: impl Fn(&[u8], &mut TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind((ip.into(), 0)).unwrap();
        let addr = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let head = read_head(&mut stream);
                if !head.is_empty() {
                    answer(&head, &mut stream);
                }
            }
        });
        RawOrigin { addr }
    }

    /// Reads requests and never answers. Clients keep their connections until they give up.
    pub fn silent() -> Self {
        RawOrigin::silent_at(Ipv4Addr::LOCALHOST.into())
    }

    /// Like [`RawOrigin::silent`], at another address of this machine.
    pub fn silent_at(ip: IpAddr) -> Self {
        RawOrigin::start_at(ip, |_, stream| {
            let _ = stream.read(&mut [0]);
        })
    }

    /// Answers every request with these bytes and closes.
    pub fn answering(bytes: impl Into<Vec<u8>>) -> Self {
        RawOrigin::answering_at(Ipv4Addr::LOCALHOST, bytes)
    }

    /// Like [`RawOrigin::answering`], at another address of 127.0.0.0/8.
    pub fn answering_at(ip: Ipv4Addr, bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        RawOrigin::start_at(ip, move |_, stream| {
            let _ = stream.write_all(&bytes);
        })
    }
}

/// Reads a head, up to and including its empty line.
pub fn read_head(stream: &mut impl Read) -> Vec<u8> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => break,
        }
    }
    head
}

/// A connection for requests that are written byte by byte.
pub struct Raw(pub TcpStream);

impl Raw {
    pub fn to(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).unwrap();
        // Time limits that pass only if a test fails.
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(60))).unwrap();
        Raw(stream)
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends the same bytes until the other side closes, up to `max` bytes. Returns the number of bytes sent.
    pub fn flood(&mut self, bytes: &[u8], max: usize) -> usize {
        let mut sent = 0;
        while sent < max && self.0.write_all(bytes).is_ok() {
            sent += bytes.len();
        }
        sent
    }

    pub fn finish(&self) {
        self.0.shutdown(Shutdown::Write).unwrap();
    }

    /// Reads a head, up to its empty line.
    pub fn head(&mut self) -> String {
        String::from_utf8(read_head(&mut self.0)).unwrap()
    }

    pub fn exactly(&mut self, n: usize) -> Vec<u8> {
        let mut bytes = vec![0; n];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Reads up to the end of the connection, or up to its reset.
    #[track_caller]
    pub fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut piece = vec![0; 64 * 1024];
        loop {
            match self.0.read(&mut piece) {
                Ok(0) => return bytes,
                Ok(n) => bytes.extend_from_slice(&piece[..n]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return bytes,
                Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&bytes)),
            }
        }
    }

    #[track_caller]
    pub fn rest_text(&mut self) -> String {
        String::from_utf8_lossy(&self.rest()).into_owned()
    }

    /// Reads an answer with a Content-Length: head and body.
    #[track_caller]
    pub fn answer(&mut self) -> (String, String) {
        let head = self.head();
        let length = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok())
            .unwrap_or_else(|| panic!("no length in {head}"));
        (head, String::from_utf8(self.exactly(length)).unwrap())
    }
}
