//! Properties for any input and any rules.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::placeholder;

/// Names that are secret in some place, and similar names.
#[rustfmt::skip]
const NAMES: [&str; 32] = [
    "token", "accessToken", "password", "key", "state", "Authorization", "pin", "x-mine", "a", "next_token", "tokens",
    "card", "ssn", "", "password_confirmation", "new-password[]", "user.pin", "sessionId", "session_id", "sessionid",
    "DDApiKey", "apikey", "PHPSESSID", "token2", "secretString", "SAMLResponse", "country_code", "code", "publicKey",
    "idempotencyKey", "client_secret_expires_at", "\u{e9}token",
];

fn policy() -> impl Strategy<Value = Policy> {
    let except =
        prop::sample::subsequence(vec!["state", "json:token", "shape:jwt", "header:cookie", "shape:userinfo"], 0..3);
    (any::<bool>(), any::<bool>(), any::<bool>(), except).prop_map(|(personal, own, text, except)| {
        rules(|rules| {
            rules.personal = personal;
            if own {
                rules.headers = list(&["x-mine"]);
                rules.query = list(&["x-mine"]);
                rules.json = list(&["$.card", "$..ssn", "$.a[0]"]);
            }
            if text {
                rules.text = list(&["ab+c", "[0-9]{4}"]);
            }
            rules.except = list(&except);
        })
    })
}

/// Returns a policy with a pattern that never matches, which makes every string a candidate.
fn without_prefilter() -> Policy {
    rules(|rules| rules.text = list(&["\\x01nowhere\\x01"]))
}

/// Generates values. Some contain secrets, placeholders or markers.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,20}",
        "[0-9a-zA-Z_-]{8,24}",
        any::<String>(),
        Just(JWT.to_owned()),
        Just(format!("Bearer {JWT}")),
        Just(format!("{REDACTED_JWT}REDACTED-token-3")),
        "(REDACTED-[a-z-]{1,8}-[0-9]{1,3}|REDACTED_[0-9a-f]{8}t01)[ ,.;&x-]?[a-z]{0,3}",
        "https?://([a-z]:[a-z]@)?h/[a-z]?[?](token|a|u)=[a-z%&=:/]{0,20}#?[a-z=]{0,5}",
        "(AKIA[A-Z]{16}|ghp_[a-z0-9]{36}|sk-[a-z0-9]{20})[ .,x-]?",
        r#"[{\[]("token"|"a"):"[a-z\\]{0,6}"[}\]]"#,
        "([+]49 170 1234567|DE89370400440532013000|4111 1111 1111 1111|ann@example[.]com)[ .,]?",
        "(a=1; )?[a-z]{1,3}=[a-z\"]{0,5};? ?[a-z;=]{0,8}",
        "(0;url=|\"|see )?[./]{0,2}/?[a-z]?[?#](amp;|a=1&amp;|a=1;|[+])?(token|sig|a)=[a-z%&;=:/\"]{0,12}[.)\" ]?",
        "[a-z =]{0,4}[{](\"|&quot;|&#34;|\\\\\"|%22)(token|a)(\"|&quot;|&#34;|\\\\\"|%22):(\"|&quot;|&#34;|\\\\\"|%22)[a-z&;\\\\]{0,6}(\"|&quot;|&#34;|\\\\\"|%22)[}]?[a-z;)]{0,3}",
        "<(input|meta) (type=hidden )?name=['\"]?(token|a)['\"]? (value|content)=['\"]?[a-z&;=]{0,9}['\"]?/?>?",
        r#"[/.= ]?(eyJ0b2tlbiI6InMzY3JldCJ9|eyJwaW4iOiIxIiwiYSI6Ij8-In0|WyJhIl0)[=.a-z/]{0,3}"#,
        r#"[{\[]{1,2}"(name|key|value|authorization)"[:,]"(password|x-api-key|[a-z]{1,5})"(,"(value|name)":"[a-z]{1,9}")?[}\]]{0,2}"#,
    ]
}

fn json_text() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        value().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((prop::sample::select(&NAMES[..]), inner), 0..4)
                .prop_map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

