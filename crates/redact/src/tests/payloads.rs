//! Payloads of each media type.

use super::*;

#[test]
fn json_keeps_every_other_byte() {
    let policy = Policy::default();
    for (text, left) in [
        (
            "\u{feff}{ \"passwd\" :\t\"a\" , \"n\":1.0e5}\r\n",
            "\u{feff}{ \"passwd\" :\t\"REDACTED-passwd-1\" , \"n\":1.0e5}\r\n",
        ),
        (r#"{"passwd":"a\"b","x":"\u00e9\/"}"#, r#"{"passwd":"REDACTED-passwd-1","x":"\u00e9\/"}"#),
        (r#"{"passw\u0064":"a"}"#, r#"{"passw\u0064":"REDACTED-passwd-1"}"#),
        (
            r#"{"passwd":"a","passwd":"b","passwd":"a"}"#,
            r#"{"passwd":"REDACTED-passwd-1","passwd":"REDACTED-passwd-2","passwd":"REDACTED-passwd-1"}"#,
        ),
        (
            r#"{"passwd":1,"secret":null,"pin":true,"otp":"","pwd":{"a":"b"}}"#,
            r#"{"passwd":1,"secret":null,"pin":true,"otp":"","pwd":{"a":"b"}}"#,
        ),
        (
            r#"{"password":["a",1,"b",{"c":"d"}],"x":["e"]}"#,
            r#"{"password":["REDACTED-password-1",1,"REDACTED-password-2",{"c":"d"}],"x":["e"]}"#,
        ),
        (r#""passwd""#, r#""passwd""#),
        (r#"{"u":"https://h/?pwd=a&b=1"}"#, r#"{"u":"https://h/?pwd=REDACTED-pwd-1&b=1"}"#),
        (
            r#"{"u":"{\"passwd\":\"a\",\"n\":\"{\\\"pin\\\":\\\"1\\\"}\"}"}"#,
            r#"{"u":"{\"passwd\":\"REDACTED-passwd-1\",\"n\":\"{\\\"pin\\\":\\\"REDACTED-pin-1\\\"}\"}"}"#,
        ),
        (r#"[]"#, "[]"),
        ("7", "7"),
    ] {
        assert_eq!(json(&policy, text), left);
    }
}

#[test]
fn arguments_in_graphql_documents_are_redacted() {
    let policy = Policy::default();
    for (text, left) in [
        (
            r#"{"query":"mutation { login(user: \"ada\", password: \"h\\\"x y\") { passwd } }"}"#,
            r#"{"query":"mutation { login(user: \"ada\", password: \"REDACTED-password-1\") { passwd } }"}"#,
        ),
        (
            r#"{"query":"{ a(in: {Secret:\"s\", pin : \"1\"}) b: c }"}"#,
            r#"{"query":"{ a(in: {Secret:\"REDACTED-secret-1\", pin : \"REDACTED-pin-1\"}) b: c }"}"#,
        ),
        (
            r#"{"query":"{ a(password: \"\", first: 1, n: $password) }","q":"password: \"no document\""}"#,
            r#"{"query":"{ a(password: \"\", first: 1, n: $password) }","q":"password: \"no document\""}"#,
        ),
    ] {
        assert_eq!(json(&policy, text), left);
        assert_eq!(json(&policy, left), left);
    }
    let document = r#"mutation { login(password: "h") { passwd } }"#;
    let left = document.replace("\"h\"", "\"REDACTED-password-1\"");
    assert_eq!(payload(&policy, "application/graphql", document), left);
}

#[test]
fn values_that_json_paths_select_are_redacted() {
    let policy = rules(|rules| rules.json = list(&["$.card.number", "$..ssn", "$.ids[*]", "$.all"]));
    let uuid = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";
    for (text, left) in [
        (r#"{"card":{"number":"4111 1"}}"#.to_owned(), r#"{"card":{"number":"REDACTED-number-1"}}"#),
        (r#"{"card":{"number":4111}}"#.to_owned(), r#"{"card":{"number":73322833001}}"#),
        (
            r#"[{"ssn":-1.5e3},{"ssn":true},{"ssn":null},{"ssn":""}]"#.to_owned(),
            r#"[{"ssn":73322833001},{"ssn":"REDACTED-ssn-1"},{"ssn":"REDACTED-ssn-2"},{"ssn":"REDACTED-ssn-3"}]"#,
        ),
        (
            format!(r#"{{"ids":["{uuid}","c2VjcmV0IFNlY3JldCAx"]}}"#),
            r#"{"ids":["0edac7ed-0000-4000-8000-000000000001","UkVEQUNURUQtaWRzLTE="]}"#,
        ),
        (
            r#"{"all":{"a":1,"b":["x"]},"b":"y"}"#.to_owned(),
            r#"{"all":{"a":73322833001,"b":["REDACTED-b-1"]},"b":"y"}"#,
        ),
        // In a malformed document, the last names of the paths decide.
        (
            r#"{"a":{"ssn":"x","number":7,"ids":["y"]}"#.to_owned(),
            r#"{"a":{"ssn":"REDACTED-ssn-1","number":73322833001,"ids":["REDACTED-ids-1"]}"#,
        ),
    ] {
        assert_eq!(json(&policy, &text), left);
    }
}

#[test]
fn malformed_json_is_redacted() {
    let policy = Policy::default();
    for (text, left) in [
        (
            r#"{"a":{"passwd":"x","password":"hunt"#,
            r#"{"a":{"passwd":"REDACTED-passwd-1","password":"REDACTED-password-1"#,
        ),
        (r#"{"a"b": "x", "password": "hunter2"}"#, r#"{"a"b": "x", "password": "REDACTED-password-1"}"#),
        ("{\"password\"\x0c:\"hunter2\"}", "{\"password\"\x0c:\"REDACTED-password-1\"}"),
        ("{\"password\":\x0b\"hunter2\"}", "{\"password\":\x0b\"REDACTED-password-1\"}"),
        (")]}',\n{\"passwd\":\"x\"}", ")]}',\n{\"passwd\":\"REDACTED-passwd-1\"}"),
        (r#"{passwd: ghp_0123456789012345678901234567}"#, r#"{passwd: REDACTED-github-token-1}"#),
        (r#"{"passwd":"#, r#"{"passwd":"#),
        (r#"{"passwd"#, r#"{"passwd"#),
        (r#"{"a":"\"#, r#"{"a":"\"#),
    ] {
        assert_eq!(json(&policy, text), left);
    }
    let deep = |inside: &str| format!("{}{inside}{}", "[".repeat(100_000), "]".repeat(100_000));
    let policy = rules(|rules| rules.json = list(&["$..ssn"]));
    assert_eq!(
        json(&policy, &deep(r#"{"passwd":"x","ssn":1}"#)),
        deep(r#"{"passwd":"REDACTED-passwd-1","ssn":73322833001}"#)
    );
    let _ = url(&policy, &"https://h/?u=".repeat(10_000));
}

#[test]
fn redacted_jwts_are_still_jwts() {
    let policy = Policy::default();
    assert_eq!(
        json(&policy, &format!(r#"{{"id_token":"{JWT}"}}"#)),
        format!(r#"{{"id_token":"{REDACTED_JWT}REDACTED-id_token-1"}}"#)
    );
    assert_eq!(
        json(&policy, &format!(r#"{{"x":"see\n{JWT}."}}"#)),
        format!(r#"{{"x":"see\n{REDACTED_JWT}REDACTED-jwt-1."}}"#)
    );
    assert_eq!(
        header(&policy, "authorization", &format!("Bearer {JWT}")),
        format!("Bearer {REDACTED_JWT}REDACTED-authorization-1")
    );
    assert_eq!(header(&policy, "cookie", &format!("s={JWT}")), format!("s={REDACTED_JWT}REDACTED-s-1"));
}

/// `curl -d` sends JSON as a form.
#[test]
fn json_that_is_declared_as_a_form_is_redacted_as_json() {
    let (policy, form) = (Policy::default(), "application/x-www-form-urlencoded");
    for text in
        [r#"{"password":"it is + secret"}"#, r#" [{"password":"it is + secret"},1]"#, r#"{"password":"it is + se"#]
    {
        let left = payload(&policy, form, text);
        assert!(left.contains(r#""password":"REDACTED-password-1"#) && !left.contains("it is"), "{left}");
    }
    assert_eq!(payload(&policy, form, "[]=1&password=a"), "[]=1&password=REDACTED-password-1");
}

#[test]
fn forms_keep_every_other_byte() {
    let policy = Policy::default();
    let form = "application/x-www-form-urlencoded; charset=utf-8";
    for (text, left) in [
        ("a=%zz+%20&pass%77ord=p%26w&b", "a=%zz+%20&pass%77ord=REDACTED-password-1&b"),
        ("payload=%7B%22passwd%22%3A%22a%22%7D&x=1", "payload=%7B%22passwd%22%3A%22REDACTED-passwd-1%22%7D&x=1"),
        (
            "redirect_uri=https%3A%2F%2Fh%2F%3Fsecret%3Dabc",
            "redirect_uri=https%3A%2F%2Fh%2F%3Fsecret%3DREDACTED-secret-1",
        ),
        ("SAMLResponse=PHNhbWw6UmVzcG9uc2U%2B", "SAMLResponse=REDACTED-samlresponse-1"),
    ] {
        assert_eq!(payload(&policy, form, text), left);
        assert_eq!(payload(&policy, "", text), left, "without a type");
    }
}

const MULTIPART: &str = "--x\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\nhunter2\r\n\
    --x\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\npassword: 1\r\n\
    --x\r\nContent-Disposition: form-data; name=\"meta\"\r\nContent-Type: application/json\r\n\r\n{\"passwd\":\"a\"}\r\n\
    --x\r\nContent-Disposition: form-data; name=\"passwd\"; filename=\"t.txt\"\r\n\r\nghp_0123456789012345678901234567\r\n\
    --x\r\nContent-Disposition: form-data; name=\"key\"; filename=\"t.png\"\r\nContent-Type: image/png\r\n\r\n\u{1}PNG\r\n\
    --x--\r\n";

#[test]
fn parts_are_redacted_by_name_and_type() {
    let policy = Policy::default();
    let multipart = "multipart/form-data; boundary=x";
    let left = MULTIPART
        .replace("hunter2", "REDACTED-password-1")
        .replace("\"a\"", "\"REDACTED-passwd-1\"")
        .replace("ghp_0123456789012345678901234567", "REDACTED-github-token-1");
    assert_eq!(payload(&policy, multipart, MULTIPART), left);
    let cut = MULTIPART.find("ter2").unwrap();
    assert_eq!(payload(&policy, multipart, &MULTIPART[..cut]), MULTIPART[..cut].replace("hun", "REDACTED-password-1"));
    let nested = format!("--y\r\nContent-Type: {multipart}\r\n\r\n{MULTIPART}\r\n--y--");
    assert_eq!(payload(&policy, "multipart/mixed; boundary=y", &nested), nested.replace(MULTIPART, &left));
    assert_eq!(payload(&policy, "multipart/form-data", "no boundary"), "no boundary");
}

#[test]
fn other_text_is_redacted_by_shapes() {
    let policy = rules(|rules| rules.text = list(&["acme_[0-9]+"]));
    for content_type in [
        "text/html",
        "application/xml",
        "application/javascript",
        "application/graphql",
        "text/csv",
        "image/svg+xml",
        "",
    ] {
        let text = format!("<a href='https://u:p@h/'>{JWT}</a> acme_1 password=x");
        let left = format!(
            "<a href='https://REDACTED-userinfo-1@h/'>{REDACTED_JWT}REDACTED-jwt-1</a> REDACTED-text-1 password=x"
        );
        assert_eq!(payload(&policy, content_type, &text), left, "{content_type}");
    }
    for content_type in
        ["text/plain", "", "application/x-amz-json-1.1", "application/vnd.api+json", "application/json; charset=x"]
    {
        assert_eq!(
            payload(&policy, content_type, r#"{"passwd":"a"}"#),
            r#"{"passwd":"REDACTED-passwd-1"}"#,
            "{content_type}"
        );
    }
}

#[test]
fn binary_payloads_are_opaque() {
    let policy = Policy::default();
    for content_type in [
        "image/png",
        "application/grpc",
        "application/grpc+json",
        "application/x-protobuf",
        "application/octet-stream",
        "font/woff2",
        "application/zip",
    ] {
        assert!(is_opaque(content_type), "{content_type}");
        assert_eq!(bytes(&policy, content_type, br#"{"passwd":"a"}"#), None, "{content_type}");
    }
    assert_eq!(bytes(&policy, "", b"\x00\x01\x02"), None);
    assert_eq!(bytes(&policy, "", b"\xff\xff"), None);
    for content_type in
        ["", "text/plain", "multipart/form-data", "application/json", "application/x-www-form-urlencoded"]
    {
        assert!(!is_opaque(content_type), "{content_type}");
    }
}

#[test]
fn utf16_and_single_byte_charsets_are_redacted() {
    let policy = Policy::default();
    assert_eq!(
        bytes(&policy, "application/json; charset=latin1", b"{\"n\":\"\xe9\",\"passwd\":\"\xe8\"}").unwrap(),
        b"{\"n\":\"\xe9\",\"passwd\":\"REDACTED-passwd-1\"}"
    );
    let utf16 = |text: &str, big: bool| -> Vec<u8> {
        text.encode_utf16().flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
    };
    let (text, left) =
        ("{\"n\":\"\u{1f600}\",\"passwd\":\"a\"}", "{\"n\":\"\u{1f600}\",\"passwd\":\"REDACTED-passwd-1\"}");
    assert_eq!(bytes(&policy, "application/json; charset=utf-16le", &utf16(text, false)), Some(utf16(left, false)));
    let marked = |text: &str| format!("\u{feff}{text}");
    assert_eq!(bytes(&policy, "application/json", &utf16(&marked(text), true)), Some(utf16(&marked(left), true)));
    assert_eq!(bytes(&policy, "text/plain", b"\xff\xfea"), None);
}

#[test]
fn personal_data_keeps_its_format() {
    let policy = rules(|rules| rules.personal = true);
    for (text, left) in [
        ("write to Ann.Lee+x@example.com.", "write to redacted-1@example.invalid."),
        ("call +49 170 1234567, now", "call +73 322 8330001, now"),
        ("(555) 123-4567", "(733) 228-3301"),
        ("IBAN DE89 3704 0044 0532 0130 00.", "IBAN DE73 3228 3300 0000 0000 01."),
        ("GB29NWBK60161331926819", "GB73322833000000000001"),
        ("4111 1111 1111 1111", "7332 2833 0000 0001"),
        ("4111111111111111", "7332283300000001"),
        ("3782 822463 10005", "7332 283300 00001"),
    ] {
        assert_eq!(payload(&policy, "text/plain", text), left);
        assert_eq!(json(&policy, &format!("{{\"x\":\"{text}\"}}")), format!("{{\"x\":\"{left}\"}}"));
        assert_eq!(payload(&Policy::default(), "text/plain", text), text);
    }
    for text in [
        "2026-11-20T11:04:58+00:00",
        "1763636698000",
        "1763636698",
        "4111 1111 1111 1112",
        "DE89 3704 0044 0532 0130 01",
        "1,234,567.89",
        "12.50",
        "a@b",
        "user@localhost",
        "550e8400-e29b-41d4-a716-446655440000",
        "192.168.100.1234",
        "v1.2.3-4111111111111111",
        "id 900719925474099267",
        "+1.5",
        "react@18.2.0",
    ] {
        assert_eq!(payload(&policy, "text/plain", text), text);
    }
    assert_eq!(json(&policy, r#"{"card":4111111111111111}"#), r#"{"card":4111111111111111}"#);
    assert_eq!(
        url(&policy, "https://h/?to=a%40b.com&tel=%2B49+170+1234567"),
        "https://h/?to=redacted-1@example.invalid&tel=73322833001"
    );
    let no_phone = rules(|rules| {
        rules.personal = true;
        rules.except = list(&["shape:phone"]);
    });
    assert_eq!(
        payload(&no_phone, "text/plain", "+49 170 1234567 a@b.com"),
        "+49 170 1234567 redacted-1@example.invalid"
    );
}

#[test]
fn name_and_value_of_one_pair_are_redacted() {
    let policy = Policy::default();
    let form = |text| payload(&policy, "application/x-www-form-urlencoded", text);
    assert_eq!(
        form("https://ann:s3cret@h/?token=9f8e7d6c5b4a3210"),
        "https://REDACTED-userinfo-1@h/?token=REDACTED-value-1",
        "neither the pair nor the placeholder has the password"
    );
}

#[test]
fn words_of_a_placeholder_are_not_a_name() {
    let policy = Policy::default();
    let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI3IiwiZXhwIjoxMDAwfQ.c2lnbmVk";
    let once = payload(&policy, "application/json", &format!(r#"["{jwt}","0A_-_-_a"]"#));
    assert!(once.contains("REDACTED-jwt-1") && once.contains("0A_-_-_a"), "{once}");
}
