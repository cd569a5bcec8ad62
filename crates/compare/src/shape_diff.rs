//! The differences of two shapes: fields that are gone or new, other types, formats, nullability and closed sets.
//! Values do not count.

use std::fmt;

use harproxy_json::member_step;

use super::shape::{JsonType, Shape, Strings};
use super::string_format::StringFormat;

/// The similarity from which a missing and an added field are one renamed field.
const RENAMED: f64 = 0.75;
/// The number of missing or added fields of an object up to which renamed ones are recognised.
const MAX_RENAMED: usize = 50;
/// The weights of names, of shapes and of values or formats in that similarity.
const WEIGHTS: [f64; 3] = [0.5, 0.3, 0.2];

/// One step into a shape.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ShapeStep {
    /// The field with this name.
    Field(String),
    /// All elements of an array.
    Item,
    /// All members of a map.
    Entry,
}

/// A place in a shape.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShapePath(pub Vec<ShapeStep>);

impl ShapePath {
    fn child(&self, step: ShapeStep) -> ShapePath {
        ShapePath(self.0.iter().cloned().chain([step]).collect())
    }

    /// Returns a JSON path that selects the value in all elements of the arrays around it: `$.data[*].id`.
    #[must_use]
    pub fn to_wildcard_path(&self) -> String {
        self.path("[*]")
    }

    fn path(&self, item: &str) -> String {
        let steps = self.0.iter().map(|step| match step {
            ShapeStep::Field(name) => member_step(name),
            ShapeStep::Item => item.to_owned(),
            ShapeStep::Entry => ".*".to_owned(),
        });
        std::iter::once("$".to_owned()).chain(steps).collect()
    }

    /// Returns true if this place is inside `other`, or the same.
    #[must_use]
    pub fn is_within(&self, other: &ShapePath) -> bool {
        self.0.starts_with(&other.0)
    }
}

/// Writes a JSON path (RFC 9535) to the first such value: `$.data[0].id`, `$.users.*.name`.
impl fmt::Display for ShapePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.path("[0]"))
    }
}

/// The kind of a difference, seen from the recorded shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShapeChange {
    /// A recorded field is gone.
    FieldMissing {
        /// Every recorded object has it.
        is_required: bool,
        /// The added field that it was probably renamed to. It is not a difference of its own.
        renamed_to: Option<String>,
    },
    /// A field that every recorded object has is in some objects only.
    FieldOptional {
        /// The number of objects that have it, and of all of them.
        seen: u64,
        of: u64,
    },
    FieldAdded,
    /// Scalars of another type.
    Type {
        from: Vec<JsonType>,
        to: Vec<JsonType>,
        compatibility: TypeCompatibility,
    },
    /// A container became another value, or another value a container. The subtree is not compared.
    Structure {
        from: Vec<JsonType>,
        to: Vec<JsonType>,
    },
    BecameNullable,
    /// Only null was recorded.
    StoppedBeingNull,
    /// Elements of another type beside those that were recorded.
    ItemTypeAdded(JsonType),
    ItemTypeGone(JsonType),
    /// An array or a map is empty on one side.
    Empty {
        is_recorded: bool,
    },
    /// Strings outside the recorded closed set. Long ones are not listed.
    ValuesAdded(Vec<String>),
    /// Strings of the recorded closed set that are not in the other one.
    ValuesGone(Vec<String>),
    Format {
        from: StringFormat,
        /// `None` for strings without a common format.
        to: Option<StringFormat>,
    },
}

/// The effect of another type on a client that reads the recorded type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TypeCompatibility {
    Incompatible,
    /// Integers became numbers with fractions.
    Widened,
    /// Numbers with fractions became integers.
    Narrowed,
}

/// A difference of two shapes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShapeDifference {
    pub path: ShapePath,
    pub change: ShapeChange,
}

/// Compares a shape with a recorded one. A difference of a container is one difference, whatever is inside.
///
/// ```
/// use harproxy_compare::{Shape, diff_shapes};
/// let shape = |text: &str| {
///     let mut shape = Shape::default();
///     shape.observe_json(text.as_bytes()).map(|()| shape)
/// };
/// let recorded = shape(r#"{"items":[{"id":7}]}"#).unwrap();
/// let live = shape(r#"{"items":[{"id":"7"}]}"#).unwrap();
/// let differences = diff_shapes(&recorded, &live);
/// assert_eq!(differences[0].path.to_string(), "$.items[0].id");
/// assert!(diff_shapes(&recorded, &recorded).is_empty());
/// ```
#[must_use]
pub fn diff_shapes(recorded: &Shape, live: &Shape) -> Vec<ShapeDifference> {
    let mut diff = ShapeDiff::default();
    diff.compare(&ShapePath::default(), recorded, live);
    diff.found
}

