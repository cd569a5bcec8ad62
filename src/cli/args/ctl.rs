//! Options of `harproxy ctl`.

use std::net::SocketAddr;

use clap::{Args, Subcommand};

use super::common::AuthorityArgs;
use super::values::parse_loopback;
use crate::serve::expect::Expectation;

/// `harproxy ctl`.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true, disable_help_subcommand = true)]
#[command(after_help = "\
`harproxy serve` writes a token file, with which this command finds the server. --admin names one of several.

Examples:
  harproxy ctl requests --outcome miss
  harproxy ctl explain 7
  harproxy ctl routes
  harproxy ctl route orders --source live,fixture --fallback-on 5xx
  harproxy ctl route orders --delay 2s --fault none
  harproxy ctl verify 'POST https://api.example.com/orders = 1'
  harproxy ctl reset
")]
pub struct CtlArgs {
    /// The admin API of the server, if several run
    #[arg(long, value_name = "[ADDR:]PORT", value_parser = parse_loopback, global = true)]
    pub admin: Option<SocketAddr>,
    /// Print the answer of the API
    #[arg(long, global = true)]
    pub json: bool,
    #[command(flatten)]
    pub authority: AuthorityArgs,
    #[command(subcommand)]
    pub command: CtlCommand,
}

/// The commands of `harproxy ctl`.
#[derive(Debug, Subcommand)]
pub enum CtlCommand {
    /// List the last requests, oldest first
    Requests {
        /// Only these methods and URLs
        #[arg(long = "match", value_name = "PATTERN")]
        pattern: Option<String>,
        /// Only these outcomes: served, miss, live, refused and others of reports
        #[arg(long, value_name = "OUTCOME")]
        outcome: Option<String>,
        /// Only requests that this rule applied to
        #[arg(long, value_name = "RULE")]
        rule: Option<String>,
        /// Only requests after this number
        #[arg(long, value_name = "NUMBER")]
        after: Option<u64>,
        /// Forget the requests instead of listing them
        #[arg(long, conflicts_with_all = ["pattern", "outcome", "rule", "after"])]
        clear: bool,
    },
    /// Explain how a request is answered now
    Explain {
        /// The number of the request
        request: u64,
    },
    /// List the rules of [[route]]
    Routes,
    /// Change a rule until harproxy.toml is edited
    Route {
        /// The name of the rule; its number if it has none
        rule: String,
        /// Sources in order, such as `live,fixture`; `default` removes them
        #[arg(long, value_name = "SOURCES")]
        source: Option<String>,
        /// Results after which the next source is asked, such as `miss,5xx`; `default` removes them
        #[arg(long, value_name = "RESULTS")]
        fallback_on: Option<String>,
        /// A duration, or `recorded`; `none` removes it
        #[arg(long, value_name = "DELAY")]
        delay: Option<String>,
        /// A kind such as `timeout`, or `status=503`, `slow=1KiB/s`; `none` removes it
        #[arg(long, value_name = "FAULT")]
        fault: Option<String>,
    },
    /// Compare the requests so far with expectations; the exit status is 1 if one is not met
    Verify {
        /// Methods and glob, and how often: `POST **/orders = 1` [default: those of the server]
        #[arg(value_name = "EXPECTATION", value_parser = parse_expectation)]
        expectations: Vec<String>,
    },
    /// Start sequences, state and counts again; without an option all of them
    Reset {
        /// The sequences of entries
        #[arg(long)]
        sequence: bool,
        /// Collections, limits of retries and circuits
        #[arg(long)]
        state: bool,
        /// `nth` and `rate` of rules, and the counts of expectations
        #[arg(long)]
        counts: bool,
        /// Only those of this session
        #[arg(long, value_name = "NAME")]
        session: Option<String>,
    },
}

/// Checks an expectation. The server parses it again.
fn parse_expectation(text: &str) -> Result<String, String> {
    Expectation::parse(text).map(|_| text.to_owned())
}
