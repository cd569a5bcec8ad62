//! Real JSON payloads, each changed in the way of each row of the table: the share of changes that are found, and of
//! findings that are false.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use harproxy::drift::check::check;
use harproxy::drift::checks::issue;
use harproxy::drift::evidence::{AnswerPayload, EndpointEvidence, ObservedAnswer};
use harproxy_har::Fixture;
use serde_json::{Value, json};

/// The longest payload that is changed, in bytes.
const LONGEST: u64 = 200_000;
/// The number of places of each payload that each kind of change is tried at.
const PLACES: usize = 5;

/// A place: names of members, and `None` for all elements.
type Place = Vec<Option<String>>;

/// A kind of change: a name, the issues that report it, and the change of a value at a place. The change returns false
/// where it is not possible.
struct Mutation {
    name: &'static str,
    issues: &'static [&'static str],
    /// True if the change is to the member itself and not to its value.
    is_of_member: bool,
    change: fn(&mut Value, &str) -> bool,
}

const MUTATIONS: [Mutation; 12] = [
    Mutation {
        name: "field removed",
        issues: &["field_missing_in_production", "pagination_changed"],
        is_of_member: true,
        change: |parent, name| parent.as_object_mut().is_some_and(|parent| parent.shift_remove(name).is_some()),
    },
    Mutation {
        name: "field renamed",
        // A name that is not similar enough is a field that is gone, and a new one.
        issues: &["field_missing_in_production", "pagination_changed", "field_missing_in_mock"],
        is_of_member: true,
        change: |parent, name| {
            let Some(parent) = parent.as_object_mut() else { return false };
            let Some(value) = parent.shift_remove(name) else { return false };
            parent.insert(format!("{name}_v2"), value).is_none()
        },
    },
    Mutation {
        name: "field added",
        issues: &["field_missing_in_mock"],
        is_of_member: true,
        change: |parent, _| parent.as_object_mut().is_some_and(|it| it.insert("drifted".into(), json!("x")).is_none()),
    },
    Mutation {
        name: "other type",
        issues: &["type_changed"],
        is_of_member: false,
        change: |value, _| {
            let other = match value {
                Value::String(_) => json!(7),
                Value::Number(_) => json!("seven"),
                Value::Bool(_) => json!("yes"),
                _ => return false,
            };
            *value = other;
            true
        },
    },
    Mutation {
        name: "integer to number",
        issues: &["type_changed"],
        is_of_member: false,
        change: |value, _| {
            let is_integer = value.is_i64() || value.is_u64();
            if is_integer {
                *value = json!(0.5);
            }
            is_integer
        },
    },
    Mutation {
        name: "null",
        issues: &["nullability_changed"],
        is_of_member: false,
        change: |value, _| !std::mem::take(value).is_null(),
    },
    Mutation {
        name: "object to array",
        issues: &["structure_changed"],
        is_of_member: false,
        change: |value, _| {
            let is_object = value.as_object().is_some_and(|members| !members.is_empty());
            if is_object {
                *value = json!([std::mem::take(value)]);
            }
            is_object
        },
    },
    Mutation {
        name: "scalar to object",
        issues: &["structure_changed"],
        is_of_member: false,
        change: |value, _| {
            let is_scalar = value.is_string() || value.is_number() || value.is_boolean();
            if is_scalar {
                *value = json!({ "value": std::mem::take(value) });
            }
            is_scalar
        },
    },
    Mutation {
        name: "element of another type",
        issues: &["array_item_changed"],
        is_of_member: false,
        change: |value, _| {
            let Some(items) = value.as_array_mut().filter(|items| !items.is_empty()) else { return false };
            let other = if items.iter().any(Value::is_boolean) { json!("x") } else { json!(true) };
            items.push(other);
            true
        },
    },
    Mutation {
        name: "array emptied",
        issues: &["not_comparable"],
        is_of_member: false,
        change: |value, _| value.as_array_mut().is_some_and(|items| !std::mem::take(items).is_empty()),
    },
    Mutation {
        name: "format lost",
        issues: &["format_changed"],
        is_of_member: false,
        change: |value, _| {
            let has_format = value.as_str().is_some_and(|text| harproxy_compare::StringFormat::of(text).is_some());
            if has_format {
                *value = json!("no format");
            }
            has_format
        },
    },
    Mutation {
        name: "other values",
        issues: &[],
        is_of_member: false,
        change: |value, _| {
            let other = match &*value {
                Value::Number(number) if number.is_u64() => json!(number.as_u64().unwrap_or_default() / 2 + 11),
                Value::Bool(set) => json!(!set),
                _ => return false,
            };
            *value = other;
            true
        },
    },
];

