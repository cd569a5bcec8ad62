//! `--update=non-breaking`: adds the fields that only production sends to a recorded JSON payload. Nothing is removed,
//! and no value changes.

use std::collections::HashMap;

use harproxy_compare::shape::is_key;
use harproxy_compare::{ShapePath, ShapeStep};
use harproxy_json::text::{quote, unquote_lossy};
use harproxy_json::{CountAll, MemberPerLine, Node, Spacing, TextMember, TextValue, patch, single_line, spacing};

/// Returns the recorded payload with fields that only the live one has. `None` if nothing is added, or if one of the
/// payloads is not JSON in UTF-8.
///
/// Objects in arrays get a field from the live element with the same `id`, else from the one at the same index. If none
/// of them has it, the first object gets it from any live element.
#[must_use]
pub fn add_fields(recorded: &[u8], live: &[u8], fields: &[ShapePath]) -> Option<Vec<u8>> {
    let (text, live) = (std::str::from_utf8(recorded).ok()?, std::str::from_utf8(live).ok()?);
    let (mut value, live) = (TextValue::parse(text).ok()?, TextValue::parse(live).ok()?);
    let mut added = 0;
    for ShapePath(steps) in fields {
        let mut adder = FieldAdder { everywhere: false, added: 0 };
        adder.add(&mut value, Some(&live), &[&live], steps);
        if adder.added == 0 {
            adder.everywhere = true;
            adder.add(&mut value, Some(&live), &[&live], steps);
        }
        added += adder.added;
    }
    if added == 0 {
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

/// Adds one field.
struct FieldAdder {
    /// The field is taken from any live value, and added once. Else it is taken from corresponding values.
    everywhere: bool,
    added: usize,
}

impl FieldAdder {
    /// Adds the field below a recorded value. `same` is the corresponding live value, and `all` are all live values at
    /// its place. The recursion is as deep as the path.
    fn add<'t>(
        &mut self,
        recorded: &mut TextValue<'t>,
        same: Option<&TextValue<'t>>,
        all: &[&TextValue<'t>],
        steps: &[ShapeStep],
    ) {
        if self.everywhere && self.added > 0 {
            return;
        }
        match (steps, recorded) {
            ([ShapeStep::Field(name)], TextValue::Object(members)) => {
                if member(members, name).is_some() {
                    return;
                }
                let source = if self.everywhere {
                    all.iter().find_map(|live| get(live, name))
                } else {
                    same.and_then(|live| get(live, name))
                };
                if let Some(value) = source {
                    members.push((quote(name).into(), value.clone()));
                    self.added += 1;
                }
            }
            ([ShapeStep::Field(name), rest @ ..], TextValue::Object(members)) => {
                let lives: Vec<&TextValue<'t>> = all.iter().filter_map(|live| get(live, name)).collect();
                if let Some((_, inner)) = members.iter_mut().find(|(known, _)| is_named(known, name)) {
                    self.add(inner, same.and_then(|live| get(live, name)), &lives, rest);
                }
            }
            ([ShapeStep::Item, rest @ ..], TextValue::Array(elements)) => {
                let lives: Vec<&TextValue<'t>> = all.iter().flat_map(|live| elements_of(live)).collect();
                let same = same.map(elements_of).unwrap_or_default();
                let by_id: HashMap<String, usize> =
                    same.iter().enumerate().filter_map(|(at, live)| Some((live.get("id")?.compact(), at))).collect();
                for (index, element) in elements.iter_mut().enumerate() {
                    let id = element.get("id").map(TextValue::compact);
                    let at = match id {
                        Some(id) => by_id.get(&id).copied(),
                        None => Some(index),
                    };
                    self.add(element, at.and_then(|at| same.get(at)), &lives, rest);
                }
            }
            ([ShapeStep::Entry, rest @ ..], TextValue::Object(members)) => {
                let lives: Vec<&TextValue<'t>> = all.iter().flat_map(|live| entries_of(live)).collect();
                for (spelled, entry) in members.iter_mut() {
                    let name = unquote_lossy(spelled).unwrap_or_default().into_owned();
                    if is_key(&name) {
                        self.add(entry, same.and_then(|live| get(live, &name)), &lives, rest);
                    }
                }
            }
            _ => {}
        }
    }
}

fn is_named(spelled: &str, name: &str) -> bool {
    unquote_lossy(spelled).is_some_and(|known| known == name)
}

fn member<'v, 't>(members: &'v [TextMember<'t>], name: &str) -> Option<&'v TextValue<'t>> {
    members.iter().find(|(known, _)| is_named(known, name)).map(|(_, value)| value)
}

fn get<'v, 't>(value: &'v TextValue<'t>, name: &str) -> Option<&'v TextValue<'t>> {
    member(value.members(), name)
}

fn elements_of<'v, 't>(value: &'v TextValue<'t>) -> &'v [TextValue<'t>] {
    if let TextValue::Array(elements) = value { elements } else { &[] }
}

fn entries_of<'v, 't>(value: &'v TextValue<'t>) -> impl Iterator<Item = &'v TextValue<'t>> {
    let entries = value.members().iter();
    entries.filter(|(name, _)| is_key(&unquote_lossy(name).unwrap_or_default())).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use harproxy_compare::{Shape, ShapeChange, diff_shapes};

    /// Adds the fields that the comparison finds.
    fn merged(recorded: &str, live: &str) -> Option<String> {
        let shape = |text: &str| {
            let mut shape = Shape::default();
            shape.observe_json(text.as_bytes()).ok().map(|()| shape)
        };
        let differences = diff_shapes(&shape(recorded)?, &shape(live)?);
        let added = differences.into_iter().filter(|difference| difference.change == ShapeChange::FieldAdded);
        let fields: Vec<ShapePath> = added.map(|difference| difference.path).collect();
        let merged = add_fields(recorded.as_bytes(), live.as_bytes(), &fields)?;
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
            (r#"[{"id":9},{"id":8}]"#, r#"[{"id":1},{"id":3,"b":1}]"#, r#"[{"id":9,"b":1},{"id":8}]"#),
            (r#"{"17":{"n":1}}"#, r#"{"18":{"n":2,"m":3}}"#, r#"{"17":{"n":1,"m":3}}"#),
            (
                r#"[{"a":1},{"a":1,"o":{"x":1}}]"#,
                r#"[{"a":1,"o":{"x":1,"y":2}}]"#,
                r#"[{"a":1},{"a":1,"o":{"x":1,"y":2}}]"#,
            ),
        ] {
            assert_eq!(merged(recorded, live).as_deref(), Some(expected), "{recorded}");
            assert_eq!(merged(expected, live), None, "a second merge adds nothing to {expected}");
        }
    }

    #[test]
    fn members_of_other_kinds_are_not_mixed() {
        let recorded = r#"{"events":[{"type":"click","x":1},{"type":"key","code":"A"}]}"#;
        let live = r#"{"v":2,"events":[{"type":"key","code":"B"},{"type":"click","x":5}]}"#;
        let expected = r#"{"events":[{"type":"click","x":1},{"type":"key","code":"A"}],"v":2}"#;
        assert_eq!(merged(recorded, live).as_deref(), Some(expected));
    }

    #[test]
    fn keys_of_maps_are_not_added() {
        assert_eq!(merged(r#"{"17":{"n":1}}"#, r#"{"18":{"n":2}}"#), None);
        assert_eq!(merged("<html>", "{}"), None);
    }
}
