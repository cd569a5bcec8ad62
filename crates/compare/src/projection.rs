//! Projections: the parts of an exchange that a comparison looks at, and the keys built from these parts.

use std::borrow::Cow;

use harproxy_http::Headers;
use harproxy_json::{Digest, spacing};
use harproxy_redact::placeholder;
use sha2::{Digest as _, Sha256};

use super::exchange::update_sized;
use super::volatile::date;
use crate::{Body, BodyRules, ContentKey, Request, Response, VolatileRules};

/// Selects the parts of an exchange that a comparison looks at, in short: that count. Placeholders never count.
#[derive(Clone, Debug, Default)]
pub struct Projection {
    /// The rules for response values that do not count.
    pub volatile: VolatileRules,
    /// True if request headers count. Like replay, most callers ignore them.
    pub request_headers: bool,
}

/// The parts of a request that count. Two requests are equal if their keys are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequestKey {
    pub method: String,
    /// The URL without placeholders.
    pub url: Vec<u8>,
    /// The header fields, if they count.
    pub headers: Option<Digest>,
    pub content: ContentKey,
}

/// The parts of a response that count. Use [`ResponseKey::equals`] to compare two responses.
///
/// The derived equality is stricter, so that keys can be ordered and hashed: a missing reason phrase differs from a
/// present one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResponseKey {
    pub status: i32,
    /// The reason phrase; it counts only if both responses have one.
    pub reason: Option<String>,
    /// The header and trailer fields, and the kind of failure.
    pub head: Digest,
    pub content: ContentKey,
    /// The content coding could not be removed.
    pub is_encoded: bool,
    /// Why the payload is incomplete, if it is.
    pub cut: Option<String>,
}

impl ResponseKey {
    /// Returns true if a response was received.
    #[must_use]
    pub fn is_received(&self) -> bool {
        harproxy_http::is_received_status(self.status)
    }

    /// Returns true if two responses are equal. Reason phrases are compared only if both responses have one.
    #[must_use]
    pub fn equals(&self, other: &ResponseKey) -> bool {
        let reasons = self.reason.as_ref().zip(other.reason.as_ref());
        self.status == other.status
            && self.head == other.head
            && self.has_same_payload(other)
            && reasons.is_none_or(|(reason, other)| reason == other)
    }

    /// Returns true if the payloads of two responses are equal.
    #[must_use]
    pub fn has_same_payload(&self, other: &ResponseKey) -> bool {
        (self.content, self.is_encoded, &self.cut) == (other.content, other.is_encoded, &other.cut)
    }
}

impl Projection {
    /// Returns a projection in which everything counts except placeholders.
    #[must_use]
    pub fn all() -> Self {
        Projection { volatile: VolatileRules::none(), request_headers: true }
    }

    #[must_use]
    pub fn request_key(&self, request: &Request<'_>) -> RequestKey {
        RequestKey {
            method: request.method.clone().into_owned(),
            url: placeholder::mask(request.url.as_bytes()).into_owned(),
            headers: self.request_headers.then(|| fields_digest(&request.headers, |_, value| Some(value.into()))),
            content: BodyRules::default().content_key(&request.body),
        }
    }

    /// Returns the key of the response to a request with this method.
    #[must_use]
    pub fn response_key(&self, method: &str, response: &Response<'_>) -> ResponseKey {
        ResponseKey {
            status: response.status,
            reason: response.reason.as_deref().map(str::to_owned),
            head: self.head_digest(method, response),
            content: self.response_content(&response.body),
            is_encoded: response.body.is_encoded,
            cut: response.body.cut.as_deref().map(str::to_owned),
        }
    }

    /// Returns the key of the payload of a response. JSON is compared by its values and by
    /// its spacing, other payloads by their bytes.
    pub(super) fn response_content(&self, body: &Body<'_>) -> ContentKey {
        body.content.key(|bytes| {
            let digest = if body.is_encoded { None } else { self.volatile.payload_digest(&body.media_type, bytes) };
            Some(ContentKey::Json { digest: digest?, spacing: spacing(bytes) })
        })
    }

