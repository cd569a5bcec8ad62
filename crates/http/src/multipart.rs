//! Multipart payloads (RFC 2046 section 5.1): the parts, the boundary set aside. [`parts`] takes a payload apart that is there,
//! [`Splitter`] one that passes by; they agree.

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
/// use harproxy_http::multipart::parts;
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

/// The header lines end at the first empty line, whichever way the lines are broken.
fn part(content: &[u8]) -> Part<'_> {
    let mut start = 0;
    for end in memchr::memchr_iter(b'\n', content) {
        if matches!(&content[start..end], b"" | b"\r") {
            let headers = &content[..start];
            let headers = headers.strip_suffix(b"\n").map_or(headers, |line| line.strip_suffix(b"\r").unwrap_or(line));
            return Part { headers, body: &content[end + 1..] };
        }
        start = end + 1;
    }
    Part { headers: content, body: b"" }
}

/// What of a part comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// More of its header lines.
    Headers(&'a [u8]),
    /// More of its content.
    Body(&'a [u8]),
    /// Its end.
    End,
}

/// Takes a payload apart while it passes, in memory that does not grow with it.
///
/// ```
/// use harproxy_http::multipart::{Piece, Splitter};
/// let (mut splitter, mut body) = (Splitter::new("x"), Vec::<u8>::new());
/// for bytes in [&b"--x\r\nA: b\r\n\r\non"[..], b"e\r", b"\n--x-", b"-\r\n"] {
///     splitter.push(bytes, |piece| if let Piece::Body(bytes) = piece { body.extend(bytes) });
/// }
/// assert!(splitter.is_closed());
/// assert_eq!(body, b"one");
/// ```
#[derive(Clone, Debug)]
pub struct Splitter {
    /// The closing delimiter; without its last two bytes it is the one between parts.
    closing: Vec<u8>,
    at: At,
    /// How the line before this one ended: it belongs to the part unless this line is a delimiter.
    broken: &'static [u8],
    line: Line,
    /// The part under way; before the first delimiter there is none.
    part: Option<Open>,
}

/// Where in the payload the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// On a line of which so many bytes are the closing delimiter's first, and none is anything else.
    Start(usize),
    /// On a line that is no delimiter.
    Text,
    /// After a delimiter, on its line.
    Delimiter,
    /// After the closing one.
    Closed,
}

impl Splitter {
    /// For a payload of which `Content-Type` names this boundary.
    #[must_use]
    pub fn new(boundary: &str) -> Self {
        let closing = format!("--{boundary}--").into_bytes();
        Splitter { closing, at: At::Start(0), broken: b"", line: Line::default(), part: None }
    }

    /// Takes the next bytes, and tells `each` piece of a part that they settle.
    pub fn push(&mut self, mut bytes: &[u8], mut each: impl FnMut(Piece<'_>)) {
        while let Some(&first) = bytes.first() {
            match self.at {
                At::Closed => return,
                At::Start(known) if first == self.closing[known] => {
                    self.at = At::Start(known + 1);
                    if known + 1 == self.closing.len() {
                        self.end(&mut each);
                        self.at = At::Closed;
                    }
                    bytes = &bytes[1..];
                }
                At::Start(known) if known + 2 == self.closing.len() && b"\r\n \t".contains(&first) => {
                    self.end(&mut each);
                    self.part = Some(Open::default());
                    self.at = At::Delimiter;
                }
                At::Start(known) => {
                    self.at = At::Text;
                    let Splitter { closing, line, part, broken, .. } = self;
                    tell(part, std::mem::take(broken), &mut each);
                    line.text(&closing[..known], |text| tell(part, text, &mut each));
                }
                At::Text | At::Delimiter => {
                    let end = memchr::memchr(b'\n', bytes);
                    let text = &bytes[..end.unwrap_or(bytes.len())];
                    let Splitter { line, part, .. } = self;
                    if self.at == At::Text {
                        line.text(text, |text| tell(part, text, &mut each));
                    }
                    let Some(end) = end else { return };
                    if self.at == At::Text {
                        self.broken = self.line.end();
                    }
                    self.at = At::Start(0);
                    bytes = &bytes[end + 1..];
                }
            }
        }
    }

    /// Whether the closing delimiter has come: without it, this was no multipart payload.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.at == At::Closed
    }

