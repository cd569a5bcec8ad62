//! What stands beside the entries, merged three-way member by member: pages, creator, scope, whatever other tools wrote.

use serde_json::Value;

use harproxy_har::pieces::Object;

/// The members of three `log` objects. Nothing here is worth a conflict: where both sides changed a value differently, ours
/// stays.
pub(super) fn merge(base: &Object, ours: &Object, theirs: &Object) -> Object {
    members(base, ours, theirs, |name, base, ours, theirs| match name {
        "creator" => creator(base, ours, theirs),
        "pages" => pages(base, ours, theirs),
        "_harproxy" => own(base, ours, theirs),
        _ => value(base, ours, theirs),
    })
}

/// Any value of the three, or none: what one side changed is as that side has it.
fn value(base: Option<&Value>, ours: Option<&Value>, theirs: Option<&Value>) -> Option<Value> {
    if ours == theirs || theirs == base {
        return ours.cloned();
    }
    if ours == base {
        return theirs.cloned();
    }
    match (ours, theirs) {
        (Some(Value::Object(ours)), Some(Value::Object(theirs))) => {
            let none = Object::new();
            let base = base.and_then(Value::as_object).unwrap_or(&none);
            Some(Value::Object(members(base, ours, theirs, |_, base, ours, theirs| value(base, ours, theirs))))
        }
        // What one removed and the other changed stays.
        _ => ours.or(theirs).cloned(),
    }
}

fn members(
    base: &Object,
    ours: &Object,
    theirs: &Object,
    merge: impl Fn(&str, Option<&Value>, Option<&Value>, Option<&Value>) -> Option<Value>,
) -> Object {
    let names = ours.keys().chain(theirs.keys().filter(|name| !ours.contains_key(*name)));
    let merged =
        names.filter_map(|name| Some((name.clone(), merge(name, base.get(name), ours.get(name), theirs.get(name))?)));
    merged.collect()
}

/// The newer version of one tool.
fn creator(base: Option<&Value>, ours: Option<&Value>, theirs: Option<&Value>) -> Option<Value> {
    let version = |creator: &Value| {
        let parts = creator.get("version")?.as_str()?.split(['.', '-', '+']);
        Some(parts.map_while(|part| part.parse().ok()).collect::<Vec<u64>>())
    };
    match (ours, theirs) {
        (Some(o), Some(t)) if Some(o) != base && Some(t) != base && o.get("name") == t.get("name") => {
            Some(if version(t) > version(o) { t } else { o }.clone())
        }
        _ => value(base, ours, theirs),
    }
}

/// Pages by their `id`.
fn pages(base: Option<&Value>, ours: Option<&Value>, theirs: Option<&Value>) -> Option<Value> {
    let (Some(Value::Array(ours_list)), Some(Value::Array(theirs_list))) = (ours, theirs) else {
        return value(base, ours, theirs);
    };
    let base_list = base.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let find = |list: &'_ [Value], page: &Value| list.iter().position(|other| other.get("id") == page.get("id"));
    let mut merged = Vec::new();
    for page in ours_list {
        let of = |list: &[Value]| find(list, page).map(|at| list[at].clone());
        merged.extend(value(of(base_list).as_ref(), Some(page), of(theirs_list).as_ref()));
    }
    for page in theirs_list.iter().filter(|page| find(ours_list, page).is_none()) {
        let old = find(base_list, page).map(|at| &base_list[at]);
        merged.extend(value(old, None, Some(page)));
    }
    Some(Value::Array(merged))
}

/// `_harproxy`: the newer format, and the globs of the scope one by one.
fn own(base: Option<&Value>, ours: Option<&Value>, theirs: Option<&Value>) -> Option<Value> {
    let (Some(Value::Object(ours)), Some(Value::Object(theirs))) = (ours, theirs) else {
        return value(base, ours, theirs);
    };
    let none = Object::new();
    let base = base.and_then(Value::as_object).unwrap_or(&none);
    let merged = members(base, ours, theirs, |name, base, ours, theirs| match (name, ours, theirs) {
        ("format", Some(o), Some(t)) => Some(if t.as_u64() > o.as_u64() { t } else { o }.clone()),
        ("scope", Some(Value::Array(o)), Some(Value::Array(t))) => Some(scope(base, o, t)),
        _ => value(base, ours, theirs),
    });
    Some(Value::Object(merged))
}

