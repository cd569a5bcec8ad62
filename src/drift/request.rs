//! Makes the request that is sent for an entry: without recorded credentials, with those of the configuration.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, LazyLock};

use ::http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue,
    PROXY_AUTHORIZATION, RANGE,
};
use ::http::{Method, Uri};
use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};

use harproxy_har::{Fixture, Payload};
use harproxy_http::headers::is_hop_by_hop;
use harproxy_http::{Header, Headers, MediaType, NormalUrl};
use harproxy_json::text::quote;
use harproxy_proxy::Origin;
use harproxy_redact::{Placeholder, PlaceholderName, Policy, Secret, display, placeholder};

/// The characters that are not unreserved (RFC 3986 section 2.3).
const URL_RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The built-in rules, which apply here also if redaction is off.
static BUILT_IN: LazyLock<Policy> = LazyLock::new(Policy::default);
/// The codings that harproxy decodes.
pub const ACCEPTED_CODINGS: HeaderValue = HeaderValue::from_static("gzip, br, zstd");

/// A header of `[drift] headers` or `--header`, for one origin.
#[derive(Clone, PartialEq, Eq)]
pub struct CredentialHeader {
    /// The recorded origin of the requests that get it.
    pub origin: String,
    pub name: HeaderName,
    pub value: HeaderValue,
}

/// Writes the header without its value, which may be a secret.
impl fmt::Debug for CredentialHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialHeader")
            .field("origin", &self.origin)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// `--base-url`: the URL that replaces a recorded origin. A path of it comes before the recorded path.
#[derive(Clone, Debug)]
pub struct BaseUrl {
    /// The only origin that is replaced.
    pub recorded: String,
    pub url: NormalUrl,
}

/// The rules by which requests are made.
#[derive(Clone, Debug)]
pub struct RequestRules {
    pub base_url: Option<BaseUrl>,
    pub headers: Vec<CredentialHeader>,
    /// Recognises credentials in recorded URLs and headers.
    pub policy: Arc<Policy>,
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
    if rules.has_credential(&request.url) {
        let reason = "its URL has a recorded credential: remove it with `harproxy redact`, and set its value under \
                      [redact.values]";
        return Err(reason.to_owned());
    }
    if let Some(name) = method_override(&request.headers, &request.url) {
        return Err(format!("its `{name}` names another method, which can change data"));
    }
    let url = rules.live_url(&rules.filled(&request.url, "URL", encode_url_part)?)?;
    let method = Method::from_bytes(request.method.as_bytes()).map_err(|_| "its method is not valid".to_owned())?;
    let payload = match &request.post_data {
        None => Bytes::new(),
        Some(body) => match fixture.payload(entry, body).and_then(|payload| match payload {
            Payload::NotRecorded => Ok(None),
            payload => payload.bytes().map(Some),
        }) {
            Ok(Some(payload)) if body.truncated.is_none() && !body.encoded => {
                rules.filled_payload(payload, &MediaType::parse(&body.mime_type))?
            }
            Ok(_) => return Err("its request payload was not recorded completely".to_owned()),
            Err(error) => return Err(error.to_string()),
        },
    };
    let mut headers = HeaderMap::new();
    let options = request.headers.connection_options();
    let is_sent = |header: &&Header| !is_left_out(&header.name, &header.value, &options, &rules.policy);
    for header in request.headers.iter().filter(is_sent) {
        let name = HeaderName::from_bytes(header.name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(&header.value)) {
            headers.append(name, value);
        }
    }
    headers.insert(ACCEPT_ENCODING, ACCEPTED_CODINGS);
    // An answer that refuses a request was recorded without valid credentials.
    let is_refused = matches!(parsed.response.status, 401 | 403);
    let recorded = NormalUrl::parse(&request.url).map(|url| url.parts().site().into_owned()).unwrap_or_default();
    for credential in rules.headers.iter().filter(|credential| credential.origin == recorded && !is_refused) {
        headers.insert(&credential.name, credential.value.clone());
    }
    let uri = url.as_str().parse().map_err(|_| "its URL can't be sent".to_owned())?;
    let origin = Origin::of_url(&url).ok_or("its URL has no host")?;
    Ok(LiveRequest { method, url, uri, origin, headers, payload })
}

