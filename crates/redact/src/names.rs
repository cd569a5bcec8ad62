//! A set of names that are compared as a whole, ignoring case and the difference between `-` and `_`. A name in camel case
//! equals the same name with underscores: `accessToken` and `access_token`.

/// Names of headers, parameters, members or cookies.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    /// In lower case, with `-` for `_`.
    folded: Vec<Box<[u8]>>,
}

impl Names {
    pub(super) fn insert(&mut self, name: &str) {
        let folded: Box<[u8]> = name.bytes().map(fold).collect();
        if !self.folded.contains(&folded) {
            self.folded.push(folded);
        }
    }

    /// Removes a name; returns true if it was in the set.
    pub(super) fn remove(&mut self, name: &str) -> bool {
        self.position(name.as_bytes()).map(|at| self.folded.swap_remove(at)).is_some()
    }

    /// All names in lower case, with `-` for `_`.
    pub(super) fn folded(&self) -> impl Iterator<Item = &[u8]> {
        self.folded.iter().map(|name| &**name)
    }

    pub(super) fn contains(&self, name: &[u8]) -> bool {
        !name.is_empty() && self.position(name).is_some()
    }

    /// A name as it is written goes before one in camel case.
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

impl<'a> FromIterator<&'a str> for Names {
    fn from_iter<I: IntoIterator<Item = &'a str>>(names: I) -> Self {
        let mut all = Names::default();
        names.into_iter().for_each(|name| all.insert(name));
        all
    }
}

/// Returns true if a name is the folded name with a hump in the place of each hyphen.
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

/// Lower case, and `-` for `_`.
pub(super) fn fold(byte: u8) -> u8 {
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
