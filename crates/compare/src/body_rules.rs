//! The rules by which request payloads are compared.

use harproxy_http::MediaType;
use harproxy_json::{Digest, JsonPath};
use harproxy_redact::placeholder;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use url::form_urlencoded;

use super::exchange::update_sized;
use super::graphql::{self, fold_queries};
use super::json_diff::canonical_number;
use super::stream_digest::MultipartDigest;
use crate::{Body, ContentKey};

/// The reason of a cut request payload whose server sent all of its response before it had read the request.
const ANSWERED_EARLY: &str = "answered-early";

/// How request payloads are compared (`--match-body`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MatchBody {
    /// Byte for byte.
    #[default]
    Exact,
    Json,
    /// Equal form fields in order.
    Form,
    Ignore,
}

/// The rules for the payloads of some URLs.
#[derive(Clone, Debug, Default)]
pub struct BodyRules {
    pub mode: MatchBody,
    /// The values that are removed from JSON before it is compared.
    pub ignored: Vec<JsonPath>,
    /// True if white space in GraphQL documents does not count, also with [`MatchBody::Exact`].
    pub folds_graphql: bool,
}

impl BodyRules {
    /// Returns true if JSON payloads are compared by their values.
    fn compares_values(&self) -> bool {
        self.mode == MatchBody::Json || !self.ignored.is_empty()
    }

    /// Returns true if payloads of this media type can be compared by digests that are made while they are received.
    /// JSON values and form fields need the whole payload.
    #[must_use]
    pub fn can_stream(&self, content_type: &str) -> bool {
        let media_type = MediaType::parse(content_type);
        let by_fields = self.mode == MatchBody::Form && media_type.is_form();
        media_type.is_multipart() || !(self.compares_values() || by_fields)
    }

    pub fn remove_ignored(&self, value: &mut Value) {
        self.ignored.iter().for_each(|path| path.remove_from(value));
    }

    /// Returns the JSON value that is compared; `None` if the payload is not JSON, or is compared by its bytes.
    #[must_use]
    pub fn json_value(&self, bytes: &[u8]) -> Option<Value> {
        if !self.compares_values() {
            return if self.folds_graphql { graphql::folded(bytes) } else { None };
        }
        let mut value: Value = serde_json::from_slice(bytes).ok()?;
        self.remove_ignored(&mut value);
        if self.mode == MatchBody::Json || self.folds_graphql {
            fold_queries(&mut value);
        }
        Some(value)
    }

    /// Returns the key of a recorded payload, in which placeholders do not count.
    #[must_use]
    pub fn content_key(&self, body: &Body<'_>) -> ContentKey {
        // The server answered early: each recording has another part of the payload.
        if body.cut.as_deref() == Some(ANSWERED_EARLY) {
            return ContentKey::NotKept;
        }
        body.content.key(|bytes| {
            // With a digit in the place of each placeholder, JSON stays JSON.
            let mut bytes = placeholder::mask(bytes).into_owned();
            bytes.iter_mut().filter(|byte| **byte == 0).for_each(|byte| *byte = b'0');
            let meaning = if body.is_encoded { None } else { self.meaning(&body.media_type, &bytes) };
            meaning.map(ContentKey::Bytes)
        })
    }

    /// Returns the digest of the meaning of a payload; `None` if only its bytes are compared.
    ///
    /// Payloads with the same meaning are equal: multipart payloads with another boundary, JSON in another order.
    #[must_use]
    pub fn meaning(&self, content_type: &str, bytes: &[u8]) -> Option<Digest> {
        let media_type = MediaType::parse(content_type);
        if media_type.is_multipart() {
            let mut parts = MultipartDigest::new(content_type)?;
            parts.push(bytes);
            return parts.finish();
        }
        if self.mode == MatchBody::Form && media_type.is_form() {
            let mut digest = Sha256::new_with_prefix("form");
            for (name, value) in form_urlencoded::parse(bytes) {
                update_sized(&mut digest, name.as_bytes());
                update_sized(&mut digest, value.as_bytes());
            }
            return Some(digest.finalize().into());
        }
        let mut digest = Sha256::new_with_prefix("json");
        update_json(&self.json_value(bytes)?, &mut digest);
        Some(digest.finalize().into())
    }
}

