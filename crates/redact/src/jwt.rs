//! JSON Web Tokens (RFC 7519): what is left of one, so that clients that only read it go on working.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

/// The claims that only say when and for whom.
const KEPT: [&str; 6] = ["exp", "iat", "nbf", "iss", "aud", "scope"];

/// Whether all of a text is a signed token, and not one that is redacted.
pub(super) fn is_token(text: &[u8]) -> bool {
    text.starts_with(b"eyJ") && parts(text).is_some()
}

/// What is left of a token: its header, the claims that only say when and for whom, in their order, and what stands for it in
/// the place of its signature. `None` when it is none.
pub(super) fn redacted(token: &[u8], stand_in: &str) -> Option<String> {
    let (header, mut claims) = parts(token)?;
    claims.retain(|name, _| KEPT.contains(&name.as_str()));
    let claims = serde_json::to_vec(&claims).ok()?;
    Some(format!("{header}.{}.{stand_in}", URL_SAFE_NO_PAD.encode(claims)))
}

/// The header as it is written, and the claims.
fn parts(token: &[u8]) -> Option<(&str, Map<String, Value>)> {
    let mut parts = std::str::from_utf8(token).ok()?.split('.');
    let (header, claims, signature) = (parts.next()?, parts.next()?, parts.next()?);
    // Disclosures of an SD-JWT (RFC 9901) follow its signature, and may end with a token of their own.
    let signed = match signature.split_once('~') {
        Some((signature, _)) => is_part(signature),
        None => is_part(signature) && parts.next().is_none(),
    };
    let fields: Map<String, Value> = serde_json::from_slice(&decode(header)?).ok()?;
    (signed && fields.contains_key("alg")).then_some(())?;
    Some((header, serde_json::from_slice(&decode(claims)?).ok()?))
}

fn decode(part: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok()
}

fn is_part(part: &str) -> bool {
    part.bytes().all(super::inert::is_token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placeholder;

    fn token(header: &str, claims: &str, signature: &str) -> String {
        format!("{}.{}.{signature}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn a_token_stays_one_without_what_it_says_of_a_person() {
        let claims = r#"{"sub":"7","iat":1,"name":"Ann","exp":2,"aud":["a"],"iss":"me","scope":"x","nbf":0}"#;
        let whole = token(r#"{"alg":"HS256","kid":"k"}"#, claims, "c2ln");
        assert!(is_token(whole.as_bytes()));
        let left = redacted(whole.as_bytes(), "REDACTED-token-1").unwrap();
        let kept = r#"{"iat":1,"exp":2,"aud":["a"],"iss":"me","scope":"x","nbf":0}"#;
        assert_eq!(left, token(r#"{"alg":"HS256","kid":"k"}"#, kept, "REDACTED-token-1"));
        let [found] = &placeholder::find(left.as_bytes()).collect::<Vec<_>>()[..] else { panic!("{left}") };
        assert_eq!(found.range, 0..left.len());
        assert_eq!(&*harproxy_http::jwt::without_claims(left.as_bytes()), b"REDACTED-token-1");
        assert!(harproxy_http::jwt::shift_times(left.as_bytes(), 5).is_some());
    }

    #[test]
    fn unsigned_ones_and_those_with_disclosures_too() {
        for signature in ["", "c2ln~WyJzYWx0Il0~", "c2ln~WyJzYWx0Il0~eyJh.eyJi.c2ln"] {
            let whole = token(r#"{"alg":"none"}"#, "{}", signature);
            let left = redacted(whole.as_bytes(), "X").unwrap();
            assert_eq!(left, token(r#"{"alg":"none"}"#, "{}", "X"));
        }
    }

    #[test]
    fn what_is_no_token() {
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
