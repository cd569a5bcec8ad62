//! JSON paths of policies, and the values that they select in payloads.

use harproxy_json::JsonPath;
use harproxy_redact::{Policy, Rules, placeholder};
use serde_json::Value;

use super::support::{first_line, is_told, redacted};

/// The first line is a path, the rest a payload.
pub fn check(data: &[u8]) {
    let Some((path, payload)) = first_line(data) else { return };
    // The user writes the paths, so slow ones are allowed.
    if path.len() > 60 || path.matches("..").count() > 2 || payload.len() > 4096 {
        return;
    }
    let rules = Rules { json: vec![path.to_owned()], ..Rules::default() };
    let (parsed, policy) = match (JsonPath::parse(path), Policy::new(&rules)) {
        (Ok(parsed), Ok(policy)) => (parsed, policy),
        (Err(error), Err(_)) => {
            is_told(&error);
            return;
        }
        _ => panic!("`{path}` is a path or none"),
    };
    let left = redacted(&policy, "application/json", payload);
    // In invalid JSON, paths match by member name, and removing one value can expose another.
    let Ok(before) = serde_json::from_slice::<Value>(payload) else { return };
    assert_eq!(redacted(&policy, "application/json", &left), left, "twice is not once");
    let after: Value = serde_json::from_slice(&left).expect("JSON stays JSON");
    for pointer in parsed.pointers(&before) {
        let Some(Value::String(secret)) = before.pointer(&pointer) else { continue };
        let is_open = !secret.is_empty() && !placeholder::may_occur_in(secret.as_bytes());
        if is_open && let Some(left) = after.pointer(&pointer) {
            assert_ne!(left.as_str(), Some(&**secret), "{path} leads to {pointer} of {before}, which stays");
        }
    }
}
