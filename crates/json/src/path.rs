//! JSON paths (RFC 9535): parsing, selecting, removing, and the positions of the scalars that they select in a text.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::ops::Range;

use serde_json::Value;
use serde_json_path::PathElement;

use super::text::unquote_lossy;
use super::walk::{EventKind, Walker};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonPath(serde_json_path::JsonPath);

/// A text that is not a JSON path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` is not a valid JSON path: {reason}{}", did_you_mean(suggestion.as_deref()))]
pub struct PathError {
    pub path: String,
    /// The parser's message.
    pub reason: String,
    /// The valid path that the text probably stands for, if only its beginning is missing.
    pub suggestion: Option<String>,
}

/// The deepest nesting of brackets in a path. The parser is recursive, and so is dropping a parsed path.
const MAX_NESTING: usize = 16;

/// The part of an invalid path that errors show, in characters.
const SHOWN: usize = 80;

/// Returns true if the brackets outside of strings are nested deeper than [`MAX_NESTING`].
fn is_too_deep(path: &str) -> bool {
    let (mut depth, mut quote, mut escaped) = (0_usize, None, false);
    path.bytes().any(|byte| {
        match (quote, byte) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), b'\\') => escaped = true,
            (Some(open), _) if open == byte => quote = None,
            (Some(_), _) => {}
            (None, b'\'' | b'"') => quote = Some(byte),
            (None, b'[' | b'(') => depth += 1,
            (None, b']' | b')') => depth = depth.saturating_sub(1),
            (None, _) => {}
        }
        depth > MAX_NESTING
    })
}

/// Returns true if a path ends within a Unicode escape, at which the parser panics. No valid path ends with `\u` and at
/// most one character.
fn ends_in_escape(path: &str) -> bool {
    path.rfind("\\u").is_some_and(|at| path[at + 2..].chars().count() <= 1)
}

fn shorten(path: &str) -> String {
    match path.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &path[..end]),
        None => path.to_owned(),
    }
}

fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion.map(|path| format!("; did you mean `{path}`?")).unwrap_or_default()
}

impl JsonPath {
    /// Parses a path.
    ///
    /// ```
    /// use harproxy_json::JsonPath;
    /// assert!(JsonPath::parse("$.items[*].id").is_ok());
    /// let error = JsonPath::parse("items").unwrap_err();
    /// assert_eq!(error.to_string(), "`items` is not a valid JSON path: parser error; did you mean `$.items`?");
    /// ```
    pub fn parse(path: &str) -> Result<Self, PathError> {
        if is_too_deep(path) {
            let reason = format!("brackets are nested deeper than {MAX_NESTING} levels; write a flatter path");
            return Err(PathError { path: shorten(path), reason, suggestion: None });
        }
        if ends_in_escape(path) {
            let reason = r"it ends within `\u`, which four hexadecimal digits follow".to_owned();
            return Err(PathError { path: shorten(path), reason, suggestion: None });
        }
        let parse = |path: &str| serde_json_path::JsonPath::parse(path);
        parse(path).map(JsonPath).map_err(|error| {
            let candidates = ["$", "$."].map(|start| format!("{start}{path}"));
            PathError {
                path: shorten(path),
                reason: error.message().to_owned(),
                suggestion: candidates.into_iter().find(|path| parse(path).is_ok()),
            }
        })
    }

