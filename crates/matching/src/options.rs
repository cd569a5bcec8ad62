//! The matching options of a run, as the command line and the configuration give them.

use harproxy_compare::MatchBody;
use harproxy_json::JsonPath;

use super::{Echo, OriginPattern, PathPattern};
use harproxy_glob::Globs;
use harproxy_redact::{Placeholder, Secret};

/// `--repeat`: how equal candidates are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Repeat {
    /// The first not served yet; when all have been, the last again.
    #[default]
    Sequence,
    /// Always the first.
    First,
    /// Each at most once, then a miss.
    Once,
}

/// `--redirects`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Redirects {
    /// Served in fixtures of harproxy's own, followed in foreign ones.
    #[default]
    Auto,
    /// Followed inside the recording.
    Follow,
    /// Served as recorded.
    Serve,
}

/// `--missing-body`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissingBody {
    /// A miss of the kind "body not recorded".
    #[default]
    Fail,
    /// Served empty.
    Empty,
}

/// The matching options of a run.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `--repeat`.
    pub repeat: Repeat,
    /// `--redirects`.
    pub redirects: Redirects,
    /// `--match-body`.
    pub match_body: MatchBody,
    /// `--match-header`, names in lower case.
    pub match_headers: Vec<String>,
    /// `--ignore-query`, names.
    pub ignore_query: Vec<String>,
    /// `--ignore-body`, JSON paths (RFC 9535).
    pub ignore_body: Vec<String>,
    /// `--same-host A=B`: origins that count as one.
    pub same_host: Vec<(String, String)>,
    /// `--score-all-headers`.
    pub score_all_headers: bool,
    /// `--missing-body`.
    pub missing_body: MissingBody,
    /// `[[match]]`, in order.
    pub rules: Vec<MatchRule>,
    /// `[redact.values]`: the live values of placeholders, which tell entries apart.
    pub values: Vec<(Placeholder, Secret)>,
}

/// `[[match]]`: what holds for some URLs. All rules that apply to a URL hold: their lists add up, of single values the last
/// one counts; what none of them says is as the options of the run have it.
#[derive(Clone, Debug, Default)]
pub struct MatchRule {
    /// `glob`: the URLs; the empty list is all.
    pub glob: Globs,
    /// `path`: segments that vary.
    pub paths: Vec<PathPattern>,
    /// `same-host`: origins that count as one with each other and with the one that the glob names.
    pub same_host: Vec<OriginPattern>,
    /// `ignore-query`, names.
    pub ignore_query: Vec<String>,
    /// `ignore-body`.
    pub ignore_body: Vec<JsonPath>,
    /// `match-header`, names in lower case.
    pub match_headers: Vec<String>,
    /// `body`.
    pub body: Option<MatchBody>,
    /// `redirects`.
    pub redirects: Option<Redirects>,
    /// `echo`: what answers repeat of requests.
    pub echo: Vec<Echo>,
}
