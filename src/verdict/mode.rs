//! The mode of a run. The set is open: a report of another mode can be read and rendered.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// The command that a run is of, as reports have it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mode(Cow<'static, str>);

impl Mode {
    /// `harproxy record`.
    pub const RECORD: Mode = Mode::new("record");
    /// `harproxy replay`.
    pub const REPLAY: Mode = Mode::new("replay");
    /// `harproxy doctor`.
    pub const DOCTOR: Mode = Mode::new("doctor");

    /// A mode that is known when the program is compiled.
    #[must_use]
    pub const fn new(command: &'static str) -> Self {
        Mode(Cow::Borrowed(command))
    }

    /// The command.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The run with its article: `a replay`.
    #[must_use]
    pub fn noun(&self) -> Cow<'static, str> {
        match self.as_str() {
            "record" => "a recording".into(),
            "replay" => "a replay".into(),
            other => format!("a run of `harproxy {other}`").into(),
        }
    }
}