    /// A delimiter came: the line break before it is its own.
    fn end(&mut self, each: &mut impl FnMut(Piece<'_>)) {
        self.broken = b"";
        if let Some(part) = self.part.take() {
            part.end(each);
        }
    }
}

fn tell(part: &mut Option<Open>, text: &[u8], each: &mut impl FnMut(Piece<'_>)) {
    if let Some(part) = part {
        part.push(text, each);
    }
}

/// A part whose end has not come.
#[derive(Clone, Debug, Default)]
struct Open {
    in_body: bool,
    line: Line,
    /// How the header line before this one ended.
    broken: &'static [u8],
    /// Whether anything stands on this header line.
    filled: bool,
}

impl Open {
    fn push(&mut self, mut bytes: &[u8], each: &mut impl FnMut(Piece<'_>)) {
        while !self.in_body && !bytes.is_empty() {
            let end = memchr::memchr(b'\n', bytes);
            let text = &bytes[..end.unwrap_or(bytes.len())];
            let (broken, filled) = (&mut self.broken, &mut self.filled);
            self.line.text(text, |text| {
                if !broken.is_empty() {
                    each(Piece::Headers(std::mem::take(broken)));
                }
                *filled = true;
                each(Piece::Headers(text));
            });
            let Some(end) = end else { return };
            bytes = &bytes[end + 1..];
            self.broken = self.line.end();
            self.in_body = !std::mem::take(&mut self.filled);
        }
        if !bytes.is_empty() {
            each(Piece::Body(bytes));
        }
    }

    fn end(self, each: &mut impl FnMut(Piece<'_>)) {
        let held: [&[u8]; 2] = [self.broken, if self.line.cr { b"\r" } else { b"" }];
        if !self.in_body {
            held.into_iter().filter(|held| !held.is_empty()).for_each(|held| each(Piece::Headers(held)));
        }
        each(Piece::End);
    }
}

/// A line of which a last CR is held back: it may be the line break's.
#[derive(Clone, Debug, Default)]
struct Line {
    cr: bool,
}

impl Line {
    /// More of the line, without a line feed.
    fn text(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8])) {
        if bytes.is_empty() {
            return;
        }
        if self.cr {
            each(b"\r");
        }
        let text = bytes.strip_suffix(b"\r");
        self.cr = text.is_some();
        let text = text.unwrap_or(bytes);
        if !text.is_empty() {
            each(text);
        }
    }

    /// The line feed came: how the line is broken.
    fn end(&mut self) -> &'static [u8] {
        if std::mem::take(&mut self.cr) { b"\r\n" } else { b"\n" }
    }
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
    fn the_first_empty_line_ends_the_headers_however_lines_are_broken() {
        let split = |payload: &'static str| {
            let part = parts(payload.as_bytes(), "b").unwrap()[0];
            (std::str::from_utf8(part.headers).unwrap(), std::str::from_utf8(part.body).unwrap())
        };
        assert_eq!(split("--b\r\nA: b\r\n\r\nx\n\ny\r\n--b--"), ("A: b", "x\n\ny"));
        assert_eq!(split("--b\nA: b\n\nx\r\n\r\ny\n--b--"), ("A: b", "x\r\n\r\ny"));
        assert_eq!(split("--b\r\n\r\nx\r\n--b--"), ("", "x"));
        assert_eq!(split("--b\nno empty line\n--b--"), ("no empty line", ""));
    }

    #[test]
    fn names_of_parts() {
        let payload =
            b"--b\r\ncontent-disposition: form-data; filename=\"x;y\"; name=\"f\"\r\n\r\n1\r\n--b\r\n\r\n2\r\n--b--";
        let names: Vec<_> = parts(payload, "b").unwrap().iter().map(Part::name).collect();
        assert_eq!(names, [Some("f".to_owned()), None]);
    }
}
