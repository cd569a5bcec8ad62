//! Placeholders for what stands in a fixture already: a recording's two steps, markers and their names, in one.

use std::collections::HashSet;
use std::fmt;
use std::io::{self, Read};
use std::ops::Range;

use super::marker::Run;
use super::{Form, Name, Namer, Naming, Placeholder, Secret, Vault};

/// Gives values their placeholders at once, in the order in which it meets them. Equal values have one, numbers that the
/// fixture has are taken, and what `[redact.values]` gives has the placeholder that was given for it.
///
/// A fixture is gone over twice: by its [`Numbering::vault`] to know its values wherever they stand, and by itself.
pub struct Numbering {
    vault: Vault,
    naming: Naming,
    given_out: HashSet<String>,
}

impl Numbering {
    /// For one fixture, with the values that `[redact.values]` gives.
    #[must_use]
    pub fn new(given: &[(Placeholder, Secret)]) -> Self {
        let run = Run::random();
        let mut naming = Naming::new(run);
        given.iter().for_each(|(placeholder, _)| naming.reserve(placeholder.clone()));
        Numbering { vault: Vault::new(run, given), naming, given_out: HashSet::new() }
    }

    /// The namer for going over the fixture the first time; what it gives is for nobody.
    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// Placeholders that stand in this text keep their numbers.
    pub fn take(&mut self, text: &[u8]) {
        self.naming.take(text);
    }

    /// The same of a text of any length.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn take_all(&mut self, read: &mut dyn Read) -> io::Result<()> {
        const PIECE: usize = 256 << 10;
        /// What may begin before the end of a piece and go on behind it; one that is cut takes a number more.
        const LONGEST: usize = 4 << 10;
        let mut text = Vec::with_capacity(PIECE + LONGEST);
        while read.take(PIECE as u64).read_to_end(&mut text)? > 0 {
            self.take(&text);
            text.drain(..text.len().saturating_sub(LONGEST));
        }
        Ok(())
    }

    /// How many different placeholders were given out.
    #[must_use]
    pub fn values(&self) -> usize {
        self.given_out.len()
    }
}

impl Namer for &mut Numbering {
    fn stand_in(&mut self, secret: &[u8], name: &Name, form: Form) -> String {
        let marker = (&mut &self.vault).stand_in(secret, name, form);
        let placeholder = self.naming.string(marker);
        if !self.given_out.contains(&placeholder) {
            self.given_out.insert(placeholder.clone());
        }
        placeholder
    }

    fn known(&mut self, text: &[u8]) -> Vec<(Range<usize>, String)> {
        let known = (&mut &self.vault).known(text).into_iter();
        known.map(|(range, marker)| (range, self.naming.string(marker))).collect()
    }
}

/// It holds secrets.
impl fmt::Debug for Numbering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Numbering (redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(numbering: &mut Numbering, secret: &str, name: &str) -> String {
        let mut namer = numbering;
        (&mut namer).stand_in(secret.as_bytes(), &Name::new(name), Form::Text)
    }

    #[test]
    fn values_are_numbered_as_they_are_met() {
        let mut numbering = Numbering::new(&[]);
        numbering.take(b"\"REDACTED-token-1\", REDACTED-token-3");
        assert_eq!(token(&mut numbering, "one", "token"), "REDACTED-token-2");
        assert_eq!(token(&mut numbering, "two", "token"), "REDACTED-token-4");
        assert_eq!(token(&mut numbering, "one", "authorization"), "REDACTED-token-2");
        assert_eq!(numbering.values(), 2);
        assert_eq!(format!("{numbering:?}"), "Numbering (redacted)");
    }

    #[test]
    fn what_was_found_the_first_time_is_known_before_it_is_met() {
        let mut numbering = Numbering::new(&[]);
        (&mut numbering.vault()).stand_in(b"a-long-secret", &Name::new("sid"), Form::Text);
        let known = (&mut &mut numbering).known(b"see a-long-secret there");
        assert_eq!(known, [(4..17, "REDACTED-sid-1".to_owned())]);
        assert_eq!(token(&mut numbering, "a-long-secret", "token"), "REDACTED-sid-1");
    }

    #[test]
    fn given_values_have_the_placeholder_that_was_given_and_no_other_has() {
        let given = [(Placeholder { name: Name::new("password"), number: 1 }, "wrong".into())];
        let mut numbering = Numbering::new(&given);
        assert_eq!(token(&mut numbering, "right", "password"), "REDACTED-password-2");
        assert_eq!(token(&mut numbering, "wrong", "pwd"), "REDACTED-password-1");
    }
}