#[derive(Default)]
struct ShapeDiff {
    found: Vec<ShapeDifference>,
}

impl ShapeDiff {
    fn add(&mut self, path: &ShapePath, change: ShapeChange) {
        self.found.push(ShapeDifference { path: path.clone(), change });
    }

    /// The recursion is as deep as the nesting of the shapes, which is bounded.
    fn compare(&mut self, path: &ShapePath, recorded: &Shape, live: &Shape) {
        if recorded.is_only_null() {
            if live.nulls < live.seen {
                self.add(path, ShapeChange::StoppedBeingNull);
            }
            return;
        }
        if recorded.nulls == 0 && live.nulls > 0 {
            self.add(path, ShapeChange::BecameNullable);
        }
        if !self.compare_types(path, recorded, live) {
            return;
        }
        self.compare_strings(path, &recorded.strings, &live.strings);
        if recorded.count(JsonType::Object) > 0 && live.count(JsonType::Object) > 0 {
            // A map and a record are compared as maps.
            let as_map = |shape: &Shape| {
                let mut map = shape.clone();
                map.become_map();
                map
            };
            match (recorded.is_map, live.is_map) {
                (true, false) => self.compare_objects(path, recorded, &as_map(live)),
                (false, true) => self.compare_objects(path, &as_map(recorded), live),
                _ => self.compare_objects(path, recorded, live),
            }
        }
        if recorded.count(JsonType::Array) > 0 && live.count(JsonType::Array) > 0 {
            self.compare_inner(path, ShapeStep::Item, recorded.items.as_deref(), live.items.as_deref());
        }
    }

    fn compare_objects(&mut self, path: &ShapePath, recorded: &Shape, live: &Shape) {
        self.compare_fields(path, recorded, live);
        self.compare_inner(path, ShapeStep::Entry, recorded.entries.as_deref(), live.entries.as_deref());
    }

    /// Compares the elements of arrays, or the entries of maps.
    fn compare_inner(&mut self, path: &ShapePath, step: ShapeStep, recorded: Option<&Shape>, live: Option<&Shape>) {
        match (recorded, live) {
            (Some(recorded), Some(live)) => self.compare(&path.child(step), recorded, live),
            (None, None) => {}
            (recorded, _) => {
                let at = if step == ShapeStep::Entry { path.child(step) } else { path.clone() };
                self.add(&at, ShapeChange::Empty { is_recorded: recorded.is_none() });
            }
        }
    }

    /// Compares the types, and returns true if the values can be compared further.
    fn compare_types(&mut self, path: &ShapePath, recorded: &Shape, live: &Shape) -> bool {
        let (from, to) = (recorded.type_list(), live.type_list());
        if from.is_empty() || to.is_empty() {
            // Redacted values, or nothing but null.
            return false;
        }
        let new: Vec<JsonType> = to.iter().copied().filter(|kind| !from.contains(kind)).collect();
        let gone: Vec<JsonType> = from.iter().copied().filter(|kind| !to.contains(kind)).collect();
        let is_number = |kind: &JsonType| matches!(kind, JsonType::Integer | JsonType::Number);
        let is_common = new.len() < to.len() && (new.is_empty() || !new.iter().all(is_number));
        if path.0.last() == Some(&ShapeStep::Item) && is_common {
            for kind in new.iter().filter(|kind| !is_number(kind) || !from.iter().any(is_number)) {
                self.add(path, ShapeChange::ItemTypeAdded(*kind));
            }
            for kind in gone.iter().filter(|kind| !is_number(kind) || !to.iter().any(is_number)) {
                self.add(path, ShapeChange::ItemTypeGone(*kind));
            }
            return true;
        }
        let compatibility = match (&new[..], &gone[..]) {
            ([], _) => return true,
            ([JsonType::Number], _) if from.contains(&JsonType::Integer) => TypeCompatibility::Widened,
            ([JsonType::Integer], _) if from.contains(&JsonType::Number) => TypeCompatibility::Narrowed,
            _ if new.iter().chain(&gone).any(|kind| kind.is_container()) => {
                self.add(path, ShapeChange::Structure { from, to });
                return false;
            }
            _ => TypeCompatibility::Incompatible,
        };
        // A number with a fraction is a number, whether an integer was recorded beside it or not.
        if compatibility != TypeCompatibility::Narrowed || gone.contains(&JsonType::Number) {
            self.add(path, ShapeChange::Type { from, to, compatibility });
        }
        compatibility != TypeCompatibility::Incompatible
    }

