//! Options of `harproxy doctor` and `harproxy explain`.

use std::ffi::OsString;
use std::path::PathBuf;

use ::http::{HeaderName, HeaderValue};
use clap::{ArgGroup, Args};

use super::common::{AuthorityArgs, ConfigArgs, ListenArgs, UpstreamArgs};
use super::replay::MatchingArgs;
use super::values::{Data, parse_any_url, parse_data, parse_glob, parse_header, parse_method};
use harproxy_http::NormalUrl;

/// `harproxy doctor`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
The exit status is 0 if all traffic came through the proxy. It is 1 if traffic bypassed the proxy, \
refused its certificate, or if there was none. It is CMD's status if that is not 0.

Examples:
  harproxy doctor -- curl -s http://localhost:8000/api/users
  harproxy doctor --json -- ./run-the-tests.sh
")]
pub struct DoctorArgs {
    /// Program to run once, through a proxy that forwards everything and records nothing
    #[arg(last = true, value_name = "CMD", required = true)]
    pub cmd: Vec<OsString>,
    /// Print the diagnosis as JSON on standard output; the output of CMD goes to standard error
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub listen: ListenArgs,
    #[command(flatten)]
    pub upstream: UpstreamArgs,
    #[command(flatten)]
    pub authority: AuthorityArgs,
    /// `--config`. The command reads the `[record]` section.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// `harproxy init`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
The exit status is CMD's if that is not 0, and 1 if traffic bypassed the proxy or there was none.

Examples:
  harproxy init
  harproxy init --yes -- npm test
")]
pub struct InitArgs {
    /// Tests to run once, through a proxy that forwards everything and records nothing
    #[arg(last = true, value_name = "CMD")]
    pub cmd: Vec<OsString>,
    /// Write harproxy.toml without a question
    #[arg(short, long)]
    pub yes: bool,
    #[command(flatten)]
    pub listen: ListenArgs,
    #[command(flatten)]
    pub upstream: UpstreamArgs,
    #[command(flatten)]
    pub authority: AuthorityArgs,
    /// `--config`. The command reads the `[record]` section.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// `harproxy explain`.
#[derive(Clone, Debug, Args)]
#[command(group = ArgGroup::new("asked").required(true).args(["url", "requests"]))]
#[command(after_help = "\
Examples:
  harproxy explain --url https://api.example.com/api/users
  harproxy explain --url 'https://api.example.com/users?p=2' --ignore-query p
  harproxy explain hars/ --url https://api.example.com/users -H 'a: b' -d c=1
  harproxy explain --json --requests requests.jsonl
")]
pub struct ExplainArgs {
    /// Fixtures, or folders of them [default: hars/]
    #[arg(value_name = "FILE|DIR")]
    pub fixtures: Vec<PathBuf>,
    /// URL of the request
    #[arg(long, value_name = "URL", value_parser = parse_any_url)]
    pub url: Option<NormalUrl>,
    /// Method of the request [default: GET; with --data POST]
    #[arg(short = 'X', long, value_name = "METHOD", conflicts_with = "requests", value_parser = parse_method)]
    pub method: Option<String>,
    /// Header of the request; repeatable
    #[arg(short = 'H', long, value_name = "'NAME: VALUE'", conflicts_with = "requests", value_parser = parse_header)]
    pub header: Vec<(HeaderName, HeaderValue)>,
    /// Payload of the request, or its file (`@-` is standard input)
    #[arg(short, long, value_name = "DATA|@FILE", conflicts_with = "requests", value_parser = parse_data)]
    pub data: Option<Data>,
    /// Several requests in order, one JSON object per line with `url`, `method`, `headers` (a list of `name` and
    /// `value`) and `bodyBase64`; `-` is standard input
    #[arg(long, value_name = "FILE.jsonl")]
    pub requests: Option<PathBuf>,
    /// Print a JSON object per request instead of text
    #[arg(long)]
    pub json: bool,
    /// As for `replay`; out-of-scope URLs are marked as such and still explained
    #[arg(short, long, value_name = "GLOB", value_parser = parse_glob, value_delimiter = '\n')]
    pub glob: Vec<String>,
    #[command(flatten)]
    pub matching: MatchingArgs,
    /// `--config`. The command reads the `[replay]` section.
    #[command(flatten)]
    pub config: ConfigArgs,
}