fn evidence(payload: &Value) -> EndpointEvidence {
    let mut evidence = EndpointEvidence::default();
    evidence.observe(&ObservedAnswer {
        status: 200,
        content_type: "application/json".to_owned(),
        payload: AnswerPayload::Bytes(payload.to_string().into()),
        ..ObservedAnswer::default()
    });
    evidence
}

/// The paths and issues of the findings between two payloads.
fn findings(recorded: &Value, live: &Value) -> Vec<(String, String)> {
    let found = check(&evidence(recorded), &evidence(live), &str::to_owned);
    found.iter().map(|finding| (finding.place.to_string(), issue(&finding.check))).collect()
}

/// The places of all members of a payload, without the keys of maps.
fn places(value: &Value, at: &Place, found: &mut Vec<Place>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members.iter().filter(|(name, _)| !harproxy_compare::shape::is_key(name)) {
                let inner: Place = at.iter().cloned().chain([Some(name.clone())]).collect();
                if !found.contains(&inner) {
                    found.push(inner.clone());
                }
                places(value, &inner, found);
            }
        }
        Value::Array(items) => {
            let inner: Place = at.iter().cloned().chain([None]).collect();
            items.iter().for_each(|item| places(item, &inner, found));
        }
        _ => {}
    }
}

/// Changes every value at a place. Returns true if each of them could be changed.
fn change(value: &mut Value, place: &[Option<String>], mutation: &Mutation) -> bool {
    match place {
        [Some(name)] if mutation.is_of_member => (mutation.change)(value, name),
        [] => (mutation.change)(value, ""),
        [Some(name), rest @ ..] => value.get_mut(name).is_none_or(|inner| change(inner, rest, mutation)),
        [None, rest @ ..] => {
            let items = value.as_array_mut().map(|items| items.iter_mut());
            items.is_none_or(|mut items| items.all(|item| change(item, rest, mutation)))
        }
    }
}

/// JSON payloads with at least one member.
fn payloads(folder: &Path) -> Vec<Value> {
    let mut found: BTreeMap<String, Value> = BTreeMap::new();
    for path in harproxy_har::find(&[folder.to_owned()]).into_iter().flatten() {
        let Ok(fixture) = Fixture::open(&path) else { continue };
        for head in fixture.heads().iter() {
            let Ok(entry) = fixture.entry(head.entry) else { continue };
            let Ok(payload) = fixture.payload(head.entry, &entry.response.content) else { continue };
            let bytes = if payload.len() <= LONGEST { payload.bytes().unwrap_or_default() } else { Default::default() };
            if let Ok(value @ (Value::Object(_) | Value::Array(_))) = serde_json::from_slice(&bytes) {
                found.insert(value.to_string(), value);
            }
        }
    }
    found.into_values().collect()
}

#[derive(Default)]
struct Rates {
    tried: usize,
    missed: usize,
    /// Changes with another finding beside the expected one.
    noisy: usize,
}

#[test]
fn changes_of_real_payloads_are_found() {
    let corpus = std::env::var_os("HARPROXY_DRIFT_CORPUS").map(PathBuf::from);
    let payloads = payloads(&corpus.unwrap_or_else(|| crate::support::repo("tests/corpus")));
    assert!(payloads.len() > 40, "{} payloads", payloads.len());
    let mut rates: BTreeMap<&str, Rates> = BTreeMap::new();
    for payload in &payloads {
        assert_eq!(findings(payload, payload), [], "a payload is equal to itself: {payload}");
        let mut all = Vec::new();
        places(payload, &Vec::new(), &mut all);
        for mutation in &MUTATIONS {
            let mut tried = 0;
            for place in &all {
                let mut live = payload.clone();
                if tried >= PLACES || !change(&mut live, place, mutation) || live == *payload {
                    continue;
                }
                tried += 1;
                let found = findings(payload, &live);
                let rate = rates.entry(mutation.name).or_default();
                rate.tried += 1;
                let is_expected = |(_, issue): &&(String, String)| mutation.issues.contains(&issue.as_str());
                let expected = found.iter().filter(is_expected).count();
                rate.missed += usize::from(expected == 0 && !mutation.issues.is_empty());
                rate.noisy += usize::from(found.len() > expected);
            }
        }
    }
    println!(
        "{} payloads\n| change | tried | missed | with another finding |\n| --- | --- | --- | --- |",
        payloads.len()
    );
    for (name, Rates { tried, missed, noisy }) in &rates {
        println!("| {name} | {tried} | {missed} | {noisy} |");
    }
    for (name, Rates { tried, missed, noisy }) in &rates {
        assert!(*tried > 10, "{name}: {tried} changes");
        assert!(missed * 50 <= *tried, "{name}: {missed} of {tried} are missed");
        assert!(noisy * 20 <= *tried, "{name}: {noisy} of {tried} have another finding");
    }
}
