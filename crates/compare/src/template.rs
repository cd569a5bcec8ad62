//! Matches texts that a client sent with recorded texts that contain placeholders. A placeholder matches any value.
//! The score of the values ranks candidates.

use std::borrow::Cow;
use std::collections::HashMap;
use std::iter::Sum;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use harproxy_json::text::unquote;
use harproxy_redact::{Placeholder, Secret, ValueFormat, placeholder};
use memchr::memmem;
use percent_encoding::percent_decode;

/// The live values that `[redact.values]` gives for placeholders.
#[derive(Clone, Debug, Default)]
pub struct PlaceholderValues(HashMap<Placeholder, Vec<Secret>>);

impl PlaceholderValues {
    /// Groups the values by placeholder.
    #[must_use]
    pub fn new(given: &[(Placeholder, Secret)]) -> Self {
        let mut values = PlaceholderValues::default();
        for (placeholder, value) in given {
            values.0.entry(placeholder.clone()).or_default().push(value.clone());
        }
        values
    }

    /// Compares a sent value with those of a placeholder, as they are and in the encoding of Basic credentials. `None`
    /// if no value is given for the placeholder.
    fn compare_value(&self, placeholder: &Placeholder, sent: &[u8]) -> Option<bool> {
        let given = self.0.get(placeholder)?;
        let is_sent = |value: &str| value.as_bytes() == sent || BASE64_STANDARD.encode(value).as_bytes() == sent;
        Some(given.iter().map(Secret::reveal).any(is_sent))
    }
}

/// Counts how the values of a request agree with the placeholders of an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlaceholderScore {
    /// Placeholders for which the client sent the placeholder itself, or its configured value.
    pub confirmed: usize,
    /// Placeholders for which the client sent a different placeholder, or not the configured value.
    pub contradicted: usize,
    /// Placeholders that cannot be judged: no value is configured, or the request has no text that fits the template.
    pub unknown: usize,
}

impl PlaceholderScore {
    pub fn add(&mut self, more: PlaceholderScore) {
        self.confirmed += more.confirmed;
        self.contradicted += more.contradicted;
        self.unknown += more.unknown;
    }

    /// Returns the number of placeholders.
    #[must_use]
    pub fn places(self) -> usize {
        self.confirmed + self.contradicted + self.unknown
    }
}

impl Sum for PlaceholderScore {
    fn sum<I: Iterator<Item = Self>>(scores: I) -> Self {
        let mut sum = PlaceholderScore::default();
        scores.for_each(|score| sum.add(score));
        sum
    }
}

/// The encoding of a text at its place in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    Plain,
    /// Percent-encoding, as in a path.
    Percent,
    /// Percent-encoding with `+` for a space, as in a query or a form.
    Form,
    /// The inside of a JSON string.
    Json,
}

impl Encoding {
    #[must_use]
    pub fn decode(self, encoded: &[u8]) -> Cow<'_, [u8]> {
        match self {
            Encoding::Plain => Cow::Borrowed(encoded),
            Encoding::Percent => percent_decode(encoded).into(),
            Encoding::Form if encoded.contains(&b'+') => {
                let spaced: Vec<u8> = encoded.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
                Cow::Owned(percent_decode(&spaced).collect())
            }
            Encoding::Form => percent_decode(encoded).into(),
            Encoding::Json if encoded.contains(&b'\\') => {
                let decoded = std::str::from_utf8(encoded).ok().and_then(|inside| {
                    let quoted = format!("\"{inside}\"");
                    unquote(&quoted).map(|text| text.into_owned().into_bytes())
                });
                decoded.map_or(Cow::Borrowed(encoded), Cow::Owned)
            }
            Encoding::Json => Cow::Borrowed(encoded),
        }
    }
}

/// A text that contains placeholders.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Template {
    encoding: Encoding,
    /// The template was parsed from the decoded text, so sent texts are decoded before they are compared.
    is_decoded: bool,
    /// The text before the first placeholder.
    before: Box<[u8]>,
    holes: Box<[Hole]>,
}

/// A place in a text where any value fits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Hole {
    /// The placeholder; the first one in base64 of a text.
    placeholder: Placeholder,
    /// The text that is here in base64. Only its placeholders fit any value.
    inside: Option<Box<Template>>,
    /// The literal text that follows.
    literal: Box<[u8]>,
}

