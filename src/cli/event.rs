//! The names of events: the value of `event` in each line of `--log-format json`. `docs/reference/events.md` documents
//! them.

use serde::Serialize;

/// The kind of a message on standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// The proxy listens. This event goes to standard output.
    Ready,
    /// The head of a response arrived, and its body takes longer.
    Answered,
    Request,
    /// A connection that was tunnelled unchanged ended.
    Tunnel,
    TlsRefused,
    /// A finding occurred for the first time.
    Finding,
    Reloaded,
    /// An edited fixture cannot be loaded.
    ReloadFailed,
    /// Events were dropped because they were not read.
    Dropped,
    Log,
    /// A killed recording was recovered, or there was none.
    Recovered,
    /// CMD runs a second time.
    Again,
    /// The differences between two runs of CMD.
    Learned,
    /// Entries that are about to be removed from a fixture.
    Pruning,
    Verdict,
    /// The changes of a recording to its fixture.
    Summary,
    /// The entries that were removed from a fixture, or the reason why none were.
    Pruned,
    /// A fixture without any used entry.
    Unused,
    Next,
    Diagnosis,
    Warning,
    Error,
    /// A defect of harproxy.
    Defect,
    Hint,
    Merged,
    /// A fixture has layout 1, or was migrated from it.
    Layout,
    /// A payload or a placeholder was renamed.
    Renamed,
    /// A payload that one side removed and another fixture needs.
    Shared,
    /// A conflict of two sides.
    Conflict,
    /// A file that is not a HAR was merged as text.
    Text,
    Packed,
    Imported,
    Unpacked,
    /// A compressed fixture was left unchanged.
    Compressed,
    /// Fixtures that are not in canonical form.
    Unformatted,
    /// The command that removes the secrets that `check` found.
    Leaked,
    /// Secrets were removed from a fixture.
    Redacted,
    /// A file or member was left unchanged.
    Left,
    Discarded,
    /// A line was added to `.gitattributes`.
    Attribute,
    /// A git setting was made.
    Setting,
    Missing,
    Risk,
    /// A command of the system is about to be run.
    Command,
    /// The result for a trust store.
    Store,
    /// A trust store contains another CA of harproxy.
    OtherCa,
    Done,
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    /// Returns the first column of the event tables in the reference.
    fn documented() -> Vec<&'static str> {
        let reference = include_str!("../../docs/reference/events.md");
        let tables = reference.split("\n| event |").skip(1).map(|table| table.split("\n\n").next().unwrap_or_default());
        let rows = tables.flat_map(|table| table.lines().skip(2)).filter_map(|row| row.strip_prefix("| "));
        rows.flat_map(|row| row.split(" |").next().unwrap_or_default().split('`').skip(1).step_by(2)).collect()
    }

    #[test]
    fn reference_documents_exactly_these_events() {
        let words = Event::value_variants().iter().map(|event| serde_json::json!(event).as_str().unwrap().to_owned());
        let (mut documented, mut events) = (documented(), words.collect::<Vec<_>>());
        documented.sort_unstable();
        events.sort_unstable();
        documented.dedup();
        assert_eq!(documented, events);
    }
}
