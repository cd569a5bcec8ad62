//! The differences of a sent payload and a recorded one: of JSON values, form fields or parts, else of their bytes.

mod json;
mod multipart;

use std::borrow::Cow;

use harproxy_http::MediaType;
use harproxy_json::Pointer;
use serde_json::Value;

use super::distance;
use super::excerpt::common_prefix;
use super::fields::{self, ListDifferences, Parameter};
use super::graphql;
use super::stream_digest::summarise;
use crate::{BodyLocation, BodyRules, Difference, DifferenceKind, Location, RecordedPayload, SentPayload};

/// The most differences that are reported of one payload.
pub const MAX_DIFFERENCES: usize = 5;
/// Longer payloads are not parsed, and none of their content is shown: only lengths, digests and the first differing
/// byte.
pub const EXPLAINED_BYTES: usize = 4 << 20;

#[derive(Debug, Default)]
pub struct PayloadDiff<'a> {
    /// The differences, at most [`MAX_DIFFERENCES`].
    pub differences: Vec<Difference<'a>>,
    pub distance: u32,
    /// The kind of all differences together.
    pub kind: PayloadDiffKind,
    /// The GraphQL operation of the recorded payload.
    pub operation: Option<String>,
}

/// The kind of all differences of two payloads. It decides which rules would make them equal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PayloadDiffKind {
    /// There is no difference.
    #[default]
    Equal,
    /// The JSON values are equal, or would be as GraphQL.
    JsonSpelling,
    /// The JSON values differ at these places, and nowhere else.
    JsonPlaces(Vec<Pointer<'static>>),
    /// The form fields are equal.
    FormSpelling,
    Other,
    /// The payloads are too long to be shown. The differences quote nothing of them.
    Long,
}

/// Compares a sent payload with the bytes of a recorded one, if there is one. `is_equal` tells whether they match by
/// the rules.
#[must_use]
pub fn diff_payloads<'a>(
    sent: &'a SentPayload<'_>,
    recorded: Option<&'a [u8]>,
    recorded_type: &str,
    rules: &BodyRules,
    is_equal: bool,
) -> PayloadDiff<'a> {
    let value = recorded.filter(|bytes| bytes.len() <= EXPLAINED_BYTES).and_then(parse_container);
    let operation = value.as_ref().and_then(graphql::operation);
    if is_equal {
        let distance = if !sent.is_empty() && recorded.is_none() { distance::UNKNOWN } else { 0 };
        return PayloadDiff { operation, distance, ..PayloadDiff::default() };
    }
    let diff = match (sent.is_empty(), recorded) {
        (false, Some(recorded)) => diff_by_syntax(sent, recorded, value, recorded_type, rules),
        (is_missing, recorded) => PayloadDiff {
            differences: vec![diff_bytes(BodyLocation::Whole, (!is_missing).then(|| sent.decoded()), recorded)],
            kind: PayloadDiffKind::Other,
            distance: if is_missing { distance::MISSING_PAYLOAD } else { distance::ADDED_PAYLOAD },
            operation: None,
        },
    };
    PayloadDiff { operation, ..diff }
}

/// Compares payloads of which at least one is longer than [`EXPLAINED_BYTES`]. `recorded_len` is the length of the
/// recorded payload, if there is one, and `differs_from` the first byte that differs, if that is known.
#[must_use]
pub fn diff_long_payloads(
    sent: &SentPayload<'_>,
    recorded_len: Option<u64>,
    recorded: Option<&RecordedPayload>,
    recorded_type: &str,
    differs_from: Option<u64>,
) -> PayloadDiff<'static> {
    let from = differs_from.map_or_else(String::new, |at| format!(", from byte {at} on another"));
    let left = match sent.digested() {
        _ if sent.is_empty() => None,
        Some(digested) => Some(digested.summary()),
        None => Some(summarise(sent.len(), &sent.digests()[1])),
    };
    let left = left.map(|summary| format!("{summary}{from}"));
    let right = recorded_len.map(|len| match recorded {
        Some(RecordedPayload::Complete { bytes, .. } | RecordedPayload::Cut { bytes, .. }) => summarise(len, bytes),
        _ => format!("{len} bytes"),
    });
    let distance = match (&left, recorded_len) {
        (None, _) => distance::MISSING_PAYLOAD,
        (_, None) => distance::ADDED_PAYLOAD,
        (_, Some(len)) => long_distance(sent, len, recorded_type, differs_from),
    };
    let location = Location::RequestBody(BodyLocation::Whole);
    PayloadDiff {
        differences: vec![Difference::new(location, left.map(Cow::Owned), right.map(Cow::Owned))],
        distance,
        kind: PayloadDiffKind::Long,
        operation: None,
    }
}

/// Estimates the distance of payloads that are not parsed, by media type, length and the first differing byte.
fn long_distance(sent: &SentPayload<'_>, recorded_len: u64, recorded_type: &str, differs_from: Option<u64>) -> u32 {
    let (least, most) = (sent.len().min(recorded_len), sent.len().max(recorded_len).max(1));
    if MediaType::parse(&sent.content_type()).essence() != MediaType::parse(recorded_type).essence() {
        return distance::OTHER_PAYLOAD;
    }
    let nearer = |equal: u64, nearest: u32| {
        let hundredths = u32::try_from(u128::from(equal) * 100 / u128::from(most)).unwrap_or(100);
        distance::OTHER_PAYLOAD - (distance::OTHER_PAYLOAD - nearest) * hundredths / 100
    };
    // Payloads of equal length may be similar.
    nearer(least, distance::PAYLOAD / 2).min(nearer(differs_from.unwrap_or_default(), distance::PAYLOAD_LEAST))
}

