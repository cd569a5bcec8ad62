//! The result of a finished recording: its verdict and its table of hosts.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use super::RecordingSummary;
use super::entry_diff::EntryDiff;
use super::finalise::JournalIndex;
use super::journal::JournalReader;
use crate::verdict::Verdict;
use crate::verdict::request::RecordedEntry;
use harproxy_http::url::Parts;

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
    /// The numbers of the exchanges that a damaged journal has lost.
    pub lost: BTreeSet<u64>,
}

impl RecordingResult {
    /// Counts only the exchanges that a damaged journal still has as recorded. The others were only passed.
    pub(super) fn count_saved(mut self, index: &JournalIndex, reader: &mut JournalReader) -> Self {
        let Some(damage) = &index.damage else { return self };
        let mut saved: HashMap<String, u64> = HashMap::new();
        for exchange in &index.exchanges {
            // A host that can't be read counts nothing.
            let url = exchange.url(reader).unwrap_or_default();
            let site = Parts::of(&url).site();
            let host = site.split_once("://").map_or(&*site, |(_, host)| host);
            *saved.entry(host.to_owned()).or_default() += 1;
        }
        for line in &mut self.hosts {
            let left = saved.get(&line.host).copied().unwrap_or_default().min(line.recorded);
            line.passed += line.recorded - left;
            line.recorded = left;
        }
        let counts = &mut self.verdict.counts;
        let left = (index.exchanges.len() as u64).min(counts.recorded);
        counts.passed += counts.recorded - left;
        counts.recorded = left;
        self.lost.clone_from(&damage.lost);
        self
    }
}
