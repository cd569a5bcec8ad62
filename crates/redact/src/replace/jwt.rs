//! Redacts JSON Web Tokens (RFC 7519). A client that only reads a token still works with the redacted one.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::find::is_token_byte;

/// The claims that are kept: times, issuer, audience and scope.
const KEPT: [&str; 6] = ["exp", "iat", "nbf", "iss", "aud", "scope"];

/// Returns true if the whole text is a signed token.
pub(crate) fn is_token(text: &[u8]) -> bool {
    text.starts_with(b"eyJ") && parse(text).is_some()
}

/// Returns the token with only the kept claims, in their order, and with a replacement of its signature. `None` if the
/// text is not a token.
pub(crate) fn redact(token: &[u8], signature: &str) -> Option<String> {
    let (header, mut claims) = parse(token)?;
    claims.retain(|name, _| KEPT.contains(&name.as_str()));
    let claims = serde_json::to_vec(&claims).ok()?;
    Some(format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode(claims)))
}

/// Returns the header as it is written, and the claims.
fn parse(token: &[u8]) -> Option<(&str, Map<String, Value>)> {
    let mut parts = std::str::from_utf8(token).ok()?.split('.');
    let (header, claims, signature) = (parts.next()?, parts.next()?, parts.next()?);
    // The disclosures of an SD-JWT (RFC 9901) follow its signature. They may end with another token.
    let signed = match signature.split_once('~') {
        Some((signature, _)) => is_base64url(signature),
        None => is_base64url(signature) && parts.next().is_none(),
    };
    (signed && parse_part(header)?.contains_key("alg")).then_some(())?;
    Some((header, parse_part(claims)?))
}

/// Decodes the header or the claims of a token.
pub(crate) fn parse_part(part: &str) -> Option<Map<String, Value>> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok()?).ok()
}

fn is_base64url(part: &str) -> bool {
    part.bytes().all(is_token_byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placeholder;

    fn token(header: &str, claims: &str, signature: &str) -> String {
        format!("{}.{}.{signature}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn redacted_token_is_valid_and_has_only_the_kept_claims() {
        let claims = r#"{"sub":"7","iat":1,"name":"Ann","exp":2,"aud":["a"],"iss":"me","scope":"x","nbf":0}"#;
        let whole = token(r#"{"alg":"HS256","kid":"k"}"#, claims, "c2ln");
        assert!(is_token(whole.as_bytes()));
        let left = redact(whole.as_bytes(), "REDACTED-token-1").unwrap();
        let kept = r#"{"iat":1,"exp":2,"aud":["a"],"iss":"me","scope":"x","nbf":0}"#;
        assert_eq!(left, token(r#"{"alg":"HS256","kid":"k"}"#, kept, "REDACTED-token-1"));
        let [found] = &placeholder::find(left.as_bytes()).collect::<Vec<_>>()[..] else { panic!("{left}") };
        assert_eq!(found.range, 0..left.len());
        assert_eq!(&*harproxy_http::jwt::without_claims(left.as_bytes()), b"REDACTED-token-1");
        assert!(harproxy_http::jwt::shift_times(left.as_bytes(), 5).is_some());
    }

    #[test]
    fn unsigned_tokens_and_tokens_with_disclosures_are_redacted() {
        for signature in ["", "c2ln~WyJzYWx0Il0~", "c2ln~WyJzYWx0Il0~eyJh.eyJi.c2ln"] {
            let whole = token(r#"{"alg":"none"}"#, "{}", signature);
            let left = redact(whole.as_bytes(), "X").unwrap();
            assert_eq!(left, token(r#"{"alg":"none"}"#, "{}", "X"));
        }
    }

    #[test]
    fn malformed_tokens_are_not_tokens() {
        for text in [
            "",
            "eyJ",
            "eyJ.eyJ.x",
            &token(r#"{"typ":"JWT"}"#, "{}", "x"),
            &token(r#"{"alg":"x"}"#, "7", "x"),
            &token(r#"{"alg":"x"}"#, "{}", "x.y"),
            &token(r#"{"alg":"x"}"#, "{}", "x y"),
        ] {
            assert!(!is_token(text.as_bytes()), "{text}");
        }
    }
}
