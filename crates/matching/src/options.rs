//! The matching options of a run, as the command line and the configuration give them.

use harproxy_compare::MatchBody;
use harproxy_json::JsonPath;

use super::{Echo, OriginPattern, PathPattern};
use harproxy_glob::Globs;
use harproxy_redact::{Placeholder, Secret};

/// `--repeat`: the order in which equally ranked entries are served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Repeat {
    /// One after the other; then the last one again.
    #[default]
    Sequence,
    /// Always the first one.
    First,
    /// One after the other; then a miss.
    Once,
}

/// `--redirects`: the treatment of recorded redirects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Redirects {
    /// Redirects of own fixtures are served, those of foreign ones are followed.
    #[default]
    Auto,
    /// Redirects are followed inside the recording.
    Follow,
    /// Redirects are served as recorded.
    Serve,
}

/// `--missing-body`: the treatment of entries whose response payload was not recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissingBody {
    /// They are a miss of the kind "body not recorded".
    #[default]
    Fail,
    /// They are served without a payload.
    Empty,
}

#[derive(Clone, Debug, Default)]
pub struct Options {
    pub repeat: Repeat,
    pub redirects: Redirects,
    pub match_body: MatchBody,
    /// True in `serve`: white space in GraphQL documents does not count in any mode.
    pub folds_graphql: bool,
    /// `--match-header`, names in lower case.
    pub match_headers: Vec<String>,
    /// `--ignore-query`, names.
    pub ignore_query: Vec<String>,
    /// `--ignore-body`, JSON paths (RFC 9535).
    pub ignore_body: Vec<String>,
    /// `--same-host A=B`: pairs of equal origins.
    pub same_host: Vec<(String, String)>,
    /// The origins of `--reverse`, which names them for the scope.
    pub reverse: Vec<OriginPattern>,
    pub score_all_headers: bool,
    pub missing_body: MissingBody,
    /// `[[match]]`, in order.
    pub rules: Vec<MatchRule>,
    /// `[redact.values]`: the live values of placeholders, by which entries are distinguished.
    pub values: Vec<(Placeholder, Secret)>,
}

/// A `[[match]]` rule: matching options for some URLs. If several rules apply to a URL, their lists are joined, and the
/// last of their single values applies. Values that no rule sets come from the options of the run.
#[derive(Clone, Debug, Default)]
pub struct MatchRule {
    /// `glob`: the URLs. An empty list matches all.
    pub glob: Globs,
    /// `path`: paths with variable segments.
    pub paths: Vec<PathPattern>,
    /// `same-host`: origins that are equal to each other and to the one that the glob names.
    pub same_host: Vec<OriginPattern>,
    /// `ignore-query`, names.
    pub ignore_query: Vec<String>,
    pub ignore_body: Vec<JsonPath>,
    /// `match-header`, names in lower case.
    pub match_headers: Vec<String>,
    pub body: Option<MatchBody>,
    pub redirects: Option<Redirects>,
    /// `echo`: places of requests whose values responses repeat.
    pub echo: Vec<Echo>,
}
