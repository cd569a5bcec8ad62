//! Single-line ↔ indented JSON, by changing only the white space outside strings.
//!
//! No value is built, so documents of any size pass through, and numbers, escapes and duplicate names stay as they are.

use std::io::{self, BufRead, Read, Write};

use serde::de::IgnoredAny;

use super::scan::{StringTracker, is_space};
use super::walk::MAX_DEPTH;

/// The white space outside the strings of a JSON text on one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Spacing {
    /// None.
    Compact,
    /// One space after each comma and each colon, and no other, as Python's `json.dumps` writes it.
    Spaced,
}

/// Returns the spacing of a non-empty object or array on one line. Only if there is one, [`single_line`] returns the
/// text that [`indent`] was given.
///
/// ```
/// use harproxy_json::{Spacing, spacing};
/// assert_eq!(spacing(br#"{"a":1.0e5,"a":"x y"}"#), Some(Spacing::Compact));
/// assert_eq!(spacing(br#"{"a": 1, "b": []}"#), Some(Spacing::Spaced));
/// assert_eq!(spacing(br#"{"a": 1,"b": 2}"#), None);
/// assert_eq!(spacing(b"[]"), None);
/// ```
#[must_use]
pub fn spacing(text: &[u8]) -> Option<Spacing> {
    let mut detector = SpacingDetector::default();
    detector.push(text);
    let is_json = || std::str::from_utf8(text).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok());
    detector.spacing().filter(|_| is_json())
}

/// Writes JSON on one line.
///
/// ```
/// use harproxy_json::{Spacing, single_line};
/// let indented = b"{\n  \"a b\": [ 1.0, 2 ]\n}\n";
/// assert_eq!(single_line(indented, Spacing::Compact), br#"{"a b":[1.0,2]}"#);
/// assert_eq!(single_line(indented, Spacing::Spaced), br#"{"a b": [1.0, 2]}"#);
/// ```
#[must_use]
pub fn single_line(text: &[u8], spacing: Spacing) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    LineJoiner::new(spacing).push(text, &mut out);
    out
}

/// Writes JSON with one member a line, two spaces a level, `": "` after names, and a final newline.
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

/// Detects the spacing of a text that arrives in chunks, like [`spacing`], provided that it is JSON.
#[derive(Clone, Copy, Debug)]
pub struct SpacingDetector {
    strings: StringTracker,
    first: Option<u8>,
    len: u64,
    depth: usize,
    /// The byte before is a comma or a colon.
    is_after_separator: bool,
    /// All separators so far are followed by no space, and by one space.
    is_compact: bool,
    is_spaced: bool,
}

impl Default for SpacingDetector {
    fn default() -> Self {
        let (strings, first, len, depth, is_after_separator) = Default::default();
        SpacingDetector { strings, first, len, depth, is_after_separator, is_compact: true, is_spaced: true }
    }
}

impl SpacingDetector {
    pub fn push(&mut self, chunk: &[u8]) {
        self.first = self.first.or(chunk.first().copied());
        self.len += chunk.len() as u64;
        let mut rest = chunk;
        while self.is_compact || self.is_spaced {
            let Some((&byte, behind)) = rest[self.strings.plain_run(rest)..].split_first() else { return };
            rest = behind;
            self.push_byte(byte);
        }
    }

    fn push_byte(&mut self, byte: u8) {
        let was_inside = self.strings.is_inside();
        self.strings.advance(byte);
        if was_inside {
            return;
        }
        if is_space(byte) {
            // Only a space behind a separator is part of a known spacing.
            self.is_compact = false;
            self.is_spaced &= self.is_after_separator && byte == b' ';
            self.is_after_separator = false;
            return;
        }
        self.is_spaced &= !std::mem::take(&mut self.is_after_separator);
        match byte {
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            b',' | b':' => self.is_after_separator = true,
            _ => {}
        }
        if self.depth > MAX_DEPTH {
            (self.is_compact, self.is_spaced) = (false, false);
        }
    }

    /// Returns the spacing if all chunks together are a non-empty object or array on one line, not too deep.
    #[must_use]
    pub fn spacing(&self) -> Option<Spacing> {
        let is_container = self.len > 2 && matches!(self.first, Some(b'{' | b'['));
        match (self.is_compact, self.is_spaced) {
            (true, _) => Some(Spacing::Compact),
            (false, true) => Some(Spacing::Spaced),
            (false, false) => None,
        }
        .filter(|_| is_container)
    }
}

/// Writes a text that arrives in chunks on one line.
#[derive(Clone, Copy, Debug)]
pub struct LineJoiner {
    strings: StringTracker,
    spacing: Spacing,
}

impl LineJoiner {
    #[must_use]
    pub fn new(spacing: Spacing) -> Self {
        LineJoiner { strings: StringTracker::default(), spacing }
    }

