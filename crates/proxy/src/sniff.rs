//! Detects the protocol of a client by its first bytes.

use tokio::time::timeout;

use crate::limits::ClientTimeouts;
use crate::stream::ByteStream;

/// The first bytes of an HTTP/2 connection (RFC 9113 section 3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Maximum length of a method. The longest registered one has 17 characters.
const MAX_METHOD: usize = 40;

/// A protocol inside a client connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Tls,
    Http1,
    /// With prior knowledge (RFC 9113 section 3.3).
    Http2,
    Unknown,
}

/// Detects the protocol of a stream. The bytes stay to be read.
///
/// Returns `None` if the client closes, the connection breaks, or no byte comes within the idle timeout. The protocol is
/// unknown if it is still undecided after the head timeout. Cancel safe.
pub(crate) async fn detect(stream: &mut ByteStream, timeouts: ClientTimeouts) -> Option<Protocol> {
    if stream.ahead().is_empty() && !matches!(timeout(timeouts.idle, stream.read_ahead()).await, Ok(Ok(1..))) {
        return None;
    }
    let detected = async {
        loop {
            if let Some(protocol) = protocol_of(stream.ahead()) {
                return Some(protocol);
            }
            if stream.read_ahead().await.ok()? == 0 {
                return Some(Protocol::Unknown);
            }
        }
    };
    timeout(timeouts.head, detected).await.unwrap_or(Some(Protocol::Unknown))
}

/// Returns the protocol of a stream that begins with `first`; `None` while several are possible.
///
/// HTTP/1 is recognised by a method and the beginning of a target, because other protocols also begin with a word and a
/// space (`EHLO host`, `NICK name`). CONNECT is not recognised: a further proxy inside a tunnel is not intercepted.
fn protocol_of(first: &[u8]) -> Option<Protocol> {
    if first.is_empty() {
        return None;
    }
    if first.starts_with(HTTP2_PREFACE) {
        return Some(Protocol::Http2);
    }
    if HTTP2_PREFACE.starts_with(first) {
        return None;
    }
    // A TLS record of type handshake (22) and version 3.0 to 3.4.
    if first[0] == 0x16 {
        return match first {
            [_] | [_, 3] => None,
            [_, 3, 0..=4, ..] => Some(Protocol::Tls),
            _ => Some(Protocol::Unknown),
        };
    }
    let method = first.iter().take_while(|byte| is_token(**byte)).count();
    match first.get(method) {
        None if method <= MAX_METHOD => None,
        Some(b' ') if (1..=MAX_METHOD).contains(&method) => target(&first[method + 1..]),
        _ => Some(Protocol::Unknown),
    }
}

/// Recognises targets in origin form, asterisk form and absolute form.
fn target(rest: &[u8]) -> Option<Protocol> {
    if rest.is_empty() {
        return None;
    }
    for start in [&b"/"[..], b"* HTTP/1.", b"http://", b"https://"] {
        if is_prefix(rest, start) {
            return (rest.len() >= start.len()).then_some(Protocol::Http1);
        }
    }
    Some(Protocol::Unknown)
}

/// Returns true if one is a prefix of the other. Case is ignored: a scheme may be in capitals.
fn is_prefix(bytes: &[u8], of: &[u8]) -> bool {
    let shorter = bytes.len().min(of.len());
    bytes[..shorter].eq_ignore_ascii_case(&of[..shorter])
}

/// Token characters (RFC 9110 section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocol_is_detected_by_the_first_bytes() {
        let cases: &[(&[u8], Option<Protocol>)] = &[
            (b"", None),
            (b"\x16", None),
            (b"\x16\x03", None),
            (b"\x16\x03\x01\x02\x00", Some(Protocol::Tls)),
            (b"\x16\x03\x03", Some(Protocol::Tls)),
            (b"\x16\x02\x00", Some(Protocol::Unknown)),
            (b"\x80\x2e\x01\x00\x02", Some(Protocol::Unknown)),
            (b"P", None),
            (b"PRI * HTTP/2.0\r\n\r\nSM", None),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0", Some(Protocol::Http2)),
            (b"PRI * HTTP/1.1\r\n", Some(Protocol::Http1)),
            (b"POST /a", Some(Protocol::Http1)),
            (b"GET", None),
            (b"GET ", None),
            (b"GET /", Some(Protocol::Http1)),
            (b"get /", Some(Protocol::Http1)),
            (b"M-SEARCH * HTTP/1.1\r\n", Some(Protocol::Http1)),
            (b"OPTIONS * HT", None),
            (b"GET htt", None),
            (b"GET HTTP://a/ HTTP/1.1", Some(Protocol::Http1)),
            (b"CONNECT a:443 HTTP/1.1", Some(Protocol::Unknown)),
            (b"EHLO mail.test\r\n", Some(Protocol::Unknown)),
            (b"NICK someone\r\n", Some(Protocol::Unknown)),
            (b"SSH-2.0-OpenSSH_9\r\n", Some(Protocol::Unknown)),
            (b"*1\r\n$4\r\nPING\r\n", Some(Protocol::Unknown)),
            (b" GET /", Some(Protocol::Unknown)),
            (b"\r\nGET /", Some(Protocol::Unknown)),
            (&[b'A'; 41], Some(Protocol::Unknown)),
            (&[b'A'; 40], None),
        ];
        for (first, expected) in cases {
            assert_eq!(protocol_of(first), *expected, "{}", String::from_utf8_lossy(first));
        }
    }

    proptest::proptest! {
        #[test]
        fn detected_protocol_does_not_change_with_more_bytes(
            start in proptest::sample::select(vec!["", "\x16\x03", "GET ", "PRI * HTTP/2.0\r\n\r\nS", "OPTIONS * HTTP/1", "x HtTp"]),
            rest in proptest::collection::vec(proptest::num::u8::ANY, 0..60),
        ) {
            let bytes = [start.as_bytes(), &rest].concat();
            let mut detected = None;
            for n in 0..=bytes.len() {
                let now = protocol_of(&bytes[..n]);
                proptest::prop_assert!(detected.is_none() || now == detected, "{:?}", &bytes[..n]);
                detected = now;
            }
        }
    }
}
