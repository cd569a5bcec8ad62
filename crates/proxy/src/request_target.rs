//! Percent-encodes the characters of a request target that hyper refuses. Real clients send them raw.

use std::ops::Range;

/// Returns received bytes that begin with a request line, with its target encoded. `None` if nothing is to be encoded,
/// or if the line is not complete.
pub(crate) fn encode(received: &[u8]) -> Option<Vec<u8>> {
    let path = path_of(received)?;
    if !received[path.clone()].iter().any(is_refused) {
        return None;
    }
    let mut encoded = received[..path.start].to_vec();
    for byte in &received[path.clone()] {
        match is_refused(byte) {
            true => encoded.extend_from_slice(format!("%{byte:02X}").as_bytes()),
            false => encoded.push(*byte),
        }
    }
    encoded.extend_from_slice(&received[path.end..]);
    Some(encoded)
}

/// Returns the first raw character of a request target that is not valid in a URL, for messages.
pub(crate) fn invalid_character(received: &[u8]) -> Option<String> {
    let line = received.split(|byte| *byte == b'\n').next()?;
    let target = line.split(|byte| *byte == b' ').nth(1)?;
    let at = target.iter().position(|byte| is_refused(byte) || !byte.is_ascii_graphic())?;
    let text = String::from_utf8_lossy(&target[at..]);
    text.chars().next().map(|character| character.escape_debug().to_string())
}

/// Returns the place of path and query in a request line of HTTP/1 (RFC 9112 section 3).
fn path_of(received: &[u8]) -> Option<Range<usize>> {
    let line = &received[..received.iter().position(|byte| *byte == b'\n')?];
    let start = line.iter().position(|byte| *byte == b' ')? + 1;
    let end = line.iter().rposition(|byte| *byte == b' ')?;
    if end < start || !line[end + 1..].starts_with(b"HTTP/1.") || !line[..start - 1].iter().all(u8::is_ascii_graphic) {
        return None;
    }
    let target = &line[start..end];
    let authority = target.windows(3).position(|window| window == b"://").map_or(0, |at| at + 3);
    let is_path = |byte: &u8| matches!(byte, b'/' | b'?');
    // In absolute form the path begins after the authority.
    let path =
        if target.first() == Some(&b'/') { 0 } else { authority + target[authority..].iter().position(is_path)? };
    Some(start + path..end)
}

fn is_refused(byte: &u8) -> bool {
    matches!(byte, b'"' | b'<' | b'>' | b'`' | 0x80..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn target_is_encoded_in_origin_form_and_in_absolute_form() {
        for (line, expected) in [
            ("GET /a\"b?x=<\"y\"> HTTP/1.1", "GET /a%22b?x=%3C%22y%22%3E HTTP/1.1"),
            ("GET http://h.test/`ü HTTP/1.0", "GET http://h.test/%60%C3%BC HTTP/1.0"),
            ("GET http://h.test?q=\" HTTP/1.1", "GET http://h.test?q=%22 HTTP/1.1"),
        ] {
            let (received, expected) = (format!("{line}\r\nX: \"<\r\n\r\n"), format!("{expected}\r\nX: \"<\r\n\r\n"));
            assert_eq!(encode(received.as_bytes()).map(|bytes| String::from_utf8(bytes).unwrap()), Some(expected));
        }
    }

    #[test]
    fn other_bytes_are_not_changed() {
        for line in
            ["GET /a%22b HTTP/1.1\r\n", "GET /\" HTTP/1.1", "GET /\" HTTP/2.0\r\n", "X: \"a\"\r\n", "\"\r\n", "\n", ""]
        {
            assert_eq!(encode(line.as_bytes()), None, "{line:?}");
        }
        assert_eq!(encode("GET http://bücher.test/ HTTP/1.1\r\n".as_bytes()), None, "a host is not percent-encoded");
    }

    #[test]
    fn invalid_character_is_the_first_one_of_the_target() {
        assert_eq!(invalid_character(b"GET /a`b\" HTTP/1.1\r\n").as_deref(), Some("`"));
        assert_eq!(invalid_character("GET http://bücher.test/ HTTP/1.1\r\n".as_bytes()).as_deref(), Some("ü"));
        assert_eq!(invalid_character(b"GET /ab HTTP/1.1\r\n"), None);
    }
}
