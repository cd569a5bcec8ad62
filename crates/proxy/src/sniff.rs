//! What a client is about to speak, told by its first bytes.

/// The first bytes of an HTTP/2 connection (RFC 9113 section 3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Longer words are no methods: the longest registered one has 17 characters.
const MAX_METHOD: usize = 40;

/// What the first bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    /// A TLS handshake record.
    Tls,
    /// A request line of HTTP/1.
    Http1,
    /// The preface of HTTP/2.
    Http2,
    /// Something else.
    Unknown,
}

/// Tells what begins with `first`; `None` while it could be several things.
///
/// An HTTP/1 request is told by a method and the beginning of a target, for many a protocol begins with a word and a space
/// (`EHLO host`, `NICK name`). CONNECT is none of it: a proxy beyond a tunnel is the client's own affair.
pub(super) fn opening(first: &[u8]) -> Option<Opening> {
    if first.is_empty() {
        return None;
    }
    if first.starts_with(HTTP2_PREFACE) {
        return Some(Opening::Http2);
    }
    if HTTP2_PREFACE.starts_with(first) {
        return None;
    }
    // A record of the type handshake (22), its version 3.0 to 3.4.
    if first[0] == 0x16 {
        return match first {
            [_] | [_, 3] => None,
            [_, 3, 0..=4, ..] => Some(Opening::Tls),
            _ => Some(Opening::Unknown),
        };
    }
    let method = first.iter().take_while(|byte| is_token(**byte)).count();
    match first.get(method) {
        None if method <= MAX_METHOD => None,
        Some(b' ') if (1..=MAX_METHOD).contains(&method) => target(&first[method + 1..]),
        _ => Some(Opening::Unknown),
    }
}

/// Origin form, asterisk form, or absolute form.
fn target(rest: &[u8]) -> Option<Opening> {
    if rest.is_empty() {
        return None;
    }
    for start in [&b"/"[..], b"* HTTP/1.", b"http://", b"https://"] {
        if begins(rest, start) {
            return (rest.len() >= start.len()).then_some(Opening::Http1);
        }
    }
    Some(Opening::Unknown)
}

/// Whether one is the beginning of the other, case aside: a scheme may be in capitals.
fn begins(bytes: &[u8], of: &[u8]) -> bool {
    let shorter = bytes.len().min(of.len());
    bytes[..shorter].eq_ignore_ascii_case(&of[..shorter])
}

/// RFC 9110 section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_tell_the_protocol() {
        let cases: &[(&[u8], Option<Opening>)] = &[
            (b"", None),
            (b"\x16", None),
            (b"\x16\x03", None),
            (b"\x16\x03\x01\x02\x00", Some(Opening::Tls)),
            (b"\x16\x03\x03", Some(Opening::Tls)),
            (b"\x16\x02\x00", Some(Opening::Unknown)),
            (b"\x80\x2e\x01\x00\x02", Some(Opening::Unknown)),
            (b"P", None),
            (b"PRI * HTTP/2.0\r\n\r\nSM", None),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0", Some(Opening::Http2)),
            (b"PRI * HTTP/1.1\r\n", Some(Opening::Http1)),
            (b"POST /a", Some(Opening::Http1)),
            (b"GET", None),
            (b"GET ", None),
            (b"GET /", Some(Opening::Http1)),
            (b"get /", Some(Opening::Http1)),
            (b"M-SEARCH * HTTP/1.1\r\n", Some(Opening::Http1)),
            (b"OPTIONS * HT", None),
            (b"GET htt", None),
            (b"GET HTTP://a/ HTTP/1.1", Some(Opening::Http1)),
            (b"CONNECT a:443 HTTP/1.1", Some(Opening::Unknown)),
            (b"EHLO mail.test\r\n", Some(Opening::Unknown)),
            (b"NICK someone\r\n", Some(Opening::Unknown)),
            (b"SSH-2.0-OpenSSH_9\r\n", Some(Opening::Unknown)),
            (b"*1\r\n$4\r\nPING\r\n", Some(Opening::Unknown)),
            (b" GET /", Some(Opening::Unknown)),
            (b"\r\nGET /", Some(Opening::Unknown)),
            (&[b'A'; 41], Some(Opening::Unknown)),
            (&[b'A'; 40], None),
        ];
        for (first, expected) in cases {
            assert_eq!(opening(first), *expected, "{}", String::from_utf8_lossy(first));
        }
    }

    proptest::proptest! {
        /// What is decided stays decided, however the bytes come in pieces.
        #[test]
        fn more_bytes_never_change_the_answer(
            start in proptest::sample::select(vec!["", "\x16\x03", "GET ", "PRI * HTTP/2.0\r\n\r\nS", "OPTIONS * HTTP/1", "x HtTp"]),
            rest in proptest::collection::vec(proptest::num::u8::ANY, 0..60),
        ) {
            let bytes = [start.as_bytes(), &rest].concat();
            let mut decided = None;
            for n in 0..=bytes.len() {
                let now = opening(&bytes[..n]);
                proptest::prop_assert!(decided.is_none() || now == decided, "{:?}", &bytes[..n]);
                decided = now;
            }
        }
    }
}
