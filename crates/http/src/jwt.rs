//! JSON Web Tokens (RFC 7519) whose signature a placeholder stands for: what says when moves with the clock, and what says
//! whose it is stays.
//!
//! Only those can be touched. A token with a signature of its own would no longer verify.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use memchr::memmem;
use serde_json::{Map, Number, Value};

use super::escape;

/// How every header of a JWT begins in base64url: `{"`.
const BEGINS: &[u8] = b"eyJ";
/// Every header of every request is searched.
static BEGINNINGS: LazyLock<memmem::Finder<'_>> = LazyLock::new(|| memmem::Finder::new(BEGINS));
/// How a placeholder begins, in base64url's alphabet as anywhere else.
const PLACEHOLDER: &[u8] = b"REDACTED";
/// The claims that are times (RFC 7519 section 4.1), seconds since 1970.
const TIMES: [&str; 3] = ["iat", "nbf", "exp"];

/// A redacted token in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Redacted {
    /// Header, claims and signature.
    whole: Range<usize>,
    /// The second of its parts.
    claims: Range<usize>,
    /// The placeholder.
    signature: Range<usize>,
}

/// The text with the times of its redacted tokens moved by so many seconds; `None` when there is nothing to move.
///
/// ```
/// use harproxy_http::jwt;
/// // {"alg":"none"} and {"sub":"7","exp":1000}
/// let text = br#"{"token":"eyJhbGciOiJub25lIn0.eyJzdWIiOiI3IiwiZXhwIjoxMDAwfQ.REDACTED-token-1"}"#;
/// let later = jwt::moved(text, 500).unwrap();
/// // {"sub":"7","exp":1500}
/// assert!(later.windows(31).any(|part| part == b"eyJzdWIiOiI3IiwiZXhwIjoxNTAwfQ."));
/// assert_eq!(jwt::moved(b"eyJhbGciOiJub25lIn0.eyJzdWIiOiI3IiwiZXhwIjoxMDAwfQ.c2lnbmVk", 500), None);
/// ```
#[must_use]
pub fn moved(text: &[u8], seconds: i64) -> Option<Vec<u8>> {
    let mut moved: Option<(Vec<u8>, usize)> = None;
    for token in redacted(text) {
        let Some(claims) = later(&text[token.claims.clone()], seconds) else { continue };
        let (bytes, kept) = moved.get_or_insert_with(|| (Vec::with_capacity(text.len() + 16), 0));
        bytes.extend_from_slice(&text[*kept..token.claims.start]);
        bytes.extend_from_slice(claims.as_bytes());
        *kept = token.claims.end;
    }
    let (mut bytes, kept) = moved?;
    bytes.extend_from_slice(&text[kept..]);
    Some(bytes)
}

/// The text with nothing left of its redacted tokens but their placeholders: what stays equal however the clock moves.
#[must_use]
pub fn timeless(text: &[u8]) -> Cow<'_, [u8]> {
    let mut bytes = Vec::new();
    let mut kept = 0;
    for token in redacted(text) {
        bytes.extend_from_slice(&text[kept..token.whole.start]);
        bytes.extend_from_slice(&text[token.signature.clone()]);
        kept = token.whole.end;
    }
    if kept == 0 {
        return Cow::Borrowed(text);
    }
    bytes.extend_from_slice(&text[kept..]);
    Cow::Owned(bytes)
}

/// The redacted token whose placeholder begins here, all of it; `None` when what begins here is no token's signature.
#[must_use]
pub fn redacted_around(text: &[u8], placeholder: usize) -> Option<Range<usize>> {
    let before = text.get(..placeholder)?.strip_suffix(b".")?;
    // Two parts stand before it; what stands before them is not looked at, so that many in a row take no longer each.
    let begins = |before: &[u8]| before.iter().rposition(|byte| !is_base64url(*byte)).map_or(0, |at| at + 1);
    let claims = begins(before);
    let start = escape::behind(text, begins(before[..claims].strip_suffix(b".")?));
    token_at(text, start).filter(|token| token.signature.start == placeholder).map(|token| token.whole)
}

