//! Decides which requests a new recording takes for the same one: those with the same match key, by the rules of
//! `[[match]]`.

use std::borrow::Cow;

use harproxy_compare::{Body, ContentKey, MatchBody};

use super::key::KeyForm;
use super::{Error, MatchRule, Options};

/// The rules of a project, as far as they decide which requests are the same.
#[derive(Debug)]
pub struct RequestEquality(KeyForm);

impl RequestEquality {
    /// Prepares the rules.
    ///
    /// # Errors
    /// The first invalid rule.
    pub fn new(rules: &[MatchRule]) -> Result<Self, Error> {
        KeyForm::new(&Options { rules: rules.to_vec(), ..Options::default() }).map(RequestEquality)
    }

    /// Returns the part of a URL in normal form that must be equal.
    ///
    /// ```
    /// use harproxy_matching::{MatchRule, PathPattern, RequestEquality};
    /// let rule = MatchRule { paths: vec![PathPattern::new("/users/{id}").unwrap()], ..MatchRule::default() };
    /// let equality = RequestEquality::new(&[rule]).unwrap();
    /// assert_eq!(equality.url("https://h.test/users/7"), equality.url("https://h.test/users/8"));
    /// assert_ne!(equality.url("https://h.test/users/7"), equality.url("https://h.test/teams/7"));
    /// ```
    #[must_use]
    pub fn url<'u>(&self, url: &'u str) -> Cow<'u, str> {
        self.0.key(url)
    }

    /// Returns the part of a payload sent to this URL that must be equal. `read` is called only if the payload counts.
    pub fn content_key<E>(&self, url: &str, read: impl FnOnce() -> Result<Body<'static>, E>) -> Result<ContentKey, E> {
        let rules = self.0.rules_for(&self.0.view(url));
        match rules.body.mode {
            MatchBody::Ignore => Ok(ContentKey::Ignored),
            _ => Ok(rules.body.content_key(&read()?)),
        }
    }
}