/// Returns true if only strings differ. `by_path`: values that a path selects may differ in any way.
fn is_alike(before: &Value, after: &Value, by_path: bool) -> bool {
    match (before, after) {
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.values().zip(b.values()).all(|(a, b)| is_alike(a, b, by_path))
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_alike(a, b, by_path))
        }
        (Value::String(_), Value::String(_)) => true,
        _ => by_path || before == after,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn redacted_json_is_json_and_is_not_redacted_again(policy in policy(), value in json_text(), pretty in any::<bool>()) {
        let text = if pretty { format!("{value:#}") } else { value.to_string() };
        let left = json(&policy, &text);
        let after: Value = serde_json::from_str(&left).unwrap();
        prop_assert!(is_alike(&value, &after, !policy.paths.is_empty()), "{} became {}", text, left);
    }

    #[test]
    fn prefilter_and_walk_find_the_same_as_the_walk_alone(
        values in prop::collection::vec(json_text(), 1..30),
        plain in r#"[a-z :,\[\]{}0-9"]{0,40}"#,
        torn in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
        pretty in any::<bool>(),
        piece in 1usize..70_000,
    ) {
        let all: Vec<Value> = values.into_iter().flat_map(|value| [Value::from(plain.repeat(20)), value]).collect();
        let value = Value::from(all);
        let mut text = if pretty { format!("{value:#}") } else { value.to_string() }.into_bytes();
        if let Some((at, byte)) = torn {
            let at = at.index(text.len());
            text[at] = byte;
        }
        let left = |policy: &Policy| {
            let mut replacer = TestReplacer::default();
            let mut redactor = Redactor::new(policy, &mut replacer);
            let whole = redactor.redact_payload("application/json", &text);
            let (mut stream, mut streamed) = (StreamRedactor::new("application/json"), Vec::new());
            text.chunks(piece).for_each(|piece| stream.push(&mut redactor, piece, &mut streamed));
            stream.finish(&mut redactor, &mut streamed);
            (whole, String::from_utf8_lossy(&streamed).into_owned())
        };
        prop_assert_eq!(left(&Policy::default()), left(&without_prefilter()));
    }

    #[test]
    fn prefilter_and_walk_find_the_same_in_every_window(
        unit in "[a-z]{1,30}",
        secret in "(|,\"token\":\"[a-z]{20}\"|,\"at\":\"https://h/[?]a\")",
        space in "[ \n]{0,3}",
        cut in 1usize..70_000,
    ) {
        let item = format!("{space}{{\"name\":\"{unit}\",\"n\":12{secret}}},");
        let text = format!("[{}null]", item.repeat(200_000 / item.len()));
        let [filtered, walked] = [Policy::default(), without_prefilter()].map(|policy| {
            let mut replacer = TestReplacer::default();
            let mut redactor = Redactor::new(&policy, &mut replacer);
            let (mut stream, mut left) = (StreamRedactor::new("application/json"), Vec::new());
            text.as_bytes().chunks(cut).for_each(|piece| stream.push(&mut redactor, piece, &mut left));
            stream.finish(&mut redactor, &mut left);
            left
        });
        prop_assert!(filtered == walked);
        prop_assert_eq!(filtered.len() == text.len(), !secret.contains("token"));
    }

    #[test]
    fn redacted_headers_are_not_redacted_again(policy in policy(), name in prop::sample::select(vec!["authorization", "cookie", "set-cookie", "x-mine", "location", "link", "x-other"]), value in value()) {
        header(&policy, name, &value);
    }

    #[test]
    fn redacted_urls_are_urls_and_are_not_redacted_again(policy in policy(), path in "[a-z/%@.]{0,10}", pairs in prop::collection::vec((prop::sample::select(&NAMES[..]), value()), 0..4), fragment in "[a-z=&#]{0,8}") {
        let query: String = ::url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let text = format!("https://u:p@h/{path}?{query}#{fragment}");
        let left = url(&policy, &text);
        prop_assert!(::url::Url::parse(&left).is_ok(), "{} became {}", text, left);
    }

    #[test]
    fn redacted_payloads_are_not_redacted_again(policy in policy(), text in value(), kind in 0usize..4) {
        let content_type = ["text/plain", "application/x-www-form-urlencoded", "application/json", ""][kind];
        let _ = bytes(&policy, content_type, text.as_bytes());
    }

    #[test]
    fn any_bytes_are_accepted(policy in policy(), text in prop::collection::vec(any::<u8>(), 0..200), kind in 0usize..7) {
        let content_type = ["text/plain", "application/x-www-form-urlencoded", "application/json", "", "multipart/form-data; boundary=-", "application/json; charset=utf-16le", "image/png"][kind];
        let mut replacer = TestReplacer::default();
        let mut redactor = Redactor::new(&policy, &mut replacer);
        let _ = redactor.redact_payload(content_type, &text);
        let _ = redactor.redact_text(&text);
        let mut headers = Headers::default();
        for name in ["cookie", "set-cookie", "authorization", "location", "link", "x"] {
            headers.push(name, text.clone());
        }
        redactor.redact_headers(&mut headers);
    }

    #[test]
    fn secrets_are_replaced_as_a_whole(secret in r#"[a-zA-Z0-9é"\\ &=%;+-]{4,24}"#) {
        let secret = secret.trim();
        prop_assume!(secret.len() >= 4);
        let policy = Policy::default();
        let is_one = |text: &str| placeholder::find(text.as_bytes()).any(|found| found.range == (0..text.len()));
        let left = json(&policy, &serde_json::json!({"a": [{"password": secret}]}).to_string());
        let left: Value = serde_json::from_str(&left).unwrap();
        prop_assert!(is_one(left["a"][0]["password"].as_str().unwrap()), "{}", left);
        let pair: String = ::url::form_urlencoded::Serializer::new(String::new()).append_pair("password", secret).finish();
        let left = payload(&policy, "application/x-www-form-urlencoded", &pair);
        prop_assert!(is_one(left.strip_prefix("password=").unwrap()), "{}", left);
        let left = url(&policy, &format!("https://h/?{pair}&a=b"));
        prop_assert_eq!(left, "https://h/?password=REDACTED-password-1&a=b");
        prop_assert!(is_one(&header(&policy, "x-api-secret", secret)));
        let left = header(&policy, "authorization", &format!("Bearer {secret}"));
        prop_assert!(is_one(left.strip_prefix("Bearer ").unwrap()), "{}", left);
    }
}
