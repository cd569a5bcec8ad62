//! Options of `harproxy replay`, and the matching options that `explain` shares.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args};

use super::common::{AuthorityArgs, ConfigArgs, IsolateArgs, ProxyArgs, RunArgs, UpstreamArgs};
use super::record::{REPLAY_OPTIONS, option_words};
use super::values::{
    Words, choices, parse_age, parse_fail_on, parse_glob, parse_header_name, parse_json_path, parse_latency,
    parse_miss_status, parse_same_host,
};
use crate::replay::{Clock, Latency, MissAnswer, OnMiss};
use crate::serve::expect::Expectation;
use crate::verdict::fail_on::{describe_kinds, describe_list, standard_list};
use harproxy_matching::{MatchBody, MissingBody, Redirects, Repeat};

/// Default folder of fixtures.
pub const DEFAULT_FIXTURES: &str = "hars";

/// `harproxy replay`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  harproxy replay -- curl -s http://localhost:8000/api/users
  harproxy replay -g 'https://api.example.com/**' -- npm test
  harproxy replay --ignore-query ts,_ --match-body json -- npm test
  harproxy replay --strict -- npm test
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
    /// Response to a miss
    #[arg(long, value_name = "CODE|abort", default_value = "501", value_parser = parse_miss_status)]
    pub miss_status: MissAnswer,
    /// Forward URLs that match to the network, and only these; repeatable
    #[arg(long, value_name = "GLOB", value_parser = parse_glob, value_delimiter = '\n')]
    pub passthrough: Vec<String>,
    /// How a miss is handled
    #[arg(long, value_name = "HOW", default_value = "fail", value_parser = choices(ON_MISS))]
    pub on_miss: OnMiss,
    /// Allow `[[route]]` rules with live sources
    #[arg(long)]
    pub allow_live: bool,
    /// Variables for templates: a `.toml` file, or the name of a table `[vars.NAME]`; repeatable
    #[arg(long, value_name = "FILE|NAME", value_delimiter = '\n')]
    pub vars: Vec<String>,
    /// Expect this request, such as `POST https://api.example.com/orders = 1`; repeatable
    #[arg(long, value_name = "REQUEST[ = N]", value_parser = Expectation::parse, value_delimiter = '\n')]
    pub expect: Vec<Expectation>,
    /// Use the `x-mock-…` headers of requests
    #[arg(long)]
    pub mock_headers: bool,
    /// Allow `--on-miss record` to change fixtures if CI=true
    #[arg(long)]
    pub allow_ci_record: bool,
    /// Latency of responses and recorded events: none, as recorded, milliseconds (`200`), or a factor (`0.5x`)
    #[arg(long, value_name = "none|recorded|MS|Nx", default_value = "none", value_parser = parse_latency)]
    pub latency: Latency,
    /// Report older entries (`180d`)
    #[arg(long, value_name = "DURATION", value_parser = parse_age)]
    pub max_age: Option<Duration>,
    /// After a run that passed, remove the entries that it did not use; refused if CI=true
    #[arg(long)]
    pub prune: bool,
    /// Refuse out-of-scope requests to this machine [default: they are forwarded]
    #[arg(long)]
    pub no_local: bool,
    #[arg(long, value_name = "LIST", allow_hyphen_values = true, value_parser = parse_fail_on)]
    #[arg(help = describe_list(&standard_list()), long_help = describe_kinds(&standard_list()))]
    pub fail_on: Option<String>,
    /// Send no `x-harproxy` header
    #[arg(long)]
    pub no_mark: bool,
    /// How dates in responses are shifted
    #[arg(long, value_name = "HOW", default_value = "shift", value_parser = choices(CLOCK))]
    pub clock: Clock,
    #[command(flatten)]
    pub matching: MatchingArgs,
    #[command(flatten)]
    pub proxy: ProxyArgs,
    #[command(flatten)]
    pub upstream: UpstreamArgs,
    #[command(flatten)]
    pub run: RunArgs,
    #[command(flatten)]
    pub isolate: IsolateArgs,
    #[command(flatten)]
    pub authority: AuthorityArgs,
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Command-line words of the options that a recording of misses also needs.
    #[arg(skip)]
    pub rerun_options: Vec<OsString>,
}

