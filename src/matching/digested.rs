//! Payloads that are too long to be held: they are compared by digests that are made while they arrive.

use std::io::{self, Read};

use ::http::{HeaderMap, HeaderValue};
use sha2::{Digest as _, Sha256};

use super::payload::Digest;
use crate::http::coding::{self, Coding};

/// A payload that decodes to more than this is compared as it was received: what decodes without end costs no CPU without
/// end.
const MAX_DECODED: u64 = 16 << 30;
/// Bytes read at a time.
const PIECE: usize = 64 * 1024;

/// How to digest a request's payload so that it can be compared with what was recorded under its key.
#[derive(Debug)]
pub struct Digesting {
    codings: Vec<Coding>,
    /// After how many bytes recorded payloads were cut, in ascending order.
    cuts: Vec<u64>,
}

/// What is left of a payload.
#[derive(Debug)]
pub struct Digested {
    received: Hashed,
    /// Without its Content-Encoding, when it has one and decodes as it says.
    decoded: Option<Hashed>,
}

/// A stream that was read to its end.
#[derive(Debug)]
struct Hashed {
    len: u64,
    whole: Digest,
    /// What its beginnings hash to.
    cuts: Vec<(u64, Digest)>,
}

impl Digesting {
    pub(super) fn new(headers: &HeaderMap, mut cuts: Vec<u64>) -> Self {
        cuts.sort_unstable();
        cuts.dedup();
        let codings = coding::codings(headers.get_all("content-encoding").iter().map(HeaderValue::as_bytes));
        Digesting { codings: codings.unwrap_or_default(), cuts }
    }

    /// Reads a payload to its end, in memory that does not grow with it.
    ///
    /// # Errors
    /// What reading gave. (A payload that does not decode is none: it is compared as it was received.)
    pub fn digest(&self, source: &mut (dyn Read + Send)) -> io::Result<Digested> {
        let mut received = Hashing::new(source, &self.cuts);
        let decoded = if self.codings.is_empty() { None } else { self.decode(&mut received) };
        received.drain()?;
        Ok(Digested { received: received.end(), decoded })
    }

    fn decode(&self, received: &mut (dyn Read + Send)) -> Option<Hashed> {
        let plain = coding::decoder(&self.codings, Box::new(received)).take(MAX_DECODED + 1);
        let mut plain = Hashing::new(plain, &self.cuts);
        plain.drain().ok()?;
        (plain.len <= MAX_DECODED).then(|| plain.end())
    }
}

impl Digested {
    /// Of the payload as received and, if it has a coding, without it.
    pub(super) fn wholes(&self) -> [Digest; 2] {
        let [received, decoded] = [&self.received, self.decoded.as_ref().unwrap_or(&self.received)];
        [received.whole, decoded.whole]
    }

    /// Whether it begins with these bytes and is, or was, as long as this.
    pub(super) fn begins(&self, kept: u64, beginning: &Digest, total: Option<u64>) -> bool {
        self.decoded.iter().chain([&self.received]).any(|hashed| {
            total.is_none_or(|total| hashed.len == total)
                && hashed.cuts.iter().any(|(at, digest)| *at == kept && digest == beginning)
        })
    }

    /// In words.
    pub(super) fn shown(&self) -> String {
        let plain = self.decoded.as_ref().unwrap_or(&self.received);
        in_words(plain.len, &plain.whole)
    }
}

/// A payload that is not shown, in words.
pub(super) fn in_words(len: u64, digest: &Digest) -> String {
    const SHOWN: usize = 8;
    let start: String = digest.iter().take(SHOWN).map(|byte| format!("{byte:02x}")).collect();
    format!("{len} bytes (SHA-256 {start}…)")
}

/// A reader that hashes what passes.
struct Hashing<'a, R> {
    inner: R,
    digest: Sha256,
    len: u64,
    /// Those that are still to come.
    cuts: &'a [u64],
    cut: Vec<(u64, Digest)>,
}

impl<'a, R: Read> Hashing<'a, R> {
    fn new(inner: R, cuts: &'a [u64]) -> Self {
        Hashing { inner, digest: Sha256::new(), len: 0, cuts, cut: Vec::new() }
    }

    fn drain(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; PIECE];
        loop {
            match self.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
        }
    }

    fn end(self) -> Hashed {
        Hashed { len: self.len, whole: self.digest.finalize().into(), cuts: self.cut }
    }
}

impl<R: Read> Read for Hashing<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buf)?;
        let mut bytes = &buf[..read];
        while let Some((&cut, later)) = self.cuts.split_first() {
            let Some(before) = usize::try_from(cut - self.len).ok().and_then(|n| bytes.split_at_checked(n)) else {
                break;
            };
            self.digest.update(before.0);
            self.len = cut;
            self.cut.push((cut, self.digest.clone().finalize().into()));
            (bytes, self.cuts) = (before.1, later);
        }
        self.digest.update(bytes);
        self.len += bytes.len() as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sha(bytes: &[u8]) -> Digest {
        Sha256::digest(bytes).into()
    }

    /// Gives its bytes in pieces that fit no cut.
    struct Dripping<'a>(&'a [u8]);

    impl Read for Dripping<'_> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            let n = self.0.len().min(7).min(buf.len());
            buf[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    #[test]
    fn what_passes_is_hashed_whole_and_up_to_each_cut() {
        let text: Vec<u8> = (0..100).collect();
        let digesting = Digesting::new(&HeaderMap::new(), vec![50, 0, 14, 50, 100, 101]);
        let digested = digesting.digest(&mut Dripping(&text)).unwrap();
        assert_eq!(digested.wholes(), [sha(&text); 2]);
        for cut in [0, 14, 50, 100] {
            assert!(digested.begins(cut as u64, &sha(&text[..cut]), Some(100)), "{cut}");
            assert!(!digested.begins(cut as u64, &sha(&text[..cut]), Some(99)), "{cut}");
        }
        assert!(!digested.begins(101, &sha(&text), None));
        assert!(!digested.begins(50, &sha(&text[..49]), None));
    }

    #[test]
    fn a_coding_is_taken_off_and_a_lie_is_compared_as_it_came() {
        let text = b"text ".repeat(1000);
        let mut coded = Vec::new();
        coding::encode(&[Coding::Gzip], &mut &text[..], &mut coded).unwrap();
        let headers = HeaderMap::from_iter([("content-encoding".parse().unwrap(), "gzip".parse().unwrap())]);
        let digesting = Digesting::new(&headers, vec![10]);
        let digested = digesting.digest(&mut &coded[..]).unwrap();
        assert_eq!(digested.wholes(), [sha(&coded), sha(&text)]);
        assert!(digested.begins(10, &sha(&text[..10]), Some(5000)));
        let lie = digesting.digest(&mut &text[..]).unwrap();
        assert_eq!(lie.wholes(), [sha(&text); 2]);
        assert!(lie.shown().starts_with("5000 bytes (SHA-256 "), "{}", lie.shown());
    }
}
