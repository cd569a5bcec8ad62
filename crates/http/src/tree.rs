//! A JSON text as a tree over the text itself: every value knows where it stands and keeps its spelling, so that a text can
//! be compared and changed member by member while the rest of it stays byte for byte.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

/// The digest of what counts of a value: equal for values that differ in white space, in the order of an object's members, or
/// in what [`Aside`] sets aside.
pub type Sum = [u8; 32];

/// What does not count when values are compared.
pub trait Aside {
    /// What counts of a string, a number or a word, as it is spelt.
    fn leaf<'t>(&self, text: &'t str) -> Cow<'t, [u8]> {
        Cow::Borrowed(text.as_bytes())
    }

    /// Whether the value at this JSON pointer (RFC 6901) does not count at all.
    fn is_aside(&self, pointer: &str) -> bool {
        let _ = pointer;
        false
    }

    /// Whether a member does not count. `leaves` are the texts of the object's members that are neither lists nor objects.
    fn is_member_aside(&self, name: &str, text: &str, leaves: &[&str]) -> bool {
        let _ = (name, text, leaves);
        false
    }
}

/// Everything counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plain;

impl Aside for Plain {}

/// A value in a text.
#[derive(Clone, Debug)]
pub struct Node<'t> {
    /// As it is spelt.
    pub text: &'t str,
    /// Where it begins in the whole text, in bytes.
    pub at: usize,
    /// What is in it.
    pub kind: Kind<'t>,
    /// Of what counts.
    pub sum: Sum,
}

/// What a value is made of.
#[derive(Clone, Debug)]
pub enum Kind<'t> {
    /// A string, a number or a word.
    Leaf,
    /// The elements of a list.
    List(Vec<Node<'t>>),
    /// The members of an object, in their order, with those that share a name.
    Object(Vec<Member<'t>>),
}

/// A member of an object.
#[derive(Clone, Debug)]
pub struct Member<'t> {
    /// Its name, decoded.
    pub name: String,
    /// Where the name begins in the whole text, in bytes.
    pub at: usize,
    /// Its value.
    pub value: Node<'t>,
}

/// Deeper texts are no trees.
const MAX_DEPTH: usize = 128;

impl<'t> Node<'t> {
    /// The value that all of the text is; `None` when it is no JSON, or too deep.
    ///
    /// ```
    /// use harproxy_http::tree::{Node, Plain};
    /// let a = Node::parse(r#"{"a":1,"b":[2]}"#, &Plain).unwrap();
    /// let b = Node::parse(r#"{ "b": [ 2 ], "a": 1 }"#, &Plain).unwrap();
    /// assert_eq!(a.sum, b.sum);
    /// assert!(Node::parse(r#"{"a":}"#, &Plain).is_none());
    /// ```
    #[must_use]
    pub fn parse(text: &'t str, aside: &dyn Aside) -> Option<Self> {
        Scanner::whole(text, aside, true)
    }

    /// The digest alone of the value that all of the text is, without a tree.
    #[must_use]
    pub fn sum_of(text: &'t str, aside: &dyn Aside) -> Option<Sum> {
        Scanner::whole(text, aside, false).map(|node| node.sum)
    }

    /// Where it ends in the whole text.
    #[must_use]
    pub fn end(&self) -> usize {
        self.at + self.text.len()
    }

    /// The value of a member; of the last where several share the name.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&Node<'t>> {
        let Kind::Object(members) = &self.kind else { return None };
        members.iter().rfind(|member| member.name == name).map(|member| &member.value)
    }
}

/// Walks over a text that is known to be JSON.
struct Scanner<'t, 'a> {
    text: &'t str,
    at: usize,
    pointer: String,
    aside: &'a dyn Aside,
    /// Or what is in lists and objects is dropped as soon as it is summed up.
    keeps: bool,
}

