//! `patch`: changes of an answer: JSON values by path, headers, and the status.

use ::http::{HeaderName, HeaderValue, Response, StatusCode};
use serde_json::Value;

use harproxy_json::JsonPath;

/// One change of an answer.
#[derive(Clone, Debug)]
pub enum PatchOperation {
    /// Sets the values that the path selects.
    Replace {
        path: JsonPath,
        value: Value,
    },
    /// Adds a member to the selected objects, or an element to the selected arrays if there is no name.
    Add {
        path: JsonPath,
        name: Option<String>,
        value: Value,
    },
    /// Removes the values that the path selects.
    Remove {
        path: JsonPath,
    },
    SetHeader {
        name: HeaderName,
        value: HeaderValue,
    },
    RemoveHeader {
        name: HeaderName,
    },
    Status(StatusCode),
}

/// An answer that a patch does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    #[error("the answer has no value at `{0}`")]
    NoValue(String),
    #[error("the answer is not JSON")]
    NotJson,
}

impl PatchOperation {
    /// Returns true if the operation needs the payload.
    #[must_use]
    pub fn changes_payload(&self) -> bool {
        matches!(self, PatchOperation::Replace { .. } | PatchOperation::Add { .. } | PatchOperation::Remove { .. })
    }

    /// Changes the head of an answer.
    pub fn apply_to_head<B>(&self, response: &mut Response<B>) {
        match self {
            PatchOperation::SetHeader { name, value } => drop(response.headers_mut().insert(name, value.clone())),
            PatchOperation::RemoveHeader { name } => drop(response.headers_mut().remove(name)),
            PatchOperation::Status(status) => *response.status_mut() = *status,
            _ => {}
        }
    }

    /// Changes a JSON value.
    fn apply_to(&self, document: &mut Value) -> Result<(), PatchError> {
        let (PatchOperation::Replace { path, .. } | PatchOperation::Add { path, .. } | PatchOperation::Remove { path }) =
            self
        else {
            return Ok(());
        };
        let pointers = path.pointers(document);
        if pointers.is_empty() {
            return Err(PatchError::NoValue(path.to_string()));
        }
        if let PatchOperation::Remove { .. } = self {
            path.remove_from(document);
            return Ok(());
        }
        for pointer in pointers {
            let Some(at) = document.pointer_mut(&pointer) else { continue };
            match (self, at) {
                (PatchOperation::Replace { value, .. }, at) => *at = value.clone(),
                (PatchOperation::Add { name: Some(name), value, .. }, Value::Object(members)) => {
                    members.insert(name.clone(), value.clone());
                }
                (PatchOperation::Add { name: None, value, .. }, Value::Array(items)) => items.push(value.clone()),
                _ => return Err(PatchError::NoValue(path.to_string())),
            }
        }
        Ok(())
    }
}

/// Returns a JSON payload with all changes.
///
/// # Errors
/// [`PatchError`]
pub fn patch_payload(payload: &[u8], operations: &[&PatchOperation]) -> Result<Vec<u8>, PatchError> {
    let mut document: Value = serde_json::from_slice(payload).map_err(|_| PatchError::NotJson)?;
    operations.iter().try_for_each(|operation| operation.apply_to(&mut document))?;
    Ok(document.to_string().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn patched(payload: &str, operation: &PatchOperation) -> Result<String, PatchError> {
        patch_payload(payload.as_bytes(), &[operation]).map(|patched| String::from_utf8(patched).unwrap())
    }

    #[test]
    fn values_are_replaced_added_and_removed() {
        let path = |text: &str| JsonPath::parse(text).unwrap();
        let payload = r#"{"items":[{"price":1},{"price":2}],"debug":true}"#;
        let replace = PatchOperation::Replace { path: path("$.items[*].price"), value: json!(9) };
        assert_eq!(patched(payload, &replace).unwrap(), r#"{"items":[{"price":9},{"price":9}],"debug":true}"#);
        let add = PatchOperation::Add { path: path("$.items[0]"), name: Some("new".into()), value: json!("x") };
        assert_eq!(patched(payload, &add).unwrap(), r#"{"items":[{"price":1,"new":"x"},{"price":2}],"debug":true}"#);
        let push = PatchOperation::Add { path: path("$.items"), name: None, value: json!({}) };
        assert_eq!(patched(payload, &push).unwrap(), r#"{"items":[{"price":1},{"price":2},{}],"debug":true}"#);
        let remove = PatchOperation::Remove { path: path("$.debug") };
        assert_eq!(patched(payload, &remove).unwrap(), r#"{"items":[{"price":1},{"price":2}]}"#);
    }

    #[test]
    fn patch_that_does_not_fit_is_an_error() {
        let remove = PatchOperation::Remove { path: JsonPath::parse("$.gone").unwrap() };
        assert_eq!(patched("{}", &remove).unwrap_err().to_string(), "the answer has no value at `$.gone`");
        assert_eq!(patched("<html>", &remove), Err(PatchError::NotJson));
    }
}
