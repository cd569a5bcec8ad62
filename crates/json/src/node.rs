//! An immutable tree over a JSON text: each value has its span, its spelling, and a digest of what counts of it.
//!
//! Comparing digests finds the values that differ between two texts. The spans allow changing them in place.

use std::borrow::Cow;

use serde::de::IgnoredAny;
use sha2::{Digest as _, Sha256};

use super::text::unquote;
use super::walk::{Container, Event, EventKind, Walker};

/// The SHA-256 of what counts of a value. White space and the order of members do not count.
pub type Digest = [u8; 32];

/// Decides what counts of a value when its digest is made. The default counts everything, as it is spelled.
pub trait DigestRules {
    /// Returns what counts of a scalar. `json` is its spelling, with the quotes of a string.
    fn scalar<'t>(&self, json: &'t str) -> Cow<'t, [u8]> {
        Cow::Borrowed(json.as_bytes())
    }

    /// Returns true if the value at this JSON pointer (RFC 6901) does not count. The presence of a value still counts.
    fn ignores_value(&self, pointer: &str) -> bool {
        let _ = pointer;
        false
    }

    /// Returns true if the value of a member does not count. `siblings` are the scalars among the values of its object,
    /// as spelled.
    fn ignores_member(&self, name: &str, json: &str, siblings: &[&str]) -> bool {
        let _ = (name, json, siblings);
        false
    }
}

/// Counts everything, as it is spelled.
#[derive(Clone, Copy, Debug, Default)]
pub struct CountAll;

impl DigestRules for CountAll {}

#[derive(Clone, Debug)]
pub struct Node<'t> {
    /// The value as it is spelled.
    pub text: &'t str,
    /// The position of its first byte.
    pub at: usize,
    /// Its members or elements, if it is a container.
    pub kind: NodeKind<'t>,
    /// The digest of what counts of it.
    pub digest: Digest,
}

#[derive(Clone, Debug)]
pub enum NodeKind<'t> {
    /// A string, number, boolean or null.
    Scalar,
    /// The elements of an array.
    Array(Vec<Node<'t>>),
    /// The members of an object in their order, including those that share a name.
    Object(Vec<Member<'t>>),
}

#[derive(Clone, Debug)]
pub struct Member<'t> {
    /// The name, decoded. A name with a lone surrogate is kept as it is spelled.
    pub name: String,
    /// The position of the first byte of the name.
    pub at: usize,
    pub value: Node<'t>,
}

impl<'t> Node<'t> {
    /// Parses a text that consists of one value. Returns `None` for invalid JSON, and for one that is nested deeper
    /// than [`MAX_DEPTH`](super::MAX_DEPTH).
    ///
    /// ```
    /// use harproxy_json::{CountAll, Node};
    /// let a = Node::parse(r#"{"a":1,"b":[2]}"#, &CountAll).unwrap();
    /// let b = Node::parse(r#"{ "b": [ 2 ], "a": 1 }"#, &CountAll).unwrap();
    /// assert_eq!(a.digest, b.digest);
    /// assert!(Node::parse(r#"{"a":}"#, &CountAll).is_none());
    /// ```
    #[must_use]
    pub fn parse(text: &'t str, rules: &dyn DigestRules) -> Option<Self> {
        Builder::build(text, rules, true)
    }

    /// Returns the digest of a text that consists of one value, without building the tree.
    #[must_use]
    pub fn digest_of(text: &'t str, rules: &dyn DigestRules) -> Option<Digest> {
        Builder::build(text, rules, false).map(|node| node.digest)
    }

    /// Returns the position behind its last byte.
    #[must_use]
    pub fn end(&self) -> usize {
        self.at + self.text.len()
    }

    /// Returns true for a string, number, boolean or null.
    #[must_use]
    pub fn is_scalar(&self) -> bool {
        matches!(self.kind, NodeKind::Scalar)
    }

    /// Returns the members of an object; nothing for other values.
    #[must_use]
    pub fn members(&self) -> &[Member<'t>] {
        match &self.kind {
            NodeKind::Object(members) => members,
            _ => &[],
        }
    }

    /// Returns the elements of an array; nothing for other values.
    #[must_use]
    pub fn elements(&self) -> &[Node<'t>] {
        match &self.kind {
            NodeKind::Array(elements) => elements,
            _ => &[],
        }
    }

    /// Returns the value of a member; the last one if several share the name.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&Node<'t>> {
        self.members().iter().rfind(|member| member.name == name).map(|member| &member.value)
    }
}

/// Builds nodes from the events of a text.
struct Builder<'t, 'r> {
    text: &'t str,
    walker: Walker<'t>,
    pointer: String,
    rules: &'r dyn DigestRules,
    /// If false, the parts of a container are dropped as soon as its digest is known.
    keep_parts: bool,
}

