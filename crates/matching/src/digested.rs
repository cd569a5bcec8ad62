//! Payloads that are too long to be held: they are compared by digests that are made while they arrive.

use std::io::{self, Read};

use ::http::{HeaderMap, HeaderValue};
use sha2::{Digest as _, Sha256};

use super::payload::Digest;
use harproxy_http::MediaType;
use harproxy_http::coding::{self, Coding};
use harproxy_http::multipart::{Piece, Splitter};

/// A payload that decodes to more than this is compared as it was received: what decodes without end costs no CPU without
/// end.
const MAX_DECODED: u64 = 16 << 30;
/// Bytes read at a time.
const PIECE: usize = 64 * 1024;

/// How to digest a request's payload so that it can be compared with what was recorded under its key.
#[derive(Debug)]
pub struct Digesting {
    codings: Vec<Coding>,
    /// For a multipart payload.
    parts: Option<Parts>,
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
    /// Of its parts, when it is multipart.
    parts: Option<Digest>,
    /// What its beginnings hash to.
    cuts: Vec<(u64, Digest)>,
}

impl Digesting {
    pub(super) fn new(headers: &HeaderMap, mut cuts: Vec<u64>) -> Self {
        cuts.sort_unstable();
        cuts.dedup();
        let codings = coding::codings(headers.get_all("content-encoding").iter().map(HeaderValue::as_bytes));
        let content_type = headers.get("content-type").map(|value| String::from_utf8_lossy(value.as_bytes()));
        let parts = content_type.and_then(|content_type| Parts::of(&content_type));
        Digesting { codings: codings.unwrap_or_default(), parts, cuts }
    }

    /// Reads a payload to its end, in memory that does not grow with it.
    ///
    /// # Errors
    /// What reading gave. (A payload that does not decode is none: it is compared as it was received.)
    pub fn digest(&self, source: &mut (dyn Read + Send)) -> io::Result<Digested> {
        let mut received = Hashing::new(source, self.parts.clone(), &self.cuts);
        let decoded = if self.codings.is_empty() { None } else { self.decode(&mut received) };
        received.drain()?;
        Ok(Digested { received: received.end(), decoded })
    }

    fn decode(&self, received: &mut (dyn Read + Send)) -> Option<Hashed> {
        let plain = coding::decoder(&self.codings, Box::new(received)).take(MAX_DECODED + 1);
        let mut plain = Hashing::new(plain, self.parts.clone(), &self.cuts);
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

    /// Of its parts, the boundary set aside.
    pub(super) fn parts(&self) -> Option<Digest> {
        self.decoded.as_ref().unwrap_or(&self.received).parts
    }

    /// Whether it begins with these bytes and is, or was, as long as this.
    pub(super) fn begins(&self, kept: u64, beginning: &Digest, total: Option<u64>) -> bool {
        self.decoded.iter().chain([&self.received]).any(|hashed| {
            total.is_none_or(|total| hashed.len == total)
                && hashed.cuts.iter().any(|(at, digest)| *at == kept && digest == beginning)
        })
    }

    /// How long it is without its Content-Encoding, bytes.
    pub(super) fn len(&self) -> u64 {
        self.decoded.as_ref().unwrap_or(&self.received).len
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

/// Reads what was recorded to its end: the digest of all of it, and that of its parts when it is multipart.
pub(super) fn of_recorded(source: impl Read, content_type: &str) -> io::Result<(Digest, Option<Digest>)> {
    let mut hashing = Hashing::new(source, Parts::of(content_type), &[]);
    hashing.drain()?;
    let Hashed { whole, parts, .. } = hashing.end();
    Ok((whole, parts))
}

/// The digest of a multipart payload: of its parts' header lines and contents, in order, and of the media type; the boundary
/// is set aside.
#[derive(Clone, Debug)]
pub(super) struct Parts {
    splitter: Splitter,
    all: Sha256,
    headers: Sha256,
    body: Sha256,
}

impl Parts {
    /// `None` when it is not multipart, or names no boundary.
    pub(super) fn of(content_type: &str) -> Option<Self> {
        let media_type = MediaType::parse(content_type);
        let boundary = media_type.parameter("boundary").filter(|_| media_type.is_multipart())?;
        let name = content_type.split(';').next().unwrap_or_default().trim();
        let all = Sha256::new_with_prefix("multipart").chain_update(Sha256::digest(name));
        Some(Parts { splitter: Splitter::new(boundary), all, headers: Sha256::new(), body: Sha256::new() })
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        let Parts { splitter, all, headers, body } = self;
        splitter.push(bytes, |piece| match piece {
            Piece::Headers(bytes) => headers.update(bytes),
            Piece::Body(bytes) => body.update(bytes),
            Piece::End => {
                all.update(headers.finalize_reset());
                all.update(body.finalize_reset());
            }
        });
    }

    /// `None` when the boundary did not divide it.
    pub(super) fn end(self) -> Option<Digest> {
        self.splitter.is_closed().then(|| self.all.finalize().into())
    }
}

/// A reader that hashes what passes.
struct Hashing<'a, R> {
    inner: R,
    digest: Sha256,
    parts: Option<Parts>,
    len: u64,
    /// Those that are still to come.
    cuts: &'a [u64],
    cut: Vec<(u64, Digest)>,
}

impl<'a, R: Read> Hashing<'a, R> {
    fn new(inner: R, parts: Option<Parts>, cuts: &'a [u64]) -> Self {
        Hashing { inner, digest: Sha256::new(), parts, len: 0, cuts, cut: Vec::new() }
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
        let parts = self.parts.and_then(Parts::end);
        Hashed { len: self.len, whole: self.digest.finalize().into(), parts, cuts: self.cut }
    }
}

impl<R: Read> Read for Hashing<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buf)?;
        let mut bytes = &buf[..read];
        if let Some(parts) = &mut self.parts {
            parts.push(bytes);
        }
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

