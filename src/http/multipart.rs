//! Multipart payloads (RFC 2046 section 5.1): the parts, the boundary set aside.

use super::MediaType;

/// One part, as it stands in the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// Its header lines, without the empty line after them.
    pub headers: &'a [u8],
    /// Its content.
    pub body: &'a [u8],
}

impl<'a> Part<'a> {
    /// The value of a header of the part; `name` in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a str> {
        let text = std::str::from_utf8(self.headers).ok()?;
        let mut fields = text.lines().filter_map(|line| line.split_once(':'));
        fields.find(|(field, _)| field.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// The `name` of its `Content-Disposition` (RFC 7578 section 4.2).
    #[must_use]
    pub fn name(&self) -> Option<String> {
        MediaType::parse(self.header("content-disposition")?).parameter("name").map(str::to_owned)
    }
}

/// The parts of a payload, in order; `None` when the boundary does not divide it or the closing one is missing. What
/// stands before the first boundary and after the last is set aside, as the RFC says.
///
/// ```
/// use harproxy::http::multipart::parts;
/// let body = b"--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--x--\r\n";
/// let found = parts(body, "x").unwrap();
/// assert_eq!((found[0].name().as_deref(), found[0].body), (Some("a"), &b"1"[..]));
/// assert!(parts(body, "y").is_none());
/// ```
#[must_use]
pub fn parts<'a>(payload: &'a [u8], boundary: &str) -> Option<Vec<Part<'a>>> {
    let delimiter = format!("--{boundary}");
    let mut rest = after_delimiter(payload, delimiter.as_bytes())?.1;
    let mut parts = Vec::new();
    while !rest.starts_with(b"--") {
        let line = rest.iter().position(|&byte| byte == b'\n')?;
        let (content, next) = after_delimiter(&rest[line + 1..], delimiter.as_bytes())?;
        parts.push(part(content));
        rest = next;
    }
    Some(parts)
}

/// What stands before the next delimiter line (the line break belongs to the delimiter), and what follows the delimiter.
fn after_delimiter<'a>(text: &'a [u8], delimiter: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let found = memchr::memmem::find_iter(text, delimiter).find(|&at| {
        let rest = &text[at + delimiter.len()..];
        let ends = matches!(rest, [] | [b'\r' | b'\n' | b' ' | b'\t', ..]) || rest.starts_with(b"--");
        ends && (at == 0 || text[at - 1] == b'\n')
    })?;
    let before = &text[..found];
    let before = before.strip_suffix(b"\n").map_or(before, |line| line.strip_suffix(b"\r").unwrap_or(line));
    Some((before, &text[found + delimiter.len()..]))
}

fn part(content: &[u8]) -> Part<'_> {
    for (empty_line, at_start) in [(&b"\r\n\r\n"[..], &b"\r\n"[..]), (b"\n\n", b"\n")] {
        if let Some(body) = content.strip_prefix(at_start) {
            return Part { headers: b"", body };
        }
        if let Some(at) = memchr::memmem::find(content, empty_line) {
            return Part { headers: &content[..at], body: &content[at + empty_line.len()..] };
        }
    }
    Part { headers: content, body: b"" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bodies<'a>(payload: &'a str, boundary: &str) -> Option<Vec<&'a str>> {
        Some(parts(payload.as_bytes(), boundary)?.iter().map(|p| std::str::from_utf8(p.body).unwrap()).collect())
    }

    #[test]
    fn parts_between_their_boundaries() {
        let payload = "preamble\r\n--b\r\n\r\none\r\n--bb is no boundary\r\n--b \r\nX: y\r\n\r\n\r\n--b--\r\nepilogue";
        assert_eq!(bodies(payload, "b"), Some(vec!["one\r\n--bb is no boundary", ""]));
        assert_eq!(bodies("--b\n\nx\n--b\nA: b\n\ny\n--b--", "b"), Some(vec!["x", "y"]));
        assert_eq!(bodies("---8\r\n\r\n--\r\n---8--\r\n", "-8"), Some(vec!["--"]));
        assert_eq!(bodies("--b--", "b"), Some(vec![]));
    }

    #[test]
    fn what_is_not_divided_has_no_parts() {
        assert_eq!(bodies("--b\r\n\r\nx\r\n--b--\r\n", "c"), None);
        assert_eq!(bodies("--b\r\n\r\nx\r\n", "b"), None);
        assert_eq!(bodies("--b\r\n\r\nx\r\n--b\r\n", "b"), None);
        assert_eq!(bodies("", "b"), None);
    }

    #[test]
    fn names_of_parts() {
        let payload =
            b"--b\r\ncontent-disposition: form-data; filename=\"x;y\"; name=\"f\"\r\n\r\n1\r\n--b\r\n\r\n2\r\n--b--";
        let names: Vec<_> = parts(payload, "b").unwrap().iter().map(Part::name).collect();
        assert_eq!(names, [Some("f".to_owned()), None]);
    }
}