    #[must_use]
    pub fn select<'v>(&self, value: &'v Value) -> Vec<&'v Value> {
        self.0.query(value).all()
    }

    /// Returns the JSON pointers (RFC 6901) to the values that the path selects.
    #[must_use]
    pub fn pointers(&self, value: &Value) -> Vec<String> {
        self.0.query_located(value).locations().map(|location| location.to_json_pointer()).collect()
    }

    /// Removes the values that the path selects, except the root.
    pub fn remove_from(&self, value: &mut Value) {
        // The last one first: removing an element of an array moves those behind it.
        for pointer in self.pointers(value).iter().rev() {
            remove(value, pointer);
        }
    }

    /// Returns the member name that a path in this spelling ends with: `ssn` for `$..ssn`, `$['ssn']` and `$.ssn[*]`.
    #[must_use]
    pub fn last_name(path: &str) -> Option<String> {
        let path = path.trim_end();
        let Some(inside) = path.strip_suffix(']') else {
            let start = path.rfind(['.', ']']).map_or(0, |at| at + 1);
            return Some(path[start..].to_owned()).filter(|name| !name.is_empty() && name != "*" && name != "$");
        };
        let (before, selector) = inside.rsplit_once('[')?;
        let selector = selector.trim();
        match selector.chars().next() {
            Some(quote @ ('\'' | '"')) => selector.strip_prefix(quote)?.strip_suffix(quote).map(str::to_owned),
            _ => JsonPath::last_name(before),
        }
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Removes the value at a JSON pointer (RFC 6901).
fn remove(value: &mut Value, pointer: &str) {
    let Some((parent, last)) = pointer.rsplit_once('/') else { return };
    match value.pointer_mut(parent) {
        Some(Value::Object(members)) => {
            members.shift_remove(&last.replace("~1", "/").replace("~0", "~"));
        }
        Some(Value::Array(elements)) => {
            if let Some(index) = last.parse().ok().filter(|&index: &usize| index < elements.len()) {
                elements.remove(index);
            }
        }
        _ => {}
    }
}

/// Returns the step of a JSON path that selects a member: `.name`, or `['…']` if the name is not a word.
///
/// ```
/// use harproxy_json::member_step;
/// assert_eq!([member_step("größe"), member_step("it's")], [".größe", r"['it\'s']"]);
/// ```
#[must_use]
pub fn member_step(name: &str) -> String {
    let is_word = name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    if is_word {
        return format!(".{name}");
    }
    let escaped = |c: char| match c {
        '\\' | '\'' => format!("\\{c}"),
        '\0'..='\x1f' => format!("\\u{:04x}", u32::from(c)),
        _ => c.to_string(),
    };
    format!("['{}']", name.chars().map(escaped).collect::<String>())
}

/// The position of a value in a document.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pointer<'a>(Vec<PointerStep<'a>>);

/// One step of a [`Pointer`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PointerStep<'a> {
    /// To the member with this name.
    Member(Cow<'a, str>),
    /// To the element with this index.
    Index(usize),
}

impl<'a> Pointer<'a> {
    pub fn push(&mut self, step: PointerStep<'a>) {
        self.0.push(step);
    }

    /// Removes the last step.
    pub fn pop(&mut self) {
        self.0.pop();
    }

    /// Returns the steps from the root on.
    #[must_use]
    pub fn steps(&self) -> &[PointerStep<'a>] {
        &self.0
    }

    /// Returns true for the pointer to the whole document.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Copies the names.
    #[must_use]
    pub fn to_owned(&self) -> Pointer<'static> {
        let owned = |step: &PointerStep<'_>| match step {
            PointerStep::Member(name) => PointerStep::Member(name.clone().into_owned().into()),
            PointerStep::Index(index) => PointerStep::Index(*index),
        };
        Pointer(self.0.iter().map(owned).collect())
    }

    /// Returns the JSON path that selects this value alone: `$.items[0].id`.
    ///
    /// ```
    /// use harproxy_json::{Pointer, PointerStep};
    /// let mut pointer = Pointer::default();
    /// pointer.push(PointerStep::Member("items".into()));
    /// pointer.push(PointerStep::Index(0));
    /// assert_eq!([pointer.to_path(), pointer.to_wildcard_path()], ["$.items[0]", "$.items[*]"]);
    /// assert_eq!(pointer.to_string(), "/items/0");
    /// ```
    #[must_use]
    pub fn to_path(&self) -> String {
        self.path(|index| format!("[{index}]"))
    }

    /// Returns the JSON path that selects this value in all elements of the arrays around it: `$.items[*].id`.
    #[must_use]
    pub fn to_wildcard_path(&self) -> String {
        self.path(|_| "[*]".to_owned())
    }

    fn path(&self, index_step: impl Fn(usize) -> String) -> String {
        let steps = self.0.iter().map(|step| match step {
            PointerStep::Member(name) => member_step(name),
            PointerStep::Index(index) => index_step(*index),
        });
        std::iter::once("$".to_owned()).chain(steps).collect()
    }
}