/// Returns the values of credential headers as secrets.
pub fn header_secrets<'a>(values: impl Iterator<Item = &'a HeaderValue>) -> Vec<(Placeholder, Secret)> {
    let values = values.filter_map(|value| value.to_str().ok());
    // The token behind its scheme is a secret, too.
    let tokens = values.flat_map(|value| [Some(value), value.split_once(' ').map(|(_, token)| token)]);
    let name = PlaceholderName::new("credential");
    let secret = |(number, value): (u64, &str)| (Placeholder { name: name.clone(), number }, Secret::from(value));
    (1..).zip(tokens.flatten()).map(secret).collect()
}

/// Returns the header or parameter by which a request asks for another method than its own.
fn method_override(headers: &Headers, url: &str) -> Option<&'static str> {
    let names = ["x-http-method-override", "x-http-method", "x-method-override"];
    let has_parameter = || {
        url.split_once('?')
            .is_some_and(|(_, query)| url::form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "_method"))
    };
    names.into_iter().find(|name| headers.contains(name)).or_else(|| has_parameter().then_some("_method"))
}

/// Returns true for a recorded header that is not sent: it belongs to the connection, asks for another answer than the
/// whole one, or is a credential.
fn is_left_out(name: &str, value: &[u8], options: &[String], policy: &Policy) -> bool {
    let lower = name.to_ascii_lowercase();
    let own = [HOST, CONTENT_LENGTH, ACCEPT_ENCODING, AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE, EXPECT, RANGE];
    is_hop_by_hop(&lower, options)
        || own.iter().any(|header| header.as_str() == lower)
        || lower.starts_with("if-")
        || lower.starts_with(':')
        || policy.is_secret_header(&lower)
        || BUILT_IN.is_secret_header(&lower)
        || placeholder::occurs_in(value)
}

impl RequestRules {
    fn live_url(&self, recorded: &str) -> Result<NormalUrl, String> {
        // The message does not contain the URL: values of [redact.values] are filled in.
        let parsed =
            |url: &str| NormalUrl::parse(url).map_err(|error| format!("its URL is not valid: {}", error.reason()));
        let url = parsed(recorded)?;
        let parts = url.parts();
        let query = parts.query.map(|query| format!("?{query}")).unwrap_or_default();
        // Without a recorded user name and password.
        let site = parts.site().into_owned();
        let base = match &self.base_url {
            Some(base) if base.recorded == site => base.url.as_str().trim_end_matches('/').to_owned(),
            _ => site,
        };
        parsed(&format!("{base}{}{query}", parts.path))
    }

    /// Returns the values of the headers as secrets, with placeholders for fixtures.
    #[must_use]
    pub fn secrets(&self) -> Vec<(Placeholder, Secret)> {
        header_secrets(self.headers.iter().map(|header| &header.value))
    }

    /// Returns true if a URL has a secret that is not redacted, as in a HAR of another tool.
    fn has_credential(&self, url: &str) -> bool {
        !placeholder::occurs_in(url.as_bytes()) && display::redactor(&self.policy).redact_url(url).is_some()
    }

    /// Replaces placeholders by the values of `[redact.values]`, encoded for their place.
    fn filled<'t>(&self, text: &'t str, part: &str, encode: fn(&str) -> String) -> Result<Cow<'t, str>, String> {
        let mut filled = Cow::Borrowed(text);
        let mut found: Vec<_> = placeholder::find(text.as_bytes()).collect();
        found.reverse();
        for found in found {
            let Some((_, secret)) = self.values.iter().find(|(known, _)| *known == found.placeholder) else {
                let name = found.format.write(&found.placeholder);
                return Err(format!("its {part} has the redacted value {name}: set it under [redact.values]"));
            };
            filled.to_mut().replace_range(found.range, &encode(secret.reveal()));
        }
        Ok(filled)
    }

    fn filled_payload(&self, payload: Bytes, media: &MediaType) -> Result<Bytes, String> {
        let encode: fn(&str) -> String = match media {
            media if media.is_form_of(&payload) => encode_form_value,
            media if media.is_json() => encode_json_part,
            _ => str::to_owned,
        };
        match std::str::from_utf8(&payload) {
            Ok(text) => match self.filled(text, "payload", encode)? {
                Cow::Borrowed(_) => Ok(payload),
                Cow::Owned(text) => Ok(text.into()),
            },
            Err(_) => Ok(payload),
        }
    }
}

