//! The run around a recording or a replay: ports, certificate authority, CMD, reports.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::error::Error;
use crate::cli::args::common::{AuthorityArgs, ListenArgs, ProxyArgs, RunArgs, UpstreamArgs};
use harproxy_proxy::{Credentials, ProxyPlan, ReversePlan};
use harproxy_redact::Policy;
use harproxy_tls::authority::Authority;

const DEFAULT_PORT: u16 = 8899;

/// The run around a recording or a replay.
#[derive(Clone, Debug)]
pub struct RunPlan {
    pub listen: SocketAddr,
    /// Credentials that clients must send.
    pub auth: Option<Credentials>,
    pub reverse: Vec<ReversePlan>,
    pub reverse_tls: bool,
    pub head_timeout: Duration,
    pub idle_timeout: Duration,
    pub ca_dir: PathBuf,
    pub ready_file: Option<PathBuf>,
    pub reports: Vec<PathBuf>,
    pub grace: Duration,
    pub bypass: Vec<String>,
    /// The program and its arguments; empty without CMD.
    pub cmd: Vec<OsString>,
    pub policy: Arc<Policy>,
    /// Command-line words of the options that a replay of the same CMD also needs. Empty except for a recording.
    pub replay_options: Vec<OsString>,
}

impl RunPlan {
    pub(super) fn new(
        proxy: ProxyArgs,
        upstream: &UpstreamArgs,
        run: RunArgs,
        authority: &AuthorityArgs,
        cmd: Vec<OsString>,
        policy: Arc<Policy>,
    ) -> Result<Self, Error> {
        let listen = listen_address(&proxy.listen, !cmd.is_empty());
        if !listen.ip().is_loopback() && proxy.listen.auth.is_none() && !proxy.allow_remote {
            return Err(Error::Remote(listen));
        }
        if proxy.tls && proxy.reverse.is_empty() {
            return Err(Error::TlsWithoutReverse);
        }
        check_reverse_is_unique(&proxy.reverse)?;
        Ok(RunPlan {
            listen,
            auth: proxy.listen.auth,
            reverse: proxy.reverse,
            reverse_tls: proxy.tls,
            head_timeout: proxy.head_timeout,
            idle_timeout: upstream.idle_timeout,
            ca_dir: ca_dir(authority)?,
            ready_file: run.ready_file,
            reports: run.report,
            grace: run.grace,
            bypass: proxy.listen.bypass,
            cmd,
            policy,
            replay_options: Vec::new(),
        })
    }

    #[must_use]
    pub fn proxy(&self, authority: Arc<Authority>) -> ProxyPlan {
        ProxyPlan {
            listen: self.listen,
            reverse: self.reverse.clone(),
            reverse_tls: self.reverse_tls,
            auth: self.auth.clone(),
            authority,
            head_timeout: self.head_timeout,
            idle_timeout: self.idle_timeout,
        }
    }
}

/// Returns the address to listen on: as given, else the default port, or with CMD any free port.
#[must_use]
pub fn listen_address(args: &ListenArgs, with_cmd: bool) -> SocketAddr {
    let port = if with_cmd { 0 } else { DEFAULT_PORT };
    args.listen.map_or(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port), |listen| listen.0)
}

/// Returns `--ca-dir`, else the user's data folder. The path is absolute, because CMD and `--ready-file` get paths in
/// it.
pub fn ca_dir(args: &AuthorityArgs) -> Result<PathBuf, Error> {
    let dir = args.ca_dir.clone().or_else(Authority::default_dir).ok_or(Error::NoDataFolder)?;
    Ok(absolute(&dir))
}

/// Returns the absolute path, or the path itself if the working directory does not exist any more.
#[must_use]
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn check_reverse_is_unique(reverse: &[ReversePlan]) -> Result<(), Error> {
    const NAME: &str = "name of its own: `--reverse billing=https://api.example.com`";
    const PREFIX: &str = "prefix of its own: `--reverse BILLING=/billing=https://api.example.com`";
    let (mut names, mut prefixes) = (BTreeSet::new(), BTreeSet::new());
    for origin in reverse {
        if !names.insert(&origin.name) {
            return Err(Error::DuplicateReverse { duplicate: format!("named `{}`", origin.name), unique: NAME });
        }
        if let Some(prefix) = &origin.prefix
            && !prefixes.insert(prefix)
        {
            return Err(Error::DuplicateReverse { duplicate: format!("under `{prefix}`"), unique: PREFIX });
        }
    }
    Ok(())
}
