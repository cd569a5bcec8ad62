//! Names with values in texts that are neither JSON nor markup: lines such as `NAME=value` and `name: value`, as in
//! .env, INI, properties and YAML files, and strings of scripts: `a.token = "…"`, `{ token: '…' }`.

use std::ops::Range;

/// The length of the longest name, bytes.
pub(super) const MAX_NAME: usize = 96;
/// The length of the longest line with a name, bytes.
const MAX_LINE: usize = 8 << 10;

/// A value with the name that stands beside it.
pub(super) struct NamedText<'t> {
    pub(super) name: &'t [u8],
    pub(super) value: Range<usize>,
    pub(super) place: NamedPlace,
}

/// The place of a value with its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NamedPlace {
    /// A form control or a `meta` element.
    Control,
    /// An element or an attribute.
    Element,
    /// An environment variable, or an option of a program: `NAME=value`, `--name=value`.
    Variable,
    /// A line of its own. A line of a program looks like it.
    Line,
    /// A string of a script.
    String,
}

/// Finds the values of lines that begin with a name.
pub(super) fn find_assignments(text: &[u8]) -> Vec<NamedText<'_>> {
    let (mut found, mut start) = (Vec::new(), 0);
    let is_one_line = memchr::memchr(b'\n', text).is_none();
    while start < text.len() {
        let end = memchr::memchr(b'\n', &text[start..]).map_or(text.len(), |len| start + len);
        found.extend(find_assignment(text, start..end));
        start = end + 1;
    }
    // A line by itself is more often a sentence than a file.
    found.retain(|found| !is_one_line || found.place == NamedPlace::Variable);
    found
}

/// Finds `name: value`, `NAME=value`, `export NAME="value"`, `- name: value` and `//host/:name=value`.
fn find_assignment(text: &[u8], line: Range<usize>) -> Option<NamedText<'_>> {
    let line = trimmed(text, line);
    let begin = &text[line.start..line.end.min(line.start + MAX_NAME)];
    let is_for_host = begin.starts_with(b"//");
    let sign = memchr::memchr2(b'=', if is_for_host { b'=' } else { b':' }, begin)?;
    if line.len() > MAX_LINE {
        return None;
    }
    let name = text[line.start..line.start + sign].trim_ascii();
    let name = name.strip_prefix(b"export ").or_else(|| name.strip_prefix(b"- ")).unwrap_or(name).trim_ascii();
    let value = trimmed(text, line.start + sign + 1..line.end);
    let value = match text[value.clone()] {
        [quote @ (b'"' | b'\''), ..] => {
            let inside = value.start + 1;
            inside..inside + memchr::memchr(quote, &text[inside..value.end])?
        }
        _ => {
            let len = text[value.clone()].iter().take_while(|byte| !byte.is_ascii_whitespace()).count();
            // A comment may follow.
            let rest = text[value.start + len..value.end].trim_ascii_start();
            (rest.is_empty() || rest.starts_with(b"#")).then_some(value.start..value.start + len)?
        }
    };
    let is_valid = !name.is_empty() && name.iter().all(|byte| is_name(*byte) || is_for_host && *byte == b'/');
    let is_variable = begin[sign] == b'=' && (is_variable_name(name) || name.starts_with(b"--"));
    let place = if is_variable { NamedPlace::Variable } else { NamedPlace::Line };
    (is_valid && !value.is_empty()).then_some(NamedText { name, value, place })
}

/// Finds the strings of scripts that are assigned to a name.
pub(super) fn find_strings(text: &[u8]) -> Vec<NamedText<'_>> {
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(open) = memchr::memchr2(b'"', b'\'', &text[at..]).map(|found| at + found) {
        at = open + 1;
        let before = text[..open].trim_ascii_end();
        let Some((b'=' | b':', before)) = before.split_last() else { continue };
        let before = before.trim_ascii_end();
        let len = before.iter().rev().take(MAX_NAME).take_while(|byte| is_name(**byte)).count();
        let Some(end) = memchr::memchr2(text[open], b'\n', &text[at..]).map(|len| at + len) else { continue };
        if len > 0 && end > at && text[end] == text[open] {
            let name = &before[before.len() - len..];
            found.push(NamedText { name, value: at..end, place: NamedPlace::String });
            at = end + 1;
        }
    }
    found
}

/// Returns true if a text is a list of pairs with spaces in their names, as in connection strings:
/// `Data Source=db;User ID=ada;Password=…`.
pub(super) fn is_connection_string(text: &[u8]) -> bool {
    let is_pair = |pair: &[u8]| match memchr::memchr(b'=', pair) {
        Some(at) => at > 0 && pair[..at].iter().all(|byte| is_name(*byte) || *byte == b' '),
        None => pair.trim_ascii().is_empty(),
    };
    let is_excluded = |byte: &u8| matches!(byte, b'<' | b'"' | b'{' | b'(' | b'\n');
    memchr::memchr_iter(b'=', text).take(2).count() == 2
        && memchr::memchr(b';', text).is_some()
        && !text.iter().any(is_excluded)
        && text.split(|byte| *byte == b';').all(is_pair)
}

pub(super) fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':')
}

/// Returns true for the usual names of environment variables: `DB_PASSWORD`.
fn is_variable_name(name: &[u8]) -> bool {
    name.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_')
}

/// Returns the range without white space at its ends.
pub(super) fn trimmed(text: &[u8], range: Range<usize>) -> Range<usize> {
    let inside = &text[range.clone()];
    let start = range.start + inside.len() - inside.trim_ascii_start().len();
    start..start + inside.trim_ascii().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown<'t>(text: &'t str, found: Vec<NamedText<'t>>) -> Vec<(&'t str, &'t str)> {
        found.into_iter().map(|found| (std::str::from_utf8(found.name).unwrap(), &text[found.value])).collect()
    }

    #[test]
    fn values_of_lines_with_names_are_found() {
        let text = "A=1\n  export B_2=\"x y\"\nc.d: 'z'  # note\n- e: f # note\r\ng = h\nnot a name: 1\nurl: a b\nk:\n=1\n\
                    //h/:_t=i\n";
        let expected = vec![("A", "1"), ("B_2", "x y"), ("c.d", "z"), ("e", "f"), ("g", "h"), ("//h/:_t", "i")];
        assert_eq!(shown(text, find_assignments(text.as_bytes())), expected);
        for (text, found) in
            [("A=1", vec![("A", "1")]), ("--a=b", vec![("--a", "b")]), ("a=1", vec![]), ("A: 1", vec![])]
        {
            assert_eq!(shown(text, find_assignments(text.as_bytes())), found, "{text} has no line end");
        }
    }

    #[test]
    fn strings_of_scripts_are_found_with_their_names() {
        let text = "a.b=\"c d\"; f({e:'g', \"h\": \"i\"}); if (j == 'k') l = ''; m = \"n\no\"; p = 'q\"r'";
        assert_eq!(shown(text, find_strings(text.as_bytes())), [("a.b", "c d"), ("e", "g"), ("p", "q\"r")]);
        for unit in ["a=\"", "a='b=\"", "  \"", "=\"", "'"] {
            let _ = find_strings(unit.repeat(100_000).as_bytes());
        }
    }

    #[test]
    fn connection_strings_are_recognised() {
        for text in ["Server=tcp:db,1433;User ID=ada;Password=p;", "host=a;pwd=b"] {
            assert!(is_connection_string(text.as_bytes()), "{text}");
        }
        for text in ["a=b", "a;b=c;d=e", "x=f(1);y=2;", "p { a=b; c=d; }"] {
            assert!(!is_connection_string(text.as_bytes()), "{text}");
        }
    }
}
