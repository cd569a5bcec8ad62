//! Multipart payloads (RFC 2046 section 5.1). [`parts`] splits a payload in memory, [`Splitter`] a stream, with equal
//! results.

use super::MediaType;

/// A body part, borrowed from the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyPart<'a> {
    /// The header lines, without the empty line after them.
    pub headers: &'a [u8],
    pub body: &'a [u8],
}

impl<'a> BodyPart<'a> {
    /// The value of a header of the part, compared case-insensitively.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a str> {
        let text = std::str::from_utf8(self.headers).ok()?;
        let mut fields = text.lines().filter_map(|line| line.split_once(':'));
        fields.find(|(field, _)| field.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// The `name` in `Content-Disposition` (RFC 7578 section 4.2).
    #[must_use]
    pub fn name(&self) -> Option<String> {
        MediaType::parse(self.header("content-disposition")?).parameter("name").map(str::to_owned)
    }
}

/// The parts of a payload in order, without preamble and epilogue. `None` if the boundary or the closing delimiter is
/// missing.
///
/// ```
/// use harproxy_http::multipart::parts;
/// let body = b"--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--x--\r\n";
/// let found = parts(body, "x").unwrap();
/// assert_eq!((found[0].name().as_deref(), found[0].body), (Some("a"), &b"1"[..]));
/// assert!(parts(body, "y").is_none());
/// ```
#[must_use]
pub fn parts<'a>(payload: &'a [u8], boundary: &str) -> Option<Vec<BodyPart<'a>>> {
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

/// The text before the next delimiter line, without the line break, which belongs to the delimiter; and the text
/// after the delimiter.
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

/// Splits a part at the first empty line. Lines may end with CRLF or LF.
fn part(content: &[u8]) -> BodyPart<'_> {
    let mut start = 0;
    for end in memchr::memchr_iter(b'\n', content) {
        if matches!(&content[start..end], b"" | b"\r") {
            let headers = &content[..start];
            let headers = headers.strip_suffix(b"\n").map_or(headers, |line| line.strip_suffix(b"\r").unwrap_or(line));
            return BodyPart { headers, body: &content[end + 1..] };
        }
        start = end + 1;
    }
    BodyPart { headers: content, body: b"" }
}

/// A fragment of a part in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// More of its header lines.
    Headers(&'a [u8]),
    /// More of its content.
    Body(&'a [u8]),
    End,
}

/// Splits a streamed payload in constant memory.
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
    /// The closing delimiter. Without its last two bytes it is the delimiter between parts.
    closing: Vec<u8>,
    state: State,
    /// The previous line break. It belongs to the part unless the current line is a delimiter.
    line_break: &'static [u8],
    line: Line,
    /// The current part. `None` in the preamble.
    part: Option<PartialPart>,
}

/// The state of the splitter at the next byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In a line that so far consists of this many first bytes of the closing delimiter.
    Start(usize),
    /// In a line that is not a delimiter.
    Text,
    /// In a line after its delimiter.
    Delimiter,
    /// After the closing delimiter.
    Closed,
}

impl Splitter {
    /// A splitter for a payload with this boundary.
    #[must_use]
    pub fn new(boundary: &str) -> Self {
        let closing = format!("--{boundary}--").into_bytes();
        Splitter { closing, state: State::Start(0), line_break: b"", line: Line::default(), part: None }
    }

