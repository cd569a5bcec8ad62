//! Redaction for people: log lines, explanations, refusals and reports.
//!
//! A secret becomes `REDACTED-` and its name. Two secrets with one name can't be told apart.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock};

use ::http::HeaderMap;
use serde_json::Value;

use crate::policy::Policy;
use crate::redactor::{PayloadRedaction, Redactor};
use crate::replace::placeholder::{self, Placeholder, PlaceholderName, ValueFormat};
use crate::replace::{Replacer, RunId, Secret, SecretStore};
use harproxy_http::{Headers, coding};

/// The length of the longest payload that is displayed, bytes decoded.
const MAX_PAYLOAD: u64 = 4 << 20;

/// The redaction of everything that a run shows: by the policy, and by the values that are known as secrets.
///
/// A value that was found at a named place is known from then on in any text: in logs and refusals at once, in reports
/// for the whole run, since they are written at its end. Known are also `[redact.values]` and the secrets of
/// recordings.
pub struct RedactionView {
    policy: Arc<Policy>,
    /// The values that were found at named places of requests and responses, and `[redact.values]`.
    learned: SecretStore,
    recorded: RwLock<Vec<Arc<SecretStore>>>,
}

impl RedactionView {
    #[must_use]
    pub fn new(policy: Arc<Policy>, configured: &[(Placeholder, Secret)]) -> Self {
        RedactionView { policy, learned: SecretStore::new(RunId::random(), configured), recorded: RwLock::default() }
    }

    #[must_use]
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// Adds values that are secrets wherever they are.
    pub fn add_configured(&self, values: &[(Placeholder, Secret)]) {
        let is_new =
            |(_, secret): &&(Placeholder, Secret)| matches!(self.redact_known(secret.reveal()), Cow::Borrowed(_));
        let new: Vec<_> = values.iter().filter(is_new).cloned().collect();
        if !new.is_empty() {
            self.add_recorded(Arc::new(SecretStore::new(RunId::random(), &new)));
        }
    }

    /// Adds the secrets that a recording finds.
    pub fn add_recorded(&self, secrets: Arc<SecretStore>) {
        self.recorded.write().unwrap_or_else(PoisonError::into_inner).push(secrets);
    }

    /// Creates a redactor that knows the values found so far, and remembers those that it finds.
    #[must_use]
    pub fn redactor(&self) -> Redactor<'_> {
        Redactor::new(&self.policy, DisplayReplacer(&self.learned))
    }

    /// Replaces the values that are known as secrets.
    #[must_use]
    pub fn redact_known<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match self.redact_known_bytes(text.as_bytes()) {
            Cow::Borrowed(_) => text.into(),
            Cow::Owned(redacted) => String::from_utf8_lossy(&redacted).into_owned().into(),
        }
    }

    /// Replaces the values that are known as secrets in place.
    pub fn redact_in(&self, text: &mut String) {
        if let Cow::Owned(redacted) = self.redact_known(text) {
            *text = redacted;
        }
    }

    /// Replaces the values that are known as secrets in the strings of a JSON value.
    pub fn redact_json(&self, value: &mut Value) {
        match value {
            Value::String(text) => self.redact_in(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.redact_json(item)),
            Value::Object(members) => members.values_mut().for_each(|value| self.redact_json(value)),
            _ => {}
        }
    }

    /// Replaces the values that are known as secrets.
    #[must_use]
    pub fn redact_known_bytes<'t>(&self, text: &'t [u8]) -> Cow<'t, [u8]> {
        if self.policy.is_off() {
            return text.into();
        }
        let mut redacted = self.learned.redact_for_display(text);
        for secrets in &*self.recorded.read().unwrap_or_else(PoisonError::into_inner) {
            if let Cow::Owned(more) = secrets.redact_for_display(&redacted) {
                redacted = Cow::Owned(more);
            }
        }
        redacted
    }

    /// Redacts the URL of a request. Secrets of its headers are replaced in the URL, too.
    #[must_use]
    pub fn redact_url<'u>(&self, headers: &HeaderMap, url: &'u str) -> Cow<'u, str> {
        let mut redactor = self.redactor();
        redactor.redact_headers(&mut Headers::from(headers));
        match redactor.redact_url(url) {
            Some(redacted) => self.redact_known(&redacted).into_owned().into(),
            None => self.redact_known(url),
        }
    }

    #[must_use]
    pub fn redact_headers(&self, headers: &HeaderMap) -> Headers {
        let mut headers = Headers::from(headers);
        self.redactor().redact_headers(&mut headers);
        headers
    }

    /// Remembers the secrets of a payload that is not coded.
    pub fn learn_payload(&self, headers: &HeaderMap, payload: &[u8]) {
        let content_type = headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
        self.redactor().redact_payload(content_type, payload);
    }

    /// Decodes and redacts the payload of a request. `None` if it is longer than 4 MiB or can't be searched.
    #[must_use]
    pub fn redact_payload(&self, headers: &HeaderMap, payload: &[u8]) -> Option<Vec<u8>> {
        let mut headers = Headers::from(headers);
        let codings = coding::codings(headers.get_all("content-encoding"))?;
        let decoded = coding::decode(&codings, payload, MAX_PAYLOAD)?;
        let content_type = headers.get_str("content-type").unwrap_or_default().to_owned();
        let mut redactor = self.redactor();
        redactor.redact_headers(&mut headers);
        let redacted = match redactor.redact_payload(&content_type, &decoded) {
            PayloadRedaction::Redacted(redacted) => Some(redacted),
            PayloadRedaction::Clean => None,
            PayloadRedaction::Opaque => return None,
        };
        redactor.redact_undeclared_text(redacted, &decoded).or(Some(decoded))
    }
}

