//! Digests of request payloads that are too long for memory, made while the payloads are received.

use std::io::{self, BufReader, Read};

use ::http::{HeaderMap, HeaderValue};
use harproxy_http::MediaType;
use harproxy_http::coding::{self, Coding};
use harproxy_http::multipart::{Piece, Splitter};
use harproxy_json::Digest;
use sha2::{Digest as _, Sha256};

/// A payload that decodes to more bytes is compared as it was received, so that a small one cannot cost unlimited CPU
/// time.
const MAX_DECODED: u64 = 16 << 30;
/// The size of a read, in bytes.
const CHUNK: usize = 64 * 1024;

/// Computes the digests of a request's payload, which the matcher compares with those of recorded payloads.
#[derive(Debug)]
pub struct PayloadDigester {
    codings: Vec<Coding>,
    /// The state before the first byte; `None` if the payload is not multipart.
    parts: Option<MultipartDigest>,
    /// The lengths at which recorded payloads were cut, in ascending order.
    cuts: Vec<u64>,
}

#[derive(Debug)]
pub struct DigestedPayload {
    received: StreamDigests,
    /// The digests of the decoded payload; `None` if it has no content coding or cannot be decoded.
    decoded: Option<StreamDigests>,
}

/// The digests of a stream that was read to its end.
#[derive(Debug)]
struct StreamDigests {
    len: u64,
    whole: Digest,
    /// The digest of the parts; `None` if the payload is not multipart or its boundary does not divide it.
    parts: Option<Digest>,
    /// The length and digest of each prefix that ends at a cut.
    cuts: Vec<(u64, Digest)>,
}

impl PayloadDigester {
    /// Returns a digester for the payload of a request with these headers. `cuts` are the lengths at which recorded
    /// payloads were cut.
    #[must_use]
    pub fn new(headers: &HeaderMap, mut cuts: Vec<u64>) -> Self {
        cuts.sort_unstable();
        cuts.dedup();
        let codings = coding::codings(headers.get_all("content-encoding").iter().map(HeaderValue::as_bytes));
        let content_type = headers.get("content-type").map(|value| String::from_utf8_lossy(value.as_bytes()));
        let parts = content_type.and_then(|content_type| MultipartDigest::new(&content_type));
        PayloadDigester { codings: codings.unwrap_or_default(), parts, cuts }
    }

    /// Reads a payload to its end, in constant memory. A payload that does not decode is compared as it was received.
    pub fn digest(&self, source: &mut (dyn Read + Send)) -> io::Result<DigestedPayload> {
        let mut received = HashingReader::new(source, self.parts.clone(), &self.cuts);
        let decoded = if self.codings.is_empty() { None } else { self.decode(&mut received) };
        received.drain()?;
        Ok(DigestedPayload { received: received.finish(), decoded })
    }

    fn decode(&self, received: &mut (dyn Read + Send)) -> Option<StreamDigests> {
        let decoder = coding::decoder(&self.codings, Box::new(received)).take(MAX_DECODED + 1);
        let mut decoded = HashingReader::new(decoder, self.parts.clone(), &self.cuts);
        decoded.drain().ok()?;
        (decoded.len <= MAX_DECODED).then(|| decoded.finish())
    }
}

impl DigestedPayload {
    /// Returns the digests of the payload as received, and without its content coding.
    pub(super) fn wholes(&self) -> [Digest; 2] {
        [self.received.whole, self.plain().whole]
    }

    /// Returns the digest of the parts of a multipart payload.
    pub(super) fn parts(&self) -> Option<Digest> {
        self.plain().parts
    }

    /// Returns true if `beginning` is the digest of the first `kept` bytes. If `total` is known, it must be the length.
    /// `kept` must be one of the cuts.
    pub(super) fn begins_with(&self, kept: u64, beginning: &Digest, total: Option<u64>) -> bool {
        self.decoded.iter().chain([&self.received]).any(|stream| {
            total.is_none_or(|total| stream.len == total)
                && stream.cuts.iter().any(|(at, digest)| *at == kept && digest == beginning)
        })
    }

    /// Returns the length without the content coding, in bytes.
    pub(super) fn len(&self) -> u64 {
        self.plain().len
    }

    /// Describes the payload for an explanation.
    pub(super) fn summary(&self) -> String {
        summarise(self.plain().len, &self.plain().whole)
    }

    fn plain(&self) -> &StreamDigests {
        self.decoded.as_ref().unwrap_or(&self.received)
    }
}

