//! Options of `harproxy drift`.

use std::path::PathBuf;
use std::time::Duration;

use ::http::{HeaderName, HeaderValue};
use clap::{Args, Subcommand};
use time::{Date, OffsetDateTime};

use super::common::{ConfigArgs, UpstreamArgs};
use super::values::{Words, choices, parse_any_url, parse_duration, parse_glob, parse_header, parse_json_path};
use crate::cli::config::parse_date;
use crate::drift::DriftSeverity;
use crate::drift::report::DriftFormat;
use crate::drift::schedule::Schedule;
use harproxy_http::NormalUrl;
use harproxy_matching::PathPattern;

/// Values of `--min-severity`.
const SEVERITIES: Words<DriftSeverity> = &[
    ("critical", "differences that break clients", DriftSeverity::Critical),
    ("warning", "also differences that break some clients", DriftSeverity::Warning),
    ("info", "any difference", DriftSeverity::Info),
];

/// Changes of `--update`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriftUpdate {
    NonBreaking,
    All,
}

const UPDATES: Words<DriftUpdate> = &[
    ("non-breaking", "add fields that only production has", DriftUpdate::NonBreaking),
    ("all", "record the answers of endpoints with differences again", DriftUpdate::All),
];

/// `harproxy drift`.
#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(after_help = "\
Only GET, HEAD and OPTIONS are sent, without recorded credentials. Credentials come from [drift] in harproxy.toml.

Exit statuses:
  0  no difference at --min-severity or above
  1  differences
  4  production could not be compared
  5  production asks for credentials

Examples:
  harproxy drift
  harproxy drift hars/shop.har --base-url https://staging.example.com
  harproxy drift --against production.har --min-severity warning
  harproxy drift --report drift.sarif --report drift.html
  harproxy drift accept --reason 'ids are random' --owner team-a
")]
pub struct DriftArgs {
    #[command(flatten)]
    pub run: DriftRunArgs,
    #[command(subcommand)]
    pub command: Option<DriftCommand>,
}

impl DriftArgs {
    /// Returns the options of the run, of `drift` itself or of its subcommand.
    pub fn run_mut(&mut self) -> &mut DriftRunArgs {
        match &mut self.command {
            Some(DriftCommand::Accept(accept)) => &mut accept.run,
            None => &mut self.run,
        }
    }
}

#[derive(Clone, Debug, Subcommand)]
pub enum DriftCommand {
    /// Compare, and suppress the differences in harproxy.toml
    Accept(Box<AcceptArgs>),
}

/// `harproxy drift accept`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Accepts the differences at --min-severity or above. Without --reason the command asks for it on a terminal.

Examples:
  harproxy drift accept --reason 'new mobile API' --owner team-a
  harproxy drift accept --reason 'until v3' --expires 2027-03-31
")]
pub struct AcceptArgs {
    /// Why the differences are accepted
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// The person or team that is responsible for them
    #[arg(long, value_name = "NAME")]
    pub owner: Option<String>,
    /// The last day on which they are accepted
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = parse_date)]
    pub expires: Option<Date>,
    #[command(flatten)]
    pub run: DriftRunArgs,
}

