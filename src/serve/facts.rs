//! The facts of a request that route rules look at.

use std::borrow::Cow;

use ::http::header::CONTENT_ENCODING;
use ::http::{HeaderMap, HeaderValue, Method};
use bytes::Bytes;
use serde_json::Value;

use harproxy_http::NormalUrl;
use harproxy_http::coding::{codings, decode};
use harproxy_matching::PathPattern;

/// The longest decoded payload that rules read, in bytes.
const LONGEST_DECODED: u64 = 64 << 20;

/// A request with its payload, as far as rules need it.
#[derive(Clone, Debug)]
pub struct RequestFacts {
    pub method: Method,
    pub url: NormalUrl,
    pub headers: HeaderMap,
    pub payload: Bytes,
    /// The payload, if it is JSON. Read on first use.
    json: std::sync::OnceLock<Option<Value>>,
    /// The session that the client names.
    pub session: Option<String>,
}

impl RequestFacts {
    #[must_use]
    pub fn new(method: Method, url: NormalUrl, headers: HeaderMap, payload: Bytes, session: Option<String>) -> Self {
        RequestFacts { method, url, headers, payload, json: std::sync::OnceLock::new(), session }
    }

    /// Returns the payload as JSON.
    #[must_use]
    pub fn json(&self) -> Option<&Value> {
        self.json.get_or_init(|| serde_json::from_slice(&self.decoded()?).ok()).as_ref()
    }

    /// Returns the payload without its content coding. `None` if that is unknown, or decodes beyond the limit.
    fn decoded(&self) -> Option<Cow<'_, [u8]>> {
        let values = self.headers.get_all(CONTENT_ENCODING).iter().map(HeaderValue::as_bytes);
        let codings = codings(values)?;
        match codings.is_empty() {
            true => Some(Cow::Borrowed(&self.payload)),
            false => decode(&codings, &self.payload, LONGEST_DECODED).map(Cow::Owned),
        }
    }

    /// Returns the values of a query parameter.
    pub fn query(&self, name: &str) -> Vec<String> {
        self.query_pairs().into_iter().filter(|(known, _)| known == name).map(|(_, value)| value).collect()
    }

    /// Returns the parameters of the query, decoded.
    #[must_use]
    pub fn query_pairs(&self) -> Vec<(String, String)> {
        let query = self.url.parts().query.unwrap_or_default().to_owned();
        url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
    }

    /// Returns the values of a header, as text.
    #[must_use]
    pub fn header(&self, name: &str) -> Vec<String> {
        let values = self.headers.get_all(name).iter();
        values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
    }

    /// Returns the variable segments of the path by their names, decoded.
    #[must_use]
    pub fn path_values(&self, pattern: &PathPattern) -> Vec<(String, String)> {
        let decode = |segment: &str| percent_encoding::percent_decode_str(segment).decode_utf8_lossy().into_owned();
        pattern
            .values(self.url.parts().path)
            .into_iter()
            .map(|(name, value)| (name.to_owned(), decode(value)))
            .collect()
    }
}
