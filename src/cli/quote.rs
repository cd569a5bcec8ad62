//! Command lines to paste into a POSIX shell.

use std::ffi::OsStr;
use std::path::Path;

use crate::child::shell::sh;

/// A path; one that begins with a dash can't be taken for an option.
#[must_use]
pub fn path(path: &Path) -> String {
    let text = path.to_string_lossy();
    if text.starts_with('-') { sh(&format!("./{text}")) } else { sh(&text) }
}

/// Several words.
#[must_use]
pub fn words<S: AsRef<OsStr>>(words: impl IntoIterator<Item = S>) -> String {
    words.into_iter().map(|word| sh(&word.as_ref().to_string_lossy())).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_only_where_they_need_it() {
        assert_eq!(words(["npm", "run", "test:api", "--", "-k", "a b", ""]), "npm run test:api -- -k 'a b' ''");
        assert_eq!(words(["go", "test", "-count=1", "=x"]), "go test -count=1 '=x'");
        assert_eq!(path(Path::new("-x.har")), "./-x.har");
        assert_eq!(path(Path::new("my hars/a.har")), "'my hars/a.har'");
    }
}
