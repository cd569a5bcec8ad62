//! The changes from one JSON text to another, applied to a third one.
//!
//! Everything else of the third text stays byte for byte: its layout, the order of its members, and members of its own.

use std::collections::HashMap;

use super::node::{Digest, Member, Node, NodeKind};
use super::sequence::common;

/// Applies the changes from `base` to `theirs` to `ours`. `text` is the whole text of `ours`, `new` that of `theirs`.
///
/// Two values differ if the digests of their nodes do.
///
/// ```
/// use harproxy_json::{CountAll, Node, patch};
/// let parse = |text| Node::parse(text, &CountAll).unwrap();
/// let (ours, base) = (r#"{ "n" : [1,2], "b": 2, "mine": 0 }"#, r#"{"n":[1,2],"b":2}"#);
/// let theirs = r#"{"b":3,"n":[1,2]}"#;
/// let patched = patch(ours, &parse(ours), &parse(base), theirs, &parse(theirs));
/// assert_eq!(patched, r#"{ "n" : [1,2], "b": 3, "mine": 0 }"#);
/// ```
#[must_use]
pub fn patch(text: &str, ours: &Node<'_>, base: &Node<'_>, new: &str, theirs: &Node<'_>) -> String {
    let mut patcher = Patcher { text, new, out: String::with_capacity(text.len()) };
    patcher.out.push_str(&text[..ours.at]);
    patcher.write_value(ours, base, theirs);
    patcher.out.push_str(&text[ours.end()..]);
    patcher.out
}

/// A member or element of a patched container.
enum Item<'n, 't> {
    /// The one of `ours` at this index, with its versions in base and theirs if it changed.
    Ours(usize, Option<(&'n Node<'t>, &'n Node<'t>)>),
    /// The one of `theirs` at this index, which `ours` does not have.
    New(usize),
}

struct Patcher<'t> {
    text: &'t str,
    new: &'t str,
    out: String,
}

impl<'t> Patcher<'t> {
    fn write_value(&mut self, ours: &Node<'_>, base: &Node<'_>, theirs: &Node<'_>) {
        if base.digest == theirs.digest {
            self.out.push_str(ours.text);
            return;
        }
        let items = match (&ours.kind, &base.kind, &theirs.kind) {
            (NodeKind::Object(o), NodeKind::Object(b), NodeKind::Object(t)) => merge_members(o, b, t),
            // `base` was read from `ours`: their elements correspond.
            (NodeKind::Array(o), NodeKind::Array(b), NodeKind::Array(t)) if o.len() == b.len() => merge_elements(b, t),
            _ => Vec::new(),
        };
        // A container that keeps nothing of `ours` has no layout to keep either.
        let keeps_ours = items.iter().any(|item| matches!(item, Item::Ours(..)));
        match keeps_ours {
            true => self.write_container(ours, theirs, &items),
            false => {
                self.out.push_str(&reindented(theirs.text, margin(self.new, theirs.at), margin(self.text, ours.at)))
            }
        }
    }

    fn write_container(&mut self, ours: &Node<'_>, theirs: &Node<'_>, items: &[Item<'_, '_>]) {
        let (spans, new_spans) = (spans(ours), spans(theirs));
        let gaps = gaps(self.text, ours, &spans);
        // The white space between two items. It may differ from that before the first one: `[1, 2]`.
        let between = gaps.get(1).or(gaps.first().filter(|gap| gap.contains('\n'))).copied().unwrap_or_default();
        self.out.push_str(&ours.text[..1]);
        for (place, item) in items.iter().enumerate() {
            if place > 0 {
                self.out.push(',');
            }
            let gap = match *item {
                _ if place == 0 => gaps[0],
                Item::Ours(at, _) if at > 0 => gaps[at],
                _ => between,
            };
            self.out.push_str(gap);
            match *item {
                Item::Ours(at, change) => {
                    let value = child(ours, at);
                    self.out.push_str(&self.text[spans[at].0..value.at]);
                    match change {
                        Some((base, theirs)) => self.write_value(value, base, theirs),
                        None => self.out.push_str(value.text),
                    }
                }
                Item::New(at) => {
                    let (start, end) = new_spans[at];
                    let to = gap.rsplit_once('\n').map_or_else(|| margin(self.text, ours.at), |(_, margin)| margin);
                    self.out.push_str(&reindented(&self.new[start..end], margin(self.new, start), to));
                }
            }
        }
        let last = spans.last().map_or(ours.at + 1, |(_, end)| *end);
        self.out.push_str(&self.text[last..ours.end()]);
    }
}

