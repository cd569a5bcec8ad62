//! The differences of two JSON payloads, and their distance.

use std::borrow::Cow;
use std::ops::ControlFlow;

use harproxy_json::Pointer;
use serde_json::Value;

use super::{MAX_DIFFERENCES, PayloadDiff, PayloadDiffKind};
use crate::distance;
use crate::graphql;
use crate::json_diff::{ArrayRule, Comparison, walk};
use crate::{BodyLocation, BodyRules, Difference, Location, PlaceholderValues};

/// The most containers that are compared value by value. Further ones are compared as a whole.
const MAX_CONTAINERS: usize = 100_000;
/// The most places that are kept. With more differences the payloads are different ones.
const MAX_PLACES: usize = 64;
/// The weight of a value that only one payload has, and of an equal value.
const WEIGHT: u64 = 100;
/// The weight of a value that differs. It is less if the values resemble each other.
const CHANGED_WEIGHT: u64 = 60;

/// Compares two values without the parts that the rules ignore. Returns `None` if they are equal.
pub(super) fn diff<'a>(mut left: Value, mut right: Value, rules: &BodyRules) -> Option<PayloadDiff<'a>> {
    let operations = [graphql::operation(&left), graphql::operation(&right)];
    for value in [&mut left, &mut right] {
        rules.remove_ignored(value);
        // White space in a GraphQL query is reported only if nothing else differs.
        graphql::fold_queries(value);
    }
    let mut found = WeightedDifferences::default();
    let mut equal = 0;
    let _ = walk(&left, &right, ArrayRule::Elements, &PlaceholderValues::default(), MAX_CONTAINERS, |comparison| {
        match comparison {
            Comparison::Equal(_) => equal += 1,
            Comparison::Different(pointer, left, right) => found.add_difference(pointer, left, right),
        }
        ControlFlow::Continue(())
    });
    let WeightedDifferences { differences, places, differing } = found;
    if places.is_empty() {
        return None;
    }
    // No path can ignore a whole payload.
    let is_complete = places.len() <= MAX_PLACES && !places.iter().any(Pointer::is_root);
    let kind = if is_complete { PayloadDiffKind::JsonPlaces(places) } else { PayloadDiffKind::Other };
    let mut distance = distance::of_payloads(differing, differing + equal * WEIGHT);
    if operations[0] != operations[1] {
        distance += distance::OPERATION;
    }
    Some(PayloadDiff { differences, kind, distance, operation: None })
}

/// Collects the first differences, their places, and their weight.
#[derive(Debug, Default)]
struct WeightedDifferences {
    differences: Vec<Difference<'static>>,
    places: Vec<Pointer<'static>>,
    differing: u64,
}

impl WeightedDifferences {
    fn add_difference(&mut self, pointer: &Pointer<'_>, left: Option<&Value>, right: Option<&Value>) {
        self.differing += weight(left, right);
        if self.differences.len() < MAX_DIFFERENCES {
            // Quotes are shown only if one value is a string and the other is not.
            let is_quoted =
                left.zip(right).is_some_and(|(a, b)| std::mem::discriminant(a) != std::mem::discriminant(b));
            let [left, right] = [left, right].map(|value| value.map(|value| Cow::Owned(shown(value, is_quoted))));
            let location = Location::RequestBody(BodyLocation::Json(pointer.to_owned()));
            self.differences.push(Difference::new(location, left, right));
        }
        if self.places.len() <= MAX_PLACES {
            self.places.push(pointer.to_owned());
        }
    }
}

fn weight(left: Option<&Value>, right: Option<&Value>) -> u64 {
    let similarity = match (left, right) {
        (Some(Value::String(a)), Some(Value::String(b))) => distance::similarity(a.as_bytes(), b.as_bytes()),
        (Some(_), Some(_)) => 0,
        (left, right) => return WEIGHT * left.or(right).map_or(1, scalars),
    };
    CHANGED_WEIGHT - u64::from(similarity) * 2 / 5
}

/// Counts the scalars in a value. An empty container counts as one.
fn scalars(value: &Value) -> u64 {
    match value {
        Value::Array(elements) if !elements.is_empty() => elements.iter().map(scalars).sum(),
        Value::Object(members) if !members.is_empty() => members.values().map(scalars).sum(),
        _ => 1,
    }
}

fn shown(value: &Value, is_quoted: bool) -> String {
    match value {
        Value::String(text) if !is_quoted => text.clone(),
        value => value.to_string(),
    }
}
