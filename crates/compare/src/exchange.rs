//! The exchanges that comparisons take as input, built from entries and journals: their payloads have bytes up to a
//! limit, and a digest beyond it. Fingerprints of named values.

use std::borrow::Cow;
use std::io::{self, Read};

use harproxy_http::{Headers, MediaType};
use harproxy_json::{Digest, Spacing};
use harproxy_redact::{Placeholder, placeholder};
use sha2::{Digest as _, Sha256};

#[derive(Clone, Debug)]
pub struct Exchange<'a> {
    pub request: Request<'a>,
    /// The response; its status is not positive if none was received.
    pub response: Response<'a>,
}

#[derive(Clone, Debug)]
pub struct Request<'a> {
    pub method: Cow<'a, str>,
    /// The URL in normal form; as written if it is invalid.
    pub url: Cow<'a, str>,
    pub headers: Cow<'a, Headers>,
    pub body: Body<'a>,
}

#[derive(Clone, Debug)]
pub struct Response<'a> {
    /// The status; 0 or -1 if no response was received.
    pub status: i32,
    /// The reason phrase; `None` in protocol versions without one.
    pub reason: Option<Cow<'a, str>>,
    pub headers: Cow<'a, Headers>,
    pub trailers: Cow<'a, Headers>,
    pub body: Body<'a>,
    /// The kind of failure, if no response was received.
    pub failure: Option<Cow<'a, str>>,
}

/// A payload with its media type, and whether it is still encoded or incomplete.
#[derive(Clone, Debug)]
pub struct Body<'a> {
    /// The value of `Content-Type`; empty if there is none.
    pub media_type: Cow<'a, str>,
    /// The content, without its content coding.
    pub content: Content<'a>,
    /// True if the content coding could not be removed, so that `content` is as received.
    pub is_encoded: bool,
    /// Why the payload is incomplete, if it is.
    pub cut: Option<Cow<'a, str>>,
}

impl<'a> Body<'a> {
    /// Returns a complete payload.
    #[must_use]
    pub fn new(media_type: impl Into<Cow<'a, str>>, content: Content<'a>) -> Self {
        Body { media_type: media_type.into(), content, is_encoded: false, cut: None }
    }

    /// Returns the body of a message without a payload.
    #[must_use]
    pub fn empty() -> Self {
        Body::new("", Content::Empty)
    }

    /// Returns the payload as text. `None` if it is empty, not kept, too long, still encoded or not UTF-8.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        let bytes = self.content.bytes().filter(|_| !self.is_encoded)?;
        std::str::from_utf8(bytes).ok()
    }

    #[must_use]
    pub fn media(&self) -> MediaType {
        MediaType::parse(&self.media_type)
    }
}

/// The longest payload that comparisons inspect, in bytes. Longer ones are compared by the digest of all their bytes.
pub const INSPECTED_BYTES: u64 = 16 << 20;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    /// There is no payload, or an empty one.
    Empty,
    /// There was a payload, but it was not kept.
    NotKept,
    /// The bytes of a payload of at most [`INSPECTED_BYTES`].
    Bytes(Cow<'a, [u8]>),
    Long {
        /// Its length in bytes.
        len: u64,
        /// The SHA-256 of all its bytes.
        digest: Digest,
    },
}

impl<'a> Content<'a> {
    /// Takes bytes that are in memory.
    #[must_use]
    pub fn of_bytes(bytes: impl Into<Cow<'a, [u8]>>) -> Self {
        let bytes = bytes.into();
        match bytes.len() as u64 {
            0 => Content::Empty,
            len if len > INSPECTED_BYTES => Content::Long { len, digest: Sha256::digest(&bytes).into() },
            _ => Content::Bytes(bytes),
        }
    }

    /// Reads a payload to its end. Memory is bounded by [`INSPECTED_BYTES`].
    pub fn read(read: &mut dyn Read) -> io::Result<Content<'static>> {
        let mut bytes = Vec::new();
        read.take(INSPECTED_BYTES + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 <= INSPECTED_BYTES {
            return Ok(Content::of_bytes(bytes));
        }
        let (mut digest, mut len) = (Sha256::new(), 0);
        while !bytes.is_empty() {
            digest.update(&bytes);
            len += bytes.len() as u64;
            bytes.clear();
            read.take(1 << 20).read_to_end(&mut bytes)?;
        }
        Ok(Content::Long { len, digest: digest.finalize().into() })
    }

