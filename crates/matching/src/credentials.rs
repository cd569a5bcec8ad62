//! Credentials of requests: an entry that was recorded with the same kinds of credentials ranks first.

use ::http::HeaderMap;
use harproxy_http::Headers;
use harproxy_redact::Policy;

/// The headers that hold credentials whatever the redaction policy is, in lower case.
const ALWAYS: [&str; 3] = ["authorization", "cookie", "x-api-key"];

/// The names of the headers of a request that hold credentials, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Credentials(Box<[Box<str>]>);

impl Credentials {
    pub(super) fn of_entry(headers: &Headers, policy: &Policy) -> Self {
        Credentials::new(headers.iter().map(|header| header.name.as_str()), policy)
    }

    pub(super) fn of_request(headers: &HeaderMap, policy: &Policy) -> Self {
        Credentials::new(headers.keys().map(::http::HeaderName::as_str), policy)
    }

    fn new<'n>(names: impl Iterator<Item = &'n str>, policy: &Policy) -> Self {
        // The credentials of the proxy are not part of a request to upstream.
        let holds = |name: &&str| {
            let is_always = ALWAYS.iter().any(|known| name.eq_ignore_ascii_case(known));
            (is_always || policy.is_secret_header(name)) && !name.eq_ignore_ascii_case("proxy-authorization")
        };
        let mut names: Vec<Box<str>> = names.filter(holds).map(|name| name.to_ascii_lowercase().into()).collect();
        names.sort_unstable();
        names.dedup();
        Credentials(names.into())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|name| &**name)
    }

    /// Returns the number of headers that only one of two requests has.
    pub(super) fn differences(&self, other: &Credentials) -> usize {
        let lacks =
            |one: &Credentials, other: &Credentials| one.0.iter().filter(|name| !other.0.contains(name)).count();
        lacks(self, other) + lacks(other, self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_headers_of_the_policy_are_credentials() {
        let mut headers = Headers::default();
        for name in ["Cookie", "Authorization", "X-Auth-Token", "Proxy-Authorization", "Accept", "cookie"] {
            headers.push(name, "v");
        }
        let names = |policy| Credentials::of_entry(&headers, &policy).names().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(names(Policy::default()), ["authorization", "cookie", "x-auth-token"]);
        assert_eq!(names(Policy::off()), ["authorization", "cookie"]);
    }
}
