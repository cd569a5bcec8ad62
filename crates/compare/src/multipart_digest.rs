//! The digest of a multipart payload without its boundary, made while the payload is read.

use harproxy_http::MediaType;
use harproxy_http::multipart::{Piece, Splitter};
use harproxy_json::Digest;
use sha2::{Digest as _, Sha256};

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
