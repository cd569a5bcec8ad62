//! From a path to a HAR's text: plain, gzip'd, in an archive, in UTF-16, behind a BOM or wrapped as JSONP.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use encoding_rs::Encoding;

use super::Error;
use super::archive::{Archive, Ceiling, MAX_EXPANDED, may_expand, unreadable};
use super::stamp::Stamp;
use super::store::Store;

/// A HAR's text and where it begins.
pub(super) struct Opened {
    /// The file as it was.
    pub(super) stamp: Stamp,
    pub(super) store: Store,
    /// The first byte of JSON.
    pub(super) start: u64,
    /// JSON in a function call: what follows the HAR is the call's end.
    pub(super) wrapped: bool,
    /// It was gzip'd as a whole.
    pub(super) compressed: bool,
    /// Where payloads lie when it came in an archive.
    pub(super) archive: Option<Archive>,
}

/// Unpacked text up to this size stays in memory.
const IN_MEMORY: usize = 8 << 20;

/// Opens whatever form the file has: its first bytes tell, not its name.
pub(super) fn open(path: &Path) -> Result<Opened, Error> {
    let io = |source| Error::Io { doing: "opening", path: path.to_owned(), source };
    let file = File::open(path).map_err(io)?;
    let metadata = file.metadata().map_err(io)?;
    if metadata.is_dir() {
        return Err(unreadable(path, "it is a folder; name the HAR in it".to_owned()));
    }
    let mut archive = None;
    let mut compressed = false;
    // What is no plain file (a pipe) can be read only once.
    let mut store = if metadata.is_file() { Store::File(file) } else { unpack(file, None).map_err(io)? };
    match magic(&store).map_err(io)? {
        [0x1f, 0x8b, ..] => {
            store = gunzip(path, &store)?;
            compressed = true;
        }
        [b'P', b'K', 3 | 5, 4 | 6] => {
            let opened = Archive::open(File::open(path).map_err(io)?).map_err(|why| unreadable(path, why))?;
            store = har_of(path, &opened)?;
            archive = Some(opened);
        }
        _ => {}
    }
    let start = match magic(&store).map_err(io)? {
        [0xef, 0xbb, 0xbf, _] => 3,
        [0xff, 0xfe, ..] => {
            store = to_utf8(path, &store, encoding_rs::UTF_16LE)?;
            0
        }
        [0xfe, 0xff, ..] => {
            store = to_utf8(path, &store, encoding_rs::UTF_16BE)?;
            0
        }
        _ => 0,
    };
    let call = call_before(&store, start).map_err(io)?;
    let stamp = Stamp::of(&metadata);
    Ok(Opened { stamp, start: start + call.unwrap_or_default(), wrapped: call.is_some(), compressed, store, archive })
}

fn magic(store: &Store) -> io::Result<[u8; 4]> {
    let mut first = [0; 4];
    store.read_at(0, &mut first)?;
    Ok(first)
}

fn gunzip(path: &Path, store: &Store) -> Result<Store, Error> {
    let packed = store.len().map_err(|source| Error::Io { doing: "opening", path: path.to_owned(), source })?;
    let decoder = flate2::read::MultiGzDecoder::new(store.reader());
    unpack(decoder, Some(packed))
        .map_err(|error| unreadable(path, format!("it is gzip'd, and unpacking failed: {error}")))
}

fn har_of(path: &Path, archive: &Archive) -> Result<Store, Error> {
    let index = archive.har().map_err(|why| unreadable(path, why))?;
    let unpacked = archive.read(index, |member| unpack(member, None));
    unpacked.map_err(|error| unreadable(path, format!("its HAR can't be unpacked: {error}")))
}

/// Reads all there is, into memory when it is small. `packed` is the size it comes from, when that bounds it.
fn unpack(read: impl Read, packed: Option<u64>) -> io::Result<Store> {
    let mut read = Ceiling { read, left: MAX_EXPANDED };
    let mut bytes = Vec::new();
    (&mut read).take(IN_MEMORY as u64).read_to_end(&mut bytes)?;
    if bytes.len() < IN_MEMORY {
        return Ok(Store::Memory(bytes));
    }
    let mut file = tempfile::tempfile()?;
    let mut size = bytes.len() as u64;
    while !bytes.is_empty() {
        file.write_all(&bytes)?;
        bytes.clear();
        size += (&mut read).take(1 << 20).read_to_end(&mut bytes)? as u64;
        if let Some(packed) = packed {
            may_expand(packed, size).map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why))?;
        }
    }
    Ok(Store::File(file))
}

fn to_utf8(path: &Path, store: &Store, encoding: &'static Encoding) -> Result<Store, Error> {
    let converted =
        unpack(Utf8 { read: store.reader(), decoder: encoding.new_decoder(), ready: Vec::new(), ended: false }, None);
    converted.map_err(|source| Error::Io { doing: "reading", path: path.to_owned(), source })
}

/// Converts as it reads.
struct Utf8<R> {
    read: R,
    decoder: encoding_rs::Decoder,
    ready: Vec<u8>,
    ended: bool,
}

impl<R: Read> Read for Utf8<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.ready.is_empty() && !self.ended {
            let mut raw = [0; 8 * 1024];
            let n = self.read.read(&mut raw)?;
            self.ended = n == 0;
            let mut text = String::with_capacity(self.decoder.max_utf8_buffer_length(n).unwrap_or(n * 3));
            let _ = self.decoder.decode_to_string(&raw[..n], &mut text, self.ended);
            self.ready = text.into_bytes();
        }
        let n = buf.len().min(self.ready.len());
        buf[..n].copy_from_slice(&self.ready[..n]);
        self.ready.drain(..n);
        Ok(n)
    }
}

/// The length of a `onInputData(` before the JSON, if there is one (JSONP, as `.harp` files have it).
fn call_before(store: &Store, start: u64) -> io::Result<Option<u64>> {
    let mut head = [0; 1024];
    let n = store.read_at(start, &mut head)?;
    let Some(open) = head[..n].iter().position(|&byte| byte == b'{') else { return Ok(None) };
    let call = head[..open].trim_ascii().strip_suffix(b"(").is_some_and(|name| {
        let word = |byte: &u8| byte.is_ascii_alphanumeric() || b"_$. \t\r\n".contains(byte);
        !name.is_empty() && name.iter().all(word)
    });
    Ok(call.then_some(open as u64))
}
