//! Two JSON values beside each other: the paths at which they differ, with both values.

use serde_json::Value;

use super::super::super::open::Tree;
use super::super::super::payload::plain_number;
use super::super::super::template::Values;
use super::super::super::{Difference, What};
use super::super::compare::difference;
use super::super::cost;
use super::{Found, Nature, SHOWN, apart};
use harproxy_json::member_step;

/// Values that are looked at: what is beyond is told as one.
const LOOKED_AT: usize = 100_000;
/// Paths at which payloads differ that are kept for the remedy.
const KEPT: usize = 64;

/// An object or an array.
pub(super) fn parse(bytes: &[u8]) -> Option<Value> {
    if bytes.len() > super::LONGEST
        || !bytes.trim_ascii_start().starts_with(b"{") && !bytes.trim_ascii_start().starts_with(b"[")
    {
        return None;
    }
    serde_json::from_slice(bytes).ok()
}

/// Where two values differ; `None` when they don't.
pub(super) fn differences(a: &Value, b: &Value) -> Option<Found> {
    let mut walk = Walk { path: "$".to_owned(), ..Walk::default() };
    walk.both(a, b);
    let Walk { mut found, paths, differing, same, .. } = walk;
    if paths.is_empty() {
        return None;
    }
    // A whole payload can't be ignored by a path, and one of which much differs is another.
    let complete = paths.len() <= KEPT && !paths.contains(&"$".to_owned());
    found.truncate(SHOWN);
    let nature = if complete { Nature::JsonPaths(paths) } else { Nature::Other };
    Some(Found { differences: found, nature, cost: apart(differing, differing + same * WEIGHT) })
}

/// What a value weighs: one that resembles the other is less of a difference.
const WEIGHT: u64 = 100;
/// What one weighs that is another in the same place.
const OTHER: u64 = 60;

/// A walk along two values at once.
#[derive(Debug, Default)]
struct Walk {
    path: String,
    /// The first of them, in full.
    found: Vec<Difference>,
    paths: Vec<String>,
    /// What the scalars weigh that differ, and how many are equal.
    differing: u64,
    same: u64,
    looked_at: usize,
}

impl Walk {
    fn both(&mut self, a: &Value, b: &Value) {
        self.looked_at += 1;
        match (a, b) {
            (Value::Object(a), Value::Object(b)) if self.looked_at < LOOKED_AT => {
                let names = a.keys().chain(b.keys().filter(|name| !a.contains_key(*name)));
                for name in names {
                    self.step(&member_step(name), a.get(name), b.get(name));
                }
            }
            (Value::Array(a), Value::Array(b)) if self.looked_at < LOOKED_AT => self.items(a, b),
            (Value::Number(a), Value::Number(b)) if plain_number(a) == plain_number(b) => self.same += 1,
            (a, b) if a == b => self.same += 1,
            (a, b) if Tree::new(b.clone()).fits(a, &Values::default()).is_some() => self.same += 1,
            (a, b) => {
                let likeness = match (a, b) {
                    (Value::String(a), Value::String(b)) => cost::likeness(a.as_bytes(), b.as_bytes()),
                    _ => 0,
                };
                self.differing += OTHER - u64::from(likeness) * 2 / 5;
                // Quotes only where they tell a text from a number.
                let same_kind = std::mem::discriminant(a) == std::mem::discriminant(b);
                self.note(Some(&shown(a, same_kind)), Some(&shown(b, same_kind)));
            }
        }
    }

    /// Lists of which one has more: what both begin and end with is set aside, so that one item more is one difference.
    fn items(&mut self, a: &[Value], b: &[Value]) {
        let fits = |(a, b): &(&Value, &Value)| a == b || Tree::new((*b).clone()).fits(a, &Values::default()).is_some();
        let (mut before, mut after) = (0, 0);
        if a.len() != b.len() {
            before = a.iter().zip(b).take_while(fits).count();
            after = a[before..].iter().rev().zip(b[before..].iter().rev()).take_while(fits).count();
            self.same += (before + after) as u64;
        }
        for n in before..a.len().max(b.len()) - after {
            let [a, b] = [a, b].map(|items| items[..items.len() - after].get(n));
            self.step(&format!("[{n}]"), a, b);
        }
    }

    fn step(&mut self, step: &str, a: Option<&Value>, b: Option<&Value>) {
        let length = self.path.len();
        self.path.push_str(step);
        match (a, b) {
            (Some(a), Some(b)) => self.both(a, b),
            (a, b) => {
                self.differing += WEIGHT * a.or(b).map_or(1, size);
                let [a, b] = [a, b].map(|value| value.map(|value| shown(value, true)));
                self.note(a.as_deref(), b.as_deref());
            }
        }
        self.path.truncate(length);
    }

    fn note(&mut self, a: Option<&str>, b: Option<&str>) {
        if self.found.len() < SHOWN {
            self.found.push(difference(What::Body, &self.path, a, b));
        }
        if self.paths.len() <= KEPT {
            self.paths.push(self.path.clone());
        }
    }
}

/// How many scalars there are in a value; an empty list counts as one.
fn size(value: &Value) -> u64 {
    match value {
        Value::Array(items) if !items.is_empty() => items.iter().map(size).sum(),
        Value::Object(members) if !members.is_empty() => members.values().map(size).sum(),
        _ => 1,
    }
}

fn shown(value: &Value, bare: bool) -> String {
    match value {
        Value::String(text) if bare => text.clone(),
        value => value.to_string(),
    }
}
