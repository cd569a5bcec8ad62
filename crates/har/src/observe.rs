//! What is learned of bytes as they stream by: their hash, whether they are valid text, whether others are the same.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::Error;
use harproxy_http::MediaType;

/// Follows whether bytes are valid in the charset that is declared, UTF-8 when none is.
pub(super) struct Charset {
    decoder: encoding_rs::Decoder,
    scratch: Vec<u8>,
    pub(super) valid: bool,
}

impl Charset {
    pub(super) fn new(media: &MediaType) -> Self {
        Charset::of(media.charset().unwrap_or(encoding_rs::UTF_8))
    }

    pub(super) fn utf8() -> Self {
        Charset::of(encoding_rs::UTF_8)
    }

    fn of(encoding: &'static encoding_rs::Encoding) -> Self {
        Charset { decoder: encoding.new_decoder_without_bom_handling(), scratch: vec![0; 4096], valid: true }
    }

    pub(super) fn push(&mut self, mut bytes: &[u8], last: bool) {
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

/// Whether bytes are valid in the charset that is declared, UTF-8 when none is.
pub(super) fn is_text(bytes: &[u8], media: &MediaType) -> bool {
    match media.charset() {
        None => std::str::from_utf8(bytes).is_ok(),
        Some(charset) if charset == encoding_rs::UTF_8 => std::str::from_utf8(bytes).is_ok(),
        Some(_) => {
            let mut text = Charset::new(media);
            text.push(bytes, true);
            text.valid
        }
    }
}

/// A file being written whose hash is known at its end.
pub(super) struct Hashing {
    path: PathBuf,
    out: BufWriter<File>,
    hash: Sha256,
    len: u64,
}

impl Hashing {
    pub(super) fn create(path: &Path) -> Result<Self, Error> {
        let file = File::create(path).map_err(|source| writing(path, source))?;
        Ok(Hashing { path: path.to_owned(), out: BufWriter::new(file), hash: Sha256::new(), len: 0 })
    }

    pub(super) fn finish(mut self) -> Result<(sha2::digest::Output<Sha256>, u64), Error> {
        self.out.flush().map_err(|source| writing(&self.path, source))?;
        Ok((self.hash.finalize(), self.len))
    }
}

impl Write for Hashing {
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

/// Whether a file has exactly these bytes.
pub(super) fn holds(path: &Path, bytes: impl Read, len: u64) -> bool {
    let Ok(file) = File::open(path) else { return false };
    let plain = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() == len);
    plain && same(BufReader::new(file), BufReader::new(bytes)).unwrap_or(false)
}

/// Whether two streams have the same bytes.
pub(super) fn same(mut a: impl io::BufRead, mut b: impl io::BufRead) -> io::Result<bool> {
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

pub(super) fn writing(path: &Path, source: io::Error) -> Error {
    Error::Io { doing: "writing", path: path.to_owned(), source }
}
