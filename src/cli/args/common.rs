//! Options that `record` and `replay` share.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::values::{
    parse_auth, parse_bypass, parse_client_cert, parse_duration, parse_listen, parse_map, parse_report, parse_reverse,
    parse_service, parse_upstream_proxy,
};
use crate::cli::config::{Config, Setting};
use crate::isolate::{Isolation, Service};
use harproxy_proxy::upstream::{Mapping, Timeouts, UpstreamProxy};
use harproxy_proxy::{Credentials, ReversePlan};

/// Options of the proxy port.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Proxy")]
pub struct ListenArgs {
    /// Address to listen on; port 0 takes a free one [default: 127.0.0.1:8899; with CMD 127.0.0.1:0]
    #[arg(short = 'p', long, alias = "port", value_name = "[ADDR:]PORT", value_parser = parse_listen)]
    pub listen: Option<SocketAddr>,
    /// Require these credentials; the user name `USER+SESSION` selects a session
    #[arg(long, value_name = "USER:PASS", value_parser = parse_auth)]
    pub auth: Option<Credentials>,
    /// A host that CMD reaches without the proxy (NO_PROXY); repeatable
    #[arg(long, value_name = "HOST[:PORT]", value_parser = parse_bypass, value_delimiter = ',')]
    pub bypass: Vec<String>,
}

/// Options of the proxy and reverse ports.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Proxy")]
pub struct ProxyArgs {
    #[command(flatten)]
    pub listen: ListenArgs,
    /// Listen on an address that other machines can reach, without --auth
    #[arg(long)]
    pub allow_remote: bool,
    /// Also listen as this origin, for clients that cannot use a proxy; CMD gets HARPROXY_URL_NAME; repeatable
    #[arg(long, value_name = "[NAME=][PORT=|/PREFIX=]URL", value_parser = parse_reverse, value_delimiter = '\n')]
    pub reverse: Vec<ReversePlan>,
    /// Serve --reverse over TLS
    #[arg(long)]
    pub tls: bool,
    /// Time limit for the head of a request
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = parse_duration)]
    pub head_timeout: Duration,
}

/// Options of upstream connections.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Network")]
pub struct UpstreamArgs {
    /// Connect through this proxy (http, https or socks5; `none` for no proxy) [default: the proxy in harproxy's
    /// environment]
    #[arg(long, value_name = "URL", value_parser = parse_upstream_proxy)]
    pub upstream_proxy: Option<UpstreamProxy>,
    /// Also trust these roots (PEM); repeatable
    #[arg(long, value_name = "FILE", value_delimiter = '\n')]
    pub upstream_ca: Vec<PathBuf>,
    /// Send this client certificate (PEM, with its key) to HOST; repeatable
    #[arg(long, value_name = "HOST=FILE", value_parser = parse_client_cert, value_delimiter = '\n')]
    pub client_cert: Vec<(String, PathBuf)>,
    /// Accept invalid upstream certificates for URLs that match; repeatable
    #[arg(long, value_name = "GLOB", num_args = 0..=1, require_equals = true, default_missing_value = "**")]
    #[arg(value_parser = super::values::parse_glob)]
    pub insecure: Vec<String>,
    /// Connect to ADDR instead of HOST, like curl's --connect-to; repeatable
    #[arg(long, value_name = "HOST[:PORT]=ADDR[:PORT]", value_parser = parse_map, value_delimiter = ',')]
    pub map: Vec<Mapping>,
    /// Time limit for connecting
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_duration)]
    pub connect_timeout: Duration,
    /// Time limit for an idle connection
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = parse_duration)]
    pub idle_timeout: Duration,
    /// Time limit for the head of a response, once upstream has the request
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = parse_duration)]
    pub answer_timeout: Duration,
}

impl UpstreamArgs {
    /// Returns the timeouts of upstream connections.
    #[must_use]
    pub fn timeouts(&self) -> Timeouts {
        Timeouts { connect: self.connect_timeout, idle: self.idle_timeout, answer: self.answer_timeout }
    }
}

/// Options of the run.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Run")]
pub struct RunArgs {
    /// Write a report in the format of its extension (.json, .xml for JUnit, .md, .html); repeatable
    #[arg(long, value_name = "FILE", value_parser = parse_report, value_delimiter = '\n')]
    pub report: Vec<PathBuf>,
    /// Write proxy, CA and URLs as JSON to this file once harproxy listens
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
    /// Time limit for requests in progress at the end
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = parse_duration)]
    pub grace: Duration,
}

/// Options of the isolated network.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Isolation")]
pub struct IsolateArgs {
    /// Run CMD in a network in which it reaches only harproxy and its own servers (Linux). Any other connection is
    /// refused, reported, and fails the run
    #[arg(long)]
    pub isolate: bool,
    /// Offer a service of this machine or of another one to CMD, at its own address; repeatable
    #[arg(long, value_name = "HOST:PORT", value_delimiter = '\n', value_parser = parse_service)]
    pub isolate_allow: Vec<Service>,
    /// The network, which harproxy entered before it started a thread.
    #[arg(skip)]
    pub isolation: Option<Arc<dyn Isolation>>,
}

/// The fixtures of a maintenance command.
#[derive(Clone, Debug, Args)]
pub struct FixtureArgs {
    /// Fixtures, or folders of them [default: hars/]
    #[arg(value_name = "FILE|DIR")]
    pub fixtures: Vec<PathBuf>,
}

/// Options of the configuration file.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Run")]
pub struct ConfigArgs {
    /// The configuration file [default: harproxy.toml, searched upward from here]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The loaded configuration.
    #[arg(skip)]
    pub loaded: Arc<Config>,
    /// The options of the command that turn a protection off or send requests elsewhere, and that a file sets.
    #[arg(skip)]
    pub risky: Vec<Setting>,
}

/// Option of the folder of the certificate authority.
#[derive(Clone, Debug, Args)]
pub struct AuthorityArgs {
    /// The folder of the certificate authority [default: the user's data folder]
    #[arg(long, value_name = "DIR", global = true)]
    pub ca_dir: Option<PathBuf>,
}