/// Ids of the options that decide how requests are matched and forwarded.
const FORWARDING_OPTIONS: [&str; 13] = [
    "repeat",
    "redirects",
    "match_body",
    "match_header",
    "ignore_query",
    "ignore_body",
    "same_host",
    "missing_body",
    "map",
    "upstream_proxy",
    "upstream_ca",
    "client_cert",
    "insecure",
];

/// Returns the options on the command line of a replay that a recording of its misses also needs, as command-line
/// words.
#[must_use]
pub fn rerun_options(matches: &ArgMatches) -> Vec<OsString> {
    let ids = [&REPLAY_OPTIONS[..], &FORWARDING_OPTIONS].concat();
    option_words(matches, &ids, |_, source| source == ValueSource::CommandLine)
}

const ON_MISS: Words<OnMiss> = &[
    ("fail", "it is refused and fails the run", OnMiss::Fail),
    ("passthrough", "it goes to the network", OnMiss::Passthrough),
    ("record", "it goes to the network, and the exchange is added to the one FILE given", OnMiss::Record),
];

/// Options that select the entry that answers a request.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Matching")]
pub struct MatchingArgs {
    /// Preset for deterministic clients: `--repeat once --fail-on +credentials-missing,+unused`; explicit options win
    #[arg(long)]
    pub strict: bool,
    /// Order of equally ranked entries [default: sequence]
    #[arg(long, value_name = "HOW", value_parser = choices(REPEAT))]
    pub repeat: Option<Repeat>,
    /// Whether recorded redirects are followed inside the fixture
    #[arg(long, value_name = "HOW", default_value = "auto", value_parser = choices(REDIRECTS))]
    pub redirects: Redirects,
    /// How request payloads are compared
    #[arg(long, value_name = "HOW", default_value = "exact", value_parser = choices(MATCH_BODY))]
    pub match_body: MatchBody,
    /// Request headers that must also be equal
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', value_parser = parse_header_name)]
    pub match_header: Vec<String>,
    /// Query parameters to ignore
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub ignore_query: Vec<String>,
    /// JSON path (RFC 9535) in payloads to ignore; repeatable
    #[arg(long, value_name = "JSONPATH", value_delimiter = '\n', value_parser = parse_json_path)]
    pub ignore_body: Vec<String>,
    /// Origins that are treated as one, such as `https://staging.example.com=https://api.example.com`; repeatable
    #[arg(long, value_name = "A=B", value_delimiter = '\n', value_parser = parse_same_host)]
    pub same_host: Vec<(String, String)>,
    /// Rank entries by every header, also by those that vary between clients
    #[arg(long)]
    pub score_all_headers: bool,
    /// Response of an entry without a recorded payload
    #[arg(long, value_name = "HOW", default_value = "fail", value_parser = choices(MISSING_BODY))]
    pub missing_body: MissingBody,
}

const CLOCK: &[(&str, &str, Clock)] = &[
    ("shift", "by the time since the recording", Clock::Shift),
    ("recorded", "unchanged, as recorded", Clock::Recorded),
];

const REPEAT: &[(&str, &str, Repeat)] = &[
    ("sequence", "in recorded order, then the last one repeatedly", Repeat::Sequence),
    ("first", "always the first", Repeat::First),
    ("once", "each at most once, then a miss", Repeat::Once),
];

/// Values of `--redirects`.
pub const REDIRECTS: Words<Redirects> = &[
    ("auto", "served from harproxy's own fixtures, followed in foreign ones", Redirects::Auto),
    ("follow", "followed", Redirects::Follow),
    ("serve", "served as recorded", Redirects::Serve),
];

/// Values of `--match-body`.
pub const MATCH_BODY: Words<MatchBody> = &[
    ("exact", "byte for byte", MatchBody::Exact),
    ("json", "equal JSON values", MatchBody::Json),
    ("form", "equal form fields in the same order", MatchBody::Form),
    ("ignore", "not at all", MatchBody::Ignore),
];

const MISSING_BODY: &[(&str, &str, MissingBody)] =
    &[("fail", "a miss with that reason", MissingBody::Fail), ("empty", "an empty payload", MissingBody::Empty)];