/// Writes a JSON pointer (RFC 6901).
impl fmt::Display for Pointer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|step| match step {
            PointerStep::Member(name) => write!(f, "/{}", name.replace('~', "~0").replace('/', "~1")),
            PointerStep::Index(index) => write!(f, "/{index}"),
        })
    }
}

/// A scalar that a path selects, or that is inside a selected value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocatedScalar {
    /// Its bytes in the text, with the quotes of a string.
    pub range: Range<usize>,
    /// The name of the innermost member around it; empty if there is none.
    pub name: String,
}

/// Returns the scalars of a text that the paths select, in order. `None` if the text is not JSON, or is nested too
/// deeply.
#[must_use]
pub fn locate(text: &[u8], paths: &[JsonPath]) -> Option<Vec<LocatedScalar>> {
    if paths.is_empty() {
        return Some(Vec::new());
    }
    let start = if text.starts_with(super::scan::BYTE_ORDER_MARK) { super::scan::BYTE_ORDER_MARK.len() } else { 0 };
    let document: Value = serde_json::from_slice(&text[start..]).ok()?;
    let mut root = Selection::default();
    for JsonPath(path) in paths {
        path.query_located(&document).locations().for_each(|location| root.select(location.iter()));
    }
    let mut found = Vec::new();
    if root != Selection::default() {
        locate_scalars(text, &root, &mut found);
    }
    Some(found)
}

/// The selected places of a document, as a tree.
#[derive(Debug, Default, PartialEq, Eq)]
struct Selection {
    members: HashMap<String, Selection>,
    elements: HashMap<usize, Selection>,
    is_selected: bool,
}

impl Selection {
    fn select<'a>(&mut self, location: impl Iterator<Item = &'a PathElement<'a>>) {
        let place = location.fold(self, |place, element| match element {
            PathElement::Name(name) => place.members.entry((*name).to_owned()).or_default(),
            PathElement::Index(index) => place.elements.entry(*index).or_default(),
        });
        place.is_selected = true;
    }
}

/// A container that is open at the current position.
struct OpenContainer<'s> {
    selection: Option<&'s Selection>,
    is_selected: bool,
    name: String,
    /// The index of the next element; elements of objects are found by their names.
    index: usize,
}

