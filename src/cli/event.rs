//! The names of events: what stands in `event` of each line that `--log-format json` makes. `docs/reference/events.md` has them all.

macro_rules! events {
    ($($(#[$doc:meta])+ $name:ident => $word:literal,)+) => {
        /// What a line on standard error is about.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Event {
            $($(#[$doc])+ $name,)+
        }

        impl Event {
            /// All there are.
            pub const ALL: &[Event] = &[$(Event::$name),+];

            /// The word for it.
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
    /// harproxy listens; on standard output.
    Ready => "ready",
    /// The head of an answer is there, and the rest takes its time.
    Answered => "answered",
    /// A request ended.
    Request => "request",
    /// A connection that was passed on untouched ended.
    Tunnel => "tunnel",
    /// A client refused our certificate.
    TlsRefused => "tls-refused",
    /// Something was found for the first time.
    Finding => "finding",
    /// A fixture was loaded again.
    Reloaded => "reloaded",
    /// A fixture was edited and cannot be loaded.
    ReloadFailed => "reload-failed",
    /// Events were left out, since nobody read them.
    Dropped => "dropped",
    /// A line of the log.
    Log => "log",
    /// A recording that was killed was taken over, or there was none.
    Recovered => "recovered",
    /// CMD runs a second time.
    Again => "again",
    /// What two runs of CMD differed in.
    Learned => "learned",
    /// What is about to be taken out of a fixture.
    Pruning => "pruning",
    /// What the run concludes.
    Verdict => "verdict",
    /// What became of the fixture of a recording.
    Summary => "summary",
    /// What was taken out of a fixture, or why nothing was.
    Pruned => "pruned",
    /// A fixture that nothing asked for.
    Unused => "unused",
    /// What to type next.
    Next => "next",
    /// What `doctor` found out.
    Diagnosis => "diagnosis",
    /// Something that may matter.
    Warning => "warning",
    /// It could not be done.
    Error => "error",
    /// A defect of harproxy.
    Defect => "defect",
    /// What helps.
    Hint => "hint",
    /// Fixtures are one now.
    Merged => "merged",
    /// A payload or a placeholder has another name now.
    Renamed => "renamed",
    /// A payload that one side removed and another fixture needs.
    Shared => "shared",
    /// What two sides changed differently.
    Conflict => "conflict",
    /// What is no HAR was merged as text.
    Text => "text",
    /// A fixture is an archive now.
    Packed => "packed",
    /// An archive is a fixture with a folder now.
    Unpacked => "unpacked",
    /// A compressed fixture that stays as it is.
    Compressed => "compressed",
    /// Fixtures that are not in canonical form.
    Unformatted => "unformatted",
    /// How secrets that `check` found are taken out.
    Leaked => "leaked",
    /// Secrets were taken out of a fixture.
    Redacted => "redacted",
    /// What was left as it was.
    Left => "left",
    /// What was left of a recording is gone.
    Discarded => "discarded",
    /// A line was added to `.gitattributes`.
    Attribute => "attribute",
    /// A setting of git was made.
    Setting => "setting",
    /// What git does not know yet.
    Missing => "missing",
    /// What trusting the CA risks.
    Risk => "risk",
    /// A command of the system is about to be run.
    Command => "command",
    /// What became of a trust store.
    Store => "store",
    /// Another CA of harproxy that a trust store holds.
    OtherCa => "other-ca",
    /// There is nothing more to do.
    Done => "done",
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words in the first column of the reference's tables of events.
    fn documented() -> Vec<&'static str> {
        let reference = include_str!("../../docs/reference/events.md");
        let tables = reference.split("\n| event |").skip(1).map(|table| table.split("\n\n").next().unwrap_or_default());
        let rows = tables.flat_map(|table| table.lines().skip(2)).filter_map(|row| row.strip_prefix("| "));
        rows.flat_map(|row| row.split(" |").next().unwrap_or_default().split('`').skip(1).step_by(2)).collect()
    }

    #[test]
    fn the_reference_has_every_event_and_no_other() {
        let (mut documented, mut told) =
            (documented(), Event::ALL.iter().map(|event| event.word()).collect::<Vec<_>>());
        documented.sort_unstable();
        told.sort_unstable();
        documented.dedup();
        assert_eq!(documented, told);
    }
}