impl Template {
    /// Finds the placeholders in a text. Returns `None` if there is none.
    #[must_use]
    pub fn parse(encoded: &[u8], encoding: Encoding) -> Option<Self> {
        Template::find(encoded, encoding, false).or_else(|| match encoding.decode(encoded) {
            Cow::Borrowed(_) => None,
            Cow::Owned(decoded) => Template::find(&decoded, encoding, true),
        })
    }

    fn find(text: &[u8], encoding: Encoding, is_decoded: bool) -> Option<Self> {
        let (mut holes, mut ranges, mut end) = (Vec::new(), Vec::new(), 0);
        for found in placeholder::find(text).filter(|found| !found.range.is_empty()) {
            if found.range.start >= end {
                end = found.range.end;
                ranges.push(found.range.clone());
                let decoded = (found.format == ValueFormat::Base64)
                    .then(|| placeholder::decode_base64(&text[found.range.clone()]))
                    .flatten()
                    .filter(|decoded| *decoded != found.placeholder.to_string().into_bytes());
                let inside = decoded.and_then(|decoded| Template::find(&decoded, Encoding::Plain, false));
                holes.push((found.placeholder, inside.map(Box::new)));
            }
        }
        let before = text[..ranges.first()?.start].into();
        let nexts = ranges.iter().skip(1).map(|range| range.start).chain([text.len()]);
        let literals = ranges.iter().zip(nexts).map(|(range, next)| text[range.end..next].into());
        let hole = |((placeholder, inside), literal)| Hole { placeholder, inside, literal };
        Some(Template { encoding, is_decoded, before, holes: holes.into_iter().zip(literals).map(hole).collect() })
    }

    /// Returns the template with the text around the placeholders in lower case, for values that compare without case.
    #[must_use]
    pub fn to_lowercase(mut self) -> Self {
        self.before.make_ascii_lowercase();
        self.holes.iter_mut().for_each(|hole| hole.literal.make_ascii_lowercase());
        self
    }

    pub fn placeholders(&self) -> impl Iterator<Item = &Placeholder> {
        self.holes.iter().map(|hole| &hole.placeholder)
    }

    /// Scores a text. Returns `None` if it differs in more than placeholders.
    #[must_use]
    pub fn score(&self, encoded: &[u8], values: &PlaceholderValues) -> Option<PlaceholderScore> {
        self.score_part(encoded, values, true)
    }

    /// Scores a text that begins with the template. Returns `None` if the beginning differs in more than placeholders.
    pub(super) fn score_prefix(&self, encoded: &[u8], values: &PlaceholderValues) -> Option<PlaceholderScore> {
        self.score_part(encoded, values, false)
    }

    /// Returns the score for a request without a text that fits: every placeholder is unknown.
    #[must_use]
    pub fn unknown_score(&self) -> PlaceholderScore {
        PlaceholderScore { unknown: self.holes.len(), ..PlaceholderScore::default() }
    }

    fn score_part(&self, encoded: &[u8], values: &PlaceholderValues, is_whole: bool) -> Option<PlaceholderScore> {
        let mut score = PlaceholderScore::default();
        let mut fits = true;
        self.capture(encoded, is_whole, |hole, sent| match &hole.inside {
            None => match self.compare_value(&hole.placeholder, sent, values) {
                Some(true) => score.confirmed += 1,
                Some(false) => score.contradicted += 1,
                None => score.unknown += 1,
            },
            Some(inside) => match placeholder::decode_base64(sent).and_then(|sent| inside.score(&sent, values)) {
                Some(more) => score.add(more),
                None => fits = false,
            },
        })?;
        fits.then_some(score)
    }

    /// Returns the texts that the placeholders match, in order. `None` if the text differs in more than placeholders.
    #[must_use]
    pub fn captures(&self, encoded: &[u8]) -> Option<Vec<Vec<u8>>> {
        let mut found = Vec::new();
        self.capture(encoded, true, |_, sent| found.push(sent.to_vec()))?;
        Some(found)
    }

