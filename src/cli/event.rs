//! The names of events: the value of `event` in each line of `--log-format json`. `docs/reference/events.md` documents
//! them.

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident => $word:literal,)+) => {
        /// The kind of a message on standard error.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Event {
            $($(#[$doc])* $name,)+
        }

        impl Event {
            pub const ALL: &[Event] = &[$(Event::$name),+];

            #[must_use]
            pub fn word(self) -> &'static str {
                match self {
                    $(Event::$name => $word,)+
                }
            }
        }
    };
}

events! {
    /// The proxy listens. This event goes to standard output.
    Ready => "ready",
    /// The head of a response arrived, and its body takes longer.
    Answered => "answered",
    Request => "request",
    /// A connection that was tunnelled unchanged ended.
    Tunnel => "tunnel",
    TlsRefused => "tls-refused",
    /// A finding occurred for the first time.
    Finding => "finding",
    Reloaded => "reloaded",
    /// An edited fixture cannot be loaded.
    ReloadFailed => "reload-failed",
    /// Events were dropped because they were not read.
    Dropped => "dropped",
    Log => "log",
    /// A killed recording was recovered, or there was none.
    Recovered => "recovered",
    /// CMD runs a second time.
    Again => "again",
    /// The differences between two runs of CMD.
    Learned => "learned",
    /// Entries that are about to be removed from a fixture.
    Pruning => "pruning",
    Verdict => "verdict",
    /// The changes of a recording to its fixture.
    Summary => "summary",
    /// The entries that were removed from a fixture, or the reason why none were.
    Pruned => "pruned",
    /// A fixture without any used entry.
    Unused => "unused",
    Next => "next",
    Diagnosis => "diagnosis",
    Warning => "warning",
    Error => "error",
    /// A defect of harproxy.
    Defect => "defect",
    Hint => "hint",
    Merged => "merged",
    /// A payload or a placeholder was renamed.
    Renamed => "renamed",
    /// A payload that one side removed and another fixture needs.
    Shared => "shared",
    /// A conflict of two sides.
    Conflict => "conflict",
    /// A file that is not a HAR was merged as text.
    Text => "text",
    Packed => "packed",
    Unpacked => "unpacked",
    /// A compressed fixture was left unchanged.
    Compressed => "compressed",
    /// Fixtures that are not in canonical form.
    Unformatted => "unformatted",
    /// The command that removes the secrets that `check` found.
    Leaked => "leaked",
    /// Secrets were removed from a fixture.
    Redacted => "redacted",
    /// A file or member was left unchanged.
    Left => "left",
    Discarded => "discarded",
    /// A line was added to `.gitattributes`.
    Attribute => "attribute",
    /// A git setting was made.
    Setting => "setting",
    Missing => "missing",
    Risk => "risk",
    /// A command of the system is about to be run.
    Command => "command",
    /// The result for a trust store.
    Store => "store",
    /// A trust store contains another CA of harproxy.
    OtherCa => "other-ca",
    Done => "done",
}

#[cfg(test)]
mod tests {
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
        let (mut documented, mut events) =
            (documented(), Event::ALL.iter().map(|event| event.word()).collect::<Vec<_>>());
        documented.sort_unstable();
        events.sort_unstable();
        documented.dedup();
        assert_eq!(documented, events);
    }
}
