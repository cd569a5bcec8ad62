//! The differences of two JSON values. Matching ends the walk at the first one, explanations collect them.

use std::ops::ControlFlow;

use harproxy_json::{Pointer, PointerStep};
use serde_json::{Map, Value};

use super::json_template::ExpectedJson;
use super::template::{PlaceholderScore, PlaceholderValues};

/// A place at which two values differ.
#[derive(Clone, Debug)]
pub struct JsonDifference<'v> {
    pub pointer: Pointer<'v>,
    /// The left value; `None` if there is none.
    pub left: Option<&'v Value>,
    /// The right value; `None` if there is none.
    pub right: Option<&'v Value>,
}

/// How two arrays of different lengths are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArrayRule {
    /// They are one difference.
    Whole,
    /// Their elements are compared between the equal ones at both ends, so that one element more is one difference.
    Elements,
}

/// Receives the results of [`walk`].
pub(super) trait JsonVisitor<'v> {
    /// Takes a pair of equal values, and how the left one agrees with the placeholders of the right one.
    fn equal(&mut self, score: PlaceholderScore);

    /// Takes a difference. The walk ends with [`ControlFlow::Break`].
    fn different(
        &mut self,
        pointer: &Pointer<'v>,
        left: Option<&'v Value>,
        right: Option<ExpectedJson<'v>>,
    ) -> ControlFlow<()>;

    /// Returns true if the walk is to descend into the next pair of containers. Otherwise they are compared as a whole.
    fn descends(&mut self) -> bool {
        true
    }
}

/// Returns all differences of two values. Placeholders in the right one fit any value.
///
/// ```
/// use harproxy_compare::{ArrayRule, json_differences};
/// use serde_json::json;
/// let (left, right) = (json!({"a": [1, 2], "b": 1}), json!({"a": [1, 3], "c": 1}));
/// let found = json_differences(&left, &right, ArrayRule::Whole);
/// let paths: Vec<String> = found.iter().map(|difference| difference.pointer.to_path()).collect();
/// assert_eq!(paths, ["$.a[1]", "$.b", "$.c"]);
/// ```
#[must_use]
pub fn json_differences<'v>(left: &'v Value, right: &'v Value, arrays: ArrayRule) -> Vec<JsonDifference<'v>> {
    struct AllDifferences<'v>(Vec<JsonDifference<'v>>);
    impl<'v> JsonVisitor<'v> for AllDifferences<'v> {
        fn equal(&mut self, _: PlaceholderScore) {}

        fn different(
            &mut self,
            pointer: &Pointer<'v>,
            left: Option<&'v Value>,
            right: Option<ExpectedJson<'v>>,
        ) -> ControlFlow<()> {
            self.0.push(JsonDifference { pointer: pointer.clone(), left, right: right.and_then(value) });
            ControlFlow::Continue(())
        }
    }
    let mut found = AllDifferences(Vec::new());
    let _ = walk(left, right.into(), arrays, &PlaceholderValues::default(), &mut found);
    found.0
}

/// Compares a sent value with a recorded one. Returns `None` if they differ in more than placeholders.
#[must_use]
pub fn score_json<'v>(
    sent: &'v Value,
    recorded: impl Into<ExpectedJson<'v>>,
    values: &PlaceholderValues,
) -> Option<PlaceholderScore> {
    struct FirstDifference(PlaceholderScore);
    impl<'v> JsonVisitor<'v> for FirstDifference {
        fn equal(&mut self, score: PlaceholderScore) {
            self.0.add(score);
        }

        fn different(&mut self, _: &Pointer<'v>, _: Option<&'v Value>, _: Option<ExpectedJson<'v>>) -> ControlFlow<()> {
            ControlFlow::Break(())
        }
    }
    let mut visitor = FirstDifference(PlaceholderScore::default());
    walk(sent, recorded.into(), ArrayRule::Whole, values, &mut visitor).is_continue().then_some(visitor.0)
}

/// Returns the value that is expected, if its placeholders were not looked for before.
pub(super) fn value(expected: ExpectedJson<'_>) -> Option<&Value> {
    match expected {
        ExpectedJson::Value(value) => Some(value),
        ExpectedJson::Template(_) => None,
    }
}

