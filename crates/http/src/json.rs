//! JSON text, compact ↔ indented, by touching nothing but the white space outside strings: numbers keep their spelling,
//! escapes theirs, duplicate keys stay. No value is ever built, so documents of any size pass through.

use std::io::{self, BufRead, Read, Write};

use serde::de::IgnoredAny;

/// Whether `text` is a JSON object or array with members and without white space outside strings: what [`indent`] can
/// spread over lines and [`compact`] brings back byte for byte.
///
/// ```
/// use harproxy_http::json::is_compact;
/// assert!(is_compact(br#"{"a":1.0e5,"a":"x y"}"#));
/// assert!(!is_compact(br#"{"a": 1}"#));
/// assert!(!is_compact(b"[]"));
/// ```
#[must_use]
pub fn is_compact(text: &[u8]) -> bool {
    let mut layout = Layout::default();
    layout.push(text);
    layout.is_compact() && std::str::from_utf8(text).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

/// A member as a step of a JSON path (RFC 9535 section 2.3): `.name`, or `['…']` when it is not a word.
///
/// ```
/// use harproxy_http::json::member_step;
/// assert_eq!([member_step("größe"), member_step("it's")], [".größe", r"['it\'s']"]);
/// ```
#[must_use]
pub fn member_step(name: &str) -> String {
    let is_word = name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    if is_word { format!(".{name}") } else { format!("['{}']", name.replace('\\', r"\\").replace('\'', r"\'")) }
}

/// Whether this is the beginning of JSON with a name or a string in it.
#[must_use]
pub fn begins_with_text(text: &[u8]) -> bool {
    match text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text).trim_ascii_start() {
        [b'{' | b'[', inside @ ..] => matches!(inside.trim_ascii_start().first(), Some(b'"' | b'{')),
        _ => false,
    }
}

/// Whether all of `read` is one JSON value. Strings are not checked to be UTF-8.
#[must_use]
pub fn is_valid(read: impl Read) -> bool {
    serde_json::from_reader::<_, IgnoredAny>(io::BufReader::new(read)).is_ok()
}

/// The text without white space outside strings.
///
/// ```
/// use harproxy_http::json::compact;
/// assert_eq!(compact(b"{\n  \"a b\": [ 1.0, 2 ]\n}\n"), br#"{"a b":[1.0,2]}"#);
/// ```
#[must_use]
pub fn compact(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    Compacter::default().push(text, &mut out);
    out
}

/// Compact JSON spread over lines: one member a line, two spaces a level, `": "` after names, a final newline.
///
/// ```
/// use harproxy_http::json::indent;
/// assert_eq!(indent(br#"{"a":[],"b":[1]}"#), b"{\n  \"a\": [],\n  \"b\": [\n    1\n  ]\n}\n");
/// ```
#[must_use]
pub fn indent(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + text.len() / 2);
    let mut indenter = Indenter::default();
    indenter.push(text, &mut out);
    indenter.finish(&mut out);
    out
}

