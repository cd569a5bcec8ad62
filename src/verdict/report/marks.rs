//! Escapes text for the Markdown of GitHub and GitLab.

use harproxy_http::escape::one_line;

/// Escapes a phrase of harproxy. Text between backticks stays code.
///
/// ```
/// use harproxy::verdict::report::marks::prose;
/// assert_eq!(prose("`a*b` is <b> of @me"), "`a*b` is &lt;b&gt; of @&#8203;me");
/// ```
#[must_use]
pub fn prose(text: &str) -> String {
    let line = one_line(text);
    let mut out = String::with_capacity(line.len() + 16);
    let mut rest = line.trim();
    while let Some((before, after)) = rest.split_once('`') {
        plain(&mut out, before);
        match after.split_once('`') {
            Some((within, after)) if !within.is_empty() => {
                out.push_str(&code(within));
                rest = after;
            }
            _ => {
                out.push_str("\\`");
                rest = after;
            }
        }
    }
    plain(&mut out, rest);
    out
}

/// Returns a code span. Its fence is longer than any run of backticks in the text.
#[must_use]
pub fn code(text: &str) -> String {
    let line = one_line(text);
    let fence = "`".repeat(fence(&line, 1));
    // Markdown removes one space from each side if both sides have one.
    let pad = if line.starts_with(['`', ' ']) || line.ends_with(['`', ' ']) || line.is_empty() { " " } else { "" };
    format!("{fence}{pad}{line}{pad}{fence}")
}

/// Returns a code block in a language, followed by an empty line.
#[must_use]
pub fn block(language: &str, lines: &str) -> String {
    let fence = "`".repeat(fence(lines, 3));
    format!("{fence}{language}\n{lines}{fence}\n\n")
}

/// Returns one line of text for an HTML element, without mentions of users or references to issues.
#[must_use]
pub fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for c in one_line(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => push_without_reference(&mut out, c),
        }
    }
    out
}

fn plain(out: &mut String, text: &str) {
    for c in text.chars() {
        // `-`, `+` and `=` begin a list or underline a heading only at the beginning of a line.
        let begins = out.is_empty() && matches!(c, '-' | '+' | '=');
        let numbers = matches!(c, '.' | ')') && !out.is_empty() && out.bytes().all(|byte| byte.is_ascii_digit());
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\\' | '*' | '_' | '[' | ']' | '|' | '~' | '$' => out.extend(['\\', c]),
            c if begins || numbers => out.extend(['\\', c]),
            c => push_without_reference(out, c),
        }
    }
}

/// Appends a zero-width space after characters that begin a mention or a reference to an issue or merge request.
fn push_without_reference(out: &mut String, c: char) {
    out.push(c);
    if matches!(c, '@' | '#' | '!') {
        out.push_str("&#8203;");
    }
}

/// Returns the length of a fence that is longer than any run of backticks in the text.
fn fence(text: &str, shortest: usize) -> usize {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    shortest.max(longest + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_quotes_any_text_on_one_line() {
        for (text, expected) in [
            ("a", "`a`"),
            ("a|b", "`a|b`"),
            ("a`b", "``a`b``"),
            ("`", "`` ` ``"),
            ("``x", "``` ``x ```"),
            ("", "`  `"),
            (" a ", "`  a  `"),
            ("a\nb\u{1b}", "`a\\nb\\u{1b}`"),
        ] {
            assert_eq!(code(text), expected, "{text:?}");
        }
    }

    #[test]
    fn prose_is_escaped() {
        for (text, expected) in [
            ("query `page` is `3`", "query `page` is `3`"),
            ("one ` alone", "one \\` alone"),
            ("two `` of them", "two \\`\\` of them"),
            ("*a* _b_ [c](d) ~e~ $f$ |", "\\*a\\* \\_b\\_ \\[c\\](d) \\~e\\~ \\$f\\$ \\|"),
            ("- no list", "\\- no list"),
            ("12. no list", "12\\. no list"),
            ("1.5 s", "1\\.5 s"),
            ("# no heading", "#&#8203; no heading"),
            ("see #1, !2 and @octocat", "see #&#8203;1, !&#8203;2 and @&#8203;octocat"),
            ("<img src=x>&amp;", "&lt;img src=x&gt;&amp;amp;"),
            ("a\n\n# b", "a\\\\n\\\\n#&#8203; b"),
        ] {
            assert_eq!(prose(text), expected, "{text:?}");
        }
    }

    #[test]
    fn code_block_fence_is_longer_than_its_text() {
        assert_eq!(block("diff", "- ```\n"), "````diff\n- ```\n````\n\n");
        assert_eq!(html("<a href=\"x\">&\n@me"), "&lt;a href=&quot;x&quot;&gt;&amp;\\n@&#8203;me");
    }
}