/// Walks along two values at once. Members are visited in the order of the left object, then those of the right one
/// alone. Returns `Break` if the visitor ended the walk.
pub(super) fn walk<'v, V: JsonVisitor<'v>>(
    left: &'v Value,
    right: ExpectedJson<'v>,
    arrays: ArrayRule,
    values: &PlaceholderValues,
    visitor: &mut V,
) -> ControlFlow<()> {
    Walk { pointer: Pointer::default(), arrays, values, visitor }.pair(left, right)
}

struct Walk<'v, 'a, V> {
    pointer: Pointer<'v>,
    arrays: ArrayRule,
    values: &'a PlaceholderValues,
    visitor: &'a mut V,
}

impl<'v, V: JsonVisitor<'v>> Walk<'v, '_, V> {
    fn pair(&mut self, left: &'v Value, right: ExpectedJson<'v>) -> ControlFlow<()> {
        let score = match (left, right.object_len(), right.array_len()) {
            (Value::Object(members), Some(len), _) if self.visitor.descends() => {
                return self.members(members, right, len);
            }
            (Value::Array(elements), _, Some(len)) if elements.len() != len && self.arrays == ArrayRule::Whole => None,
            (Value::Array(elements), _, Some(len)) if self.visitor.descends() => {
                return self.elements(elements, right, len);
            }
            (Value::Object(_), Some(_), _) | (Value::Array(_), _, Some(_)) => score_json(left, right, self.values),
            (Value::Object(_) | Value::Array(_), ..) => None,
            _ => right.score_scalar(left, self.values),
        };
        match score {
            Some(score) => {
                self.visitor.equal(score);
                ControlFlow::Continue(())
            }
            None => self.visitor.different(&self.pointer, Some(left), Some(right)),
        }
    }

    fn members(&mut self, left: &'v Map<String, Value>, right: ExpectedJson<'v>, len: usize) -> ControlFlow<()> {
        let mut in_both = 0;
        for (name, value) in left {
            let expected = right.member(name);
            in_both += usize::from(expected.is_some());
            self.step(PointerStep::Member(name.into()), Some(value), expected)?;
        }
        if in_both < len {
            for name in right.names().into_iter().filter(|name| !left.contains_key(*name)) {
                self.step(PointerStep::Member(name.into()), None, right.member(name))?;
            }
        }
        ControlFlow::Continue(())
    }

    fn elements(&mut self, left: &'v [Value], right: ExpectedJson<'v>, len: usize) -> ControlFlow<()> {
        let (mut before, mut after) = (0, 0);
        if left.len() != len {
            let shorter = left.len().min(len);
            let fits = |left: &'v Value, index: usize| score_json(left, right.element(index)?, self.values);
            while before < shorter
                && let Some(score) = fits(&left[before], before)
            {
                before += 1;
                self.visitor.equal(score);
            }
            while before + after < shorter
                && let Some(score) = fits(&left[left.len() - 1 - after], len - 1 - after)
            {
                after += 1;
                self.visitor.equal(score);
            }
        }
        for index in before..left.len().max(len) - after {
            let value = left[..left.len() - after].get(index);
            let expected = right.element(index).filter(|_| index < len - after);
            self.step(PointerStep::Index(index), value, expected)?;
        }
        ControlFlow::Continue(())
    }

    fn step(
        &mut self,
        step: PointerStep<'v>,
        left: Option<&'v Value>,
        right: Option<ExpectedJson<'v>>,
    ) -> ControlFlow<()> {
        self.pointer.push(step);
        match (left, right) {
            (Some(left), Some(right)) => self.pair(left, right)?,
            (left, right) => self.visitor.different(&self.pointer, left, right)?,
        }
        self.pointer.pop();
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::json_template::JsonTemplate;
    use super::*;

    fn paths(left: &Value, right: &Value, arrays: ArrayRule) -> Vec<String> {
        json_differences(left, right, arrays).iter().map(|difference| difference.pointer.to_path()).collect()
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
        let template = JsonTemplate::parse(recorded.clone());
        let score = |sent: &Value| score_json(sent, &template, &PlaceholderValues::default());
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
            let fits = score_json(&left, &JsonTemplate::parse(right.clone()), &PlaceholderValues::default());
            for arrays in [ArrayRule::Whole, ArrayRule::Elements] {
                prop_assert_eq!(json_differences(&left, &right, arrays).is_empty(), fits.is_some());
            }
            let as_value = score_json(&left, &right, &PlaceholderValues::default());
            prop_assert_eq!(fits.is_some(), as_value.is_some());
        }
    }
}
