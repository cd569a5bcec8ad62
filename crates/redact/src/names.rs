//! A set of names that compare whole, without case and with `-` and `_` alike. `accessToken` is `access_token` too: the hump
//! is how its language writes the underscore.

use std::collections::HashSet;

/// Names of places.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    folded: HashSet<Box<[u8]>>,
    /// Hardly any name has to be folded to know that it is not here.
    outlines: Outlines,
}

/// How long names are, however they are written, and how they end, by their first byte: a bit a length, and one for some last letters. First and last
/// are folded.
#[derive(Clone, Debug)]
struct Outlines([(u64, u32); 256]);

impl Default for Outlines {
    fn default() -> Self {
        Outlines([(0, 0); 256])
    }
}

impl Outlines {
    /// Adds a folded name.
    fn add(&mut self, name: &[u8]) {
        let (Some(&first), Some(&last)) = (name.first(), name.last()) else { return };
        let humps = name.iter().filter(|byte| **byte == b'-').count();
        let (lengths, ends) = &mut self.0[usize::from(first)];
        (name.len() - humps..=name.len()).for_each(|len| *lengths |= length(len));
        *ends |= end(last);
    }

    /// Whether there may be one with these; `false` is certain.
    fn may_have(&self, first: u8, last: u8, len: usize) -> bool {
        let (lengths, ends) = self.0[usize::from(folded(first))];
        lengths & length(len) != 0 && ends & end(folded(last)) != 0
    }
}

/// The longest share a bit.
fn length(len: usize) -> u64 {
    1 << len.min(63)
}

fn end(last: u8) -> u32 {
    1 << (last & 31)
}

impl Names {
    pub(super) fn insert(&mut self, name: &str) {
        let folded = fold(name.as_bytes(), false);
        self.outlines.add(&folded);
        self.folded.insert(folded.into());
    }

    /// Whether it was here.
    pub(super) fn remove(&mut self, name: &str) -> bool {
        let name = name.as_bytes();
        self.folded.remove(&fold(name, false)[..]) || self.folded.remove(&fold(name, true)[..])
    }

    /// All of them, in lower case, with `-` for `_`.
    pub(super) fn folded(&self) -> impl Iterator<Item = &[u8]> {
        self.folded.iter().map(|name| &**name)
    }

    pub(super) fn contains(&self, name: &[u8]) -> bool {
        let (Some(&first), Some(&last)) = (name.first(), name.last()) else { return false };
        if !self.outlines.may_have(first, last, name.len()) {
            return false;
        }
        let is = |humps| self.folded.contains(&fold(name, humps)[..]);
        is(false) || name.windows(2).any(|pair| is_hump(pair[0], pair[1])) && is(true)
    }
}

impl<'a> FromIterator<&'a str> for Names {
    fn from_iter<I: IntoIterator<Item = &'a str>>(names: I) -> Self {
        let mut all = Names::default();
        names.into_iter().for_each(|name| all.insert(name));
        all
    }
}

/// In lower case, `-` for `_` and, if asked for, before each hump.
fn fold(name: &[u8], humps: bool) -> Vec<u8> {
    let mut folded = Vec::with_capacity(name.len() + 4);
    let mut before = b'-';
    for &byte in name {
        if humps && is_hump(before, byte) {
            folded.push(b'-');
        }
        folded.push(self::folded(byte));
        before = byte;
    }
    folded
}

pub(super) fn folded(byte: u8) -> u8 {
    if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() }
}

fn is_hump(before: u8, byte: u8) -> bool {
    before.is_ascii_lowercase() && byte.is_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_names_however_they_are_written() {
        let names: Names =
            ["access_token", "x-amz-signature", "samlresponse", "apikey", "_csrf_"].into_iter().collect();
        for name in [
            "access_token",
            "Access-Token",
            "ACCESS_TOKEN",
            "accessToken",
            "AccessToken",
            "X-Amz-Signature",
            "x_amz_signature",
            "SAMLResponse",
            "apiKey",
            "APIKEY",
            "_csrf_",
            "-CSRF-",
        ] {
            assert!(names.contains(name.as_bytes()), "{name}");
        }
        for name in ["", "token", "access_tokens", "my_access_token", "accesstoken", "access token", "next_token"] {
            assert!(!names.contains(name.as_bytes()), "{name}");
        }
    }
}
