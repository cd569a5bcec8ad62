//! The options that `record` and `replay` share.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::values::{
    Listen, parse_auth, parse_bypass, parse_client_cert, parse_duration, parse_listen, parse_map, parse_report,
    parse_reverse, parse_upstream_proxy,
};
use crate::cli::config::Config;
use harproxy_proxy::upstream::{Mapping, Timeouts, UpstreamProxy};
use harproxy_proxy::{Credentials, ReversePlan};

/// Where the proxy is to be found.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Proxy")]
pub struct ListenArgs {
    /// Where to listen; port 0 takes a free one [default: 127.0.0.1:8899; with CMD 127.0.0.1:0]
    #[arg(short = 'p', long, alias = "port", value_name = "[ADDR:]PORT", value_parser = parse_listen)]
    pub listen: Option<Listen>,
    /// Clients must give these credentials; `USER+SESSION` as their user name counts turns apart
    #[arg(long, value_name = "USER:PASS", value_parser = parse_auth)]
    pub auth: Option<Credentials>,
    /// A host that CMD reaches without the proxy (NO_PROXY); repeatable
    #[arg(long, value_name = "HOST[:PORT]", value_parser = parse_bypass, value_delimiter = ',')]
    pub bypass: Vec<String>,
}

/// The way in.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Proxy")]
pub struct ProxyArgs {
    /// The proxy port.
    #[command(flatten)]
    pub listen: ListenArgs,
    /// Listen on an address that others can reach, without --auth
    #[arg(long)]
    pub allow_remote: bool,
    /// Also listen as this origin would, for clients that can't use a proxy; CMD gets HARPROXY_URL_NAME; repeatable
    #[arg(long, value_name = "[NAME=][/PREFIX=]URL", value_parser = parse_reverse, value_delimiter = '\n')]
    pub reverse: Vec<ReversePlan>,
    /// Serve --reverse over TLS
    #[arg(long)]
    pub tls: bool,
    /// How long the head of a request may take
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = parse_duration)]
    pub head_timeout: Duration,
}

/// The way out.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Network")]
pub struct UpstreamArgs {
    /// Go through this proxy (http, https or socks5; `none` for no proxy) [default: what harproxy's own environment says]
    #[arg(long, value_name = "URL", value_parser = parse_upstream_proxy)]
    pub upstream_proxy: Option<UpstreamProxy>,
    /// Trust these roots too (PEM); repeatable
    #[arg(long, value_name = "FILE", value_delimiter = '\n')]
    pub upstream_ca: Vec<PathBuf>,
    /// Show this client certificate (PEM, with its key) to HOST; repeatable
    #[arg(long, value_name = "HOST=FILE", value_parser = parse_client_cert, value_delimiter = '\n')]
    pub client_cert: Vec<(String, PathBuf)>,
    /// Accept upstream certificates that do not verify, for URLs that match; repeatable
    #[arg(long, value_name = "GLOB", num_args = 0..=1, require_equals = true, default_missing_value = "**")]
    #[arg(value_parser = super::values::parse_glob)]
    pub insecure: Vec<String>,
    /// Connect to ADDR when HOST is asked for, as curl's --connect-to; repeatable
    #[arg(long, value_name = "HOST[:PORT]=ADDR[:PORT]", value_parser = parse_map, value_delimiter = ',')]
    pub map: Vec<Mapping>,
    /// How long making a connection may take
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_duration)]
    pub connect_timeout: Duration,
    /// How long a connection may be idle
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = parse_duration)]
    pub idle_timeout: Duration,
    /// How long the head of an answer may take, once upstream has the request
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = parse_duration)]
    pub answer_timeout: Duration,
}

impl UpstreamArgs {
    /// How long upstream may take.
    #[must_use]
    pub fn timeouts(&self) -> Timeouts {
        Timeouts { connect: self.connect_timeout, idle: self.idle_timeout, answer: self.answer_timeout }
    }
}

/// The run around CMD.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Run")]
pub struct RunArgs {
    /// Write a report by its ending (.json, .xml for JUnit, .md, .html); repeatable
    #[arg(long, value_name = "FILE", value_parser = parse_report, value_delimiter = '\n')]
    pub report: Vec<PathBuf>,
    /// Write proxy, CA and URLs as JSON to this file once harproxy listens
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
    /// How long requests in flight may take at the end
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = parse_duration)]
    pub grace: Duration,
}

/// The fixtures of a command that looks after several.
#[derive(Clone, Debug, Args)]
pub struct FixtureArgs {
    /// Fixtures, or folders of them [default: hars/]
    #[arg(value_name = "FILE|DIR")]
    pub fixtures: Vec<PathBuf>,
}

/// Where options are read from beside the command line.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Run")]
pub struct ConfigArgs {
    /// The configuration file [default: harproxy.toml, searched upward from here]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What the files say.
    #[arg(skip)]
    pub said: Arc<Config>,
}

/// Where the certificate authority lives.
#[derive(Clone, Debug, Args)]
pub struct AuthorityArgs {
    /// The folder of the certificate authority [default: the user's data folder]
    #[arg(long, value_name = "DIR", global = true)]
    pub ca_dir: Option<PathBuf>,
}