    /// Calls `each` with the text in each hole. Returns `None` if the text does not match.
    ///
    /// Each value but the last is as short as possible. This finds a match whenever there is one.
    fn capture<'t>(&'t self, encoded: &[u8], is_whole: bool, mut each: impl FnMut(&'t Hole, &[u8])) -> Option<()> {
        let decoded = if self.is_decoded { self.encoding.decode(encoded) } else { Cow::Borrowed(encoded) };
        let mut rest = decoded.strip_prefix(&*self.before)?;
        let (last, holes) = self.holes.split_last()?;
        for hole in holes {
            let at = memmem::find(rest, &hole.literal)?;
            each(hole, &rest[..at]);
            rest = &rest[at + hole.literal.len()..];
        }
        let end = &*last.literal;
        let value = match is_whole || end.is_empty() {
            true => rest.strip_suffix(end)?,
            false => &rest[..memmem::find(rest, end)?],
        };
        each(last, value);
        Some(())
    }

    /// Compares a sent value with the placeholder and its configured values. `None` if no value is configured, unless
    /// the client sent a placeholder.
    fn compare_value(&self, placeholder: &Placeholder, sent: &[u8], values: &PlaceholderValues) -> Option<bool> {
        let encoding = if self.is_decoded { Encoding::Plain } else { self.encoding };
        let decoded = encoding.decode(sent);
        let is_placeholder = |text: &[u8]| {
            let mut found = placeholder::find(text);
            let whole = found.next().filter(|found| found.range == (0..text.len()))?;
            Some(whole.placeholder == *placeholder)
        };
        is_placeholder(sent)
            .or_else(|| is_placeholder(&decoded))
            .or_else(|| values.compare_value(placeholder, &decoded))
    }
}

/// Scores a sent text by a recorded one, which may have placeholders. Returns `None` if they differ in more than these.
pub(super) fn score_text(recorded: &[u8], sent: &[u8], values: &PlaceholderValues) -> Option<PlaceholderScore> {
    match Template::parse(recorded, Encoding::Plain) {
        Some(template) => template.score(sent, values),
        None => (recorded == sent).then(PlaceholderScore::default),
    }
}

/// Returns true if a recorded text contains placeholders and a sent text differs from it in nothing else.
pub(super) fn differs_only_in_placeholders(recorded: &str, sent: &str, encoding: Encoding) -> bool {
    placeholder::may_occur_in(recorded.as_bytes())
        && Template::parse(recorded.as_bytes(), encoding)
            .is_some_and(|template| template.score(sent.as_bytes(), &PlaceholderValues::default()).is_some())
}

#[cfg(test)]
mod tests {
    use harproxy_redact::PlaceholderName;

    use super::*;

    fn score(template: &str, encoding: Encoding, sent: &str) -> Option<(usize, usize, usize)> {
        let given = Placeholder { name: PlaceholderName::new("pw"), number: 2 };
        let values = PlaceholderValues::new(&[(given, "p@ss wörd".into())]);
        let score = Template::parse(template.as_bytes(), encoding).unwrap().score(sent.as_bytes(), &values)?;
        Some((score.confirmed, score.contradicted, score.unknown))
    }

    #[test]
    fn any_value_fits_and_the_text_around_it_must_be_equal() {
        let template = "Bearer REDACTED-token-1";
        for (sent, expected) in [
            ("Bearer REDACTED-token-1", Some((1, 0, 0))),
            ("Bearer REDACTED-token-2", Some((0, 1, 0))),
            ("Bearer live", Some((0, 0, 1))),
            ("Bearer ", Some((0, 0, 1))),
            ("bearer live", None),
            ("Basic live", None),
        ] {
            assert_eq!(score(template, Encoding::Plain, sent), expected, "{sent}");
        }
    }

    #[test]
    fn several_placeholders_fit_in_order() {
        let template = "a=REDACTED-a-1; b=REDACTED-b-2; c";
        assert_eq!(score(template, Encoding::Plain, "a=1; b=2; b=REDACTED-b-2; c"), Some((0, 0, 2)));
        assert_eq!(score(template, Encoding::Plain, "a=REDACTED-a-1; b=; c"), Some((1, 0, 1)));
        assert_eq!(score(template, Encoding::Plain, "a=1; c"), None);
        assert_eq!(score("REDACTED-a-1,x", Encoding::Plain, ",x"), Some((0, 0, 1)));
        assert_eq!(score("x,REDACTED-a-1,x", Encoding::Plain, "x,x"), None, "prefix and suffix share no byte");
    }

