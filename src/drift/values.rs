//! `--values`: the values that count.

use serde_json::Value;

use super::checks::{self, DriftSeverity};
use super::finding::{DriftFinding, DriftPlace};
use harproxy_compare::{ShapePath, ShapeStep, excerpt};
use harproxy_json::{JsonPath, Pointer, PointerStep};
use harproxy_redact::placeholder;

/// The longest value that a finding shows, in characters.
const SHOWN: usize = 60;

/// Compares the values that the paths select in two payloads.
#[must_use]
pub fn check_values(paths: &[JsonPath], recorded: &[u8], live: &[u8]) -> Vec<DriftFinding> {
    let parse = |payload: &[u8]| {
        let text = payload.strip_prefix(b"\xef\xbb\xbf").unwrap_or(payload);
        serde_json::from_slice::<Value>(text).unwrap_or_default()
    };
    let (recorded, live) = if paths.is_empty() { Default::default() } else { (parse(recorded), parse(live)) };
    let mut findings = Vec::new();
    for path in paths {
        for pointer in path.pointers(&recorded) {
            let (before, now) = (recorded.pointer(&pointer), live.pointer(&pointer));
            // A value that is gone is a finding of its own.
            let (Some(before), Some(now)) = (before, now) else { continue };
            let is_redacted = placeholder::occurs_in(before.to_string().as_bytes());
            if before != now && !is_redacted && !is_equal_number(before, now) {
                let shown = |value: &Value| excerpt(&value.to_string(), SHOWN);
                let (place, exact) = shape_path(&pointer, &recorded);
                let text = format!("`{exact}` is {}, not {}", shown(now), shown(before));
                let place = DriftPlace::Payload(place);
                findings.push(DriftFinding::new(checks::VALUE_CHANGED, DriftSeverity::Critical, place, text));
            }
        }
    }
    findings
}

/// Returns true if a payload has a value that one of the paths selects.
#[must_use]
pub fn has_value(path: &JsonPath, payload: &[u8]) -> bool {
    serde_json::from_slice::<Value>(payload).is_ok_and(|payload| !path.select(&payload).is_empty())
}

/// `1` and `1.0` are equal.
fn is_equal_number(a: &Value, b: &Value) -> bool {
    matches!((a.as_f64(), b.as_f64()), (Some(a), Some(b)) if a.total_cmp(&b).is_eq())
}

/// Returns the place of a value in the shape of its document, and the JSON path to the value itself.
fn shape_path(pointer: &str, document: &Value) -> (ShapePath, String) {
    let mut at = document;
    let (mut steps, mut exact) = (Vec::new(), Pointer::default());
    for token in pointer.split('/').skip(1) {
        let name = token.replace("~1", "/").replace("~0", "~");
        let inner = match at {
            Value::Array(items) => {
                let index = name.parse().unwrap_or_default();
                exact.push(PointerStep::Index(index));
                steps.push(ShapeStep::Item);
                items.get(index)
            }
            object => {
                exact.push(PointerStep::Member(name.clone().into()));
                steps.push(ShapeStep::Field(name.clone()));
                object.get(&name)
            }
        };
        at = inner.unwrap_or(&Value::Null);
    }
    (ShapePath(steps), exact.to_path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_selected_values_count() {
        let paths = [JsonPath::parse("$.items[*].price").unwrap()];
        let found = check_values(
            &paths,
            br#"{"n":1,"items":[{"price":1},{"price":2},{"price":3}]}"#,
            br#"{"n":2,"items":[{"price":1},{"price":5}]}"#,
        );
        let found: Vec<_> = found.iter().map(|finding| (finding.place.to_string(), finding.text.as_str())).collect();
        assert_eq!(found, [("$.items[0].price".to_owned(), "`$.items[1].price` is 5, not 2")]);
    }
}
