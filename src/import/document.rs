//! YAML and JSON documents as trees in which each value knows its line. A document that is cut off gives its complete
//! part.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use saphyr_parser::{Event as YamlEvent, Parser, ScalarStyle, Tag};

use harproxy_json::{Container, Event, EventKind, MAX_DEPTH, Walker, begins_with_text, text::unquote};

/// Base64 with or without padding, as tools write it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A value of a document.
#[derive(Clone, Debug)]
pub struct SourceValue {
    /// The line, from 1.
    pub line: usize,
    /// The tag without its handle: `binary` for `!!binary` and `!binary`.
    tag: Option<String>,
    data: SourceData,
}

#[derive(Clone, Debug)]
enum SourceData {
    /// A text, number, boolean or null, as it reads. `is_plain`: without quotes, so that `null` has no text.
    Scalar {
        text: String,
        is_plain: bool,
    },
    List(Vec<Arc<SourceValue>>),
    Map(Vec<(String, Arc<SourceValue>)>),
}

/// The first problem of a document. Its part before the problem can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentError {
    pub line: usize,
    pub text: String,
}

impl SourceValue {
    /// Parses the first document of a text. Returns the complete part, and the problem behind it.
    #[must_use]
    pub fn parse(text: &str) -> (Option<Arc<Self>>, Option<DocumentError>) {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if begins_with_json(text) { parse_json(text) } else { parse_yaml(text) }
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<&SourceValue> {
        self.members().find(|(known, _)| *known == name).map(|(_, value)| value).filter(|value| !value.is_null())
    }

    /// Returns the value behind several names.
    #[must_use]
    pub fn at(&self, path: &[&str]) -> Option<&SourceValue> {
        path.iter().try_fold(self, |value, name| value.get(name))
    }

    pub fn members(&self) -> impl Iterator<Item = (&str, &SourceValue)> {
        let members = if let SourceData::Map(members) = &self.data { &members[..] } else { &[] };
        members.iter().map(|(name, value)| (&**name, &**value))
    }

    pub fn items(&self) -> impl Iterator<Item = &SourceValue> {
        let items = if let SourceData::List(items) = &self.data { &items[..] } else { &[] };
        items.iter().map(|item| &**item)
    }

    #[must_use]
    pub fn is_list(&self) -> bool {
        matches!(self.data, SourceData::List(_))
    }

    #[must_use]
    pub fn is_map(&self) -> bool {
        matches!(self.data, SourceData::Map(_))
    }

    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(&self.data, SourceData::Scalar { text, is_plain: true } if matches!(&**text, "" | "~" | "null" | "Null"))
    }

    /// Returns true for a scalar with quotes.
    #[must_use]
    pub fn is_quoted(&self) -> bool {
        matches!(self.data, SourceData::Scalar { is_plain: false, .. })
    }

    #[must_use]
    pub fn is_true(&self) -> bool {
        self.as_str().is_some_and(|text| text.eq_ignore_ascii_case("true"))
    }

    /// Returns the text of a scalar; for base64 with a tag, as it is spelled.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match &self.data {
            SourceData::Scalar { text, .. } if !self.is_null() => Some(text),
            _ => None,
        }
    }

    /// Returns the bytes of a scalar. Base64 with the tag `binary` is decoded. `None` if it is invalid.
    #[must_use]
    pub fn bytes(&self) -> Option<Cow<'_, [u8]>> {
        let text = self.as_str()?;
        match self.tag.as_deref() {
            Some("binary") => decode_base64(text).map(Cow::Owned),
            _ => Some(Cow::Borrowed(text.as_bytes())),
        }
    }

    #[must_use]
    pub fn number(&self) -> Option<f64> {
        self.as_str()?.parse().ok()
    }

    /// Returns the tag, without its handle.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Returns the value as JSON on one line.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match &self.data {
            SourceData::List(items) => items.iter().map(|item| item.to_json()).collect(),
            SourceData::Map(members) => members
                .iter()
                .map(|(name, value)| (name.clone(), value.to_json()))
                .collect::<serde_json::Map<_, _>>()
                .into(),
            SourceData::Scalar { text, is_plain: true } => {
                serde_json::from_str(text).unwrap_or_else(|_| text.as_str().into())
            }
            SourceData::Scalar { text, .. } => text.as_str().into(),
        }
    }
}

/// Decodes base64 that may have line ends.
#[must_use]
pub fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let joined: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    BASE64.decode(joined).ok()
}

fn begins_with_json(text: &str) -> bool {
    let begin = text.trim_start();
    begin.starts_with(['{', '[']) && begins_with_text(text.as_bytes())
}

/// The containers that are open, and the finished value.
#[derive(Default)]
struct TreeBuilder {
    open: Vec<OpenContainer>,
    anchors: HashMap<usize, Arc<SourceValue>>,
    root: Option<Arc<SourceValue>>,
}

struct OpenContainer {
    value: SourceValue,
    /// The name of the next member.
    name: Option<String>,
    anchor: usize,
}