    #[test]
    fn given_value_is_recognised_in_every_encoding() {
        let pw = "REDACTED-pw-2";
        assert_eq!(score(pw, Encoding::Plain, "p@ss wörd"), Some((1, 0, 0)));
        assert_eq!(score(pw, Encoding::Form, "p%40ss+w%C3%B6rd"), Some((1, 0, 0)));
        assert_eq!(score(pw, Encoding::Percent, "p@ss%20w%C3%B6rd"), Some((1, 0, 0)));
        assert_eq!(score(pw, Encoding::Percent, "p@ss+w%C3%B6rd"), Some((0, 1, 0)));
        assert_eq!(score(pw, Encoding::Json, r"p\u0040ss wörd"), Some((1, 0, 0)));
        assert_eq!(score(&format!("Basic {pw}"), Encoding::Plain, "Basic cEBzcyB3w7ZyZA=="), Some((1, 0, 0)));
        assert_eq!(score(pw, Encoding::Plain, "another"), Some((0, 1, 0)));
    }

    #[test]
    fn encoded_placeholder_is_found() {
        let template = "mail=redacted-1%40example.invalid";
        assert_eq!(score(template, Encoding::Form, "mail=ada%40a.test"), Some((0, 0, 1)));
        assert_eq!(score(template, Encoding::Form, template), Some((1, 0, 0)));
        assert_eq!(score(template, Encoding::Form, "male=x"), None);
        assert_eq!(Template::parse(b"mail=redacted%40x", Encoding::Form), None);
    }

    #[test]
    fn times_of_a_redacted_token_do_not_count() {
        // {"exp":1000}, {"exp":1500}
        let then = "eyJhbGciOiJub25lIn0.eyJleHAiOjEwMDB9.REDACTED-token-1";
        let now = "eyJhbGciOiJub25lIn0.eyJleHAiOjE1MDB9.REDACTED-token-1";
        assert_eq!(score(then, Encoding::Plain, now), Some((1, 0, 0)));
        assert_eq!(score(then, Encoding::Plain, "eyJhbGciOiJub25lIn0.eyJleHAiOjE1MDB9.c2lnbmVk"), Some((0, 0, 1)));
        let parse = |text: &str| Template::parse(text.as_bytes(), Encoding::Plain);
        assert_eq!(parse(then), parse(now));
    }

    #[test]
    fn text_in_base64_fits_if_it_differs_only_in_placeholders() {
        let base64 = |token: &str, n: u64| BASE64_STANDARD.encode(format!(r#"{{"token":"{token}","n":{n}}}"#));
        let recorded = base64("REDACTED-token-1", 1);
        for (before, after) in [("", ""), ("a=", "&b"), ("\"", "\"")] {
            let around = |base64: &str| format!("{before}{base64}{after}");
            for (sent, expected) in [
                (recorded.clone(), Some((1, 0, 0))),
                (base64("live, of any length", 1), Some((0, 0, 1))),
                (base64("x", 1).trim_end_matches('=').to_owned(), Some((0, 0, 1))),
                (base64("x", 2), None),
                ("x".to_owned(), None),
            ] {
                assert_eq!(score(&around(&recorded), Encoding::Plain, &around(&sent)), expected, "{sent}");
            }
        }
        let whole = BASE64_STANDARD.encode("REDACTED-token-1");
        assert_eq!(score(&whole, Encoding::Plain, "any value"), Some((0, 0, 1)));
        let escaped = |base64: &str| base64.replace('=', "%3D");
        assert_eq!(score(&escaped(&recorded), Encoding::Form, &escaped(&base64("xy", 1))), Some((0, 0, 1)));
    }

    #[test]
    fn prefix_fits_longer_texts() {
        let template = Template::parse(b"k=REDACTED-k-1, n=1", Encoding::Plain).unwrap();
        let values = PlaceholderValues::default();
        assert!(template.score_prefix(b"k=v, n=12, m=3", &values).is_some());
        assert!(template.score_prefix(b"k=v, n=2", &values).is_none());
        assert!(template.score(b"k=v, n=12, m=3", &values).is_none());
    }
}
