//! The ids of checks, and `--fail-on`: the checks whose findings fail a run. The set of ids is open: reports,
//! `--fail-on` and the exit status handle ids that they do not know.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The id of a check: a word such as `miss`, or a path such as `drift/field-missing`. `--fail-on`, reports and the log
/// use it as it is.
///
/// Ids are sorted as in [`CheckId::KNOWN`], unknown ones after them by name.
///
/// ```
/// use harproxy::verdict::CheckId;
/// assert_eq!(CheckId::MISS.as_str(), "miss");
/// assert!(CheckId::MISS < CheckId::UNUSED && CheckId::UNUSED < CheckId::new("drift/field-missing"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CheckId(Cow<'static, str>);

impl CheckId {
    /// A request in scope that no entry answers.
    pub const MISS: CheckId = CheckId::new("miss");
    /// A request outside the scope that was refused.
    pub const OUT_OF_SCOPE: CheckId = CheckId::new("out-of-scope");
    /// A truncated payload was recorded or served.
    pub const TRUNCATED: CheckId = CheckId::new("truncated");
    /// Entries that differ only in redacted places and in their responses: recorded, or served by guess.
    pub const AMBIGUOUS: CheckId = CheckId::new("ambiguous");
    /// No request in scope was seen.
    pub const NO_TRAFFIC: CheckId = CheckId::new("no-traffic");
    pub const UNUSED: CheckId = CheckId::new("unused");
    /// An entry older than `--max-age`.
    pub const STALE: CheckId = CheckId::new("stale");
    /// A request that was sent to the network by `--passthrough` or `--on-miss passthrough`.
    pub const PASSTHROUGH: CheckId = CheckId::new("passthrough");
    /// A WebSocket, which can't be replayed yet.
    pub const WEBSOCKET: CheckId = CheckId::new("websocket");
    /// A duplex exchange, which can't be replayed yet: client and server answered each other while the request was
    /// still being sent.
    pub const STREAM: CheckId = CheckId::new("stream");
    /// An entry that replay can't use, because a part of it is malformed.
    pub const ENTRY_LEFT_OUT: CheckId = CheckId::new("entry-left-out");
    /// The recorded request had credentials, and the live one has none.
    pub const CREDENTIALS_MISSING: CheckId = CheckId::new("credentials-missing");
    /// An entry of another test answered.
    pub const SESSION_FALLBACK: CheckId = CheckId::new("session-fallback");
    /// Answers of a failed run came from an earlier part of the recording than the answers before them.
    pub const OUT_OF_SEQUENCE: CheckId = CheckId::new("out-of-sequence");
    /// A request that `--expect` or `[[expect]]` names did not come as often, or in the order, that it says.
    pub const EXPECTATION_NOT_MET: CheckId = CheckId::new("expectation-not-met");
    /// harproxy could not answer as a `[[route]]` rule says, and answered with an error.
    pub const RULE_FAILED: CheckId = CheckId::new("rule-failed");
    /// A `[[route]]` rule that applied to no request.
    pub const RULE_UNUSED: CheckId = CheckId::new("rule-unused");
    /// A request that came before the time that `Retry-After` of a fault named.
    pub const RETRY_TOO_EARLY: CheckId = CheckId::new("retry-too-early");
    /// The live API answers differently from the fixture (`shadow`).
    pub const SHADOW_DIFFERS: CheckId = CheckId::new("shadow-differs");
    /// CMD opened connections that bypass the proxy.
    pub const BYPASS: CheckId = CheckId::new("bypass");
    /// A recording in which nothing was recorded.
    pub const NOTHING_RECORDED: CheckId = CheckId::new("nothing-recorded");
    /// An entry that was recorded as a failure was served.
    pub const FAILED_SERVED: CheckId = CheckId::new("failed-served");
    /// The client refused harproxy's certificate.
    pub const TLS_REFUSED: CheckId = CheckId::new("tls-refused");
    /// A tunnel or a request that is not valid HTTP, or a request whose payload does not arrive.
    pub const UNREADABLE: CheckId = CheckId::new("unreadable");
    /// An exchange that could not be written to the journal or the fixture.
    pub const LOST: CheckId = CheckId::new("lost");
    /// A recorded payload decodes beyond `--max-decoded`, and is stored as received.
    pub const UNDECODED: CheckId = CheckId::new("undecoded");
    /// Exchanges are lost because another program changed the journal.
    pub const JOURNAL_DAMAGED: CheckId = CheckId::new("journal-damaged");
    /// Upstream sent no response while recording; the exchange is stored as a failure.
    pub const UPSTREAM_FAILED: CheckId = CheckId::new("upstream-failed");

