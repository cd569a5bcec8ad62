//! Proxy authentication: `Proxy-Authorization: Basic` (RFC 7617) names a client's session and, with `--auth`, is
//! checked.

use std::sync::Arc;

use ::http::HeaderValue;
use base64::Engine as _;
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

use super::refusal::Refusal;
use crate::origin::Session;

/// The credentials of `--auth USER:PASS`. Prints as `(redacted)`.
#[derive(Clone)]
pub struct Credentials {
    /// The user name; a client names its session as `USER+SESSION`.
    pub user: String,
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(redacted)")
    }
}

/// The session of a client that sent this header. Without `--auth` the user name is the session. With it, the session
/// follows a `+` in the user name.
///
/// # Errors
/// If user name or password do not match `required`.
pub(super) fn session(required: Option<&Credentials>, header: Option<&HeaderValue>) -> Result<Session, Refusal> {
    let given = header.and_then(parse_basic);
    let Some(required) = required else {
        return Ok(session_named(given.as_ref().map_or(&[], |(user, _)| user)));
    };
    let (user, password) = given.ok_or(Refusal::Unauthorized)?;
    let split = required.user.len();
    let (user, name) = match user.get(split) {
        Some(b'+') => (&user[..split], &user[split + 1..]),
        _ => (&user[..], &[][..]),
    };
    // Without a short circuit, so that the time does not depend on the user name.
    let right = is_same(user, required.user.as_bytes()) & is_same(&password, required.password.as_bytes());
    if right.into() { Ok(session_named(name)) } else { Err(Refusal::Unauthorized) }
}

/// Compares two texts by their digests, in a time that depends neither on where they differ nor on the length of the
/// secret.
fn is_same(given: &[u8], secret: &[u8]) -> Choice {
    Sha256::digest(given)[..].ct_eq(&Sha256::digest(secret)[..])
}

fn session_named(name: &[u8]) -> Session {
    Session((!name.is_empty()).then(|| Arc::from(String::from_utf8_lossy(name))))
}

/// User name and password of a Basic header.
fn parse_basic(header: &HeaderValue) -> Option<(Vec<u8>, Vec<u8>)> {
    let (scheme, encoded) = header.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(encoded.trim()).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    Some((decoded[..colon].to_vec(), decoded[colon + 1..].to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(user_and_password: &str) -> HeaderValue {
        let encoded = base64::engine::general_purpose::STANDARD.encode(user_and_password);
        HeaderValue::from_str(&format!("basic {encoded}")).unwrap()
    }

    #[test]
    fn user_name_is_the_session() {
        let session = |text: &str| session(None, Some(&header(text))).unwrap().0;
        assert_eq!(session("worker-3:x").as_deref(), Some("worker-3"));
        assert_eq!(session("worker-3:").as_deref(), Some("worker-3"));
        assert_eq!(session("a+b:c:d").as_deref(), Some("a+b"));
        assert_eq!(session(":x"), None);
        for invalid in ["Bearer abc", "Basic", "Basic !", "Basic YQ=="] {
            assert_eq!(
                super::session(None, Some(&HeaderValue::from_static(invalid))).unwrap(),
                Session(None),
                "{invalid}"
            );
        }
    }

    #[test]
    fn credentials_are_compared_only_as_digests() {
        assert!(bool::from(is_same(b"secret", b"secret")) && bool::from(is_same(b"", b"")));
        for given in ["", "s", "Secret", "secret ", "secre", "secretsecret", "secret\0"] {
            assert!(!bool::from(is_same(given.as_bytes(), b"secret")), "{given:?}");
        }
        // No other line compares credentials: neither with `==` nor by length.
        let code = include_str!("auth.rs").split("#[cfg(test)]").next().unwrap_or_default();
        let compares = |line: &&str| line.contains("required.password") || line.contains("required.user.as_bytes");
        let compared: Vec<&str> = code.lines().filter(compares).collect();
        assert!(
            compared.len() == 1
                && compared[0].contains("is_same(user, ")
                && compared[0].contains("is_same(&password, ")
        );
    }

    #[test]
    fn user_name_with_credentials_has_a_session_suffix() {
        let required = Credentials { user: "me".into(), password: "secret:1".into() };
        let session = |text: &str| session(Some(&required), Some(&header(text))).ok().map(|session| session.0);
        assert_eq!(session("me:secret:1"), Some(None));
        assert_eq!(session("me+:secret:1"), Some(None));
        assert_eq!(session("me+w1:secret:1"), Some(Some("w1".into())));
        assert_eq!(session("me+a+b:secret:1"), Some(Some("a+b".into())));
        for wrong in ["me:secret", "me:", "mee:secret:1", "m+e:secret:1", ":secret:1", "you+w1:secret:1", "me"] {
            assert_eq!(session(wrong), None, "{wrong}");
        }
        assert!(super::session(Some(&required), None).is_err());
    }
}