impl TreeBuilder {
    fn begin(
        &mut self,
        data: SourceData,
        tag: Option<String>,
        anchor: usize,
        line: usize,
    ) -> Result<(), DocumentError> {
        if self.open.len() == MAX_DEPTH {
            return Err(DocumentError { line, text: format!("its values are nested deeper than {MAX_DEPTH} levels") });
        }
        self.open.push(OpenContainer { value: SourceValue { line, tag, data }, name: None, anchor });
        Ok(())
    }

    fn end(&mut self) {
        if let Some(OpenContainer { value, anchor, .. }) = self.open.pop() {
            self.add(Arc::new(value), anchor);
        }
    }

    fn add(&mut self, value: Arc<SourceValue>, anchor: usize) {
        if anchor > 0 {
            self.anchors.insert(anchor, value.clone());
        }
        let Some(OpenContainer { value: around, name, .. }) = self.open.last_mut() else {
            self.root.get_or_insert(value);
            return;
        };
        match &mut around.data {
            SourceData::List(items) => items.push(value),
            SourceData::Map(members) => match name.take() {
                // `<<: *base` adds the members of another map, behind its own.
                Some(merge) if merge == "<<" => {
                    members.extend(value.members().map(|(name, value)| (name.to_owned(), Arc::new(value.clone()))));
                }
                Some(name) => members.push((name, value)),
                None => *name = Some(value.as_str().unwrap_or_default().to_owned()),
            },
            SourceData::Scalar { .. } => {}
        }
    }

    /// Ends a document that is cut off: the items of lists that are not complete are left out.
    fn cut(mut self) -> Option<Arc<SourceValue>> {
        while let Some(OpenContainer { value, .. }) = self.open.pop() {
            let Some(around) = self.open.last() else {
                self.root = Some(Arc::new(value));
                break;
            };
            if !matches!(around.value.data, SourceData::List(_)) {
                self.add(Arc::new(value), 0);
            }
        }
        self.root
    }
}

fn parse_json(text: &str) -> (Option<Arc<SourceValue>>, Option<DocumentError>) {
    let (mut tree, mut line, mut counted) = (TreeBuilder::default(), 1, 0);
    let bytes = text.as_bytes();
    let mut walker = Walker::new(bytes);
    for Event { kind, span } in walker.by_ref() {
        line += memchr::memchr_iter(b'\n', &bytes[counted..span.start]).count();
        counted = span.start;
        let done = match kind {
            EventKind::Open(Container::Array) => tree.begin(SourceData::List(Vec::new()), None, 0, line),
            EventKind::Open(Container::Object) => tree.begin(SourceData::Map(Vec::new()), None, 0, line),
            EventKind::Close => {
                tree.end();
                Ok(())
            }
            EventKind::Name | EventKind::Scalar => {
                let spelled = text.get(span).unwrap_or_default();
                let data = match spelled.starts_with('"') {
                    true => SourceData::Scalar {
                        text: unquote(spelled).map_or_else(|| spelled.to_owned(), Cow::into_owned),
                        is_plain: false,
                    },
                    false => SourceData::Scalar { text: spelled.to_owned(), is_plain: true },
                };
                tree.add(Arc::new(SourceValue { line, tag: None, data }), 0);
                Ok(())
            }
        };
        if let Err(error) = done {
            return (tree.cut(), Some(error));
        }
    }
    let error = match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Ok(_) if walker.is_too_deep() => Some((line, format!("its values are nested deeper than {MAX_DEPTH} levels"))),
        Ok(_) => None,
        Err(error) => Some((error.line(), format!("it is not valid JSON: {error}"))),
    };
    (tree.cut(), error.map(|(line, text)| DocumentError { line, text }))
}

fn parse_yaml(text: &str) -> (Option<Arc<SourceValue>>, Option<DocumentError>) {
    let mut tree = TreeBuilder::default();
    let text = &indent_closing_quotes(text);
    for event in Parser::new_from_str(text) {
        let (event, span) = match event {
            Ok(event) => event,
            Err(error) => {
                let (line, text) = (error.marker().line(), format!("it is not valid YAML: {}", error.info()));
                return (tree.cut(), Some(DocumentError { line, text }));
            }
        };
        let line = span.start.line();
        let done = match event {
            YamlEvent::Scalar(text, style, anchor, tag) => {
                let is_plain = style == ScalarStyle::Plain;
                let data = SourceData::Scalar { text: text.into_owned(), is_plain };
                tree.add(Arc::new(SourceValue { line, tag: name_of(tag), data }), anchor);
                Ok(())
            }
            YamlEvent::SequenceStart(anchor, tag) => {
                tree.begin(SourceData::List(Vec::new()), name_of(tag), anchor, line)
            }
            YamlEvent::MappingStart(anchor, tag) => tree.begin(SourceData::Map(Vec::new()), name_of(tag), anchor, line),
            YamlEvent::SequenceEnd | YamlEvent::MappingEnd => {
                tree.end();
                Ok(())
            }
            YamlEvent::Alias(anchor) => match tree.anchors.get(&anchor).cloned() {
                Some(value) => {
                    tree.add(value, 0);
                    Ok(())
                }
                None => Err(DocumentError { line, text: "an alias refers to a value around it".to_owned() }),
            },
            YamlEvent::DocumentEnd => break,
            YamlEvent::Nothing | YamlEvent::StreamStart | YamlEvent::StreamEnd | YamlEvent::DocumentStart(_) => Ok(()),
        };
        if let Err(error) = done {
            return (tree.cut(), Some(error));
        }
    }
    (tree.cut(), None)
}