fn diff_by_syntax<'a>(
    sent: &'a SentPayload<'_>,
    recorded: &'a [u8],
    recorded_value: Option<Value>,
    recorded_type: &str,
    rules: &BodyRules,
) -> PayloadDiff<'a> {
    let bytes = sent.decoded();
    let sent_type = sent.content_type();
    let types = [MediaType::parse(&sent_type), MediaType::parse(recorded_type)];
    if let (Some(left), Some(right)) = (parse_container(bytes), recorded_value) {
        return json::diff(left, right, rules)
            .unwrap_or_else(|| diff_spelling(bytes, recorded, PayloadDiffKind::JsonSpelling));
    }
    if types[0].is_form_of(bytes) && types[1].is_form_of(recorded) {
        return diff_forms(bytes, recorded)
            .unwrap_or_else(|| diff_spelling(bytes, recorded, PayloadDiffKind::FormSpelling));
    }
    if let Some(found) = multipart::diff(bytes, recorded, &types) {
        return found;
    }
    let similarity = distance::similarity(bytes, recorded);
    let distance = match types[0].essence() == types[1].essence() {
        true => distance::of_payloads(u64::from(100 - similarity), 100),
        false => distance::OTHER_PAYLOAD - (distance::OTHER_PAYLOAD - distance::PAYLOAD_LEAST) * similarity / 100,
    };
    let differences = vec![diff_bytes(BodyLocation::Whole, Some(bytes), Some(recorded))];
    PayloadDiff { differences, kind: PayloadDiffKind::Other, distance, operation: None }
}

/// Parses an object or an array.
fn parse_container(bytes: &[u8]) -> Option<Value> {
    let is_container = matches!(bytes.trim_ascii_start().first(), Some(b'{' | b'['));
    if bytes.len() > EXPLAINED_BYTES || !is_container {
        return None;
    }
    serde_json::from_slice(bytes).ok()
}

/// Returns the difference of two payloads with the same meaning.
fn diff_spelling<'a>(left: &'a [u8], right: &'a [u8], kind: PayloadDiffKind) -> PayloadDiff<'a> {
    let difference = diff_bytes(BodyLocation::Whole, Some(left), Some(right)).with_kind(DifferenceKind::Spelling);
    PayloadDiff { differences: vec![difference], kind, distance: distance::SPELLING, operation: None }
}

/// Returns the differences of the fields of two forms; `None` if they differ only in spelling.
fn diff_forms<'a>(left: &'a [u8], right: &'a [u8]) -> Option<PayloadDiff<'a>> {
    let [left, right] = [left, right].map(String::from_utf8_lossy);
    let sent: Vec<Parameter<'_>> = fields::parameters(&left).collect();
    let recorded = fields::fill_placeholders(&sent, &fields::parameters(&right).collect::<Vec<_>>());
    let total = sent.len().max(recorded.len()) as u64;
    let is_same = |a: &&str, b: &&str| fields::decode_parameter(a).1 == fields::decode_parameter(b).1;
    let (differences, distance) = match fields::compare_lists(&sent, &recorded, is_same) {
        ListDifferences::None => return None,
        ListDifferences::Order => {
            let location = Location::RequestBody(BodyLocation::Whole);
            let [left, right] = [&left, &right].map(|text| Some(Cow::Owned(text.clone().into_owned())));
            let difference = Difference::new(location, left, right).with_kind(DifferenceKind::Order);
            (vec![difference], distance::SPELLING)
        }
        ListDifferences::Names(names) => {
            let differences = names.iter().take(MAX_DIFFERENCES).map(|name| {
                let [left, right] = fields::shown_values(name);
                let location = Location::RequestBody(BodyLocation::Field(name.name.clone().into_owned()));
                Difference::new(location, left.map(Cow::Owned), right.map(Cow::Owned))
            });
            let distance = names.iter().map(|name| u64::from(fields::parameter_distance(name))).sum();
            let most = u64::from(distance::ADDED_PARAMETER + 1);
            (differences.collect(), distance::of_payloads(distance, total * most))
        }
    };
    Some(PayloadDiff { differences, kind: PayloadDiffKind::Other, distance, operation: None })
}

/// Returns the difference of two payloads, or parts of payloads: as texts if they are UTF-8, else by their lengths and
/// the first bytes that differ.
fn diff_bytes<'a>(place: BodyLocation, left: Option<&'a [u8]>, right: Option<&'a [u8]>) -> Difference<'a> {
    let location = Location::RequestBody(place);
    let texts = [left, right].map(|bytes| bytes.map(std::str::from_utf8).transpose());
    if let [Ok(left), Ok(right)] = texts {
        return Difference::new(location, left.map(Cow::Borrowed), right.map(Cow::Borrowed));
    }
    let at = left.zip(right).map_or(0, |(left, right)| common_prefix(left, right));
    let [left, right] = [left, right].map(|bytes| bytes.map(|bytes| Cow::Owned(describe_bytes(bytes, at))));
    Difference::new(location, left, right)
}

/// Describes bytes that are not text by their length and a few bytes from `at` on.
fn describe_bytes(bytes: &[u8], at: usize) -> String {
    const SHOWN: usize = 8;
    let some = bytes.iter().skip(at).take(SHOWN).map(|byte| format!(" {byte:02x}")).collect::<String>();
    let more = if bytes.len() > at + SHOWN { " …" } else { "" };
    let some = if some.is_empty() { " nothing".to_owned() } else { some };
    format!("{} bytes, from byte {at} on{some}{more}", bytes.len())
}