    fn compare_strings(&mut self, path: &ShapePath, recorded: &Strings, live: &Strings) {
        if recorded.seen == 0 || live.seen == 0 {
            return;
        }
        if let Some(from) = recorded.format
            && StringFormat::common(recorded.format, live.format) != recorded.format
        {
            self.add(path, ShapeChange::Format { from, to: live.format });
            return;
        }
        let only_in = |one: &Strings, other: &Strings| -> Vec<String> {
            one.values.keys().filter(|value| !other.values.contains_key(*value)).cloned().collect()
        };
        if !recorded.is_closed_set() {
            return;
        }
        let added = only_in(live, recorded);
        if !added.is_empty() || live.is_open {
            self.add(path, ShapeChange::ValuesAdded(added));
        }
        let gone = only_in(recorded, live);
        if !gone.is_empty() && live.is_closed_set() {
            self.add(path, ShapeChange::ValuesGone(gone));
        }
    }

    fn compare_fields(&mut self, path: &ShapePath, recorded: &Shape, live: &Shape) {
        let missing: Vec<_> = recorded.fields.iter().filter(|(name, _)| !live.fields.contains_key(*name)).collect();
        let added: Vec<_> = live.fields.iter().filter(|(name, _)| !recorded.fields.contains_key(*name)).collect();
        let mut renamed = Vec::new();
        let (objects, live_objects) = (recorded.count(JsonType::Object), live.count(JsonType::Object));
        for (name, field) in &recorded.fields {
            let at = path.child(ShapeStep::Field(name.clone()));
            let is_required = field.seen >= objects;
            let Some(other) = live.fields.get(name) else {
                let renamed_to = renamed_to((name, field), &missing, &added).map(str::to_owned);
                renamed.extend(renamed_to.clone());
                self.add(&at, ShapeChange::FieldMissing { is_required, renamed_to });
                continue;
            };
            if is_required && other.seen < live_objects {
                self.add(&at, ShapeChange::FieldOptional { seen: other.seen, of: live_objects });
            }
            self.compare(&at, field, other);
        }
        for (name, _) in added.into_iter().filter(|(name, _)| !renamed.contains(name)) {
            self.add(&path.child(ShapeStep::Field(name.clone())), ShapeChange::FieldAdded);
        }
    }
}

type NamedShape<'s> = (&'s String, &'s Shape);

/// Returns the added field that a missing one was renamed to: the most similar one, if no other missing field is more
/// similar to it.
fn renamed_to<'s>(field: NamedShape<'_>, missing: &[NamedShape<'_>], added: &[NamedShape<'s>]) -> Option<&'s str> {
    if missing.len() > MAX_RENAMED || added.len() > MAX_RENAMED {
        return None;
    }
    let rated = added.iter().map(|other| (similarity(field, *other), other));
    let (best, other) = rated.max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    let is_mutual = missing.iter().all(|rival| rival.0 == field.0 || similarity(*rival, *other) < best);
    (best >= RENAMED && is_mutual).then_some(other.0.as_str())
}

fn similarity((name, shape): NamedShape<'_>, (other_name, other): NamedShape<'_>) -> f64 {
    let plain = |name: &str| name.replace(['_', '-'], "").to_lowercase();
    let (a, b) = (plain(name), plain(other_name));
    let names = if a == b { 1.0 } else { strsim::jaro_winkler(&a, &b) };
    let is_equal_value = shape.example.is_some() && shape.example == other.example;
    let is_equal_format = shape.strings.format.is_some() && shape.strings.format == other.strings.format;
    let [of_names, of_shapes, of_values] = WEIGHTS;
    let shapes = if shape.is_similar(other) { of_shapes } else { 0.0 };
    let values = if is_equal_value || is_equal_format { of_values } else { 0.0 };
    of_names * names + shapes + values
}

#[cfg(test)]
#[path = "shape_diff/tests.rs"]
mod tests;
