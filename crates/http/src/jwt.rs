//! JSON Web Tokens (RFC 7519) with a redacted signature: shifts their times with the replay clock and keeps the other
//! claims.
//!
//! A token with a real signature is not changed, because it would no longer verify.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use memchr::memmem;
use serde_json::{Map, Number, Value};

use super::escape;

/// The first bytes of every JWT: `{"` in base64url.
const PREFIX: &[u8] = b"eyJ";
/// Built once, because every header of every request is searched.
static PREFIX_FINDER: LazyLock<memmem::Finder<'_>> = LazyLock::new(|| memmem::Finder::new(PREFIX));
/// The prefix of placeholders, which consists of base64url characters.
const PLACEHOLDER: &[u8] = b"REDACTED";
/// The claims with times (RFC 7519 section 4.1), in seconds since 1970.
const TIMES: [&str; 3] = ["iat", "nbf", "exp"];

/// The position of a redacted token in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
struct RedactedToken {
    /// Header, claims and signature.
    whole: Range<usize>,
    /// The claims, the second part.
    claims: Range<usize>,
    /// The placeholder, the third part.
    signature: Range<usize>,
}

/// Shifts the times in the redacted tokens of a text. `None` if there are none.
///
/// ```
/// use harproxy_http::jwt;
/// // {"alg":"none"} and {"sub":"7","exp":1000}
/// let text = br#"{"token":"eyJhbGciOiJub25lIn0.eyJzdWIiOiI3IiwiZXhwIjoxMDAwfQ.REDACTED-token-1"}"#;
/// let later = jwt::shift_times(text, 500).unwrap();
/// // {"sub":"7","exp":1500}
/// assert!(later.windows(31).any(|part| part == b"eyJzdWIiOiI3IiwiZXhwIjoxNTAwfQ."));
/// assert_eq!(jwt::shift_times(b"eyJhbGciOiJub25lIn0.eyJzdWIiOiI3IiwiZXhwIjoxMDAwfQ.c2lnbmVk", 500), None);
/// ```
#[must_use]
pub fn shift_times(text: &[u8], seconds: i64) -> Option<Vec<u8>> {
    replace(
        text,
        redacted_tokens(text).filter_map(|RedactedToken { claims, .. }| {
            let shifted = shift_claims(&text[claims.clone()], seconds)?;
            Some((claims, shifted))
        }),
    )
}

/// Replaces redacted tokens by their placeholders, so that texts with shifted times are equal.
#[must_use]
pub fn without_claims(text: &[u8]) -> Cow<'_, [u8]> {
    let signatures = redacted_tokens(text).map(|token| (token.whole, &text[token.signature]));
    replace(text, signatures).map_or(Cow::Borrowed(text), Cow::Owned)
}

/// Replaces ranges of a text, which are in order. `None` if there are none.
fn replace<T: AsRef<[u8]>>(text: &[u8], pieces: impl Iterator<Item = (Range<usize>, T)>) -> Option<Vec<u8>> {
    let (mut out, mut copied) = (Vec::new(), None);
    for (range, piece) in pieces {
        out.extend_from_slice(&text[copied.unwrap_or(0)..range.start]);
        out.extend_from_slice(piece.as_ref());
        copied = Some(range.end);
    }
    out.extend_from_slice(&text[copied?..]);
    Some(out)
}

/// The range of the redacted token whose placeholder begins at `placeholder`. `None` if it is not the signature of a
/// token.
#[must_use]
pub fn redacted_around(text: &[u8], placeholder: usize) -> Option<Range<usize>> {
    let before = text.get(..placeholder)?.strip_suffix(b".")?;
    // Only the two parts before it are scanned, so that a long row of tokens takes linear time.
    let start_of_part = |before: &[u8]| before.iter().rposition(|byte| !is_base64url(*byte)).map_or(0, |at| at + 1);
    let claims = start_of_part(before);
    let start = escape::behind(text, start_of_part(before[..claims].strip_suffix(b".")?));
    token_at(text, start).filter(|token| token.signature.start == placeholder).map(|token| token.whole)
}

fn redacted_tokens(text: &[u8]) -> impl Iterator<Item = RedactedToken> + '_ {
    let mut end = 0;
    PREFIX_FINDER.find_iter(text).filter_map(move |start| {
        // The claims have the same prefix.
        let token = (start >= end).then(|| token_at(text, start)).flatten()?;
        end = token.whole.end;
        Some(token)
    })
}

fn token_at(text: &[u8], start: usize) -> Option<RedactedToken> {
    if !text[start..].starts_with(PREFIX) {
        return None;
    }
    let is_inside_word = start > 0 && (is_base64url(text[start - 1]) || text[start - 1] == b'.');
    if is_inside_word && !escape::ends(&text[..start]) {
        return None;
    }
    let part = |from: usize| from..text[from..].iter().position(|b| !is_base64url(*b)).map_or(text.len(), |n| from + n);
    let header = part(start);
    let claims = part(after_dot(text, header.end)?);
    let signature = part(after_dot(text, claims.end)?);
    // An encrypted token has five parts (RFC 7516). A dot at the end of a sentence is not part of the token.
    let more = after_dot(text, signature.end).and_then(|next| text.get(next)).is_some_and(|b| is_base64url(*b));
    (!more && text[signature.clone()].starts_with(PLACEHOLDER)).then_some(RedactedToken {
        whole: start..signature.end,
        claims,
        signature,
    })
}

