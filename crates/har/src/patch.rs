//! What changed from one JSON text to another, done to a third: nothing else of that one changes a byte. Its layout, the order
//! of its members, and members that only it has, stay.

use std::collections::HashMap;

use harproxy_http::tree::{Kind, Member, Node, Sum};

/// Does to `ours`, the whole text of which is `text`, what leads from `base` to `theirs`, of which `new` is the whole text.
/// What counts as a change is for the sums of the nodes to say.
///
/// ```
/// use harproxy_har::patch::patch;
/// use harproxy_http::tree::{Node, Plain};
/// let parse = |text| Node::parse(text, &Plain).unwrap();
/// let (ours, base, theirs) = (r#"{ "n" : [1,2], "b": 2, "mine": 0 }"#, r#"{"n":[1,2],"b":2}"#, r#"{"b":3,"n":[1,2]}"#);
/// let patched = patch(ours, &parse(ours), &parse(base), theirs, &parse(theirs));
/// assert_eq!(patched, r#"{ "n" : [1,2], "b": 3, "mine": 0 }"#);
/// ```
#[must_use]
pub fn patch(text: &str, ours: &Node<'_>, base: &Node<'_>, new: &str, theirs: &Node<'_>) -> String {
    let mut patch = Patch { text, new, out: String::with_capacity(text.len()) };
    patch.out.push_str(&text[..ours.at]);
    patch.value(ours, base, theirs);
    patch.out.push_str(&text[ours.end()..]);
    patch.out
}

/// What stands at one place of a list or object.
enum Item<'n, 't> {
    /// What is ours, brought from base to theirs.
    Ours(usize, Option<(&'n Node<'t>, &'n Node<'t>)>),
    /// What only theirs has.
    New(usize),
}

struct Patch<'t> {
    text: &'t str,
    new: &'t str,
    out: String,
}

impl<'t> Patch<'t> {
    fn value(&mut self, ours: &Node<'_>, base: &Node<'_>, theirs: &Node<'_>) {
        if base.sum == theirs.sum {
            self.out.push_str(ours.text);
            return;
        }
        let items = match (&ours.kind, &base.kind, &theirs.kind) {
            (Kind::Object(o), Kind::Object(b), Kind::Object(t)) => members(o, b, t),
            // Ours is what base was read from.
            (Kind::List(o), Kind::List(b), Kind::List(t)) if o.len() == b.len() => elements(b, t),
            _ => Vec::new(),
        };
        // What has nothing in it says nothing about its layout.
        let none_left = !items.iter().any(|item| matches!(item, Item::Ours(..)));
        match none_left {
            true => self.out.push_str(&relaid(theirs.text, margin(self.new, theirs.at), margin(self.text, ours.at))),
            false => self.container(ours, theirs, &items),
        }
    }

    fn container(&mut self, ours: &Node<'_>, theirs: &Node<'_>, items: &[Item<'_, '_>]) {
        let (places, new_places) = (places(ours), places(theirs));
        let leads = leads(self.text, ours, &places);
        // The white space between two items, which the first one's may differ from: `[1, 2]`.
        let between = leads.get(1).or(leads.first().filter(|lead| lead.contains('\n'))).copied().unwrap_or_default();
        self.out.push_str(&ours.text[..1]);
        for (place, item) in items.iter().enumerate() {
            if place > 0 {
                self.out.push(',');
            }
            let lead = match *item {
                _ if place == 0 => leads[0],
                Item::Ours(at, _) if at > 0 => leads[at],
                _ => between,
            };
            self.out.push_str(lead);
            match *item {
                Item::Ours(at, change) => {
                    let value = child(ours, at);
                    self.out.push_str(&self.text[places[at].0..value.at]);
                    match change {
                        Some((base, theirs)) => self.value(value, base, theirs),
                        None => self.out.push_str(value.text),
                    }
                }
                Item::New(at) => {
                    let (start, end) = new_places[at];
                    let to = lead.rsplit_once('\n').map_or_else(|| margin(self.text, ours.at), |(_, margin)| margin);
                    self.out.push_str(&relaid(&self.new[start..end], margin(self.new, start), to));
                }
            }
        }
        let last = places.last().map_or(ours.at + 1, |(_, end)| *end);
        self.out.push_str(&self.text[last..ours.end()]);
    }
}

/// Where each member or element begins and ends.
fn places(node: &Node<'_>) -> Vec<(usize, usize)> {
    match &node.kind {
        Kind::Leaf => Vec::new(),
        Kind::List(list) => list.iter().map(|element| (element.at, element.end())).collect(),
        Kind::Object(members) => members.iter().map(|member| (member.at, member.value.end())).collect(),
    }
}

/// The white space before each of them.
fn leads<'t>(text: &'t str, node: &Node<'_>, places: &[(usize, usize)]) -> Vec<&'t str> {
    let before = std::iter::once(node.at + 1).chain(places.iter().map(|(_, end)| *end));
    let gaps = before.zip(places).map(|(end, (start, _))| &text[end..*start]);
    gaps.map(|gap| gap.split_once(',').map_or(gap, |(_, lead)| lead)).collect()
}

