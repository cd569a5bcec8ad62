//! The settings of a recording.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use harproxy_compare::VolatileRules;
use harproxy_glob::Globs;
use harproxy_har::write::{ContentMode, JsonLayout};
use harproxy_http::DecodeLimit;
use harproxy_json::PathError;
use harproxy_matching::{MatchRule, OriginPattern};
use harproxy_redact::{Placeholder, Policy, Secret};

/// The settings of a recording, known before it starts.
#[derive(Clone, Debug)]
pub struct RecordPlan {
    /// The fixture to write (`-o`).
    pub output: PathBuf,
    /// The URLs to record (`-g`); an empty list means everything but noise.
    pub scope: Globs,
    /// Origins of this machine that `--reverse` and `same-host` name. The scope includes others only by its globs.
    pub named: Vec<OriginPattern>,
    /// `[scope] noise`: whether noise is left out.
    pub noise: bool,
    /// `--content`.
    pub content: ContentMode,
    /// `--update`.
    pub update: UpdateMode,
    /// `--max-body`, bytes.
    pub max_body: Option<u64>,
    /// `--max-decoded`.
    pub max_decoded: DecodeLimit,
    /// `--json-layout`.
    pub json_layout: JsonLayout,
    /// The redaction policy ([`Policy::off`] for `--no-redact`).
    pub policy: Arc<Policy>,
    /// `[redact.values]`: known values and their placeholders.
    pub values: Vec<(Placeholder, Secret)>,
    /// `--record-failures`: whether requests are recorded that failed before a connection to upstream.
    pub record_failures: bool,
    /// `--on-failure`.
    pub on_failure: OnFailure,
    /// `[volatile]`.
    pub volatile: Volatile,
    /// `[[match]]`: the rules by which requests are equal.
    pub rules: Vec<MatchRule>,
}

impl RecordPlan {
    /// Returns true if a URL (in normal form) is in scope.
    #[must_use]
    pub fn includes(&self, url: &str) -> bool {
        harproxy_matching::includes(&self.scope, url, |origin| self.is_named(origin))
    }

    /// Returns true if a URL of this origin may be in scope.
    #[must_use]
    pub fn may_include_origin(&self, origin: &str) -> bool {
        harproxy_matching::may_include_origin(&self.scope, origin, |origin| self.is_named(origin))
    }

    /// Returns the hosts that the scope names, IPv6 addresses without brackets.
    #[must_use]
    pub fn named_hosts(&self) -> BTreeSet<String> {
        self.scope.named_hosts().into_iter().chain(self.named.iter().map(|named| named.host().to_owned())).collect()
    }

    fn is_named(&self, origin: &str) -> bool {
        self.named.iter().any(|named| named.matches(origin))
    }
}

/// `[volatile]`: the values that a project adds to the built-in volatile ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Volatile {
    /// Names of response headers.
    pub headers: Vec<String>,
    /// JSON paths (RFC 9535) into response payloads.
    pub json: Vec<String>,
}

impl Volatile {
    /// Parses the paths, for comparisons.
    ///
    /// # Errors
    /// The first invalid path.
    pub fn rules(&self) -> Result<VolatileRules, PathError> {
        VolatileRules::new(&self.headers, &self.json)
    }
}

/// `--update`: the treatment of entries of an existing fixture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UpdateMode {
    /// Refresh the entries that were seen, keep the rest.
    #[default]
    Merge,
    /// Add only missing entries.
    Missing,
    /// Keep only the entries that were seen.
    Replace,
}

/// `--on-failure`: the treatment of an existing fixture when CMD fails. A first recording is always written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// The fixture stays as it is, and the recording is held for `harproxy recover`.
    #[default]
    Hold,
    /// The fixture is updated.
    Write,
}

/// The end of CMD, as far as a recording depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CmdEnd {
    /// It exited 0, or there was none.
    Clean,
    Failed,
}
