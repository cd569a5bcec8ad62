//! The requests and responses of every measurement: a JSON API of which every tenth request is a POST.

use bytes::Bytes;

/// The host of the API. The certificate of the bare server is valid for it and for its subdomains.
pub const HOST: &str = "api.test";

/// Response headers other than those that hyper adds.
pub const HEADERS: [(&str, &str); 4] = [
    ("content-type", "application/json"),
    ("cache-control", "no-store"),
    ("etag", "\"5f38532fff643c08\""),
    ("access-control-allow-origin", "*"),
];

/// The method of request number `n`.
pub fn method(n: usize) -> &'static str {
    if n % 10 == 9 { "POST" } else { "GET" }
}

/// The path and query of request number `n`.
pub fn path(n: usize) -> String {
    format!("/v1/users/{}/orders?page={}&limit=20", n / 4, n % 4)
}

/// The payload of request number `n` if it is a POST. `sent_at` is a member that the `[[match]]` rule ignores.
pub fn request_payload(n: usize, sent_at: usize) -> String {
    format!(
        r#"{{"customer":"ada{n}@example.com","items":[{{"sku":"A-{n}","quantity":{},"price":12.5}},{{"sku":"B-17","quantity":1,"price":8}}],"note":"leave it at the door","sentAt":{sent_at}}}"#,
        n % 7 + 1
    )
}

/// A JSON array of `size` bytes. Its last member is padding, which [`response_payload`] overwrites.
pub fn template(size: usize) -> Bytes {
    let mut text = String::from("[");
    let mut n = 0u64;
    while text.len() < size.saturating_sub(200) {
        text.push_str(&format!(
            r#"{{"id":{n},"name":"Ada Lovelace {n}","email":"ada{n}@example.com","active":true,"score":{}.25,"tags":["a","b"]}},"#,
            n * 37 % 1000
        ));
        n += 1;
    }
    text.push_str(r#"{"pad":""#);
    let missing = size.saturating_sub(text.len() + END.len());
    text.extend(std::iter::repeat_n('x', missing));
    text.push_str(END);
    Bytes::from(text)
}

const END: &str = r#""}]"#;

/// The template with `path` at its end, so that each URL has a different payload of the same length.
pub fn response_payload(template: &Bytes, path: &str) -> Bytes {
    let mut payload = template.to_vec();
    let end = payload.len() - END.len();
    payload[end - path.len()..end].copy_from_slice(path.as_bytes());
    payload.into()
}
