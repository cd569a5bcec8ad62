//! The options of `harproxy record`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args};

use super::common::{AuthorityArgs, ConfigArgs, ProxyArgs, RunArgs, UpstreamArgs};
use super::values::{Size, choices, parse_glob, parse_size};
use crate::cli::config::Config;
use crate::record::{OnFailure, UpdateMode};
use harproxy_har::write::{ContentMode, JsonLayout};

/// Where a recording goes without `-o`.
pub const DEFAULT_OUTPUT: &str = "hars/recorded.har";

/// `harproxy record`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  harproxy record -- curl -s http://localhost:8000/api/users
  harproxy record --glob '**/api/**' -o hars/api.har -- ./run-the-tests.sh
  harproxy record --glob 'https://api.example.com/**' --glob '!**/health' -- npm test
  harproxy record --twice --write-policy -- npm test
  harproxy record --reverse API=http://localhost:8000 -- sh -c 'curl -s \"$HARPROXY_URL_API/users\"'
")]
pub struct RecordArgs {
    /// The program to run through the proxy; without one, harproxy serves until it is interrupted
    #[arg(last = true, value_name = "CMD")]
    pub cmd: Vec<OsString>,
    /// The fixture: `.har` has its payloads in a folder beside it, `.zip` is one archive
    #[arg(short, long, value_name = "FILE", default_value = DEFAULT_OUTPUT)]
    pub output: PathBuf,
    /// Record URLs that match; `!GLOB` excludes; repeatable. Others pass through unrecorded [default: all but noise]
    #[arg(short, long, value_name = "GLOB", value_parser = parse_glob, value_delimiter = '\n')]
    pub glob: Vec<String>,
    /// What becomes of payloads
    #[arg(long, value_name = "WHERE", default_value = "attach", value_parser = choices(CONTENT))]
    pub content: ContentMode,
    /// What becomes of the entries of an existing fixture
    #[arg(long, value_name = "HOW", default_value = "merge", value_parser = choices(UPDATE))]
    pub update: UpdateMode,
    /// What becomes of an existing fixture when CMD fails; a first recording is written all the same
    #[arg(long, value_name = "HOW", default_value = "hold", value_parser = choices(ON_FAILURE))]
    pub on_failure: OnFailure,
    /// How compact JSON payloads are stored
    #[arg(long, value_name = "HOW", default_value = "indent", value_parser = choices(JSON_LAYOUT))]
    pub json_layout: JsonLayout,
    /// Store longer payloads truncated (10MB, 512KiB)
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub max_body: Option<Size>,
    /// Store secrets as they are: tokens, passwords, cookies
    #[arg(long)]
    pub no_redact: bool,
    /// Run CMD twice, and propose the lines of the policy for what differed though nothing had changed
    #[arg(long, requires = "cmd")]
    pub twice: bool,
    /// Add those lines to harproxy.toml
    #[arg(long, requires = "twice")]
    pub write_policy: bool,
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
    /// The options that a replay of the same CMD needs too, as they would be typed.
    #[arg(skip)]
    pub carried: Vec<OsString>,
}

/// What makes CMD find harproxy, by the ids of options that `replay` has too.
const CARRIED: [&str; 8] = ["config", "ca_dir", "listen", "allow_remote", "auth", "bypass", "reverse", "tls"];

/// The options of a recording, typed or said by the section of its own in the configuration, without which a replay would not
/// be found by the same CMD. Variables are still set when that is typed.
#[must_use]
pub fn carried(matches: &ArgMatches, config: &Config) -> Vec<OsString> {
    let mut words = Vec::new();
    for id in CARRIED {
        let is_said = match matches.value_source(id) {
            Some(ValueSource::CommandLine) => true,
            Some(ValueSource::DefaultValue) => config.says_of_record_alone(id),
            _ => false,
        };
        let Some(values) = matches.get_raw(id).filter(|_| is_said) else { continue };
        let option = format!("--{}", id.replace('_', "-"));
        match id {
            "tls" | "allow_remote" if !matches.get_flag(id) => {}
            "tls" | "allow_remote" => words.push(option.into()),
            // Any password does: CMD is told which one it is. The one that was typed is not to be read in a log.
            "auth" => words.extend(values.flat_map(|value| {
                let value = value.to_string_lossy();
                [option.clone(), format!("{}:PASS", value.split(':').next().unwrap_or_default())].map(OsString::from)
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
    // An option of `[record]` by its name: the configuration may say where that is.
    #[arg(value_name = "FILE", default_value = DEFAULT_OUTPUT)]
    pub output: PathBuf,
    /// Drop what was left; the fixture stays as it is
    #[arg(long)]
    pub discard: bool,
    /// As for `record`, whose section of the configuration it reads; a held recording is finished already
    #[arg(long, value_name = "WHERE", default_value = "attach", value_parser = choices(CONTENT))]
    pub content: ContentMode,
    /// As for `record`; `replace` takes nothing away either, as a recording that ended badly has not seen everything
    #[arg(long, value_name = "HOW", default_value = "merge", value_parser = choices(UPDATE))]
    pub update: UpdateMode,
    /// As for `record`
    #[arg(long, value_name = "HOW", default_value = "indent", value_parser = choices(JSON_LAYOUT))]
    pub json_layout: JsonLayout,
    /// Accepted for command lines of earlier versions; not used.
    #[command(flatten)]
    pub authority: AuthorityArgs,
    /// Options of `record`.
    #[command(flatten)]
    pub config: ConfigArgs,
}

const CONTENT: &[(&str, &str, ContentMode)] = &[
    ("attach", "files in a folder beside the HAR, or members of the archive", ContentMode::Attach),
    ("embed", "inside the HAR", ContentMode::Embed),
    ("omit", "dropped", ContentMode::Omit),
];

const UPDATE: &[(&str, &str, UpdateMode)] = &[
    ("merge", "refresh what was seen and keep the rest", UpdateMode::Merge),
    ("missing", "add only what is missing", UpdateMode::Missing),
    ("replace", "keep only what was seen", UpdateMode::Replace),
];

const ON_FAILURE: &[(&str, &str, OnFailure)] = &[
    ("hold", "it stays, and the recording is held for `harproxy recover`", OnFailure::Hold),
    ("write", "it is updated", OnFailure::Write),
];

const JSON_LAYOUT: &[(&str, &str, JsonLayout)] = &[
    ("indent", "a member a line, for small diffs; replay sends them compact again", JsonLayout::Indent),
    ("wire", "as they came", JsonLayout::Wire),
];