fn child<'n, 't>(node: &'n Node<'t>, at: usize) -> &'n Node<'t> {
    match &node.kind {
        Kind::List(list) => &list[at],
        Kind::Object(members) => &members[at].value,
        Kind::Leaf => node,
    }
}

/// The indentation of the line that a place is on.
fn margin(text: &str, at: usize) -> &str {
    let line = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let indented = text[line..at].trim_start_matches([' ', '\t']);
    &text[line..at - indented.len()]
}

/// JSON that stood behind one margin, behind another.
fn relaid(json: &str, from: &str, to: &str) -> String {
    // Strings hold no line breaks: they are escaped.
    json.replace(&format!("\n{from}"), &format!("\n{to}"))
}

/// Members by their names. Where several share one, which of them is which is nobody's guess: nothing is kept.
fn members<'n, 't>(ours: &'n [Member<'t>], base: &'n [Member<'t>], theirs: &'n [Member<'t>]) -> Vec<Item<'n, 't>> {
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
        // What base says already is left unsaid in ours.
        let said = b.get(name.as_str()).is_some_and(|&known| base[known].value.sum == value.sum);
        if o.contains_key(name.as_str()) || said {
            continue;
        }
        let place = |item: &Item<'_, '_>| match item {
            Item::Ours(at, _) => t.get(ours[*at].name.as_str()).copied(),
            Item::New(at) => Some(*at),
        };
        let before = items.iter().enumerate().filter_map(|(item, known)| Some((place(known)?, item)));
        let behind = before.filter(|(place, _)| *place < at).max();
        items.insert(behind.map_or(0, |(_, item)| item + 1), Item::New(at));
    }
    items
}

/// Where each name is; `None` when one is there twice.
fn by_name<'n>(members: &'n [Member<'_>]) -> Option<HashMap<&'n str, usize>> {
    let places: HashMap<&str, usize> = members.iter().enumerate().map(|(at, member)| (&*member.name, at)).collect();
    (places.len() == members.len()).then_some(places)
}

/// Elements: equal ones first, then those that are the same thing by its name or number, then by place between those.
fn elements<'n, 't>(base: &'n [Node<'t>], theirs: &'n [Node<'t>]) -> Vec<Item<'n, 't>> {
    let mut pairs = Vec::new();
    let (b, t): (Vec<Sum>, Vec<Sum>) = (sums(base), sums(theirs));
    for (b, t) in gaps_filled(&b, &t, &mut pairs) {
        let (base_gap, their_gap) = (&base[b.clone()], &theirs[t.clone()]);
        let mut same = Vec::new();
        let rest = gaps_filled(&identities(base_gap), &identities(their_gap), &mut same);
        let by_place = rest.into_iter().flat_map(|(b, t)| b.zip(t));
        pairs.extend(same.into_iter().chain(by_place).map(|(at, to)| (b.start + at, t.start + to)));
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

fn sums(nodes: &[Node<'_>]) -> Vec<Sum> {
    nodes.iter().map(|node| node.sum).collect()
}

/// What an element calls itself.
fn identities<'n>(nodes: &'n [Node<'_>]) -> Vec<Identity<'n>> {
    const NAMES: [&str; 7] = ["id", "_id", "uuid", "key", "name", "slug", "code"];
    let identity = |node: &'n Node<'_>| {
        let name = NAMES.iter().find_map(|name| node.member(name)).filter(|value| matches!(value.kind, Kind::Leaf));
        name.map_or(Identity::None, |value| Identity::Named(value.text))
    };
    nodes.iter().map(identity).collect()
}

#[derive(Clone, Copy, Debug)]
enum Identity<'n> {
    Named(&'n str),
    None,
}

impl PartialEq for Identity<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Identity::Named(a), Identity::Named(b)) => a == b,
            _ => false,
        }
    }
}

type Range = std::ops::Range<usize>;