/// A glob that one side added is there, one that it removed is not; an exclusion that both did not have means that what it
/// excludes was recorded.
fn scope(base: Option<&Value>, ours: &[Value], theirs: &[Value]) -> Value {
    let base = base.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if ours == theirs || theirs == base {
        return ours.into();
    }
    if ours == base {
        return theirs.into();
    }
    let is_exclusion = |glob: &Value| glob.as_str().is_some_and(|glob| glob.starts_with('!'));
    let stays = |glob: &&Value| {
        let (ours, theirs) = (ours.contains(glob), theirs.contains(glob));
        (ours && theirs) || (!is_exclusion(glob) && !base.contains(glob))
    };
    let more = theirs.iter().filter(|glob| !ours.contains(glob));
    let (excluded, plain): (Vec<&Value>, Vec<&Value>) =
        ours.iter().chain(more).filter(stays).partition(|glob| is_exclusion(glob));
    plain.into_iter().chain(excluded).cloned().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn merged(base: Value, ours: Value, theirs: Value) -> Value {
        let object = |value: Value| value.as_object().cloned().unwrap();
        Value::Object(merge(&object(base), &object(ours), &object(theirs)))
    }

    #[test]
    fn globs_are_merged_one_by_one() {
        let log =
            |globs: &str| json!({"_harproxy": {"format": 1, "scope": globs.split_whitespace().collect::<Vec<_>>()}});
        for (base, ours, theirs, result) in [
            ("a", "a b", "a c", "a b c"),
            ("a b", "a b", "b", "b"),
            ("a b", "b c", "a b !x", "b c"),
            ("a !x !y", "a b !x", "a c !x !y", "a b c !x"),
            ("", "a", "b", "a b"),
            ("a", "a !x", "a", "a !x"),
        ] {
            assert_eq!(merged(log(base), log(ours), log(theirs)), log(result), "{base} | {ours} | {theirs}");
            let swapped = merged(log(base), log(theirs), log(ours));
            let globs = |log: &Value| {
                let mut globs: Vec<String> =
                    log["_harproxy"]["scope"].as_array().unwrap().iter().map(Value::to_string).collect();
                globs.sort();
                globs
            };
            assert_eq!(globs(&swapped), globs(&log(result)));
        }
    }

    #[test]
    fn creators_pages_and_unknown_members() {
        let creator = |version: &str| json!({"creator": {"name": "harproxy", "version": version}});
        assert_eq!(merged(creator("0.1.0"), creator("0.9.0"), creator("0.10.0")), creator("0.10.0"));
        assert_eq!(merged(creator("0.1.0"), creator("0.1.0"), creator("0.0.9")), creator("0.0.9"));
        let pages = |list: &[(&str, &str)]| {
            let pages: Vec<Value> = list.iter().map(|(id, title)| json!({"id": id, "title": title})).collect();
            json!({ "pages": pages })
        };
        assert_eq!(
            merged(
                pages(&[("1", "a"), ("2", "b"), ("3", "c")]),
                pages(&[("1", "A"), ("2", "b"), ("3", "c"), ("4", "d")]),
                pages(&[("1", "a"), ("3", "C"), ("5", "e")])
            ),
            pages(&[("1", "A"), ("3", "C"), ("4", "d"), ("5", "e")])
        );
        assert_eq!(
            merged(
                json!({"x": 1, "y": {"a": 1}}),
                json!({"x": 1, "y": {"a": 2}}),
                json!({"y": {"a": 1, "b": 3}, "z": 0})
            ),
            json!({"y": {"a": 2, "b": 3}, "z": 0})
        );
    }
}
