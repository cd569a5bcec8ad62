//! Where in a JSON text the values stand that JSON paths (RFC 9535) lead to.

use std::collections::HashMap;
use std::ops::Range;

use serde_json::Value;
use serde_json_path::{JsonPath, PathElement};

use super::view::{Coding, View};

/// A scalar that a path leads to, or that is inside of what one leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Located {
    /// As it is written, with the quotes of a string.
    pub(super) range: Range<usize>,
    /// The nearest member's name; empty when there is none.
    pub(super) name: String,
}

/// All of them, in order; `None` when the text is no JSON or deeper than can be told.
pub(super) fn located(text: &[u8], paths: &[JsonPath]) -> Option<Vec<Located>> {
    if paths.is_empty() {
        return Some(Vec::new());
    }
    let start = if text.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    let document: Value = serde_json::from_slice(&text[start..]).ok()?;
    let mut root = Node::default();
    for path in paths {
        path.query_located(&document).locations().for_each(|location| root.take(location.iter()));
    }
    if root == Node::default() {
        return Some(Vec::new());
    }
    let mut walk = Walk { text, at: start, found: Vec::new() };
    walk.value(Some(&root), false, "");
    Some(walk.found)
}

/// A tree of the places that paths lead to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Node {
    members: HashMap<String, Node>,
    elements: HashMap<usize, Node>,
    taken: bool,
}

impl Node {
    fn take<'a>(&mut self, location: impl Iterator<Item = &'a PathElement<'a>>) {
        let node = location.fold(self, |node, element| match element {
            PathElement::Name(name) => node.members.entry((*name).to_owned()).or_default(),
            PathElement::Index(index) => node.elements.entry(*index).or_default(),
        });
        node.taken = true;
    }
}

/// Walks over a text that was read as JSON, so that it is well-formed and no deeper than its reader goes.
struct Walk<'t> {
    text: &'t [u8],
    at: usize,
    found: Vec<Located>,
}

impl Walk<'_> {
    fn value(&mut self, node: Option<&Node>, taken: bool, name: &str) {
        let taken = taken || node.is_some_and(|node| node.taken);
        self.space();
        let start = self.at;
        match self.text.get(self.at) {
            Some(b'{') => self.object(node, taken),
            Some(b'[') => self.array(node, taken, name),
            Some(b'"') => drop(self.string()),
            _ => self.at = scalar_end(self.text, self.at).max(self.at + 1),
        }
        if taken && !matches!(self.text.get(start), Some(b'{' | b'[')) {
            self.found.push(Located { range: start..self.at.min(self.text.len()), name: name.to_owned() });
        }
    }

    fn object(&mut self, node: Option<&Node>, taken: bool) {
        while self.goes_on() {
            let name = self.string();
            self.space();
            self.at += 1;
            self.value(node.and_then(|node| node.members.get(&name)), taken, &name);
            self.space();
        }
    }

    fn array(&mut self, node: Option<&Node>, taken: bool, name: &str) {
        let mut index = 0;
        while self.goes_on() {
            self.value(node.and_then(|node| node.elements.get(&index)), taken, name);
            self.space();
            index += 1;
        }
    }

    /// Steps over what opens a container or parts its values; whether there is one more.
    fn goes_on(&mut self) -> bool {
        let closes = |byte: Option<&u8>| byte.is_none_or(|byte| matches!(byte, b'}' | b']'));
        if !closes(self.text.get(self.at)) {
            self.at += 1;
            self.space();
        }
        let goes_on = !closes(self.text.get(self.at));
        self.at += usize::from(!goes_on);
        goes_on
    }

    /// Steps over a string and reads it.
    fn string(&mut self) -> String {
        let start = self.at + 1;
        let end = string_end(self.text, start).unwrap_or(self.text.len());
        self.at = end + 1;
        let text = self.text.get(start..end).unwrap_or_default();
        String::from_utf8_lossy(&View::new(text, Coding::Json).text).into_owned()
    }

    fn space(&mut self) {
        self.at = after_space(self.text, self.at);
    }
}

/// Where the quote stands that ends a string whose inside begins here; `None` when there is none.
pub(super) fn string_end(text: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let found = at + memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[found] == b'"' {
            return Some(found);
        }
        at = found + 2;
    }
}

/// Where a number or a word ends that begins here.
pub(super) fn scalar_end(text: &[u8], at: usize) -> usize {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-._".contains(byte);
    text.get(at..).map_or(at, |rest| at + rest.iter().take_while(|byte| is_part(byte)).count())
}

/// The first byte from here on that is no white space of JSON.
pub(super) fn after_space(text: &[u8], at: usize) -> usize {
    let space = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    text.get(at..).map_or(at, |rest| at + rest.iter().take_while(space).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, paths: &[&str]) -> Option<Vec<(String, String)>> {
        let paths: Vec<_> = paths.iter().map(|path| JsonPath::parse(path).unwrap()).collect();
        let found = located(text.as_bytes(), &paths)?;
        Some(found.into_iter().map(|found| (found.name, text[found.range].to_owned())).collect())
    }

    #[test]
    fn scalars_that_paths_lead_to() {
        let text = "\u{feff}{\"card\": {\"number\":\"4 \\\"1\", \"n\" : [1, -2.5e3,{}, {\"x\":null}]},\"a\\u0062\" :true, \"card\":{\"number\":7}}";
        for (path, expected) in [
            ("$.card.number", vec![("number", "7")]),
            ("$.card['number','n'][1]", vec![]),
            ("$.ab", vec![("ab", "true")]),
            ("$.nothing", vec![]),
        ] {
            let expected: Vec<_> = expected.into_iter().map(|(a, b)| (a.to_owned(), b.to_owned())).collect();
            assert_eq!(at(text, &[path]).unwrap().into_iter().rev().take(1).collect::<Vec<_>>(), expected, "{path}");
        }
        let text = r#"{"n":[ 1, -2.5e3,{}, [ ],{"x":null, "y":"\\"}] , "t": "z"}"#;
        let own =
            |list: &[(&str, &str)]| list.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect::<Vec<_>>();
        assert_eq!(at(text, &["$.n[1]"]), Some(own(&[("n", "-2.5e3")])));
        assert_eq!(
            at(text, &["$.n", "$.t"]),
            Some(own(&[("n", "1"), ("n", "-2.5e3"), ("x", "null"), ("y", r#""\\""#), ("t", "\"z\"")]))
        );
        assert_eq!(at(text, &["$..x", "$.n[?@.y]"]), Some(own(&[("x", "null"), ("y", r#""\\""#)])));
        assert_eq!(at("7", &["$"]), Some(own(&[("", "7")])));
        assert_eq!(at("{\"a\":", &["$.a"]), None);
        assert_eq!(at("{\"a\":", &[]), Some(vec![]));
    }
}
