//! Two payloads beside each other: where JSON values, form fields or parts differ; else where their bytes begin to.

mod fields;
mod json;

use serde_json::Value;

use super::super::digested::{self, Digested};
use super::super::payload::{Comparison, Recorded, Sent, fold_queries};
use super::super::{Difference, What, graphql, shown};
use super::compare::difference;
use super::cost;
use super::excerpt::common;
use harproxy_har::Payload;
use harproxy_http::MediaType;

/// Differences that are shown of one payload.
pub(super) const SHOWN: usize = 5;
/// Payloads longer than this are not taken apart, and none of what is in them is told: no more than their lengths, digests and
/// where they begin to differ.
pub(super) const LONGEST: usize = shown::LONGEST;

/// How two payloads differ.
#[derive(Debug, Default)]
pub(super) struct Compared {
    pub(super) differences: Vec<Difference>,
    /// How far apart they are.
    pub(super) cost: u32,
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
    /// Anything else, and nothing in what is told stands in the payloads themselves.
    Long,
}

/// Where a difference was found, what kind it is, and what it costs.
struct Found {
    differences: Vec<Difference>,
    nature: Nature,
    cost: u32,
}

/// Compares a request's payload with a recorded one (`None` when it has none). `equal`: it is none of the differences.
pub(super) fn compare(
    sent: &Sent<'_>,
    recorded: Option<&[u8]>,
    recorded_type: &str,
    comparison: &Comparison,
    equal: bool,
) -> Compared {
    let parsed = recorded.filter(|bytes| bytes.len() <= LONGEST).and_then(json::parse);
    let operation = parsed.as_ref().and_then(graphql::operation);
    if equal {
        let cost = if !sent.is_empty() && recorded.is_none() { cost::UNKNOWN } else { 0 };
        return Compared { operation, cost, ..Compared::default() };
    }
    let Found { differences, nature, cost } = match (sent.is_empty(), recorded) {
        (false, Some(recorded)) => differ(sent, recorded, parsed, recorded_type, comparison),
        (no_body, recorded) => {
            let differences = vec![unequal("", (!no_body).then(|| sent.decoded()), recorded)];
            let cost = if no_body { cost::NO_PAYLOAD } else { cost::MORE_PAYLOAD };
            Found { differences, nature: Nature::Other, cost }
        }
    };
    Compared { differences, cost, nature, operation }
}

/// The same for payloads of which one is too long to be looked into. `at` is where they begin to differ, if that is known.
pub(super) fn compare_long(
    sent: &Sent<'_>,
    stored: Option<&Payload>,
    recorded: Option<&Recorded>,
    recorded_type: &str,
    at: Option<u64>,
) -> Compared {
    let from = at.map_or_else(String::new, |at| format!(", from byte {at} on another"));
    let shown = match sent.as_digested() {
        _ if sent.is_empty() => None,
        Some(digested) => Some(digested.shown()),
        None => Some(digested::in_words(sent.decoded().len() as u64, &sent.digests()[1])),
    };
    let kept = stored.map(|stored| match recorded {
        Some(Recorded::Kept { bytes, .. } | Recorded::Cut { bytes, .. }) => digested::in_words(stored.len(), bytes),
        _ => format!("{} bytes", stored.len()),
    });
    let shown = shown.map(|shown| format!("{shown}{from}"));
    let cost = match (&shown, &kept) {
        (None, _) => cost::NO_PAYLOAD,
        (_, None) => cost::MORE_PAYLOAD,
        _ => long_cost(sent, stored.map_or(0, Payload::len), recorded_type, at),
    };
    let differences = vec![difference(What::Body, "", shown.as_deref(), kept.as_deref())];
    Compared { differences, cost, nature: Nature::Long, operation: None }
}

