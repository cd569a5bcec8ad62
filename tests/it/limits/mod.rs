//! Limits of the real binary: too many, too slow and too long messages are refused, memory stays bounded, and other
//! clients are served meanwhile.

mod codings;
mod connecting;
mod crowds;
mod embedded;
mod expansion;
mod fixtures;
mod floods;
mod frames;
mod header_lists;
mod long;
mod readers;
mod slow;

use crate::replay::stage::{own, posted, text};
use crate::support::client::Proto;
use crate::support::raw::Raw;
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
    fn assert_served(&self) {
        assert_served(&self.server, "http://api.test/api/good");
        assert_served(&self.server, "https://api.test/api/good");
    }
}

#[track_caller]
fn assert_served(server: &Server, url: &str) {
    let got = server.client(Proto::H1).get(url);
    assert_eq!((got.status, got.text().as_str()), (200, "good"), "{url}");
}

const GOOD: &str = "GET http://api.test/api/good HTTP/1.1\r\nHost: api.test\r\n\r\n";

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
        assert_served(server, "http://api.test/api/good");
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