/// [`indent`] from a reader to a writer.
///
/// # Errors
/// When either fails.
pub fn indent_stream(read: impl Read, write: &mut dyn Write) -> io::Result<()> {
    let mut read = io::BufReader::with_capacity(64 * 1024, read);
    let mut indenter = Indenter::default();
    let mut out = Vec::new();
    loop {
        let chunk = read.fill_buf()?;
        if chunk.is_empty() {
            indenter.finish(&mut out);
            return write.write_all(&out);
        }
        indenter.push(chunk, &mut out);
        let used = chunk.len();
        read.consume(used);
        write.write_all(&out)?;
        out.clear();
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Follows strings: which bytes stand inside one.
#[derive(Clone, Copy, Debug, Default)]
struct Strings {
    inside: bool,
    escaped: bool,
}

impl Strings {
    /// How many bytes at the beginning of `text` need no look: they stand inside a string, and none of them ends it or
    /// escapes anything.
    fn run(self, text: &[u8]) -> usize {
        match self {
            Strings { inside: true, escaped: false } => memchr::memchr2(b'"', b'\\', text).unwrap_or(text.len()),
            _ => 0,
        }
    }

    /// Takes the next byte; true when it belongs to a string, its quotes included.
    fn take(&mut self, byte: u8) -> bool {
        if !self.inside {
            self.inside = byte == b'"';
            return self.inside;
        }
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' => self.escaped = true,
            b'"' => self.inside = false,
            _ => {}
        }
        true
    }
}

/// Looks at a text as it streams by: could [`indent`] and [`compact`] be each other's inverse on it?
#[derive(Clone, Copy, Debug, Default)]
pub struct Layout {
    strings: Strings,
    first: Option<u8>,
    len: u64,
    depth: usize,
    unfit: bool,
}

/// Deeper texts are left alone: indentation grows with the square of the depth.
const MAX_DEPTH: usize = 128;

impl Layout {
    /// Takes the next chunk.
    pub fn push(&mut self, chunk: &[u8]) {
        if self.unfit {
            return;
        }
        self.first = self.first.or(chunk.first().copied());
        self.len += chunk.len() as u64;
        let mut rest = chunk;
        while let Some((&byte, behind)) = rest[self.strings.run(rest)..].split_first() {
            rest = behind;
            if !self.strings.take(byte) && self.is_unfit(byte) {
                self.unfit = true;
                return;
            }
        }
    }

    fn is_unfit(&mut self, byte: u8) -> bool {
        match byte {
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        is_space(byte) || self.depth > MAX_DEPTH
    }

    /// Whether all that came is a non-empty object or array, not too deep, without white space outside strings, if it is
    /// JSON at all.
    #[must_use]
    pub fn is_compact(&self) -> bool {
        !self.unfit && self.len > 2 && matches!(self.first, Some(b'{' | b'['))
    }
}

/// [`compact`] for a text that comes in chunks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Compacter {
    strings: Strings,
}

impl Compacter {
    /// Appends what stays of `chunk` to `out`.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        out.extend(chunk.iter().filter(|&&byte| self.strings.take(byte) || !is_space(byte)));
    }
}

/// [`compact`] over a reader.
#[derive(Debug)]
pub struct CompactReader<R> {
    read: R,
    compacter: Compacter,
    ready: Vec<u8>,
    served: usize,
    chunk: Vec<u8>,
}

impl<R: Read> CompactReader<R> {
    /// Wraps a reader.
    pub fn new(read: R) -> Self {
        let chunk = vec![0; 64 * 1024];
        CompactReader { read, compacter: Compacter::default(), ready: Vec::new(), served: 0, chunk }
    }
}

impl<R: Read> Read for CompactReader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.served == self.ready.len() {
            let n = self.read.read(&mut self.chunk)?;
            if n == 0 {
                return Ok(0);
            }
            self.ready.clear();
            self.served = 0;
            self.compacter.push(&self.chunk[..n], &mut self.ready);
        }
        let n = buf.len().min(self.ready.len() - self.served);
        buf[..n].copy_from_slice(&self.ready[self.served..self.served + n]);
        self.served += n;
        Ok(n)
    }
}

/// [`indent`] for a compact text that comes in chunks.
#[derive(Clone, Copy, Debug, Default)]
struct Indenter {
    strings: Strings,
    depth: usize,
    /// The last byte opened an object or array: whether a line break follows depends on what comes next.
    opened: bool,
}

