//! Limits of the real binary: too many, too slow and too long messages are refused, memory stays bounded, and other clients
//! are served meanwhile.

mod connecting;
mod crowds;
mod floods;
mod frames;
mod long;
mod readers;
mod slow;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use crate::replay::stage::{own, posted, text};
use crate::support::client::{Client, Proto};
use crate::support::raw::read_head;
use crate::support::sandbox::{Sandbox, Server};

/// A running replay with a few entries of `api.test`.
struct ReplayServer {
    sandbox: Sandbox,
    server: Server,
}

impl ReplayServer {
    fn start(options: &[&str]) -> Self {
        let sandbox = Sandbox::new();
        let entries = [
            text("GET http://api.test/api/good", "good"),
            text("GET https://api.test/api/good", "good"),
            posted(text("POST http://api.test/api/upload", "taken"), "0123456789"),
        ];
        sandbox.write("hars/api.har", own(&["{http,https}://api.test/**"], &entries).to_string());
        let server = sandbox.start(["replay", "hars/api.har"].iter().chain(options));
        ReplayServer { sandbox, server }
    }

    fn raw(&self) -> Raw {
        Raw::to(self.server.proxy())
    }

    /// Asserts that another client is served, over HTTP and HTTPS.
    #[track_caller]
    fn serves(&self) {
        serves(&self.server, "http://api.test/api/good");
        serves(&self.server, "https://api.test/api/good");
    }
}

#[track_caller]
fn serves(server: &Server, url: &str) {
    let got = Client::new(server.proxy(), server.ca(), Proto::H1).get(url);
    assert_eq!((got.status, got.text().as_str()), (200, "good"), "{url}");
}

const GOOD: &str = "GET http://api.test/api/good HTTP/1.1\r\nHost: api.test\r\n\r\n";

/// A connection for requests that are written byte by byte.
struct Raw(TcpStream);

impl Raw {
    fn to(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).unwrap();
        // A time limit that passes only if a test fails.
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(60))).unwrap();
        Raw(stream)
    }

    fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends the same bytes until the other side closes, up to `max` bytes. Returns the number of bytes sent.
    fn flood(&mut self, bytes: &[u8], max: usize) -> usize {
        let mut sent = 0;
        while sent < max && self.0.write_all(bytes).is_ok() {
            sent += bytes.len();
        }
        sent
    }

    fn finish(&self) {
        self.0.shutdown(Shutdown::Write).unwrap();
    }

    /// Reads an answer with a Content-Length: head and body.
    #[track_caller]
    fn answer(&mut self) -> (String, String) {
        let head = String::from_utf8(read_head(&mut self.0)).unwrap();
        let length = head.to_lowercase().split("content-length: ").nth(1).and_then(|l| l.lines().next()?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        self.0.read_exact(&mut body).unwrap();
        (head, String::from_utf8(body).unwrap())
    }

    /// Reads until the other side closes, or resets because it has unread bytes.
    #[track_caller]
    fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let mut piece = vec![0; 64 * 1024];
        loop {
            match self.0.read(&mut piece) {
                Ok(0) => return rest,
                Ok(n) => rest.extend_from_slice(&piece[..n]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return rest,
                Err(error) => panic!("the connection stays open: {error}"),
            }
        }
    }

    #[track_caller]
    fn rest_text(&mut self) -> String {
        String::from_utf8_lossy(&self.rest()).into_owned()
    }
}

/// The peak memory of the process, in MiB.
fn peak(server: &Server) -> u64 {
    status(server, "VmHWM:") / 1024
}

fn status(server: &Server, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// Waits until the process has at most `max` descriptors open. Each check makes a request.
#[track_caller]
fn wait_for_descriptors(server: &Server, max: usize) {
    for _ in 0..2000 {
        serves(server, "http://api.test/api/good");
        if descriptors(server) <= max {
            return;
        }
    }
    panic!("{} descriptors are left, not {max}", descriptors(server));
}

/// The number of open descriptors of the process.
fn descriptors(server: &Server) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count()
}

/// Raises the descriptor limit of this process to its maximum and returns it.
fn raise_descriptor_limit() -> usize {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    usize::try_from(hard).unwrap_or(usize::MAX)
}