/// Describes a payload whose content is not shown: `1234 bytes (SHA-256 9f86d081…)`.
pub(super) fn summarise(len: u64, digest: &Digest) -> String {
    const SHOWN: usize = 8;
    let start: String = digest.iter().take(SHOWN).map(|byte| format!("{byte:02x}")).collect();
    format!("{len} bytes (SHA-256 {start}…)")
}

/// Reads a recorded payload to its end. Returns the digest of its bytes, and that of its parts if it is multipart.
pub(super) fn digest_recorded(source: impl Read, content_type: &str) -> io::Result<(Digest, Option<Digest>)> {
    let mut reader = HashingReader::new(source, MultipartDigest::new(content_type), &[]);
    reader.drain()?;
    let StreamDigests { whole, parts, .. } = reader.finish();
    Ok((whole, parts))
}

/// A reader that hashes the bytes that are read through it.
struct HashingReader<'a, R> {
    inner: R,
    digest: Sha256,
    parts: Option<MultipartDigest>,
    len: u64,
    /// The cuts that are not reached yet.
    next_cuts: &'a [u64],
    cuts: Vec<(u64, Digest)>,
}

impl<'a, R: Read> HashingReader<'a, R> {
    fn new(inner: R, parts: Option<MultipartDigest>, cuts: &'a [u64]) -> Self {
        HashingReader { inner, digest: Sha256::new(), parts, len: 0, next_cuts: cuts, cuts: Vec::new() }
    }

    fn drain(&mut self) -> io::Result<()> {
        io::copy(&mut BufReader::with_capacity(CHUNK, self), &mut io::sink())?;
        Ok(())
    }

    fn finish(self) -> StreamDigests {
        let parts = self.parts.and_then(MultipartDigest::finish);
        StreamDigests { len: self.len, whole: self.digest.finalize().into(), parts, cuts: self.cuts }
    }
}

impl<R: Read> Read for HashingReader<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buf)?;
        let mut bytes = &buf[..read];
        if let Some(parts) = &mut self.parts {
            parts.push(bytes);
        }
        while let Some((&cut, later)) = self.next_cuts.split_first() {
            let Some(before) = usize::try_from(cut - self.len).ok().and_then(|n| bytes.split_at_checked(n)) else {
                break;
            };
            self.digest.update(before.0);
            self.len = cut;
            self.cuts.push((cut, self.digest.clone().finalize().into()));
            (bytes, self.next_cuts) = (before.1, later);
        }
        self.digest.update(bytes);
        self.len += bytes.len() as u64;
        Ok(read)
    }
}

/// Makes the digest of the parts of a multipart payload: of their header lines and contents in order, and of the media
/// type. Clients choose another boundary for each request, so it does not count.
#[derive(Clone, Debug)]
pub(super) struct MultipartDigest {
    splitter: Splitter,
    all: Sha256,
    headers: Sha256,
    body: Sha256,
}

impl MultipartDigest {
    /// Starts a digest. Returns `None` if the payload is not multipart, or has no boundary.
    pub(super) fn new(content_type: &str) -> Option<Self> {
        let media_type = MediaType::parse(content_type);
        let boundary = media_type.parameter("boundary").filter(|_| media_type.is_multipart())?;
        let name = content_type.split(';').next().unwrap_or_default().trim();
        let all = Sha256::new_with_prefix("multipart").chain_update(Sha256::digest(name));
        Some(MultipartDigest { splitter: Splitter::new(boundary), all, headers: Sha256::new(), body: Sha256::new() })
    }

