//! URLs with parameters in a text: absolute, relative, or only a query or fragment in quotes.

use std::ops::Range;

/// The length of the longest path before parameters, bytes.
const MAX_PATH: usize = 2 << 10;
/// The length of the longest name of a parameter, bytes.
const MAX_NAME: usize = 128;

/// Finds the queries and fragments of URLs, with their `?` or `#`. Texts that only look like a query, such as
/// `a?b=c:d` in a script, are left out.
pub(super) fn find_links(text: &[u8]) -> Vec<Range<usize>> {
    // `done` is the end of the last URL: none begins before it.
    let (mut found, mut at, mut done) = (Vec::new(), 0, 0);
    while let Some(mark) = memchr::memchr2(b'?', b'#', &text[at..]).map(|found| at + found) {
        at = mark + 1;
        if !begins_pair(&text[at..]) {
            continue;
        }
        let floor = done.max(mark.saturating_sub(MAX_PATH));
        let start = text[floor..mark].iter().rposition(|byte| is_delimiter(*byte)).map_or(floor, |at| floor + at + 1);
        // `(/path?…)`, as in a script, CSS or Markdown.
        let is_in_parentheses = text[start..mark].contains(&b'(');
        let before = start.checked_sub(1).map(|at| text[at]);
        // `'` is a byte of URLs (RFC 3986 section 2.2), and ends those that begin with it.
        let ends = |byte: &u8| match byte {
            b'\'' => before == Some(b'\''),
            b')' => is_in_parentheses,
            byte => is_delimiter(*byte),
        };
        let len = text[mark..].iter().position(ends).unwrap_or(text.len() - mark);
        let end = mark + text[mark..mark + len].trim_ascii_end().len();
        if is_url(before, &text[start..mark], text[mark], text.get(end).copied()) {
            found.push(mark..end);
            done = end;
        }
        at = at.max(end);
    }
    found
}

/// Returns true if a text begins with the name of a parameter and a `=`, or with the first of several parameters.
fn begins_pair(text: &[u8]) -> bool {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~%+*[]$@:".contains(byte);
    let len = text.iter().take(MAX_NAME).take_while(|byte| is_name(byte)).count();
    len > 0 && matches!(text.get(len), Some(b'=' | b'&'))
}

/// Returns true for bytes that URLs do not have, or that end them in text.
fn is_delimiter(byte: u8) -> bool {
    byte <= b' ' || byte == 0x7f || b"\"'`<>\\{}|".contains(&byte)
}

/// Returns true if the text before a `?` or `#` is that of a URL. `before`: the byte before it. `after`: the byte
/// behind the parameters.
fn is_url(before: Option<u8>, path: &[u8], mark: u8, after: Option<u8>) -> bool {
    let is_quote = |byte: u8| matches!(byte, b'"' | b'\'' | b'`');
    if path.is_empty() {
        return match before {
            None => true,
            Some(byte) => is_quote(byte) || mark == b'?' && byte.is_ascii_whitespace(),
        };
    }
    if memchr::memmem::find(path, b"://").is_some() {
        return true;
    }
    // `0;url=/path`, `(/path`
    let begin = path.iter().rposition(|byte| matches!(byte, b'=' | b'(' | b',')).map_or(0, |at| at + 1);
    let path = &path[begin..];
    let is_path = path.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%!$&*+,;:@/".contains(byte));
    let is_quoted = || begin == 0 && before.is_some_and(is_quote) && before == after;
    let begins_file = || path.first().is_some_and(u8::is_ascii_alphanumeric) && is_quoted();
    is_path && (path.starts_with(b"/") || path.starts_with(b"./") || path.starts_with(b"../") || begins_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<&str> {
        find_links(text.as_bytes()).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn parameters_of_urls_are_found() {
        for (text, link) in [
            ("/x?token=a", "?token=a"),
            ("?a=1&amp;token=b", "?a=1&amp;token=b"),
            ("0;url=/x?token=a", "?token=a"),
            ("5; url=https://h/;s=1?token=a", "?token=a"),
            ("<a href='../x?a&token=b'>", "?a&token=b"),
            ("<a href=\"page.php?token=b\">", "?token=b"),
            ("<a href=\"#access_token=b&c=d\">", "#access_token=b&c=d"),
            ("see https://h/x#access_token=b.", "#access_token=b."),
            ("see https://h/x?q=it's&token=b now", "?q=it's&token=b"),
            ("curl 'https://h/x?token=b'", "?token=b"),
            ("[x](https://h/?token=a) b", "?token=a"),
            ("jdbc:postgresql://h/db?user=a&password=b", "?user=a&password=b"),
            ("body { background: url(/x.png?sig=a) }", "?sig=a"),
        ] {
            assert_eq!(found(text), [link], "{text}");
        }
    }

    #[test]
    fn conditions_fields_and_colours_of_scripts_are_not_urls() {
        for text in [
            "a?token=b:c",
            "f(a)?state=b:c",
            "x=/a^b/.test(c)?key=d:e",
            "class A{#state=0;#token=1}",
            "color:#fff;b=c",
            "\"a\"+b?c=d:\"e\"",
            "what?=x #=y",
            "a ? token = b : c",
        ] {
            assert_eq!(found(text), [] as [&str; 0], "{text}");
        }
    }

    /// The search takes linear time even if every byte begins a URL.
    #[test]
    fn search_is_linear_in_marks() {
        for unit in ["?a=", "/?a=", "#", "a?b=c", "?a= "] {
            let _ = found(&unit.repeat(200_000));
        }
    }
}
