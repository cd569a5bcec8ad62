//! Options of `harproxy import`.

use std::path::PathBuf;

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::common::ConfigArgs;
use super::values::parse_any_url;
use crate::import::SourceFormat;
use harproxy_http::NormalUrl;

/// `harproxy import`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
The exit status is 1 if something was not carried over. Everything else is in the fixture then.

Examples:
  harproxy import tests/cassettes
  harproxy import tests/cassettes/test_shop.yaml -o hars/shop.har --dry-run
  harproxy import wiremock --base-url https://api.example.com
  harproxy import shop.json staging.json --variable token=x
  harproxy import flows.mitm --json
")]
pub struct ImportArgs {
    /// Recordings of other tools, or folders of them
    #[arg(value_name = "FILE|DIR", required = true)]
    pub sources: Vec<PathBuf>,
    /// The fixture to write: HAR with payloads beside it, or .zip
    #[arg(short, long, value_name = "FILE", default_value = "hars/imported.har", id = "import_output")]
    pub output: PathBuf,
    /// The format of the recordings [default: detected]
    #[arg(long, value_name = "FORMAT", value_parser = PossibleValuesParser::new(SourceFormat::ALL.map(SourceFormat::name)))]
    pub format: Option<String>,
    /// The origin of requests that have only a path, such as those of WireMock
    #[arg(long, value_name = "URL", value_parser = parse_any_url)]
    pub base_url: Option<NormalUrl>,
    /// The value of a variable in URLs, headers and payloads; repeatable
    #[arg(long = "variable", value_name = "NAME=VALUE", value_parser = parse_variable)]
    pub variables: Vec<(String, String)>,
    /// Write nothing: print what would be imported
    #[arg(long)]
    pub dry_run: bool,
    /// Replace an existing fixture
    #[arg(long)]
    pub force: bool,
    /// Add the rules for patterns to harproxy.toml
    #[arg(long)]
    pub write_policy: bool,
    /// Print a JSON object: `fixture`, `files`, `entries`, `redacted`, `policy`, `skipped`, `lost`
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub config: ConfigArgs,
}

fn parse_variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}
