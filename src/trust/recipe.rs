//! Commands as data: words with places in them that are filled in for one store and one CA.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use super::store::Right;

/// A word of a command: as it stands, or with one of [`Values`] in place of the name between braces at its end.
pub(super) type Words = &'static [&'static str];

/// What puts entries into a store or takes them out: commands for each entry, and what makes the store take notice of all.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Recipe {
    pub(super) each: &'static [Words],
    pub(super) then: &'static [Words],
}

/// A command, ready to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The program and its arguments.
    pub words: Vec<OsString>,
    /// What running it takes.
    pub right: Right,
    /// Arguments more that keep it from asking anything: for running, not for showing to people, who can answer.
    pub(super) unattended: &'static [&'static str],
}

/// What the names between braces stand for.
#[derive(Clone, Debug, Default)]
pub(super) struct Values {
    /// `{ca}`: the CA's file.
    pub(super) ca: PathBuf,
    /// `{name}`: its common name.
    pub(super) name: String,
    /// `{label}`: [`super::Ca::label`].
    pub(super) label: String,
    /// `{serial}`: its serial number.
    pub(super) serial: String,
    /// `{place}`: the store.
    pub(super) place: PathBuf,
    /// `{tool}`: the program that keeps it.
    pub(super) tool: PathBuf,
    /// `{entry}`: what the store knows an entry by: a file, a nickname, an alias.
    pub(super) entry: OsString,
}

impl Values {
    fn value(&self, name: &str) -> Option<&OsStr> {
        Some(match name {
            "ca" => self.ca.as_os_str(),
            "name" => OsStr::new(&self.name),
            "label" => OsStr::new(&self.label),
            "serial" => OsStr::new(&self.serial),
            "place" => self.place.as_os_str(),
            "tool" => self.tool.as_os_str(),
            "entry" => &self.entry,
            _ => return None,
        })
    }

    pub(super) fn fill(&self, words: Words) -> Vec<OsString> {
        words.iter().map(|word| self.word(word)).collect()
    }

    fn word(&self, word: &'static str) -> OsString {
        let place = word.strip_suffix('}').and_then(|word| word.split_once('{'));
        match place.and_then(|(before, name)| Some((before, self.value(name)?))) {
            Some((before, value)) => {
                let mut filled = OsString::from(before);
                filled.push(value);
                filled
            }
            None => word.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_filled_and_braces_of_anything_else_stay() {
        let values = Values { place: "/a {ca}".into(), ..Values::default() };
        let filled = values.fill(&["sql:{place}", "-n", "{}", "{x}", "{place}"]);
        assert_eq!(filled, ["sql:/a {ca}", "-n", "{}", "{x}", "/a {ca}"]);
    }
}
