//! The text of a HAR file of any form: plain, gzip, archive, UTF-16, with a byte order mark or wrapped as JSONP.

use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use encoding_rs::Encoding;

use crate::Error;
use crate::store::archive::{Archive, MAX_EXPANDED, SizeLimitedReader, check_expansion, unreadable};
use crate::store::lfs;
use crate::store::stamp::Stamp;
use crate::store::text_store::TextStore;
use harproxy_support::regular_file;

/// The text of a HAR and the form of its file.
pub(crate) struct HarSource {
    /// The stamp of the file when it was opened.
    pub(crate) stamp: Stamp,
    pub(crate) store: TextStore,
    /// The offset of the first byte of JSON.
    pub(crate) start: u64,
    /// The JSON is the argument of a function call (JSONP), whose end follows it.
    pub(crate) wrapped: bool,
    /// The file is gzip-compressed as a whole.
    pub(crate) compressed: bool,
    /// The archive with the payloads, if the HAR is a member of one.
    pub(crate) archive: Option<Archive>,
}

/// Unpacked text up to this size stays in memory.
const IN_MEMORY: usize = 8 << 20;

/// Opens a HAR. Its form is detected from its first bytes, not from its name.
pub(crate) fn open(path: &Path) -> Result<HarSource, Error> {
    let io = Error::at(path, "opening");
    if path.is_dir() {
        return Err(unreadable(path, "it is a folder; pass the path of the HAR in it".to_owned()));
    }
    let open = || {
        regular_file::open(path).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidInput => unreadable(path, error.to_string()),
            _ => io(error),
        })
    };
    let file = open()?;
    let metadata = file.metadata().map_err(io)?;
    let mut archive = None;
    let mut compressed = false;
    let mut store = TextStore::File(file);
    match magic(&store).map_err(io)? {
        [0x1f, 0x8b, ..] => {
            store = gunzip(path, &store)?;
            compressed = true;
        }
        [b'P', b'K', 3 | 5, 4 | 6] => {
            let opened = Archive::open(open()?).map_err(|why| unreadable(path, why))?;
            store = har_of(path, &opened)?;
            archive = Some(opened);
        }
        _ => {}
    }
    let mut start = 0;
    match magic(&store).map_err(io)? {
        [0xef, 0xbb, 0xbf, _] => start = 3,
        [0xff, 0xfe, ..] => store = to_utf8(&store, encoding_rs::UTF_16LE).map_err(Error::at(path, "reading"))?,
        [0xfe, 0xff, ..] => store = to_utf8(&store, encoding_rs::UTF_16BE).map_err(Error::at(path, "reading"))?,
        _ => {}
    }
    let mut beginning = [0; 64];
    let len = store.read_at(start, &mut beginning).map_err(io)?;
    if lfs::is_pointer(&beginning[..len]) {
        return Err(unreadable(path, "it is a Git LFS pointer, not the HAR: run `git lfs pull`".to_owned()));
    }
    let call = call_before(&store, start).map_err(io)?;
    let stamp = Stamp::of(&metadata);
    Ok(HarSource {
        stamp,
        start: start + call.unwrap_or_default(),
        wrapped: call.is_some(),
        compressed,
        store,
        archive,
    })
}

fn magic(store: &TextStore) -> io::Result<[u8; 4]> {
    let mut first = [0; 4];
    store.read_at(0, &mut first)?;
    Ok(first)
}

fn gunzip(path: &Path, store: &TextStore) -> Result<TextStore, Error> {
    let packed = store.len().map_err(Error::at(path, "opening"))?;
    let decoder = flate2::read::MultiGzDecoder::new(store.reader());
    unpack(decoder, Some(packed)).map_err(|error| unreadable(path, format!("gzip decompression failed: {error}")))
}

fn har_of(path: &Path, archive: &Archive) -> Result<TextStore, Error> {
    let index = archive.har().map_err(|why| unreadable(path, why))?;
    let unpacked = archive.read(index, |member| unpack(member, None));
    unpacked.map_err(|error| unreadable(path, format!("its HAR cannot be unpacked: {error}")))
}

/// Reads a source to its end, into memory if it is small, else into a temporary file. `packed` is the compressed
/// size, which limits the result.
fn unpack(read: impl Read, packed: Option<u64>) -> io::Result<TextStore> {
    let mut read = SizeLimitedReader { read, left: MAX_EXPANDED };
    let mut bytes = Vec::new();
    (&mut read).take(IN_MEMORY as u64).read_to_end(&mut bytes)?;
    if bytes.len() < IN_MEMORY {
        return Ok(TextStore::Memory(bytes));
    }
    let mut file = tempfile::tempfile()?;
    let mut size = bytes.len() as u64;
    while !bytes.is_empty() {
        file.write_all(&bytes)?;
        bytes.clear();
        size += (&mut read).take(1 << 20).read_to_end(&mut bytes)? as u64;
        if let Some(packed) = packed {
            check_expansion(packed, size).map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why))?;
        }
    }
    Ok(TextStore::File(file))
}

/// Converts a text to UTF-8, in a temporary file.
fn to_utf8(store: &TextStore, encoding: &'static Encoding) -> io::Result<TextStore> {
    let mut decoder = encoding.new_decoder();
    let mut read = store.reader();
    let mut out = BufWriter::new(tempfile::tempfile()?);
    let mut raw = [0; 8 * 1024];
    loop {
        let n = read.read(&mut raw)?;
        let mut text = String::with_capacity(decoder.max_utf8_buffer_length(n).unwrap_or(n * 3));
        let _ = decoder.decode_to_string(&raw[..n], &mut text, n == 0);
        out.write_all(text.as_bytes())?;
        if n == 0 {
            return Ok(TextStore::File(out.into_inner()?));
        }
    }
}

/// The length of a function call such as `onInputData(` before the JSON (JSONP, as in `.harp` files).
fn call_before(store: &TextStore, start: u64) -> io::Result<Option<u64>> {
    let mut head = [0; 1024];
    let n = store.read_at(start, &mut head)?;
    let Some(open) = head[..n].iter().position(|&byte| byte == b'{') else { return Ok(None) };
    let call = head[..open].trim_ascii().strip_suffix(b"(").is_some_and(|name| {
        let word = |byte: &u8| byte.is_ascii_alphanumeric() || b"_$. \t\r\n".contains(byte);
        !name.is_empty() && name.iter().all(word)
    });
    Ok(call.then_some(open as u64))
}
