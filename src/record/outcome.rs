//! The result of a finished recording: its verdict and its table of hosts.

use std::collections::HashMap;
use std::path::PathBuf;

use super::RecordingSummary;
use super::entry_diff::EntryDiff;
use crate::verdict::Verdict;
use crate::verdict::request::RecordedEntry;

/// A line of the table at the end of a recording.
#[derive(Clone, Debug, Default)]
pub struct HostLine {
    /// `host[:port]`.
    pub host: String,
    /// Requests; a tunnel counts as one.
    pub requests: u64,
    pub recorded: u64,
    /// Requests that were forwarded unrecorded.
    pub passed: u64,
}

#[derive(Clone, Debug)]
pub struct RecordingResult {
    /// Counts and findings.
    pub verdict: Verdict,
    /// The table, by host in order of first appearance.
    pub hosts: Vec<HostLine>,
    /// Whether the fixture was written; false if nothing was recorded, or CMD failed over an existing fixture.
    pub written: bool,
    /// The options that record the requests to this machine that were left out.
    pub local_options: Vec<String>,
    /// The counts of the exchanges and of the entries that they change.
    pub summary: RecordingSummary,
    /// The folder of the held recording, or the journal, if the fixture stays as it is.
    pub held: Option<PathBuf>,
    /// Whether an older held recording was dropped.
    pub replaced_held: bool,
    /// The entries of the written fixture, by the numbers of their exchanges in the journal.
    pub entries: HashMap<u64, RecordedEntry>,
    /// The differences of the first entries that changed.
    pub differences: Vec<EntryDiff>,
}
