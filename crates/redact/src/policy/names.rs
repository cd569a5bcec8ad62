//! Sets of names of headers, parameters, members and cookies.

/// A set of names that are compared as a whole, ignoring case and the difference between `-` and `_`.
///
/// A name in camel case equals the same name with separators: the set with `access_token` contains `accessToken`.
#[derive(Clone, Debug, Default)]
pub(crate) struct NameSet {
    /// In lower case, with `-` for `_`.
    folded: Vec<Box<[u8]>>,
}

impl NameSet {
    pub(crate) fn insert(&mut self, name: &str) {
        let folded: Box<[u8]> = name.bytes().map(fold).collect();
        if !self.folded.contains(&folded) {
            self.folded.push(folded);
        }
    }

    /// Removes a name. Returns true if it was in the set.
    pub(crate) fn remove(&mut self, name: &str) -> bool {
        self.position(name.as_bytes()).map(|at| self.folded.swap_remove(at)).is_some()
    }

    pub(crate) fn contains(&self, name: &[u8]) -> bool {
        !name.is_empty() && self.position(name).is_some()
    }

    /// The spelling without camel case takes precedence.
    fn position(&self, name: &[u8]) -> Option<usize> {
        let is_same = |known: &[u8]| known.iter().copied().eq(name.iter().map(|&byte| fold(byte)));
        let exact = self.folded.iter().position(|known| known.len() == name.len() && is_same(known));
        exact.or_else(|| {
            let has_humps = name.windows(2).any(|pair| is_hump(pair[0], pair[1]));
            let is_camel_case = |known: &[u8]| known.len() > name.len() && is_camel_case_of(known, name);
            if has_humps { self.folded.iter().position(|known| is_camel_case(known)) } else { None }
        })
    }
}

impl<'a> FromIterator<&'a str> for NameSet {
    fn from_iter<I: IntoIterator<Item = &'a str>>(names: I) -> Self {
        let mut set = NameSet::default();
        names.into_iter().for_each(|name| set.insert(name));
        set
    }
}

/// Returns true if `name` is the folded name in camel case, with a capital letter in the place of each hyphen.
fn is_camel_case_of(folded: &[u8], name: &[u8]) -> bool {
    let mut rest = folded.iter();
    let mut before = b'-';
    for &byte in name {
        if is_hump(before, byte) && rest.next() != Some(&b'-') || rest.next() != Some(&fold(byte)) {
            return false;
        }
        before = byte;
    }
    rest.next().is_none()
}

/// Converts to lower case, and `_` to `-`.
fn fold(byte: u8) -> u8 {
    if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() }
}

fn is_hump(before: u8, byte: u8) -> bool {
    before.is_ascii_lowercase() && byte.is_ascii_uppercase()
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
