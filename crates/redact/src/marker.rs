//! What stands for a secret in a journal: `REDACTED_` and all that is needed to write its placeholder later. Placeholders
//! are named when the recording is finalised; until then a value is only known by its number in this recording.
//!
//! ```text
//! REDACTED_ │ run, 16 hex │ form, a letter │ number, 12 hex │ length of the name, 2 digits │ name
//! ```
//!
//! Digits in groups have no name of their own; their grouping stands in its place.
//!
//! It is safe wherever a placeholder is, ends where it says, and can so be found in a stream. A marker of another run is
//! none: values of different recordings are never taken for each other.

use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::sync::LazyLock;

use memchr::memmem;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Form, Grouping, Name};

/// How every marker begins. A placeholder goes on with a hyphen.
pub const BEGINS: &str = "REDACTED_";
/// Finds where one may begin.
static FINDER: LazyLock<memmem::Finder<'_>> = LazyLock::new(|| memmem::Finder::new(BEGINS));
/// Digits of the run, the number, and the name's length.
const RUN: usize = 16;
const NUMBER: usize = 12;
const LENGTH: usize = 2;
/// Where the name begins.
const FIXED: usize = BEGINS.len() + RUN + 1 + NUMBER + LENGTH;
/// No marker is longer, bytes: names have at most two digits' worth of letters.
pub const LONGEST: usize = FIXED + 99;

/// One recording, among all that ever were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run(u64);

impl Run {
    /// One that no other recording has.
    #[must_use]
    pub fn random() -> Self {
        // The keys of a hasher are the random numbers that std gives away.
        Run(RandomState::new().hash_one((std::process::id(), std::time::SystemTime::now())))
    }
}

impl Serialize for Run {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:016x}", self.0))
    }
}

impl<'de> Deserialize<'de> for Run {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        u64::from_str_radix(&text, 16).map(Run).map_err(serde::de::Error::custom)
    }
}

/// Which value a marker stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Value {
    /// The n-th that was found in this recording.
    Found(u64),
    /// One that `[redact.values]` gives: its placeholder has this number and the marker's name.
    Given(u64),
}

/// What a marker says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker {
    /// Of which value.
    pub value: Value,
    /// The form that its placeholder keeps.
    pub form: Form,
    /// The name of the place where it stands.
    pub name: Name,
}

/// A marker in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where it is.
    pub range: Range<usize>,
    /// What it says.
    pub marker: Marker,
}

/// The letter of digits in groups.
const DIGITS: u8 = b'd';

/// The other forms by their letters; the upper-case letter says that the value was given.
const FORMS: [(u8, Form); 5] =
    [(b't', Form::Text), (b'u', Form::Uuid), (b'n', Form::Number), (b'b', Form::Base64), (b'e', Form::Email)];

impl Marker {
    /// The marker as it stands in a journal.
    #[must_use]
    pub fn write(&self, run: Run) -> String {
        let letter = FORMS.iter().find(|(_, form)| *form == self.form).map_or(b't', |(letter, _)| *letter);
        let grouping = if let Form::Digits(grouping) = self.form { Some(grouping.code()) } else { None };
        let letter = if grouping.is_some() { DIGITS } else { letter };
        let (letter, number) = match self.value {
            Value::Found(number) => (letter, number),
            Value::Given(number) => (letter.to_ascii_uppercase(), number),
        };
        let name = grouping.as_deref().unwrap_or(self.name.as_str());
        format!("{BEGINS}{:016x}{}{number:012x}{:02}{name}", run.0, char::from(letter), name.len())
    }

    /// The marker that a text begins with, and its length.
    fn parse(text: &[u8], run: Run) -> Option<(Self, usize)> {
        let rest = text.strip_prefix(BEGINS.as_bytes())?;
        let (its_run, rest) = rest.split_at_checked(RUN)?;
        let (&letter, rest) = rest.split_first()?;
        let (number, rest) = rest.split_at_checked(NUMBER)?;
        let (length, rest) = rest.split_at_checked(LENGTH)?;
        if hex(its_run)? != run.0 {
            return None;
        }
        let number = hex(number)?;
        let value = if letter.is_ascii_uppercase() { Value::Given(number) } else { Value::Found(number) };
        let name = std::str::from_utf8(rest.get(..decimal(length)?)?).ok()?;
        let len = FIXED + name.len();
        let (form, name) = match letter.to_ascii_lowercase() {
            DIGITS => {
                let form = Form::Digits(Grouping::from_code(name)?);
                (form, form.shared_name()?)
            }
            letter => (FORMS.iter().find(|(known, _)| *known == letter)?.1, Name::new(name)),
        };
        Some((Marker { value, form, name }, len))
    }
}

fn hex(digits: &[u8]) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

fn decimal(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The markers of a run in a text, in order.
pub fn find(text: &[u8], run: Run) -> impl Iterator<Item = Found> + '_ {
    let mut end = 0;
    FINDER.find_iter(text).filter_map(move |start| {
        let (marker, len) = (start >= end).then(|| Marker::parse(&text[start..], run)).flatten()?;
        end = start + len;
        Some(Found { range: start..end, marker })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marker(value: Value, form: Form, name: &str) -> Marker {
        Marker { value, form, name: Name::new(name) }
    }

    #[test]
    fn what_is_written_is_found_again_wherever_it_stands() {
        let run = Run::random();
        for (_, form) in FORMS {
            for value in [Value::Found(1), Value::Found(0xffff_ffff_ffff), Value::Given(2)] {
                for name in ["t", "access_token", "x-api-key", &"long-".repeat(30)] {
                    let marker = marker(value, form, name);
                    let written = marker.write(run);
                    assert!(written.len() <= LONGEST);
                    assert!(written.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')));
                    for text in [written.clone(), format!("a={written}&b"), format!("{written}{written}tail9")] {
                        let found: Vec<Found> = find(text.as_bytes(), run).collect();
                        assert_eq!(found.len(), text.matches(BEGINS).count(), "{text}");
                        for found in found {
                            assert_eq!((&found.marker, &text[found.range.clone()]), (&marker, &*written), "{text}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn digits_keep_their_groups() {
        let run = Run::random();
        for (number, is_iban) in [("+49 (170) 123-4567", false), ("DE89 3704 0044 0532 0130 00", true)] {
            let form = Form::Digits(Grouping::of(number.as_bytes(), is_iban).unwrap());
            let marker = marker(Value::Found(3), form, "number");
            let text = format!("{}9", marker.write(run));
            let found: Vec<_> = find(text.as_bytes(), run).map(|found| found.marker).collect();
            assert_eq!(found, [marker]);
        }
    }

    #[test]
    fn another_runs_marker_is_none_and_neither_is_what_only_begins_as_one() {
        let (run, other) = (Run(7), Run(8));
        let written = marker(Value::Found(1), Form::Text, "token").write(run);
        assert_eq!(find(written.as_bytes(), other).count(), 0);
        for cut in 0..written.len() {
            assert_eq!(find(&written.as_bytes()[..cut], run).count(), 0, "{cut}");
        }
        assert_eq!(find(b"REDACTED_ REDACTED_REDACTED_ REDACTED-token-1", run).count(), 0);
    }

    #[test]
    fn a_run_survives_its_journal() {
        let run = Run::random();
        assert_eq!(serde_json::from_str::<Run>(&serde_json::to_string(&run).unwrap()).unwrap(), run);
        assert_ne!(run, Run::random());
    }
}
