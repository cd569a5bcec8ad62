//! An origin that sends exactly the bytes it is told to, for what no HTTP library would send.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

/// A listener that answers each connection with a closure over the raw stream, one after the other.
pub struct RawOrigin {
    pub addr: SocketAddr,
}

impl RawOrigin {
    /// Reads the head of one request of each connection, then lets `answer` do what it likes with the stream.
    pub fn start(answer: impl Fn(&[u8], &mut TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
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

    /// Answers every request with these bytes and closes.
    pub fn saying(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        RawOrigin::start(move |_, stream| {
            let _ = stream.write_all(&bytes);
        })
    }
}

/// Reads up to and including the empty line.
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
