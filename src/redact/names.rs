//! A set of names that compare whole, without case and with `-` and `_` alike. `accessToken` is `access_token` too: the hump
//! is how its language writes the underscore.

use std::collections::HashSet;

/// Names of places.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    folded: HashSet<Box<[u8]>>,
    /// Longer names need not be folded to know that they are not here.
    longest: usize,
}

impl Names {
    pub(super) fn insert(&mut self, name: &str) {
        let folded = fold(name.as_bytes(), false);
        self.longest = self.longest.max(folded.len());
        self.folded.insert(folded.into());
    }

    /// Whether it was here.
    pub(super) fn remove(&mut self, name: &str) -> bool {
        let name = name.as_bytes();
        self.folded.remove(&fold(name, false)[..]) || self.folded.remove(&fold(name, true)[..])
    }

    pub(super) fn contains(&self, name: &[u8]) -> bool {
        let may_be = !name.is_empty() && name.len() <= self.longest;
        let has_hump = || name.windows(2).any(|pair| is_hump(pair[0], pair[1]));
        let is = |humps| self.folded.contains(&fold(name, humps)[..]);
        may_be && (is(false) || has_hump() && is(true))
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
        folded.push(if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() });
        before = byte;
    }
    folded
}

fn is_hump(before: u8, byte: u8) -> bool {
    before.is_ascii_lowercase() && byte.is_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_names_however_they_are_written() {
        let names: Names = ["access_token", "x-amz-signature", "samlresponse", "apikey"].into_iter().collect();
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
        ] {
            assert!(names.contains(name.as_bytes()), "{name}");
        }
        for name in ["", "token", "access_tokens", "my_access_token", "accesstoken", "access token", "next_token"] {
            assert!(!names.contains(name.as_bytes()), "{name}");
        }
    }
}