/// How far apart two payloads are that are not looked into, as far as their types, their lengths and where they begin to differ tell.
fn long_cost(sent: &Sent<'_>, recorded: u64, recorded_type: &str, at: Option<u64>) -> u32 {
    let len = sent.as_digested().map_or(sent.decoded().len() as u64, Digested::len);
    let sent_type = sent.content_type();
    let (least, most) = (len.min(recorded), len.max(recorded).max(1));
    if MediaType::parse(&sent_type).essence() != MediaType::parse(recorded_type).essence() {
        return cost::OTHER_PAYLOAD;
    }
    let nearer = |alike: u64, nearest: u32| {
        let hundredths = u32::try_from(u128::from(alike) * 100 / u128::from(most)).unwrap_or(100);
        cost::OTHER_PAYLOAD - (cost::OTHER_PAYLOAD - nearest) * hundredths / 100
    };
    // Of equal lengths the one may be much like the other.
    nearer(least, cost::PAYLOAD / 2).min(nearer(at.unwrap_or_default(), cost::PAYLOAD_LEAST))
}

fn differ(
    sent: &Sent<'_>,
    recorded: &[u8],
    parsed: Option<Value>,
    recorded_type: &str,
    comparison: &Comparison,
) -> Found {
    let bytes = sent.decoded();
    let sent_type = sent.content_type();
    let types = [MediaType::parse(&sent_type), MediaType::parse(recorded_type)];
    if let (Some(mut a), Some(mut b)) = (json::parse(bytes), parsed) {
        let operations = [graphql::operation(&a), graphql::operation(&b)];
        comparison.strip(&mut a);
        comparison.strip(&mut b);
        // White space in a GraphQL query is a difference only where nothing else would be left of it.
        [&mut a, &mut b].into_iter().for_each(fold_queries);
        let Some(mut found) = json::differences(&a, &b) else { return spelling(bytes, recorded, Nature::JsonSpelling) };
        if operations[0] != operations[1] {
            found.cost += cost::OPERATION;
        }
        return found;
    }
    if types[0].is_form_of(bytes) && types[1].is_form_of(recorded) {
        return fields::of_forms(bytes, recorded).unwrap_or_else(|| spelling(bytes, recorded, Nature::FormSpelling));
    }
    if let Some(found) = fields::of_parts(bytes, recorded, &types) {
        return found;
    }
    let cost = match types[0].essence() == types[1].essence() {
        true => apart(u64::from(100 - cost::likeness(bytes, recorded)), 100),
        false => {
            cost::OTHER_PAYLOAD - (cost::OTHER_PAYLOAD - cost::PAYLOAD_LEAST) * cost::likeness(bytes, recorded) / 100
        }
    };
    Found { differences: vec![unequal("", Some(bytes), Some(recorded))], nature: Nature::Other, cost }
}

/// The same thing spelt otherwise: where the bytes begin to differ.
fn spelling(a: &[u8], b: &[u8], nature: Nature) -> Found {
    Found { differences: vec![unequal("", Some(a), Some(b))], nature, cost: cost::SPELLING }
}

/// The distance of payloads of which so many parts differ, of so many.
fn apart(differing: u64, of: u64) -> u32 {
    let span = u64::from(cost::PAYLOAD - cost::PAYLOAD_LEAST);
    cost::PAYLOAD_LEAST + u32::try_from(differing * span / of.max(1)).unwrap_or(u32::MAX).min(cost::PAYLOAD)
}

/// A difference of two payloads, or of two things in them: as texts, if they are, else by their lengths and the first bytes
/// that differ.
fn unequal(name: &str, a: Option<&[u8]>, b: Option<&[u8]>) -> Difference {
    let texts = [a, b].map(|bytes| bytes.map(std::str::from_utf8).transpose());
    if let [Ok(a), Ok(b)] = texts {
        return difference(What::Body, name, a, b);
    }
    let at = a.zip(b).map_or(0, |(a, b)| common(a, b));
    let [a, b] = [a, b].map(|bytes| bytes.map(|bytes| bytes_from(bytes, at)));
    difference(What::Body, name, a.as_deref(), b.as_deref())
}

/// A few bytes of what is no text, from `at` on.
fn bytes_from(bytes: &[u8], at: usize) -> String {
    const SHOWN: usize = 8;
    let some = bytes.iter().skip(at).take(SHOWN).map(|byte| format!(" {byte:02x}")).collect::<String>();
    let more = if bytes.len() > at + SHOWN { " …" } else { "" };
    let some = if some.is_empty() { " nothing".to_owned() } else { some };
    format!("{} bytes, from byte {at} on{some}{more}", bytes.len())
}