    /// `{b}` stands for the boundary.
    const MULTIPART: &str = "before\r\n--{b}\r\nA: b\r\n\r\none\r\n--xx\r\n\r\n\r\n--{b} \t\nC: d\n\n2\n\n--{b}\r\n\r\n--x-\r\n--{b}--\r\nafter";

    fn digest_of_parts(payload: &str, boundary: &str) -> Option<Digest> {
        let mut parts = Parts::of(&format!("multipart/form-data; boundary={boundary}")).unwrap();
        parts.push(payload.replace("{b}", boundary).as_bytes());
        parts.end()
    }

    #[test]
    fn parts_are_digested_alike_however_they_arrive() {
        let payload = MULTIPART.replace("{b}", "x");
        let digest = digest_of_parts(MULTIPART, "x");
        assert!(digest.is_some());
        for at in 0..payload.len() {
            let mut parts = Parts::of("multipart/form-data; boundary=\"x\"").unwrap();
            parts.push(&payload.as_bytes()[..at]);
            parts.push(&payload.as_bytes()[at..]);
            assert_eq!(parts.end(), digest, "{at}");
        }
        let content_type = "multipart/form-data; boundary=x".parse().unwrap();
        let headers = HeaderMap::from_iter([("content-type".parse().unwrap(), content_type)]);
        let digested = Digesting::new(&headers, Vec::new()).digest(&mut Dripping(payload.as_bytes())).unwrap();
        assert_eq!(digested.parts(), digest);
    }

    #[test]
    fn parts_say_what_is_equal_and_the_boundary_does_not() {
        let digest = digest_of_parts(MULTIPART, "x");
        assert_eq!(digest_of_parts(MULTIPART, "another"), digest);
        assert_eq!(digest_of_parts(&MULTIPART.replace("before", "").replace("after", ""), "x"), digest);
        for (from, to) in [("one", "two"), ("A: b", "A: c"), ("2\n", "2"), ("A: b\r\n\r\none", "A: b\r\none")] {
            assert_ne!(digest_of_parts(&MULTIPART.replace(from, to), "x"), digest, "{from}");
        }
        assert_eq!(digest_of_parts(&MULTIPART.replace("--{b}--", "--{b}"), "x"), None, "never closed");
        assert_eq!(digest_of_parts("", "x"), None);
        assert!(Parts::of("multipart/mixed").is_none() && Parts::of("text/plain; boundary=x").is_none());
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