impl<'t, 'a> Scanner<'t, 'a> {
    fn whole(text: &'t str, aside: &'a dyn Aside, keeps: bool) -> Option<Node<'t>> {
        super::json::is_valid(text.as_bytes()).then_some(())?;
        Scanner { text, at: 0, pointer: String::new(), aside, keeps }.value(0)
    }

    fn value(&mut self, depth: usize) -> Option<Node<'t>> {
        if depth > MAX_DEPTH {
            return None;
        }
        let at = self.next()?;
        let (kind, sum) = match self.text.as_bytes()[at] {
            b'{' => self.object(depth)?,
            b'[' => self.list(depth)?,
            first => {
                self.at = if first == b'"' { self.string_end(at)? } else { self.word_end(at) };
                (Kind::Leaf, leaf_sum(&self.aside.leaf(&self.text[at..self.at])))
            }
        };
        let sum = if self.aside.is_aside(&self.pointer) { Sum::default() } else { sum };
        Some(Node { text: &self.text[at..self.at], at, kind, sum })
    }

    fn list(&mut self, depth: usize) -> Option<(Kind<'t>, Sum)> {
        let mut elements = Vec::new();
        let mut count = 0_usize;
        let mut digest = Sha256::new_with_prefix("[");
        self.at += 1;
        while self.text.as_bytes()[self.next()?] != b']' {
            let here = self.descend(&count.to_string());
            let element = self.value(depth + 1)?;
            self.pointer.truncate(here);
            digest.update(element.sum);
            count += 1;
            if self.keeps {
                elements.push(element);
            }
            self.comma()?;
        }
        self.at += 1;
        Some((Kind::List(elements), digest.finalize().into()))
    }

    fn object(&mut self, depth: usize) -> Option<(Kind<'t>, Sum)> {
        let mut members: Vec<Member<'t>> = Vec::new();
        self.at += 1;
        while self.text.as_bytes()[self.next()?] != b'}' {
            let at = self.at;
            self.at = self.string_end(at)?;
            let name = name_of(&self.text[at..self.at]);
            self.next()?;
            self.at += 1;
            let here = self.descend(&name);
            let value = self.value(depth + 1)?;
            self.pointer.truncate(here);
            members.push(Member { name, at, value });
            self.comma()?;
        }
        self.at += 1;
        let sum = self.object_sum(&mut members);
        if !self.keeps {
            members = Vec::new();
        }
        Some((Kind::Object(members), sum))
    }

    fn object_sum(&self, members: &mut [Member<'t>]) -> Sum {
        let leaves = members.iter().filter(|member| matches!(member.value.kind, Kind::Leaf));
        let leaves: Vec<&str> = leaves.map(|member| member.value.text).collect();
        for Member { name, value, .. } in &mut *members {
            if self.aside.is_member_aside(name, value.text, &leaves) {
                value.sum = Sum::default();
            }
        }
        let mut sums: Vec<(&str, &Sum)> =
            members.iter().map(|member| (member.name.as_str(), &member.value.sum)).collect();
        sums.sort_by_key(|(name, _)| *name);
        let mut digest = Sha256::new_with_prefix("{");
        for (name, sum) in sums {
            digest.update(name.len().to_be_bytes());
            digest.update(name);
            digest.update(sum);
        }
        digest.finalize().into()
    }

    /// Adds a step to the pointer; what it was long before.
    fn descend(&mut self, step: &str) -> usize {
        let here = self.pointer.len();
        self.pointer.push('/');
        self.pointer.push_str(&step.replace('~', "~0").replace('/', "~1"));
        here
    }

    /// Where the next byte is that is no white space.
    fn next(&mut self) -> Option<usize> {
        self.at += self.text.as_bytes()[self.at..].iter().position(|byte| !byte.is_ascii_whitespace())?;
        Some(self.at)
    }

    /// Goes over a comma, if one is next.
    fn comma(&mut self) -> Option<()> {
        if self.text.as_bytes()[self.next()?] == b',' {
            self.at += 1;
        }
        Some(())
    }

    fn string_end(&self, start: usize) -> Option<usize> {
        let mut escaped = false;
        let inside = &self.text.as_bytes()[start + 1..];
        let quote = inside.iter().position(|&byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        })?;
        Some(start + 1 + quote + 1)
    }

    fn word_end(&self, start: usize) -> usize {
        let ends = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b',' | b']' | b'}');
        self.text.as_bytes()[start..].iter().position(ends).map_or(self.text.len(), |len| start + len)
    }
}

fn leaf_sum(text: &[u8]) -> Sum {
    Sha256::new_with_prefix("=").chain_update(text).finalize().into()
}

/// A name with a lone surrogate can't be decoded: as it is spelt.
fn name_of(text: &str) -> String {
    serde_json::from_str(text).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Node<'_> {
        Node::parse(text, &Plain).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn every_value_knows_where_it_stands() {
        let text = r#" { "a\"b" : [ 1.0e5 , "x,]\\" , { } , [] ] , "c" :true}"#;
        let root = parse(text);
        assert_eq!((root.at, root.end()), (1, text.len()));
        let Kind::List(list) = &root.member("a\"b").unwrap().kind else { panic!() };
        let texts: Vec<&str> = list.iter().map(|node| node.text).collect();
        assert_eq!(texts, ["1.0e5", r#""x,]\\""#, "{ }", "[]"]);
        assert!(list.iter().all(|node| &text[node.at..node.end()] == node.text));
        assert_eq!(root.member("c").unwrap().text, "true");
    }

    #[test]
    fn what_counts() {
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
            assert_eq!(parse(a).sum == parse(b).sum, equal, "{a} {b}");
            assert_eq!(Node::sum_of(a, &Plain), Some(parse(a).sum), "{a}");
        }
    }

    #[test]
    fn what_is_set_aside_does_not_count() {
        struct Second;
        impl Aside for Second {
            fn is_aside(&self, pointer: &str) -> bool {
                pointer == "/a~1b/1"
            }
        }
        let sum = |text| Node::sum_of(text, &Second).unwrap();
        assert_eq!(sum(r#"{"a/b":[1,2]}"#), sum(r#"{"a/b":[1,{"x":[]}]}"#));
        assert_ne!(sum(r#"{"a/b":[1,2]}"#), sum(r#"{"a/b":[1]}"#));
        assert_ne!(sum(r#"{"a/b":[1,2]}"#), sum(r#"{"a/b":[2,2]}"#));
    }

    #[test]
    fn what_is_no_json_is_no_tree() {
        let deep = "[".repeat(200) + &"]".repeat(200);
        for text in ["", "{", "[1,]", "nil", "\u{feff}1", &deep] {
            assert!(Node::parse(text, &Plain).is_none(), "{text}");
        }
    }
}
