//! Payloads with placeholders that are compared byte for byte around them. The syntax of the text limits how far the
//! value in the place of a placeholder reaches.

use harproxy_http::MediaType;
use harproxy_json::scan::{StringSpan, string_end};
use harproxy_redact::{Placeholder, is_lines, placeholder};
use serde::de::IgnoredAny;

use crate::{Encoding, PlaceholderScore, PlaceholderValues, Template};

/// A text with placeholders.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TextPattern {
    slots: Box<[Slot]>,
    /// The text behind the last slot.
    end: Box<[u8]>,
}

/// A part of the text that contains placeholders.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Slot {
    /// The text before it.
    before: Box<[u8]>,
    extent: Extent,
    template: Template,
}

/// The end of a part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Extent {
    /// The quote that closes the JSON string.
    JsonString,
    /// The end of the JSON number.
    JsonNumber,
    /// The next `&`.
    Parameter,
    Rest,
}

impl Extent {
    /// Returns the length of the part that begins here.
    fn len(self, text: &[u8]) -> usize {
        let until = |ends: fn(&u8) -> bool| text.iter().position(ends).unwrap_or(text.len());
        match self {
            Extent::JsonString => string_end(text, 0).unwrap_or(text.len()),
            Extent::JsonNumber => until(|byte| !is_in_number(*byte)),
            Extent::Parameter => until(|byte| *byte == b'&'),
            Extent::Rest => text.len(),
        }
    }

    fn encoding(self) -> Encoding {
        match self {
            Extent::JsonString => Encoding::Json,
            Extent::Parameter => Encoding::Form,
            Extent::JsonNumber | Extent::Rest => Encoding::Plain,
        }
    }
}

impl TextPattern {
    /// Finds the placeholders in a payload. Returns `None` if there is none.
    pub(super) fn parse(content_type: &str, text: &[u8]) -> Option<Self> {
        let media = MediaType::parse(content_type);
        if media.is_form_of(text) {
            return TextPattern::from_parts(text, &parameters(text));
        }
        if !placeholder::may_occur_in(text) {
            return None;
        }
        // JSON is recognised under any media type.
        let is_json = media.is_json() || is_lines(content_type) || serde_json::from_slice::<IgnoredAny>(text).is_ok();
        let parts = if is_json { scalars(text) } else { Vec::new() };
        TextPattern::from_parts(text, &parts)
            .or_else(|| TextPattern::from_parts(text, &[(0, text.len(), Extent::Rest)]))
    }

    /// Finds the placeholders in these parts of a text, which are in order.
    fn from_parts(text: &[u8], parts: &[(usize, usize, Extent)]) -> Option<Self> {
        let (mut slots, mut done) = (Vec::new(), 0);
        for &(start, end, extent) in parts {
            if let Some(template) = Template::parse(&text[start..end], extent.encoding()) {
                slots.push(Slot { before: text[done..start].into(), extent, template });
                done = end;
            }
        }
        (!slots.is_empty()).then(|| TextPattern { slots: slots.into(), end: text[done..].into() })
    }

    /// Scores a text. Returns `None` if it differs in more than placeholders.
    pub(super) fn score(&self, text: &[u8], values: &PlaceholderValues) -> Option<PlaceholderScore> {
        let (rest, score) = self.score_slots(text, values, true)?;
        (rest == &*self.end).then_some(score)
    }

    /// Scores a text of which the pattern is only the beginning.
    pub(super) fn score_prefix(&self, text: &[u8], values: &PlaceholderValues) -> Option<PlaceholderScore> {
        let (rest, score) = self.score_slots(text, values, false)?;
        rest.starts_with(&self.end).then_some(score)
    }

    fn score_slots<'t>(
        &self,
        text: &'t [u8],
        values: &PlaceholderValues,
        is_whole: bool,
    ) -> Option<(&'t [u8], PlaceholderScore)> {
        let (mut rest, mut score) = (text, PlaceholderScore::default());
        for (n, Slot { before, extent, template }) in (1..).zip(&self.slots) {
            rest = rest.strip_prefix(&**before)?;
            let (part, after) = rest.split_at(extent.len(rest));
            let is_cut = !is_whole && n == self.slots.len() && self.end.is_empty();
            score.add(if is_cut { template.score_prefix(part, values)? } else { template.score(part, values)? });
            rest = after;
        }
        Some((rest, score))
    }

    pub(super) fn placeholders(&self) -> impl Iterator<Item = &Placeholder> {
        self.slots.iter().flat_map(|slot| slot.template.placeholders())
    }
}

/// Returns the `name=value` parts of a query or form.
fn parameters(text: &[u8]) -> Vec<(usize, usize, Extent)> {
    let mut at = 0;
    let range = |parameter: &[u8]| {
        let start = at;
        at += parameter.len() + 1;
        (start, start + parameter.len(), Extent::Parameter)
    };
    text.split(|byte| *byte == b'&').map(range).collect()
}

