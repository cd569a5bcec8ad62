//! Long texts with placeholders, compared byte for byte around them: where the place of one ends follows from what the text
//! is made of.

use super::template::{Spelling, Template, Told, Values};
use harproxy_http::MediaType;
use harproxy_redact::{is_lines, placeholder};

/// A text in which placeholders stand.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Pattern {
    places: Box<[Place]>,
    /// What stands after the last of them.
    end: Box<[u8]>,
}

/// A part of the text that has placeholders in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Place {
    /// What stands before it.
    before: Box<[u8]>,
    extent: Extent,
    template: Template,
}

/// How far a part of a text reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Extent {
    /// To the quote that ends the JSON string.
    JsonString,
    /// To the end of the JSON number.
    JsonNumber,
    /// To the next `&`.
    Parameter,
    /// To the end of the text.
    Rest,
}

impl Extent {
    fn of(self, text: &[u8]) -> usize {
        let to = |ends: fn(&u8) -> bool| text.iter().position(ends).unwrap_or(text.len());
        match self {
            Extent::JsonString => string_end(text),
            Extent::JsonNumber => to(|byte| !is_of_number(*byte)),
            Extent::Parameter => to(|byte| *byte == b'&'),
            Extent::Rest => text.len(),
        }
    }

    fn spelling(self) -> Spelling {
        match self {
            Extent::JsonString => Spelling::Json,
            Extent::Parameter => Spelling::Form,
            Extent::JsonNumber | Extent::Rest => Spelling::Plain,
        }
    }
}

impl Pattern {
    /// `None` when there is no placeholder in the text.
    pub(super) fn of(content_type: &str, text: &[u8]) -> Option<Self> {
        let media = MediaType::parse(content_type);
        if media.is_form_of(text) {
            return Pattern::with(text, &parameters(text));
        }
        if !placeholder::may_occur_in(text) {
            return None;
        }
        // Whatever it is called.
        let json = is_lines(content_type) || serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok();
        let scalars = if json || media.is_json() { scalars(text) } else { Vec::new() };
        Pattern::with(text, &scalars).or_else(|| Pattern::with(text, &[(0, text.len(), Extent::Rest)]))
    }

    /// Looks for placeholders in these parts of a text, which are in order.
    fn with(text: &[u8], parts: &[(usize, usize, Extent)]) -> Option<Self> {
        let (mut places, mut kept) = (Vec::new(), 0);
        for &(start, end, extent) in parts {
            if let Some(template) = Template::of(&text[start..end], extent.spelling()) {
                places.push(Place { before: text[kept..start].into(), extent, template });
                kept = end;
            }
        }
        (!places.is_empty()).then(|| Pattern { places: places.into(), end: text[kept..].into() })
    }

    /// Whether a text is this one but for what stands in the place of placeholders; and what that tells.
    pub(super) fn fits(&self, text: &[u8], values: &Values) -> Option<Told> {
        let (rest, told) = self.walk(text, values, true)?;
        (rest == &*self.end).then_some(told)
    }

    /// Whether it is the beginning of a text.
    pub(super) fn begins(&self, text: &[u8], values: &Values) -> Option<Told> {
        let (rest, told) = self.walk(text, values, false)?;
        rest.starts_with(&self.end).then_some(told)
    }

    fn walk<'t>(&self, text: &'t [u8], values: &Values, whole: bool) -> Option<(&'t [u8], Told)> {
        let (mut rest, mut told) = (text, Told::default());
        for (n, Place { before, extent, template }) in (1..).zip(&self.places) {
            rest = rest.strip_prefix(&**before)?;
            let (part, after) = rest.split_at(extent.of(rest));
            let cut = !whole && n == self.places.len() && self.end.is_empty();
            told.add(if cut { template.begins(part, values)? } else { template.fits(part, values)? });
            rest = after;
        }
        Some((rest, told))
    }

    /// The templates of the parts that have placeholders, in order.
    pub(super) fn templates(&self) -> impl Iterator<Item = &Template> {
        self.places.iter().map(|place| &place.template)
    }
}

/// The `name=value` of a query or form.
fn parameters(text: &[u8]) -> Vec<(usize, usize, Extent)> {
    let mut at = 0;
    let range = |parameter: &[u8]| {
        let start = at;
        at += parameter.len() + 1;
        (start, start + parameter.len(), Extent::Parameter)
    };
    text.split(|byte| *byte == b'&').map(range).collect()
}

