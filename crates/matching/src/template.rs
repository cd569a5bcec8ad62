//! Texts of an entry in which placeholders stand: any value fits in the place of one, and what the client put there tells
//! entries apart.

use std::borrow::Cow;
use std::collections::HashMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use memchr::memmem;
use percent_encoding::percent_decode;

use harproxy_redact::{Placeholder, Secret, placeholder};

/// The live values that `[redact.values]` gives for placeholders.
#[derive(Clone, Debug, Default)]
pub(super) struct Values(HashMap<Placeholder, Vec<Secret>>);

impl Values {
    pub(super) fn new(given: &[(Placeholder, Secret)]) -> Self {
        let mut values = Values::default();
        for (placeholder, value) in given {
            values.0.entry(placeholder.clone()).or_default().push(value.clone());
        }
        values
    }

    /// Whether this is the placeholder's value: as it is, or as Basic credentials spell it. `None`: nobody gave one.
    fn is(&self, placeholder: &Placeholder, sent: &[u8]) -> Option<bool> {
        let given = self.0.get(placeholder)?;
        Some(
            given
                .iter()
                .map(Secret::reveal)
                .any(|value| value.as_bytes() == sent || BASE64_STANDARD.encode(value).as_bytes() == sent),
        )
    }
}

/// What a client's values tell of an entry, counted over its redacted places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// Places that the client sent the placeholder back in, or the value that is given for it.
    pub(super) back: usize,
    /// Places in which it sent another placeholder, or not the value that is given.
    pub(super) other: usize,
    /// Places of which nothing can be told.
    pub(super) open: usize,
}

impl Told {
    pub(super) fn add(&mut self, more: Told) {
        self.back += more.back;
        self.other += more.other;
        self.open += more.open;
    }

    pub(super) fn places(self) -> usize {
        self.back + self.other + self.open
    }
}

/// How a text is spelt where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Spelling {
    /// As it is.
    Plain,
    /// Percent-encoded, as in a path.
    Percent,
    /// Percent-encoded with `+` for a space, as in a query or a form.
    Form,
    /// As in a JSON string, without the quotes.
    Json,
}

impl Spelling {
    pub(super) fn decode(self, spelt: &[u8]) -> Cow<'_, [u8]> {
        match self {
            Spelling::Plain => Cow::Borrowed(spelt),
            Spelling::Percent => percent_decode(spelt).into(),
            Spelling::Form if spelt.contains(&b'+') => {
                let spaced: Vec<u8> = spelt.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
                Cow::Owned(percent_decode(&spaced).collect())
            }
            Spelling::Form => percent_decode(spelt).into(),
            Spelling::Json if spelt.contains(&b'\\') => {
                let quoted = [b"\"", spelt, b"\""].concat();
                serde_json::from_slice::<String>(&quoted).map_or(Cow::Borrowed(spelt), |text| Cow::Owned(text.into()))
            }
            Spelling::Json => Cow::Borrowed(spelt),
        }
    }
}

/// A text with placeholders in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Template {
    spelling: Spelling,
    /// The placeholders are there only once the text is decoded, and so it is compared.
    decoded: bool,
    /// What stands before the first placeholder.
    before: Box<[u8]>,
    /// Each placeholder with what follows it.
    holes: Box<[(Placeholder, Box<[u8]>)]>,
}

impl Template {
    /// `None` when no placeholder is in the text.
    pub(super) fn of(spelt: &[u8], spelling: Spelling) -> Option<Self> {
        Template::spelt(spelt, spelling, false).or_else(|| match spelling.decode(spelt) {
            Cow::Borrowed(_) => None,
            Cow::Owned(decoded) => Template::spelt(&decoded, spelling, true),
        })
    }

    fn spelt(text: &[u8], spelling: Spelling, decoded: bool) -> Option<Self> {
        let (mut holes, mut starts, mut end) = (Vec::new(), Vec::new(), 0);
        for found in placeholder::find(text).filter(|found| !found.range.is_empty()) {
            if found.range.start >= end {
                end = found.range.end;
                starts.push(found.range.clone());
                holes.push(found.placeholder);
            }
        }
        let before = text[..starts.first()?.start].into();
        let nexts = starts.iter().skip(1).map(|range| range.start).chain([text.len()]);
        let literals = starts.iter().zip(nexts).map(|(range, next)| text[range.end..next].into());
        Some(Template { spelling, decoded, before, holes: holes.into_iter().zip(literals).collect() })
    }

