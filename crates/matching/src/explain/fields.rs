//! Two lists of named values beside each other: the parameters of a query, the fields of a form, the parts of a multipart
//! payload.

use std::borrow::Cow;
use std::collections::HashMap;

use url::form_urlencoded;

use super::super::redacted;
use super::super::template::Spelling;
use super::cost;

/// A name in which two lists differ, and its values in each; one that is repeated has several.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unlike<'a, T> {
    pub(super) name: Cow<'a, str>,
    pub(super) sent: Vec<T>,
    pub(super) recorded: Vec<T>,
}

/// What differs between two lists.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fields<'a, T> {
    /// Nothing.
    Same,
    /// These names have other values.
    Unlike(Vec<Unlike<'a, T>>),
    /// All names have the same values, in another order among each other.
    Order,
}

/// Compares by name, in the order of first appearance.
pub(super) fn compare<'a, T: Clone>(
    sent: &[(Cow<'a, str>, T)],
    recorded: &[(Cow<'a, str>, T)],
    same: impl Fn(&T, &T) -> bool,
) -> Fields<'a, T> {
    let equal = |a: &[T], b: &[T]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b));
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut found: Vec<Unlike<'a, T>> = Vec::new();
    for (side, list) in [sent, recorded].into_iter().enumerate() {
        for (name, value) in list {
            let place = *places.entry(name).or_insert_with(|| {
                found.push(Unlike { name: name.clone(), sent: Vec::new(), recorded: Vec::new() });
                found.len() - 1
            });
            let known = &mut found[place];
            if side == 0 { &mut known.sent } else { &mut known.recorded }.push(value.clone());
        }
    }
    found.retain(|unlike| !equal(&unlike.sent, &unlike.recorded));
    let in_order = || sent.len() == recorded.len() && sent.iter().zip(recorded).all(|((a, _), (b, _))| a == b);
    match found.is_empty() {
        false => Fields::Unlike(found),
        true if in_order() => Fields::Same,
        true => Fields::Order,
    }
}

/// A parameter as it is written.
pub(super) type Raw<'a> = (Cow<'a, str>, &'a str);

/// `a=1&b=2` in pieces: what is written of each under its decoded name.
pub(super) fn raw(text: &str) -> impl Iterator<Item = Raw<'_>> {
    text.split('&').filter(|raw| !raw.is_empty()).map(|raw| (decoded(raw).0, raw))
}

/// One of them, decoded.
pub(super) fn decoded(raw: &str) -> (Cow<'_, str>, Cow<'_, str>) {
    form_urlencoded::parse(raw.as_bytes()).next().unwrap_or_default()
}

/// What was recorded, with what the request has wherever that fits a placeholder.
pub(super) fn filled<'a>(asked: &[Raw<'a>], recorded: &[Raw<'a>]) -> Vec<Raw<'a>> {
    let mut left: Vec<&Raw<'a>> = asked.iter().collect();
    let fill = |kept: &Raw<'a>| {
        // By name, the first that is left of it.
        let Some(at) = left.iter().position(|sent| sent.0 == kept.0) else { return kept.clone() };
        let sent = left.remove(at);
        if redacted::fits(kept.1, sent.1, Spelling::Form) { sent.clone() } else { kept.clone() }
    };
    recorded.iter().map(fill).collect()
}

/// The values of both sides in words: decoded where that tells them apart, else as they are written.
pub(super) fn shown(unlike: &Unlike<'_, &str>) -> [Option<String>; 2] {
    let decode = |list: &[&str]| list.iter().map(|raw| decoded(raw).1).collect::<Vec<_>>().join(", ");
    let written = |list: &[&str]| {
        list.iter().map(|raw| raw.split_once('=').map_or("", |(_, value)| value)).collect::<Vec<_>>().join(", ")
    };
    let (sent, recorded) = (&unlike.sent[..], &unlike.recorded[..]);
    let shown = match sent.len() == recorded.len() && decode(sent) == decode(recorded) {
        false => [decode(sent), decode(recorded)],
        true if written(sent) != written(recorded) => [written(sent), written(recorded)],
        // The name itself is spelt otherwise, or there is a `=` too many.
        true => [sent.join(", "), recorded.join(", ")],
    };
    let [a, b] = shown;
    [(!sent.is_empty()).then_some(a), (!recorded.is_empty()).then_some(b)]
}

/// Whether the names that both lists have equally often stand in one order.
pub(super) fn are_in_order<T>(sent: &[(Cow<'_, str>, T)], recorded: &[(Cow<'_, str>, T)]) -> bool {
    let mut times: HashMap<&str, [usize; 2]> = HashMap::new();
    for (side, list) in [sent, recorded].into_iter().enumerate() {
        list.iter().for_each(|(name, _)| times.entry(name).or_default()[side] += 1);
    }
    let in_both = |(name, _): &&(Cow<'_, str>, T)| times.get(&**name).is_some_and(|[a, b]| a == b);
    sent.iter().filter(in_both).map(|(name, _)| name).eq(recorded.iter().filter(in_both).map(|(name, _)| name))
}

/// What parameters that differ add to the distance.
pub(super) fn distance(unlike: &Unlike<'_, &str>) -> u32 {
    match (&unlike.sent[..], &unlike.recorded[..]) {
        ([a], [b]) => {
            let ((_, a), (_, b)) = (decoded(a), decoded(b));
            if a == b { cost::SPELLING } else { cost::value(&a, &b) }
        }
        (sent, recorded) if sent.len() < recorded.len() => cost::NO_PARAMETER,
        _ => cost::MORE_PARAMETER,
    }
}
