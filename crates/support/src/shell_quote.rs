//! Quotes words for a POSIX shell. Every message that prints a command to run uses it.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::Path;

use crate::printable::is_invisible;

/// Quotes one word if a shell would change it. Between single quotes everything but a single quote is literal (POSIX
/// 2.2.2), bash's `!` included. Control and other invisible characters become the escapes of POSIX 2.2.4, so that the
/// word stays on one line.
///
/// ```
/// use harproxy_support::shell_quote::word;
/// assert_eq!(word("https://a.test/x"), "https://a.test/x");
/// assert_eq!(word("it's"), r"'it'\''s'");
/// assert_eq!(word("a\nb"), r"$'a\nb'");
/// ```
#[must_use]
pub fn word(word: &str) -> Cow<'_, str> {
    if word.contains(is_invisible) { escaped(word.as_bytes()).into() } else { literal(word) }
}

/// Quotes one word for any POSIX shell, without escapes: it may have several lines.
#[must_use]
pub fn literal(word: &str) -> Cow<'_, str> {
    if is_plain(word) { word.into() } else { format!("'{}'", word.replace('\'', r"'\''")).into() }
}

/// Quotes several words and joins them with spaces. Bytes that are not UTF-8 become escapes (`$'\377'`).
#[must_use]
pub fn words<S: AsRef<OsStr>>(words: impl IntoIterator<Item = S>) -> String {
    words.into_iter().map(|word| os(word.as_ref()).into_owned()).collect::<Vec<_>>().join(" ")
}

/// Quotes a path. A leading dash is preceded by `./`, so that no program takes the path for an option.
#[must_use]
pub fn path(path: &Path) -> String {
    let is_dashed = path.as_os_str().as_encoded_bytes().starts_with(b"-");
    if is_dashed { os(Path::new(".").join(path).as_os_str()).into_owned() } else { os(path.as_os_str()).into_owned() }
}

/// Whether a word needs no quotes in any shell.
#[must_use]
pub fn is_plain(word: &str) -> bool {
    // zsh expands a word that begins with `=`.
    !word.is_empty()
        && !word.starts_with('=')
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./:@%+,=".contains(&byte))
}

fn os(text: &OsStr) -> Cow<'_, str> {
    match text.to_str() {
        Some(text) => word(text),
        None => escaped(text.as_encoded_bytes()).into(),
    }
}

/// Uses octal escapes: they have three digits at most, while the length of hexadecimal ones is unspecified.
fn escaped(bytes: &[u8]) -> String {
    let mut text = String::from("$'");
    let push_octal = |text: &mut String, bytes: &[u8]| {
        for byte in bytes {
            // Writing into a string cannot fail.
            let _ = write!(text, "\\{byte:03o}");
        }
    };
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\'' | '\\' => text.extend(['\\', c]),
                '\n' => text.push_str("\\n"),
                '\t' => text.push_str("\\t"),
                c if is_invisible(c) => push_octal(&mut text, c.encode_utf8(&mut [0; 4]).as_bytes()),
                c => text.push(c),
            }
        }
        push_octal(&mut text, chunk.invalid());
    }
    text.push('\'');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &[&str] = &[
        "",
        "plain/path:1",
        "a b",
        "it's",
        "''",
        "\"quoted\" \\back\\ $HOME `id` $(id) !1 !! ~ * ? [a] {a,b} # ; & | < > ( )",
        "'; rm -rf /; '",
        "line\nbreak\n",
        "\ttab\r\u{1b}[31m",
        "~/hars",
        "=ls",
        "#1",
        "-n",
        "--",
        "ü ‘’",
        "rtl \u{202e}c1 \u{9b}2J \u{2028}",
    ];

    #[test]
    fn words_are_quoted_only_where_they_need_it() {
        assert_eq!(words(["npm", "run", "test:api", "--", "-k", "a b", ""]), "npm run test:api -- -k 'a b' ''");
        assert_eq!(words(["go", "test", "-count=1", "=x"]), "go test -count=1 '=x'");
        assert_eq!(word("it's"), r"'it'\''s'");
    }

    #[test]
    fn path_is_never_taken_for_an_option() {
        assert_eq!(path(Path::new("-x.har")), "./-x.har");
        assert_eq!(path(Path::new("-x y.har")), "'./-x y.har'");
        assert_eq!(path(Path::new("my hars/a.har")), "'my hars/a.har'");
    }

    #[cfg(unix)]
    mod read_back {
        use std::ffi::OsString;
        use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
        use std::process::Command;

        use super::*;

        /// The words that a shell reads from a line; `None` if the shell is not installed.
        fn split(shell: &str, line: &str) -> Option<Vec<OsString>> {
            let script = format!("printf '%s\\0' {line}");
            let output = Command::new(shell).arg("-c").arg(OsStr::new(&script)).output().ok()?;
            assert!(output.status.success(), "{shell}: {script}: {}", String::from_utf8_lossy(&output.stderr));
            let words = output.stdout.strip_suffix(b"\0").unwrap().split(|byte| *byte == 0);
            Some(words.map(|word| OsString::from_vec(word.to_vec())).collect())
        }

        #[test]
        fn real_shells_read_every_word_back() {
            let literals = HOSTILE.iter().map(|word| literal(word)).collect::<Vec<_>>().join(" ");
            for (shell, line) in [("sh", literals), ("bash", words(HOSTILE)), ("zsh", words(HOSTILE))] {
                let Some(read) = split(shell, &line) else {
                    eprintln!("skipped: {shell} is not installed");
                    continue;
                };
                assert_eq!(read, HOSTILE, "{shell}");
            }
            assert!(!words(HOSTILE).contains(is_invisible));
        }

        #[test]
        fn real_shells_read_words_back_that_are_not_utf_8() {
            let hostile = [&b"a\xff7it's \\n ! $x\n"[..], b"\x80", b"-\xe2\x82.har"].map(OsStr::from_bytes);
            assert_eq!(words(&hostile[1..2]), r"$'\200'");
            for shell in ["bash", "zsh"] {
                let Some(read) = split(shell, &words(hostile)) else {
                    eprintln!("skipped: {shell} is not installed");
                    continue;
                };
                assert_eq!(read, hostile, "{shell}");
            }
            assert_eq!(path(Path::new(hostile[2])), r"$'./-\342\202.har'");
        }
    }
}