    /// With the letters around the placeholders in lower case, for what is compared without it.
    pub(super) fn lower(mut self) -> Self {
        self.before.make_ascii_lowercase();
        self.holes.iter_mut().for_each(|(_, literal)| literal.make_ascii_lowercase());
        self
    }

    /// The placeholders, in order.
    pub(super) fn placeholders(&self) -> impl Iterator<Item = &Placeholder> {
        self.holes.iter().map(|(placeholder, _)| placeholder)
    }

    /// Whether a text is this one but for what stands in the place of placeholders; and what that tells.
    pub(super) fn fits(&self, spelt: &[u8], values: &Values) -> Option<Told> {
        self.within(spelt, values, true)
    }

    /// The same for the beginning of a text that was cut off.
    pub(super) fn begins(&self, spelt: &[u8], values: &Values) -> Option<Told> {
        self.within(spelt, values, false)
    }

    fn within(&self, spelt: &[u8], values: &Values, whole: bool) -> Option<Told> {
        let mut told = Told::default();
        self.values(spelt, whole, |placeholder, sent| {
            match self.tells(placeholder, sent, values) {
                Some(true) => told.back += 1,
                Some(false) => told.other += 1,
                None => told.open += 1,
            };
        })?;
        Some(told)
    }

    /// What a text has in the place of each placeholder, in order; `None` when it is another text.
    pub(super) fn in_place_of(&self, spelt: &[u8]) -> Option<Vec<Vec<u8>>> {
        let mut found = Vec::new();
        self.values(spelt, true, |_, sent| found.push(sent.to_vec()))?;
        Some(found)
    }

    /// Each placeholder gets as little as lets what follows it come next, the last one all that is left. That finds a way
    /// if there is one.
    fn values<'t>(&'t self, spelt: &[u8], whole: bool, mut each: impl FnMut(&'t Placeholder, &[u8])) -> Option<()> {
        let decoded = if self.decoded { self.spelling.decode(spelt) } else { Cow::Borrowed(spelt) };
        let mut rest = decoded.strip_prefix(&*self.before)?;
        let ((last, end), holes) = self.holes.split_last()?;
        for (placeholder, literal) in holes {
            let at = memmem::find(rest, literal)?;
            each(placeholder, &rest[..at]);
            rest = &rest[at + literal.len()..];
        }
        let value = match whole || end.is_empty() {
            true => rest.strip_suffix(&**end)?,
            false => &rest[..memmem::find(rest, end)?],
        };
        each(last, value);
        Some(())
    }

