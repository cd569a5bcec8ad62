//! The configuration of an upstream, from the command line.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::tcp::Dial;
use harproxy_glob::Globs;

/// The configuration of an upstream.
#[derive(Clone, Debug, Default)]
pub struct UpstreamPlan {
    /// `--upstream-proxy`, or the environment's.
    pub proxy: UpstreamProxy,
    /// `--upstream-ca`: PEM files of extra roots.
    pub extra_roots: Vec<PathBuf>,
    /// `--client-cert HOST=FILE`: PEM files with certificate chain and key.
    pub client_certs: Vec<(String, PathBuf)>,
    /// `--insecure[=GLOB]`: URLs whose certificate is not verified.
    pub insecure: Option<Globs>,
    /// `--map HOST[:PORT]=ADDR[:PORT]`.
    pub map: Vec<Mapping>,
    pub timeouts: Timeouts,
    /// Opens the connections; `None` for the network of this process.
    pub dialler: Option<Arc<dyn Dial>>,
}

/// The choice of an upstream proxy. Prints without the URL, which may contain credentials.
#[derive(Clone, Default)]
pub enum UpstreamProxy {
    /// By `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` in harproxy's own environment.
    #[default]
    Environment,
    /// This URL (`http://`, `https://` or `socks5://`), except for origins in `NO_PROXY`.
    Url(String),
    Direct,
}

impl fmt::Debug for UpstreamProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            UpstreamProxy::Environment => "Environment",
            UpstreamProxy::Url(_) => "Url((redacted))",
            UpstreamProxy::Direct => "Direct",
        })
    }
}

/// `--map HOST[:PORT]=ADDR[:PORT]`: dial another address. Host header and SNI do not change.
#[derive(Clone, Debug)]
pub struct Mapping {
    /// The requested host, in lower case.
    pub host: String,
    /// The requested port; `None` for all ports.
    pub port: Option<u16>,
    /// The host or address to dial.
    pub to_host: String,
    /// The port to dial; `None` for the requested port.
    pub to_port: Option<u16>,
}

/// Time limits of the upstream side. The defaults are those of the command line.
///
/// The body of an answer has no limit: an event stream or a long poll may be silent for as long as its client waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// `--connect-timeout`: for name resolution and TCP, and again for TLS.
    pub connect: Duration,
    /// `--idle-timeout`: for an idle connection.
    pub idle: Duration,
    /// `--answer-timeout`: for the head of an answer, from the time at which upstream last read a part of the request.
    /// Time in which upstream waits for the client does not count.
    pub answer: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            answer: Duration::from_secs(5 * 60),
        }
    }
}

/// A step with a time limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Name resolution and TCP, an upstream proxy included.
    Connect,
    Tls,
    /// The head of the answer.
    Answer,
}

impl Step {
    /// The option that sets the limit.
    #[must_use]
    pub fn option(self) -> &'static str {
        match self {
            Step::Connect | Step::Tls => "--connect-timeout",
            Step::Answer => "--answer-timeout",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Step::Connect => "connecting to",
            Step::Tls => "TLS with",
            Step::Answer => "the answer of",
        })
    }
}
