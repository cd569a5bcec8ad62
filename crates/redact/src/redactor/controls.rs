//! Form controls and `meta` elements of HTML, whose attributes are a name and a value.

use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

use crate::find::automaton::automaton;

/// Both spellings that are in use: an automaton without case is slow.
const TAGS: [&str; 4] = ["<input", "<INPUT", "<meta", "<META"];
static FIND_TAGS: LazyLock<AhoCorasick> = LazyLock::new(|| automaton(&TAGS));

/// Types of `input` whose value is a label or a choice.
const CHOICES: [&[u8]; 6] = [b"radio", b"checkbox", b"submit", b"button", b"reset", b"image"];

/// Finds names and values of `<input name=… value=…>` and `<meta name=… content=…>`, in any order of the attributes.
pub(super) fn find_controls(text: &[u8]) -> Vec<(&[u8], Range<usize>)> {
    let (mut found, mut done) = (Vec::new(), 0);
    for tag in FIND_TAGS.find_iter(text).filter(|tag| text.get(tag.end()).is_some_and(u8::is_ascii_whitespace)) {
        if tag.start() < done {
            continue;
        }
        let is_meta = TAGS[tag.pattern().as_usize()].eq_ignore_ascii_case("<meta");
        let (mut name, mut value, mut is_choice) = (None, None, false);
        let mut attributes = Attributes { text, at: tag.end() };
        for (attribute, range) in attributes.by_ref() {
            match attribute.to_ascii_lowercase().as_slice() {
                b"name" => name = Some(&text[range]),
                b"content" if is_meta => value = Some(range),
                b"value" if !is_meta => value = Some(range),
                b"type" => is_choice = CHOICES.iter().any(|choice| text[range.clone()].eq_ignore_ascii_case(choice)),
                _ => {}
            }
        }
        done = attributes.at;
        if let (Some(name), Some(range), false) = (name, value, is_choice) {
            found.push((name, range));
        }
    }
    found
}

/// The attributes of a tag with the positions of their values (HTML Standard, section 13.1.2.3).
pub(super) struct Attributes<'t> {
    pub(super) text: &'t [u8],
    pub(super) at: usize,
}

impl<'t> Attributes<'t> {
    /// Skips the bytes for which `is_skipped` is true. Returns their range.
    fn skip(&mut self, is_skipped: impl Fn(u8) -> bool) -> Range<usize> {
        let start = self.at;
        self.at += self.text[start..].iter().take_while(|byte| is_skipped(**byte)).count();
        start..self.at
    }
}

impl<'t> Iterator for Attributes<'t> {
    type Item = (&'t [u8], Range<usize>);

    fn next(&mut self) -> Option<Self::Item> {
        self.skip(|byte| byte.is_ascii_whitespace() || byte == b'/');
        let name = self.skip(|byte| !byte.is_ascii_whitespace() && !matches!(byte, b'=' | b'>' | b'/' | b'<'));
        if name.is_empty() {
            return None;
        }
        let name = &self.text[name];
        self.skip(|byte| byte.is_ascii_whitespace());
        if self.text.get(self.at) != Some(&b'=') {
            return Some((name, self.at..self.at));
        }
        self.at += 1;
        self.skip(|byte| byte.is_ascii_whitespace());
        let value = match self.text.get(self.at) {
            Some(&quote @ (b'"' | b'\'')) => {
                self.at += 1;
                let value = self.skip(|byte| byte != quote);
                self.at = (self.at + 1).min(self.text.len());
                value
            }
            _ => self.skip(|byte| !byte.is_ascii_whitespace() && byte != b'>'),
        };
        Some((name, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(&str, &str)> {
        let controls = find_controls(text.as_bytes()).into_iter();
        controls.map(|(name, range)| (std::str::from_utf8(name).unwrap(), &text[range])).collect()
    }

    #[test]
    fn values_of_controls_and_meta_elements_are_found() {
        for (text, name, value) in [
            ("<input type=\"hidden\" name=\"a\" value=\"b c\"/>", "a", "b c"),
            ("<INPUT\n value='b' data-x NAME=a>", "a", "b"),
            ("<input disabled name = a value = b>", "a", "b"),
            ("<meta name=\"csrf-token\" content=\"b\" />", "csrf-token", "b"),
            ("<meta content=b name=a>", "a", "b"),
            ("<input name=\"a\" value=\"b", "a", "b"),
        ] {
            assert_eq!(found(&format!("<p>{text}")), [(name, value)], "{text}");
        }
        for text in ["<inputs name=a value=b>", "<input type=radio name=a value=b>", "<meta name=a value=b>", "<input"]
        {
            assert_eq!(found(text), [], "{text}");
        }
        let _ = found(&"<input \"".repeat(100_000));
        let _ = found(&"<input a='".repeat(100_000));
    }
}