/// Returns start and end of each member or element.
fn spans(node: &Node<'_>) -> Vec<(usize, usize)> {
    match &node.kind {
        NodeKind::Scalar => Vec::new(),
        NodeKind::Array(elements) => elements.iter().map(|element| (element.at, element.end())).collect(),
        NodeKind::Object(members) => members.iter().map(|member| (member.at, member.value.end())).collect(),
    }
}

/// Returns the white space before each member or element.
fn gaps<'t>(text: &'t str, node: &Node<'_>, spans: &[(usize, usize)]) -> Vec<&'t str> {
    let before = std::iter::once(node.at + 1).chain(spans.iter().map(|(_, end)| *end));
    let gaps = before.zip(spans).map(|(end, (start, _))| &text[end..*start]);
    gaps.map(|gap| gap.split_once(',').map_or(gap, |(_, space)| space)).collect()
}

fn child<'n, 't>(node: &'n Node<'t>, at: usize) -> &'n Node<'t> {
    match &node.kind {
        NodeKind::Array(elements) => &elements[at],
        NodeKind::Object(members) => &members[at].value,
        NodeKind::Scalar => node,
    }
}

/// Returns the indentation of the line that contains the position.
fn margin(text: &str, at: usize) -> &str {
    let line = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let indented = text[line..at].trim_start_matches([' ', '\t']);
    &text[line..at - indented.len()]
}

/// Replaces the margin of all lines but the first. Strings hold no line breaks, because JSON escapes them.
fn reindented(json: &str, from: &str, to: &str) -> String {
    json.replace(&format!("\n{from}"), &format!("\n{to}"))
}

/// Merges members by their names. Members that share a name cannot be matched, so nothing is kept then.
fn merge_members<'n, 't>(
    ours: &'n [Member<'t>],
    base: &'n [Member<'t>],
    theirs: &'n [Member<'t>],
) -> Vec<Item<'n, 't>> {
    let (Some(o), Some(b), Some(t)) = (by_name(ours), by_name(base), by_name(theirs)) else { return Vec::new() };
    let mut items: Vec<Item<'n, 't>> = Vec::new();
    for (at, Member { name, value, .. }) in ours.iter().enumerate() {
        let base = b.get(name.as_str()).map(|&at| &base[at].value);
        let theirs = t.get(name.as_str()).map(|&at| &theirs[at].value);
        match (base, theirs) {
            (Some(_), None) => {}
            (Some(base), Some(theirs)) => items.push(Item::Ours(at, Some((base, theirs)))),
            (None, Some(theirs)) => items.push(Item::Ours(at, Some((value, theirs)))),
            (None, None) => items.push(Item::Ours(at, None)),
        }
    }
    for (at, Member { name, value, .. }) in theirs.iter().enumerate() {
        // A member that did not change from base to theirs stays out if ours does not have it.
        let is_unchanged = b.get(name.as_str()).is_some_and(|&known| base[known].value.digest == value.digest);
        if o.contains_key(name.as_str()) || is_unchanged {
            continue;
        }
        let their_index = |item: &Item<'_, '_>| match item {
            Item::Ours(at, _) => t.get(ours[*at].name.as_str()).copied(),
            Item::New(at) => Some(*at),
        };
        let known = items.iter().enumerate().filter_map(|(item, known)| Some((their_index(known)?, item)));
        let before = known.filter(|(index, _)| *index < at).max();
        items.insert(before.map_or(0, |(_, item)| item + 1), Item::New(at));
    }
    items
}

