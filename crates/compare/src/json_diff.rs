//! The differences of two JSON trees.
//!
//! The walk descends only where the digests of two nodes differ, so the rules that made the digests decide what counts.

use std::ops::ControlFlow;

use harproxy_json::{Node, NodeKind, Pointer, PointerStep};

/// A place at which two trees differ.
#[derive(Clone, Debug)]
pub struct JsonDifference<'n, 't> {
    /// The place.
    pub pointer: Pointer,
    /// The left value; `None` if there is none.
    pub left: Option<&'n Node<'t>>,
    /// The right value; `None` if there is none.
    pub right: Option<&'n Node<'t>>,
}

/// How two arrays of different lengths are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArrayRule {
    /// They are one difference.
    Whole,
    /// Their elements are compared between the equal ones at both ends, so that one element more is one difference.
    Elements,
}

/// Receives what [`walk`] finds.
pub trait JsonVisitor<'n, 't> {
    /// Returns true if two values count as equal although their digests differ, as a placeholder and any value do.
    fn fits(&mut self, left: &'n Node<'t>, right: &'n Node<'t>) -> bool {
        let _ = (left, right);
        false
    }

    /// Takes a pair of equal values.
    fn equal(&mut self, value: &'n Node<'t>) {
        let _ = value;
    }

    /// Takes a difference. The walk ends with [`ControlFlow::Break`].
    fn different(
        &mut self,
        pointer: &Pointer,
        left: Option<&'n Node<'t>>,
        right: Option<&'n Node<'t>>,
    ) -> ControlFlow<()>;
}

/// Returns all differences of two trees.
///
/// ```
/// use harproxy_compare::{ArrayRule, json_differences};
/// use harproxy_json::{CountAll, Node};
/// let parse = |text| Node::parse(text, &CountAll).unwrap();
/// let (left, right) = (parse(r#"{"a":[1,2],"b":1}"#), parse(r#"{"a":[1,3],"c":1}"#));
/// let found = json_differences(&left, &right, ArrayRule::Whole);
/// let paths: Vec<String> = found.iter().map(|difference| difference.pointer.to_path()).collect();
/// assert_eq!(paths, ["$.a[1]", "$.b", "$.c"]);
/// ```
#[must_use]
pub fn json_differences<'n, 't>(
    left: &'n Node<'t>,
    right: &'n Node<'t>,
    arrays: ArrayRule,
) -> Vec<JsonDifference<'n, 't>> {
    struct Collector<'n, 't>(Vec<JsonDifference<'n, 't>>);
    impl<'n, 't> JsonVisitor<'n, 't> for Collector<'n, 't> {
        fn different(
            &mut self,
            pointer: &Pointer,
            left: Option<&'n Node<'t>>,
            right: Option<&'n Node<'t>>,
        ) -> ControlFlow<()> {
            self.0.push(JsonDifference { pointer: pointer.clone(), left, right });
            ControlFlow::Continue(())
        }
    }
    let mut collector = Collector(Vec::new());
    let _ = walk(left, right, arrays, &mut collector);
    collector.0
}

/// Walks along two trees at once. Members are visited in the order of the left object, then those of the right one alone.
///
/// # Errors
/// `Break` if the visitor ended the walk.
pub fn walk<'n, 't, V: JsonVisitor<'n, 't>>(
    left: &'n Node<'t>,
    right: &'n Node<'t>,
    arrays: ArrayRule,
    visitor: &mut V,
) -> ControlFlow<()> {
    Walk { pointer: Pointer::default(), arrays, visitor, explained: 0 }.pair(left, right)
}

struct Walk<'v, V> {
    pointer: Pointer,
    arrays: ArrayRule,
    visitor: &'v mut V,
    /// How many pairs with different digests the visitor has got.
    explained: usize,
}

