//! Secrets by the names of their places: headers, parameters, members, cookies.

use super::*;
use crate::policy::{HEADERS, ONLY_MEMBERS, ONLY_PARAMETERS, PARAMETERS};

#[test]
fn headers_of_the_table_are_secret_and_similar_names_are_not() {
    let policy = Policy::default();
    for name in HEADERS.into_iter().filter(|name| !name.ends_with("cookie")) {
        for spelled in [name.to_owned(), name.to_uppercase(), name.replace('-', "_")] {
            assert_eq!(
                header(&policy, &spelled, "s3cr3t"),
                format!("REDACTED-{}-1", PlaceholderName::new(&spelled)),
                "{spelled}"
            );
        }
        for near in [format!("{name}-id"), format!("my-{name}"), name[1..].to_owned()] {
            if !HEADERS.contains(&&*near) {
                assert_eq!(header(&policy, &near, "s3cr3t"), "s3cr3t", "{near}");
            }
        }
    }
}

#[test]
fn parameters_of_the_table_are_secret_in_queries_and_forms() {
    let policy = Policy::default();
    let form = "application/x-www-form-urlencoded";
    for name in PARAMETERS {
        for spelled in [name.to_owned(), name.to_uppercase(), name.replace('_', "-")] {
            let pairs = format!("a=1&{spelled}=s3cr3t&b=2");
            let left = format!("a=1&{spelled}=REDACTED-{}-1&b=2", PlaceholderName::new(&spelled));
            assert_eq!(url(&policy, &format!("https://h/p?{pairs}#f")), format!("https://h/p?{left}#f"));
            assert_eq!(payload(&policy, form, &pairs), left);
        }
        for near in [format!("next_{name}"), format!("{name}s"), format!("{name}_type")] {
            let pairs = format!("a=1&{near}=s3cr3t");
            if !PARAMETERS.contains(&&*near) {
                assert_eq!(payload(&policy, form, &pairs), pairs);
            }
        }
    }
}