impl Indenter {
    fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        let mut rest = chunk;
        while !rest.is_empty() {
            // Nothing but a bracket or a comma is followed by anything, and nothing but a bracket begins anything.
            let plain = match self.strings.inside {
                true => self.strings.run(rest),
                false => rest
                    .iter()
                    .position(|byte| matches!(byte, b'"' | b'{'..=b'}' | b'[' | b']' | b',' | b':'))
                    .unwrap_or(rest.len()),
            };
            if plain > 0 && std::mem::take(&mut self.opened) {
                self.line(out);
            }
            out.extend_from_slice(&rest[..plain]);
            let Some((&byte, behind)) = rest[plain..].split_first() else { return };
            self.take(byte, out);
            rest = behind;
        }
    }

    fn take(&mut self, byte: u8, out: &mut Vec<u8>) {
        let closes = !self.strings.inside && matches!(byte, b'}' | b']');
        if closes {
            self.depth = self.depth.saturating_sub(1);
        }
        if self.opened != closes {
            self.line(out);
        }
        self.opened = false;
        out.push(byte);
        if self.strings.take(byte) {
            return;
        }
        match byte {
            b'{' | b'[' => {
                self.depth += 1;
                self.opened = true;
            }
            b',' => self.line(out),
            b':' => out.push(b' '),
            _ => {}
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        out.push(b'\n');
    }

    fn line(self, out: &mut Vec<u8>) {
        out.push(b'\n');
        out.resize(out.len() + 2 * self.depth, b' ');
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// JSON texts as other programs write them: odd numbers, escapes, duplicate keys, nothing spaced.
    fn json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("1.0e5".to_owned()),
            Just("-0".to_owned()),
            Just("1E+2".to_owned()),
            Just("null".to_owned()),
            Just("12345678901234567890123".to_owned()),
            Just(r#""\u00e9\\\" \/,:{ }""#.to_owned()),
            Just(r#""\ud83d""#.to_owned()),
            any::<String>().prop_map(|s| serde_json::to_string(&s).unwrap()),
        ];
        leaf.prop_recursive(5, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(|v| format!("[{}]", v.join(","))),
                prop::collection::vec((r#""[ab :,\{]{0,2}""#, inner), 0..5).prop_map(|v| {
                    let members: Vec<_> = v.iter().map(|(k, v)| format!("{k}:{v}")).collect();
                    format!("{{{}}}", members.join(","))
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn compact_brings_back_what_indent_spread(text in json()) {
            let spread = indent(text.as_bytes());
            prop_assert!(is_valid(&spread[..]), "{}", String::from_utf8_lossy(&spread));
            prop_assert_eq!(compact(&spread), text.as_bytes());
            let mut streamed = Vec::new();
            indent_stream(text.as_bytes(), &mut streamed).unwrap();
            prop_assert_eq!(&streamed, &spread);
            let mut back = Vec::new();
            CompactReader::new(&spread[..]).read_to_end(&mut back).unwrap();
            prop_assert_eq!(back, text.as_bytes());
        }

        #[test]
        fn any_bytes_can_be_spread(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = indent(&bytes);
            let _ = compact(&bytes);
            let _ = is_compact(&bytes);
        }
    }

    #[test]
    fn one_member_a_line() {
        let text = br#"{"a":{"b":[1,{"c":[]},{}],"d":"x,y:{}"},"e":null}"#;
        let spread = String::from_utf8(indent(text)).unwrap();
        let value: serde_json::Value = serde_json::from_slice(text).unwrap();
        assert_eq!(spread, format!("{value:#}\n"));
    }

    #[test]
    fn only_valid_compact_containers_are_compact() {
        for text in [r#"[1]"#, r#"{"a":1}"#, r#"{"a":1,"a":"\u0000"}"#, r#"[[[]]]"#] {
            assert!(is_compact(text.as_bytes()), "{text}");
        }
        let deep = "[".repeat(200) + &"]".repeat(200);
        for text in [
            "",
            "{}",
            "[]",
            "1",
            r#""a b""#,
            r#"{"a":1}"#.trim_end_matches('}'),
            "[1]\n",
            "[1, 2]",
            "[1,]",
            "nil",
            &deep,
        ] {
            assert!(!is_compact(text.as_bytes()), "{text}");
        }
        assert!(!is_compact(b"[\"\xff\"]"));
        assert!(!is_compact(b"\xef\xbb\xbf[1]"));
    }
}
