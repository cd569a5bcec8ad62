//! Checks of byte streams: SHA-256, validity in a charset, and equality.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::Error;
use harproxy_http::MediaType;

/// Validates a stream in its declared charset, or in UTF-8 without one.
pub(crate) struct CharsetValidator {
    decoder: encoding_rs::Decoder,
    scratch: Vec<u8>,
    pub(crate) valid: bool,
}

impl CharsetValidator {
    pub(crate) fn new(media: &MediaType) -> Self {
        CharsetValidator::of(media.charset().unwrap_or(encoding_rs::UTF_8))
    }

    pub(crate) fn of(encoding: &'static encoding_rs::Encoding) -> Self {
        CharsetValidator { decoder: encoding.new_decoder_without_bom_handling(), scratch: vec![0; 4096], valid: true }
    }

    pub(crate) fn push(&mut self, mut bytes: &[u8], last: bool) {
        while self.valid {
            let (result, read, _) = self.decoder.decode_to_utf8_without_replacement(bytes, &mut self.scratch, last);
            bytes = &bytes[read..];
            match result {
                encoding_rs::DecoderResult::InputEmpty => return,
                encoding_rs::DecoderResult::OutputFull => {}
                encoding_rs::DecoderResult::Malformed(..) => self.valid = false,
            }
        }
    }
}

/// True if the bytes are valid in their declared charset, or in UTF-8 without one.
pub(crate) fn is_text(bytes: &[u8], media: &MediaType) -> bool {
    let charset = media.charset().unwrap_or(encoding_rs::UTF_8);
    charset.decode_without_bom_handling_and_without_replacement(bytes).is_some()
}

/// Writes a file and computes its SHA-256.
pub(crate) struct HashWriter {
    path: PathBuf,
    out: BufWriter<File>,
    hash: Sha256,
    len: u64,
}

impl HashWriter {
    pub(crate) fn create(path: &Path) -> Result<Self, Error> {
        let file = File::create(path).map_err(Error::at(path, "writing"))?;
        Ok(HashWriter { path: path.to_owned(), out: BufWriter::new(file), hash: Sha256::new(), len: 0 })
    }

    pub(crate) fn finish(mut self) -> Result<(sha2::digest::Output<Sha256>, u64), Error> {
        self.out.flush().map_err(Error::at(&self.path, "writing"))?;
        Ok((self.hash.finalize(), self.len))
    }
}

impl Write for HashWriter {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = self.out.write(buf)?;
        self.hash.update(&buf[..n]);
        self.len += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// True if the path is a plain file with exactly these bytes.
pub(crate) fn has_content(path: &Path, bytes: impl Read, len: u64) -> bool {
    let Ok(file) = File::open(path) else { return false };
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
