//! Options of `harproxy record` and `harproxy recover`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args};

use super::common::{AuthorityArgs, ConfigArgs, IsolateArgs, ProxyArgs, RunArgs, UpstreamArgs};
use super::values::{choices, parse_glob, parse_size};
use crate::cli::config::Config;
use crate::record::{OnFailure, UpdateMode};
use harproxy_har::write::{ContentMode, JsonLayout};

/// Output of a recording without `-o`.
pub const DEFAULT_OUTPUT: &str = "hars/recorded.har";

/// `harproxy record`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  harproxy record -g 'http://localhost:8000/**' -- curl localhost:8000/api/users
  harproxy record -g 'https://api.example.com/**' -o hars/api.har -- npm test
  harproxy record -g 'https://api.example.com/**' -g '!**/health' -- npm test
  harproxy record --twice --write-policy -- npm test
  harproxy record --reverse API=http://localhost:8000 -- ./run-the-tests.sh
")]
pub struct RecordArgs {
    /// The program to run through the proxy; without one, harproxy serves until it is interrupted
    #[arg(last = true, value_name = "CMD")]
    pub cmd: Vec<OsString>,
    /// The fixture: `.har` has its payloads in a folder beside it, `.zip` is one archive
    #[arg(short, long, value_name = "FILE", default_value = DEFAULT_OUTPUT)]
    pub output: PathBuf,
    /// Record URLs that match; `!GLOB` excludes; repeatable. Other URLs are forwarded unrecorded. For a
    /// server of this machine, a glob must name the origin: `http://localhost:8000/**`, or `http://localhost:*/**` for
    /// any port [default: all but noise and this machine]
    #[arg(short, long, value_name = "GLOB", value_parser = parse_glob, value_delimiter = '\n')]
    pub glob: Vec<String>,
    /// Storage of payloads
    #[arg(long, value_name = "WHERE", default_value = "attach", value_parser = choices(CONTENT))]
    pub content: ContentMode,
    /// How existing entries are updated
    #[arg(long, value_name = "HOW", default_value = "merge", value_parser = choices(UPDATE))]
    pub update: UpdateMode,
    /// Whether an existing fixture is updated if CMD fails; a first recording is always written
    #[arg(long, value_name = "HOW", default_value = "hold", value_parser = choices(ON_FAILURE))]
    pub on_failure: OnFailure,
    /// Record requests that could not be sent (DNS, connection, TLS, upstream proxy), as failures
    #[arg(long)]
    pub record_failures: bool,
    /// Layout of JSON payloads that came on one line
    #[arg(long, value_name = "HOW", default_value = "indent", value_parser = choices(JSON_LAYOUT))]
    pub json_layout: JsonLayout,
    /// Truncate longer payloads (10MB, 512KiB)
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub max_body: Option<u64>,
    /// Store a compressed payload as received if it expands beyond this and 100 times its length
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = parse_size)]
    pub max_decoded: u64,
    /// Store secrets unchanged: tokens, passwords, cookies
    #[arg(long)]
    pub no_redact: bool,
    /// Run CMD twice and propose configuration for volatile values
    #[arg(long, requires = "cmd")]
    pub twice: bool,
    /// Add those lines to harproxy.toml
    #[arg(long, requires = "twice")]
    pub write_policy: bool,
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
    /// Command-line words of the options that a replay of the same CMD also needs.
    #[arg(skip)]
    pub replay_options: Vec<OsString>,
}

/// Ids of the options that make CMD find harproxy. `replay` has them too.
pub(super) const REPLAY_OPTIONS: [&str; 10] =
    ["config", "ca_dir", "listen", "allow_remote", "auth", "bypass", "reverse", "tls", "isolate", "isolate_allow"];