    /// Returns the digest of the header and trailer fields that count, and of the kind of failure.
    fn head_digest(&self, method: &str, response: &Response<'_>) -> Digest {
        let date = date(&response.headers);
        let mut digest = Sha256::new();
        for (part, fields) in [("headers", &response.headers), ("trailers", &response.trailers)] {
            digest.update(part);
            digest.update(fields_digest(fields, |name, value| {
                let counts = !self.volatile.ignores_header(method, name);
                counts.then(|| self.volatile.header_value(name, value, date))
            }));
        }
        digest.update(response.failure.as_deref().unwrap_or_default());
        digest.finalize().into()
    }
}

/// Returns the digest of header fields, sorted by name: servers that keep them in a hash table send them in any order.
/// The values of one name keep their order. `project` returns the part of a value that counts, or `None`.
fn fields_digest<'v>(fields: &'v Headers, project: impl Fn(&str, &'v [u8]) -> Option<Cow<'v, [u8]>>) -> Digest {
    let mut fields: Vec<(String, &[u8])> =
        fields.iter().map(|field| (field.name.to_ascii_lowercase(), &field.value[..])).collect();
    fields.sort_by(|a, b| a.0.cmp(&b.0));
    let mut digest = Sha256::new();
    for (name, value) in fields {
        if let Some(value) = project(&name, value) {
            update_sized(&mut digest, name.as_bytes());
            update_sized(&mut digest, &placeholder::mask(&value));
        }
    }
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::super::exchange::Content;
    use super::*;

    fn response(headers: &[(&str, &str)], media_type: &'static str, body: &'static str) -> Response<'static> {
        let mut list = Headers::default();
        headers.iter().for_each(|(name, value)| list.push(*name, (*value).to_owned()));
        Response {
            status: 200,
            reason: Some("OK".into()),
            headers: Cow::Owned(list),
            trailers: Cow::default(),
            body: Body::new(media_type, Content::of_bytes(body.as_bytes())),
            failure: None,
        }
    }

    #[test]
    fn order_of_header_names_does_not_count_and_order_of_values_does() {
        let key = |headers: &[(&str, &str)]| Projection::default().response_key("GET", &response(headers, "", "x"));
        let key_all = key(&[("A", "1"), ("b", "2"), ("a", "3"), ("Date", "now")]);
        assert!(key_all.equals(&key(&[("b", "2"), ("a", "1"), ("a", "3")])));
        assert!(!key_all.equals(&key(&[("b", "2"), ("a", "3"), ("a", "1")])));
        let length = [("content-length", "1")];
        let head = |headers| Projection::default().response_key("HEAD", &response(headers, "", ""));
        assert!(key(&length).equals(&key(&[])) && !head(&length).equals(&head(&[])));
    }

    #[test]
    fn json_counts_by_its_values_and_layout() {
        let key = |body| Projection::default().response_content(&response(&[], "application/json", body).body);
        assert_eq!(key(r#"{"a":1,"b":"REDACTED-b-1"}"#), key(r#"{"b":"REDACTED-b-2","a":1}"#));
        assert_ne!(key(r#"{"a":1}"#), key(r#"{"a": 1}"#));
        assert_ne!(key("{"), key("["));
    }

    #[test]
    fn boundary_of_a_request_does_not_count() {
        let key = |boundary: &str, value: &str| {
            let text = format!(
                "--{boundary}\r\ncontent-disposition: form-data; name=\"n\"\r\n\r\n{value}\r\n--{boundary}--\r\n"
            );
            let media_type = format!("multipart/form-data; boundary={boundary}");
            let body = Body::new(media_type, Content::of_bytes(text.into_bytes()));
            let request =
                Request { method: "POST".into(), url: "https://h.test/".into(), headers: Cow::default(), body };
            Projection::default().request_key(&request)
        };
        assert_eq!(key("one", "1"), key("other", "1"));
        assert_ne!(key("one", "1"), key("one", "2"));
    }
}