/// Walks along a valid JSON text and the selected places at once.
fn locate_scalars(text: &[u8], root: &Selection, found: &mut Vec<LocatedScalar>) {
    let mut open: Vec<OpenContainer<'_>> = Vec::new();
    let mut member: Option<String> = None;
    for event in Walker::new(text) {
        if event.kind == EventKind::Name {
            let spelled = String::from_utf8_lossy(&text[event.span]);
            member = Some(unquote_lossy(&spelled).unwrap_or_default().into_owned());
            continue;
        }
        if event.kind == EventKind::Close {
            open.pop();
            continue;
        }
        let (selection, outer, name) = match (open.last_mut(), member.take()) {
            (None, _) => (Some(root), false, String::new()),
            (Some(parent), Some(name)) => {
                let selection = parent.selection.and_then(|selection| selection.members.get(&name));
                (selection, parent.is_selected, name)
            }
            (Some(parent), None) => {
                let selection = parent.selection.and_then(|selection| selection.elements.get(&parent.index));
                parent.index += 1;
                (selection, parent.is_selected, parent.name.clone())
            }
        };
        let is_selected = outer || selection.is_some_and(|selection| selection.is_selected);
        match event.kind {
            EventKind::Open(_) => open.push(OpenContainer { selection, is_selected, name, index: 0 }),
            _ if is_selected => found.push(LocatedScalar { range: event.span, name }),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn located(text: &str, paths: &[&str]) -> Option<Vec<(String, String)>> {
        let paths: Vec<_> = paths.iter().map(|path| JsonPath::parse(path).unwrap()).collect();
        let found = locate(text.as_bytes(), &paths)?;
        Some(found.into_iter().map(|found| (found.name, text[found.range].to_owned())).collect())
    }

    fn owned(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    }

    #[test]
    fn last_of_several_members_with_one_name_is_selected() {
        let text = "\u{feff}{\"card\": {\"number\":\"4 \\\"1\", \"n\" : [1, -2.5e3,{}, {\"x\":null}]},\
                    \"a\\u0062\" :true, \"card\":{\"number\":7}}";
        for (path, expected) in [
            ("$.card.number", vec![("number", "7")]),
            ("$.card['number','n'][1]", vec![]),
            ("$.ab", vec![("ab", "true")]),
            ("$.nothing", vec![]),
        ] {
            let last: Vec<_> = located(text, &[path]).unwrap().into_iter().next_back().into_iter().collect();
            assert_eq!(last, owned(&expected), "{path}");
        }
    }

    #[test]
    fn scalars_inside_a_selected_value_are_located_with_the_nearest_name() {
        let text = r#"{"n":[ 1, -2.5e3,{}, [ ],{"x":null, "y":"\\"}] , "t": "z"}"#;
        assert_eq!(located(text, &["$.n[1]"]), Some(owned(&[("n", "-2.5e3")])));
        assert_eq!(
            located(text, &["$.n", "$.t"]),
            Some(owned(&[("n", "1"), ("n", "-2.5e3"), ("x", "null"), ("y", r#""\\""#), ("t", "\"z\"")]))
        );
        assert_eq!(located(text, &["$..x", "$.n[?@.y]"]), Some(owned(&[("x", "null"), ("y", r#""\\""#)])));
        assert_eq!(located("7", &["$"]), Some(owned(&[("", "7")])));
        assert_eq!(located("{\"a\":", &["$.a"]), None);
        assert_eq!(located("{\"a\":", &[]), Some(vec![]));
    }

    #[test]
    fn selected_values_are_removed() {
        let mut value = serde_json::json!({"a/b": 1, "list": [{"id": 1}, {"id": 2, "n": 3}, 4]});
        for path in ["$['a/b']", "$..id", "$.list[0,2]", "$"] {
            JsonPath::parse(path).unwrap().remove_from(&mut value);
        }
        assert_eq!(value, serde_json::json!({"list": [{"n": 3}]}));
    }

    #[test]
    fn last_names_of_paths() {
        for (path, name) in [
            ("$.card.number", Some("number")),
            ("$..ssn", Some("ssn")),
            ("$['a b']", Some("a b")),
            ("$.cards[*]", Some("cards")),
            ("$.cards[?@.x]", Some("cards")),
            ("$.*", None),
            ("$", None),
        ] {
            assert_eq!(JsonPath::last_name(path).as_deref(), name, "{path}");
        }
    }

    #[test]
    fn deeply_nested_brackets_are_an_error() {
        for (open, close) in [("[?@", "]"), ("[?(", ")]"), ("[", "]"), ("[?length(", ")]"), ("[?!(", ")]")] {
            for depth in [MAX_NESTING + 1, 20_000] {
                let path = format!("${}a{}", open.repeat(depth), close.repeat(depth));
                let error = JsonPath::parse(&path).unwrap_err().to_string();
                assert!(error.contains("nested deeper than 16 levels") && error.len() < 300, "{error}");
            }
        }
        assert!(JsonPath::parse(&format!("${}{}", "[?@".repeat(16), "]".repeat(16))).is_ok());
    }

    #[test]
    fn unfinished_unicode_escapes_are_errors() {
        for path in [r"$['\u", r"$['\uD", r"$['\ud", r"$['\ué", r"$['\uD83D\u", r"$['\uD83D\uD", r"$[?$['a\u", r"\u"] {
            assert!(JsonPath::parse(path).is_err(), "{path}");
        }
        for path in [r"$['\\u']", r"$['\u00e9']", r"$['\uD83D\uDE00']"] {
            assert!(JsonPath::parse(path).is_ok(), "{path}");
        }
    }

    #[test]
    fn brackets_in_strings_do_not_count() {
        for path in [format!("$['{}']", "[".repeat(100)), format!(r#"$["\"{}"]"#, "(".repeat(100))] {
            assert!(JsonPath::parse(&path).is_ok(), "{path}");
        }
        assert!(JsonPath::parse(&format!("${}", "[0]".repeat(20_000))).is_ok(), "a long path");
    }

    #[test]
    fn steps_with_control_characters_are_valid() {
        let path = format!("${}", member_step("a\n'\\"));
        assert_eq!(path, r"$['a\u000a\'\\']");
        assert!(JsonPath::parse(&path).is_ok());
    }
}
