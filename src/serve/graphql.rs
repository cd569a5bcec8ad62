//! GraphQL: persisted queries that no entry answers.

use serde_json::{Value, json};

use super::facts::RequestFacts;

/// Returns true if a request names a persisted query by its hash, without the query itself. Apollo's clients then
/// expect [`not_found`], and send the query. The hash is in the payload, or in the parameter `extensions` of a GET
/// request.
#[must_use]
pub fn is_persisted_query(request: &RequestFacts) -> bool {
    let has_hash = |extensions: &Value| extensions["persistedQuery"]["sha256Hash"].is_string();
    let is_hash = |operation: &Value| operation["query"].is_null() && has_hash(&operation["extensions"]);
    let in_payload = request.json().is_some_and(|payload| match payload {
        Value::Array(batch) => batch.iter().any(is_hash),
        operation => is_hash(operation),
    });
    let in_url = || {
        let mut extensions = request.query("extensions").into_iter();
        request.query("query").is_empty()
            && extensions.any(|text| serde_json::from_str(&text).is_ok_and(|extensions| has_hash(&extensions)))
    };
    in_payload || in_url()
}

/// The payload of the answer to an unknown persisted query: an error for each operation of a batch.
#[must_use]
pub fn not_found(request: &RequestFacts) -> Value {
    let error = json!({ "message": "PersistedQueryNotFound", "extensions": { "code": "PERSISTED_QUERY_NOT_FOUND" } });
    let error = json!({ "errors": [error] });
    match request.json() {
        Some(Value::Array(batch)) => batch.iter().map(|_| error.clone()).collect(),
        _ => error,
    }
}