impl Default for RedactionView {
    fn default() -> Self {
        RedactionView::new(Arc::default(), &[])
    }
}

/// Prints no secrets.
impl fmt::Debug for RedactionView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedactionView").field("policy", &self.policy).finish_non_exhaustive()
    }
}

/// Creates a redactor for messages of a command that sees no requests. It knows the values that it finds itself.
#[must_use]
pub fn redactor(policy: &Policy) -> Redactor<'_> {
    Redactor::new(policy, DisplayReplacer(SecretStore::new(RunId::random(), &[])))
}

impl Redactor<'_> {
    /// Redacts text in a payload whatever its type, for example in a part of a multipart payload that is declared as
    /// binary. `redacted`: the payload redacted by its type. `None` if there are no secrets.
    #[must_use]
    pub fn redact_undeclared_text(&mut self, redacted: Option<Vec<u8>>, payload: &[u8]) -> Option<Vec<u8>> {
        match self.redact_text(redacted.as_deref().unwrap_or(payload)) {
            Cow::Owned(redacted) => Some(redacted),
            Cow::Borrowed(_) => redacted,
        }
    }
}

/// Replaces secrets by their names, and remembers them.
struct DisplayReplacer<S>(S);

impl<S: Borrow<SecretStore>> Replacer for DisplayReplacer<S> {
    fn replace(&mut self, secret: &[u8], name: &PlaceholderName, format: ValueFormat) -> String {
        // A placeholder from a fixture is not secret, and its number is useful.
        if let Some(found) = placeholder::find(secret).next().filter(|found| found.range == (0..secret.len())) {
            return found.format.write(&found.placeholder);
        }
        self.0.borrow().learn(secret, name, format);
        match format.shared_name() {
            None => format!("{}{name}", placeholder::PREFIX),
            Some(name) => format.write(&Placeholder { name, number: 0 }),
        }
    }

    fn find_known(&mut self, text: &[u8]) -> Vec<Range<usize>> {
        self.0.borrow().find(text)
    }

    fn replace_known(&mut self, secret: &[u8]) -> String {
        self.0.borrow().display_name(secret)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_replaced_by_name_and_known_in_other_places() {
        let policy = Policy::default();
        let mut redactor = redactor(&policy);
        let url = redactor.redact_url("https://a.test/x?token=abcdefgh1234&page=2");
        assert_eq!(url.as_deref(), Some("https://a.test/x?token=REDACTED-token&page=2"));
        let text = redactor.redact_text(b"is abcdefgh1234, not abcdefgh12345").into_owned();
        assert_eq!(text, b"is REDACTED-token, not abcdefgh12345");
        assert_eq!(redactor.redact_url("https://a.test/x?page=2"), None);
    }

    #[test]
    fn secrets_of_headers_are_replaced_in_the_url() {
        let headers = HeaderMap::from_iter([(::http::header::AUTHORIZATION, "Bearer a/b+c-12345".parse().unwrap())]);
        let redacted = |url| RedactionView::default().redact_url(&headers, url).into_owned();
        assert_eq!(redacted("https://a.test/x/a%2Fb%2Bc-12345?y=1"), "https://a.test/x/REDACTED-authorization?y=1");
        let nested = redacted("https://a.test/x?next=%2Fa%2Fb%2Bc-12345");
        assert_eq!(nested, "https://a.test/x?next=%2FREDACTED-authorization");
        assert_eq!(redacted("https://a.test/x/12345"), "https://a.test/x/12345");
    }

    #[test]
    fn placeholders_are_displayed_unchanged() {
        let policy = Policy::default();
        let url = "https://a.test/x?token=REDACTED-token-1";
        assert_eq!(redactor(&policy).redact_url(url).unwrap_or_else(|| url.to_owned()), url);
    }

    #[test]
    fn view_knows_values_of_other_requests_and_configured_ones() {
        let configured = Placeholder { name: PlaceholderName::new("password"), number: 1 };
        let view = RedactionView::new(Arc::default(), &[(configured, "g1ven-value".into())]);
        let text = "https://a.test/x/a/b+c-12345?v=g1ven-value";
        assert_eq!(view.redact_known(text), "https://a.test/x/a/b+c-12345?v=REDACTED-password");
        let headers = HeaderMap::from_iter([(::http::header::AUTHORIZATION, "Bearer b+c-12345".parse().unwrap())]);
        assert_eq!(view.redact_url(&headers, "https://a.test/"), "https://a.test/");
        assert_eq!(view.redact_known(text), "https://a.test/x/a/REDACTED-authorization?v=REDACTED-password");
        let url = view.redact_url(&HeaderMap::new(), text).into_owned();
        assert_eq!(url, "https://a.test/x/a/REDACTED-authorization?v=REDACTED-password");
    }

    #[test]
    fn view_knows_the_secrets_of_a_recording() {
        let (view, secrets) = (RedactionView::default(), Arc::new(SecretStore::new(RunId::random(), &[])));
        view.add_recorded(secrets.clone());
        assert_eq!(view.redact_known("is abcdefgh1234"), "is abcdefgh1234");
        (&mut &*secrets).replace(b"abcdefgh1234", &PlaceholderName::new("token"), ValueFormat::Text);
        assert_eq!(view.redact_known("is abcdefgh1234"), "is REDACTED-token");
    }
}