    /// Processes the next bytes and calls `each` with the pieces that they complete.
    pub fn push(&mut self, mut bytes: &[u8], mut each: impl FnMut(Piece<'_>)) {
        while let Some(&first) = bytes.first() {
            match self.state {
                State::Closed => return,
                State::Start(known) if first == self.closing[known] => {
                    self.state = State::Start(known + 1);
                    if known + 1 == self.closing.len() {
                        self.end_part(&mut each);
                        self.state = State::Closed;
                    }
                    bytes = &bytes[1..];
                }
                State::Start(known) if known + 2 == self.closing.len() && b"\r\n \t".contains(&first) => {
                    self.end_part(&mut each);
                    self.part = Some(PartialPart::default());
                    self.state = State::Delimiter;
                }
                State::Start(known) => {
                    self.state = State::Text;
                    let Splitter { closing, line, part, line_break, .. } = self;
                    push_text(part, std::mem::take(line_break), &mut each);
                    line.text(&closing[..known], |text| push_text(part, text, &mut each));
                }
                State::Text | State::Delimiter => {
                    let end = memchr::memchr(b'\n', bytes);
                    let text = &bytes[..end.unwrap_or(bytes.len())];
                    let Splitter { line, part, .. } = self;
                    if self.state == State::Text {
                        line.text(text, |text| push_text(part, text, &mut each));
                    }
                    let Some(end) = end else { return };
                    if self.state == State::Text {
                        self.line_break = self.line.end();
                    }
                    self.state = State::Start(0);
                    bytes = &bytes[end + 1..];
                }
            }
        }
    }

    /// True after the closing delimiter. Without it, the payload is not valid multipart.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// Ends the current part at a delimiter, which includes the line break before it.
    fn end_part(&mut self, each: &mut impl FnMut(Piece<'_>)) {
        self.line_break = b"";
        if let Some(part) = self.part.take() {
            part.end(each);
        }
    }
}

fn push_text(part: &mut Option<PartialPart>, text: &[u8], each: &mut impl FnMut(Piece<'_>)) {
    if let Some(part) = part {
        part.push(text, each);
    }
}

/// An incomplete part.
#[derive(Clone, Debug, Default)]
struct PartialPart {
    in_body: bool,
    line: Line,
    /// The previous line break.
    line_break: &'static [u8],
    /// True if the current header line is not empty.
    filled: bool,
}

impl PartialPart {
    fn push(&mut self, mut bytes: &[u8], each: &mut impl FnMut(Piece<'_>)) {
        while !self.in_body && !bytes.is_empty() {
            let end = memchr::memchr(b'\n', bytes);
            let text = &bytes[..end.unwrap_or(bytes.len())];
            let (line_break, filled) = (&mut self.line_break, &mut self.filled);
            self.line.text(text, |text| {
                if !line_break.is_empty() {
                    each(Piece::Headers(std::mem::take(line_break)));
                }
                *filled = true;
                each(Piece::Headers(text));
            });
            let Some(end) = end else { return };
            bytes = &bytes[end + 1..];
            self.line_break = self.line.end();
            self.in_body = !std::mem::take(&mut self.filled);
        }
        if !bytes.is_empty() {
            each(Piece::Body(bytes));
        }
    }

    fn end(self, each: &mut impl FnMut(Piece<'_>)) {
        let pending: [&[u8]; 2] = [self.line_break, if self.line.cr { b"\r" } else { b"" }];
        if !self.in_body {
            pending.into_iter().filter(|text| !text.is_empty()).for_each(|text| each(Piece::Headers(text)));
        }
        each(Piece::End);
    }
}

/// A line that holds back a final CR, which may belong to the line break.
#[derive(Clone, Debug, Default)]
struct Line {
    cr: bool,
}

impl Line {
    /// Adds text of the line, without a line feed.
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

    /// Ends the line at a line feed. Returns the line break.
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
    fn parts_are_split_at_delimiter_lines() {
        let payload = "preamble\r\n--b\r\n\r\none\r\n--bb is no boundary\r\n--b \r\nX: y\r\n\r\n\r\n--b--\r\nepilogue";
        assert_eq!(bodies(payload, "b"), Some(vec!["one\r\n--bb is no boundary", ""]));
        assert_eq!(bodies("--b\n\nx\n--b\nA: b\n\ny\n--b--", "b"), Some(vec!["x", "y"]));
        assert_eq!(bodies("---8\r\n\r\n--\r\n---8--\r\n", "-8"), Some(vec!["--"]));
        assert_eq!(bodies("--b--", "b"), Some(vec![]));
    }

    #[test]
    fn parts_is_none_without_boundary_or_closing_delimiter() {
        assert_eq!(bodies("--b\r\n\r\nx\r\n--b--\r\n", "c"), None);
        assert_eq!(bodies("--b\r\n\r\nx\r\n", "b"), None);
        assert_eq!(bodies("--b\r\n\r\nx\r\n--b\r\n", "b"), None);
        assert_eq!(bodies("", "b"), None);
    }

    #[test]
    fn headers_end_at_the_first_empty_line_with_crlf_or_lf() {
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
    fn name_is_read_from_content_disposition() {
        let payload =
            b"--b\r\ncontent-disposition: form-data; filename=\"x;y\"; name=\"f\"\r\n\r\n1\r\n--b\r\n\r\n2\r\n--b--";
        let names: Vec<_> = parts(payload, "b").unwrap().iter().map(BodyPart::name).collect();
        assert_eq!(names, [Some("f".to_owned()), None]);
    }
}
