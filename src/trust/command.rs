//! Command templates: words with placeholders for one store and one CA.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// Words of a command. A name in braces at the end of a word is replaced by one of the [`Values`].
pub(super) type Words = &'static [&'static str];

/// Commands that add or remove entries: some for each entry, and some after all entries.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Recipe {
    pub(super) each: &'static [Words],
    pub(super) then: &'static [Words],
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreCommand {
    pub words: Vec<OsString>,
    pub needs_root: bool,
    /// Additional arguments that suppress prompts. They are not shown to users, who can answer prompts.
    pub(super) unattended: &'static [&'static str],
}

impl StoreCommand {
    /// Returns the words for a user with these rights to type.
    #[must_use]
    pub fn typed(&self, rights: Rights) -> Vec<OsString> {
        let by_sudo = self.needs_root && rights == Rights::Sudo;
        by_sudo.then(|| "sudo".into()).into_iter().chain(self.words.iter().cloned()).collect()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    Administrator,
    /// `sudo` exists; it may refuse the user.
    Sudo,
    /// No rights beyond the user's own.
    User,
}

/// Values of the names in braces.
#[derive(Clone, Debug, Default)]
pub(super) struct Values {
    /// `{ca}`: file of the CA.
    pub(super) ca: PathBuf,
    /// `{label}`: [`super::Ca::label`].
    pub(super) label: String,
    /// `{place}`: path of the store.
    pub(super) place: PathBuf,
    /// `{tool}`: program that manages the store.
    pub(super) tool: PathBuf,
    /// `{entry}`: identifier of an entry: a file, a nickname, an alias.
    pub(super) entry: OsString,
}

impl Values {
    fn value(&self, name: &str) -> Option<&OsStr> {
        Some(match name {
            "ca" => self.ca.as_os_str(),
            "label" => OsStr::new(&self.label),
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
    fn known_names_are_replaced_and_other_braces_stay() {
        let values = Values { place: "/a {ca}".into(), ..Values::default() };
        let filled = values.fill(&["sql:{place}", "-n", "{}", "{x}", "{place}"]);
        assert_eq!(filled, ["sql:/a {ca}", "-n", "{}", "{x}", "/a {ca}"]);
    }
}