    /// The checks of harproxy in the order in which reports list them, with the words for one finding and for several.
    /// A check of the run as a whole has one sentence.
    pub const KNOWN: &[(CheckId, &str, &str)] = &[
        (CheckId::MISS, "miss", "misses"),
        (CheckId::OUT_OF_SCOPE, "request out of scope", "requests out of scope"),
        (CheckId::TRUNCATED, "truncated answer", "truncated answers"),
        (CheckId::AMBIGUOUS, "ambiguous answer", "ambiguous answers"),
        (CheckId::NO_TRAFFIC, "no request in scope was seen", ""),
        (CheckId::UNUSED, "unused entry", "unused entries"),
        (CheckId::STALE, "stale entry", "stale entries"),
        (CheckId::PASSTHROUGH, "request passed through", "requests passed through"),
        (CheckId::WEBSOCKET, "WebSocket refused", "WebSockets refused"),
        (CheckId::STREAM, "stream refused", "streams refused"),
        (CheckId::ENTRY_LEFT_OUT, "entry left out", "entries left out"),
        (CheckId::CREDENTIALS_MISSING, "request without its credentials", "requests without their credentials"),
        (CheckId::SESSION_FALLBACK, "answer of another test", "answers of other tests"),
        (CheckId::OUT_OF_SEQUENCE, "answer out of sequence", "answers out of sequence"),
        (CheckId::EXPECTATION_NOT_MET, "expectation not met", "expectations not met"),
        (CheckId::RULE_FAILED, "answer that a rule could not give", "answers that rules could not give"),
        (CheckId::RULE_UNUSED, "rule that applied to no request", "rules that applied to no request"),
        (CheckId::RETRY_TOO_EARLY, "retry before its time", "retries before their time"),
        (CheckId::SHADOW_DIFFERS, "live answer that differs", "live answers that differ"),
        (CheckId::BYPASS, "CMD went past the proxy", ""),
        (CheckId::NOTHING_RECORDED, "nothing was recorded", ""),
        (CheckId::FAILED_SERVED, "recorded failure served", "recorded failures served"),
        (CheckId::TLS_REFUSED, "TLS handshake refused by the client", "TLS handshakes refused by the client"),
        (CheckId::UNREADABLE, "unreadable request", "unreadable requests"),
        (CheckId::LOST, "the recording could not be written", ""),
        (CheckId::JOURNAL_DAMAGED, "the journal was damaged", ""),
        (CheckId::UPSTREAM_FAILED, "failure of upstream", "failures of upstream"),
        (CheckId::UNDECODED, "payload stored as received", "payloads stored as received"),
    ];

    /// Creates an id that is known at compile time.
    #[must_use]
    pub const fn new(id: &'static str) -> Self {
        CheckId(Cow::Borrowed(id))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the words for one finding and for several; `None` for an unknown check.
    #[must_use]
    pub fn words(&self) -> Option<(&'static str, &'static str)> {
        CheckId::KNOWN.iter().find(|(known, ..)| known == self).map(|(_, one, several)| (*one, *several))
    }

    /// Returns the position in [`CheckId::KNOWN`]; unknown ids come last.
    fn position(&self) -> usize {
        CheckId::KNOWN.iter().position(|(known, ..)| known == self).unwrap_or(CheckId::KNOWN.len())
    }
}

impl fmt::Display for CheckId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Ord for CheckId {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.position(), &self.0).cmp(&(other.position(), &other.0))
    }
}

impl PartialOrd for CheckId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The effect of a finding on the run. If one of several findings fails it, all of them together do: the greatest
/// severity counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The finding is listed.
    Warning,
    /// The finding fails the run.
    Error,
}

