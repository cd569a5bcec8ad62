//! Payloads that are compared by their meaning: multipart, forms, JSON and GraphQL.

use super::{FORMS, assert_served, explained_miss, post, record, replay};
use crate::support::client::{Proto, TestRequest};
use crate::support::origin::Origin;
use crate::support::sandbox::Sandbox;

/// A form with a file, as browsers and HTTP libraries send it.
fn multipart(boundary: &str, name: &str, file: &[u8]) -> TestRequest {
    let mut body = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\n{name}\r\n\
         --{boundary}\r\nContent-Disposition: form-data; name=\"photo\"; filename=\"a.png\"\r\n\
         Content-Type: image/png\r\n\r\n"
    )
    .into_bytes();
    body.extend(file);
    body.extend(format!("\r\n--{boundary}--\r\n").into_bytes());
    post("/api/echo", &format!("multipart/form-data; boundary={boundary}"), body)
}

#[test]
fn multipart_matches_with_any_boundary_and_a_miss_names_the_part() {
    // Bytes that look like the other delimiter, line ends, invalid UTF-8.
    let file = b"\x89PNG\r\n--live-2 is no delimiter\r\n\xff\0";
    for (output, options) in FORMS {
        let sandbox = Sandbox::new();
        let live = [multipart("----WebKitFormBoundaryAAAA", "Ada", file)];
        record(&sandbox, Origin::start(), output, options, Proto::H1, &live);
        let (server, client) = replay(&sandbox, &[output], Proto::H1);
        for boundary in ["----WebKitFormBoundaryAAAA", "----WebKitFormBoundaryBBBB", "x", "\"with space\""] {
            let mut request = multipart(boundary.trim_matches('"'), "Ada", file);
            request.headers = vec![("content-type".into(), format!("multipart/form-data; boundary={boundary}"))];
            assert_served(&client.send(request));
        }
        let explained = explained_miss(&client.send(multipart("zzz", "Grace", file)));
        for word in ["name", "Grace", "Ada"] {
            assert!(explained.contains(word), "`{word}`: {explained}");
        }
        assert!(!explained.contains("photo"), "the file is the same: {explained}");
        let explained = explained_miss(&client.send(multipart("zzz", "Ada", b"another")));
        assert!(explained.contains("photo") && !explained.contains("Grace"), "{explained}");
        let explained =
            explained_miss(&client.send(multipart("zzz", "Ada", &[&file[..file.len() - 1], b"\x01"].concat())));
        let is_explained = explained.contains("photo") && explained.contains("from byte 33 on");
        assert!(is_explained, "a binary part of equal length: {explained}");
        server.stop().expect(1).says("photo");
    }
}

#[test]
fn multipart_mixed_is_compared_by_parts() {
    let mixed = |boundary: &str, second: &str| {
        let body = format!(
            "preamble {boundary}\r\n--{boundary}\r\nContent-Type: application/json\r\n\r\n{{}}\r\n--{boundary}\r\n\
             Content-Type: text/plain\r\n\r\n{second}\r\n--{boundary}--"
        );
        post("/api/echo", &format!("multipart/related; type=\"application/json\"; boundary=\"{boundary}\""), body)
    };
    let sandbox = Sandbox::new();
    record(&sandbox, Origin::start(), "hars/api.har", &[], Proto::H1, &[mixed("one", "x")]);
    let (server, client) = replay(&sandbox, &["hars/api.har"], Proto::H1);
    assert_served(&client.send(mixed("two", "x")));
    let explained = explained_miss(&client.send(mixed("two", "y")));
    assert!(explained.contains("part 2"), "{explained}");
    // Without a boundary the bytes are compared.
    explained_miss(&client.send(post("/api/echo", "multipart/related; boundary=three", "no parts at all")));
    server.stop().expect(1);
}

#[test]
fn form_is_compared_by_its_bytes_or_by_its_fields() {
    let sandbox = Sandbox::new();
    let form = |body: &str| post("/api/echo", "application/x-www-form-urlencoded", body);
    record(&sandbox, Origin::start(), "hars/api.har", &[], Proto::H1, &[form("name=A+B&city=K%C3%B6ln&name=C")]);

    let (server, client) = replay(&sandbox, &["hars/api.har"], Proto::H1);
    assert_served(&client.send(form("name=A+B&city=K%C3%B6ln&name=C")));
    let explained = explained_miss(&client.send(form("name=A%20B&city=K%c3%b6ln&name=C")));
    assert!(explained.contains(r#"body = \"form\""#), "{explained}");
    let explained = explained_miss(&client.send(form("name=A+B&city=Bonn&name=C")));
    assert!(explained.contains("city") && explained.contains("Bonn") && explained.contains("Köln"), "{explained}");
    server.stop().expect(1);

    let (server, client) = replay(&sandbox, &["hars/api.har", "--match-body", "form"], Proto::H1);
    assert_served(&client.send(form("name=A%20B&city=K%c3%b6ln&name=C")));
    explained_miss(&client.send(form("city=K%C3%B6ln&name=A+B&name=C")));
    server.stop().expect(1);
}

#[test]
fn graphql_ignores_white_space_in_queries_and_a_miss_names_the_operation() {
    let sandbox = Sandbox::new();
    let ask = |text: &str| post("/api/echo", "application/json", text);
    let recorded = ask(
        r#"{"operationName":"User","query":"query User($id: ID!) {\n  user(id: $id) { name }\n}","variables":{"id":7}}"#,
    );
    record(&sandbox, Origin::start(), "hars/api.har", &[], Proto::H2, std::slice::from_ref(&recorded));
    let spelt =
        ask(r#"{"query":"query User($id:ID!){user(id:$id){name}}","variables":{"id":7.0},"operationName":"User"}"#);
    let other = ask(
        r#"{"operationName":"User","query":"query User($id: ID!) { user(id: $id) { name } }","variables":{"id":8}}"#,
    );

    let (server, client) = replay(&sandbox, &["hars/api.har"], Proto::H2);
    assert_served(&client.send(recorded.clone()));
    let explained = explained_miss(&client.send(spelt.clone()));
    assert!(explained.contains(r#"body = \"json\""#), "{explained}");
    server.stop().expect(1).says("User");

    let (server, client) = replay(&sandbox, &["hars/api.har", "--match-body", "json"], Proto::H2);
    assert_served(&client.send(recorded));
    assert_served(&client.send(spelt));
    let got = client.send(other);
    assert_eq!(got.json()["operation"], "User", "{}", got.text());
    assert!(explained_miss(&got).contains("$.variables.id"), "{}", got.text());
    server.stop().expect(1).says("$.variables.id");
}
