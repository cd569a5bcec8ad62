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
    /// Adds an element to the selected arrays.
    Push {
        path: JsonPath,
        value: Value,
        /// The objects and the member in which `value` is set if the path selects no array.
        member: Option<(JsonPath, String)>,
    },
    /// Sets a member of the selected objects.
    AddMember {
        path: JsonPath,
        name: String,
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
    #[error("`{0}` selects no list, and names no member of an object")]
    NoContainer(String),
    #[error("the answer is not JSON")]
    NotJson,
}

impl PatchOperation {
    /// Returns true if the operation needs the payload.
    #[must_use]
    pub fn changes_payload(&self) -> bool {
        !matches!(
            self,
            PatchOperation::SetHeader { .. } | PatchOperation::RemoveHeader { .. } | PatchOperation::Status(_)
        )
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
        let (path, is_done) = match self {
            PatchOperation::Replace { path, value } => {
                let replace = |at: &mut Value| {
                    *at = value.clone();
                    true
                };
                (path, change(document, path, replace))
            }
            PatchOperation::Push { path, value, member } => {
                let push = |at: &mut Value| at.as_array_mut().map(|items| items.push(value.clone())).is_some();
                let set = |document, (path, name): &(JsonPath, String)| set_member(document, path, name, value);
                (path, change(document, path, push) || member.as_ref().is_some_and(|member| set(document, member)))
            }
            PatchOperation::AddMember { path, name, value } => (path, set_member(document, path, name, value)),
            PatchOperation::Remove { path } => {
                // The document itself can't be removed.
                let is_there = path.pointers(document).iter().any(|pointer| !pointer.is_empty());
                path.remove_from(document);
                (path, is_there)
            }
            PatchOperation::SetHeader { .. } | PatchOperation::RemoveHeader { .. } | PatchOperation::Status(_) => {
                return Ok(());
            }
        };
        match self {
            _ if is_done => Ok(()),
            PatchOperation::Push { .. } | PatchOperation::AddMember { .. } if !path.pointers(document).is_empty() => {
                Err(PatchError::NoContainer(path.to_string()))
            }
            _ => Err(PatchError::NoValue(path.to_string())),
        }
    }
}

/// Changes the values that a path selects. Returns true if there are some, and all of them could be changed.
fn change(document: &mut Value, path: &JsonPath, change: impl Fn(&mut Value) -> bool) -> bool {
    let pointers = path.pointers(document);
    // A value inside one that was replaced is gone.
    let mut changed = pointers.iter().map(|pointer| document.pointer_mut(pointer).is_none_or(&change));
    !pointers.is_empty() && changed.all(|is_changed| is_changed)
}

fn set_member(document: &mut Value, path: &JsonPath, name: &str, value: &Value) -> bool {
    change(document, path, |at| {
        at.as_object_mut().map(|members| members.insert(name.to_owned(), value.clone())).is_some()
    })
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
        let add = PatchOperation::AddMember { path: path("$.items[0]"), name: "new".into(), value: json!("x") };
        assert_eq!(patched(payload, &add).unwrap(), r#"{"items":[{"price":1,"new":"x"},{"price":2}],"debug":true}"#);
        let push = PatchOperation::Push { path: path("$.items"), value: json!({}), member: None };
        assert_eq!(patched(payload, &push).unwrap(), r#"{"items":[{"price":1},{"price":2},{}],"debug":true}"#);
        let member = Some((path("$.items[1]"), "new".to_owned()));
        let set = PatchOperation::Push { path: path("$.items[1].new"), value: json!(5), member };
        assert_eq!(patched(payload, &set).unwrap(), r#"{"items":[{"price":1},{"price":2,"new":5}],"debug":true}"#);
        let remove = PatchOperation::Remove { path: path("$.debug") };
        assert_eq!(patched(payload, &remove).unwrap(), r#"{"items":[{"price":1},{"price":2}]}"#);
    }

    #[test]
    fn patch_that_does_not_fit_is_an_error() {
        let all = PatchOperation::Replace { path: JsonPath::parse("$..*").unwrap(), value: json!(5) };
        assert_eq!(patched(r#"{"a":{"b":1}}"#, &all).unwrap(), r#"{"a":5}"#);
        let push = PatchOperation::Push { path: JsonPath::parse("$.a[0]").unwrap(), value: json!(5), member: None };
        assert!(matches!(patched(r#"{"a":[1]}"#, &push), Err(PatchError::NoContainer(_))));
        let root = PatchOperation::Remove { path: JsonPath::parse("$").unwrap() };
        assert!(patched("{}", &root).is_err());
        let remove = PatchOperation::Remove { path: JsonPath::parse("$.gone").unwrap() };
        assert_eq!(patched("{}", &remove).unwrap_err().to_string(), "the answer has no value at `$.gone`");
        assert_eq!(patched("<html>", &remove), Err(PatchError::NotJson));
    }
}
