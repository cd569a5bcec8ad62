//! Who a client of the proxy port says it is: `Proxy-Authorization: Basic` (RFC 7617) names its session and, with `--auth`,
//! lets it in.

use std::sync::Arc;

use ::http::HeaderValue;
use base64::Engine as _;
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

use super::origin::Session;
use super::respond::Trouble;
use super::server::Credentials;

/// The session of a client that sent this header. Without `--auth` the user name is the session's name and anything will do;
/// with it, what follows `+` in the user name is, and user name and password must be right.
pub(super) fn session(required: Option<&Credentials>, header: Option<&HeaderValue>) -> Result<Session, Trouble> {
    let given = header.and_then(basic);
    let Some(required) = required else {
        return Ok(named(given.as_ref().map_or(&[], |(user, _)| user)));
    };
    let (user, password) = given.ok_or(Trouble::Credentials)?;
    let split = required.user.len();
    let (user, name) = match user.get(split) {
        Some(b'+') => (&user[..split], &user[split + 1..]),
        _ => (&user[..], &[][..]),
    };
    // Both are compared whatever the first says, so that time tells nothing about either.
    let right = same(user, required.user.as_bytes()) & same(&password, required.password.as_bytes());
    if right.into() { Ok(named(name)) } else { Err(Trouble::Credentials) }
}

/// Whether two texts are the same, in a time that tells neither where they differ nor how long the secret one is: digests are
/// compared, all of them.
fn same(given: &[u8], secret: &[u8]) -> Choice {
    Sha256::digest(given)[..].ct_eq(&Sha256::digest(secret)[..])
}

fn named(name: &[u8]) -> Session {
    Session((!name.is_empty()).then(|| Arc::from(String::from_utf8_lossy(name))))
}

/// User name and password.
fn basic(header: &HeaderValue) -> Option<(Vec<u8>, Vec<u8>)> {
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
    fn the_user_name_names_the_session() {
        let session = |text: &str| session(None, Some(&header(text))).unwrap().0;
        assert_eq!(session("worker-3:x").as_deref(), Some("worker-3"));
        assert_eq!(session("worker-3:").as_deref(), Some("worker-3"));
        assert_eq!(session("a+b:c:d").as_deref(), Some("a+b"));
        assert_eq!(session(":x"), None);
        for odd in ["Bearer abc", "Basic", "Basic !", "Basic YQ=="] {
            assert_eq!(super::session(None, Some(&HeaderValue::from_static(odd))).unwrap(), Session(None), "{odd}");
        }
    }

    #[test]
    fn secrets_are_compared_as_digests_alone() {
        assert!(bool::from(same(b"secret", b"secret")) && bool::from(same(b"", b"")));
        for given in ["", "s", "Secret", "secret ", "secre", "secretsecret", "secret\0"] {
            assert!(!bool::from(same(given.as_bytes(), b"secret")), "{given:?}");
        }
        // Nothing else in here looks at what was given beside what is required: neither `==` nor the lengths of both.
        let code = include_str!("auth.rs").split("#[cfg(test)]").next().unwrap_or_default();
        let compares = |line: &&str| line.contains("required.password") || line.contains("required.user.as_bytes");
        let compared: Vec<&str> = code.lines().filter(compares).collect();
        assert!(compared.len() == 1 && compared[0].contains("same(user, ") && compared[0].contains("same(&password, "));
    }

    #[test]
    fn credentials_let_in_and_carry_a_session() {
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
