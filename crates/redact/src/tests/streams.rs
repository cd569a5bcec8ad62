//! Payloads that arrive in pieces.

use proptest::prelude::*;

use super::*;

/// Redacts a text in pieces of these lengths, in a cycle.
fn streamed(policy: &Policy, content_type: &str, text: &[u8], pieces: &[usize]) -> Vec<u8> {
    let mut replacer = TestReplacer::default();
    let mut redactor = Redactor::new(policy, &mut replacer);
    let mut stream = StreamRedactor::new(content_type);
    let mut out = Vec::new();
    let mut rest = text;
    for len in pieces.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, more) = rest.split_at((*len).clamp(1, rest.len()));
        stream.push(&mut redactor, piece, &mut out);
        rest = more;
    }
    stream.finish(&mut redactor, &mut out);
    out
}

/// Redacts a text in pieces, and checks that their length does not matter.
fn stream(policy: &Policy, content_type: &str, text: &str) -> String {
    let whole = streamed(policy, content_type, text.as_bytes(), &[text.len()]);
    for pieces in [&[1][..], &[7, 4096, 65_536], &[65_535], &[65_537, 3]] {
        if pieces != [1] || text.len() < 300_000 {
            assert!(streamed(policy, content_type, text.as_bytes(), pieces) == whole, "pieces of {pieces:?}");
        }
    }
    String::from_utf8(whole).unwrap()
}

const FILL: usize = 150_000;

/// Returns a list of records without secrets.
fn records(count: usize) -> String {
    let record = |n| {
        format!(
            "{{\"id\":{n},\"name\":\"Ada {n}\",\"page_token\":\"x\",\"at\":\"https://h/{n}\",\"tags\":[\"a\", null]}},"
        )
    };
    (0..count).map(record).collect()
}

#[test]
fn several_long_lines_are_redacted_through_the_window() {
    let line = format!("data: {{\"all\":[{}{{\"pin\":\"1\"}}]}}\n", records(3000));
    let left = line.replace("\"1\"", "\"REDACTED-pin-1\"").repeat(3);
    assert!(stream(&Policy::default(), "text/event-stream", &line.repeat(3)) == left);
}

#[test]
fn array_of_secrets_continues_in_the_next_window() {
    let policy = Policy::default();
    let list = |strings: &str| format!("{{\"otp\" : [{strings}],\"a\":[\"{}\"],\"pin\":\"1\"}}", "b".repeat(FILL));
    let one = |n: usize| format!("\"{n:05}\",");
    let all: String = (0..9000).map(one).collect();
    let left: String = (1..=9000).map(|n| format!("\"REDACTED-otp-{n}\",")).collect();
    let whole = |strings: &str| list(strings).replace("\"1\"", "\"REDACTED-pin-1\"");
    let out = stream(&policy, "application/json", &list(&format!("{all}1, [\"x\"]")));
    assert!(out == whole(&format!("{left}1, [\"x\"]")));
    let spaces = " ".repeat(FILL);
    let long = format!("\"a\",{spaces}\"{}\"{spaces},\"b\"", "c".repeat(FILL));
    let left = format!("\"REDACTED-otp-1\",{spaces}\"REDACTED-otp-2\"{spaces},\"REDACTED-otp-3\"");
    assert!(stream(&policy, "application/json", &list(&long)) == whole(&left));
}

