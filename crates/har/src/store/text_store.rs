//! Random access to the text of a HAR, in its file or unpacked.

use std::fs::File;
use std::io::{self, Read};

/// Random access to a HAR's text.
#[derive(Debug)]
pub(crate) enum TextStore {
    /// The file itself, or an unpacked copy in a temporary file.
    File(File),
    /// Unpacked or converted text.
    Memory(Vec<u8>),
}

impl TextStore {
    /// Reads at `offset` until `buf` is full or the text ends. Returns the number of bytes.
    pub(crate) fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut have = 0;
        while have < buf.len() {
            match self.read_some(offset + have as u64, &mut buf[have..]) {
                Ok(0) => break,
                Ok(n) => have += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(have)
    }

    /// The `len` bytes at `offset`.
    pub(crate) fn range(&self, offset: u64, len: u64) -> io::Result<Vec<u8>> {
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let mut bytes = vec![0; len];
        if self.read_at(offset, &mut bytes)? < len {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the file has become shorter since it was opened",
            ));
        }
        Ok(bytes)
    }

    /// The length in bytes.
    pub(crate) fn len(&self) -> io::Result<u64> {
        match self {
            TextStore::File(file) => Ok(file.metadata()?.len()),
            TextStore::Memory(bytes) => Ok(bytes.len() as u64),
        }
    }

    /// A reader of the whole text.
    pub(crate) fn reader(&self) -> impl Read + '_ {
        Reader { store: self, at: 0 }
    }

    fn read_some(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            TextStore::File(file) => read_file_at(file, offset, buf),
            TextStore::Memory(bytes) => {
                let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                let n = buf.len().min(bytes.len() - from);
                buf[..n].copy_from_slice(&bytes[from..from + n]);
                Ok(n)
            }
        }
    }
}

struct Reader<'a> {
    store: &'a TextStore,
    at: u64,
}

impl Read for Reader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.store.read_some(self.at, buf)?;
        self.at += n as u64;
        Ok(n)
    }
}

#[cfg(unix)]
fn read_file_at(file: &File, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buf, offset)
}

#[cfg(windows)]
fn read_file_at(file: &File, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buf, offset)
}
