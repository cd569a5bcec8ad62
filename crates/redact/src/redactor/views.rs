//! Views: the parts of a text that have a format of their own, such as JSON in a script, base64 of JSON, or the query
//! of a URL. Each is decoded and searched like a payload. Its replacements are spelled as the part is.

use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

use super::decoded::{DecodedText, TextEncoding};
use super::links::find_links;
use super::markup::find_elements;
use super::named_text::{NamedPlace, NamedText, find_assignments, find_strings};
use super::{MAX_DEPTH, Redactor, SecretName};
use crate::base64_text::{self, Base64Text};
use crate::find::automaton::automaton;
use crate::names::NameLocation;
use crate::replace::placeholder::{PlaceholderName, ValueFormat};
use crate::splice::{Splice, apply_splices, remove_overlaps};
use harproxy_json::scan::{is_between_strings, is_space};

/// The length of the shortest view with a secret, bytes: `?pin=1`.
const MIN_LEN: usize = 6;

/// Matches texts with JSON: they contain a quote with a colon behind it, or a quote in an escape.
const JSON_HINTS: [&str; 8] = ["\":", "\" :", "\\\"", "\\u0022", "&quot;", "&#34;", "&#x22;", "%22"];
static FIND_JSON_HINTS: LazyLock<AhoCorasick> = LazyLock::new(|| automaton(&JSON_HINTS));

/// A part of a text with a format of its own.
struct View<'t> {
    range: Range<usize>,
    format: ViewFormat<'t>,
}

enum ViewFormat<'t> {
    /// JSON, also if it is cut off.
    Json,
    /// A text that begins with JSON, in a string or an attribute.
    Encoded(TextEncoding),
    Base64(Base64Text),
    /// The query and the fragment of a URL, with character references if it is in markup.
    Link,
    /// A value with its name.
    Named(&'t [u8], NamedPlace),
}

/// The secrets of a view.
pub(super) struct ViewSplices {
    /// The view, with the name if only that makes the value secret.
    pub(super) range: Range<usize>,
    pub(super) splices: Vec<Splice>,
}

/// The length of texts up to which one look at each byte is faster than several searches, bytes.
const SHORT: usize = 128;

/// Returns false if a short text certainly contains no view.
fn may_contain_view(text: &[u8]) -> bool {
    text.iter().enumerate().any(|(at, byte)| match byte {
        b'"' | b'\'' | b'\\' | b'&' | b'%' | b'?' | b'#' | b'<' | b'=' | b'\n' => true,
        b'e' | b'W' | b'L' => base64_text::BEGINNINGS.iter().any(|begin| text[at..].starts_with(begin.as_bytes())),
        _ => false,
    })
}

impl Redactor<'_> {
    /// Finds the secrets in the views of a text, in order.
    pub(super) fn view_splices(&mut self, text: &[u8]) -> Vec<ViewSplices> {
        if self.depth >= MAX_DEPTH || text.len() < MIN_LEN || text.len() < SHORT && !may_contain_view(text) {
            return Vec::new();
        }
        let (mut views, has_json) = find_views(text);
        views.sort_by_key(|view| view.range.start);
        self.depth += 1;
        let search = |View { range, format }| {
            let splices = self.search_view(&text[range.clone()], format).into_iter();
            ViewSplices { splices: splices.map(|splice| splice.shifted(range.start)).collect(), range }
        };
        let mut found: Vec<_> = views.into_iter().map(search).collect();
        self.depth -= 1;
        if has_json {
            found.extend(self.member_splices(text));
        }
        found.retain(|view| !view.splices.is_empty());
        found
    }

    /// Finds the secrets in a view. `raw`: the text of the view.
    fn search_view(&mut self, raw: &[u8], format: ViewFormat<'_>) -> Vec<Splice> {
        match format {
            ViewFormat::Json => self.json_splices(raw, self.depth),
            ViewFormat::Encoded(encoding) => {
                let decoded = DecodedText::new(raw, encoding);
                let splices = self.nested_splices(&decoded.text, false, self.depth);
                decoded.encode_splices(splices, 0).collect()
            }
            ViewFormat::Link => {
                let decoded = DecodedText::new(raw, TextEncoding::Markup);
                let splices = self.url_splices(&decoded.text, self.depth);
                decoded.encode_splices(splices, 0).collect()
            }
            ViewFormat::Named(name, place) => {
                let decoded = DecodedText::new(raw, TextEncoding::Markup);
                let location = match place {
                    NamedPlace::Control | NamedPlace::Variable => NameLocation::Form,
                    NamedPlace::Element | NamedPlace::Line | NamedPlace::String => NameLocation::Member,
                };
                let applies = |name: &SecretName| name.applies_in(place, &decoded.text);
                let Some(name) = self.secret_name(location, name).filter(applies) else { return Vec::new() };
                let splices = self.value_splice(&decoded.text, 0, &name.placeholder);
                decoded.encode_splices(splices, 0).collect()
            }
            ViewFormat::Base64(base64) => self.base64_splice(raw, &base64).into_iter().collect(),
        }
    }

    fn base64_splice(&mut self, raw: &[u8], base64: &Base64Text) -> Option<Splice> {
        let splices = self.nested_splices(&base64.text, false, self.depth);
        let mut with = base64.encode(&apply_splices(&base64.text, &splices)?);
        if with.len() > base64_text::MAX_LEN {
            // Markers in longer base64 are not found.
            with = self.replace_secret(raw, &PlaceholderName::new("base64"), ValueFormat::Base64);
        }
        Some(Splice { range: 0..raw.len(), with })
    }

    /// Finds JSON members with a secret name and a string, without regard to the JSON around them.
    fn member_splices(&mut self, text: &[u8]) -> Vec<ViewSplices> {
        let members = self.find_members(text).into_iter();
        let splice = |found: crate::find::SecretMatch| {
            let decoded = DecodedText::new(&text[found.range.clone()], TextEncoding::Json);
            let splices = self.member_splice(&decoded.text, &PlaceholderName::new(&found.name));
            let splices = decoded.encode_splices(splices, found.range.start).collect();
            ViewSplices { range: found.from..found.range.end + 1, splices }
        };
        members.map(splice).collect()
    }
}

