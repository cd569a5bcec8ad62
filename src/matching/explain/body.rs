//! Two payloads beside each other: where JSON values, form fields or parts differ; else where the text does.

use serde_json::Value;
use url::form_urlencoded;

use super::super::open::Tree;
use super::super::pattern::Pattern;
use super::super::payload::{Comparison, Recorded, Sent, fold_queries, plain_number};
use super::super::template::Values;
use super::super::{Difference, What, digested, graphql};
use super::compare::{beginning, difference};
use crate::har::Payload;
use crate::http::MediaType;
use crate::http::multipart::{self, Part};

/// Differences that are shown of one payload.
const SHOWN: usize = 5;
/// Payloads longer than this are not taken apart.
const LONGEST: usize = 4 << 20;

/// How two payloads differ.
#[derive(Debug, Default)]
pub(super) struct Compared {
    pub(super) differences: Vec<Difference>,
    /// What would have to be compared otherwise.
    pub(super) nature: Nature,
    /// The GraphQL operation of the recorded one.
    pub(super) operation: Option<String>,
}

/// What kind of difference it is, for the remedy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Nature {
    /// None.
    #[default]
    Equal,
    /// The JSON values are equal, or would be in GraphQL.
    JsonSpelling,
    /// The JSON values differ at these paths, and nowhere else.
    JsonPaths(Vec<String>),
    /// The form fields are equal.
    FormSpelling,
    /// Anything else.
    Other,
}

/// Compares a request's payload with a recorded one (`None` when it has none). `equal`: it is none of the differences.
pub(super) fn compare(
    sent: &Sent<'_>,
    recorded: Option<&[u8]>,
    recorded_type: &str,
    comparison: &Comparison,
    equal: bool,
) -> Compared {
    let parsed = recorded.filter(|bytes| bytes.len() <= LONGEST).and_then(parse);
    let operation = parsed.as_ref().and_then(graphql::operation);
    if equal {
        return Compared { operation, ..Compared::default() };
    }
    let (differences, nature) = match (sent.is_empty(), recorded) {
        (false, Some(recorded)) => differ(sent, recorded, parsed, recorded_type, comparison),
        (no_body, recorded) => {
            let (sent, recorded) =
                ((!no_body).then(|| preview(sent.decoded(), 0)), recorded.map(|bytes| preview(bytes, 0)));
            (vec![difference(What::Body, "", sent.as_deref(), recorded.as_deref())], Nature::Other)
        }
    };
    Compared { differences, nature, operation }
}

/// The same for payloads of which one is too long to be looked into.
pub(super) fn compare_long(sent: &Sent<'_>, stored: Option<&Payload>, recorded: &Recorded) -> Compared {
    let shown = match sent.as_digested() {
        _ if sent.is_empty() => None,
        Some(digested) => Some(digested.shown()),
        None => Some(digested::in_words(sent.decoded().len() as u64, &sent.digests()[1])),
    };
    let kept = stored.map(|stored| match recorded {
        Recorded::Kept { bytes, .. } | Recorded::Cut { bytes, .. } => digested::in_words(stored.len(), bytes),
        _ => format!("{} bytes", stored.len()),
    });
    let differences = vec![difference(What::Body, "", shown.as_deref(), kept.as_deref())];
    Compared { differences, nature: Nature::Other, operation: None }
}

fn parse(bytes: &[u8]) -> Option<Value> {
    serde_json::from_slice(bytes).ok().filter(|value: &Value| value.is_object() || value.is_array())
}