    /// Takes the next bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let MultipartDigest { splitter, all, headers, body } = self;
        splitter.push(bytes, |piece| match piece {
            Piece::Headers(bytes) => headers.update(bytes),
            Piece::Body(bytes) => body.update(bytes),
            Piece::End => {
                all.update(headers.finalize_reset());
                all.update(body.finalize_reset());
            }
        });
    }

    /// Returns the digest; `None` if the boundary does not divide the payload.
    pub(super) fn finish(self) -> Option<Digest> {
        self.splitter.is_closed().then(|| self.all.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sha256(bytes: &[u8]) -> Digest {
        Sha256::digest(bytes).into()
    }

    /// Returns at most seven bytes a read, so that chunks end at no cut.
    struct SevenAtATime<'a>(&'a [u8]);

    impl Read for SevenAtATime<'_> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            let n = self.0.len().min(7).min(buf.len());
            buf[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    #[test]
    fn stream_is_hashed_whole_and_up_to_each_cut() {
        let text: Vec<u8> = (0..100).collect();
        let digester = PayloadDigester::new(&HeaderMap::new(), vec![50, 0, 14, 50, 100, 101]);
        let digested = digester.digest(&mut SevenAtATime(&text)).unwrap();
        assert_eq!(digested.wholes(), [sha256(&text); 2]);
        for cut in [0, 14, 50, 100] {
            assert!(digested.begins_with(cut as u64, &sha256(&text[..cut]), Some(100)), "{cut}");
            assert!(!digested.begins_with(cut as u64, &sha256(&text[..cut]), Some(99)), "{cut}");
        }
        assert!(!digested.begins_with(101, &sha256(&text), None));
        assert!(!digested.begins_with(50, &sha256(&text[..49]), None));
    }

    #[test]
    fn parts_are_digested_as_in_memory() {
        let payload = b"--x\r\nA: b\r\n\r\none\r\n--x--\r\n";
        let content_type = "multipart/form-data; boundary=x";
        let headers = HeaderMap::from_iter([("content-type".parse().unwrap(), content_type.parse().unwrap())]);
        let digested = PayloadDigester::new(&headers, Vec::new()).digest(&mut SevenAtATime(payload)).unwrap();
        assert!(digested.parts().is_some());
        assert_eq!(digested.parts(), digest_recorded(&payload[..], content_type).unwrap().1);
    }

    #[test]
    fn coding_is_removed_and_undecodable_payload_is_compared_as_received() {
        let text = b"text ".repeat(1000);
        let mut coded = Vec::new();
        coding::encode(&[Coding::Gzip], &mut &text[..], &mut coded).unwrap();
        let headers = HeaderMap::from_iter([("content-encoding".parse().unwrap(), "gzip".parse().unwrap())]);
        let digester = PayloadDigester::new(&headers, vec![10]);
        let digested = digester.digest(&mut &coded[..]).unwrap();
        assert_eq!(digested.wholes(), [sha256(&coded), sha256(&text)]);
        assert!(digested.begins_with(10, &sha256(&text[..10]), Some(5000)));
        let undecodable = digester.digest(&mut &text[..]).unwrap();
        assert_eq!(undecodable.wholes(), [sha256(&text); 2]);
        assert!(undecodable.summary().starts_with("5000 bytes (SHA-256 "), "{}", undecodable.summary());
    }

    /// `{b}` stands for the boundary.
    const MULTIPART: &str = "before\r\n--{b}\r\nA: b\r\n\r\none\r\n--xx\r\n\r\n\r\n--{b} \t\nC: d\n\n2\n\n--{b}\r\n\r\n--x-\r\n--{b}--\r\nafter";

    fn digest(payload: &str, boundary: &str) -> Option<Digest> {
        let mut parts = MultipartDigest::new(&format!("multipart/form-data; boundary={boundary}")).unwrap();
        parts.push(payload.replace("{b}", boundary).as_bytes());
        parts.finish()
    }

    #[test]
    fn digest_does_not_depend_on_chunks() {
        let payload = MULTIPART.replace("{b}", "x");
        let whole = digest(MULTIPART, "x");
        assert!(whole.is_some());
        for at in 0..payload.len() {
            let mut parts = MultipartDigest::new("multipart/form-data; boundary=\"x\"").unwrap();
            parts.push(&payload.as_bytes()[..at]);
            parts.push(&payload.as_bytes()[at..]);
            assert_eq!(parts.finish(), whole, "{at}");
        }
    }

    #[test]
    fn parts_count_and_the_boundary_does_not() {
        let expected = digest(MULTIPART, "x");
        assert_eq!(digest(MULTIPART, "another"), expected);
        assert_eq!(digest(&MULTIPART.replace("before", "").replace("after", ""), "x"), expected);
        for (from, to) in [("one", "two"), ("A: b", "A: c"), ("2\n", "2"), ("A: b\r\n\r\none", "A: b\r\none")] {
            assert_ne!(digest(&MULTIPART.replace(from, to), "x"), expected, "{from}");
        }
        assert_eq!(digest(&MULTIPART.replace("--{b}--", "--{b}"), "x"), None, "not closed");
        assert_eq!(digest("", "x"), None);
        assert!(MultipartDigest::new("multipart/mixed").is_none());
        assert!(MultipartDigest::new("text/plain; boundary=x").is_none());
    }
}
