//! The bytes that everybody answers: JSON as APIs have it.

use bytes::Bytes;

/// A JSON array of this many bytes.
pub fn json(size: usize) -> Bytes {
    let mut text = String::from("[");
    let mut n = 0u64;
    while text.len() < size.saturating_sub(200) {
        text.push_str(&format!(
            "{{\"id\":{n},\"name\":\"Ada Lovelace {n}\",\"email\":\"ada{n}@example.com\",\"active\":true,\"score\":{}.25,\"tags\":[\"a\",\"b\"]}},",
            n * 37 % 1000
        ));
        n += 1;
    }
    text.push_str("{\"pad\":\"");
    let missing = size.saturating_sub(text.len() + 3);
    text.extend(std::iter::repeat_n('x', missing));
    text.push_str("\"}]");
    Bytes::from(text)
}

/// The same with what was asked for at its end.
pub fn of(payload: &Bytes, asked: &str) -> Bytes {
    let mut own = payload.to_vec();
    let end = own.len() - "\"}]".len();
    own[end - asked.len()..end].copy_from_slice(asked.as_bytes());
    own.into()
}

/// The path of the request number `n`.
pub fn path(n: usize) -> String {
    format!("/v1/users/{}/orders?page={}&limit=20", n / 4, n % 4)
}

/// The host that everybody plays.
pub const HOST: &str = "api.test";
