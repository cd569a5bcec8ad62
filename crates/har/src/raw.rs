//! JSON taken apart and put together again without a change of value: numbers keep their spelling, names that stand twice
//! stay twice, and a string that no parser can hold (a lone surrogate) stays as it was escaped.
//!
//! What is laid out anew is white space, the order of members, and how characters are escaped.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// Deeper values are refused: nothing that people or tools write is.
const DEEPEST: usize = 128;

/// A JSON value whose leaves are their text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node<'a> {
    /// Names as JSON texts, quotes included.
    Object(Vec<Member<'a>>),
    Array(Vec<Node<'a>>),
    /// A string, number, boolean or null.
    Leaf(Cow<'a, str>),
}

/// A member of an object: its name as a JSON text, and its value.
pub(super) type Member<'a> = (Cow<'a, str>, Node<'a>);

impl<'a> Node<'a> {
    /// Takes a text apart; `Err` says in words why it can't be.
    pub(super) fn parse(json: &'a str) -> Result<Self, String> {
        let whole: &RawValue = serde_json::from_str(json).map_err(not_json)?;
        Node::parse_at(whole.get(), 0)
    }

    fn parse_at(json: &'a str, depth: usize) -> Result<Self, String> {
        if depth > DEEPEST {
            return Err(format!("it is nested deeper than {DEEPEST} levels"));
        }
        match json.as_bytes().first() {
            Some(b'{') => {
                let member = |(name, value)| Ok((string(name), Node::parse_at(value, depth + 1)?));
                Ok(Node::Object(members(json)?.into_iter().map(member).collect::<Result<_, String>>()?))
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(json).map_err(not_json)?;
                let items = items.into_iter().map(|item| Node::parse_at(item.get(), depth + 1));
                Ok(Node::Array(items.collect::<Result<_, String>>()?))
            }
            Some(b'"') => Ok(Node::Leaf(string(json))),
            _ => Ok(Node::Leaf(json.into())),
        }
    }

    /// A string.
    pub(super) fn text(text: &str) -> Node<'static> {
        Node::Leaf(quoted(text).into())
    }

    /// What a string says; `None` for anything else, and for a string that is no text.
    pub(super) fn as_text(&self) -> Option<Cow<'_, str>> {
        match self {
            Node::Leaf(leaf) => unquoted(leaf),
            _ => None,
        }
    }

    /// The members of an object.
    pub(super) fn members(&self) -> &[Member<'a>] {
        match self {
            Node::Object(members) => members,
            _ => &[],
        }
    }

    /// The values of the members of that name, which is plain ASCII.
    pub(super) fn all_mut(&mut self, name: &str) -> impl Iterator<Item = &mut Node<'a>> {
        let members = match self {
            Node::Object(members) => &mut members[..],
            _ => &mut [],
        };
        members.iter_mut().filter(move |(found, _)| is_named(found, name)).map(|(_, value)| value)
    }

    /// The value of the first member of that name, which is plain ASCII.
    pub(super) fn get(&self, name: &str) -> Option<&Node<'a>> {
        self.members().iter().find(|(found, _)| is_named(found, name)).map(|(_, value)| value)
    }

    /// Sets the member of that name: where it stands, else at the end.
    pub(super) fn set(&mut self, name: &str, value: Node<'a>) {
        if let Some(there) = self.all_mut(name).next() {
            *there = value;
        } else if let Node::Object(members) = self {
            members.push((quoted(name).into(), value));
        }
    }

    /// The value without any borrowed text.
    pub(super) fn into_owned(self) -> Node<'static> {
        match self {
            Node::Leaf(leaf) => Node::Leaf(leaf.into_owned().into()),
            Node::Array(items) => Node::Array(items.into_iter().map(Node::into_owned).collect()),
            Node::Object(members) => {
                let owned = |(name, value): Member<'_>| (name.into_owned().into(), value.into_owned());
                Node::Object(members.into_iter().map(owned).collect())
            }
        }
    }

    /// Two spaces a level, `depth` spaces more before every line but the first.
    pub(super) fn pretty(&self, depth: usize) -> String {
        let mut out = String::with_capacity(4 << 10);
        self.write(&mut out, Some(depth));
        out
    }

    /// On one line, without any space.
    pub(super) fn compact(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, None);
        out
    }

    fn write(&self, out: &mut String, margin: Option<usize>) {
        let inner = margin.map(|margin| margin + 2);
        match self {
            Node::Leaf(leaf) => out.push_str(leaf),
            Node::Array(items) if items.is_empty() => out.push_str("[]"),
            Node::Object(members) if members.is_empty() => out.push_str("{}"),
            Node::Array(items) => {
                for (at, item) in items.iter().enumerate() {
                    out.push(if at == 0 { '[' } else { ',' });
                    new_line(out, inner);
                    item.write(out, inner);
                }
                new_line(out, margin);
                out.push(']');
            }
            Node::Object(members) => {
                for (at, (name, value)) in members.iter().enumerate() {
                    out.push(if at == 0 { '{' } else { ',' });
                    new_line(out, inner);
                    out.push_str(name);
                    out.push_str(if margin.is_some() { ": " } else { ":" });
                    value.write(out, inner);
                }
                new_line(out, margin);
                out.push('}');
            }
        }
    }
}