impl<'n, 't, V: JsonVisitor<'n, 't>> Walk<'_, V> {
    fn pair(&mut self, left: &'n Node<'t>, right: &'n Node<'t>) -> ControlFlow<()> {
        if left.digest == right.digest {
            self.visitor.equal(left);
            return ControlFlow::Continue(());
        }
        let explained = self.explained;
        match (&left.kind, &right.kind) {
            (NodeKind::Object(_), NodeKind::Object(_)) => self.members(left, right)?,
            (NodeKind::Array(a), NodeKind::Array(b)) if a.len() == b.len() || self.arrays == ArrayRule::Elements => {
                self.elements(a, b)?;
            }
            _ if self.fits(left, right) => self.visitor.equal(left),
            _ => self.different(Some(left), Some(right))?,
        }
        // Members that share their name with a later one are not visited, and may count all the same.
        if self.explained == explained { self.different(Some(left), Some(right)) } else { ControlFlow::Continue(()) }
    }

    fn fits(&mut self, left: &'n Node<'t>, right: &'n Node<'t>) -> bool {
        let fits = self.visitor.fits(left, right);
        self.explained += usize::from(fits);
        fits
    }

    fn different(&mut self, left: Option<&'n Node<'t>>, right: Option<&'n Node<'t>>) -> ControlFlow<()> {
        self.explained += 1;
        self.visitor.different(&self.pointer, left, right)
    }

    fn members(&mut self, left: &'n Node<'t>, right: &'n Node<'t>) -> ControlFlow<()> {
        let (mut left_members, mut right_members) = (by_name(left), by_name(right));
        for member in left.members() {
            // Of several with one name the last one counts.
            if let Some(value) = left_members.remove(member.name.as_str()) {
                self.step(PointerStep::Member(member.name.clone()), Some(value), right_members.remove(&*member.name))?;
            }
        }
        for member in right.members() {
            if let Some(value) = right_members.remove(member.name.as_str()) {
                self.step(PointerStep::Member(member.name.clone()), None, Some(value))?;
            }
        }
        ControlFlow::Continue(())
    }

    fn elements(&mut self, left: &'n [Node<'t>], right: &'n [Node<'t>]) -> ControlFlow<()> {
        let (mut before, mut after) = (0, 0);
        if left.len() != right.len() {
            let mut fits = |(a, b): &(&'n Node<'t>, &'n Node<'t>)| a.digest == b.digest || self.fits(a, b);
            before = left.iter().zip(right).take_while(&mut fits).count();
            let (left_rest, right_rest) = (&left[before..], &right[before..]);
            after = left_rest.iter().rev().zip(right_rest.iter().rev()).take_while(&mut fits).count();
            left[..before].iter().chain(&left[left.len() - after..]).for_each(|equal| self.visitor.equal(equal));
        }
        for index in before..left.len().max(right.len()) - after {
            let [a, b] = [left, right].map(|elements| elements[..elements.len() - after].get(index));
            self.step(PointerStep::Index(index), a, b)?;
        }
        ControlFlow::Continue(())
    }

    fn step(&mut self, step: PointerStep, left: Option<&'n Node<'t>>, right: Option<&'n Node<'t>>) -> ControlFlow<()> {
        self.pointer.push(step);
        match (left, right) {
            (Some(left), Some(right)) => self.pair(left, right)?,
            (left, right) => self.different(left, right)?,
        }
        self.pointer.pop();
        ControlFlow::Continue(())
    }
}

fn by_name<'n, 't>(object: &'n Node<'t>) -> std::collections::HashMap<&'n str, &'n Node<'t>> {
    object.members().iter().map(|member| (member.name.as_str(), &member.value)).collect()
}

#[cfg(test)]
mod tests {
    use harproxy_json::CountAll;
    use proptest::prelude::*;

    use super::*;

    fn paths(left: &str, right: &str, arrays: ArrayRule) -> Vec<String> {
        let [left, right] = [left, right].map(|text| Node::parse(text, &CountAll).unwrap());
        json_differences(&left, &right, arrays).iter().map(|difference| difference.pointer.to_path()).collect()
    }

    #[test]
    fn arrays_of_different_lengths_are_compared_as_the_rule_says() {
        let (left, right) = (r#"{"a":[1,2,3,4]}"#, r#"{"a":[1,9,4]}"#);
        assert_eq!(paths(left, right, ArrayRule::Whole), ["$.a"]);
        assert_eq!(paths(left, right, ArrayRule::Elements), ["$.a[1]", "$.a[2]"]);
    }

    #[test]
    fn different_kinds_are_one_difference() {
        assert_eq!(paths(r#"{"a":{"b":1}}"#, r#"{"a":[1]}"#, ArrayRule::Elements), ["$.a"]);
        assert_eq!(paths("1", "2", ArrayRule::Elements), ["$"]);
    }

    #[test]
    fn namesakes_that_differ_before_the_last_one_are_a_difference() {
        assert_eq!(paths(r#"{"a":1,"a":2}"#, r#"{"a":3,"a":2}"#, ArrayRule::Whole), ["$"]);
    }

    fn json() -> impl Strategy<Value = String> {
        let scalar = prop_oneof![Just("null".to_owned()), (0_u8..3).prop_map(|n| n.to_string())];
        scalar.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(|list| format!("[{}]", list.join(","))),
                prop::collection::vec(("[ab]", inner), 0..4).prop_map(|members| {
                    let members: Vec<_> = members.iter().map(|(name, value)| format!(r#""{name}":{value}"#)).collect();
                    format!("{{{}}}", members.join(","))
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_difference_is_found_if_and_only_if_the_digests_are_equal(left in json(), right in json()) {
            let [a, b] = [&left, &right].map(|text| Node::parse(text, &CountAll).unwrap());
            for arrays in [ArrayRule::Whole, ArrayRule::Elements] {
                prop_assert_eq!(json_differences(&a, &b, arrays).is_empty(), a.digest == b.digest);
            }
        }
    }
}
