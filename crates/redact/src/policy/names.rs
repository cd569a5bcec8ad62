//! Sets of names of headers, parameters, members and cookies.

use std::collections::HashSet;

/// A set of names that are compared as a whole, ignoring case and the difference between `-` and `_`.
///
/// A name in camel case equals the same name with separators: the set with `access_token` contains `accessToken`.
#[derive(Clone, Debug, Default)]
pub(crate) struct NameSet(HashSet<Vec<u8>>);

impl NameSet {
    pub(crate) fn insert(&mut self, name: &str) {
        self.0.insert(fold(name.as_bytes(), false));
    }

    pub(crate) fn remove(&mut self, name: &str) -> bool {
        self.find(name.as_bytes()).is_some_and(|folded| self.0.remove(&folded))
    }

    pub(crate) fn contains(&self, name: &[u8]) -> bool {
        !name.is_empty() && self.find(name).is_some()
    }

    /// Returns the name in the set that equals a name. The spelling without camel case takes precedence.
    fn find(&self, name: &[u8]) -> Option<Vec<u8>> {
        [false, true].into_iter().map(|is_camel| fold(name, is_camel)).find(|folded| self.0.contains(folded))
    }
}

impl<'a> FromIterator<&'a str> for NameSet {
    fn from_iter<I: IntoIterator<Item = &'a str>>(names: I) -> Self {
        let mut set = NameSet::default();
        names.into_iter().for_each(|name| set.insert(name));
        set
    }
}

/// Converts a name to lower case, and `_` to `-`. `is_camel`: a `-` goes before each capital letter within a word.
fn fold(name: &[u8], is_camel: bool) -> Vec<u8> {
    let mut folded = Vec::with_capacity(name.len() + 4);
    let mut before = 0_u8;
    for &byte in name {
        if is_camel && before.is_ascii_lowercase() && byte.is_ascii_uppercase() {
            folded.push(b'-');
        }
        folded.push(if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() });
        before = byte;
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_set_contains_whole_names_in_every_spelling() {
        let names: NameSet =
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

    #[test]
    fn name_set_removes_one_name_and_prefers_the_exact_spelling() {
        let mut names: NameSet = ["api_key", "apikey"].into_iter().collect();
        assert!(names.remove("apiKey") && names.contains(b"api_key") && !names.contains(b"apikey"));
        assert!(names.remove("apiKey") && !names.remove("apiKey"));
    }
}
