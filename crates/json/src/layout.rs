//! Compact ↔ indented JSON, by changing only the white space outside strings.
//!
//! No value is built, so documents of any size pass through, and numbers, escapes and duplicate names stay as they are.

use std::io::{self, BufRead, Read, Write};

use serde::de::IgnoredAny;

use super::scan::{StringTracker, is_space};
use super::walk::MAX_DEPTH;

/// Returns true for a non-empty object or array without white space outside strings. Only then does [`compact`] return
/// the text that [`indent`] was given.
///
/// ```
/// use harproxy_json::is_compact;
/// assert!(is_compact(br#"{"a":1.0e5,"a":"x y"}"#));
/// assert!(!is_compact(br#"{"a": 1}"#));
/// assert!(!is_compact(b"[]"));
/// ```
#[must_use]
pub fn is_compact(text: &[u8]) -> bool {
    let mut detector = CompactDetector::default();
    detector.push(text);
    detector.is_compact()
        && std::str::from_utf8(text).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

/// Removes the white space outside strings.
///
/// ```
/// use harproxy_json::compact;
/// assert_eq!(compact(b"{\n  \"a b\": [ 1.0, 2 ]\n}\n"), br#"{"a b":[1.0,2]}"#);
/// ```
#[must_use]
pub fn compact(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    Compacter::default().push(text, &mut out);
    out
}

/// Writes compact JSON with one member a line, two spaces a level, `": "` after names, and a final newline.
///
/// ```
/// use harproxy_json::indent;
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

/// Streams [`indent`] from a reader to a writer.
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

/// Detects in a text that arrives in chunks whether it is compact, like [`is_compact`], provided that it is JSON.
#[derive(Clone, Copy, Debug, Default)]
pub struct CompactDetector {
    strings: StringTracker,
    first: Option<u8>,
    len: u64,
    depth: usize,
    /// White space was found, or the nesting exceeds [`MAX_DEPTH`].
    failed: bool,
}

impl CompactDetector {
    pub fn push(&mut self, chunk: &[u8]) {
        if self.failed {
            return;
        }
        self.first = self.first.or(chunk.first().copied());
        self.len += chunk.len() as u64;
        let mut rest = chunk;
        while let Some((&byte, behind)) = rest[self.strings.plain_run(rest)..].split_first() {
            rest = behind;
            if !self.strings.advance(byte) {
                match byte {
                    b'{' | b'[' => self.depth += 1,
                    b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                    _ => {}
                }
                if is_space(byte) || self.depth > MAX_DEPTH {
                    self.failed = true;
                    return;
                }
            }
        }
    }

    /// Returns true if all chunks together are a non-empty object or array, not too deep, without white space outside
    /// strings.
    #[must_use]
    pub fn is_compact(&self) -> bool {
        !self.failed && self.len > 2 && matches!(self.first, Some(b'{' | b'['))
    }
}

/// Removes the white space outside strings from a text that arrives in chunks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Compacter {
    strings: StringTracker,
}

impl Compacter {
    /// Appends what remains of `chunk` to `out`.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        out.extend(chunk.iter().filter(|&&byte| self.strings.advance(byte) || !is_space(byte)));
    }
}

/// Removes the white space outside strings from the text of a reader.
#[derive(Debug)]
pub struct CompactReader<R> {
    read: R,
    compacter: Compacter,
    ready: Vec<u8>,
    served: usize,
    chunk: Vec<u8>,
}

impl<R: Read> CompactReader<R> {
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

/// Indents a compact text that arrives in chunks.
#[derive(Clone, Copy, Debug, Default)]
struct Indenter {
    strings: StringTracker,
    depth: usize,
    /// The last byte opened a container. The next byte decides whether a line break follows.
    opened: bool,
}

impl Indenter {
    fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        let mut rest = chunk;
        while !rest.is_empty() {
            // These bytes are copied: only punctuation and quotes change the layout.
            let plain = match self.strings.is_inside() {
                true => self.strings.plain_run(rest),
                false => rest
                    .iter()
                    .position(|byte| matches!(byte, b'"' | b'{'..=b'}' | b'[' | b']' | b',' | b':'))
                    .unwrap_or(rest.len()),
            };
            if plain > 0 && std::mem::take(&mut self.opened) {
                self.break_line(out);
            }
            out.extend_from_slice(&rest[..plain]);
            let Some((&byte, behind)) = rest[plain..].split_first() else { return };
            self.push_byte(byte, out);
            rest = behind;
        }
    }

    fn push_byte(&mut self, byte: u8, out: &mut Vec<u8>) {
        let closes = !self.strings.is_inside() && matches!(byte, b'}' | b']');
        if closes {
            self.depth = self.depth.saturating_sub(1);
        }
        if self.opened != closes {
            self.break_line(out);
        }
        self.opened = false;
        out.push(byte);
        if self.strings.advance(byte) {
            return;
        }
        match byte {
            b'{' | b'[' => {
                self.depth += 1;
                self.opened = true;
            }
            b',' => self.break_line(out),
            b':' => out.push(b' '),
            _ => {}
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        out.push(b'\n');
    }

    fn break_line(self, out: &mut Vec<u8>) {
        out.push(b'\n');
        out.resize(out.len() + 2 * self.depth, b' ');
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::scan::is_valid;
    use super::*;

    /// Compact JSON with unusual numbers, escapes and duplicate names.
    fn json() -> impl Strategy<Value = String> {
        let scalar = prop_oneof![
            Just("1.0e5".to_owned()),
            Just("-0".to_owned()),
            Just("1E+2".to_owned()),
            Just("null".to_owned()),
            Just("12345678901234567890123".to_owned()),
            Just(r#""\u00e9\\\" \/,:{ }""#.to_owned()),
            Just(r#""\ud83d""#.to_owned()),
            any::<String>().prop_map(|s| serde_json::to_string(&s).unwrap()),
        ];
        scalar.prop_recursive(5, 40, 5, |inner| {
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
        fn compact_reverts_indent(text in json()) {
            let indented = indent(text.as_bytes());
            prop_assert!(is_valid(&indented[..]), "{}", String::from_utf8_lossy(&indented));
            prop_assert_eq!(compact(&indented), text.as_bytes());
            let mut streamed = Vec::new();
            indent_stream(text.as_bytes(), &mut streamed).unwrap();
            prop_assert_eq!(&streamed, &indented);
            let mut back = Vec::new();
            CompactReader::new(&indented[..]).read_to_end(&mut back).unwrap();
            prop_assert_eq!(back, text.as_bytes());
        }

        #[test]
        fn layout_accepts_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = indent(&bytes);
            let _ = compact(&bytes);
            let _ = is_compact(&bytes);
        }
    }

    #[test]
    fn indented_text_is_that_of_serde_json() {
        let text = br#"{"a":{"b":[1,{"c":[]},{}],"d":"x,y:{}"},"e":null}"#;
        let indented = String::from_utf8(indent(text)).unwrap();
        let value: serde_json::Value = serde_json::from_slice(text).unwrap();
        assert_eq!(indented, format!("{value:#}\n"));
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
