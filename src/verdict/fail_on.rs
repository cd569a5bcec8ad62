//! `--fail-on`: which kinds of findings fail a run.

use std::collections::BTreeSet;

use super::{Kind, Severity};

/// The kinds that `--fail-on` can name.
const WORDS: [Kind; 9] = [
    Kind::Miss,
    Kind::OutOfScope,
    Kind::Truncated,
    Kind::Ambiguous,
    Kind::NoTraffic,
    Kind::Unused,
    Kind::Stale,
    Kind::Passthrough,
    Kind::Websocket,
];

/// What fails a run whatever the options: the recording would not be what the user asked for.
const ALWAYS: [Kind; 2] = [Kind::NothingRecorded, Kind::Lost];

/// The kinds of findings that fail a run; the rest are warnings.
///
/// ```
/// use harproxy::verdict::{FailOn, Kind, Severity};
/// let fail_on = FailOn::parse("+unused,-ambiguous", true).unwrap();
/// assert_eq!(fail_on.severity(Kind::Unused), Severity::Error);
/// assert_eq!(fail_on.severity(Kind::Miss), Severity::Error);
/// assert_eq!(fail_on.severity(Kind::Ambiguous), Severity::Warning);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailOn(BTreeSet<Kind>);

/// Why a `--fail-on` list is not one.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FailOnError {
    /// A word that names no kind.
    #[error("`{word}` is no kind of finding: use {}, all or none, a `+` or `-` before it changes the default", words())]
    NoKind {
        /// The word, its sign included.
        word: String,
    },
    /// Nothing between two commas, or nothing at all.
    #[error("the list names nothing in one place: `none` stands for no kind")]
    Empty,
}

impl FailOn {
    /// What fails a run when nobody said otherwise: what makes an answer wrong or missing, and with CMD that nothing
    /// passed through.
    #[must_use]
    pub fn standard(with_cmd: bool) -> Self {
        let mut kinds = BTreeSet::from([Kind::Miss, Kind::OutOfScope, Kind::Truncated, Kind::Ambiguous]);
        if with_cmd {
            kinds.insert(Kind::NoTraffic);
        }
        FailOn(kinds)
    }

    /// Reads a list. Plain words say all that fails; when every word has a sign, the list changes
    /// [`FailOn::standard`]. Words apply from left to right.
    ///
    /// # Errors
    /// [`FailOnError`].
    pub fn parse(list: &str, with_cmd: bool) -> Result<Self, FailOnError> {
        FailOn::standard(with_cmd).under(list)
    }

    /// What becomes of it under a list.
    fn under(self, list: &str) -> Result<Self, FailOnError> {
        let words: Vec<&str> = list.split(',').map(str::trim).collect();
        let changes = words.iter().all(|word| word.starts_with(['+', '-']));
        let mut fail_on = if changes { self } else { FailOn(BTreeSet::new()) };
        for word in words {
            let (add, name) = match word.strip_prefix('-') {
                Some(name) => (false, name),
                None => (true, word.strip_prefix('+').unwrap_or(word)),
            };
            let kinds = named(name).ok_or_else(|| match name {
                "" => FailOnError::Empty,
                _ => FailOnError::NoKind { word: word.to_owned() },
            })?;
            match (name, add) {
                ("none", true) => fail_on.0.clear(),
                (_, true) => fail_on.0.extend(kinds),
                (_, false) => fail_on.0.retain(|kind| !kinds.contains(kind)),
            }
        }
        Ok(fail_on)
    }

    /// Whether a finding of this kind fails the run.
    #[must_use]
    pub fn severity(&self, kind: Kind) -> Severity {
        if self.0.contains(&kind) || ALWAYS.contains(&kind) { Severity::Error } else { Severity::Warning }
    }
}

impl FailOn {
    /// The list that says the same, but that findings of this kind fail no run: what it changes of [`FailOn::standard`], or all that
    /// fails where that is shorter.
    ///
    /// ```
    /// use harproxy::verdict::{FailOn, Kind};
    /// let without = |list| FailOn::parse(list, true).unwrap().without(Kind::Websocket, true);
    /// assert_eq!(without("+websocket"), "-websocket");
    /// assert_eq!(without("+websocket,+unused"), "+unused");
    /// assert_eq!(without("websocket,miss"), "miss");
    /// assert_eq!(without("websocket"), "none");
    /// ```
    #[must_use]
    pub fn without(&self, kind: Kind, with_cmd: bool) -> String {
        let standard = FailOn::standard(with_cmd);
        let wanted = FailOn(self.0.iter().copied().filter(|other| *other != kind).collect());
        if wanted == standard {
            return format!("-{}", kind.word());
        }
        let words = |sign: &str, named: &dyn Fn(&Kind) -> bool| -> Vec<String> {
            WORDS.iter().filter(|kind| named(kind)).map(|kind| format!("{sign}{}", kind.word())).collect()
        };
        let added = words("+", &|kind| wanted.0.contains(kind) && !standard.0.contains(kind));
        let taken = words("-", &|kind| standard.0.contains(kind) && !wanted.0.contains(kind));
        let changes = [added, taken].concat();
        let whole = if wanted.0.is_empty() { vec!["none".into()] } else { words("", &|kind| wanted.0.contains(kind)) };
        if changes.len() <= whole.len() { changes } else { whole }.join(",")
    }
}