/// Returns the options of a recording that a replay of the same CMD needs to be reachable, as command-line words. They
/// come from the command line or from `[record]` alone. Variables are left out: they are still set for the replay.
#[must_use]
pub fn replay_options(matches: &ArgMatches, config: &Config) -> Vec<OsString> {
    let is_said = |id: &str, source| match source {
        ValueSource::CommandLine => true,
        ValueSource::DefaultValue => config.is_set_for_record_only(id),
        _ => false,
    };
    option_words(matches, &REPLAY_OPTIONS, is_said)
}

/// Returns those of these options that `is_said` accepts, by their id and the source of their value, as command-line
/// words.
pub(super) fn option_words(
    matches: &ArgMatches,
    ids: &[&str],
    is_said: impl Fn(&str, ValueSource) -> bool,
) -> Vec<OsString> {
    let mut words = Vec::new();
    for &id in ids {
        let is_said = matches.value_source(id).is_some_and(|source| is_said(id, source));
        let Some(values) = matches.get_raw(id).filter(|_| is_said) else { continue };
        let option = format!("--{}", id.replace('_', "-"));
        match id {
            "tls" | "allow_remote" | "isolate" if !matches.get_flag(id) => {}
            "tls" | "allow_remote" | "isolate" => words.push(option.into()),
            // The password is replaced by a placeholder to keep it out of logs. CMD receives the real one in its
            // variables.
            "auth" => words.extend(values.flat_map(|value| {
                let value = value.to_string_lossy();
                [option.clone(), format!("{}:PASS", value.split(':').next().unwrap_or_default())].map(OsString::from)
            })),
            // Its value is optional, so that a word of its own would be CMD.
            "insecure" => words.extend(values.map(|value| {
                let mut word = OsString::from(format!("{option}="));
                word.push(value);
                word
            })),
            _ => words.extend(values.flat_map(|value| [OsString::from(&option), value.to_owned()])),
        }
    }
    words
}

/// `harproxy recover`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  harproxy recover hars/api.har
  harproxy recover hars/api.har --discard
")]
pub struct RecoverArgs {
    /// The fixture that was recorded into
    // The name `output` makes it the same option of `[record]` in the configuration.
    #[arg(value_name = "FILE", default_value = DEFAULT_OUTPUT)]
    pub output: PathBuf,
    /// Drop the recording and leave the fixture unchanged
    #[arg(long)]
    pub discard: bool,
    /// As for `record`; a held recording keeps the mode that it was recorded with
    #[arg(long, value_name = "WHERE", default_value = "attach", value_parser = choices(CONTENT))]
    pub content: ContentMode,
    /// As for `record`; `replace` removes nothing either, because an interrupted recording is incomplete
    #[arg(long, value_name = "HOW", default_value = "merge", value_parser = choices(UPDATE))]
    pub update: UpdateMode,
    /// As for `record`
    #[arg(long, value_name = "HOW", default_value = "indent", value_parser = choices(JSON_LAYOUT))]
    pub json_layout: JsonLayout,
    /// Accepted for command lines of earlier versions; not used.
    #[command(flatten)]
    pub authority: AuthorityArgs,
    #[command(flatten)]
    pub config: ConfigArgs,
}

const CONTENT: &[(&str, &str, ContentMode)] = &[
    ("attach", "files in a folder beside the HAR, or members of the archive", ContentMode::Attach),
    ("embed", "inside the HAR", ContentMode::Embed),
    ("omit", "dropped", ContentMode::Omit),
];

const UPDATE: &[(&str, &str, UpdateMode)] = &[
    ("merge", "update recorded entries and keep the rest", UpdateMode::Merge),
    ("missing", "add only missing entries", UpdateMode::Missing),
    ("replace", "keep only recorded entries", UpdateMode::Replace),
];

const ON_FAILURE: &[(&str, &str, OnFailure)] = &[
    ("hold", "it is unchanged, and the recording is held for `harproxy recover`", OnFailure::Hold),
    ("write", "it is updated", OnFailure::Write),
];

const JSON_LAYOUT: &[(&str, &str, JsonLayout)] = &[
    ("indent", "one member per line, for small diffs; replay sends them on one line again", JsonLayout::Indent),
    ("wire", "as received", JsonLayout::Wire),
];
