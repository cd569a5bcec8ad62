//! The limit of what payloads may decode to, so that a few bytes cannot fill a disk.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::coding::{Coding, decoder};

/// The decoded length that is allowed for each encoded byte. Repetitive logs and markup stay below.
const RATIO: u64 = 100;

/// A payload exceeds the limit if it decodes to more bytes than these, and to more than 100 times its encoded length.
///
/// ```
/// use harproxy_http::DecodeLimit;
/// let limit = DecodeLimit::new(1000);
/// assert_eq!([limit.of(1), limit.of(11)], [1000, 1100]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeLimit(u64);

impl Default for DecodeLimit {
    /// 256 MiB.
    fn default() -> Self {
        DecodeLimit(256 << 20)
    }
}

impl DecodeLimit {
    /// Creates a limit of so many decoded bytes.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        DecodeLimit(bytes)
    }

    #[must_use]
    pub fn bytes(self) -> u64 {
        self.0
    }

    /// The most bytes that a payload of this encoded length may decode to.
    #[must_use]
    pub fn of(self, encoded: u64) -> u64 {
        self.0.max(encoded.saturating_mul(RATIO))
    }

    /// A reader that removes codings and fails beyond the limit: see [`is_exceeded`](DecodeLimit::is_exceeded).
    /// `encoded` is the encoded length as far as it is known. Bytes that are read beyond it count, too.
    #[must_use]
    pub fn decoder<'a>(
        self,
        codings: &[Coding],
        source: Box<dyn Read + Send + 'a>,
        encoded: u64,
    ) -> Box<dyn Read + Send + 'a> {
        let taken = Arc::new(AtomicU64::new(0));
        let source = CountingReader { inner: source, taken: taken.clone() };
        Box::new(LimitedDecoder { inner: decoder(codings, Box::new(source)), limit: self, encoded, taken, decoded: 0 })
    }

    /// True if a payload decodes beyond the limit. An invalid one does not.
    #[must_use]
    pub fn is_exceeded_by(self, codings: &[Coding], payload: &[u8]) -> bool {
        let mut decoder = self.decoder(codings, Box::new(payload), payload.len() as u64);
        io::copy(&mut decoder, &mut io::sink()).is_err_and(|error| DecodeLimit::is_exceeded(&error))
    }

    /// True for the error of [`DecodeLimit::decoder`] beyond the limit.
    #[must_use]
    pub fn is_exceeded(error: &io::Error) -> bool {
        error.kind() == io::ErrorKind::FileTooLarge
    }
}

/// Counts the bytes that are read through it.
struct CountingReader<R> {
    inner: R,
    taken: Arc<AtomicU64>,
}

impl<R: Read> Read for CountingReader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buf)?;
        self.taken.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

struct LimitedDecoder<R> {
    inner: R,
    limit: DecodeLimit,
    encoded: u64,
    taken: Arc<AtomicU64>,
    decoded: u64,
}

impl<R: Read> Read for LimitedDecoder<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buf)?;
        self.decoded += read as u64;
        if self.decoded > self.limit.of(self.encoded.max(self.taken.load(Ordering::Relaxed))) {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the payload decodes beyond the limit"));
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::super::coding::encode;
    use super::*;

    fn gzip(len: usize) -> Vec<u8> {
        let mut coded = Vec::new();
        encode(&[Coding::Gzip], &mut &vec![b'0'; len][..], &mut coded).unwrap();
        coded
    }

    #[test]
    fn payload_exceeds_the_limit_by_its_length_and_its_ratio() {
        let codings = [Coding::Gzip];
        let bomb = gzip(1 << 20);
        assert!(bomb.len() as u64 * RATIO < 1 << 20, "{}", bomb.len());
        assert!(DecodeLimit::new(1000).is_exceeded_by(&codings, &bomb));
        assert!(DecodeLimit::new((1 << 20) - 1).is_exceeded_by(&codings, &bomb));
        assert!(!DecodeLimit::new(1 << 20).is_exceeded_by(&codings, &bomb));
        assert!(!DecodeLimit::new(1).is_exceeded_by(&codings, &gzip(1000)), "its ratio is usual");
        assert!(!DecodeLimit::new(1).is_exceeded_by(&codings, b"not encoded"));
    }

    #[test]
    fn decoder_yields_at_most_the_limit_before_it_fails() {
        let bomb = gzip(1 << 20);
        let mut plain = Vec::new();
        let mut decoder = DecodeLimit::new(300_000).decoder(&[Coding::Gzip], Box::new(&bomb[..]), 0);
        let error = decoder.read_to_end(&mut plain).unwrap_err();
        assert!(DecodeLimit::is_exceeded(&error) && plain.len() <= 300_000, "{error}: {}", plain.len());
    }
}
