//! The differences of two JSON values. Matching ends the walk at the first one, explanations collect them.

use std::ops::ControlFlow;

use harproxy_json::{Pointer, PointerStep};
use serde_json::{Map, Number, Value};

use super::template::score_text;
use crate::{PlaceholderScore, PlaceholderValues};

/// How two arrays of different lengths are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArrayRule {
    /// They are one difference.
    Whole,
    /// Their elements are compared between the equal ones at both ends, so that one element more is one difference.
    Elements,
}

/// A result of [`walk`].
pub(super) enum Comparison<'p, 'v> {
    /// Two values are equal, and the left one agrees like this with the placeholders of the right one.
    Equal(PlaceholderScore),
    /// The values differ at this place.
    Different(&'p Pointer<'v>, Option<&'v Value>, Option<&'v Value>),
}

/// Compares a sent value with a recorded one. Returns `None` if they differ in more than placeholders.
pub fn score_json(sent: &Value, recorded: &Value, values: &PlaceholderValues) -> Option<PlaceholderScore> {
    let mut sum = PlaceholderScore::default();
    let walked = walk(sent, recorded, ArrayRule::Whole, values, usize::MAX, |comparison| match comparison {
        Comparison::Equal(score) => {
            sum.add(score);
            ControlFlow::Continue(())
        }
        Comparison::Different(..) => ControlFlow::Break(()),
    });
    walked.is_continue().then_some(sum)
}

/// Walks along two values at once, until `visit` returns `Break`. Members are visited in the order of the left object,
/// then those of the right one alone. After `max_containers` further containers are compared as a whole.
pub(super) fn walk<'v>(
    left: &'v Value,
    right: &'v Value,
    arrays: ArrayRule,
    values: &PlaceholderValues,
    max_containers: usize,
    visit: impl FnMut(Comparison<'_, 'v>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    Walk { pointer: Pointer::default(), arrays, values, left_containers: max_containers, visit }.pair(left, right)
}

struct Walk<'v, 'a, V> {
    pointer: Pointer<'v>,
    arrays: ArrayRule,
    values: &'a PlaceholderValues,
    /// The number of containers that are still compared value by value.
    left_containers: usize,
    visit: V,
}

impl<'v, V: FnMut(Comparison<'_, 'v>) -> ControlFlow<()>> Walk<'v, '_, V> {
    fn pair(&mut self, left: &'v Value, right: &'v Value) -> ControlFlow<()> {
        let score = match (left, right) {
            (Value::Array(a), Value::Array(b)) if a.len() != b.len() && self.arrays == ArrayRule::Whole => None,
            (Value::Object(a), Value::Object(b)) if self.enters_container() => return self.members(a, b),
            (Value::Array(a), Value::Array(b)) if self.enters_container() => return self.elements(a, b),
            (Value::Object(_), Value::Object(_)) | (Value::Array(_), Value::Array(_)) => {
                score_json(left, right, self.values)
            }
            _ => score_scalar(left, right, self.values),
        };
        (self.visit)(match score {
            Some(score) => Comparison::Equal(score),
            None => Comparison::Different(&self.pointer, Some(left), Some(right)),
        })
    }

    fn enters_container(&mut self) -> bool {
        self.left_containers = self.left_containers.saturating_sub(1);
        self.left_containers > 0
    }

    fn members(&mut self, left: &'v Map<String, Value>, right: &'v Map<String, Value>) -> ControlFlow<()> {
        for (name, value) in left {
            self.step(PointerStep::Member(name.into()), Some(value), right.get(name))?;
        }
        for (name, value) in right.iter().filter(|(name, _)| !left.contains_key(*name)) {
            self.step(PointerStep::Member(name.into()), None, Some(value))?;
        }
        ControlFlow::Continue(())
    }

    fn elements(&mut self, left: &'v [Value], right: &'v [Value]) -> ControlFlow<()> {
        let (mut before, mut after) = (0, 0);
        if left.len() != right.len() {
            let shorter = left.len().min(right.len());
            while before < shorter
                && let Some(score) = score_json(&left[before], &right[before], self.values)
            {
                before += 1;
                (self.visit)(Comparison::Equal(score))?;
            }
            while before + after < shorter
                && let Some(score) =
                    score_json(&left[left.len() - 1 - after], &right[right.len() - 1 - after], self.values)
            {
                after += 1;
                (self.visit)(Comparison::Equal(score))?;
            }
        }
        let [middle, expected] = [left, right].map(|list| &list[..list.len() - after]);
        for index in before..middle.len().max(expected.len()) {
            self.step(PointerStep::Index(index), middle.get(index), expected.get(index))?;
        }
        ControlFlow::Continue(())
    }

    fn step(&mut self, step: PointerStep<'v>, left: Option<&'v Value>, right: Option<&'v Value>) -> ControlFlow<()> {
        self.pointer.push(step);
        match (left, right) {
            (Some(left), Some(right)) => self.pair(left, right)?,
            (left, right) => (self.visit)(Comparison::Different(&self.pointer, left, right))?,
        }
        self.pointer.pop();
        ControlFlow::Continue(())
    }
}