fn encode_url_part(value: &str) -> String {
    percent_encoding::utf8_percent_encode(value, URL_RESERVED).to_string()
}

fn encode_form_value(value: &str) -> String {
    url::form_urlencoded::byte_serialize(value.as_bytes()).collect()
}

/// Returns the text inside the quotes of a JSON string.
fn encode_json_part(value: &str) -> String {
    let quoted = quote(value);
    quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(base: Option<&str>) -> RequestRules {
        let base_url =
            base.map(|url| BaseUrl { recorded: "https://a.test".into(), url: NormalUrl::parse(url).unwrap() });
        let (headers, policy) = (Vec::new(), Arc::default());
        let key = Placeholder { name: PlaceholderName::new("key"), number: 1 };
        RequestRules { base_url, headers, policy, values: vec![(key, r#"a&b "c"#.into())] }
    }

    #[test]
    fn values_are_encoded_for_their_place() {
        let rules = rules(None);
        let url = rules.filled("https://a.test/?key=REDACTED-key-1", "URL", encode_url_part).unwrap();
        assert_eq!(url, "https://a.test/?key=a%26b%20%22c");
        let filled = |payload: &'static str, media: &str| {
            let payload =
                rules.filled_payload(Bytes::from_static(payload.as_bytes()), &MediaType::parse(media)).unwrap();
            String::from_utf8(payload.to_vec()).unwrap()
        };
        assert_eq!(filled(r#"{"k":"REDACTED-key-1"}"#, "application/json"), r#"{"k":"a&b \"c"}"#);
        assert_eq!(filled("k=REDACTED-key-1", "application/x-www-form-urlencoded"), "k=a%26b+%22c");
        assert!(rules.filled("REDACTED-other-1", "URL", encode_url_part).unwrap_err().contains("REDACTED-other-1"));
    }

    #[test]
    fn recorded_credential_in_a_url_is_recognised() {
        assert!(rules(None).has_credential("https://a.test/?api_key=9f8e7d6c5b4a39281706"));
        assert!(!rules(None).has_credential("https://a.test/?api_key=REDACTED-api_key-1"));
        assert!(!rules(None).has_credential("https://a.test/?page=2"));
    }

    #[test]
    fn recorded_credentials_are_left_out() {
        for name in ["Authorization", "Cookie", "X-Api-Key", "If-None-Match", "Connection", "Host", "Range"] {
            assert!(is_left_out(name, b"x", &[], &Policy::default()), "{name}");
        }
        assert!(is_left_out("x-tenant", b"REDACTED-tenant-1", &[], &Policy::default()));
        for name in ["accept", "x-tenant", "origin", "user-agent"] {
            assert!(!is_left_out(name, b"x", &[], &Policy::default()), "{name}");
        }
    }

    #[test]
    fn base_url_replaces_the_origin_and_precedes_the_path() {
        let live = |base, url| rules(base).live_url(url).unwrap().to_string();
        assert_eq!(live(None, "https://me:pw@a.test/b?c=d"), "https://a.test/b?c=d");
        assert_eq!(live(Some("https://s.test"), "https://a.test/b?c=d"), "https://s.test/b?c=d");
        assert_eq!(live(Some("http://s.test/v2/"), "https://a.test/b"), "http://s.test/v2/b");
        assert_eq!(live(Some("https://s.test"), "https://login.test/b"), "https://login.test/b");
    }
}