#[test]
fn secrets_are_found_at_every_end_of_a_piece() {
    let policy = Policy::default();
    let (before, after) = (records(30), records(60));
    let secrets = [
        (
            r#"{"user":"a b","password" : "hunter2","note":"x y"},"#.to_owned(),
            r#"{"user":"a b","password" : "REDACTED-password-1","note":"x y"},"#.to_owned(),
        ),
        (
            format!(r#"{{"note":"see {JWT} there"}},"#),
            format!(r#"{{"note":"see {REDACTED_JWT}REDACTED-jwt-1 there"}},"#),
        ),
        (
            r#"{"tokens":{"pass\u0077d":"a\"b"}},"#.to_owned(),
            r#"{"tokens":{"pass\u0077d":"REDACTED-passwd-1"}},"#.to_owned(),
        ),
        (r#"{"at":"https://me:s3cret@h/"},"#.to_owned(), r#"{"at":"https://REDACTED-userinfo-1@h/"},"#.to_owned()),
        (r#"{"otp":["1","2"]},"#.to_owned(), r#"{"otp":["REDACTED-otp-1","REDACTED-otp-2"]},"#.to_owned()),
    ];
    for (secret, left) in secrets {
        let text = format!("[{before}{secret}{after}0]");
        let left = format!("[{before}{left}{after}0]");
        for cut in before.len() - 5..before.len() + secret.len() + 5 {
            let out = streamed(&policy, "application/json", text.as_bytes(), &[cut, text.len()]);
            assert!(out == left.as_bytes(), "{secret} cut at {cut}");
        }
    }
}

#[test]
fn lines_are_passed_on_when_they_are_complete() {
    let policy = rules(|rules| rules.json = list(&["$.n"]));
    let mut replacer = TestReplacer::default();
    let mut redactor = Redactor::new(&policy, &mut replacer);
    let mut stream = StreamRedactor::new("text/event-stream; charset=utf-8");
    let mut out = Vec::new();
    let mut push = |piece: &str| {
        stream.push(&mut redactor, piece.as_bytes(), &mut out);
        String::from_utf8(std::mem::take(&mut out)).unwrap()
    };
    assert_eq!(push("event: x\ndata: {\"pas"), "event: x\n");
    assert_eq!(push("swd\":\"a\"}"), "");
    assert_eq!(push("\n"), "data: {\"passwd\":\"REDACTED-passwd-1\"}\n");
    assert_eq!(push("data:{\"n\":5}\r\n\r\n: "), "data:{\"n\":73322833001}\r\n\r\n");
    assert_eq!(push(&format!("{JWT}\ndata: [DONE]\n")), format!(": {REDACTED_JWT}REDACTED-jwt-1\ndata: [DONE]\n"));
    assert_eq!(push("data: end"), "");
    stream.finish(&mut redactor, &mut out);
    assert_eq!(out, b"data: end");
    assert!(!format!("{:?}", StreamRedactor::new("text/plain")).contains("window: ["));
}

#[test]
fn lines_of_json_are_redacted_by_member() {
    let policy = Policy::default();
    for content_type in ["application/x-ndjson", "application/json-seq", "application/jsonl"] {
        let mark = if content_type.ends_with("seq") { "\u{1e}" } else { "" };
        let text = format!("{mark}{{\"passwd\":\"a\"}}\n{mark}[{{\"pin\":\"1\"}}]\n{mark}{{\"passwd\":\"a\"}}");
        let left = text.replace("\"a\"", "\"REDACTED-passwd-1\"").replace("\"1\"", "\"REDACTED-pin-1\"");
        assert_eq!(stream(&policy, content_type, &text), left);
    }
}

#[test]
fn long_line_is_redacted_through_the_window() {
    let policy = Policy::default();
    let line = |passwd: &str| format!("data: {{\"fill\":\"{}\",\"passwd\":\"{passwd}\"}}\n", "x ".repeat(FILL / 2));
    let text = format!("data: {{\"passwd\":\"a\"}}\n{}data: {{\"passwd\":\"a\"}}\n", line("b"));
    let left = format!(
        "data: {{\"passwd\":\"REDACTED-passwd-1\"}}\n{}data: {{\"passwd\":\"REDACTED-passwd-1\"}}\n",
        line("REDACTED-passwd-2")
    );
    assert!(stream(&policy, "text/event-stream", &text) == left);
}

#[test]
fn members_are_found_at_every_end_of_the_window() {
    let policy = rules(|rules| rules.json = list(&["$..ssn"]));
    let member =
        "{\"passwd\" : \"abc\\\"d\", \"n\": [1, 2.5], \"ssn\":123, \"u\": \"https://h/?pwd=x\", \"t\":\"passwd\"},\n";
    let left = "{\"passwd\" : \"REDACTED-passwd-1\", \"n\": [1, 2.5], \"ssn\":73322833001, \
                \"u\": \"https://h/?pwd=REDACTED-pwd-1\", \"t\":\"passwd\"},\n";
    for before in [0, 1, 6, 14, 27, 33] {
        let fill = " ".repeat(before);
        let text = format!("{fill}[{}null]", member.repeat(1500));
        let expected = format!("{fill}[{}null]", left.repeat(1500));
        assert!(streamed(&policy, "application/json", text.as_bytes(), &[10_007]) == expected.as_bytes(), "{before}");
    }
    assert!(stream(&policy, "application/json", &format!("[{}null]", member.repeat(1500))).len() > FILL / 2);
}

#[test]
fn strings_longer_than_the_window_are_redacted() {
    let policy = Policy::default();
    let long = "0123456789abcdef".repeat(FILL / 16);
    let text = format!(
        "{{\"image\":\"{long}\",\"passwd\":\"{long}\",\"note\":\"{}{JWT}\",\"pin\":\"1\"}}",
        "a ".repeat(FILL / 2)
    );
    let left = stream(&policy, "application/json", &text);
    let expected = format!(
        "{{\"image\":\"{long}\",\"passwd\":\"REDACTED-passwd-1\",\"note\":\"{}{REDACTED_JWT}REDACTED-jwt-1\",\"pin\":\"REDACTED-pin-1\"}}",
        "a ".repeat(FILL / 2)
    );
    assert!(left == expected, "{}", left.replace(&long, "…").replace("a a ", ""));
    let escapes = "\\\\\\\"".repeat(FILL / 4);
    let text = format!("[\"{escapes}\",{{\"pin\":\"1\"}}]");
    assert!(stream(&policy, "application/json", &text) == text.replace("\"1\"", "\"REDACTED-pin-1\""));
    let numbers = format!("[{}{{\"pin\":\"1\"}}]", "1234567,".repeat(FILL / 8));
    assert!(stream(&policy, "application/json", &numbers) == numbers.replace("\"1\"", "\"REDACTED-pin-1\""));
    let form = "application/x-www-form-urlencoded";
    let text = format!("{{\"image\":\"{long}\",\"pin\":\"1\"}}");
    assert!(stream(&policy, form, &text) == text.replace("\"1\"", "\"REDACTED-pin-1\""), "whatever it is called");
    let spaces = format!("{{\"pin\"{}:\"1\",\"otp\":\"1\"}}", " ".repeat(FILL));
    let _ = stream(&policy, "application/json", &spaces);
}

#[test]
fn forms_are_redacted_in_pieces() {
    let policy = Policy::default();
    let form = "application/x-www-form-urlencoded";
    let long = "x".repeat(FILL);
    let text = format!(
        "{}password={long}&b={long}&secret=c&d={}{JWT}&pin",
        "a=1&pwd=2&".repeat(20_000),
        "y+".repeat(FILL / 2)
    );
    let left = stream(&policy, form, &text);
    let expected = format!(
        "{}password=REDACTED-password-1&b={long}&secret=REDACTED-secret-1&d={}{REDACTED_JWT}REDACTED-jwt-1&pin",
        "a=1&pwd=REDACTED-pwd-1&".repeat(20_000),
        "y+".repeat(FILL / 2)
    );
    assert!(left == expected);
}

#[test]
fn text_is_redacted_in_pieces() {
    let policy = Policy::default();
    let pem =
        format!("-----BEGIN PRIVATE KEY-----\n{}-----END PRIVATE KEY-----", "MIIEvQIBADANBgkqhkiG9w0BAQ\n".repeat(60));
    for fill in [20_000, 24_570, 24_576, 32_760, 32_768] {
        let text = format!("{}{pem}\n{}{JWT}.", "a ".repeat(fill), "b ".repeat(fill));
        let left =
            format!("{}REDACTED-private-key-1\n{}{REDACTED_JWT}REDACTED-jwt-1.", "a ".repeat(fill), "b ".repeat(fill));
        for content_type in ["text/plain", ""] {
            assert!(streamed(&policy, content_type, text.as_bytes(), &[5001]) == left.as_bytes(), "{fill}");
        }
    }
    let passwd = format!("sk-proj-{}", "a1B2".repeat(FILL / 4));
    assert_eq!(stream(&policy, "text/plain", &format!("a {passwd} b")), "a REDACTED-token-1 b");
    let blob = "a1B2".repeat(FILL / 4);
    assert!(stream(&policy, "text/plain", &blob) == blob);
}

#[test]
fn undeclared_format_is_detected_in_the_first_window() {
    let policy = Policy::default();
    assert_eq!(stream(&policy, "", "{\"passwd\":\"a\"}"), "{\"passwd\":\"REDACTED-passwd-1\"}");
    assert_eq!(stream(&policy, "text/plain", " [{\"passwd\":\"a\"}"), " [{\"passwd\":\"REDACTED-passwd-1\"}");
    assert_eq!(stream(&policy, "", "a=b&passwd=a"), "a=b&passwd=REDACTED-passwd-1");
    assert_eq!(stream(&policy, "", &format!("\u{0}{JWT}")), format!("\u{0}{JWT}"));
    assert_eq!(stream(&Policy::off(), "", "passwd=a"), "passwd=a");
}

#[test]
fn form_fields_of_a_long_upload_are_redacted() {
    let policy = Policy::default();
    let part =
        |name: &str, value: &str| format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    let text = |password: &str| {
        format!(
            "{}{}{}--b--\r\n",
            part("password", password),
            part("file", &"x ".repeat(FILL)),
            part("passwd", password)
        )
    };
    let left = stream(&policy, "multipart/form-data; boundary=b", &text("hunter2"));
    assert!(
        left == format!(
            "{}{}{}--b--\r\n",
            part("password", "REDACTED-password-1"),
            part("file", &"x ".repeat(FILL)),
            part("passwd", "REDACTED-password-1")
        )
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn result_does_not_depend_on_the_pieces(
        unit in r#"[ -~\n]{1,40}"#,
        secret in r#"(|"passwd":"[a-z]{4}"|&pwd=[a-z]{4}&|ghp_[0-9a-z]{30})"#,
        pieces in prop::collection::vec(1usize..70_000, 1..6),
        kind in 0usize..5,
        personal in any::<bool>(),
    ) {
        let policy = rules(|rules| rules.personal = personal);
        let content_type = ["application/json", "text/plain", "application/x-www-form-urlencoded", "text/event-stream", ""][kind];
        let text = format!("{unit}{secret}").repeat(140_000 / (unit.len() + secret.len()));
        let whole = streamed(&policy, content_type, text.as_bytes(), &[text.len()]);
        prop_assert!(streamed(&policy, content_type, text.as_bytes(), &pieces) == whole);
    }

    #[test]
    fn any_bytes_are_accepted_as_a_stream(
        bytes in prop::collection::vec(any::<u8>(), 1..300),
        times in 1usize..600,
        kind in 0usize..5,
    ) {
        let content_type = ["application/json", "text/plain", "application/x-www-form-urlencoded", "text/event-stream", ""][kind];
        let text = bytes.repeat(times);
        let one = streamed(&Policy::default(), content_type, &text, &[text.len()]);
        prop_assert!(streamed(&Policy::default(), content_type, &text, &[4093]) == one);
    }
}
