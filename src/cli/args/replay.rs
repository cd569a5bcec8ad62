//! The options of `harproxy replay`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::common::{AuthorityArgs, ConfigArgs, ProxyArgs, RunArgs, UpstreamArgs};
use super::values::{
    Words, choices, parse_age, parse_fail_on, parse_glob, parse_header_name, parse_json_path, parse_latency,
    parse_miss_status, parse_same_host,
};
use crate::replay::{Clock, Latency, MissAnswer, OnMiss};
use harproxy_matching::{MatchBody, MissingBody, Redirects, Repeat};

/// Where fixtures are looked for when none is named.
pub const DEFAULT_FIXTURES: &str = "hars";

/// `harproxy replay`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  harproxy replay -- curl -s http://localhost:8000/api/users
  harproxy replay hars/api.har --glob '**/api/**' -- ./run-the-tests.sh
  harproxy replay --ignore-query ts,_ --match-body json -- npm test
  harproxy replay --fail-on all --report report.json -- npm test
  harproxy replay --prune -- npm test
")]
pub struct ReplayArgs {
    /// Fixtures, or folders of them [default: hars/]
    #[arg(value_name = "FILE|DIR")]
    pub fixtures: Vec<PathBuf>,
    /// The program to run through the proxy; without one, harproxy serves until it is interrupted
    #[arg(last = true, value_name = "CMD")]
    pub cmd: Vec<OsString>,
    /// Replay URLs that match; `!GLOB` excludes; repeatable [default: the globs that the fixtures were recorded with]
    #[arg(short, long, value_name = "GLOB", value_parser = parse_glob, value_delimiter = '\n')]
    pub glob: Vec<String>,
    /// What a client gets for a request that was not recorded
    #[arg(long, value_name = "CODE|abort", default_value = "501", value_parser = parse_miss_status)]
    pub miss_status: MissAnswer,
    /// Let URLs that match go to the network, and only these; repeatable
    #[arg(long, value_name = "GLOB", value_parser = parse_glob, value_delimiter = '\n')]
    pub passthrough: Vec<String>,
    /// What becomes of a request in scope that was not recorded
    #[arg(long, value_name = "HOW", default_value = "fail", value_parser = choices(ON_MISS))]
    pub on_miss: OnMiss,
    /// Let `--on-miss record` change fixtures where CI=true
    #[arg(long)]
    pub allow_ci_record: bool,
    /// How long answers take: at once, as long as recorded, some milliseconds (`200`), or times the recorded (`0.5x`)
    #[arg(long, value_name = "none|recorded|MS|Nx", default_value = "none", value_parser = parse_latency)]
    pub latency: Latency,
    /// Tell of entries that are older (`180d`)
    #[arg(long, value_name = "DURATION", value_parser = parse_age)]
    pub max_age: Option<Duration>,
    /// After a run that passed, remove the entries that it did not use; refused where CI=true
    #[arg(long)]
    pub prune: bool,
    /// Refuse requests to this machine that are out of scope [default: they pass]
    #[arg(long)]
    pub no_local: bool,
    /// What fails the run: a list of kinds, `all` or `none`; `+x` and `-x` change the default
    /// [default: miss,out-of-scope,truncated,ambiguous; with CMD no-traffic too]
    #[arg(long, value_name = "LIST", allow_hyphen_values = true, value_parser = parse_fail_on)]
    pub fail_on: Option<String>,
    /// No `x-harproxy` header on answers
    #[arg(long)]
    pub no_mark: bool,
    /// Whether dates in answers move with the clock
    #[arg(long, value_name = "HOW", default_value = "shift", value_parser = choices(CLOCK))]
    pub clock: Clock,
    /// Which entry answers.
    #[command(flatten)]
    pub matching: MatchingArgs,
    /// Options of both.
    #[command(flatten)]
    pub proxy: ProxyArgs,
    /// Options of both.
    #[command(flatten)]
    pub upstream: UpstreamArgs,
    /// Options of both.
    #[command(flatten)]
    pub run: RunArgs,
    /// Options of both.
    #[command(flatten)]
    pub authority: AuthorityArgs,
    /// Options of both.
    #[command(flatten)]
    pub config: ConfigArgs,
}

const ON_MISS: Words<OnMiss> = &[
    ("fail", "it is refused, and fails the run", OnMiss::Fail),
    ("passthrough", "it goes to the network", OnMiss::Passthrough),
    ("record", "it goes to the network, and what comes back into the one FILE given", OnMiss::Record),
];

/// Which entry answers a request.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Matching")]
pub struct MatchingArgs {
    /// How entries that match equally well take turns
    #[arg(long, value_name = "HOW", default_value = "sequence", value_parser = choices(REPEAT))]
    pub repeat: Repeat,
    /// Whether recorded redirects are followed inside the recording
    #[arg(long, value_name = "HOW", default_value = "auto", value_parser = choices(REDIRECTS))]
    pub redirects: Redirects,
    /// How payloads of requests are compared
    #[arg(long, value_name = "HOW", default_value = "exact", value_parser = choices(MATCH_BODY))]
    pub match_body: MatchBody,
    /// Request headers that must be equal too
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', value_parser = parse_header_name)]
    pub match_header: Vec<String>,
    /// Query parameters that are not compared
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub ignore_query: Vec<String>,
    /// A JSON path (RFC 9535) in payloads that is not compared; repeatable
    #[arg(long, value_name = "JSONPATH", value_delimiter = '\n', value_parser = parse_json_path)]
    pub ignore_body: Vec<String>,
    /// Origins that count as one, as in `https://staging.example.com=https://api.example.com`; repeatable
    #[arg(long, value_name = "A=B", value_delimiter = '\n', value_parser = parse_same_host)]
    pub same_host: Vec<(String, String)>,
    /// Let every header rank entries, also those that clients vary by themselves
    #[arg(long)]
    pub score_all_headers: bool,
    /// What an entry answers whose payload was not recorded
    #[arg(long, value_name = "HOW", default_value = "fail", value_parser = choices(MISSING_BODY))]
    pub missing_body: MissingBody,
}

const CLOCK: &[(&str, &str, Clock)] = &[
    ("shift", "by the time that has passed since the recording", Clock::Shift),
    ("recorded", "they stay as recorded", Clock::Recorded),
];

const REPEAT: &[(&str, &str, Repeat)] = &[
    ("sequence", "in recorded order, then the last one again", Repeat::Sequence),
    ("first", "always the first", Repeat::First),
    ("once", "each at most once, then a miss", Repeat::Once),
];

/// The words of `--redirects`.
pub const REDIRECTS: Words<Redirects> = &[
    ("auto", "served from harproxy's own fixtures, followed in foreign ones", Redirects::Auto),
    ("follow", "followed", Redirects::Follow),
    ("serve", "served as recorded", Redirects::Serve),
];

/// The words of `--match-body`.
pub const MATCH_BODY: Words<MatchBody> = &[
    ("exact", "byte for byte", MatchBody::Exact),
    ("json", "equal JSON values", MatchBody::Json),
    ("form", "equal form fields in order", MatchBody::Form),
    ("ignore", "not at all", MatchBody::Ignore),
];

const MISSING_BODY: &[(&str, &str, MissingBody)] =
    &[("fail", "a miss that says so", MissingBody::Fail), ("empty", "an empty payload", MissingBody::Empty)];
