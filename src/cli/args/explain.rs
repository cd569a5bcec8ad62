//! The options of `harproxy explain`.

use std::path::PathBuf;

use ::http::{HeaderName, HeaderValue};
use clap::{ArgGroup, Args};

use super::common::ConfigArgs;
use super::replay::MatchingArgs;
use super::values::{Data, parse_any_url, parse_data, parse_glob, parse_header, parse_method};
use harproxy_http::NormalUrl;

/// `harproxy explain`.
#[derive(Clone, Debug, Args)]
#[command(group = ArgGroup::new("asked").required(true).args(["url", "requests"]))]
#[command(after_help = "\
Examples:
  harproxy explain --url https://api.example.com/api/users
  harproxy explain --url 'https://api.example.com/api/users?page=2' --ignore-query page
  harproxy explain hars/ --url https://api.example.com/api/users -H 'accept: */*' -d 'name=Ada'
  harproxy explain --json --requests requests.jsonl
")]
pub struct ExplainArgs {
    /// Fixtures, or folders of them [default: hars/]
    #[arg(value_name = "FILE|DIR")]
    pub fixtures: Vec<PathBuf>,
    /// The URL that is asked for
    #[arg(long, value_name = "URL", value_parser = parse_any_url)]
    pub url: Option<NormalUrl>,
    /// Its method [default: GET; with --data POST]
    #[arg(short = 'X', long, value_name = "METHOD", conflicts_with = "requests", value_parser = parse_method)]
    pub method: Option<String>,
    /// One of its headers; repeatable
    #[arg(short = 'H', long, value_name = "'NAME: VALUE'", conflicts_with = "requests", value_parser = parse_header)]
    pub header: Vec<(HeaderName, HeaderValue)>,
    /// Its payload, or the file that holds it (`@-` is standard input)
    #[arg(short, long, value_name = "DATA|@FILE", conflicts_with = "requests", value_parser = parse_data)]
    pub data: Option<Data>,
    /// Many requests, in the order in which they come: a JSON object a line with `url`, `method`, `headers` (a list of `name`
    /// and `value`) and `bodyBase64`; `-` is standard input
    #[arg(long, value_name = "FILE.jsonl")]
    pub requests: Option<PathBuf>,
    /// An object a line for each request, instead of text
    #[arg(long)]
    pub json: bool,
    /// As for `replay`; a URL that is out of scope is told of, and explained all the same
    #[arg(short, long, value_name = "GLOB", value_parser = parse_glob, value_delimiter = '\n')]
    pub glob: Vec<String>,
    /// Which entry answers.
    #[command(flatten)]
    pub matching: MatchingArgs,
    /// As for `replay`, whose section it reads.
    #[command(flatten)]
    pub config: ConfigArgs,
}
