//! Checks of byte streams: SHA-256, validity in a charset, and equality.

use std::fs;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use encoding_rs::{DecoderResult, Encoding};
use sha2::{Digest, Sha256};

use harproxy_support::regular_file;

/// True if a stream is valid text in a charset.
pub(crate) fn is_valid_in(charset: &'static Encoding, read: impl Read) -> io::Result<bool> {
    decodes(charset, read, |_| true)
}

/// True if a stream is UTF-8 without control characters, except for those of texts and terminals. Short binary
/// payloads may be valid UTF-8.
pub(crate) fn is_text(read: impl Read) -> io::Result<bool> {
    let is_control = |byte: &u8| byte.is_ascii_control() && !b"\t\n\x0c\r\x1b".contains(byte);
    decodes(encoding_rs::UTF_8, read, |text| !text.iter().any(is_control))
}

/// True if a stream is valid in a charset, and `accepts` each piece of it in UTF-8.
fn decodes(charset: &'static Encoding, mut read: impl Read, accepts: impl Fn(&[u8]) -> bool) -> io::Result<bool> {
    let mut decoder = charset.new_decoder_without_bom_handling();
    let (mut chunk, mut text) = ([0; 4096], [0; 4096]);
    loop {
        let len = read.read(&mut chunk)?;
        let mut rest = &chunk[..len];
        loop {
            let (result, used, written) = decoder.decode_to_utf8_without_replacement(rest, &mut text, len == 0);
            rest = &rest[used..];
            if !accepts(&text[..written]) {
                return Ok(false);
            }
            match result {
                DecoderResult::InputEmpty if len == 0 => return Ok(true),
                DecoderResult::InputEmpty => break,
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(..) => return Ok(false),
            }
        }
    }
}

/// True if the path is a plain file with exactly these bytes.
pub(crate) fn has_content(path: &Path, bytes: impl Read, len: u64) -> bool {
    let Ok(file) = regular_file::open(path) else { return false };
    let is_candidate = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() == len);
    is_candidate && is_same(BufReader::new(file), BufReader::new(bytes)).unwrap_or(false)
}

/// True if two streams have the same bytes.
pub fn is_same(mut a: impl io::BufRead, mut b: impl io::BufRead) -> io::Result<bool> {
    loop {
        let (left, right) = (a.fill_buf()?, b.fill_buf()?);
        let n = left.len().min(right.len());
        if n == 0 || left[..n] != right[..n] {
            return Ok(left.is_empty() && right.is_empty());
        }
        a.consume(n);
        b.consume(n);
    }
}

/// The SHA-256 of a stream in hex, and its length in bytes.
pub fn sha256_hex(read: &mut dyn Read) -> io::Result<(String, u64)> {
    struct Hash(Sha256);
    impl Write for Hash {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            self.0.update(buf);
            Ok(buf.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut hash = Hash(Sha256::new());
    let len = io::copy(read, &mut hash)?;
    Ok((hex(&hash.0.finalize()), len))
}

/// Bytes as hex digits in lower case.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
