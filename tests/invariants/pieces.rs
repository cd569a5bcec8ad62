//! Payloads in chunks: the result of content codings, JSON layout and redaction does not depend on the chunk
//! boundaries.

use std::io::{self, Read};

use harproxy_http::coding::{Coding, decoder, encode};
use harproxy_http::jwt;
use harproxy_json::{
    CountAll, LineJoiner, LineReader, Node, Spacing, SpacingDetector, indent, indent_stream, single_line, spacing,
};
use harproxy_redact::StreamRedactor;
use harproxy_redact::{Policy, Redactor};
use serde_json::Value;

use super::support::Plainly;

const CODINGS: [Coding; 4] = [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd];
const TYPES: [&str; 5] = [
    "application/json",
    "text/event-stream",
    "application/x-www-form-urlencoded",
    "text/plain",
    "application/x-ndjson",
];
/// The maximum decoded size.
const MOST: u64 = 1 << 20;

/// The first byte selects the operation, the rest is a payload.
pub fn check(data: &[u8]) {
    let Some((&how, payload)) = data.split_first() else { return };
    let size = usize::from(how >> 4) + 2;
    codings(CODINGS[usize::from(how) % CODINGS.len()], payload, size);
    json(payload, size);
    redaction(TYPES[usize::from(how) % TYPES.len()], payload, size);
    let _ = (jwt::without_claims(payload), jwt::shift_times(payload, 60));
}

/// Limits the number of bytes per read.
struct Sips<'a>(&'a [u8], usize);

impl Read for Sips<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let most = self.1.min(buf.len());
        self.0.read(&mut buf[..most])
    }
}

fn decoded(coding: Coding, source: impl Read + Send) -> (Vec<u8>, bool) {
    let mut plain = Vec::new();
    let read = decoder(&[coding], Box::new(source)).take(MOST).read_to_end(&mut plain);
    (plain, read.is_ok())
}

fn codings(coding: Coding, payload: &[u8], size: usize) {
    // The decoded prefix and the error do not depend on the chunks.
    let (whole, ok) = decoded(coding, payload);
    let (sipped, sipped_ok) = decoded(coding, Sips(payload, size));
    assert_eq!(ok, sipped_ok, "{coding:?} in pieces of {size}");
    if ok {
        assert!(whole == sipped, "{coding:?} in pieces of {size}");
    }
    let mut coded = Vec::new();
    let written = encode(&[coding], &mut { payload }, &mut coded).unwrap();
    assert_eq!(written, coded.len() as u64);
    let (back, ok) = decoded(coding, &coded[..]);
    assert!(ok && back == payload, "{coding:?} does not bring the bytes back");
}

fn json(payload: &[u8], size: usize) {
    let mut detector = SpacingDetector::default();
    payload.chunks(size).for_each(|piece| detector.push(piece));
    for spacing in [Spacing::Compact, Spacing::Spaced] {
        let (mut joiner, mut joined) = (LineJoiner::new(spacing), Vec::new());
        payload.chunks(size).for_each(|piece| joiner.push(piece, &mut joined));
        assert_eq!(joined, single_line(payload, spacing));
        let mut read = Vec::new();
        LineReader::new(Sips(payload, size), spacing).read_to_end(&mut read).unwrap();
        assert_eq!(read, joined);
    }
    let mut indented = Vec::new();
    indent_stream(Sips(payload, size), &mut indented).unwrap();
    assert_eq!(indented, indent(payload));
    if let Some(spacing) = spacing(payload) {
        assert_eq!(detector.spacing(), Some(spacing));
        assert_eq!(single_line(&indented, spacing), payload, "the indented payload does not become the original");
    }
    let Ok(text) = std::str::from_utf8(payload) else { return };
    let (node, value) = (Node::parse(text, &CountAll), serde_json::from_str::<Value>(text));
    assert!(value.is_err() || node.is_some() || nests(text), "JSON that is no tree");
    if let (Some(node), Ok(value)) = (node, value) {
        assert_eq!(Node::digest_of(text, &CountAll), Some(node.digest));
        assert_eq!(node.text, text.trim_matches([' ', '\t', '\n', '\r']));
        assert!(node.members().len() >= value.as_object().map_or(0, serde_json::Map::len));
    }
}

/// True if the JSON may be nested too deeply.
fn nests(text: &str) -> bool {
    text.bytes().filter(|byte| matches!(byte, b'{' | b'[')).count() >= 100
}

fn redaction(content_type: &str, payload: &[u8], size: usize) {
    let policy = Policy::default();
    let passed = |size: usize| {
        let (mut stream, mut out) = (StreamRedactor::new(content_type), Vec::new());
        let mut redactor = Redactor::new(&policy, Plainly);
        payload.chunks(size).for_each(|piece| stream.push(&mut redactor, piece, &mut out));
        stream.finish(&mut redactor, &mut out);
        out
    };
    let whole = passed(payload.len().max(1));
    assert_eq!(passed(size), whole, "{content_type} in pieces of {size}");
}
