//! Where the bytes of an answer come from: memory when they are few, else a file that is read in pieces, so that memory
//! stays bounded whatever a fixture holds.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tempfile::NamedTempFile;

use harproxy_har::Payload;
use harproxy_http::coding::{self, Coding};
use harproxy_proxy::Body;

use super::stream::Chunks;

/// Longer payloads are not held in memory.
pub(super) const IN_MEMORY: u64 = 8 * 1024 * 1024;

/// The bytes of a payload as they go out.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// In memory.
    Memory(Bytes),
    /// Where the fixture has them, and how many.
    Fixture(Arc<Payload>, u64),
    /// Encoded once into a temporary file, which goes with the last who holds it.
    Spool(Arc<NamedTempFile>, u64),
}

/// Why the bytes can't be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum SourceError {
    #[error(transparent)]
    Fixture(#[from] harproxy_har::Error),
    #[error("encoding the payload as `{codings}`")]
    Encode { codings: String, source: io::Error },
    #[error("preparing the answer")]
    Task(#[from] tokio::task::JoinError),
}

impl Source {
    /// The bytes of a stored payload; one that was not recorded has none. Blocking.
    pub(super) fn of(payload: Payload) -> Result<Self, SourceError> {
        Ok(match payload {
            Payload::Empty | Payload::NotRecorded => Source::Memory(Bytes::new()),
            Payload::Bytes(bytes) => Source::Memory(bytes),
            Payload::File(file) if file.len > IN_MEMORY => {
                Source::Fixture(Arc::new(Payload::File(file.clone())), file.len)
            }
            payload @ Payload::File(_) => Source::Memory(payload.bytes()?),
        })
    }

    /// How many bytes there are.
    pub(super) fn len(&self) -> u64 {
        match self {
            Source::Memory(bytes) => bytes.len() as u64,
            Source::Fixture(_, len) | Source::Spool(_, len) => *len,
        }
    }

    /// Those that are held in memory.
    pub(super) fn held_bytes(&self) -> Option<&[u8]> {
        if let Source::Memory(bytes) = self { Some(bytes) } else { None }
    }

    /// How many of them are held in memory.
    pub(super) fn held(&self) -> u64 {
        if let Source::Memory(bytes) = self { bytes.len() as u64 } else { 0 }
    }

    /// The same payload with codings applied. Blocking.
    pub(super) fn encode(&self, codings: &[Coding]) -> Result<Self, SourceError> {
        let mut read = self.open()?;
        self.encode_from(&mut *read, codings).map_err(|source| SourceError::Encode {
            codings: codings.iter().map(|coding| coding.token()).collect::<Vec<_>>().join(", "),
            source,
        })
    }

    fn encode_from(&self, read: &mut (dyn Read + Send), codings: &[Coding]) -> io::Result<Self> {
        if self.len() <= IN_MEMORY {
            let mut coded = Vec::new();
            coding::encode(codings, read, &mut coded)?;
            return Ok(Source::Memory(coded.into()));
        }
        let mut spool = NamedTempFile::new()?;
        let len = coding::encode(codings, read, &mut io::BufWriter::new(spool.as_file_mut()))?;
        spool.as_file_mut().flush()?;
        Ok(Source::Spool(Arc::new(spool), len))
    }

    /// From the beginning. Blocking.
    pub(super) fn open(&self) -> Result<Box<dyn Read + Send>, SourceError> {
        Ok(match self {
            Source::Memory(bytes) => Box::new(io::Cursor::new(bytes.clone())),
            Source::Fixture(payload, _) => payload.reader()?,
            Source::Spool(spool, _) => Box::new(Spooled::open(spool)?),
        })
    }

    /// All of them; `None` when they are more than this. Blocking.
    pub(super) fn all(&self, longest: u64) -> Result<Option<Bytes>, SourceError> {
        match self {
            Source::Memory(bytes) => Ok(Some(bytes.clone())),
            Source::Fixture(payload, len) if *len <= longest => Ok(Some(payload.bytes()?)),
            Source::Fixture(..) | Source::Spool(..) => Ok(None),
        }
    }

    /// As a body of known length.
    pub(super) fn body(&self) -> Body {
        match self {
            Source::Memory(bytes) => Body::full(bytes.clone()),
            on_disk => Body::boxed(Chunks::new(on_disk.clone())),
        }
    }
}

/// A reader of a spool with a position of its own; it keeps the file from being removed.
struct Spooled {
    file: File,
    _keep: Arc<NamedTempFile>,
}

impl Spooled {
    fn open(spool: &Arc<NamedTempFile>) -> Result<Self, SourceError> {
        let open = || {
            let mut file = spool.reopen()?;
            file.rewind()?;
            Ok(Spooled { file, _keep: spool.clone() })
        };
        open().map_err(|source| {
            SourceError::Fixture(harproxy_har::Error::Io { doing: "reading", path: spool.path().to_owned(), source })
        })
    }
}

impl Read for Spooled {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.file.read(buf)
    }
}

/// How much memory prepared answers may keep. First come, first kept: nothing is ever thrown out, so a run that uses
/// more than this pays for the rest each time and never thrashes.
#[derive(Debug)]
pub(super) struct Budget(AtomicU64);

impl Budget {
    pub(super) const fn new(bytes: u64) -> Self {
        Budget(AtomicU64::new(bytes))
    }

    /// Takes `bytes` out of it; `false` when they are not there.
    pub(super) fn take(&self, bytes: u64) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(source: &Source) -> Vec<u8> {
        let mut bytes = Vec::new();
        source.open().unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn what_is_long_is_encoded_into_a_file_and_read_by_many_at_once() {
        let long = Bytes::from(vec![b'x'; usize::try_from(IN_MEMORY).unwrap() + 1]);
        let coded = Source::Memory(long.clone()).encode(&[Coding::Gzip]).unwrap();
        assert!(matches!(coded, Source::Spool(..)));
        assert_eq!(coded.held(), 0);
        let (mut one, two) = (coded.open().unwrap(), read(&coded));
        assert_eq!(coded.len(), two.len() as u64);
        drop(coded);
        let mut first = Vec::new();
        one.read_to_end(&mut first).unwrap();
        assert_eq!(first, two);
        let mut plain = Vec::new();
        coding::decoder(&[Coding::Gzip], Box::new(io::Cursor::new(first))).read_to_end(&mut plain).unwrap();
        assert_eq!(plain, long);
    }

    #[test]
    fn an_empty_payload_encodes_to_something_that_decodes() {
        let coded = Source::of(Payload::Empty).unwrap().encode(&[Coding::Gzip]).unwrap();
        assert!(coded.len() > 0);
    }

    #[test]
    fn a_budget_gives_what_it_has_and_no_more() {
        let budget = Budget::new(10);
        assert!(budget.take(4) && !budget.take(7) && budget.take(6) && !budget.take(1) && budget.take(0));
    }
}
