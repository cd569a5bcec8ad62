//! The configuration of an upstream, from the command line.

use std::path::PathBuf;

use super::timeouts::Timeouts;
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

impl std::fmt::Debug for UpstreamProxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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