const SELECTABLE: &[CheckId] = &[
    CheckId::MISS,
    CheckId::OUT_OF_SCOPE,
    CheckId::TRUNCATED,
    CheckId::AMBIGUOUS,
    CheckId::NO_TRAFFIC,
    CheckId::UNUSED,
    CheckId::STALE,
    CheckId::PASSTHROUGH,
    CheckId::WEBSOCKET,
    CheckId::STREAM,
    CheckId::ENTRY_LEFT_OUT,
    CheckId::CREDENTIALS_MISSING,
    CheckId::SESSION_FALLBACK,
    CheckId::RULE_UNUSED,
    CheckId::RETRY_TOO_EARLY,
    CheckId::SHADOW_DIFFERS,
    CheckId::BYPASS,
    CheckId::UNREADABLE,
];

/// The checks that fail a run by default, and with CMD also [`CheckId::NO_TRAFFIC`].
const STANDARD: [CheckId; 9] = [
    CheckId::MISS,
    CheckId::OUT_OF_SCOPE,
    CheckId::TRUNCATED,
    CheckId::AMBIGUOUS,
    CheckId::WEBSOCKET,
    CheckId::STREAM,
    CheckId::ENTRY_LEFT_OUT,
    CheckId::BYPASS,
    CheckId::UNREADABLE,
];

/// The checks that fail a run whatever the options are: the recording is incomplete.
const ALWAYS: [CheckId; 3] = [CheckId::NOTHING_RECORDED, CheckId::LOST, CheckId::JOURNAL_DAMAGED];

/// The checks whose findings fail a run. Findings of other checks are warnings.
///
/// ```
/// use harproxy::verdict::{CheckId, FailOn, Severity};
/// let fail_on = FailOn::parse("+unused,-ambiguous", true).unwrap();
/// assert_eq!(fail_on.severity(&CheckId::UNUSED), Severity::Error);
/// assert_eq!(fail_on.severity(&CheckId::MISS), Severity::Error);
/// assert_eq!(fail_on.severity(&CheckId::AMBIGUOUS), Severity::Warning);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailOn(BTreeSet<CheckId>);

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FailOnError {
    /// A word is not the id of a check that can be selected.
    #[error(
        "unknown finding kind `{word}`: use {}, all or none; a `+` or `-` before it changes the default",
        selectable()
    )]
    Unknown {
        /// The word with its sign.
        word: String,
    },
    #[error("the list has an empty item: use `none` for no kind")]
    Empty,
}

/// Describes a `--fail-on` list in the short help of an option. `default` says which kinds apply without the option.
#[must_use]
pub fn describe_list(default: &str) -> String {
    format!(
        "Findings that fail the run: a list of kinds, `all` or `none`; `+x` and `-x` change the default [default: {default}]"
    )
}

/// Describes a `--fail-on` list with all its kinds.
#[must_use]
pub fn describe_kinds(default: &str) -> String {
    let kinds: String =
        SELECTABLE.iter().filter_map(|check| Some(format!("\n- {check}: {}", check.words()?.0))).collect();
    format!("{}\n\nKinds:{kinds}", describe_list(default))
}

/// Returns the kinds that fail a run by default, for the help.
#[must_use]
pub fn standard_list() -> String {
    let kinds = STANDARD.map(|check| check.to_string());
    format!("{}; with CMD {} too", kinds.join(", "), CheckId::NO_TRAFFIC)
}

impl FailOn {
    /// Returns the default: missing and wrong responses fail a run, as does traffic that could not be served or seen.
    /// With CMD, a run without traffic fails, too.
    #[must_use]
    pub fn standard(with_cmd: bool) -> Self {
        let mut checks = BTreeSet::from(STANDARD);
        if with_cmd {
            checks.insert(CheckId::NO_TRAFFIC);
        }
        FailOn(checks)
    }

    /// No check, as far as checks can be chosen.
    #[must_use]
    pub fn none() -> Self {
        FailOn(BTreeSet::new())
    }

    /// Returns the checks of `--strict`: also requests without their credentials, and unused entries.
    #[must_use]
    pub fn strict(with_cmd: bool) -> Self {
        let mut fail_on = FailOn::standard(with_cmd);
        fail_on.0.extend([CheckId::CREDENTIALS_MISSING, CheckId::UNUSED]);
        fail_on
    }

    /// Parses a list. Words without a sign are the whole set. If every word has a sign, the list changes
    /// [`FailOn::standard`]. Words apply from left to right.
    pub fn parse(list: &str, with_cmd: bool) -> Result<Self, FailOnError> {
        FailOn::standard(with_cmd).apply(list)
    }

