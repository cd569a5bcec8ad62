//! `--update=non-breaking`: adds the fields that only production sends to a recorded JSON payload. Nothing is removed,
//! and no value changes.

use std::collections::BTreeSet;

use harproxy_compare::{ShapePath, ShapeStep};
use harproxy_json::text::unquote_lossy;
use harproxy_json::{CountAll, MemberPerLine, Node, Spacing, TextValue, patch, single_line, spacing};

/// Returns the recorded payload with the fields that only the live one has. `None` if there are none, or if one of the
/// payloads is not JSON in UTF-8.
///
/// Elements of arrays get the fields of the live element with the same `id`, else of the one at the same index, else of
/// the last one. `excluded` are the places of fields that are not added.
#[must_use]
pub fn add_fields(recorded: &[u8], live: &[u8], excluded: &BTreeSet<ShapePath>) -> Option<Vec<u8>> {
    let (text, live) = (std::str::from_utf8(recorded).ok()?, std::str::from_utf8(live).ok()?);
    let (mut value, live) = (TextValue::parse(text).ok()?, TextValue::parse(live).ok()?);
    let mut merge = FieldAdder { excluded, path: Vec::new(), added: 0 };
    merge.value(&mut value, &live);
    if merge.added == 0 {
        return None;
    }
    let indented = value.indented(0, &MemberPerLine);
    match spacing(recorded) {
        Some(Spacing::Compact) => Some(value.compact().into_bytes()),
        Some(spacing) => Some(single_line(indented.as_bytes(), spacing)),
        None => {
            let (before, after) = (Node::parse(text, &CountAll)?, Node::parse(&indented, &CountAll)?);
            Some(patch(text, &before, &before, &indented, &after).into_bytes())
        }
    }
}

struct FieldAdder<'e> {
    excluded: &'e BTreeSet<ShapePath>,
    /// The steps to the current value.
    path: Vec<ShapeStep>,
    /// The number of added fields.
    added: usize,
}

impl FieldAdder<'_> {
    /// The recursion is as deep as the nesting, which the parser bounds.
    fn value<'t>(&mut self, recorded: &mut TextValue<'t>, live: &TextValue<'t>) {
        match (recorded, live) {
            (TextValue::Object(members), TextValue::Object(lives)) => {
                for (name, value) in lives {
                    let plain = unquote_lossy(name).unwrap_or_default().into_owned();
                    let is_key = harproxy_compare::shape::is_key(&plain);
                    self.path.push(if is_key { ShapeStep::Entry } else { ShapeStep::Field(plain.clone()) });
                    let is_same = |known: &str| unquote_lossy(known).unwrap_or_default() == plain;
                    if let Some((_, known)) = members.iter_mut().find(|(known, _)| is_same(known)) {
                        self.value(known, value);
                    } else if !is_key && !self.excluded.contains(&ShapePath(self.path.clone())) {
                        members.push((name.clone(), value.clone()));
                        self.added += 1;
                    }
                    self.path.pop();
                }
            }
            (TextValue::Array(elements), TextValue::Array(lives)) => {
                self.path.push(ShapeStep::Item);
                for (index, element) in elements.iter_mut().enumerate() {
                    if let Some(live) = counterpart(element, index, lives) {
                        self.value(element, live);
                    }
                }
                self.path.pop();
            }
            _ => {}
        }
    }
}

/// Returns the live element that corresponds to a recorded one.
fn counterpart<'l, 't>(element: &TextValue<'t>, index: usize, lives: &'l [TextValue<'t>]) -> Option<&'l TextValue<'t>> {
    let id = element.get("id");
    let same_id = lives.iter().find(|live| id.is_some() && live.get("id") == id);
    same_id.or_else(|| lives.get(index)).or_else(|| lives.last())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(recorded: &str, live: &str) -> Option<String> {
        let merged = add_fields(recorded.as_bytes(), live.as_bytes(), &BTreeSet::new())?;
        Some(String::from_utf8(merged).unwrap())
    }

    #[test]
    fn fields_are_added_and_nothing_else_changes() {
        for (recorded, live, expected) in [
            (r#"{"a":1.0,"b":[]}"#, r#"{"a":"x","c":{"d":2},"b":[1]}"#, r#"{"a":1.0,"b":[],"c":{"d":2}}"#),
            (
                r#"[{"id":2,"a":1},{"id":1,"a":2}]"#,
                r#"[{"id":1,"x":"one"},{"id":2,"x":"two"}]"#,
                r#"[{"id":2,"a":1,"x":"two"},{"id":1,"a":2,"x":"one"}]"#,
            ),
            (r#"{"a": 1, "b": 2}"#, r#"{"c":3}"#, r#"{"a": 1, "b": 2, "c": 3}"#),
            ("{\n    \"a\": 1\n}\n", r#"{"c":3}"#, "{\n    \"a\": 1,\n    \"c\": 3\n}\n"),
        ] {
            assert_eq!(merged(recorded, live).as_deref(), Some(expected), "{recorded}");
            assert_eq!(merged(expected, live), None, "a second merge adds nothing to {expected}");
        }
    }

    #[test]
    fn keys_of_maps_and_excluded_fields_are_not_added() {
        assert_eq!(merged(r#"{"17":{"n":1}}"#, r#"{"18":{"n":2}}"#), None);
        let excluded = BTreeSet::from([ShapePath(vec![ShapeStep::Item, ShapeStep::Field("b".to_owned())])]);
        assert_eq!(add_fields(br#"[{"a":1}]"#, br#"[{"b":1}]"#, &excluded), None);
        assert_eq!(merged("<html>", "{}"), None);
    }
}
