//! Makes the request that is sent for an entry: without recorded credentials, with those of the configuration.

use std::borrow::Cow;

use ::http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue,
    PROXY_AUTHORIZATION, RANGE,
};
use ::http::{Method, Uri};
use bytes::Bytes;

use harproxy_har::{Fixture, Payload};
use harproxy_http::NormalUrl;
use harproxy_http::headers::is_hop_by_hop;
use harproxy_proxy::Origin;
use harproxy_redact::{Placeholder, Policy, Secret, placeholder};

/// The codings that harproxy decodes.
const ACCEPTED_CODINGS: HeaderValue = HeaderValue::from_static("gzip, br, zstd");

/// A header of `[drift] headers` or `--header`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialHeader {
    pub name: HeaderName,
    pub value: HeaderValue,
}

/// The rules by which requests are made.
#[derive(Clone, Debug)]
pub struct RequestRules {
    /// `--base-url`: replaces the recorded origin; a path of it comes before the recorded path.
    pub base_url: Option<NormalUrl>,
    pub headers: Vec<CredentialHeader>,
    /// True if the endpoints have several origins: a header is then sent only where it was recorded.
    pub has_many_origins: bool,
    /// `[redact.values]`: the values of placeholders in URLs and payloads.
    pub values: Vec<(Placeholder, Secret)>,
}

/// A request that can be sent.
#[derive(Clone, Debug)]
pub struct LiveRequest {
    pub method: Method,
    pub url: NormalUrl,
    pub uri: Uri,
    pub origin: Origin,
    pub headers: HeaderMap,
    pub payload: Bytes,
}

/// Makes the request of an entry.
///
/// # Errors
/// The reason why it can't be sent, for the user.
pub fn make(fixture: &Fixture, entry: usize, rules: &RequestRules) -> Result<LiveRequest, String> {
    let parsed = fixture.entry(entry).map_err(|error| error.to_string())?;
    let request = &parsed.request;
    let url = rules.live_url(&rules.filled(&request.url, "URL")?)?;
    let method = Method::from_bytes(request.method.as_bytes()).map_err(|_| "its method is not valid".to_owned())?;
    let payload = match &request.post_data {
        None => Bytes::new(),
        Some(body) => match fixture.payload(entry, body).and_then(|payload| match payload {
            Payload::NotRecorded => Ok(None),
            payload => payload.bytes().map(Some),
        }) {
            Ok(Some(payload)) if body.truncated.is_none() && !body.encoded => rules.filled_payload(payload)?,
            Ok(_) => return Err("its request payload was not recorded completely".to_owned()),
            Err(error) => return Err(error.to_string()),
        },
    };
    let mut headers = HeaderMap::new();
    let options = request.headers.connection_options();
    for header in request.headers.iter().filter(|header| !is_left_out(&header.name, &header.value, &options)) {
        let name = HeaderName::from_bytes(header.name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(&header.value)) {
            headers.append(name, value);
        }
    }
    headers.insert(ACCEPT_ENCODING, ACCEPTED_CODINGS);
    for CredentialHeader { name, value } in &rules.headers {
        if !rules.has_many_origins || request.headers.contains(name.as_str()) {
            headers.insert(name, value.clone());
        }
    }
    let uri = url.as_str().parse().map_err(|_| format!("{url} can't be sent"))?;
    let origin = Origin::of_url(&url).ok_or("its URL has no host")?;
    Ok(LiveRequest { method, url, uri, origin, headers, payload })
}

/// Returns true for a recorded header that is not sent: it belongs to the connection, asks for another answer than the
/// whole one, or is a credential.
fn is_left_out(name: &str, value: &[u8], options: &[String]) -> bool {
    let lower = name.to_ascii_lowercase();
    let own = [HOST, CONTENT_LENGTH, ACCEPT_ENCODING, AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE, EXPECT, RANGE];
    is_hop_by_hop(&lower, options)
        || own.iter().any(|header| header.as_str() == lower)
        || lower.starts_with("if-")
        || lower.starts_with(':')
        || Policy::default().is_secret_header(&lower)
        || placeholder::occurs_in(value)
}

impl RequestRules {
    fn live_url(&self, recorded: &str) -> Result<NormalUrl, String> {
        let parsed = |url: &str| NormalUrl::parse(url).map_err(|error| error.to_string());
        let url = parsed(recorded)?;
        let parts = url.parts();
        let query = parts.query.map(|query| format!("?{query}")).unwrap_or_default();
        let base = match &self.base_url {
            Some(base) => base.as_str().trim_end_matches('/').to_owned(),
            // Without a recorded user name and password.
            None => parts.site().into_owned(),
        };
        parsed(&format!("{base}{}{query}", parts.path))
    }

    /// Replaces placeholders by the values of `[redact.values]`.
    fn filled<'t>(&self, text: &'t str, part: &str) -> Result<Cow<'t, str>, String> {
        let mut filled = Cow::Borrowed(text);
        let mut found: Vec<_> = placeholder::find(text.as_bytes()).collect();
        found.reverse();
        for found in found {
            let Some((_, secret)) = self.values.iter().find(|(known, _)| *known == found.placeholder) else {
                let name = found.format.write(&found.placeholder);
                return Err(format!("its {part} has the redacted value {name}: set it under [redact.values]"));
            };
            filled.to_mut().replace_range(found.range, secret.reveal());
        }
        Ok(filled)
    }

    fn filled_payload(&self, payload: Bytes) -> Result<Bytes, String> {
        match std::str::from_utf8(&payload) {
            Ok(text) => match self.filled(text, "payload")? {
                Cow::Borrowed(_) => Ok(payload),
                Cow::Owned(text) => Ok(text.into()),
            },
            Err(_) => Ok(payload),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_credentials_are_left_out() {
        for name in ["Authorization", "Cookie", "X-Api-Key", "If-None-Match", "Connection", "Host", "Range"] {
            assert!(is_left_out(name, b"x", &[]), "{name}");
        }
        assert!(is_left_out("x-tenant", b"REDACTED-tenant-1", &[]));
        for name in ["accept", "x-tenant", "origin", "user-agent"] {
            assert!(!is_left_out(name, b"x", &[]), "{name}");
        }
    }

    #[test]
    fn base_url_replaces_the_origin_and_precedes_the_path() {
        let rules = |base: Option<&str>| RequestRules {
            base_url: base.map(|base| NormalUrl::parse(base).unwrap()),
            headers: Vec::new(),
            has_many_origins: false,
            values: Vec::new(),
        };
        let live = |base, url| rules(base).live_url(url).unwrap().to_string();
        assert_eq!(live(None, "https://me:pw@a.test/b?c=d"), "https://a.test/b?c=d");
        assert_eq!(live(Some("https://s.test"), "https://a.test/b?c=d"), "https://s.test/b?c=d");
        assert_eq!(live(Some("http://s.test/v2/"), "https://a.test/b"), "http://s.test/v2/b");
    }
}
