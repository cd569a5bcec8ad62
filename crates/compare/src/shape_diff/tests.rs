use super::*;

fn shape(texts: &[&str]) -> Shape {
    let mut shape = Shape::default();
    texts.iter().for_each(|text| shape.observe_json(text.as_bytes()).unwrap());
    shape
}

fn changes(recorded: &str, live: &str) -> Vec<(String, ShapeChange)> {
    let differences = diff_shapes(&shape(&[recorded]), &shape(&[live]));
    differences.into_iter().map(|difference| (difference.path.to_string(), difference.change)).collect()
}

fn one(recorded: &str, live: &str) -> (String, ShapeChange) {
    let mut found = changes(recorded, live);
    assert_eq!(found.len(), 1, "{recorded} {live}: {found:?}");
    found.remove(0)
}

fn missing(is_required: bool, renamed_to: Option<&str>) -> ShapeChange {
    ShapeChange::FieldMissing { is_required, renamed_to: renamed_to.map(str::to_owned) }
}

#[test]
fn renamed_field_is_missing_and_names_its_successor() {
    let found = changes(r#"{"data":[{"firstName":"A"}]}"#, r#"{"data":[{"first_name":"A","avatar_url":"u"}]}"#);
    assert_eq!(
        found,
        [
            ("$.data[0].firstName".to_owned(), missing(true, Some("first_name"))),
            ("$.data[0].avatar_url".to_owned(), ShapeChange::FieldAdded),
        ]
    );
}

#[test]
fn missing_fields_are_required_if_every_object_has_them() {
    assert_eq!(one(r#"[{"a":1,"b":2}]"#, r#"[{"a":1}]"#), ("$[0].b".into(), missing(true, None)));
    assert_eq!(one(r#"[{"a":1},{"a":1,"b":2}]"#, r#"[{"a":1}]"#), ("$[0].b".into(), missing(false, None)));
    let some = ShapeChange::FieldOptional { seen: 1, of: 2 };
    assert_eq!(one(r#"[{"b":1}]"#, r#"[{"b":1},{}]"#), ("$[0].b".into(), some));
}

#[test]
fn types_are_compared_as_clients_read_them() {
    use TypeCompatibility::{Incompatible, Narrowed, Widened};
    for (recorded, live, compatibility) in [
        ("7", "\"7\"", Incompatible),
        ("true", "1", Incompatible),
        ("7", "7.5", Widened),
        ("7.5", "7", Narrowed),
        ("[7]", "[\"7\"]", Incompatible),
        ("{\"a\":[7]}", "{\"a\":[7,1.5]}", Widened),
    ] {
        match one(recorded, live).1 {
            ShapeChange::Type { compatibility: found, .. } => assert_eq!(found, compatibility, "{live}"),
            found => panic!("{recorded} {live}: {found:?}"),
        }
    }
    assert_eq!(changes("[7, 1.5]", "[7]"), []);
}

#[test]
fn containers_that_change_are_one_difference() {
    for (recorded, live) in [
        (r#"{"a":{"b":1,"c":{"d":2}}}"#, r#"{"a":[1,2]}"#),
        (r#"{"a":"x"}"#, r#"{"a":{"b":1}}"#),
        (r#"{"a":[1]}"#, r#"{"a":[[1]]}"#),
        (r#"{"a":{"b":1}}"#, r#"{"a":"x"}"#),
    ] {
        let (path, change) = one(recorded, live);
        assert!(path.starts_with("$.a") && matches!(change, ShapeChange::Structure { .. }), "{path} {change:?}");
    }
}

#[test]
fn null_is_no_type() {
    assert_eq!(one(r#"{"a":null}"#, r#"{"a":"x"}"#).1, ShapeChange::StoppedBeingNull);
    assert_eq!(one(r#"{"a":"x"}"#, r#"{"a":null}"#).1, ShapeChange::BecameNullable);
    assert_eq!(changes(r#"[{"a":null},{"a":"x"}]"#, r#"[{"a":"y"}]"#), []);
    assert_eq!(changes(r#"[{"a":null},{"a":"x"}]"#, r#"[{"a":null}]"#), []);
}

#[test]
fn empty_arrays_and_maps_are_not_comparable() {
    assert_eq!(one("[]", "[1]").1, ShapeChange::Empty { is_recorded: true });
    assert_eq!(one("[1]", "[]").1, ShapeChange::Empty { is_recorded: false });
    assert_eq!(one(r#"{"a":{"1":2}}"#, r#"{"a":{}}"#).1, ShapeChange::Empty { is_recorded: false });
    assert_eq!(changes("[]", "[]"), []);
}

#[test]
fn array_elements_have_variants() {
    assert_eq!(one(r#"[{"a":1}]"#, r#"[{"a":1},"x"]"#).1, ShapeChange::ItemTypeAdded(JsonType::String));
    assert_eq!(one(r#"[{"a":1},"x"]"#, r#"[{"a":1}]"#).1, ShapeChange::ItemTypeGone(JsonType::String));
}

#[test]
fn closed_sets_are_compared_and_other_strings_are_not() {
    let closed = r#"["on","off","on","off"]"#;
    assert_eq!(one(closed, r#"["on","new"]"#).1, ShapeChange::ValuesAdded(vec!["new".into()]));
    assert_eq!(one(closed, r#"["on","on","on","on"]"#).1, ShapeChange::ValuesGone(vec!["off".into()]));
    assert_eq!(changes(closed, r#"["on"]"#), []);
    let long = format!(r#"["on","{}"]"#, "x".repeat(100));
    assert_eq!(one(closed, &long).1, ShapeChange::ValuesAdded(vec![]));
    let letters = |last: char| ('a'..=last).map(|c| format!("\"{c}\",\"{c}\"")).collect::<Vec<_>>().join(",");
    let (five, six) = (format!("[{}]", letters('e')), format!("[{}]", letters('f')));
    assert_eq!(one(&five, &six).1, ShapeChange::ValuesAdded(vec!["f".into()]));
    assert_eq!(changes(r#"["on","off","on"]"#, r#"["new"]"#), []);
    assert_eq!(changes(r#"["a","b","c","d"]"#, r#"["e"]"#), []);
}

#[test]
fn formats_that_are_lost_are_differences() {
    use StringFormat::{Date, DateTime, Decimal, Integer};
    let format = |from, to| ShapeChange::Format { from, to };
    assert_eq!(one("\"12\"", "\"x\"").1, format(Integer, None));
    assert_eq!(one("\"12\"", "\"12.5\"").1, format(Integer, Some(Decimal)));
    assert_eq!(one("\"2026-01-01\"", "\"2026-01-01T00:00:00Z\"").1, format(Date, Some(DateTime)));
    for (recorded, live) in [("\"x\"", "\"12\""), ("\"12.5\"", "\"12\""), ("\"12\"", "\"\""), ("\"\"", "\"x\"")] {
        assert_eq!(changes(recorded, live), [], "{recorded} {live}");
    }
}

#[test]
fn entries_of_maps_are_compared_whatever_their_keys_are() {
    assert_eq!(changes(r#"{"17":{"n":1}}"#, r#"{"18":{"n":2},"19":{"n":3}}"#), []);
    let (path, _) = one(r#"{"17":{"n":1}}"#, r#"{"18":{"n":"x"}}"#);
    assert_eq!(path, "$.*.n");
}

#[test]
fn record_and_map_are_compared_as_maps() {
    let users = |range: std::ops::Range<usize>| {
        let members: Vec<String> = range.map(|n| format!(r#""user{n}x":{{"age":{n}}}"#)).collect();
        format!("{{{}}}", members.join(","))
    };
    assert_eq!(changes(&users(0..990), &users(500..1_510)), []);
    assert_eq!(one(&users(0..1_010).replace(r#""age":7}"#, r#""age":7,"x":1}"#), &users(0..990)).0, "$.*.x");
}

#[test]
fn many_fields_are_compared_without_hints() {
    let fields =
        |name: &str| format!("{{{}}}", (0..900).map(|n| format!(r#""{name}{n}":1"#)).collect::<Vec<_>>().join(","));
    assert_eq!(changes(&fields("a"), &fields("b")).len(), 1_800);
}

#[test]
fn renamed_fields_are_mutually_most_similar() {
    let found = changes(r#"{"createdAt":"2026-01-01","userId":7}"#, r#"{"created_at":"2026-02-02","user_id":8}"#);
    let renamed: Vec<_> = found
        .iter()
        .filter_map(|(path, change)| match change {
            ShapeChange::FieldMissing { renamed_to, .. } => Some((path.as_str(), renamed_to.as_deref())),
            _ => None,
        })
        .collect();
    assert_eq!(renamed, [("$.createdAt", Some("created_at")), ("$.userId", Some("user_id"))]);
    let unlike = changes(r#"{"total":7}"#, r#"{"avatar":"x"}"#);
    assert_eq!(unlike[0].1, missing(true, None));
}

mod properties {
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use super::*;

    /// A JSON value with names, types and formats drawn at random, and arrays of equal elements.
    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<i32>().prop_map(|n| json!(n)),
            any::<bool>().prop_map(|b| json!(b)),
            "[a-z]{1,12}".prop_map(|text| json!(text)),
            (1..=9_u32).prop_map(|day| json!(format!("2026-01-0{day}"))),
            Just(json!(0.5)),
        ];
        leaf.prop_recursive(5, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(("[a-zA-Z_]{1,8}", inner.clone()), 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
                (inner, 1..4_usize).prop_map(|(item, times)| Value::Array(vec![item; times])),
            ]
        })
    }

    /// The same structure with other values and other lengths of arrays.
    fn with_other_values(value: &Value, by: i64) -> Value {
        match value {
            Value::Object(members) => {
                let members = members.iter().map(|(name, value)| (name.clone(), with_other_values(value, by)));
                Value::Object(members.collect::<Map<_, _>>())
            }
            Value::Array(items) => {
                let times = items.len() + usize::try_from(by.rem_euclid(3)).unwrap();
                Value::Array(items.iter().cycle().take(times).map(|item| with_other_values(item, by)).collect())
            }
            Value::Number(number) if number.is_i64() => json!(number.as_i64().unwrap_or_default() / 2 + by),
            Value::Number(_) => json!(f64::from(u8::try_from(by.rem_euclid(100)).unwrap()) + 0.25),
            Value::Bool(set) => json!(set ^ (by % 2 == 0)),
            Value::String(text) if text.starts_with("2026") => json!("2027-12-31"),
            // Three elements are no closed set, and four equal ones are: keep strings, which are all equal.
            other => other.clone(),
        }
    }

    fn observed(value: &Value) -> Shape {
        shape(&[&value.to_string()])
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn equal_structure_has_no_difference(value in values(), by in any::<i16>()) {
            let other = with_other_values(&value, by.into());
            let differences = diff_shapes(&observed(&value), &observed(&other));
            prop_assert!(differences.is_empty(), "{value} {other} {differences:?}");
        }

        #[test]
        fn added_field_is_only_added(value in values(), added in values()) {
            let Value::Object(members) = &value else { return Ok(()) };
            let mut more = members.clone();
            more.insert("addedField".to_owned(), added);
            let differences = diff_shapes(&observed(&value), &observed(&Value::Object(more)));
            prop_assert_eq!(differences.len(), 1);
            prop_assert_eq!(&differences[0].change, &ShapeChange::FieldAdded);
        }

        #[test]
        fn merging_is_observing_all(a in values(), b in values()) {
            let mut merged = observed(&a);
            merged.merge(observed(&b));
            prop_assert_eq!(merged, shape(&[&a.to_string(), &b.to_string()]));
        }
    }
}
