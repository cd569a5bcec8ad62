//! Secrets by the names of their places: headers, parameters, members, cookies.

use super::*;

#[test]
fn names_in_camel_case_and_in_brackets_are_secret() {
    let policy = Policy::default();
    assert_eq!(
        json(&policy, r#"{"accessToken":"6rbAz1cG","SecretAccessKey":"b","nextToken":"c"}"#),
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
    assert_eq!(header(&policy, "x-api-secret", "Bearer abc"), "Bearer REDACTED-x-api-secret-1");
    assert_eq!(header(&policy, "x-api-secret", "abc def"), "REDACTED-x-api-secret-1");
    assert_eq!(
        json(&policy, r#"{"authorization":"Bearer 6rbAz1cGq0vXk2mN"}"#),
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
        assert_eq!(header(&policy, name, "/cb?secret=abc&x=1"), "/cb?secret=REDACTED-secret-1&x=1");
    }
    assert_eq!(
        header(&policy, "location", "https://a/#access_token=6rbAz1cG&n=1"),
        "https://a/#access_token=REDACTED-access_token-1&n=1"
    );
    assert_eq!(header(&policy, "x-next", "https://a/?pwd=x"), "https://a/?pwd=REDACTED-pwd-1");
    assert_eq!(
        header(&policy, "link", "<https://a/?passwd=x&p=2>; rel=\"next\", </l?passwd=y>; rel=last"),
        "<https://a/?passwd=REDACTED-passwd-1&p=2>; rel=\"next\", </l?passwd=REDACTED-passwd-2>; rel=last"
    );
    assert_eq!(header(&policy, "x-note", "secret=abc"), "secret=abc");
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
    headers.push("x-api-secret", &b"\xff\xfe"[..]);
    headers.push("x-name", &b"caf\xe9 \xff"[..]);
    headers.push("cookie", &b"a=\xe9; b"[..]);
    let mut replacer = TestReplacer::default();
    Redactor::new(&policy, &mut replacer).redact_headers(&mut headers);
    let values: Vec<_> = headers.iter().map(|header| &header.value[..]).collect();
    assert_eq!(values, [&b"REDACTED-x-api-secret-1"[..], b"caf\xe9 \xff", b"a=REDACTED-a-1; REDACTED-cookie-1"]);
}

#[test]
fn urls_keep_every_other_byte() {
    let policy = Policy::default();
    for (text, left) in [
        ("https://u:p@h/x", "https://REDACTED-userinfo-1@h/x"),
        ("https://u@h", "https://REDACTED-userinfo-1@h"),
        ("//u:p@h/", "//REDACTED-userinfo-1@h/"),
        ("https://h/a@b?x=%zz&%70asswd=a%20b+c#top", "https://h/a@b?x=%zz&%70asswd=REDACTED-passwd-1#top"),
        ("https://h/?passwd=&passwd&a==&=b", "https://h/?passwd=&passwd&a==&=b"),
        (
            "https://h/?u=https%3A%2F%2Fi%2F%3Fpwd%3Dabc%26x%3D1",
            "https://h/?u=https%3A%2F%2Fi%2F%3Fpwd%3DREDACTED-pwd-1%26x%3D1",
        ),
        ("https://h/#/route?passwd=a", "https://h/#/route?passwd=REDACTED-passwd-1"),
        ("https://h/#section", "https://h/#section"),
        ("https://git@h/x", "https://git@h/x"),
        (&format!("https://h/v/{JWT}/x"), &format!("https://h/v/{REDACTED_JWT}REDACTED-jwt-1/x")),
        (&format!("https://h/?q=a%20{JWT}"), &format!("https://h/?q=a%20{REDACTED_JWT}REDACTED-jwt-1")),
        (&format!("https://h/?passwd={JWT}"), &format!("https://h/?passwd={REDACTED_JWT}REDACTED-passwd-1")),
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
        rules.except = list(&["state", "header:x-csrf-token", "query:key", "json:token", "json:pin", "shape:jwt"]);
    });
    let value = "6rbAz1cGq0vXk2mN";
    assert_eq!(header(&policy, "x_internal_token", "a"), "REDACTED-x_internal_token-1");
    assert_eq!(header(&policy, "x-csrf-token", value), value);
    assert_eq!(header(&policy, "x-note", "see acme_17, acme_"), "see REDACTED-text-1, acme_");
    assert_eq!(
        url(&policy, &format!("https://h/?sig2=a&state={value}&key={value}&token={value}")),
        format!("https://h/?sig2=REDACTED-sig2-1&state={value}&key={value}&token=REDACTED-token-1")
    );
    assert_eq!(
        payload(&policy, "application/x-www-form-urlencoded", &format!("state={value}&key={value}")),
        format!("state={value}&key=REDACTED-key-1")
    );
    let kept = format!(r#"{{"token":"{value}","sig2":"b","user":{{"pin":"1"}}}}"#);
    assert_eq!(json(&policy, &kept), kept);
    assert_eq!(json(&policy, &format!(r#"{{"t":"{JWT}"}}"#)), format!(r#"{{"t":"{JWT}"}}"#));
    // A pattern matches whole tokens. The rest of a token would become a part of the placeholder.
    assert_eq!(header(&policy, "x-note", "acme_17x-y z"), "REDACTED-text-1 z");
}

#[test]
fn settings_are_data_unless_their_values_are_opaque() {
    let policy = Policy::default();
    let settings = r#"{"show_password":"never","acceptToken":"in the header","use_key":"https://a.test/key.pem"}"#;
    assert_eq!(json(&policy, settings), settings);
    assert_eq!(header(&policy, "Access-Control-Allow-Credentials", "true"), "true");
    assert_eq!(json(&policy, r#"{"accept_token":"6rbAz1cG"}"#), r#"{"accept_token":"REDACTED-accept_token-1"}"#);
    assert_eq!(url(&policy, "https://h/?use_token=6rbAz1cG&v=1"), "https://h/?use_token=REDACTED-use_token-1&v=1");
    let public = r#"{"publishable_key":"6rbAz1cGq0vXk2mN","publicKey":"6rbAz1cGq0vXk2mN"}"#;
    assert_eq!(json(&policy, public), public);
}

#[test]
fn exception_applies_to_the_last_part_of_a_path() {
    let form = "application/x-www-form-urlencoded";
    let policy = rules(|rules| rules.except = list(&["form:pin"]));
    assert_eq!(payload(&policy, form, "user[pin]=1&user[pins][]=2&pin=3"), "user[pin]=1&user[pins][]=2&pin=3");
    assert_eq!(json(&policy, r#"{"pin":"1"}"#), r#"{"pin":"REDACTED-pin-1"}"#);
}

#[test]
fn invalid_exceptions_have_similar_valid_ones() {
    for (invalid, valid) in [
        ("stat", "state"),
        ("header:x-csrf-tokn", "header:x-csrf-token"),
        ("query:kye", "query:key"),
        ("headr:x-api-key", "header:x-api-key"),
        ("shape:jwtt", "shape:jwt"),
    ] {
        assert!(similar_exceptions(invalid).iter().any(|similar| similar == valid), "{invalid}");
    }
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
    for except in [
        "nothing",
        "query:pin",
        "query:pin",
        "json:sid",
        "next_token",
        "json:country_code",
        "shape:jwtx",
        "shape:email",
        "cookie:",
        "",
        "what:token",
    ] {
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
    assert!(!policy.is_secret_header("cookie"));
}

#[test]
fn each_secret_is_replaced_once_and_placeholders_never() {
    let mut replacer = TestReplacer::default();
    let policy = Policy::default();
    let mut redactor = Redactor::new(&policy, &mut replacer);
    let _ = redactor.redact_url("https://h/?passwd=a%20b&code=REDACTED-code-1&sig=REDACTED_0123");
    let _ = redactor
        .redact_payload("application/json", format!(r#"{{"passwd":"a\u0020b","id_token":"{JWT}"}}"#).as_bytes());
    drop(redactor);
    let replaced: Vec<_> = replacer.replaced.iter().map(|(secret, name)| (&**secret, &**name)).collect();
    assert_eq!(replaced, [("a b", "passwd"), ("a b", "passwd"), (JWT, "id_token")]);
    assert!(!format!("{:?}", Redactor::new(&policy, &mut replacer)).contains("a b"));
}

#[test]
fn credentials_of_fetch_are_no_secret_of_other_places() {
    let policy = Policy::default();
    let store = SecretStore::new(RunId::random(), &[]);
    let mut redactor = Redactor::new(&policy, &store);
    let _ = redactor.redact_payload("application/json", br#"{"credentials":"same-origin","password":"one-two-three"}"#);
    let mut headers = Headers::default();
    headers.push("sec-fetch-site", "same-origin");
    headers.push("x-echo", "one-two-three");
    redactor.redact_headers(&mut headers);
    assert_eq!(headers.get_str("sec-fetch-site"), Some("same-origin"));
    assert_ne!(headers.get_str("x-echo"), Some("one-two-three"));
}

#[test]
fn known_values_are_found_in_other_places() {
    let policy = Policy::default();
    let mut replacer = TestReplacer::default();
    let mut redactor = Redactor::new(&policy, &mut replacer);
    let mut headers = Headers::default();
    headers.push("x-api-secret", "value 1234");
    headers.push("x-echo", "it was (value 1234).");
    headers.push("x-more", "value 1234-5 value 12345");
    redactor.redact_headers(&mut headers);
    assert_eq!(headers.get_str("x-echo"), Some("it was (REDACTED-x-api-secret-1)."));
    // The rest of the token would become a part of the placeholder.
    assert_eq!(headers.get_str("x-more"), Some("REDACTED-value-1 value 12345"));
    let json = redactor.redact_payload("application/json", br#"{"a":"value\u00201234","b":["x value 1234"]}"#);
    assert_eq!(
        json,
        PayloadRedaction::Redacted(br#"{"a":"REDACTED-x-api-secret-1","b":["x REDACTED-x-api-secret-1"]}"#.to_vec())
    );
    assert_eq!(
        redactor.redact_url("https://h/value%201234/x?q=value+1234").as_deref(),
        Some("https://h/REDACTED-x-api-secret-1/x?q=REDACTED-x-api-secret-1")
    );
    assert_eq!(&*redactor.redact_text(b"value 1234"), b"REDACTED-x-api-secret-1");
}