    /// Appends what remains of `chunk` to `out`.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        for &byte in chunk {
            if self.strings.advance(byte) {
                out.push(byte);
            } else if !is_space(byte) {
                out.push(byte);
                if self.spacing == Spacing::Spaced && matches!(byte, b',' | b':') {
                    out.push(b' ');
                }
            }
        }
    }
}

/// Writes the text of a reader on one line.
#[derive(Debug)]
pub struct LineReader<R> {
    read: R,
    joiner: LineJoiner,
    ready: Vec<u8>,
    served: usize,
    chunk: Vec<u8>,
}

impl<R: Read> LineReader<R> {
    pub fn new(read: R, spacing: Spacing) -> Self {
        let chunk = vec![0; 64 * 1024];
        LineReader { read, joiner: LineJoiner::new(spacing), ready: Vec::new(), served: 0, chunk }
    }
}

impl<R: Read> Read for LineReader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.served == self.ready.len() {
            let n = self.read.read(&mut self.chunk)?;
            if n == 0 {
                return Ok(0);
            }
            self.ready.clear();
            self.served = 0;
            self.joiner.push(&self.chunk[..n], &mut self.ready);
        }
        let n = buf.len().min(self.ready.len() - self.served);
        buf[..n].copy_from_slice(&self.ready[self.served..self.served + n]);
        self.served += n;
        Ok(n)
    }
}

/// Indents a text that arrives in chunks.
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
                    .position(|&byte| is_space(byte) || matches!(byte, b'"' | b'{'..=b'}' | b'[' | b']' | b',' | b':'))
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
        if !self.strings.is_inside() && is_space(byte) {
            return;
        }
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
        fn single_line_reverts_indent(text in json(), spaced in any::<bool>()) {
            let written = if spaced { Spacing::Spaced } else { Spacing::Compact };
            let text = single_line(text.as_bytes(), written);
            let indented = indent(&text);
            prop_assert!(is_valid(&indented[..]), "{}", String::from_utf8_lossy(&indented));
            if let Some(found) = spacing(&text) {
                // Without a separator, both are the same text.
                prop_assert!(found == written || single_line(&text, found) == text);
            }
            prop_assert_eq!(&single_line(&indented, written), &text);
            let mut streamed = Vec::new();
            indent_stream(&text[..], &mut streamed).unwrap();
            prop_assert_eq!(&streamed, &indented);
            let mut back = Vec::new();
            LineReader::new(&indented[..], written).read_to_end(&mut back).unwrap();
            prop_assert_eq!(back, text);
        }

        #[test]
        fn text_with_a_spacing_is_restored(text in json(), places in prop::collection::vec((any::<usize>(), 0..3), 0..3)) {
            let mut text = single_line(text.as_bytes(), Spacing::Spaced);
            for (place, change) in places {
                let at = place % (text.len() + 1);
                match change {
                    0 => text.insert(at, b' '),
                    1 => text.insert(at, b'\n'),
                    _ if text.get(at) == Some(&b' ') => drop(text.remove(at)),
                    _ => {}
                }
            }
            if let Some(spacing) = spacing(&text) {
                prop_assert_eq!(single_line(&indent(&text), spacing), text);
            }
        }

        #[test]
        fn layout_accepts_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = indent(&bytes);
            let _ = single_line(&bytes, Spacing::Spaced);
            let _ = spacing(&bytes);
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
    fn only_valid_containers_on_one_line_have_a_spacing() {
        for text in ["[1]", r#"{"a":1}"#, r#"{"a":1,"a":"\u0000, :"}"#, "[[[]]]"] {
            assert_eq!(spacing(text.as_bytes()), Some(Spacing::Compact), "{text}");
        }
        for text in [r#"{"a": 1}"#, "[1, 2]", r#"{"a": {}, "b": [], "c": [{"d": "x,y:z"}, -0.0]}"#] {
            assert_eq!(spacing(text.as_bytes()), Some(Spacing::Spaced), "{text}");
        }
        let deep = "[".repeat(200) + &"]".repeat(200);
        for text in [
            "",
            "{}",
            "[]",
            "1",
            r#""a b""#,
            r#"{"a":1"#,
            "[1]\n",
            "[1, 2]\n",
            " [1, 2]",
            "[1, 2,3]",
            "[1,2, 3]",
            "[1,  2]",
            "[1,\t2]",
            "[1,\n2]",
            "[ 1, 2]",
            "[1 , 2]",
            r#"{"a": 1,"b": 2}"#,
            r#"{"a":1, "b":2}"#,
            "[1,]",
            "[1, ]",
            "nil",
            &deep,
        ] {
            assert_eq!(spacing(text.as_bytes()), None, "{text}");
        }
        assert_eq!(spacing(b"[\"\xff\"]"), None);
        assert_eq!(spacing(b"\xef\xbb\xbf[1]"), None);
    }
}
