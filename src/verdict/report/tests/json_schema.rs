//! Checks JSON against the keywords of JSON Schema (draft 2020-12) that `report.schema.json` uses.

use serde_json::Value;

/// Returns the first violation in `value`: its JSON pointer and the keyword. An unsupported keyword panics.
pub fn find_violation(root: &Value, schema: &Value, value: &Value, at: &str) -> Option<String> {
    let schema = schema.as_object().unwrap();
    let mut nested = schema.iter().filter_map(|(keyword, rule)| match keyword.as_str() {
        "$ref" => {
            let pointer = rule.as_str().unwrap().strip_prefix('#').unwrap();
            find_violation(root, root.pointer(pointer).unwrap(), value, at)
        }
        "properties" => rule.as_object().unwrap().iter().find_map(|(name, schema)| {
            value.get(name).and_then(|member| find_violation(root, schema, member, &format!("{at}/{name}")))
        }),
        "items" => value
            .as_array()
            .into_iter()
            .flatten()
            .enumerate()
            .find_map(|(index, item)| find_violation(root, rule, item, &format!("{at}/{index}"))),
        _ => {
            let members = || value.as_object().into_iter().flat_map(|members| members.keys());
            let holds = match keyword.as_str() {
                "$schema" | "$id" | "$defs" | "title" | "description" | "format" => true,
                "type" if rule.is_array() => rule.as_array().unwrap().iter().any(|name| has_type(value, name)),
                "type" => has_type(value, rule),
                "const" => value == rule,
                "enum" => rule.as_array().unwrap().contains(value),
                "minimum" => value.as_f64().is_none_or(|number| number >= rule.as_f64().unwrap()),
                "maximum" => value.as_f64().is_none_or(|number| number <= rule.as_f64().unwrap()),
                "minItems" => value.as_array().is_none_or(|items| items.len() as u64 >= rule.as_u64().unwrap()),
                "required" => rule
                    .as_array()
                    .unwrap()
                    .iter()
                    .all(|name| !value.is_object() || value.get(name.as_str().unwrap()).is_some()),
                "additionalProperties" => {
                    assert_eq!(rule, false, "{at}: a schema of additional properties is unsupported");
                    members().all(|name| schema["properties"].get(name).is_some())
                }
                _ => panic!("{at}: unsupported keyword `{keyword}`"),
            };
            (!holds).then(|| format!("{at}: `{keyword}` does not allow {value}"))
        }
    });
    nested.next()
}

fn has_type(value: &Value, name: &Value) -> bool {
    match name.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("unknown type `{other}`"),
    }
}
