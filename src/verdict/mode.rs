//! The mode of a run. The set is open: a report of another mode can be read and rendered.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// The harproxy command of a run, as named in reports.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunMode(Cow<'static, str>);

impl RunMode {
    pub const RECORD: RunMode = RunMode::new("record");
    pub const REPLAY: RunMode = RunMode::new("replay");
    pub const DOCTOR: RunMode = RunMode::new("doctor");

    #[must_use]
    pub const fn new(command: &'static str) -> Self {
        RunMode(Cow::Borrowed(command))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the run with its article: `a replay`.
    #[must_use]
    pub fn noun(&self) -> Cow<'static, str> {
        match self.as_str() {
            "record" => "a recording".into(),
            "replay" => "a replay".into(),
            other => format!("a run of `harproxy {other}`").into(),
        }
    }
}