/// Returns the index of each name; `None` if a name occurs twice.
fn by_name<'n>(members: &'n [Member<'_>]) -> Option<HashMap<&'n str, usize>> {
    let indices: HashMap<&str, usize> = members.iter().enumerate().map(|(at, member)| (&*member.name, at)).collect();
    (indices.len() == members.len()).then_some(indices)
}

/// Merges elements: pairs equal ones first, between those the ones with the same identity, and the rest by position.
fn merge_elements<'n, 't>(base: &'n [Node<'t>], theirs: &'n [Node<'t>]) -> Vec<Item<'n, 't>> {
    let mut pairs = Vec::new();
    for (b, t) in pair_equal(&digests(base), &digests(theirs), &mut pairs) {
        let (base_gap, their_gap) = (&base[b.clone()], &theirs[t.clone()]);
        let mut same = Vec::new();
        let (base_ids, their_ids) = (identities(base_gap, Identity::InBase), identities(their_gap, Identity::InTheirs));
        let rest = pair_equal(&base_ids, &their_ids, &mut same);
        let by_position = rest.into_iter().flat_map(|(b, t)| b.zip(t));
        pairs.extend(same.into_iter().chain(by_position).map(|(at, to)| (b.start + at, t.start + to)));
    }
    pairs.sort_unstable();
    let mut items = Vec::with_capacity(theirs.len());
    let mut next = 0;
    for (ours, to) in pairs {
        items.extend((next..to).map(Item::New));
        items.push(Item::Ours(ours, Some((&base[ours], &theirs[to]))));
        next = to + 1;
    }
    items.extend((next..theirs.len()).map(Item::New));
    items
}

fn digests(nodes: &[Node<'_>]) -> Vec<Digest> {
    nodes.iter().map(|node| node.digest).collect()
}

/// The identity of an array element, by which it is found again in another version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Identity<'n> {
    /// The value of a member that is usually an identifier.
    Named(&'n str),
    /// No identifier: the element with this index in `base` equals no other one.
    InBase(usize),
    /// The same in `theirs`.
    InTheirs(usize),
}

fn identities<'n>(nodes: &'n [Node<'_>], anonymous: fn(usize) -> Identity<'n>) -> Vec<Identity<'n>> {
    const NAMES: [&str; 7] = ["id", "_id", "uuid", "key", "name", "slug", "code"];
    let identity = |(index, node): (usize, &'n Node<'_>)| {
        let value = NAMES.iter().find_map(|name| node.member(name)).filter(|value| value.is_scalar());
        value.map_or(anonymous(index), |value| Identity::Named(value.text))
    };
    nodes.iter().enumerate().map(identity).collect()
}

type Range = std::ops::Range<usize>;