/// Options of a comparison.
#[derive(Clone, Debug, Args)]
pub struct DriftRunArgs {
    /// Fixtures, or folders of them [default: hars/]
    #[arg(value_name = "FIXTURE|DIR")]
    pub fixtures: Vec<PathBuf>,
    /// Compare with this recording instead of asking production; repeatable
    #[arg(long, value_name = "FILE")]
    pub against: Vec<PathBuf>,
    /// Compare only URLs that match; `!GLOB` excludes; repeatable
    #[arg(short, long, value_name = "GLOB", value_parser = parse_glob, value_delimiter = '\n')]
    pub glob: Vec<String>,
    /// A path with variable segments, such as `/users/{name}`, that is one endpoint; repeatable
    #[arg(long, value_name = "PATH", value_parser = PathPattern::new)]
    pub route: Vec<PathPattern>,
    /// Compare at most this many endpoints
    #[arg(long, value_name = "NUMBER", value_parser = parse_positive)]
    pub max: Option<usize>,
    /// Also compare the values that this JSON path selects; repeatable
    #[arg(long, value_name = "JSONPATH", value_parser = parse_json_path)]
    pub values: Vec<String>,
    /// The least severity that fails the run
    #[arg(long, value_name = "SEVERITY", default_value = "critical", value_parser = choices(SEVERITIES))]
    pub min_severity: DriftSeverity,
    /// Read known differences from a JSON file; repeatable
    #[arg(long, value_name = "FILE")]
    pub suppressions: Vec<PathBuf>,
    /// Update the fixtures from production
    #[arg(long, value_name = "CHANGES", require_equals = true, value_parser = choices(UPDATES))]
    pub update: Option<DriftUpdate>,
    /// Repeat the run after a duration, or at the times of a cron expression in UTC
    #[arg(long, value_name = "DURATION|CRON", value_parser = parse_schedule)]
    pub every: Option<Schedule>,
    /// Write a report in the format of its extension (.json, .xml for JUnit, .md, .html, .sarif); repeatable
    #[arg(long, value_name = "FILE", value_parser = parse_drift_report, value_delimiter = '\n')]
    pub report: Vec<PathBuf>,
    /// Print the JSON report on standard output
    #[arg(long)]
    pub json: bool,
    /// Send requests to this origin instead of the recorded one
    #[arg(long, value_name = "URL", value_parser = parse_base_url, help_heading = "Requests")]
    pub base_url: Option<NormalUrl>,
    /// Also send POST, PUT, PATCH and DELETE, which can change data in production
    #[arg(long, help_heading = "Requests")]
    pub include_unsafe: bool,
    /// Send this header with every request; repeatable
    #[arg(short = 'H', long, value_name = "'NAME: VALUE'", value_parser = parse_header, help_heading = "Requests")]
    pub header: Vec<(HeaderName, HeaderValue)>,
    /// Requests to one host at a time
    #[arg(long, value_name = "NUMBER", default_value = "4", value_parser = parse_positive, help_heading = "Requests")]
    pub concurrency: usize,
    /// The most requests to one host in a second [default: no limit]
    #[arg(long, value_name = "NUMBER", value_parser = parse_rate, help_heading = "Requests")]
    pub rate: Option<f64>,
    /// Time limit for a request and its whole answer
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_duration, help_heading = "Requests")]
    pub timeout: Duration,
    #[command(flatten)]
    pub upstream: UpstreamArgs,
    /// `--config`. The command reads the `[drift]` section.
    #[command(flatten)]
    pub config: ConfigArgs,
}

fn parse_positive(text: &str) -> Result<usize, &'static str> {
    text.parse().ok().filter(|number| *number > 0).ok_or("expected a number from 1 on, such as `100`")
}

fn parse_rate(text: &str) -> Result<f64, &'static str> {
    let number = text.parse::<f64>().ok().filter(|number| (0.001..=1e6).contains(number));
    number.ok_or("expected requests in a second, such as `10` or `0.5`")
}

fn parse_schedule(text: &str) -> Result<Schedule, String> {
    let schedule = Schedule::parse(text, parse_duration)?;
    match schedule.next(OffsetDateTime::now_utc()) {
        Some(_) => Ok(schedule),
        None => Err("no date of the next five years matches".to_owned()),
    }
}

/// Parses an origin, with a path or without one.
fn parse_base_url(text: &str) -> Result<NormalUrl, String> {
    let url = parse_any_url(text)?;
    let is_http = url.as_str().starts_with("http://") || url.as_str().starts_with("https://");
    match is_http && url.parts().query.is_none() {
        true => Ok(url),
        false => Err("expected an http or https URL without a query, such as `https://staging.example.com`".into()),
    }
}

/// Checks the path of a report: its extension selects the format.
fn parse_drift_report(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if DriftFormat::of(&path).is_some() {
        return Ok(path);
    }
    let endings: Vec<String> = DriftFormat::ENDINGS.iter().map(|(ending, _)| format!("`.{ending}`")).collect();
    Err(format!("expected a file that ends in {}, such as `drift.html`", endings.join(", ")))
}
