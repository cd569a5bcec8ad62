//! What recording again takes for the same request: the key of replay, by the rules of `[[match]]`.

use std::borrow::Cow;

use super::key::KeyForm;
use super::payload::Digest;
use super::policy::Policy;
use super::{Error, MatchBody, MatchRule, Options};

/// The rules of a project, as far as they say which requests are one.
#[derive(Debug)]
pub struct Likeness {
    form: KeyForm,
    policy: Policy,
}

/// What of a request's payload has to be equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sameness {
    /// Its bytes.
    Bytes,
    /// What it means: this stands for it.
    Meaning(Digest),
    /// Nothing.
    Anything,
}

impl Likeness {
    /// By these rules.
    ///
    /// # Errors
    /// A rule that can't be carried out.
    pub fn new(rules: &[MatchRule]) -> Result<Self, Error> {
        let options = Options { rules: rules.to_vec(), ..Options::default() };
        Ok(Likeness { form: KeyForm::new(&[], &[], rules)?, policy: Policy::new(&options)? })
    }

    /// What the URLs of requests that are one have in common; `url` is in normal form.
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

    /// What of a payload sent to this URL has to be equal.
    #[must_use]
    pub fn payload(&self, url: &str, content_type: &str, payload: &[u8]) -> Sameness {
        let rules = self.policy.under(self.form.rules(), &self.form.view(url).active);
        match rules.comparison.meaning(content_type, payload) {
            _ if rules.comparison.mode == MatchBody::Ignore => Sameness::Anything,
            Some(meaning) => Sameness::Meaning(meaning),
            None => Sameness::Bytes,
        }
    }
}