/// `--fail-on` over findings that have a severity already: a kind that the list says nothing about keeps what it had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recast {
    /// What fails whatever it was.
    surely: FailOn,
    /// What fails if it did.
    perhaps: FailOn,
}

impl Recast {
    /// Reads a list, as [`FailOn::parse`] does; what it changes with signs is what the findings say.
    ///
    /// ```
    /// use harproxy::verdict::{Kind, Severity, fail_on::Recast};
    /// let recast = Recast::parse("+unused").unwrap();
    /// assert_eq!(recast.severity(Kind::Unused, Severity::Warning), Severity::Error);
    /// assert_eq!(recast.severity(Kind::Miss, Severity::Warning), Severity::Warning);
    /// let recast = Recast::parse("unused").unwrap();
    /// assert_eq!(recast.severity(Kind::Miss, Severity::Error), Severity::Warning);
    /// ```
    ///
    /// # Errors
    /// [`FailOnError`].
    pub fn parse(list: &str) -> Result<Self, FailOnError> {
        let all = FailOn(WORDS.into_iter().collect());
        Ok(Recast { surely: FailOn(BTreeSet::new()).under(list)?, perhaps: all.under(list)? })
    }

    /// The severity of a finding of this kind that had another.
    #[must_use]
    pub fn severity(&self, kind: Kind, had: Severity) -> Severity {
        match (self.surely.severity(kind), self.perhaps.severity(kind)) {
            (Severity::Error, _) => Severity::Error,
            (Severity::Warning, Severity::Warning) => Severity::Warning,
            (Severity::Warning, Severity::Error) => had,
        }
    }
}

/// The kinds that a word stands for.
fn named(word: &str) -> Option<Vec<Kind>> {
    match word {
        "all" => Some(WORDS.to_vec()),
        "none" => Some(Vec::new()),
        _ => WORDS.iter().find(|kind| kind.word() == word).map(|kind| vec![*kind]),
    }
}

fn words() -> String {
    WORDS.map(Kind::word).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failing(list: &str) -> Vec<&'static str> {
        let fail_on = FailOn::parse(list, true).unwrap();
        WORDS.into_iter().filter(|kind| fail_on.severity(*kind) == Severity::Error).map(Kind::word).collect()
    }

    #[test]
    fn the_default_is_what_makes_an_answer_wrong_and_with_cmd_no_traffic() {
        let with_cmd = FailOn::standard(true);
        for kind in [Kind::Miss, Kind::OutOfScope, Kind::Truncated, Kind::Ambiguous, Kind::NoTraffic] {
            assert_eq!(with_cmd.severity(kind), Severity::Error, "{kind:?}");
        }
        for kind in [Kind::Unused, Kind::Stale, Kind::Passthrough, Kind::Websocket, Kind::TlsRefused] {
            assert_eq!(with_cmd.severity(kind), Severity::Warning, "{kind:?}");
        }
        assert_eq!(FailOn::standard(false).severity(Kind::NoTraffic), Severity::Warning);
    }

    #[test]
    fn plain_words_replace_the_default_and_signs_change_it() {
        assert_eq!(failing("miss"), ["miss"]);
        assert_eq!(failing("miss, unused"), ["miss", "unused"]);
        assert_eq!(
            failing("+unused,-ambiguous"),
            ["miss", "out-of-scope", "truncated", "no-traffic", "unused"],
            "signs alone start from the default"
        );
        assert_eq!(failing("miss,+unused,-ambiguous"), ["miss", "unused"], "a plain word starts from nothing");
        assert_eq!(failing("none"), [""; 0]);
        assert_eq!(failing("none,stale"), ["stale"]);
        assert_eq!(failing("all").len(), WORDS.len());
        assert!(!failing("all,-unused").contains(&"unused"));
        assert_eq!(failing("-all,+websocket"), ["websocket"]);
    }

    #[test]
    fn a_recording_of_nothing_fails_whatever_the_list_says() {
        let none = FailOn::parse("none", true).unwrap();
        assert_eq!(none.severity(Kind::NothingRecorded), Severity::Error);
        assert_eq!(none.severity(Kind::Lost), Severity::Error);
    }

    #[test]
    fn an_unknown_word_is_named_together_with_the_known_ones() {
        let error = FailOn::parse("miss,+mis", true).unwrap_err();
        assert_eq!(error, FailOnError::NoKind { word: "+mis".into() });
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
    fn a_kind_is_spelt_alike_in_options_and_in_json() {
        for kind in WORDS.into_iter().chain(ALWAYS).chain([
            Kind::FailedServed,
            Kind::TlsRefused,
            Kind::Unreadable,
            Kind::UpstreamFailed,
        ]) {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.word());
        }
    }
}