/// Pairs what is equal, in order, as much of it as can be, and gives what lies between.
fn gaps_filled<T: PartialEq>(a: &[T], b: &[T], pairs: &mut Vec<(usize, usize)>) -> Vec<(Range, Range)> {
    let found = longest_common(a, b);
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

/// Longer lists than that are only compared from both ends.
const CELLS: usize = 4_000_000;

/// A longest common subsequence, as pairs of places.
fn longest_common<T: PartialEq>(a: &[T], b: &[T]) -> Vec<(usize, usize)> {
    let shorter = a.len().min(b.len());
    let front = (0..shorter).take_while(|&at| a[at] == b[at]).count();
    let back = (0..shorter - front).take_while(|&at| a[a.len() - 1 - at] == b[b.len() - 1 - at]).count();
    let (n, m) = (a.len() - front - back, b.len() - front - back);
    let mut pairs: Vec<_> = (0..front).map(|at| (at, at)).collect();
    if n > 0 && m > 0 && n.saturating_mul(m) <= CELLS {
        let (a, b) = (&a[front..front + n], &b[front..front + m]);
        // How long it is from each pair of places to the ends.
        let width = m + 1;
        let mut lengths = vec![0u32; (n + 1) * width];
        for i in (0..n).rev() {
            for j in (0..m).rev() {
                lengths[i * width + j] = match a[i] == b[j] {
                    true => lengths[(i + 1) * width + j + 1] + 1,
                    false => lengths[(i + 1) * width + j].max(lengths[i * width + j + 1]),
                };
            }
        }
        let (mut i, mut j) = (0, 0);
        while i < n && j < m {
            let (down, right) = (lengths[(i + 1) * width + j], lengths[i * width + j + 1]);
            if a[i] == b[j] {
                pairs.push((front + i, front + j));
                (i, j) = (i + 1, j + 1);
            } else if down >= right {
                i += 1;
            } else {
                j += 1;
            }
        }
    }
    pairs.extend((0..back).rev().map(|at| (a.len() - 1 - at, b.len() - 1 - at)));
    pairs
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use harproxy_http::json;
    use harproxy_http::tree::{Aside, Plain};

    fn parse(text: &str) -> Node<'_> {
        Node::parse(text, &Plain).unwrap_or_else(|| panic!("no JSON: {text}"))
    }

    /// From old to new, whatever is the same in its old text.
    fn brought(old: &str, new: &str) -> String {
        let ours = parse(old);
        patch(old, &ours, &ours, new, &parse(new))
    }

    /// When something was does not count.
    struct Times;

    impl Aside for Times {
        fn is_member_aside(&self, name: &str, _: &str, _: &[&str]) -> bool {
            name == "at"
        }
    }

    fn json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("1.0e5".to_owned()),
            Just("null".to_owned()),
            Just(r#""\u00e9\" ,]""#.to_owned()),
            (0_u8..4).prop_map(|n| n.to_string()),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
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
        fn it_says_what_is_new_and_is_the_old_text_where_nothing_is(old in json(), new in json()) {
            let patched = brought(&old, &new);
            prop_assert_eq!(parse(&patched).sum, parse(&new).sum, "{}", &patched);
            prop_assert_eq!(brought(&old, &old), &old[..]);
            prop_assert_eq!(brought(&patched, &new), &patched[..]);
        }

        #[test]
        fn what_does_not_count_is_old_or_new(old in json(), new in json()) {
            let node = |text| Node::parse(text, &Times).unwrap();
            let ours = node(&old);
            let patched = patch(&old, &ours, &ours, &new, &node(&new));
            prop_assert_eq!(node(&patched).sum, node(&new).sum, "{}", &patched);
            prop_assert!(ours.sum != node(&new).sum || patched == old);
        }

        #[test]
        fn a_layout_makes_no_difference(old in json(), new in json()) {
            let spread = |text: &str| String::from_utf8(json::indent(text.as_bytes())).unwrap();
            let patched = brought(&spread(&old), &spread(&new));
            let compact = brought(&old, &new);
            prop_assert_eq!(json::compact(patched.as_bytes()), compact.as_bytes());
            // Canonical stays canonical.
            prop_assert_eq!(&patched, &spread(&compact));
        }
    }

    #[test]
    fn only_what_changed_changes() {
        for (old, new, patched) in [
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
            assert_eq!(brought(old, new), patched, "{old} → {new}");
        }
    }

    #[test]
    fn what_does_not_count_keeps_its_text() {
        let node = |text| Node::parse(text, &Times).unwrap();
        let (old, new) = (r#"[{"at":1,"n":1},{"at":2,"n":2}]"#, r#"[{"at":7,"n":0},{"at":8,"n":1},{"at":9,"n":3}]"#);
        let ours = node(old);
        let patched = patch(old, &ours, &ours, new, &node(new));
        assert_eq!(patched, r#"[{"at":7,"n":0},{"at":1,"n":1},{"at":2,"n":3}]"#);
    }

    #[test]
    fn what_only_ours_has_stays() {
        let ours = r#"{"mine":1,"h":[{"name":"a","value":"1","comment":"mine"},{"name":"b","value":"2"}],"x":1}"#;
        let base = r#"{"h":[{"name":"a","value":"1"},{"name":"b","value":"2"}],"unsaid":0,"x":1}"#;
        let theirs = r#"{"h":[{"name":"a","value":"9"},{"name":"c","value":"3"},{"name":"b","value":"2"}],"unsaid":0}"#;
        assert_eq!(
            patch(ours, &parse(ours), &parse(base), theirs, &parse(theirs)),
            r#"{"mine":1,"h":[{"name":"a","value":"9","comment":"mine"},{"name":"c","value":"3"},{"name":"b","value":"2"}]}"#
        );
    }

    #[test]
    fn long_lists_take_no_square_of_time() {
        let list = |n: usize| format!("[{}]", (n..n + 20_000).map(|n| n.to_string()).collect::<Vec<_>>().join(","));
        let (old, new) = (list(0), list(100_000));
        assert_eq!(brought(&old, &new), new);
    }
}
