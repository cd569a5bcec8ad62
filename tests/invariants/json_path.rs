//! JSON paths of policies, and what they lead to in payloads.

use harproxy_json::JsonPath;
use harproxy_redact::{Policy, Rules, placeholder};
use serde_json::Value;

use super::support::{first_line, is_told, redacted};

/// The first line is a path, the rest a payload.
pub fn check(data: &[u8]) {
    let Some((path, payload)) = first_line(data) else { return };
    // They are the user's own: how long one takes is in his hands.
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
    // In what is no JSON names have to do, and taking one value out can bring another to light.
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
