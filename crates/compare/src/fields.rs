//! The differences of two lists of named values: query parameters, form fields, header fields, multipart parts.

use std::borrow::Cow;
use std::collections::HashMap;

use url::form_urlencoded;

use super::distance;
use super::template::{Encoding, differs_only_in_placeholders};

/// A name whose values differ between two lists. A repeated name has several values.
#[derive(Debug, PartialEq, Eq)]
pub struct NameDifference<'a, T> {
    pub name: Cow<'a, str>,
    pub left: Vec<T>,
    pub right: Vec<T>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum ListDifferences<'a, T> {
    None,
    /// These names have different values.
    Names(Vec<NameDifference<'a, T>>),
    /// All names have the same values; the names come in another order.
    Order,
}

/// Compares two lists by name, in the order of first appearance.
pub fn compare_lists<'a, T: Clone>(
    left: &[(Cow<'a, str>, T)],
    right: &[(Cow<'a, str>, T)],
    is_same: impl Fn(&T, &T) -> bool,
) -> ListDifferences<'a, T> {
    let are_same = |a: &[T], b: &[T]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b));
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut found: Vec<NameDifference<'a, T>> = Vec::new();
    for (is_right, list) in [(false, left), (true, right)] {
        for (name, value) in list {
            let place = *places.entry(name).or_insert_with(|| {
                found.push(NameDifference { name: name.clone(), left: Vec::new(), right: Vec::new() });
                found.len() - 1
            });
            let known = &mut found[place];
            if is_right { &mut known.right } else { &mut known.left }.push(value.clone());
        }
    }
    found.retain(|difference| !are_same(&difference.left, &difference.right));
    let is_in_order = || left.len() == right.len() && left.iter().zip(right).all(|((a, _), (b, _))| a == b);
    match found.is_empty() {
        false => ListDifferences::Names(found),
        true if is_in_order() => ListDifferences::None,
        true => ListDifferences::Order,
    }
}

/// Returns true if the names that occur equally often in both lists come in the same order.
pub fn are_in_order<T>(left: &[(Cow<'_, str>, T)], right: &[(Cow<'_, str>, T)]) -> bool {
    let mut counts: HashMap<&str, [usize; 2]> = HashMap::new();
    for (side, list) in [left, right].into_iter().enumerate() {
        list.iter().for_each(|(name, _)| counts.entry(name).or_default()[side] += 1);
    }
    let is_in_both = |(name, _): &&(Cow<'_, str>, T)| counts.get(&**name).is_some_and(|[a, b]| a == b);
    left.iter().filter(is_in_both).map(|(name, _)| name).eq(right.iter().filter(is_in_both).map(|(name, _)| name))
}

/// A parameter as it is written (`name=value`), under its decoded name.
pub type Parameter<'a> = (Cow<'a, str>, &'a str);

/// Returns the parameters of a query or form.
pub fn parameters(text: &str) -> impl Iterator<Item = Parameter<'_>> {
    text.split('&').filter(|raw| !raw.is_empty()).map(|raw| (decode_parameter(raw).0, raw))
}

pub(super) fn decode_parameter(raw: &str) -> (Cow<'_, str>, Cow<'_, str>) {
    form_urlencoded::parse(raw.as_bytes()).next().unwrap_or_default()
}

/// Replaces the recorded parameters with placeholders by the sent ones that fit them.
#[must_use]
pub fn fill_placeholders<'a>(sent: &[Parameter<'a>], recorded: &[Parameter<'a>]) -> Vec<Parameter<'a>> {
    let mut free: Vec<&Parameter<'a>> = sent.iter().collect();
    let fill = |kept: &Parameter<'a>| {
        // The first sent parameter of this name that is not used yet.
        let Some(at) = free.iter().position(|sent| sent.0 == kept.0) else { return kept.clone() };
        let sent = free.remove(at);
        if differs_only_in_placeholders(kept.1, sent.1, Encoding::Form) { sent.clone() } else { kept.clone() }
    };
    recorded.iter().map(fill).collect()
}

/// Returns the values of both sides as text: decoded if they differ then, else as they are written.
#[must_use]
pub fn shown_values(difference: &NameDifference<'_, &str>) -> [Option<String>; 2] {
    let decode = |list: &[&str]| list.iter().map(|raw| decode_parameter(raw).1).collect::<Vec<_>>().join(", ");
    let written = |list: &[&str]| {
        list.iter().map(|raw| raw.split_once('=').map_or("", |(_, value)| value)).collect::<Vec<_>>().join(", ")
    };
    let (left, right) = (&difference.left[..], &difference.right[..]);
    let [a, b] = match left.len() == right.len() && decode(left) == decode(right) {
        false => [decode(left), decode(right)],
        true if written(left) != written(right) => [written(left), written(right)],
        // The name is spelled in another way, or there is one `=` more.
        true => [left.join(", "), right.join(", ")],
    };
    [(!left.is_empty()).then_some(a), (!right.is_empty()).then_some(b)]
}

/// Returns the distance that a parameter with different values adds.
#[must_use]
pub fn parameter_distance(difference: &NameDifference<'_, &str>) -> u32 {
    match (&difference.left[..], &difference.right[..]) {
        ([a], [b]) => {
            let ((_, a), (_, b)) = (decode_parameter(a), decode_parameter(b));
            if a == b { distance::SPELLING } else { distance::of_values(&a, &b) }
        }
        (left, right) if left.len() < right.len() => distance::MISSING_PARAMETER,
        _ => distance::ADDED_PARAMETER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(left: &'static str, right: &'static str) -> String {
        let [left, right] = [left, right].map(|text| parameters(text).collect::<Vec<_>>());
        match compare_lists(&left, &fill_placeholders(&left, &right), |a, b| a == b) {
            ListDifferences::None => "none".to_owned(),
            ListDifferences::Order => "order".to_owned(),
            ListDifferences::Names(names) => names
                .iter()
                .map(|one| format!("{}:{:?}", one.name, shown_values(one).map(Option::unwrap_or_default)))
                .collect::<Vec<_>>()
                .join(" "),
        }
    }

    #[test]
    fn lists_are_compared_by_name() {
        for (left, right, expected) in [
            ("a=1&b=2", "a=1&b=2", "none"),
            ("b=2&a=1", "a=1&b=2", "order"),
            ("a=1&b=2", "a=1&b=3", r#"b:["2", "3"]"#),
            ("a=1&a=2", "a=1", r#"a:["1, 2", "1"]"#),
            ("c=1", "a=1", r#"c:["1", ""] a:["", "1"]"#),
            ("a=%41", "a=A", r#"a:["%41", "A"]"#),
            ("%61=1", "a=1", r#"a:["%61=1", "a=1"]"#),
            ("k=live", "k=REDACTED-k-1", "none"),
        ] {
            assert_eq!(compared(left, right), expected, "{left} {right}");
        }
    }
}