/// Returns the splices of views in order. Where two views find the same, the first one counts.
pub(super) fn merge_views(views: Vec<ViewSplices>) -> Vec<Splice> {
    let mut splices: Vec<Splice> = views.into_iter().flat_map(|view| view.splices).collect();
    remove_overlaps(&mut splices, |splice| splice.range.clone());
    splices
}

/// Finds the views of a text. Returns whether it may contain JSON, too.
fn find_views(text: &[u8]) -> (Vec<View<'_>>, bool) {
    let documents = base64_text::find_documents(text).into_iter();
    let mut views: Vec<_> =
        documents.map(|(range, base64)| View { range, format: ViewFormat::Base64(base64) }).collect();
    let has_json = FIND_JSON_HINTS.is_match(text);
    if has_json {
        find_json(text, &mut views);
    }
    views.extend(find_links(text).into_iter().map(|range| View { range, format: ViewFormat::Link }));
    let named = [find_elements(text), find_assignments(text), find_strings(text)].into_iter().flatten();
    views.extend(
        named.map(|NamedText { name, value, place }| View { range: value, format: ViewFormat::Named(name, place) }),
    );
    (views, has_json)
}

/// Finds objects and arrays that begin with a string, plain or in an encoding.
fn find_json(text: &[u8], views: &mut Vec<View<'_>>) {
    let mut at = 0;
    while let Some(open) = memchr::memchr2(b'{', b'[', &text[at..]).map(|found| at + found) {
        let first = open + 1 + text[open + 1..].iter().take_while(|byte| is_space(**byte)).count();
        let Some(quote) = Quote::at(&text[first..]) else {
            at = open + 1;
            continue;
        };
        let (end, format) = match quote {
            Quote::Plain => (end_of_json(text, open), ViewFormat::Json),
            Quote::Encoded(encoding) => (end_of_encoded(text, first, encoding), ViewFormat::Encoded(encoding)),
        };
        at = end.max(open + 1);
        views.push(View { range: open..at, format });
    }
}

/// How the quotes of JSON are spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quote {
    Plain,
    Encoded(TextEncoding),
}

impl Quote {
    /// Returns the spelling of the quote with which a text begins.
    fn at(text: &[u8]) -> Option<Self> {
        match text.first()? {
            b'"' => Some(Quote::Plain),
            b'\\' => {
                let rest = &text[text.iter().take_while(|byte| **byte == b'\\').count()..];
                (rest.starts_with(b"\"") || rest.starts_with(b"u0022")).then_some(Quote::Encoded(TextEncoding::Json))
            }
            b'&' => {
                let is_quote =
                    ["&quot;", "&#34;", "&#034;", "&#x22;"].iter().any(|quote| text.starts_with(quote.as_bytes()));
                is_quote.then_some(Quote::Encoded(TextEncoding::Markup))
            }
            b'%' => text.starts_with(b"%22").then_some(Quote::Encoded(TextEncoding::Percent)),
            _ => None,
        }
    }
}

/// Returns the end of the JSON that begins with the bracket at `open`: behind the bracket that closes it, or where the
/// text is not JSON.
fn end_of_json(text: &[u8], open: usize) -> usize {
    let (mut at, mut depth) = (open, 0_usize);
    while let Some(byte) = text.get(at) {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            b'"' => match end_of_string(text, at + 1) {
                Some(end) => at = end,
                None => return at,
            },
            byte if is_between_strings(*byte) => {}
            _ => return at,
        }
        at += 1;
        if depth == 0 {
            break;
        }
    }
    at
}

/// Returns the position of the quote that closes a string; the end of a text that is cut off. `None` if the string has
/// a line end, which JSON strings have not.
fn end_of_string(text: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let Some(found) = memchr::memchr3(b'"', b'\\', b'\n', text.get(at..)?) else { return Some(text.len() - 1) };
        match text[at + found] {
            b'"' => return Some(at + found),
            b'\n' => return None,
            _ => at += found + 2,
        }
    }
}

/// Returns the end of the string, the attribute or the URL from `at` on that contains encoded JSON.
fn end_of_encoded(text: &[u8], mut at: usize, encoding: TextEncoding) -> usize {
    let ends = |byte: &u8| byte.is_ascii_whitespace() || b"\"'<>&;".contains(byte);
    let rest = &text[at..];
    match encoding {
        TextEncoding::Json => loop {
            match text.get(at..).and_then(|rest| memchr::memchr3(b'"', b'\\', b'\n', rest)) {
                Some(found) if text[at + found] == b'\\' => at += found + 2,
                Some(found) => return at + found,
                None => return text.len(),
            }
        },
        TextEncoding::Markup => memchr::memchr2(b'"', b'<', rest).map_or(text.len(), |found| at + found),
        _ => rest.iter().position(ends).map_or(text.len(), |found| at + found),
    }
}
