//! Access to the admin API: a token, and checks against requests that a web page sends.

use std::fmt;
use std::fmt::Write as _;
use std::net::SocketAddr;

use ::http::header::{AUTHORIZATION, HOST, ORIGIN};
use ::http::{HeaderMap, HeaderName};
use subtle::ConstantTimeEq as _;

use harproxy_http::problem::Problem;
use harproxy_tls::provider::random;

/// The secret that requests to the admin API carry.
#[derive(Clone)]
pub struct AdminToken(String);

/// Hides the token.
impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AdminToken").finish_non_exhaustive()
    }
}

impl AdminToken {
    /// A random token. `None` if the system has no random numbers.
    #[must_use]
    pub fn generate() -> Option<Self> {
        let bytes: [u8; 32] = random()?;
        Some(AdminToken(bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
            // Writing to a string never fails.
            let _ = write!(text, "{byte:02x}");
            text
        })))
    }

    /// The token of a token file.
    #[must_use]
    pub fn read(text: &str) -> Self {
        AdminToken(text.trim().to_owned())
    }

    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    fn is_in(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(AUTHORIZATION).map(|value| value.as_bytes()).unwrap_or_default();
        let (scheme, given) = given.split_at_checked(b"Bearer ".len()).unwrap_or_default();
        let is_bearer = scheme.eq_ignore_ascii_case(b"Bearer ");
        is_bearer && bool::from(given.trim_ascii().ct_eq(self.0.as_bytes()))
    }
}

/// The names by which a program of this machine reaches an address.
fn own_authorities(addr: SocketAddr) -> [String; 4] {
    let port = addr.port();
    [addr.to_string(), format!("localhost:{port}"), format!("127.0.0.1:{port}"), format!("[::1]:{port}")]
}

/// Checks a request. `Host` must name this machine: a page could let its own name lead here (DNS rebinding). `Origin`
/// is that of a page, and must be the API's own.
///
/// # Errors
/// The problem document for the client.
pub fn check_access(headers: &HeaderMap, addr: SocketAddr, token: &AdminToken) -> Result<(), Problem> {
    // Of several fields none counts.
    let text = |name: &HeaderName| {
        let mut fields = headers.get_all(name).iter().map(|value| value.to_str().unwrap_or_default());
        fields.next().map(|field| if fields.next().is_none() { field } else { "" })
    };
    let names = own_authorities(addr);
    let host = text(&HOST).unwrap_or_default();
    if !names.iter().any(|name| name.eq_ignore_ascii_case(host)) {
        let detail = format!("`Host` must be {addr} or localhost:{}", addr.port());
        return Err(Problem::new(403, "the request names another host", detail));
    }
    let is_own = |origin: &str| names.iter().any(|name| origin.eq_ignore_ascii_case(&format!("http://{name}")));
    if text(&ORIGIN).is_some_and(|origin| !is_own(origin)) {
        let detail = "web pages of other origins can't use the admin API; call it from a program";
        return Err(Problem::new(403, "the request comes from another origin", detail));
    }
    if !token.is_in(headers) {
        let detail = "send `Authorization: Bearer TOKEN` with the token of the token file";
        return Err(Problem::new(401, "a token is required", detail));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(fields: &[(&'static str, &str)]) -> Option<u16> {
        let headers = fields.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
        let addr = "127.0.0.1:4100".parse().unwrap();
        check_access(&headers.collect(), addr, &AdminToken::read("secret\n")).err().map(|problem| problem.status)
    }

    #[test]
    fn only_requests_to_this_machine_with_the_token_pass() {
        let token = ("authorization", "Bearer secret");
        for host in ["127.0.0.1:4100", "localhost:4100", "[::1]:4100"] {
            assert_eq!(status(&[("host", host), token]), None, "{host}");
        }
        for host in ["evil.test", "evil.test:4100", "127.0.0.1:80", "127.0.0.1", ""] {
            assert_eq!(status(&[("host", host), token]), Some(403), "{host}");
        }
        assert_eq!(status(&[token]), Some(403));
        let host = ("host", "127.0.0.1:4100");
        for origin in ["https://evil.test", "null", "http://localhost:3000", "https://127.0.0.1:4100"] {
            assert_eq!(status(&[host, token, ("origin", origin)]), Some(403), "{origin}");
        }
        assert_eq!(status(&[host, token, ("origin", "http://127.0.0.1:4100")]), None);
        for wrong in ["Bearer secre", "Bearer secrets", "Bearer ", "Basic secret", "secret", ""] {
            assert_eq!(status(&[host, ("authorization", wrong)]), Some(401), "{wrong}");
        }
        assert_eq!(
            status(&[host, token, ("origin", "http://127.0.0.1:4100"), ("origin", "http://evil.test")]),
            Some(403)
        );
        assert_eq!(status(&[host, ("host", "evil.test"), token]), Some(403));
        assert_eq!(status(&[host]), Some(401));
        assert_eq!(status(&[host, ("authorization", "bearer secret")]), None);
    }

    #[test]
    fn tokens_are_random_and_not_shown() {
        let (one, two) = (AdminToken::generate().unwrap(), AdminToken::generate().unwrap());
        assert!(one.reveal() != two.reveal() && one.reveal().len() == 64);
        assert!(!format!("{one:?}").contains(one.reveal()));
    }
}
