//! Text that may be anything, in HTML and in JSON inside HTML.

/// JSON that can stand in a `<script>`: nothing in it ends the element, begins another or is a comment's mark (HTML
/// Standard 4.12.1.3), and it is a JavaScript literal too.
pub(super) fn in_json(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len() + json.len() / 16);
    let mut rest = json;
    // All of these stand in strings alone.
    while let Some(at) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}']) {
        escaped.push_str(&rest[..at]);
        let mut behind = rest[at..].chars();
        let code = behind.next().map_or(0, u32::from);
        escaped.push_str(&format!("\\u{code:04x}"));
        rest = behind.as_str();
    }
    escaped.push_str(rest);
    escaped
}

/// Text as the content of an element or in quotes: what HTML has no way to say (NUL and other controls) is a
/// replacement character.
pub(super) fn in_text(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(c),
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}