/// Scores a sent value that is a scalar, or whose kind differs from that of the recorded one. Returns `None` if it
/// differs in more than placeholders.
fn score_scalar(sent: &Value, recorded: &Value, values: &PlaceholderValues) -> Option<PlaceholderScore> {
    match (sent, recorded) {
        (Value::String(sent), Value::String(recorded)) => score_text(recorded.as_bytes(), sent.as_bytes(), values),
        (Value::Number(sent), Value::Number(recorded)) => {
            let [sent, recorded] = [sent, recorded].map(canonical_number);
            score_text(recorded.as_bytes(), sent.as_bytes(), values)
        }
        _ => (sent == recorded).then(PlaceholderScore::default),
    }
}

/// Returns a number in one spelling: `1.0` and `1e0` as `1`.
#[expect(clippy::cast_possible_truncation, reason = "only whole numbers that a f64 holds exactly get there")]
pub fn canonical_number(number: &Number) -> String {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match number.as_f64() {
        Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < EXACT => (float as i64).to_string(),
        _ => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// Returns the paths of all differences.
    fn paths(left: &Value, right: &Value, arrays: ArrayRule) -> Vec<String> {
        let mut found = Vec::new();
        let _ = walk(left, right, arrays, &PlaceholderValues::default(), usize::MAX, |comparison| {
            if let Comparison::Different(pointer, ..) = comparison {
                found.push(pointer.to_path());
            }
            ControlFlow::Continue(())
        });
        found
    }

    #[test]
    fn arrays_of_different_lengths_are_compared_as_the_rule_says() {
        let (left, right) = (json!({"a": [1, 2, 3, 4]}), json!({"a": [1, 9, 4]}));
        assert_eq!(paths(&left, &right, ArrayRule::Whole), ["$.a"]);
        assert_eq!(paths(&left, &right, ArrayRule::Elements), ["$.a[1]", "$.a[2]"]);
        assert_eq!(paths(&json!([1, 2]), &json!([1, 2, 3]), ArrayRule::Elements), ["$[2]"]);
    }

    #[test]
    fn values_of_different_kinds_are_one_difference() {
        assert_eq!(paths(&json!({"a": {"b": 1}}), &json!({"a": [1]}), ArrayRule::Elements), ["$.a"]);
        assert_eq!(paths(&json!(1), &json!("1"), ArrayRule::Elements), ["$"]);
        assert_eq!(paths(&json!([1]), &json!({}), ArrayRule::Whole), ["$"]);
    }

    #[test]
    fn numbers_compare_by_their_value() {
        assert_eq!(paths(&json!([1, 1e2]), &json!([1.0, 100]), ArrayRule::Whole), [] as [&str; 0]);
        assert_eq!(paths(&json!(1), &json!(1.5), ArrayRule::Whole), ["$"]);
    }

    #[test]
    fn placeholders_fit_any_value_of_their_kind() {
        let recorded = json!({"user": "ada", "keys": ["Bearer REDACTED-key-1", 73_322_833_001_u64]});
        let fits = json!({"keys": ["Bearer live", 7], "user": "ada"});
        let score = |sent: &Value| score_json(sent, &recorded, &PlaceholderValues::default());
        assert_eq!(score(&fits).map(|score| score.unknown), Some(2));
        assert_eq!(score(&recorded).map(|score| score.confirmed), Some(2));
        for other in [json!({"keys": ["Basic live", 7], "user": "ada"}), json!({"keys": [1, 7], "user": "ada"})] {
            assert_eq!(score(&other), None, "{other}");
            assert_eq!(paths(&other, &recorded, ArrayRule::Whole), ["$.keys[0]"]);
        }
    }

    fn json() -> impl Strategy<Value = Value> {
        let scalar = prop_oneof![
            Just(Value::Null),
            (0_u8..3).prop_map(Value::from),
            Just(Value::from("REDACTED-a-1")),
            Just(Value::from("a")),
        ];
        scalar.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec(("[ab]", inner), 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn early_exit_agrees_with_all_differences(left in json(), right in json()) {
            let fits = score_json(&left, &right, &PlaceholderValues::default());
            for arrays in [ArrayRule::Whole, ArrayRule::Elements] {
                prop_assert_eq!(paths(&left, &right, arrays).is_empty(), fits.is_some());
            }
        }
    }
}
