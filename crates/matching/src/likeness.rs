//! Decides which requests of two recordings are the same: those with the same match key, by the `[[match]]` rules.

use std::borrow::Cow;

use harproxy_compare::{Digest, MatchBody};

use super::key::KeyForm;
use super::policy::Policy;
use super::{Error, MatchRule, Options};

/// The rules that decide which requests of two recordings are the same.
#[derive(Debug)]
pub struct Likeness {
    form: KeyForm,
    policy: Policy,
}

/// The part of a payload that must be equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sameness {
    /// Its bytes.
    Bytes,
    /// Its meaning, of which this is the digest.
    Meaning(Digest),
    /// Nothing.
    Anything,
}

impl Likeness {
    /// Prepares the rules.
    ///
    /// # Errors
    /// The first invalid rule.
    pub fn new(rules: &[MatchRule]) -> Result<Self, Error> {
        let options = Options { rules: rules.to_vec(), ..Options::default() };
        Ok(Likeness { form: KeyForm::new(&[], &[], rules)?, policy: Policy::new(&options)? })
    }

    /// Returns the part of a URL in normal form that must be equal.
    ///
    /// ```
    /// use harproxy_matching::{Likeness, MatchRule, PathPattern};
    /// let rule = MatchRule { paths: vec![PathPattern::new("/users/{id}").unwrap()], ..MatchRule::default() };
    /// let like = Likeness::new(&[rule]).unwrap();
    /// assert_eq!(like.url("https://h.test/users/7"), like.url("https://h.test/users/8"));
    /// assert_ne!(like.url("https://h.test/users/7"), like.url("https://h.test/teams/7"));
    /// ```
    #[must_use]
    pub fn url<'u>(&self, url: &'u str) -> Cow<'u, str> {
        self.form.key(url)
    }

    /// Returns the part of a payload sent to this URL that must be equal.
    #[must_use]
    pub fn payload(&self, url: &str, content_type: &str, payload: &[u8]) -> Sameness {
        let rules = self.policy.combine(self.form.rules(), &self.form.view(url).active);
        match rules.body.meaning(content_type, payload) {
            _ if rules.body.mode == MatchBody::Ignore => Sameness::Anything,
            Some(meaning) => Sameness::Meaning(meaning),
            None => Sameness::Bytes,
        }
    }
}
