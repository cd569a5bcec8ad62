//! Options of `harproxy serve`.

use std::net::SocketAddr;

use clap::Args;

use super::replay::ReplayArgs;
use super::values::parse_loopback;
use crate::drift::login::ValueSource;

/// `harproxy serve`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Fixtures and harproxy.toml are loaded again when they change. [[route]] in harproxy.toml adds faults, delays, other \
sources and more.

Examples:
  harproxy serve
  harproxy serve hars/shop.har --reverse 4010=https://api.example.com
  harproxy serve --api-key env:MOCK_KEY --listen 8899
  harproxy serve --admin 4100 --ready-file ready.json
  harproxy serve --offline
")]
pub struct ServeArgs {
    /// Require this key in `x-api-key`; `env:NAME` takes it from the environment; repeatable
    #[arg(long, value_name = "VALUE|env:NAME", value_parser = parse_key, help_heading = "Serve")]
    pub api_key: Vec<ValueSource>,
    /// Answer a miss with the most similar entry of the same method and path
    #[arg(long, help_heading = "Serve")]
    pub closest: bool,
    /// Refuse rules with live sources
    #[arg(long, help_heading = "Serve")]
    pub offline: bool,
    /// Ignore the `x-mock-…` headers of requests
    #[arg(long, help_heading = "Serve")]
    pub no_mock_headers: bool,
    /// Address of the admin API, which `harproxy ctl` uses; port 0 takes a free one
    #[arg(long, value_name = "[ADDR:]PORT", value_parser = parse_loopback, default_value = "127.0.0.1:0", help_heading = "Serve")]
    pub admin: SocketAddr,
    /// Offer no admin API
    #[arg(long, conflicts_with = "admin", help_heading = "Serve")]
    pub no_admin: bool,
    #[command(flatten)]
    pub replay: ReplayArgs,
}

fn parse_key(text: &str) -> Result<ValueSource, &'static str> {
    match text {
        "" => Err("expected a key, or `env:NAME`"),
        text if text.starts_with("env:") => ValueSource::parse(text),
        text => Ok(ValueSource::Literal(text.to_owned())),
    }
}