impl<'t, 'r> Builder<'t, 'r> {
    fn build(text: &'t str, rules: &'r dyn DigestRules, keep_parts: bool) -> Option<Node<'t>> {
        serde_json::from_str::<IgnoredAny>(text).ok()?;
        let walker = Walker::new(text.as_bytes());
        let mut builder = Builder { text, walker, pointer: String::new(), rules, keep_parts };
        let first = builder.walker.next()?;
        builder.value(&first)
    }

    fn value(&mut self, first: &Event) -> Option<Node<'t>> {
        let at = first.span.start;
        let (kind, digest, end) = match first.kind {
            EventKind::Open(Container::Array) => self.array()?,
            EventKind::Open(Container::Object) => self.object()?,
            _ => {
                let end = first.span.end;
                (NodeKind::Scalar, scalar_digest(&self.rules.scalar(&self.text[at..end])), end)
            }
        };
        let digest = if self.rules.ignores_value(&self.pointer) { Digest::default() } else { digest };
        Some(Node { text: &self.text[at..end], at, kind, digest })
    }

    fn array(&mut self) -> Option<(NodeKind<'t>, Digest, usize)> {
        let mut elements = Vec::new();
        let mut digest = Sha256::new_with_prefix("[");
        for index in 0_usize.. {
            let event = self.walker.next()?;
            if event.kind == EventKind::Close {
                return Some((NodeKind::Array(elements), digest.finalize().into(), event.span.end));
            }
            let parent = self.push_step(&index.to_string());
            let element = self.value(&event)?;
            self.pointer.truncate(parent);
            digest.update(element.digest);
            if self.keep_parts {
                elements.push(element);
            }
        }
        None
    }

    fn object(&mut self) -> Option<(NodeKind<'t>, Digest, usize)> {
        let mut members: Vec<Member<'t>> = Vec::new();
        loop {
            let event = self.walker.next()?;
            if event.kind == EventKind::Close {
                let digest = self.object_digest(&mut members);
                if !self.keep_parts {
                    members = Vec::new();
                }
                return Some((NodeKind::Object(members), digest, event.span.end));
            }
            let at = event.span.start;
            let spelled = &self.text[event.span];
            let name = unquote(spelled).map_or_else(|| spelled.to_owned(), Cow::into_owned);
            let parent = self.push_step(&name);
            let first = self.walker.next()?;
            let value = self.value(&first)?;
            self.pointer.truncate(parent);
            members.push(Member { name, at, value });
        }
    }

    fn object_digest(&self, members: &mut [Member<'t>]) -> Digest {
        let scalars = members.iter().filter(|member| member.value.is_scalar());
        let scalars: Vec<&str> = scalars.map(|member| member.value.text).collect();
        for Member { name, value, .. } in &mut *members {
            if self.rules.ignores_member(name, value.text, &scalars) {
                value.digest = Digest::default();
            }
        }
        let mut digests: Vec<(&str, &Digest)> =
            members.iter().map(|member| (member.name.as_str(), &member.value.digest)).collect();
        digests.sort_by_key(|(name, _)| *name);
        let mut digest = Sha256::new_with_prefix("{");
        for (name, value) in digests {
            digest.update(name.len().to_be_bytes());
            digest.update(name);
            digest.update(value);
        }
        digest.finalize().into()
    }

    /// Appends a step to the pointer. Returns the length of the pointer before.
    fn push_step(&mut self, step: &str) -> usize {
        let parent = self.pointer.len();
        self.pointer.push('/');
        match step.contains(['~', '/']) {
            true => self.pointer.push_str(&step.replace('~', "~0").replace('/', "~1")),
            false => self.pointer.push_str(step),
        }
        parent
    }
}

fn scalar_digest(text: &[u8]) -> Digest {
    Sha256::new_with_prefix("=").chain_update(text).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::super::CountAll;
    use super::*;

    fn parse(text: &str) -> Node<'_> {
        Node::parse(text, &CountAll).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn nodes_have_the_span_of_their_text() {
        let text = r#" { "a\"b" : [ 1.0e5 , "x,]\\" , { } , [] ] , "c" :true}"#;
        let root = parse(text);
        assert_eq!((root.at, root.end()), (1, text.len()));
        let elements = root.member("a\"b").unwrap().elements();
        let texts: Vec<&str> = elements.iter().map(|node| node.text).collect();
        assert_eq!(texts, ["1.0e5", r#""x,]\\""#, "{ }", "[]"]);
        assert!(elements.iter().all(|node| &text[node.at..node.end()] == node.text));
        assert_eq!(root.member("c").unwrap().text, "true");
    }

    #[test]
    fn digests_depend_on_spelling_and_not_on_white_space_and_member_order() {
        for (a, b, equal) in [
            ("1", " 1 ", true),
            ("1", "1.0", false),
            (r#"{"a":1,"b":2}"#, r#"{"b":2,"a":1}"#, true),
            (r#"{"a":1,"a":2}"#, r#"{"a":2,"a":1}"#, false),
            ("[1,2]", "[2,1]", false),
            ("[[1],2]", "[[1,2]]", false),
            (r#""é""#, r#""\u00e9""#, false),
            (r#"{"a":{}}"#, r#"{"a":[]}"#, false),
        ] {
            assert_eq!(parse(a).digest == parse(b).digest, equal, "{a} {b}");
            assert_eq!(Node::digest_of(a, &CountAll), Some(parse(a).digest), "{a}");
        }
    }

    #[test]
    fn ignored_value_counts_only_as_present() {
        struct IgnoreSecond;
        impl DigestRules for IgnoreSecond {
            fn ignores_value(&self, pointer: &str) -> bool {
                pointer == "/a~1b/1"
            }
        }
        let digest = |text| Node::digest_of(text, &IgnoreSecond).unwrap();
        assert_eq!(digest(r#"{"a/b":[1,2]}"#), digest(r#"{"a/b":[1,{"x":[]}]}"#));
        assert_ne!(digest(r#"{"a/b":[1,2]}"#), digest(r#"{"a/b":[1]}"#));
        assert_ne!(digest(r#"{"a/b":[1,2]}"#), digest(r#"{"a/b":[2,2]}"#));
    }

    #[test]
    fn invalid_json_has_no_tree() {
        let deep = "[".repeat(200) + &"]".repeat(200);
        for text in ["", "{", "[1,]", "nil", "\u{feff}1", &deep] {
            assert!(Node::parse(text, &CountAll).is_none(), "{text}");
        }
    }
}
