//! Words to paste into a POSIX shell, for every room that names a command to type. A leaf: each remedy, hint and next step
//! quotes as the others do.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::Path;

/// One word, quoted only where it has to be. POSIX 2.2.2: everything between single quotes is literal (bash's `!` too), and a
/// single quote can't be there.
///
/// ```
/// use crate::shell_quote::word;
/// assert_eq!(word("https://a.test/x"), "https://a.test/x");
/// assert_eq!(word("it's"), r"'it'\''s'");
/// ```
#[must_use]
pub fn word(word: &str) -> Cow<'_, str> {
    if is_plain(word) { word.into() } else { format!("'{}'", word.replace('\'', r"'\''")).into() }
}

/// Several words. One that is no UTF-8 is written with the escapes of POSIX 2.2.4 (`$'\377'`), so that it too is what it was.
#[must_use]
pub fn words<S: AsRef<OsStr>>(words: impl IntoIterator<Item = S>) -> String {
    words.into_iter().map(|word| os(word.as_ref()).into_owned()).collect::<Vec<_>>().join(" ")
}

/// A path; one that begins with a dash can't be taken for an option.
#[must_use]
pub fn path(path: &Path) -> String {
    let is_dashed = path.as_os_str().as_encoded_bytes().starts_with(b"-");
    if is_dashed { os(Path::new(".").join(path).as_os_str()).into_owned() } else { os(path.as_os_str()).into_owned() }
}

/// Whether no shell sees anything special in a word, so that it can stand bare.
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

/// Octal has a length of its own, whatever follows; hexadecimal has not.
fn escaped(bytes: &[u8]) -> String {
    let mut text = String::from("$'");
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if matches!(c, '\'' | '\\') {
                text.push('\\');
            }
            text.push(c);
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\{byte:03o}");
        }
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
    ];

    #[test]
    fn words_are_quoted_only_where_they_need_it() {
        assert_eq!(words(["npm", "run", "test:api", "--", "-k", "a b", ""]), "npm run test:api -- -k 'a b' ''");
        assert_eq!(words(["go", "test", "-count=1", "=x"]), "go test -count=1 '=x'");
        assert_eq!(word("it's"), r"'it'\''s'");
    }

    #[test]
    fn a_path_is_no_option() {
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

        /// What a shell makes of a line of words; nothing where the shell is not here.
        fn split(shell: &str, line: &str) -> Option<Vec<OsString>> {
            let script = format!("printf '%s\\0' {line}");
            let output = Command::new(shell).arg("-c").arg(OsStr::new(&script)).output().ok()?;
            assert!(output.status.success(), "{shell}: {script}: {}", String::from_utf8_lossy(&output.stderr));
            let words = output.stdout.strip_suffix(b"\0").unwrap().split(|byte| *byte == 0);
            Some(words.map(|word| OsString::from_vec(word.to_vec())).collect())
        }

        #[test]
        fn a_real_shell_reads_back_every_word() {
            for shell in ["sh", "bash", "zsh"] {
                let Some(read) = split(shell, &words(HOSTILE)) else {
                    eprintln!("not tried: {shell} is not here");
                    continue;
                };
                assert_eq!(read, HOSTILE, "{shell}");
            }
        }

        #[test]
        fn what_is_no_utf_8_is_what_it_was() {
            let hostile = [&b"a\xff7it's \\n ! $x\n"[..], b"\x80", b"-\xe2\x82.har"].map(OsStr::from_bytes);
            assert_eq!(words(&hostile[1..2]), r"$'\200'");
            for shell in ["bash", "zsh"] {
                let Some(read) = split(shell, &words(hostile)) else {
                    eprintln!("not tried: {shell} is not here");
                    continue;
                };
                assert_eq!(read, hostile, "{shell}");
            }
            assert_eq!(path(Path::new(hostile[2])), r"$'./-\342\202.har'");
        }
    }
}
