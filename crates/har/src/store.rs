//! The bytes of a HAR wherever they are, read by offset: the file itself, or what came out of a compressed one.

use std::fs::File;
use std::io::{self, Read};

/// Random access to a HAR's text.
#[derive(Debug)]
pub(super) enum Store {
    /// The file as it stands on disk.
    File(File),
    /// Text that had to be unpacked or converted first.
    Memory(Vec<u8>),
}

impl Store {
    /// Reads at `offset` into `buf`; fewer bytes than fit only at the end.
    pub(super) fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
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
    pub(super) fn range(&self, offset: u64, len: u64) -> io::Result<Vec<u8>> {
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let mut bytes = vec![0; len];
        if self.read_at(offset, &mut bytes)? < len {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it has become shorter since it was opened"));
        }
        Ok(bytes)
    }

    /// How many bytes there are.
    pub(super) fn len(&self) -> io::Result<u64> {
        match self {
            Store::File(file) => Ok(file.metadata()?.len()),
            Store::Memory(bytes) => Ok(bytes.len() as u64),
        }
    }

    /// All of it from the beginning.
    pub(super) fn reader(&self) -> impl Read + '_ {
        Reader { store: self, at: 0 }
    }

    fn read_some(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Store::File(file) => read_file_at(file, offset, buf),
            Store::Memory(bytes) => {
                let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                let n = buf.len().min(bytes.len() - from);
                buf[..n].copy_from_slice(&bytes[from..from + n]);
                Ok(n)
            }
        }
    }
}

struct Reader<'a> {
    store: &'a Store,
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
pub(super) fn read_file_at(file: &File, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buf, offset)
}

#[cfg(windows)]
pub(super) fn read_file_at(file: &File, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buf, offset)
}
