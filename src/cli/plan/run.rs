//! The run around a recording or a replay: ports, certificate authority, CMD, reports.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::cli::args::common::{AuthorityArgs, ListenArgs, ProxyArgs, RunArgs, UpstreamArgs};
use crate::cli::config::Setting;
use crate::cli::usage_error::UsageError;
use crate::isolate::Isolation;
use harproxy_glob::Globs;
use harproxy_proxy::upstream::{Mapping, UpstreamPlan};
use harproxy_proxy::{ProxyPlan, ReversePlan};
use harproxy_redact::Policy;
use harproxy_support::shell_quote;
use harproxy_tls::authority::Authority;

const DEFAULT_PORT: u16 = 8899;
/// The address without `--listen` and CMD, at which `harproxy env` expects the proxy.
pub const DEFAULT_ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), DEFAULT_PORT);

/// The run around a recording or a replay.
#[derive(Clone, Debug)]
pub struct RunPlan {
    pub listen: SocketAddr,
    pub proxy: ProxyArgs,
    pub idle_timeout: Duration,
    pub ca_dir: PathBuf,
    /// `--ca-dir` as given.
    pub given_ca_dir: Option<PathBuf>,
    pub options: RunArgs,
    /// The program and its arguments; empty without CMD.
    pub cmd: Vec<OsString>,
    pub policy: Arc<Policy>,
    /// `--map`: the addresses of hosts.
    pub map: Vec<Mapping>,
    /// Whether CMD's standard output goes to standard error, because that of harproxy is for data.
    pub quiet_output: bool,
    /// The network of CMD, which harproxy is in.
    pub isolation: Option<Arc<dyn Isolation>>,
    /// Command-line words of the options that a replay of the same CMD also needs. Empty except for a recording.
    pub replay_options: Vec<OsString>,
    /// Hashes of values that are not secret (`[check] allow`). Empty except for a recording.
    pub allow: Vec<String>,
}

impl RunPlan {
    pub fn new(
        proxy: ProxyArgs,
        upstream: &UpstreamArgs,
        options: RunArgs,
        authority: &AuthorityArgs,
        cmd: Vec<OsString>,
        policy: Arc<Policy>,
    ) -> Result<Self, UsageError> {
        let listen = listen_address(&proxy.listen, !cmd.is_empty());
        if !listen.ip().is_loopback() && proxy.listen.auth.is_none() && !proxy.allow_remote {
            return Err(UsageError::new(
                format!("listening on {listen} would open the proxy to other machines"),
                format!(
                    "require a password with `--auth USER:PASS`, accept every client with `--allow-remote`, or listen on \
                     `127.0.0.1:{}`",
                    listen.port()
                ),
            ));
        }
        if proxy.tls && proxy.reverse.is_empty() {
            return Err(UsageError::new(
                "--tls needs --reverse",
                "only reverse ports use it; add an origin: `--reverse https://api.example.com`",
            ));
        }
        check_reverse_is_unique(&proxy.reverse)?;
        Ok(RunPlan {
            listen,
            proxy,
            idle_timeout: upstream.idle_timeout,
            ca_dir: ca_dir(authority)?,
            given_ca_dir: authority.ca_dir.clone(),
            options,
            cmd,
            policy,
            map: upstream.map.clone(),
            quiet_output: false,
            isolation: None,
            replay_options: Vec::new(),
            allow: Vec::new(),
        })
    }

    #[must_use]
    pub fn proxy_plan(&self, authority: Arc<Authority>) -> ProxyPlan {
        ProxyPlan {
            listen: self.listen,
            reverse: self.proxy.reverse.clone(),
            reverse_tls: self.proxy.tls,
            auth: self.proxy.listen.auth.clone(),
            authority,
            head_timeout: self.proxy.head_timeout,
            idle_timeout: self.idle_timeout,
        }
    }
}

/// Returns the address to listen on: as given, else the default port, or with CMD any free port.
#[must_use]
pub fn listen_address(args: &ListenArgs, with_cmd: bool) -> SocketAddr {
    let port = if with_cmd { 0 } else { DEFAULT_PORT };
    args.listen.unwrap_or((Ipv4Addr::LOCALHOST, port).into())
}

/// Returns `--ca-dir`, else the user's data folder. The path is absolute, because CMD and `--ready-file` get paths in
/// it.
pub fn ca_dir(args: &AuthorityArgs) -> Result<PathBuf, UsageError> {
    let no_folder = || {
        let message = "no data folder for the certificate authority: neither HOME nor XDG_DATA_HOME is set";
        UsageError::new(message, "pass a folder with `--ca-dir DIR`")
    };
    let dir = args.ca_dir.clone().or_else(Authority::default_dir).ok_or_else(no_folder)?;
    // The working directory may have been removed.
    Ok(std::path::absolute(&dir).unwrap_or(dir))
}

/// Returns the plan of upstream connections. In CI, where a pull request may have changed the file, `risky` must not
/// contain `insecure`.
pub fn upstream_plan(
    args: &UpstreamArgs,
    risky: &[Setting],
    isolation: Option<&Arc<dyn Isolation>>,
) -> Result<UpstreamPlan, UsageError> {
    if let Some(insecure) = risky.iter().find(|setting| setting.key() == "insecure").filter(|_| in_ci()) {
        let options = insecure.words().map(|glob| format!("--insecure={glob}"));
        return Err(UsageError::new(
            format!("{}: `insecure` in a file turns the verification of certificates off in CI", insecure.source),
            format!(
                "pass `{}` on the command line, or trust the issuer with `--upstream-ca FILE`",
                shell_quote::words(options)
            ),
        ));
    }
    Ok(UpstreamPlan {
        proxy: args.upstream_proxy.clone().unwrap_or_default(),
        extra_roots: args.upstream_ca.clone(),
        client_certs: args.client_cert.clone(),
        insecure: if args.insecure.is_empty() { None } else { Some(Globs::new(&args.insecure)?) },
        map: args.map.clone(),
        timeouts: args.timeouts(),
        dialler: isolation.cloned().map(Isolation::dialler),
    })
}

/// Returns true in CI, where fixtures must not change.
pub fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|ci| ["1", "true"].contains(&&*ci.to_ascii_lowercase()))
}

fn check_reverse_is_unique(reverse: &[ReversePlan]) -> Result<(), UsageError> {
    let duplicate = |place: &str, unique: &str| {
        UsageError::new(format!("two --reverse origins are {place}"), format!("give each a {unique}"))
    };
    let (mut names, mut prefixes, mut ports) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for ReversePlan { name, prefix, port, .. } in reverse {
        if *port > 0 && !ports.insert(port) {
            return Err(duplicate(
                &format!("on port {port}"),
                "port of its own: `--reverse 4010=https://api.example.com`",
            ));
        }
        if !names.insert(name) {
            let unique = "name of its own: `--reverse billing=https://api.example.com`";
            return Err(duplicate(&format!("named `{name}`"), unique));
        }
        if let Some(prefix) = prefix
            && !prefixes.insert(prefix)
        {
            let unique = "prefix of its own: `--reverse BILLING=/billing=https://api.example.com`";
            return Err(duplicate(&format!("under `{prefix}`"), unique));
        }
    }
    Ok(())
}
