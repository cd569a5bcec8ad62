//! What is too much, too slow or too long, against the real binary: each has its bound, memory stays within one, and everybody
//! else is served meanwhile.

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

/// A replay of a few answers of `http://api.test` under way.
struct Shop {
    sandbox: Sandbox,
    server: Server,
}

impl Shop {
    fn open(options: &[&str]) -> Self {
        let sandbox = Sandbox::new();
        let entries = [
            text("GET http://api.test/api/good", "good"),
            text("GET https://api.test/api/good", "good"),
            posted(text("POST http://api.test/api/upload", "taken"), "0123456789"),
        ];
        sandbox.write("hars/api.har", own(&["{http,https}://api.test/**"], &entries).to_string());
        let server = sandbox.start(["replay", "hars/api.har"].iter().chain(options));
        Shop { sandbox, server }
    }

    fn raw(&self) -> Raw {
        Raw::to(self.server.proxy())
    }

    /// Somebody else comes and gets what they asked for, in the clear and over TLS.
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

/// A connection whose bytes are the test's own.
struct Raw(TcpStream);

impl Raw {
    fn to(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).unwrap();
        // Long enough for any machine; nothing waits for it unless a test fails.
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(60))).unwrap();
        Raw(stream)
    }

    fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends the same again and again until the other side closes, but no more than `most` bytes; how many it took.
    fn flood(&mut self, bytes: &[u8], most: usize) -> usize {
        let mut sent = 0;
        while sent < most && self.0.write_all(bytes).is_ok() {
            sent += bytes.len();
        }
        sent
    }

    fn finish(&self) {
        self.0.shutdown(Shutdown::Write).unwrap();
    }

    /// A head, and as much of the body as it announces.
    #[track_caller]
    fn answer(&mut self) -> (String, String) {
        let head = String::from_utf8(read_head(&mut self.0)).unwrap();
        let length = head.to_lowercase().split("content-length: ").nth(1).and_then(|l| l.lines().next()?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        self.0.read_exact(&mut body).unwrap();
        (head, String::from_utf8(body).unwrap())
    }

    /// What comes until the other side closes, or resets: it does so with bytes of ours unread.
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

/// The most memory that the process ever had, in MiB.
fn peak(server: &Server) -> u64 {
    status(server, "VmHWM:") / 1024
}

fn status(server: &Server, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// Waits until it has no more than so many descriptors open. Each look is a request, so that there is an end to it.
#[track_caller]
fn descriptors_come_back(server: &Server, most: usize) {
    for _ in 0..2000 {
        serves(server, "http://api.test/api/good");
        if descriptors(server) <= most {
            return;
        }
    }
    panic!("{} descriptors are left, not {most}", descriptors(server));
}

/// How many descriptors it has open.
fn descriptors(server: &Server) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count()
}

/// Lets this process have as many descriptors as it may; how many that is.
fn descriptors_allowed() -> usize {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    usize::try_from(hard).unwrap_or(usize::MAX)
}
