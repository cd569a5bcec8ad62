//! Names with values in texts that are not JSON: elements and attributes of XML and HTML, and lines such as
//! `NAME=value` and `name: value`, as in .env, INI, properties and YAML files.

use std::ops::Range;

use super::controls::Attributes;

/// The length of the longest name, bytes.
const MAX_NAME: usize = 96;
/// The length of the longest line with a name, bytes.
const MAX_LINE: usize = 8 << 10;

/// Finds the texts of elements that contain only text, and the values of attributes, with their names.
pub(super) fn find_elements(text: &[u8]) -> Vec<(&[u8], Range<usize>)> {
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(open) = memchr::memchr(b'<', &text[at..]).map(|found| at + found) {
        let len = text[open + 1..].iter().take(MAX_NAME).take_while(|byte| is_name(**byte)).count();
        at = open + 1 + len;
        if len == 0 || !text.get(at).is_some_and(|byte| byte.is_ascii_whitespace() || matches!(byte, b'>' | b'/')) {
            continue;
        }
        let name = &text[open + 1..at];
        let mut attributes = Attributes { text, at };
        found.extend(attributes.by_ref().filter(|(_, value)| !value.is_empty()));
        at = attributes.at;
        if text.get(at) != Some(&b'>') {
            continue;
        }
        let inside = at + 1;
        let Some(len) = memchr::memchr(b'<', &text[inside..]) else { break };
        at = inside + len;
        if text[at..].starts_with(b"</") && !text[inside..at].trim_ascii().is_empty() {
            found.push((local_name(name), trimmed(text, inside..at)));
        }
    }
    found
}

/// Finds the values of lines that begin with a name.
pub(super) fn find_assignments(text: &[u8]) -> Vec<(&[u8], Range<usize>)> {
    let (mut found, mut start) = (Vec::new(), 0);
    if memchr::memchr(b'\n', text).is_none() {
        return found;
    }
    while start < text.len() {
        let end = memchr::memchr(b'\n', &text[start..]).map_or(text.len(), |len| start + len);
        found.extend(find_assignment(text, start..end));
        start = end + 1;
    }
    found
}

/// Finds `name: value`, `NAME=value`, `export NAME="value"` and `- name: value`.
fn find_assignment(text: &[u8], line: Range<usize>) -> Option<(&[u8], Range<usize>)> {
    let line = trimmed(text, line);
    let sign = memchr::memchr2(b'=', b':', &text[line.start..line.end.min(line.start + MAX_NAME)])?;
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
    (!name.is_empty() && name.iter().all(|byte| is_name(*byte)) && !value.is_empty()).then_some((name, value))
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':')
}

/// Returns a name without its namespace prefix.
fn local_name(name: &[u8]) -> &[u8] {
    name.rsplit(|byte| *byte == b':').next().unwrap_or(name)
}

/// Returns the range without white space at its ends.
fn trimmed(text: &[u8], range: Range<usize>) -> Range<usize> {
    let inside = &text[range.clone()];
    let start = range.start + inside.len() - inside.trim_ascii_start().len();
    start..start + inside.trim_ascii().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown<'t>(text: &'t str, found: Vec<(&'t [u8], Range<usize>)>) -> Vec<(&'t str, &'t str)> {
        found.into_iter().map(|(name, range)| (std::str::from_utf8(name).unwrap(), &text[range])).collect()
    }

    #[test]
    fn texts_of_elements_and_values_of_attributes_are_found() {
        for (text, expected) in [
            ("<a><b:Name x='1'> v w </b:Name></a>", vec![("x", "1"), ("Name", "v w")]),
            ("<user name=\"ada\" pw='p'/>", vec![("name", "ada"), ("pw", "p")]),
            ("<a>text<b/></a><c></c><d> </d>", vec![]),
            ("1 < 2 && a<b>c", vec![]),
            ("<a>cut", vec![]),
            ("<?xml version=\"1.0\"?><a>b</a>", vec![("a", "b")]),
        ] {
            assert_eq!(shown(text, find_elements(text.as_bytes())), expected, "{text}");
        }
        for unit in ["<", "<a ", "<a>", "<a b='", "</a>", "<a b=c"] {
            let _ = find_elements(unit.repeat(100_000).as_bytes());
        }
    }

    #[test]
    fn values_of_lines_with_names_are_found() {
        let text =
            "A=1\n  export B_2=\"x y\"\nc.d: 'z'  # note\n- e: f # note\r\ng = h\nnot a name: 1\nurl: a b\nk:\n=1\n";
        let expected = vec![("A", "1"), ("B_2", "x y"), ("c.d", "z"), ("e", "f"), ("g", "h")];
        assert_eq!(shown(text, find_assignments(text.as_bytes())), expected);
        assert_eq!(find_assignments(b"A=1"), [] as [(&[u8], Range<usize>); 0], "it has no line end");
    }
}