    /// Returns the bytes of a payload that can be inspected.
    #[must_use]
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Content::Bytes(bytes) => Some(bytes),
            Content::Empty | Content::NotKept | Content::Long { .. } => None,
        }
    }

    /// Returns the key of the payload. `inspect` may return a more precise key of its bytes. By default they count
    /// without their placeholders.
    #[must_use]
    pub fn key(&self, inspect: impl FnOnce(&[u8]) -> Option<ContentKey>) -> ContentKey {
        match self {
            Content::Empty => ContentKey::Empty,
            Content::NotKept => ContentKey::NotKept,
            Content::Long { digest, .. } => ContentKey::Bytes(*digest),
            Content::Bytes(bytes) => {
                inspect(bytes).unwrap_or_else(|| ContentKey::Bytes(Sha256::digest(placeholder::mask(bytes)).into()))
            }
        }
    }
}

/// Adds bytes with their length to a digest, so that they cannot run into the next ones.
pub(super) fn update_sized(digest: &mut Sha256, bytes: &[u8]) {
    digest.update((bytes.len() as u64).to_le_bytes());
    digest.update(bytes);
}

/// The part of a payload that counts. Two payloads are equal if their keys are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ContentKey {
    Empty,
    NotKept,
    /// The payload does not count.
    Ignored,
    /// The bytes count, or a meaning that was reduced to a digest.
    Bytes(Digest),
    /// The values of a JSON payload count.
    Json {
        digest: Digest,
        /// The spacing of a payload on one line. Such a payload is stored indented.
        spacing: Option<Spacing>,
    },
}

/// A digest of values, and the placeholders that were found in them, in order.
///
/// Values that differ only in placeholders have the same digest. Placeholders at the same index of two fingerprints
/// with the same digest are at the same place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    pub digest: Digest,
    pub placeholders: Vec<Placeholder>,
}

/// Makes a [`Fingerprint`] of named values.
#[derive(Clone, Debug, Default)]
pub struct Fingerprinter {
    digest: Sha256,
    placeholders: Vec<Placeholder>,
}

impl Fingerprinter {
    pub fn add(&mut self, name: &str, value: &[u8]) {
        self.placeholders.extend(placeholder::find(value).map(|found| found.placeholder));
        update_sized(&mut self.digest, name.as_bytes());
        update_sized(&mut self.digest, &placeholder::mask(value));
    }

    #[must_use]
    pub fn finish(self) -> Fingerprint {
        Fingerprint { digest: self.digest.finalize().into(), placeholders: self.placeholders }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_held_up_to_the_limit() {
        let limit = usize::try_from(INSPECTED_BYTES).unwrap();
        for len in [0, 1, limit, limit + 1, limit + (3 << 20)] {
            let bytes = vec![b'x'; len];
            let read = Content::read(&mut &bytes[..]).unwrap();
            assert_eq!(read, Content::of_bytes(bytes.as_slice()), "{len}");
            assert_eq!(read.bytes().is_some(), len > 0 && len <= limit, "{len}");
        }
    }

    #[test]
    fn placeholders_do_not_count_in_the_key() {
        let key = |text: &'static [u8]| Content::of_bytes(text).key(|_| None);
        assert_eq!(key(b"token=REDACTED-token-1"), key(b"token=REDACTED-token-2"));
        assert_ne!(key(b"token=REDACTED-token-1"), key(b"token=live"));
        assert_eq!(Content::of_bytes(&b""[..]).key(|_| None), ContentKey::Empty);
    }

    #[test]
    fn placeholders_are_collected_and_do_not_count() {
        let fingerprint = |values: &[(&str, &str)]| {
            let mut fingerprinter = Fingerprinter::default();
            values.iter().for_each(|(name, value)| fingerprinter.add(name, value.as_bytes()));
            fingerprinter.finish()
        };
        let one = fingerprint(&[("a", "x REDACTED-sid-1"), ("b", "REDACTED-token-2")]);
        let other = fingerprint(&[("a", "x REDACTED-sid-3"), ("b", "REDACTED-token-4")]);
        assert_eq!(one.digest, other.digest);
        assert_eq!(one.placeholders.iter().map(|found| found.number).collect::<Vec<_>>(), [1, 2]);
        assert_ne!(fingerprint(&[("a", "bc")]).digest, fingerprint(&[("ab", "c")]).digest);
    }
}