/// The redacted tokens in a text, each standing as a whole.
fn redacted(text: &[u8]) -> impl Iterator<Item = Redacted> + '_ {
    let mut end = 0;
    BEGINNINGS.find_iter(text).filter_map(move |start| {
        // The claims begin so too.
        let token = (start >= end).then(|| token_at(text, start)).flatten()?;
        end = token.whole.end;
        Some(token)
    })
}

fn token_at(text: &[u8], start: usize) -> Option<Redacted> {
    if !text[start..].starts_with(BEGINS) {
        return None;
    }
    let within = start > 0 && (is_base64url(text[start - 1]) || text[start - 1] == b'.');
    if within && !escape::ends(&text[..start]) {
        return None;
    }
    let part = |from: usize| from..text[from..].iter().position(|b| !is_base64url(*b)).map_or(text.len(), |n| from + n);
    let header = part(start);
    let claims = part(after_dot(text, header.end)?);
    let signature = part(after_dot(text, claims.end)?);
    // Five parts are an encrypted token (RFC 7516); a dot that ends a sentence is none of it.
    let more = after_dot(text, signature.end).and_then(|next| text.get(next)).is_some_and(|b| is_base64url(*b));
    (!more && text[signature.clone()].starts_with(PLACEHOLDER)).then_some(Redacted {
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

/// The claims with their times moved, coded again; `None` when none of them is a time, or they are no claims.
fn later(claims: &[u8], seconds: i64) -> Option<String> {
    let mut claims: Map<String, Value> = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
    let mut moves = false;
    for name in TIMES {
        if let Some(time) = claims.get_mut(name)
            && let Value::Number(number) = time
            && let Some(moved) = number_later(number, seconds)
        {
            *time = Value::Number(moved);
            moves = true;
        }
    }
    moves.then(|| serde_json::to_vec(&claims).ok().map(|json| URL_SAFE_NO_PAD.encode(json))).flatten()
}

fn number_later(number: &Number, seconds: i64) -> Option<Number> {
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
        moved(text.as_bytes(), 100).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn times_move_and_what_else_is_claimed_stays_in_its_order() {
        let claims =
            |iat, nbf, exp: &str| format!(r#"{{"iss":"me","iat":{iat},"scope":["a"],"nbf":{nbf},"exp":{exp}}}"#);
        let text = |iat, nbf, exp| format!("a {}, b", token(&claims(iat, nbf, exp), "REDACTED-token-1"));
        assert_eq!(moved_text(&text(1, 2, "3.5")), Some(text(101, 102, "103.5")));
    }

    #[test]
    fn each_token_of_a_text_moves_and_its_surroundings_stay() {
        let one = |exp: u64| token(&format!(r#"{{"exp":{exp}}}"#), "REDACTED-access_token-1");
        let two = |exp: u64| token(&format!(r#"{{"exp":{exp}}}"#), "REDACTED-id_token-2");
        let text = |a, b| format!(r#"{{"access_token":"{}","t":"Bearer {}.","n":1}}"#, one(a), two(b));
        assert_eq!(moved_text(&text(1, 999)), Some(text(101, 1099)));
        assert_eq!(timeless(text(1, 999).as_bytes()), timeless(text(101, 1099).as_bytes()));
        assert_ne!(timeless(one(1).as_bytes()), timeless(two(1).as_bytes()));
    }

    #[test]
    fn a_token_stands_behind_an_escape() {
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
    fn only_whole_tokens_with_a_placeholder_move() {
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
        assert_eq!(timeless(plain.as_bytes()), plain.as_bytes());
    }

    #[test]
    fn what_no_number_can_say_stays() {
        let text = token(&format!(r#"{{"exp":{}}}"#, i64::MAX), "REDACTED-token-1");
        assert_eq!(moved_text(&text), None);
    }
}
