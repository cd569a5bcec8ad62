//! Markers: the replacements of secrets in a journal.
//!
//! A marker identifies a secret of one recording and contains all that its placeholder needs. Placeholders get their
//! numbers when the recording is finalised.
//!
//! ```text
//! REDACTED_ │ run, 16 hex │ format, a letter │ number, 12 hex │ length of the name, 2 digits │ name
//! ```
//!
//! For groups of digits, the name is the code of the groups. A marker is safe wherever a placeholder is. Its length is
//! part of it, so that it can be found in a stream. Markers of another run are not recognised.

use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::sync::LazyLock;

use regex::bytes::Regex;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::digit_groups::DigitGroups;
use super::placeholder::{PlaceholderName, ValueFormat};
use crate::find::compile_regex;

/// The beginning of every marker. A placeholder has a hyphen there.
pub(crate) const PREFIX: &str = "REDACTED_";
/// A marker without its name: run, format, number, length of the name.
static HEAD: LazyLock<Regex> =
    LazyLock::new(|| compile_regex(&format!("{PREFIX}([0-9a-f]{{16}})([a-z])([0-9a-f]{{12}})([0-9]{{2}})")));
/// The length of the longest marker, bytes.
pub(crate) const MAX_LEN: usize = PREFIX.len() + 16 + 1 + 12 + 2 + 99;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunId(u64);

impl RunId {
    #[must_use]
    pub fn random() -> Self {
        // std provides random numbers only as the keys of a hasher.
        RunId(RandomState::new().hash_one((std::process::id(), std::time::SystemTime::now())))
    }
}

impl Serialize for RunId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:016x}", self.0))
    }
}

impl<'de> Deserialize<'de> for RunId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        u64::from_str_radix(&text, 16).map(RunId).map_err(serde::de::Error::custom)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Marker {
    /// The number of the secret in its recording.
    pub(crate) number: u64,
    pub(crate) format: ValueFormat,
    /// The name of the place where the secret was found.
    pub(crate) name: PlaceholderName,
}

/// The letter of groups of digits.
const DIGITS_LETTER: &str = "d";

/// The letters of the other formats.
const LETTERS: [(&str, ValueFormat); 5] = [
    ("t", ValueFormat::Text),
    ("u", ValueFormat::Uuid),
    ("n", ValueFormat::Number),
    ("b", ValueFormat::Base64),
    ("e", ValueFormat::Email),
];

impl Marker {
    pub(crate) fn write(&self, run: RunId) -> String {
        let groups = if let ValueFormat::Digits(groups) = self.format { Some(groups.code()) } else { None };
        let letter =
            LETTERS.iter().find(|(_, format)| *format == self.format).map_or(DIGITS_LETTER, |(letter, _)| *letter);
        let name = groups.as_deref().unwrap_or(self.name.as_str());
        format!("{PREFIX}{:016x}{}{:012x}{:02}{name}", run.0, letter, self.number, name.len())
    }
}

/// Finds the markers of a run in a text with their ranges, in order.
pub(crate) fn find(text: &[u8], run: RunId) -> impl Iterator<Item = (Range<usize>, Marker)> + '_ {
    HEAD.captures_iter(text).filter_map(move |head| {
        let end = head.get_match().end();
        let (_, parts) = head.extract::<4>();
        let [found_run, letter, number, len] = parts.map(|part| std::str::from_utf8(part).unwrap_or_default());
        if u64::from_str_radix(found_run, 16).ok()? != run.0 {
            return None;
        }
        let range = head.get_match().start()..end + len.parse::<usize>().ok()?;
        let name = std::str::from_utf8(text.get(end..range.end)?).ok()?;
        let (format, name) = if letter == DIGITS_LETTER {
            let format = ValueFormat::Digits(DigitGroups::from_code(name)?);
            (format, format.shared_name()?)
        } else {
            (LETTERS.iter().find(|(known, _)| *known == letter)?.1, PlaceholderName::new(name))
        };
        let number = u64::from_str_radix(number, 16).ok()?;
        Some((range, Marker { number, format, name }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marker(number: u64, format: ValueFormat, name: &str) -> Marker {
        Marker { number, format, name: PlaceholderName::new(name) }
    }

    #[test]
    fn written_marker_is_found_in_any_context() {
        let run = RunId::random();
        for (_, format) in LETTERS {
            for number in [1, 0xffff_ffff_ffff] {
                for name in ["t", "access_token", "x-api-key", &"long-".repeat(30)] {
                    let marker = marker(number, format, name);
                    let written = marker.write(run);
                    assert!(written.len() <= MAX_LEN);
                    assert!(written.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')));
                    for text in [written.clone(), format!("a={written}&b"), format!("{written}{written}tail9")] {
                        let found: Vec<_> = find(text.as_bytes(), run).collect();
                        assert_eq!(found.len(), text.matches(PREFIX).count(), "{text}");
                        for (range, found) in found {
                            assert_eq!((&found, &text[range]), (&marker, &*written), "{text}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn marker_keeps_groups_of_digits() {
        let run = RunId::random();
        for (number, is_iban) in [("+49 (170) 123-4567", false), ("DE89 3704 0044 0532 0130 00", true)] {
            let format = ValueFormat::Digits(DigitGroups::of(number.as_bytes(), is_iban).unwrap());
            let marker = marker(3, format, "number");
            let text = format!("{}9", marker.write(run));
            let found: Vec<_> = find(text.as_bytes(), run).map(|(_, marker)| marker).collect();
            assert_eq!(found, [marker]);
        }
    }

    #[test]
    fn markers_of_another_run_and_incomplete_markers_are_not_found() {
        let (run, other) = (RunId(7), RunId(8));
        let written = marker(1, ValueFormat::Text, "token").write(run);
        assert_eq!(find(written.as_bytes(), other).count(), 0);
        for cut in 0..written.len() {
            assert_eq!(find(&written.as_bytes()[..cut], run).count(), 0, "{cut}");
        }
        assert_eq!(find(b"REDACTED_ REDACTED_REDACTED_ REDACTED-token-1", run).count(), 0);
    }

    #[test]
    fn run_id_is_serialised_without_loss() {
        let run = RunId::random();
        assert_eq!(serde_json::from_str::<RunId>(&serde_json::to_string(&run).unwrap()).unwrap(), run);
        assert_ne!(run, RunId::random());
    }
}
