//! `fault`: answers that fail on purpose.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use ::http::StatusCode;
use serde_json::{Value, json};

use super::delay::millis_text;
use harproxy_support::sync::lock;

/// A kind of failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This status. A client that asks again before `retry_after` gets it again.
    Status { status: StatusCode, retry_after: Option<Duration> },
    /// No answer: the client waits until it gives up.
    Timeout,
    /// The connection breaks off after the head.
    Reset,
    /// The connection ends without an answer.
    Empty,
    /// Half of the payload, then the connection ends.
    Truncate,
    /// A JSON payload that no parser accepts, framed as a complete one.
    MalformedJson,
    /// Lists in the payload have no elements.
    EmptySet,
    /// The payload arrives at this rate, in bytes per second.
    Slow(u64),
}

impl Fault {
    /// Returns true for a fault that is the answer. Others change the answer of a source.
    #[must_use]
    pub fn answers(&self) -> bool {
        matches!(self, Fault::Status { .. } | Fault::Timeout | Fault::Empty)
    }
}

impl Fault {
    /// The names of the kinds.
    pub const KINDS: [&str; 8] =
        ["status", "timeout", "reset", "empty", "truncate", "malformed-json", "empty-set", "slow"];

    /// Returns the fault as the configuration has it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut json = json!({ "kind": self.name() });
        match self {
            Fault::Status { status, retry_after } => {
                json["status"] = status.as_u16().into();
                if let Some(wait) = retry_after {
                    json["retry-after"] = millis_text(*wait).into();
                }
            }
            Fault::Slow(rate) => json["rate"] = format!("{rate}B/s").into(),
            _ => {}
        }
        json
    }

    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Fault::Status { .. } => "status",
            Fault::Timeout => "timeout",
            Fault::Reset => "reset",
            Fault::Empty => "empty",
            Fault::Truncate => "truncate",
            Fault::MalformedJson => "malformed-json",
            Fault::EmptySet => "empty-set",
            Fault::Slow(_) => "slow",
        }
    }
}

/// Returns a JSON payload without elements in its lists. `None` if it is not JSON, or has no list.
#[must_use]
pub fn empty_lists(payload: &[u8]) -> Option<Vec<u8>> {
    fn empty(value: &mut Value) -> bool {
        match value {
            Value::Array(items) => {
                items.clear();
                true
            }
            Value::Object(members) => members.values_mut().map(empty).filter(|emptied| *emptied).count() > 0,
            _ => false,
        }
    }
    let mut value: Value = serde_json::from_slice(payload).ok()?;
    empty(&mut value).then(|| value.to_string().into_bytes())
}

/// Returns a payload that no JSON parser accepts.
#[must_use]
pub fn malformed_json(payload: &[u8]) -> Vec<u8> {
    let end = payload.trim_ascii_end().len().saturating_sub(1);
    [&payload[..end], b",!"].concat()
}

/// The clients that were told to wait: a client and a rule, with the time at which it may ask again.
#[derive(Debug, Default)]
pub struct RetryLimits(Mutex<HashMap<(String, String), Instant>>);

impl RetryLimits {
    /// Returns the remaining time if the client asks too early.
    pub fn remaining(&self, client: &str, rule: &str, now: Instant) -> Option<Duration> {
        let mut limits = lock(&self.0);
        let key = (client.to_owned(), rule.to_owned());
        let until = *limits.get(&key)?;
        if until <= now {
            limits.remove(&key);
            return None;
        }
        Some(until - now)
    }

    /// Notes that a client may ask again after this time.
    pub fn note(&self, client: &str, rule: &str, until: Instant) {
        let mut limits = lock(&self.0);
        if limits.len() > 10_000 {
            limits.clear();
        }
        limits.insert((client.to_owned(), rule.to_owned()), until);
    }

    /// Forgets the limits of a rule.
    pub fn forget(&self, rule: &str) {
        lock(&self.0).retain(|(_, known), _| known != rule);
    }

    /// Forgets the limits of some clients.
    pub fn reset(&self, is_reset: impl Fn(&str) -> bool) {
        lock(&self.0).retain(|(client, _), _| !is_reset(client));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_emptied_wherever_they_are() {
        let emptied = empty_lists(br#"{"a":[1],"b":{"c":[{}],"d":1}}"#).unwrap();
        assert_eq!(emptied, br#"{"a":[],"b":{"c":[],"d":1}}"#);
        assert_eq!(empty_lists(b"[]").unwrap(), b"[]");
        assert_eq!((empty_lists(b"<html>"), empty_lists(b"{}")), (None, None));
    }

    #[test]
    fn malformed_payload_is_never_json() {
        for payload in ["{}", "[1,2]", "\"x\"", "7", "", "{\"a\":1}\n"] {
            assert!(serde_json::from_slice::<Value>(&malformed_json(payload.as_bytes())).is_err(), "{payload}");
        }
    }

    #[test]
    fn early_retry_is_recognised_for_its_client_alone() {
        let (limits, now) = (RetryLimits::default(), Instant::now());
        limits.note("a", "1", now + Duration::from_secs(60));
        assert_eq!(limits.remaining("a", "1", now), Some(Duration::from_secs(60)));
        assert_eq!(limits.remaining("b", "1", now), None);
        assert_eq!(limits.remaining("a", "1", now + Duration::from_secs(60)), None);
    }
}