impl From<&str> for Node<'static> {
    fn from(text: &str) -> Self {
        Node::text(text)
    }
}

impl From<Value> for Node<'static> {
    fn from(value: Value) -> Self {
        match value {
            Value::Object(members) => Node::Object(
                members.into_iter().map(|(name, value)| (quoted(&name).into(), Node::from(value))).collect(),
            ),
            Value::Array(items) => Node::Array(items.into_iter().map(Node::from).collect()),
            Value::String(text) => Node::text(&text),
            leaf => Node::Leaf(leaf.to_string().into()),
        }
    }
}

fn new_line(out: &mut String, margin: Option<usize>) {
    if let Some(margin) = margin {
        const SPACES: &str = "                                ";
        out.push('\n');
        let mut left = margin;
        while left > 0 {
            let some = left.min(SPACES.len());
            out.push_str(&SPACES[..some]);
            left -= some;
        }
    }
}

/// The members of an object, names and values as they are spelled, each a slice of `json`.
pub(super) fn members(json: &str) -> Result<Vec<(&str, &str)>, String> {
    struct Members<'a>(Vec<(&'a str, &'a str)>);
    impl<'de> Deserialize<'de> for Members<'de> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_map(Object)
        }
    }
    struct Object;
    impl<'de> Visitor<'de> for Object {
        type Value = Members<'de>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
            let mut members = Vec::new();
            while let Some((name, value)) = map.next_entry::<&RawValue, &RawValue>()? {
                members.push((name.get(), value.get()));
            }
            Ok(Members(members))
        }
    }
    serde_json::from_str(json).map(|Members(members)| members).map_err(not_json)
}

/// Whether the JSON text of a name is this one, which is plain ASCII.
pub(super) fn is_named(text: &str, name: &str) -> bool {
    let plain = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    plain == Some(name) || (text.contains('\\') && unquoted(text).is_some_and(|found| found == name))
}

/// What the JSON text of a string says.
pub(super) fn unquoted(text: &str) -> Option<Cow<'_, str>> {
    let plain = text.strip_prefix('"')?.strip_suffix('"')?;
    if plain.contains('\\') { serde_json::from_str(text).ok().map(Cow::Owned) } else { Some(plain.into()) }
}

/// The JSON text of a string.
pub(super) fn quoted(text: &str) -> String {
    if text.bytes().any(|byte| byte < b' ' || matches!(byte, b'"' | b'\\')) {
        return Value::from(text).to_string();
    }
    let mut plain = String::with_capacity(text.len() + 2);
    plain.push('"');
    plain.push_str(text);
    plain.push('"');
    plain
}

/// A string with nothing escaped that need not be; as it is when it is no text.
fn string(json: &str) -> Cow<'_, str> {
    match unquoted(json) {
        Some(Cow::Owned(text)) => quoted(&text).into(),
        _ => json.into(),
    }
}

fn not_json(error: serde_json::Error) -> String {
    format!("it is not JSON: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stay_as_they_are_spelled() {
        let json = r#" { "a" : [ 1.0, 1e400, 12345678901234567890123, -0, 0.1000, { } , [ ] ],
            "b": "\ud83d", "b": "\u00e9\/\n", "\u0062": null } "#;
        let node = Node::parse(json).unwrap();
        assert_eq!(
            node.compact(),
            r#"{"a":[1.0,1e400,12345678901234567890123,-0,0.1000,{},[]],"b":"\ud83d","b":"é/\n","b":null}"#
        );
        assert_eq!(Node::parse(&node.pretty(4)).unwrap(), node);
    }

    #[test]
    fn laid_out_as_serde_json_does() {
        let value = serde_json::json!({"a": [1, [], {}, {"b": "x\u{7f}\u{2028}\"\\\t"}], "c": {"d": null}});
        let text = format!("{value:#}");
        assert_eq!(Node::from(value.clone()).pretty(0), text);
        assert_eq!(Node::parse(&text).unwrap().compact(), value.to_string());
    }

    #[test]
    fn what_is_no_json_is_refused_in_words() {
        for json in ["", "{", "[1,]", "{\"a\" 1}", "nil", "1 2", "\"a"] {
            assert!(Node::parse(json).is_err(), "{json}");
        }
        let deep = "[".repeat(200) + &"]".repeat(200);
        assert!(Node::parse(&deep).unwrap_err().contains("128"));
    }
}