/// Adds the pairs of equal elements, and returns the gaps between them.
fn pair_equal<T: Eq + std::hash::Hash>(a: &[T], b: &[T], pairs: &mut Vec<(usize, usize)>) -> Vec<(Range, Range)> {
    let found = common(a, b);
    let mut gaps = Vec::new();
    let (mut i, mut j) = (0, 0);
    for &(x, y) in found.iter().chain([&(a.len(), b.len())]) {
        if i < x || j < y {
            gaps.push((i..x, j..y));
        }
        (i, j) = (x + 1, y + 1);
    }
    pairs.extend(found);
    gaps
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::layout::{Spacing, indent, single_line};
    use super::super::node::{CountAll, DigestRules};
    use super::*;

    fn parse(text: &str) -> Node<'_> {
        Node::parse(text, &CountAll).unwrap_or_else(|| panic!("invalid JSON: {text}"))
    }

    /// Patches the old text with the changes from old to new.
    fn patched(old: &str, new: &str) -> String {
        let ours = parse(old);
        patch(old, &ours, &ours, new, &parse(new))
    }

    /// Ignores the members named `at`.
    struct IgnoreTimes;

    impl DigestRules for IgnoreTimes {
        fn ignores_member(&self, name: &str, _: &str, _: &[&str]) -> bool {
            name == "at"
        }
    }

    fn json() -> impl Strategy<Value = String> {
        let scalar = prop_oneof![
            Just("1.0e5".to_owned()),
            Just("null".to_owned()),
            Just(r#""\u00e9\" ,]""#.to_owned()),
            (0_u8..4).prop_map(|n| n.to_string()),
        ];
        scalar.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(|list| format!("[{}]", list.join(","))),
                prop::collection::vec((prop_oneof![Just("id"), Just("a"), Just("b"), Just("at")], inner), 0..5)
                    .prop_map(|members| {
                        let members: Vec<_> =
                            members.iter().map(|(name, value)| format!(r#""{name}":{value}"#)).collect();
                        format!("{{{}}}", members.join(","))
                    }),
            ]
        })
    }

    proptest! {
        #[test]
        fn patched_text_has_the_new_value_and_is_stable(old in json(), new in json()) {
            let result = patched(&old, &new);
            prop_assert_eq!(parse(&result).digest, parse(&new).digest, "{}", &result);
            prop_assert_eq!(patched(&old, &old), &old[..]);
            prop_assert_eq!(patched(&result, &new), &result[..]);
        }

        #[test]
        fn ignored_members_are_old_or_new(old in json(), new in json()) {
            let node = |text| Node::parse(text, &IgnoreTimes).unwrap();
            let ours = node(&old);
            let result = patch(&old, &ours, &ours, &new, &node(&new));
            prop_assert_eq!(node(&result).digest, node(&new).digest, "{}", &result);
            prop_assert!(ours.digest != node(&new).digest || result == old);
        }

        #[test]
        fn patch_is_independent_of_the_layout(old in json(), new in json()) {
            let indented = |text: &str| String::from_utf8(indent(text.as_bytes())).unwrap();
            let result = patched(&indented(&old), &indented(&new));
            let on_one_line = patched(&old, &new);
            prop_assert_eq!(single_line(result.as_bytes(), Spacing::Compact), on_one_line.as_bytes());
            prop_assert_eq!(&result, &indented(&on_one_line));
        }
    }

    #[test]
    fn unchanged_text_stays_byte_for_byte() {
        for (old, new, expected) in [
            (r#"{ "a": 1,  "b": [1, 2] }"#, r#"{"b":[1,3],"a":1}"#, r#"{ "a": 1,  "b": [1, 3] }"#),
            ("[1, 2, 3]", "[0,1,2,3]", "[0, 1, 2, 3]"),
            ("[1, 2, 3]", "[1,3]", "[1, 3]"),
            ("[\n  1,\n  2\n]\n", "[1,{\"a\":1},2]", "[\n  1,\n  {\"a\":1},\n  2\n]\n"),
            (
                "{\n    \"a\": {},\n    \"z\": 1\n}\n",
                "{\n  \"a\": {\n    \"n\": 1\n  },\n  \"m\": [\n    1\n  ],\n  \"z\": 1\n}\n",
                "{\n    \"a\": {\n      \"n\": 1\n    },\n    \"m\": [\n      1\n    ],\n    \"z\": 1\n}\n",
            ),
            (r#"[{"id":1,"n":1},{"id":2,"n":2}]"#, r#"[{"n":3,"id":2}]"#, r#"[{"id":2,"n":3}]"#),
            (r#"{"a":1}"#, "{}", "{}"),
            ("[]", "[1]", "[1]"),
            (r#"{"a":[1]}"#, r#"{"a":{"b":1}}"#, r#"{"a":{"b":1}}"#),
            (" 1 ", "2", " 2 "),
        ] {
            assert_eq!(patched(old, new), expected, "{old} → {new}");
        }
    }

    #[test]
    fn ignored_members_keep_their_text() {
        let node = |text| Node::parse(text, &IgnoreTimes).unwrap();
        let (old, new) = (r#"[{"at":1,"n":1},{"at":2,"n":2}]"#, r#"[{"at":7,"n":0},{"at":8,"n":1},{"at":9,"n":3}]"#);
        let ours = node(old);
        let result = patch(old, &ours, &ours, new, &node(new));
        assert_eq!(result, r#"[{"at":7,"n":0},{"at":1,"n":1},{"at":2,"n":3}]"#);
    }

    #[test]
    fn members_of_ours_alone_stay() {
        let ours = r#"{"mine":1,"h":[{"name":"a","value":"1","comment":"mine"},{"name":"b","value":"2"}],"x":1}"#;
        let base = r#"{"h":[{"name":"a","value":"1"},{"name":"b","value":"2"}],"unsaid":0,"x":1}"#;
        let theirs = r#"{"h":[{"name":"a","value":"9"},{"name":"c","value":"3"},{"name":"b","value":"2"}],"unsaid":0}"#;
        assert_eq!(
            patch(ours, &parse(ours), &parse(base), theirs, &parse(theirs)),
            r#"{"mine":1,"h":[{"name":"a","value":"9","comment":"mine"},{"name":"c","value":"3"},{"name":"b","value":"2"}]}"#
        );
    }

    #[test]
    fn long_lists_take_less_than_quadratic_time() {
        let list = |n: usize| format!("[{}]", (n..n + 20_000).map(|n| n.to_string()).collect::<Vec<_>>().join(","));
        let (old, new) = (list(0), list(100_000));
        assert_eq!(patched(&old, &new), new);
    }
}