    /// Parses a list as [`FailOn::parse`] does, with this set in the place of the default.
    pub fn apply(self, list: &str) -> Result<Self, FailOnError> {
        let words: Vec<&str> = list.split(',').map(str::trim).collect();
        let is_change = words.iter().all(|word| word.starts_with(['+', '-']));
        let mut fail_on = if is_change { self } else { FailOn(BTreeSet::new()) };
        for word in words {
            let (add, name) = match word.strip_prefix('-') {
                Some(name) => (false, name),
                None => (true, word.strip_prefix('+').unwrap_or(word)),
            };
            let checks = checks_of(name).ok_or_else(|| match name {
                "" => FailOnError::Empty,
                _ => FailOnError::Unknown { word: word.to_owned() },
            })?;
            match (name, add) {
                ("none", true) => fail_on.0.clear(),
                (_, true) => fail_on.0.extend(checks),
                (_, false) => fail_on.0.retain(|check| !checks.contains(check)),
            }
        }
        Ok(fail_on)
    }

    #[must_use]
    pub fn severity(&self, check: &CheckId) -> Severity {
        if self.0.contains(check) || ALWAYS.contains(check) { Severity::Error } else { Severity::Warning }
    }

    /// Returns the list for the same set without this check: the changes to [`FailOn::standard`], or the whole set if
    /// that is shorter.
    ///
    /// ```
    /// use harproxy::verdict::{CheckId, FailOn};
    /// let without = |list| FailOn::parse(list, true).unwrap().without(&CheckId::WEBSOCKET, true);
    /// assert_eq!(without("+websocket"), "-websocket");
    /// assert_eq!(without("+unused"), "+unused,-websocket");
    /// assert_eq!(without("websocket,miss"), "miss");
    /// assert_eq!(without("websocket"), "none");
    /// ```
    #[must_use]
    pub fn without(&self, check: &CheckId, with_cmd: bool) -> String {
        let standard = FailOn::standard(with_cmd);
        let wanted = FailOn(self.0.iter().filter(|other| *other != check).cloned().collect());
        if wanted == standard {
            return format!("-{check}");
        }
        let words = |sign: &str, is_listed: &dyn Fn(&CheckId) -> bool| -> Vec<String> {
            SELECTABLE.iter().filter(|check| is_listed(check)).map(|check| format!("{sign}{check}")).collect()
        };
        let added = words("+", &|check| wanted.0.contains(check) && !standard.0.contains(check));
        let removed = words("-", &|check| standard.0.contains(check) && !wanted.0.contains(check));
        let changes = [added, removed].concat();
        let whole =
            if wanted.0.is_empty() { vec!["none".into()] } else { words("", &|check| wanted.0.contains(check)) };
        if changes.len() <= whole.len() { changes } else { whole }.join(",")
    }
}

/// A `--fail-on` list that changes the severity of findings that already have one. A check that the list does not name
/// keeps its severity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeverityOverride(String);

impl SeverityOverride {
    /// Parses a list as [`FailOn::parse`] does; signs change the severity that each finding has.
    ///
    /// ```
    /// use harproxy::verdict::{CheckId, Severity, fail_on::SeverityOverride};
    /// let list = SeverityOverride::parse("+unused").unwrap();
    /// assert_eq!(list.severity(&CheckId::UNUSED, Severity::Warning), Severity::Error);
    /// assert_eq!(list.severity(&CheckId::MISS, Severity::Warning), Severity::Warning);
    /// let list = SeverityOverride::parse("unused").unwrap();
    /// assert_eq!(list.severity(&CheckId::MISS, Severity::Error), Severity::Warning);
    /// ```
    pub fn parse(list: &str) -> Result<Self, FailOnError> {
        FailOn(BTreeSet::new()).apply(list)?;
        Ok(SeverityOverride(list.to_owned()))
    }

    /// Returns the severity of a finding of this check that had another one. A check that no list can name keeps its
    /// severity.
    #[must_use]
    pub fn severity(&self, check: &CheckId, had: Severity) -> Severity {
        if !SELECTABLE.contains(check) {
            return had;
        }
        let failing = (had == Severity::Error).then(|| check.clone());
        // `parse` has checked the list.
        FailOn(failing.into_iter().collect()).apply(&self.0).map_or(had, |fail_on| fail_on.severity(check))
    }
}