/// The strings (without their quotes) and numbers of a JSON text, or of several after each other.
fn scalars(text: &[u8]) -> Vec<(usize, usize, Extent)> {
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(byte) = text.get(at) {
        let (start, extent) = match byte {
            b'"' => (at + 1, Extent::JsonString),
            b'-' | b'0'..=b'9' => (at, Extent::JsonNumber),
            _ => {
                at += 1;
                continue;
            }
        };
        let end = start + extent.of(&text[start..]);
        found.push((start, end, extent));
        at = end + usize::from(extent == Extent::JsonString);
    }
    found
}

/// Where the quote is that ends a JSON string, from behind its first one on.
fn string_end(text: &[u8]) -> usize {
    let mut escaped = false;
    let quote = text.iter().position(|&byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    quote.unwrap_or(text.len())
}

fn is_of_number(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E')
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = "application/json";
    const FORM: &str = "application/x-www-form-urlencoded";

    fn fits(content_type: &str, recorded: &str, sent: &str) -> bool {
        Pattern::of(content_type, recorded.as_bytes()).unwrap().fits(sent.as_bytes(), &Values::default()).is_some()
    }

    #[test]
    fn a_place_in_json_ends_with_its_string_or_number() {
        let recorded = r#"{"user":"ada","password":"REDACTED-password-1","card":73322833001,"n":[1, 2]}"#;
        for (sent, fit) in [
            (r#"{"user":"ada","password":"p\"w,\\","card":-1.5e3,"n":[1, 2]}"#, true),
            (r#"{"user":"ada","password":"","card":0,"n":[1, 2]}"#, true),
            (r#"{"user":"bob","password":"x","card":1,"n":[1, 2]}"#, false),
            (r#"{"user":"ada","password":"x","card":1,"n":[1,2]}"#, false),
            (r#"{"user":"ada","password":"x","admin":"y","card":1,"n":[1, 2]}"#, false),
            (r#"{"user":"ada","password":null,"card":1,"n":[1, 2]}"#, false),
            (r#"{"user":"ada","password":"x","card":1,"n":[1, 2]} "#, false),
        ] {
            assert_eq!(fits(JSON, recorded, sent), fit, "{sent}");
            assert_eq!(fits("text/plain", recorded, sent), fit, "JSON by any name: {sent}");
        }
        assert!(fits(JSON, r#"["a: REDACTED-a-1, b"]"#, r#"["a: x, y, b"]"#));
        assert!(!fits(JSON, r#"["a: REDACTED-a-1, b"]"#, r#"["a: x","z, b"]"#));
    }

    #[test]
    fn a_place_in_a_form_ends_before_the_next_field() {
        let recorded = "user=ada&password=REDACTED-password-1&x=%20";
        assert!(fits(FORM, recorded, "user=ada&password=p%26w=+&x=%20"));
        assert!(!fits(FORM, recorded, "user=ada&password=p&q=w&x=%20"));
        assert!(!fits(FORM, recorded, "user=ada&password=p&x=+"), "the rest is compared as it came");
        assert!(!fits(FORM, recorded, "user=ada&passwort=p&x=%20"));
    }

    #[test]
    fn a_place_in_lines_and_in_plain_text() {
        let lines = "{\"k\":\"REDACTED-k-1\"}\n{\"k\":\"REDACTED-k-2\"}\n";
        assert!(fits("application/x-ndjson", lines, "{\"k\":\"a\"}\n{\"k\":\"b\"}\n"));
        assert!(!fits("application/x-ndjson", lines, "{\"k\":\"a\"}\n{\"k\":\"b\"}\n{\"k\":\"c\"}\n"));
        let xml = "<l><p>REDACTED-p-1</p><q>REDACTED-q-2</q></l>";
        assert!(fits("text/xml", xml, "<l><p>a\nb</p><q></q></l>"));
        assert!(!fits("text/xml", xml, "<l><p>a</p></l>"));
        assert!(Pattern::of(JSON, br#"{"a":"REDACTED"}"#).is_none());
    }

    #[test]
    fn what_was_cut_off_is_a_beginning() {
        let begins = |content_type, recorded: &str, sent: &str| {
            Pattern::of(content_type, recorded.as_bytes())
                .unwrap()
                .begins(sent.as_bytes(), &Values::default())
                .is_some()
        };
        assert!(begins("application/json", r#"{"k":"REDACTED-k-1","n":[1"#, r#"{"k":"v","n":[1,2]}"#));
        assert!(!begins("application/json", r#"{"k":"REDACTED-k-1","n":[1"#, r#"{"k":"v","n":[2]}"#));
        assert!(begins(FORM, "a=REDACTED-a-1&b=x", "a=1&b=xyz&c"));
        assert!(begins("text/plain", "a REDACTED-a-1 b", "a 1 b c"));
    }
}