fn differ(
    sent: &Sent<'_>,
    recorded: &[u8],
    parsed: Option<Value>,
    recorded_type: &str,
    comparison: &Comparison,
) -> (Vec<Difference>, Nature) {
    let bytes = sent.decoded();
    let sent_type = sent.content_type();
    let types = [MediaType::parse(&sent_type), MediaType::parse(recorded_type)];
    if bytes.len() <= LONGEST {
        if let (Some(mut a), Some(mut b)) = (parse(bytes), parsed) {
            comparison.strip(&mut a);
            comparison.strip(&mut b);
            // White space in a GraphQL query is a difference only where nothing else would be left of it.
            [&mut a, &mut b].into_iter().for_each(fold_queries);
            return json_differences(&a, &b).unwrap_or_else(|| spelling(bytes, recorded, Nature::JsonSpelling));
        }
        if types.iter().all(MediaType::is_form) {
            return form_differences(bytes, recorded)
                .unwrap_or_else(|| spelling(bytes, recorded, Nature::FormSpelling));
        }
        if let Some(differences) = multipart_differences(bytes, recorded, &types) {
            return (differences, Nature::Other);
        }
    }
    spelling(bytes, recorded, Nature::Other)
}

/// The place where two texts begin to differ.
fn spelling(a: &[u8], b: &[u8], nature: Nature) -> (Vec<Difference>, Nature) {
    let same = common(a, b);
    let (a, b) = (preview(a, same), preview(b, same));
    (vec![difference(What::Body, "", Some(&a), Some(&b))], nature)
}

/// A few words of a payload, from a little before `at` on.
fn preview(bytes: &[u8], at: usize) -> String {
    const BEFORE: usize = 20;
    const SHOWN: usize = 300;
    let Ok(text) = std::str::from_utf8(bytes) else {
        const BYTES: usize = 8;
        let some = bytes.iter().skip(at).take(BYTES).map(|byte| format!(" {byte:02x}")).collect::<String>();
        return format!("{} bytes that are not text, from {at} on{some}", bytes.len());
    };
    let mut start = at.saturating_sub(BEFORE).min(text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    format!("{}{}", if start > 0 { "…" } else { "" }, beginning(&text[start..], SHOWN))
}

/// Where two JSON values differ; `None` when they don't.
fn json_differences(a: &Value, b: &Value) -> Option<(Vec<Difference>, Nature)> {
    let mut found = Vec::new();
    walk(a, b, &mut "$".to_owned(), &mut found);
    if found.is_empty() {
        return None;
    }
    let complete = found.len() <= SHOWN;
    found.truncate(SHOWN);
    // A whole payload can't be ignored by a path.
    let paths = found.iter().map(|difference| difference.name.clone()).collect::<Vec<_>>();
    let nature = if complete && !paths.contains(&"$".to_owned()) { Nature::JsonPaths(paths) } else { Nature::Other };
    Some((found, nature))
}

fn walk(a: &Value, b: &Value, path: &mut String, found: &mut Vec<Difference>) {
    if found.len() > SHOWN {
        return;
    }
    let length = path.len();
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let names = a.keys().chain(b.keys().filter(|name| !a.contains_key(*name)));
            for name in names {
                path.push_str(&member(name));
                step(a.get(name), b.get(name), path, found);
                path.truncate(length);
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            for n in 0..a.len().max(b.len()) {
                path.push_str(&format!("[{n}]"));
                step(a.get(n), b.get(n), path, found);
                path.truncate(length);
            }
        }
        (Value::Number(a_number), Value::Number(b_number)) if plain_number(a_number) == plain_number(b_number) => {}
        (a, b) if a == b || Tree::new(b.clone()).fits(a, &Values::default()).is_some() => {}
        (a, b) => {
            // Quotes only where they tell a text from a number.
            let same_kind = std::mem::discriminant(a) == std::mem::discriminant(b);
            found.push(difference(What::Body, path, Some(&shown(a, same_kind)), Some(&shown(b, same_kind))));
        }
    }
}

/// A member as a step of a JSON path (RFC 9535): `.name`, or `['…']` when it is not a word.
fn member(name: &str) -> String {
    let word = name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    if word { format!(".{name}") } else { format!("['{}']", name.replace('\\', r"\\").replace('\'', r"\'")) }
}