/// Returns the checks that a word of the list names.
fn checks_of(word: &str) -> Option<Vec<CheckId>> {
    match word {
        "all" => Some(SELECTABLE.to_vec()),
        "none" => Some(Vec::new()),
        _ => SELECTABLE.iter().find(|check| check.as_str() == word).map(|check| vec![check.clone()]),
    }
}

fn selectable() -> String {
    SELECTABLE.iter().map(CheckId::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failing(list: &str) -> Vec<String> {
        let fail_on = FailOn::parse(list, true).unwrap();
        let failing = SELECTABLE.iter().filter(|check| fail_on.severity(check) == Severity::Error);
        failing.map(ToString::to_string).collect()
    }

    #[test]
    fn default_fails_on_missing_and_wrong_responses_and_with_cmd_on_no_traffic() {
        let with_cmd = FailOn::standard(true);
        for check in STANDARD.into_iter().chain([CheckId::NO_TRAFFIC]) {
            assert_eq!(with_cmd.severity(&check), Severity::Error, "{check}");
        }
        let listed = [
            CheckId::UNUSED,
            CheckId::STALE,
            CheckId::PASSTHROUGH,
            CheckId::CREDENTIALS_MISSING,
            CheckId::TLS_REFUSED,
            CheckId::new("drift/field-missing"),
        ];
        for check in listed {
            assert_eq!(with_cmd.severity(&check), Severity::Warning, "{check}");
        }
        assert_eq!(FailOn::standard(false).severity(&CheckId::NO_TRAFFIC), Severity::Warning);
    }

    #[test]
    fn plain_words_replace_the_default_and_signs_change_it() {
        assert_eq!(failing("miss"), ["miss"]);
        assert_eq!(failing("miss, unused"), ["miss", "unused"]);
        assert_eq!(
            failing("+unused,-ambiguous,-websocket,-stream,-entry-left-out,-bypass,-unreadable"),
            ["miss", "out-of-scope", "truncated", "no-traffic", "unused"],
            "signs alone start from the default"
        );
        assert_eq!(failing("miss,+unused,-ambiguous"), ["miss", "unused"], "a plain word starts from nothing");
        assert_eq!(failing("none"), [""; 0]);
        assert_eq!(failing("none,stale"), ["stale"]);
        assert_eq!(failing("all").len(), SELECTABLE.len());
        assert!(!failing("all,-unused").contains(&"unused".to_owned()));
        assert_eq!(failing("-all,+websocket"), ["websocket"]);
    }

    #[test]
    fn empty_recording_fails_whatever_the_list_is() {
        let none = FailOn::parse("none", true).unwrap();
        assert_eq!(none.severity(&CheckId::NOTHING_RECORDED), Severity::Error);
        assert_eq!(none.severity(&CheckId::LOST), Severity::Error);
        assert_eq!(none.severity(&CheckId::JOURNAL_DAMAGED), Severity::Error);
    }

    #[test]
    fn unknown_word_is_reported_with_the_known_ones() {
        let error = FailOn::parse("miss,+mis", true).unwrap_err();
        assert_eq!(error, FailOnError::Unknown { word: "+mis".into() });
        let text = error.to_string();
        assert!(
            text.contains("`+mis`") && text.contains("miss, out-of-scope,") && text.contains("websocket"),
            "{text}"
        );
        assert_eq!(FailOn::parse("", true).unwrap_err(), FailOnError::Empty);
        assert_eq!(FailOn::parse("miss,,unused", true).unwrap_err(), FailOnError::Empty);
        assert_eq!(FailOn::parse("+", true).unwrap_err(), FailOnError::Empty);
    }

    #[test]
    fn override_keeps_the_severity_of_unknown_checks() {
        let check = CheckId::new("drift/field-missing");
        for list in ["none", "all", "+unused"] {
            let list = SeverityOverride::parse(list).unwrap();
            for severity in [Severity::Error, Severity::Warning] {
                assert_eq!(list.severity(&check, severity), severity);
            }
        }
    }

    #[test]
    fn check_has_the_same_spelling_in_options_and_in_json() {
        for (check, ..) in CheckId::KNOWN {
            assert_eq!(serde_json::to_value(check).unwrap(), check.as_str());
        }
    }
}