#[test]
fn members_of_the_table_are_secret_at_any_depth() {
    let policy = Policy::default();
    let mut names: Vec<_> = PARAMETERS.into_iter().filter(|name| !ONLY_PARAMETERS.contains(name)).collect();
    assert_eq!(names.len(), PARAMETERS.len() - ONLY_PARAMETERS.len());
    names.extend(ONLY_MEMBERS);
    for name in names {
        let text = |value: &str| format!(r#"[{{"x": {{ "{name}" : "{value}", "n": 1}}}}]"#);
        assert_eq!(json(&policy, &text("s3cr3t")), text(&format!("REDACTED-{}-1", PlaceholderName::new(name))));
    }
    for name in ONLY_PARAMETERS {
        let text = format!(r#"{{"{name}":"value"}}"#);
        assert_eq!(json(&policy, &text), text);
    }
}

#[test]
fn similar_names_are_not_secret() {
    let policy = Policy::default();
    for name in
        ["page_token", "next_token", "max_tokens", "nextPageToken", "token_type", "tokens", "key_id", "expires_in"]
    {
        let text = format!(r#"{{"{name}":"value"}}"#);
        assert_eq!(json(&policy, &text), text);
        assert_eq!(url(&policy, &format!("https://h/?{name}=value")), format!("https://h/?{name}=value"));
    }
}

#[test]
fn names_in_camel_case_and_in_brackets_are_secret() {
    let policy = Policy::default();
    assert_eq!(
        json(&policy, r#"{"accessToken":"a","SecretAccessKey":"b","nextToken":"c"}"#),
        r#"{"accessToken":"REDACTED-accesstoken-1","SecretAccessKey":"REDACTED-secretaccesskey-1","nextToken":"c"}"#
    );
    let form = "application/x-www-form-urlencoded";
    assert_eq!(
        payload(&policy, form, "user[name]=a&user%5Bpassword%5D=b&filter[state]=c"),
        "user[name]=a&user%5Bpassword%5D=REDACTED-user-password-1&filter[state]=c"
    );
}

#[test]
fn authorization_schemes_are_kept() {
    let policy = Policy::default();
    for (value, left) in [
        ("Bearer abc", "Bearer REDACTED-authorization-1"),
        ("Basic dTpw", "Basic REDACTED-authorization-1"),
        ("token abc", "token REDACTED-authorization-1"),
        ("Digest username=\"u\", response=\"r\"", "Digest REDACTED-authorization-1"),
        ("AWS4-HMAC-SHA256 Credential=A/b, Signature=c", "AWS4-HMAC-SHA256 REDACTED-authorization-1"),
        ("Bearer  abc", "Bearer  REDACTED-authorization-1"),
        ("abc", "REDACTED-authorization-1"),
        ("a=b c", "REDACTED-authorization-1"),
        ("", ""),
    ] {
        assert_eq!(header(&policy, "Authorization", value), left);
        assert_eq!(header(&policy, "Proxy-Authorization", value), left.replace("-auth", "-proxy-auth"));
    }
    assert_eq!(header(&policy, "x-api-key", "Bearer abc"), "Bearer REDACTED-x-api-key-1");
    assert_eq!(header(&policy, "x-api-key", "abc def"), "REDACTED-x-api-key-1");
    assert_eq!(
        json(&policy, r#"{"authorization":"Bearer abc"}"#),
        r#"{"authorization":"Bearer REDACTED-authorization-1"}"#
    );
}

#[test]
fn cookies_keep_their_names_and_attributes() {
    let policy = Policy::default();
    assert_eq!(
        header(&policy, "Cookie", "sid=abc; theme=\"d k\";  empty=; a=x=y"),
        "sid=REDACTED-sid-1; theme=\"REDACTED-theme-1\";  empty=; a=REDACTED-a-1"
    );
    assert_eq!(header(&policy, "cookie", "abc"), "REDACTED-cookie-1");
    assert_eq!(
        header(&policy, "Set-Cookie", "sid=abc; Path=/; Expires=Wed, 21 Oct 2026 07:28:00 GMT; HttpOnly"),
        "sid=REDACTED-sid-1; Path=/; Expires=Wed, 21 Oct 2026 07:28:00 GMT; HttpOnly"
    );
    assert_eq!(header(&policy, "set-cookie", "a=1\nb=2; Secure"), "a=REDACTED-a-1\nb=REDACTED-b-1; Secure");
    let plain = rules(|rules| rules.except = list(&["cookie:theme"]));
    assert_eq!(header(&plain, "cookie", "sid=a; theme=dark"), "sid=REDACTED-sid-1; theme=dark");
}

#[test]
fn headers_with_urls_are_redacted_as_urls() {
    let policy = Policy::default();
    for name in ["Location", "Content-Location", "Referer"] {
        assert_eq!(header(&policy, name, "/cb?code=abc&x=1"), "/cb?code=REDACTED-code-1&x=1");
    }
    assert_eq!(
        header(&policy, "location", "https://a/#access_token=x&n=1"),
        "https://a/#access_token=REDACTED-access_token-1&n=1"
    );
    assert_eq!(header(&policy, "x-next", "https://a/?sig=x"), "https://a/?sig=REDACTED-sig-1");
    assert_eq!(
        header(&policy, "link", "<https://a/?token=x&p=2>; rel=\"next\", </l?token=y>; rel=last"),
        "<https://a/?token=REDACTED-token-1&p=2>; rel=\"next\", </l?token=REDACTED-token-2>; rel=last"
    );
    assert_eq!(header(&policy, "x-note", "code=abc"), "code=abc");
}

#[test]
fn user_information_in_a_host_header_is_redacted() {
    let policy = Policy::default();
    assert_eq!(header(&policy, "host", "ann:pass@api.test:81"), "REDACTED-userinfo-1@api.test:81");
    assert_eq!(header(&policy, "Host", "api.test:81"), "api.test:81");
    let plain = rules(|rules| rules.except = list(&["shape:userinfo"]));
    assert_eq!(header(&plain, "host", "ann:pass@api.test"), "ann:pass@api.test");
}

#[test]
fn header_values_need_not_be_utf8() {
    let policy = Policy::default();
    let mut headers = Headers::default();
    headers.push("x-api-key", &b"\xff\xfe"[..]);
    headers.push("x-name", &b"caf\xe9 \xff"[..]);
    headers.push("cookie", &b"a=\xe9; b"[..]);
    let mut replacer = TestReplacer::default();
    Redactor::new(&policy, &mut replacer).redact_headers(&mut headers);
    let values: Vec<_> = headers.iter().map(|header| &header.value[..]).collect();
    assert_eq!(values, [&b"REDACTED-x-api-key-1"[..], b"caf\xe9 \xff", b"a=REDACTED-a-1; REDACTED-cookie-1"]);
}

#[test]
fn urls_keep_every_other_byte() {
    let policy = Policy::default();
    for (text, left) in [
        ("https://u:p@h/x", "https://REDACTED-userinfo-1@h/x"),
        ("https://u@h", "https://REDACTED-userinfo-1@h"),
        ("//u:p@h/", "//REDACTED-userinfo-1@h/"),
        ("https://h/a@b?x=%zz&%74oken=a%20b+c#top", "https://h/a@b?x=%zz&%74oken=REDACTED-token-1#top"),
        ("https://h/?token=&token&a==&=b", "https://h/?token=&token&a==&=b"),
        (
            "https://h/?u=https%3A%2F%2Fi%2F%3Fsig%3Dabc%26x%3D1",
            "https://h/?u=https%3A%2F%2Fi%2F%3Fsig%3DREDACTED-sig-1%26x%3D1",
        ),
        ("https://h/#/route?token=a", "https://h/#/route?token=REDACTED-token-1"),
        ("https://h/#section", "https://h/#section"),
        ("https://git@h/x", "https://git@h/x"),
        (&format!("https://h/v/{JWT}/x"), &format!("https://h/v/{REDACTED_JWT}REDACTED-jwt-1/x")),
        (&format!("https://h/?q=a%20{JWT}"), &format!("https://h/?q=a%20{REDACTED_JWT}REDACTED-jwt-1")),
        (&format!("https://h/?token={JWT}"), &format!("https://h/?token={REDACTED_JWT}REDACTED-token-1")),
    ] {
        assert_eq!(url(&policy, text), left);
    }
}

#[test]
fn rules_add_to_the_table_and_exceptions_remove() {
    let policy = rules(|rules| {
        rules.headers = list(&["X-Internal-Token"]);
        rules.query = list(&["sig2"]);
        rules.text = list(&["acme_[0-9]+"]);
        rules.except = list(&["state", "header:x-csrf-token", "query:key", "json:token", "shape:jwt"]);
    });
    assert_eq!(header(&policy, "x_internal_token", "a"), "REDACTED-x_internal_token-1");
    assert_eq!(header(&policy, "x-csrf-token", "a"), "a");
    assert_eq!(header(&policy, "x-note", "see acme_17, acme_"), "see REDACTED-text-1, acme_");
    assert_eq!(
        url(&policy, "https://h/?sig2=a&state=b&key=c&token=d"),
        "https://h/?sig2=REDACTED-sig2-1&state=b&key=c&token=REDACTED-token-1"
    );
    assert_eq!(payload(&policy, "application/x-www-form-urlencoded", "state=a&key=b"), "state=a&key=REDACTED-key-1");
    assert_eq!(json(&policy, r#"{"token":"a","sig2":"b"}"#), r#"{"token":"a","sig2":"b"}"#);
    assert_eq!(json(&policy, &format!(r#"{{"t":"{JWT}"}}"#)), format!(r#"{{"t":"{JWT}"}}"#));
    // A pattern matches whole tokens. The rest of a token would become a part of the placeholder.
    assert_eq!(header(&policy, "x-note", "acme_17x-y z"), "REDACTED-text-1 z");
}

#[test]
fn invalid_rules_are_errors() {
    let failure = |f: fn(&mut Rules)| {
        let mut rules = Rules::default();
        f(&mut rules);
        Policy::new(&rules).map(|_| ()).unwrap_err().to_string()
    };
    assert!(failure(|rules| rules.json = list(&["$["])).starts_with("`$[` is not a valid JSON path: "));
    assert!(failure(|rules| rules.text = list(&["("])).starts_with("`(` is not a valid regular expression: "));
    for except in
        ["nothing", "header:token", "query:otp", "json:code", "shape:jwtx", "shape:email", "cookie:", "", "what:token"]
    {
        let rules = Rules { except: list(&[except]), ..Rules::default() };
        assert!(matches!(Policy::new(&rules), Err(Error::Except { name }) if name == except), "{except}");
    }
    let own = rules(|rules| {
        rules.headers = list(&["mine"]);
        rules.json = list(&["$.a"]);
        rules.text = list(&["t+"]);
        rules.except = list(&["mine", "$.a", "t+", "token", "token", "accessToken"]);
    });
    assert_eq!(header(&own, "mine", "tt"), "tt");
    assert_eq!(json(&own, r#"{"a":"tt"}"#), r#"{"a":"tt"}"#);
}

#[test]
fn nothing_is_secret_when_redaction_is_off() {
    let policy = Policy::off();
    assert_eq!(header(&policy, "authorization", "Bearer a"), "Bearer a");
    assert_eq!(url(&policy, "https://u:p@h/?token=a"), "https://u:p@h/?token=a");
    assert_eq!(json(&policy, r#"{"token":"a"}"#), r#"{"token":"a"}"#);
    assert!(!policy.is_secret_header("cookie") && !policy.is_secret_member("token"));
}

#[test]
fn each_secret_is_replaced_once_and_placeholders_never() {
    let mut replacer = TestReplacer::default();
    let policy = Policy::default();
    let mut redactor = Redactor::new(&policy, &mut replacer);
    let _ = redactor.redact_url("https://h/?token=a%20b&code=REDACTED-code-1&sig=REDACTED_0123");
    let _ =
        redactor.redact_payload("application/json", format!(r#"{{"token":"a\u0020b","id_token":"{JWT}"}}"#).as_bytes());
    drop(redactor);
    let replaced: Vec<_> = replacer.replaced.iter().map(|(secret, name)| (&**secret, &**name)).collect();
    assert_eq!(replaced, [("a b", "token"), ("a b", "token"), (JWT, "id_token")]);
    assert!(!format!("{:?}", Redactor::new(&policy, &mut replacer)).contains("a b"));
}

#[test]
fn known_values_are_found_in_other_places() {
    let policy = Policy::default();
    let mut replacer = TestReplacer::default();
    let mut redactor = Redactor::new(&policy, &mut replacer);
    let mut headers = Headers::default();
    headers.push("x-api-key", "value 1234");
    headers.push("x-echo", "it was (value 1234).");
    headers.push("x-more", "value 1234-5 value 12345");
    redactor.redact_headers(&mut headers);
    assert_eq!(headers.get_str("x-echo"), Some("it was (REDACTED-x-api-key-1)."));
    // The rest of the token would become a part of the placeholder.
    assert_eq!(headers.get_str("x-more"), Some("REDACTED-value-1 value 12345"));
    let json = redactor.redact_payload("application/json", br#"{"a":"value\u00201234","b":["x value 1234"]}"#);
    assert_eq!(
        json,
        PayloadRedaction::Redacted(br#"{"a":"REDACTED-x-api-key-1","b":["x REDACTED-x-api-key-1"]}"#.to_vec())
    );
    assert_eq!(
        redactor.redact_url("https://h/value%201234/x?q=value+1234").as_deref(),
        Some("https://h/REDACTED-x-api-key-1/x?q=REDACTED-x-api-key-1")
    );
    assert_eq!(&*redactor.redact_text(b"value 1234"), b"REDACTED-x-api-key-1");
}