fn after_dot(text: &[u8], at: usize) -> Option<usize> {
    (text.get(at) == Some(&b'.')).then_some(at + 1)
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// The encoded claims with shifted times. `None` if they have no times or are malformed.
fn shift_claims(claims: &[u8], seconds: i64) -> Option<String> {
    let mut claims: Map<String, Value> = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
    let mut is_shifted = false;
    for name in TIMES {
        if let Some(time) = claims.get_mut(name)
            && let Value::Number(number) = time
            && let Some(moved) = shift_number(number, seconds)
        {
            *time = Value::Number(moved);
            is_shifted = true;
        }
    }
    is_shifted.then(|| serde_json::to_vec(&claims).ok().map(|json| URL_SAFE_NO_PAD.encode(json))).flatten()
}

fn shift_number(number: &Number, seconds: i64) -> Option<Number> {
    match number.as_i64() {
        Some(whole) => whole.checked_add(seconds).map(Number::from),
        None => Number::from_f64(number.as_f64()? + seconds as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &str, signature: &str) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.{signature}", part(r#"{"alg":"HS256"}"#), part(claims))
    }

    fn moved_text(text: &str) -> Option<String> {
        shift_times(text.as_bytes(), 100).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn shift_times_keeps_other_claims_and_their_order() {
        let claims =
            |iat, nbf, exp: &str| format!(r#"{{"iss":"me","iat":{iat},"scope":["a"],"nbf":{nbf},"exp":{exp}}}"#);
        let text = |iat, nbf, exp| format!("a {}, b", token(&claims(iat, nbf, exp), "REDACTED-token-1"));
        assert_eq!(moved_text(&text(1, 2, "3.5")), Some(text(101, 102, "103.5")));
    }

    #[test]
    fn shift_times_changes_every_token_and_keeps_the_text_around_them() {
        let one = |exp: u64| token(&format!(r#"{{"exp":{exp}}}"#), "REDACTED-access_token-1");
        let two = |exp: u64| token(&format!(r#"{{"exp":{exp}}}"#), "REDACTED-id_token-2");
        let text = |a, b| format!(r#"{{"access_token":"{}","t":"Bearer {}.","n":1}}"#, one(a), two(b));
        assert_eq!(moved_text(&text(1, 999)), Some(text(101, 1099)));
        assert_eq!(without_claims(text(1, 999).as_bytes()), without_claims(text(101, 1099).as_bytes()));
        assert_ne!(without_claims(one(1).as_bytes()), without_claims(two(1).as_bytes()));
    }

    #[test]
    fn token_is_found_behind_an_escape() {
        let text = |exp: u64| {
            let token = token(&format!(r#"{{"exp":{exp}}}"#), "REDACTED-token-1");
            format!(r#"<a href="?next=%2Fme%3Ftoken%3D{token}"> "key:\n{token}" "a\u0026{token}""#)
        };
        assert_eq!(moved_text(&text(1)), Some(text(101)));
        let placeholders: Vec<_> = memmem::find_iter(text(1).as_bytes(), PLACEHOLDER).collect();
        assert_eq!(placeholders.len(), 3);
        for at in placeholders {
            let whole = redacted_around(text(1).as_bytes(), at).unwrap();
            assert!(text(1)[whole].starts_with("eyJ"));
        }
    }

    #[test]
    fn shift_times_ignores_signed_and_incomplete_tokens() {
        let plain = token(r#"{"exp":1}"#, "c2lnbmVk");
        let redacted = token(r#"{"exp":1}"#, "REDACTED-token-1");
        for text in [
            plain.clone(),
            format!("x{redacted}"),
            format!("a.{redacted}"),
            format!("{redacted}.AAAA.BBBB"),
            token(r#"{"sub":"7"}"#, "REDACTED-token-1"),
            token(r#"{"exp":"tomorrow"}"#, "REDACTED-token-1"),
            "eyJ.eyJ.REDACTED".to_owned(),
            "eyJhbGciOiJub25lIn0".to_owned(),
            format!("eyJ.{}", &redacted[..redacted.len() - 16]),
        ] {
            assert_eq!(moved_text(&text), None, "{text}");
        }
        assert_eq!(without_claims(plain.as_bytes()), plain.as_bytes());
    }

    #[test]
    fn shift_times_keeps_a_time_that_would_overflow() {
        let text = token(&format!(r#"{{"exp":{}}}"#, i64::MAX), "REDACTED-token-1");
        assert_eq!(moved_text(&text), None);
    }
}