/// Indents closing quotes on lines of their own. Ruby wrote them at the first column, which the parser of Ruby and
/// Python accepts, and YAML 1.2 does not (section 7.3).
fn indent_closing_quotes(text: &str) -> Cow<'_, str> {
    const INDENT: &str = "                                                                ";
    if !text.contains("\n'\n") && !text.contains("\n\"\n") {
        return Cow::Borrowed(text);
    }
    let is_quote = |line: &str| matches!(line.trim_end(), "'" | "\"");
    let lines = text.split_inclusive('\n').flat_map(|line| [if is_quote(line) { INDENT } else { "" }, line]);
    Cow::Owned(lines.collect())
}

/// Returns the last part of a tag: `binary` of `!!binary`, `Request` of `!ruby/struct:VCR::Request`.
fn name_of(tag: Option<Cow<'_, Tag>>) -> Option<String> {
    let tag = tag?;
    tag.suffix.rsplit([':', '/', '.']).next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (serde_json::Value, Option<DocumentError>) {
        let (value, error) = SourceValue::parse(text);
        (value.map_or(serde_json::Value::Null, |value| value.to_json()), error)
    }

    #[test]
    fn yaml_and_json_give_equal_trees() {
        let json = r#"{"a": [1, "x\ud83d\ude00", null, true], "b": {"c": ""}}"#;
        let yaml = "a:\n- 1\n- \"x😀\"\n-\n- true\nb:\n  c: ''\n";
        let expected: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(parsed(json), (expected.clone(), None));
        let (value, error) = parsed(yaml);
        assert_eq!((value["b"].clone(), error), (expected["b"].clone(), None));
        assert_eq!(value["a"][1], expected["a"][1]);
    }

    #[test]
    fn tags_anchors_and_lines_are_kept() {
        let (value, error) = SourceValue::parse(
            "---\na: &x\n  b: !!binary |\n    aGVsbG8=\nc: *x\nd:\n  <<: *x\n  e: 1\nf: !ruby/struct:VCR::Request\n  g: :get\n",
        );
        let value = value.unwrap();
        assert_eq!(error, None);
        for name in ["a", "c", "d"] {
            assert_eq!(value.at(&[name, "b"]).unwrap().bytes().unwrap(), &b"hello"[..]);
        }
        assert_eq!(value.get("f").unwrap().tag(), Some("Request"));
        assert_eq!((value.at(&["d", "e"]).unwrap().line, value.at(&["d", "e"]).unwrap().number()), (8, Some(1.0)));
    }

    #[test]
    fn complete_items_of_a_cut_document_remain() {
        let json = "{\"i\": [\n{\"a\": 1},\n{\"b\": 2},\n{\"c\": \"x";
        let (value, error) = parsed(json);
        assert_eq!(value, serde_json::json!({"i": [{"a": 1}, {"b": 2}]}));
        assert_eq!(error.unwrap().line, 4);
        let (value, error) = parsed("i:\n- a: 1\n- b: 2\n- c: \"x\n");
        assert_eq!(value, serde_json::json!({"i": [{"a": 1}, {"b": 2}]}));
        assert_eq!(error.map(|error| error.line >= 4), Some(true));
    }

    #[test]
    fn closing_quote_at_the_first_column_is_accepted() {
        let (value, error) = parsed("a:\n  b: ! 'x\n\n    y\n\n'\n  c: \"z\n\n\"\n");
        assert_eq!((value, error), (serde_json::json!({"a": {"b": "x\ny\n", "c": "z\n"}}), None));
    }

    #[test]
    fn hostile_documents_are_errors() {
        let deep = "[".repeat(100_000);
        assert!(parsed(&deep).1.is_some());
        let yaml: String = (0..200).map(|n| format!("{}a:\n", " ".repeat(n))).collect();
        assert!(parsed(&yaml).1.unwrap().text.contains("nested deeper"));
        // Aliases of aliases share their values.
        let laughs: String =
            (1..60).map(|n| format!("a{n}: &a{n} [*a{p}, *a{p}, *a{p}, *a{p}]\n", p = n - 1)).collect();
        let (value, error) = SourceValue::parse(&format!("a0: &a0 x\n{laughs}"));
        assert_eq!((value.unwrap().members().count(), error), (60, None));
        assert!(parsed("a: *a\n").1.is_some());
    }
}