fn step(a: Option<&Value>, b: Option<&Value>, path: &mut String, found: &mut Vec<Difference>) {
    match (a, b) {
        (Some(a), Some(b)) => walk(a, b, path, found),
        (a, b) => {
            let [a, b] = [a, b].map(|value| value.map(|value| shown(value, true)));
            found.push(difference(What::Body, path, a.as_deref(), b.as_deref()));
        }
    }
}

fn shown(value: &Value, bare: bool) -> String {
    match value {
        Value::String(text) if bare => text.clone(),
        value => value.to_string(),
    }
}

/// Which form fields differ, by place; `None` when none does.
fn form_differences(a: &[u8], b: &[u8]) -> Option<(Vec<Difference>, Nature)> {
    let [a, b] = [a, b].map(|bytes| form_urlencoded::parse(bytes).into_owned().collect::<Vec<_>>());
    let found = by_place(&a, &b, |(name, _)| name.clone(), |(_, value)| value.as_bytes(), |_| "");
    (!found.is_empty()).then_some((found, Nature::Other))
}

/// Which parts differ, by place; `None` when the payloads are not both multipart.
fn multipart_differences(a: &[u8], b: &[u8], types: &[MediaType; 2]) -> Option<Vec<Difference>> {
    let parts = |bytes, media_type: &MediaType| {
        multipart::parts(bytes, media_type.parameter("boundary").filter(|_| media_type.is_multipart())?)
    };
    let (a, b) = (parts(a, &types[0])?, parts(b, &types[1])?);
    let (a, b) = (named(a), named(b));
    let name = |(name, _): &(String, Part<'_>)| name.clone();
    let content_type = |(_, part): &(String, Part<'_>)| part.header("content-type").unwrap_or_default().to_owned();
    let mut found = by_place(&a, &b, name, |(_, part)| part.body, content_type);
    if found.is_empty() {
        found = by_place(&a, &b, name, |(_, part)| part.headers, |_| "");
    }
    Some(found).filter(|found| !found.is_empty())
}

/// The parts with their names; those of what is no form have none and are counted.
fn named(parts: Vec<Part<'_>>) -> Vec<(String, Part<'_>)> {
    let name = |(n, part): (usize, &Part<'_>)| part.name().unwrap_or_else(|| format!("part {n}"));
    let names: Vec<String> = (1..).zip(&parts).map(name).collect();
    names.into_iter().zip(parts).collect()
}

/// Compares two lists place by place, and shows where their items begin to differ.
fn by_place<T, M: AsRef<str>>(
    a: &[T],
    b: &[T],
    name: impl Fn(&T) -> String,
    bytes: impl Fn(&T) -> &[u8],
    content_type: impl Fn(&T) -> M,
) -> Vec<Difference> {
    let fits = |a: &T, b: &T| {
        let pattern = Pattern::of(content_type(b).as_ref(), bytes(b));
        pattern.is_some_and(|pattern| pattern.fits(bytes(a), &Values::default()).is_some())
    };
    let mut found = Vec::new();
    for n in 0..a.len().max(b.len()) {
        match (a.get(n), b.get(n)) {
            (Some(a), Some(b)) if name(a) != name(b) => {
                found.push(difference(What::Body, &name(a), Some(&preview(bytes(a), 0)), None));
                found.push(difference(What::Body, &name(b), None, Some(&preview(bytes(b), 0))));
            }
            (Some(a), Some(b)) if bytes(a) == bytes(b) || fits(a, b) => {}
            (a, b) => {
                let named = a.or(b).map(&name).unwrap_or_default();
                let [a, b] = [a, b].map(|item| item.map(&bytes));
                let same = a.zip(b).map_or(0, |(a, b)| common(a, b));
                let [a, b] = [a, b].map(|item| item.map(|bytes| preview(bytes, same)));
                found.push(difference(What::Body, &named, a.as_deref(), b.as_deref()));
            }
        }
        if found.len() >= SHOWN {
            break;
        }
    }
    found
}

/// How many bytes two payloads begin with alike.
fn common(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}