/// Returns the strings (without their quotes) and numbers of one or several JSON texts.
fn scalars(text: &[u8]) -> Vec<(usize, usize, Extent)> {
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => {
                let StringSpan { inside, end } = StringSpan::at(text, at);
                found.push((inside.start, inside.end, Extent::JsonString));
                at = end;
            }
            b'-' | b'0'..=b'9' => {
                let end = at + Extent::JsonNumber.len(&text[at..]);
                found.push((at, end, Extent::JsonNumber));
                at = end;
            }
            _ => at += 1,
        }
    }
    found
}

fn is_in_number(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E')
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = "application/json";
    const FORM: &str = "application/x-www-form-urlencoded";

    fn fits(content_type: &str, recorded: &str, sent: &str) -> bool {
        let pattern = TextPattern::parse(content_type, recorded.as_bytes()).unwrap();
        pattern.score(sent.as_bytes(), &PlaceholderValues::default()).is_some()
    }

    #[test]
    fn value_in_json_ends_with_its_string_or_number() {
        let recorded = r#"{"user":"ada","password":"REDACTED-password-1","card":73322833001,"n":[1, 2]}"#;
        for (sent, expected) in [
            (r#"{"user":"ada","password":"p\"w,\\","card":-1.5e3,"n":[1, 2]}"#, true),
            (r#"{"user":"ada","password":"","card":0,"n":[1, 2]}"#, true),
            (r#"{"user":"bob","password":"x","card":1,"n":[1, 2]}"#, false),
            (r#"{"user":"ada","password":"x","card":1,"n":[1,2]}"#, false),
            (r#"{"user":"ada","password":"x","admin":"y","card":1,"n":[1, 2]}"#, false),
            (r#"{"user":"ada","password":null,"card":1,"n":[1, 2]}"#, false),
            (r#"{"user":"ada","password":"x","card":1,"n":[1, 2]} "#, false),
        ] {
            assert_eq!(fits(JSON, recorded, sent), expected, "{sent}");
            assert_eq!(fits("text/plain", recorded, sent), expected, "JSON of another media type: {sent}");
        }
        assert!(fits(JSON, r#"["a: REDACTED-a-1, b"]"#, r#"["a: x, y, b"]"#));
        assert!(!fits(JSON, r#"["a: REDACTED-a-1, b"]"#, r#"["a: x","z, b"]"#));
    }

    #[test]
    fn value_in_a_form_ends_before_the_next_field() {
        let recorded = "user=ada&password=REDACTED-password-1&x=%20";
        assert!(fits(FORM, recorded, "user=ada&password=p%26w=+&x=%20"));
        assert!(!fits(FORM, recorded, "user=ada&password=p&q=w&x=%20"));
        assert!(!fits(FORM, recorded, "user=ada&password=p&x=+"), "the rest is compared as it was received");
        assert!(!fits(FORM, recorded, "user=ada&passwort=p&x=%20"));
    }

    #[test]
    fn value_in_lines_and_plain_text_ends_before_the_text_behind_it() {
        let lines = "{\"k\":\"REDACTED-k-1\"}\n{\"k\":\"REDACTED-k-2\"}\n";
        assert!(fits("application/x-ndjson", lines, "{\"k\":\"a\"}\n{\"k\":\"b\"}\n"));
        assert!(!fits("application/x-ndjson", lines, "{\"k\":\"a\"}\n{\"k\":\"b\"}\n{\"k\":\"c\"}\n"));
        let xml = "<l><p>REDACTED-p-1</p><q>REDACTED-q-2</q></l>";
        assert!(fits("text/xml", xml, "<l><p>a\nb</p><q></q></l>"));
        assert!(!fits("text/xml", xml, "<l><p>a</p></l>"));
        assert!(TextPattern::parse(JSON, br#"{"a":"REDACTED"}"#).is_none());
    }

    #[test]
    fn prefix_fits_longer_texts() {
        let fits = |content_type, recorded: &str, sent: &str| {
            let pattern = TextPattern::parse(content_type, recorded.as_bytes()).unwrap();
            pattern.score_prefix(sent.as_bytes(), &PlaceholderValues::default()).is_some()
        };
        assert!(fits("application/json", r#"{"k":"REDACTED-k-1","n":[1"#, r#"{"k":"v","n":[1,2]}"#));
        assert!(!fits("application/json", r#"{"k":"REDACTED-k-1","n":[1"#, r#"{"k":"v","n":[2]}"#));
        assert!(fits(FORM, "a=REDACTED-a-1&b=x", "a=1&b=xyz&c"));
        assert!(fits("text/plain", "a REDACTED-a-1 b", "a 1 b c"));
    }
}