    /// Whether the value that was sent is the placeholder's; `None` when that can't be told.
    fn tells(&self, placeholder: &Placeholder, sent: &[u8], values: &Values) -> Option<bool> {
        let spelling = if self.decoded { Spelling::Plain } else { self.spelling };
        let decoded = spelling.decode(sent);
        let is = |text: &[u8]| {
            let mut found = placeholder::find(text);
            let all = found.next().filter(|found| found.range == (0..text.len()))?;
            Some(all.placeholder == *placeholder)
        };
        is(sent).or_else(|| is(&decoded)).or_else(|| values.is(placeholder, &decoded))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use harproxy_redact::PlaceholderName;

    fn told(template: &str, spelling: Spelling, sent: &str) -> Option<(usize, usize, usize)> {
        let given = Placeholder { name: PlaceholderName::new("pw"), number: 2 };
        let values = Values::new(&[(given, "p@ss wörd".into())]);
        let told = Template::of(template.as_bytes(), spelling).unwrap().fits(sent.as_bytes(), &values)?;
        Some((told.back, told.other, told.open))
    }

    #[test]
    fn any_value_fits_and_the_text_around_it_has_to_be_equal() {
        let template = "Bearer REDACTED-token-1";
        for (sent, expected) in [
            ("Bearer REDACTED-token-1", Some((1, 0, 0))),
            ("Bearer REDACTED-token-2", Some((0, 1, 0))),
            ("Bearer live", Some((0, 0, 1))),
            ("Bearer ", Some((0, 0, 1))),
            ("bearer live", None),
            ("Basic live", None),
        ] {
            assert_eq!(told(template, Spelling::Plain, sent), expected, "{sent}");
        }
    }

    #[test]
    fn several_in_one_text() {
        let template = "a=REDACTED-a-1; b=REDACTED-b-2; c";
        assert_eq!(told(template, Spelling::Plain, "a=1; b=2; b=REDACTED-b-2; c"), Some((0, 0, 2)));
        assert_eq!(told(template, Spelling::Plain, "a=REDACTED-a-1; b=; c"), Some((1, 0, 1)));
        assert_eq!(told(template, Spelling::Plain, "a=1; c"), None);
        assert_eq!(told("REDACTED-a-1,x", Spelling::Plain, ",x"), Some((0, 0, 1)));
        assert_eq!(told("x,REDACTED-a-1,x", Spelling::Plain, "x,x"), None, "the two ends don't share a byte");
    }

    #[test]
    fn a_value_that_is_given_tells_however_it_is_spelt() {
        let pw = "REDACTED-pw-2";
        assert_eq!(told(pw, Spelling::Plain, "p@ss wörd"), Some((1, 0, 0)));
        assert_eq!(told(pw, Spelling::Form, "p%40ss+w%C3%B6rd"), Some((1, 0, 0)));
        assert_eq!(told(pw, Spelling::Percent, "p@ss%20w%C3%B6rd"), Some((1, 0, 0)));
        assert_eq!(told(pw, Spelling::Percent, "p@ss+w%C3%B6rd"), Some((0, 1, 0)));
        assert_eq!(told(pw, Spelling::Json, r"p\u0040ss wörd"), Some((1, 0, 0)));
        assert_eq!(told(&format!("Basic {pw}"), Spelling::Plain, "Basic cEBzcyB3w7ZyZA=="), Some((1, 0, 0)));
        assert_eq!(told(pw, Spelling::Plain, "another"), Some((0, 1, 0)));
    }

    #[test]
    fn a_placeholder_that_is_itself_spelt_otherwise_is_found() {
        let template = "mail=redacted-1%40example.invalid";
        assert_eq!(told(template, Spelling::Form, "mail=ada%40a.test"), Some((0, 0, 1)));
        assert_eq!(told(template, Spelling::Form, template), Some((1, 0, 0)));
        assert_eq!(told(template, Spelling::Form, "male=x"), None);
        assert_eq!(Template::of(b"mail=redacted%40x", Spelling::Form), None);
    }

    #[test]
    fn a_redacted_token_is_one_place_whatever_its_times() {
        // {"exp":1000}, {"exp":1500}
        let then = "eyJhbGciOiJub25lIn0.eyJleHAiOjEwMDB9.REDACTED-token-1";
        let now = "eyJhbGciOiJub25lIn0.eyJleHAiOjE1MDB9.REDACTED-token-1";
        assert_eq!(told(then, Spelling::Plain, now), Some((1, 0, 0)));
        assert_eq!(told(then, Spelling::Plain, "eyJhbGciOiJub25lIn0.eyJleHAiOjE1MDB9.c2lnbmVk"), Some((0, 0, 1)));
        assert_eq!(Template::of(then.as_bytes(), Spelling::Plain), Template::of(now.as_bytes(), Spelling::Plain));
    }

    #[test]
    fn a_text_that_was_cut_off_is_the_beginning_of_others() {
        let template = Template::of(b"k=REDACTED-k-1, n=1", Spelling::Plain).unwrap();
        assert!(template.begins(b"k=v, n=12, m=3", &Values::default()).is_some());
        assert!(template.begins(b"k=v, n=2", &Values::default()).is_none());
        assert!(template.fits(b"k=v, n=12, m=3", &Values::default()).is_none());
    }
}
