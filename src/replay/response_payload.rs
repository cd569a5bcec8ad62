//! The payload of a response: in memory if it is short, otherwise in a file that is streamed.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::sync::Arc;

use bytes::Bytes;
use tempfile::NamedTempFile;

use harproxy_har::Payload;
use harproxy_http::coding::{self, Coding};
use harproxy_proxy::Body;

use super::stream::FileBody;

/// The length in bytes up to which a payload is kept in memory.
const LONGEST_IN_MEMORY: u64 = 1 << 20;
/// The most that a payload on disk counts for in the cache. Of longer payloads, the cache still holds a few.
pub(super) const HEAVIEST_ON_DISK: u64 = 16 << 20;

/// The bytes of a payload as they are sent. Clones share them.
#[derive(Clone, Debug)]
pub(super) enum ResponsePayload {
    Memory(Bytes),
    /// A file of the fixture, and its length.
    Fixture(Arc<Payload>, u64),
    /// A temporary file, and its length. The last clone removes it.
    Temporary(Arc<NamedTempFile>, u64),
}

/// Why a payload cannot be sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum PayloadError {
    #[error(transparent)]
    Fixture(#[from] harproxy_har::Error),
    #[error("encoding the payload as `{codings}`")]
    Encode { codings: String, source: io::Error },
    #[error("reading the payload back from a temporary file")]
    Temporary(#[source] io::Error),
    #[error("preparing the answer")]
    Task(#[from] tokio::task::JoinError),
}

impl ResponsePayload {
    /// The bytes of a stored payload; none if it was not recorded. A long payload that the HAR embeds is written to a
    /// temporary file, or stays in memory if that fails (a full disk, a read-only container). Blocking.
    pub(super) fn of(payload: Payload) -> Result<Self, PayloadError> {
        Ok(match payload {
            Payload::Empty | Payload::NotRecorded => ResponsePayload::Memory(Bytes::new()),
            Payload::Bytes(bytes) if bytes.len() as u64 <= LONGEST_IN_MEMORY => ResponsePayload::Memory(bytes),
            Payload::Bytes(bytes) => {
                let write = |file: &mut File| file.write_all(&bytes).map(|()| bytes.len() as u64);
                ResponsePayload::temporary(write).unwrap_or_else(|_| ResponsePayload::Memory(bytes.clone()))
            }
            Payload::File(file) if file.len > LONGEST_IN_MEMORY => {
                let len = file.len;
                ResponsePayload::Fixture(Arc::new(Payload::File(file)), len)
            }
            payload @ Payload::File(_) => ResponsePayload::Memory(payload.bytes()?),
        })
    }

    fn temporary(write: impl FnOnce(&mut File) -> io::Result<u64>) -> io::Result<Self> {
        let mut file = NamedTempFile::new()?;
        let len = write(file.as_file_mut())?;
        Ok(ResponsePayload::Temporary(Arc::new(file), len))
    }

    /// The number of bytes.
    pub(super) fn len(&self) -> u64 {
        match self {
            ResponsePayload::Memory(bytes) => bytes.len() as u64,
            ResponsePayload::Fixture(_, len) | ResponsePayload::Temporary(_, len) => *len,
        }
    }

    /// The share of the cache's capacity that it takes, in bytes.
    pub(super) fn weight(&self) -> u64 {
        match self {
            ResponsePayload::Memory(bytes) => bytes.len() as u64,
            ResponsePayload::Fixture(..) => 0,
            ResponsePayload::Temporary(_, len) => (*len).min(HEAVIEST_ON_DISK),
        }
    }

    /// The payload with codings applied. Blocking.
    pub(super) fn encode(&self, codings: &[Coding]) -> Result<Self, PayloadError> {
        if self.len() > LONGEST_IN_MEMORY {
            let mut read = self.open()?;
            let encoded = ResponsePayload::temporary(|file| {
                let mut writer = io::BufWriter::new(file);
                let len = coding::encode(codings, &mut *read, &mut writer)?;
                writer.flush()?;
                Ok(len)
            });
            if let Ok(encoded) = encoded {
                return Ok(encoded);
            }
        }
        let mut encoded = Vec::new();
        coding::encode(codings, &mut *self.open()?, &mut encoded).map_err(|source| PayloadError::Encode {
            codings: codings.iter().map(|coding| coding.token()).collect::<Vec<_>>().join(", "),
            source,
        })?;
        Ok(ResponsePayload::Memory(encoded.into()))
    }

    /// A reader from the first byte. Blocking.
    pub(super) fn open(&self) -> Result<Box<dyn Read + Send>, PayloadError> {
        Ok(match self {
            ResponsePayload::Memory(bytes) => Box::new(io::Cursor::new(bytes.clone())),
            ResponsePayload::Fixture(payload, _) => payload.reader()?,
            ResponsePayload::Temporary(file, _) => Box::new(TemporaryReader::open(file)?),
        })
    }

    /// All bytes; `None` if there are more than `longest`. Blocking.
    pub(super) fn all(&self, longest: u64) -> Result<Option<Bytes>, PayloadError> {
        match self {
            ResponsePayload::Memory(bytes) => Ok(Some(bytes.clone())),
            _ if self.len() > longest => Ok(None),
            ResponsePayload::Fixture(payload, _) => Ok(Some(payload.bytes()?)),
            ResponsePayload::Temporary(..) => {
                let mut bytes = Vec::new();
                self.open()?.read_to_end(&mut bytes).map_err(PayloadError::Temporary)?;
                Ok(Some(bytes.into()))
            }
        }
    }

    /// A body of known length.
    pub(super) fn body(&self) -> Body {
        match self {
            ResponsePayload::Memory(bytes) => Body::full(bytes.clone()),
            on_disk => {
                let payload = on_disk.clone();
                Body::boxed(FileBody::new(move || payload.open().map_err(io::Error::other), on_disk.len()))
            }
        }
    }
}

/// A reader of a temporary file with its own position. It keeps the file from being removed.
struct TemporaryReader {
    file: File,
    _keep: Arc<NamedTempFile>,
}

impl TemporaryReader {
    fn open(temporary: &Arc<NamedTempFile>) -> Result<Self, PayloadError> {
        let open = || {
            let mut file = temporary.reopen()?;
            file.rewind()?;
            Ok(TemporaryReader { file, _keep: temporary.clone() })
        };
        open().map_err(|source| {
            PayloadError::Fixture(harproxy_har::Error::Io {
                doing: "reading",
                path: temporary.path().to_owned(),
                source,
            })
        })
    }
}

impl Read for TemporaryReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.file.read(buf)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(source: &ResponsePayload) -> Vec<u8> {
        let mut bytes = Vec::new();
        source.open().unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    }

    fn long() -> Bytes {
        (0..usize::try_from(LONGEST_IN_MEMORY).unwrap() + 1).map(|n| (n % 251) as u8).collect()
    }

    #[test]
    fn long_payload_is_encoded_into_a_file_that_several_readers_share() {
        let encoded = ResponsePayload::Memory(long()).encode(&[Coding::Gzip]).unwrap();
        assert!(matches!(encoded, ResponsePayload::Temporary(..)));
        let (mut one, two) = (encoded.open().unwrap(), read(&encoded));
        assert_eq!(encoded.len(), two.len() as u64);
        drop(encoded);
        let mut first = Vec::new();
        one.read_to_end(&mut first).unwrap();
        assert_eq!(first, two);
        let mut plain = Vec::new();
        coding::decoder(&[Coding::Gzip], Box::new(io::Cursor::new(first))).read_to_end(&mut plain).unwrap();
        assert_eq!(plain, long());
    }

    #[test]
    fn long_embedded_payload_is_kept_in_a_temporary_file() {
        let source = ResponsePayload::of(Payload::Bytes(long())).unwrap();
        assert!(matches!(source, ResponsePayload::Temporary(..)));
        assert_eq!((source.len(), read(&source)), (long().len() as u64, long().to_vec()));
        assert_eq!(source.all(LONGEST_IN_MEMORY).unwrap(), None);
        assert_eq!(source.all(2 * LONGEST_IN_MEMORY).unwrap(), Some(long()));
        let ResponsePayload::Temporary(file, _) = &source else { panic!("not in a file") };
        let path = file.path().to_owned();
        drop(source);
        assert!(!path.exists());
    }

    #[test]
    fn empty_payload_can_be_encoded() {
        let encoded = ResponsePayload::of(Payload::Empty).unwrap().encode(&[Coding::Gzip]).unwrap();
        assert!(encoded.len() > 0);
    }
}
