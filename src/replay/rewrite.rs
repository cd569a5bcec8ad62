//! `--same-host`: the answer speaks of the origin that was recorded, the client knows another. Where an answer says its own
//! origin to the client's machinery (Location, a cookie's Domain, CORS), it says the one that was asked.

use ::http::HeaderMap;
use ::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, Entry, HeaderValue, LOCATION, SET_COOKIE};

use harproxy_http::cookies::{self, AttributeChange, domain_matches};
use harproxy_matching::SameHost;

/// Two origins that count as one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origins<'a>(pub(super) &'a SameHost);

impl Origins<'_> {
    /// Rewrites the answer.
    pub(super) fn rewrite(&self, answer: &mut HeaderMap) {
        if let Some(moved) = answer.get(LOCATION).and_then(|location| self.location(location.to_str().ok()?)) {
            answer.insert(LOCATION, moved);
        }
        if let Entry::Occupied(mut cookies) = answer.entry(SET_COOKIE) {
            for cookie in cookies.iter_mut() {
                if let Some(moved) = cookie.to_str().ok().and_then(|cookie| self.cookie(cookie)) {
                    *cookie = moved;
                }
            }
        }
        if answer.get(ACCESS_CONTROL_ALLOW_ORIGIN).is_some_and(|allowed| allowed == self.0.recorded.as_str())
            && let Ok(asked) = HeaderValue::from_str(&self.0.asked)
        {
            answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, asked);
        }
    }

    fn location(&self, location: &str) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.0.moved(location)?).ok()
    }

    /// A Domain that the host asked is not in would make the client refuse the cookie (RFC 6265 section 5.3).
    fn cookie(&self, cookie: &str) -> Option<HeaderValue> {
        let (recorded, asked) = (host(&self.0.recorded), host(&self.0.asked));
        let moved = cookies::change_attributes(cookie, |name, value| match name {
            "domain" if domain_matches(value, recorded) && !domain_matches(value, asked) => {
                AttributeChange::Replace(asked.to_owned())
            }
            _ => AttributeChange::Keep,
        });
        HeaderValue::try_from(moved?).ok()
    }
}

fn host(origin: &str) -> &str {
    let authority = origin.split_once("://").map_or(origin, |(_, authority)| authority);
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(recorded: &str, asked: &str) -> SameHost {
        SameHost { recorded: recorded.to_owned(), asked: asked.to_owned() }
    }

    fn rewritten(answer: &[(&'static str, &'static str)]) -> Vec<String> {
        let mut answer: HeaderMap = answer.iter().map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())).collect();
        Origins(&same("https://api.example.com", "http://localhost:3000")).rewrite(&mut answer);
        answer.values().map(|value| value.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn location_leads_to_the_origin_that_was_asked() {
        for (recorded, sent) in [
            ("https://api.example.com/next?a=1", "http://localhost:3000/next?a=1"),
            ("https://api.example.com", "http://localhost:3000"),
            ("https://api.example.com.evil.test/", "https://api.example.com.evil.test/"),
            ("https://other.example.com/", "https://other.example.com/"),
            ("/next", "/next"),
        ] {
            assert_eq!(rewritten(&[("location", recorded)]), [sent]);
        }
    }

    #[test]
    fn a_cookies_domain_becomes_the_host_that_was_asked() {
        for (recorded, sent) in [
            ("a=1; Domain=api.example.com; Path=/", "a=1; Domain=localhost; Path=/"),
            ("a=1; domain=.Example.COM", "a=1; domain=localhost"),
            ("a=1; Domain=other.test", "a=1; Domain=other.test"),
            ("a=1; Path=/", "a=1; Path=/"),
            ("domain=api.example.com", "domain=api.example.com"),
        ] {
            assert_eq!(rewritten(&[("set-cookie", recorded)]), [sent]);
        }
        let siblings = same("https://api.example.com", "https://staging.example.com");
        assert!(Origins(&siblings).cookie("a=1; Domain=example.com").is_none(), "it covers both");
    }

    #[test]
    fn an_answer_that_allows_its_own_origin_allows_the_one_that_was_asked() {
        for (recorded, sent) in [
            ("https://api.example.com", "http://localhost:3000"),
            ("https://partner.test", "https://partner.test"),
            ("*", "*"),
        ] {
            assert_eq!(rewritten(&[("access-control-allow-origin", recorded)]), [sent]);
        }
    }
}