/// Adds a JSON value to a digest. Equal values have equal digests: the order of members and the spelling of numbers do
/// not count.
fn update_json(value: &Value, digest: &mut Sha256) {
    match value {
        Value::Null => digest.update("n"),
        Value::Bool(bool) => digest.update(if *bool { "t" } else { "f" }),
        Value::Number(number) => {
            digest.update("#");
            update_sized(digest, canonical_number(number).as_bytes());
        }
        Value::String(text) => {
            digest.update("s");
            update_sized(digest, text.as_bytes());
        }
        Value::Array(elements) => {
            digest.update("[");
            elements.iter().for_each(|element| update_json(element, digest));
            digest.update("]");
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            digest.update("{");
            for (name, value) in members {
                update_sized(digest, name.as_bytes());
                update_json(value, digest);
            }
            digest.update("}");
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::json_diff::score_json;
    use super::super::template::PlaceholderValues;
    use super::*;

    #[test]
    fn meaning_of_json_ignores_order_spelling_and_ignored_values() {
        let rules = BodyRules {
            mode: MatchBody::Json,
            ignored: vec![JsonPath::parse("$.id").unwrap()],
            ..BodyRules::default()
        };
        let meaning = |text: &str| rules.meaning("application/json", text.as_bytes());
        assert_eq!(meaning(r#"{"id": 1, "a": 1.0, "b": []}"#), meaning(r#"{"b":[],"a":1}"#));
        assert_ne!(meaning(r#"{"a":1}"#), meaning(r#"{"a":"1"}"#));
        assert_eq!(meaning("{"), None);
        assert_eq!(BodyRules::default().meaning("application/json", b"{}"), None, "bytes are compared");
        let documents = BodyRules { folds_graphql: true, ..BodyRules::default() };
        let exact = |text: &str| documents.clone().meaning("application/json", text.as_bytes());
        assert!(exact(r#"{"query":"{ a }"}"#).is_some());
        assert_eq!(exact(r#"{"query":"{ a }"}"#), exact(r#"{"query":"{a} # c"}"#));
        assert_ne!(exact(r#"{"query":"{ a(x: 1) }"}"#), exact(r#"{"query":"{ a(x: 2) }"}"#));
        assert_eq!(exact(r#"{"query":"shoes"}"#), None);
        let ignoring = BodyRules { ignored: vec![JsonPath::parse("$.x").unwrap()], ..documents };
        let ignoring = |text: &str| ignoring.meaning("application/json", text.as_bytes());
        assert_eq!(ignoring(r#"{"query":"{ a }","x":1}"#), ignoring(r#"{"query":"{a}"}"#));
        assert_eq!(exact(r#"[{"query":"{ a }"},{"a":1}]"#), None);
        let queries = [r#"{"query":"{ a }"}"#, r#"{"query":"{a}"}"#].map(meaning);
        assert_eq!(queries[0], queries[1]);
    }

    fn json() -> impl Strategy<Value = Value> {
        let scalar = prop_oneof![Just(Value::Null), (0_u8..3).prop_map(Value::from), Just(serde_json::json!(1.0))];
        scalar.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::vec(("[ab]", inner), 0..3)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn meanings_are_equal_if_and_only_if_no_difference_is_found(a in json(), b in json()) {
            let rules = BodyRules { mode: MatchBody::Json, ..BodyRules::default() };
            let [left, right] = [&a, &b].map(|value| rules.meaning("application/json", value.to_string().as_bytes()));
            prop_assert_eq!(left == right, score_json(&a, &b, &PlaceholderValues::default()).is_some());
        }
    }
}
