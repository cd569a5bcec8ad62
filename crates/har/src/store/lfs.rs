//! Git LFS pointers: the small text files that stand for the real ones until `git lfs pull` gets these.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The beginning of a pointer (specification of Git LFS, version 1).
const BEGINNING: &[u8] = b"version https://git-lfs.github.com/spec/v1";
/// Pointers are shorter, bytes.
const MAX_LEN: u64 = 1024;

/// True if a text begins like a pointer.
pub(crate) fn is_pointer(beginning: &[u8]) -> bool {
    beginning.starts_with(BEGINNING)
}

/// True if the file of this length is a pointer. False if it cannot be read, which is reported where it is used.
pub(crate) fn is_pointer_file(path: &Path, len: u64) -> bool {
    let mut beginning = [0; BEGINNING.len()];
    (BEGINNING.len() as u64..MAX_LEN).contains(&len)
        && File::open(path).and_then(|mut file| file.read_exact(&mut beginning)).is_ok()
        && is_pointer(&beginning)
}
