//! Fixtures in untrusted archives.

use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use harproxy::fixtures::pack;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::support::{check_message, open, read_all};

/// The expanded size beyond which a small archive is an attack.
const MOST: usize = 64 << 20;

/// The bytes are an archive, or lines `NAME=CONTENT` from which one is made.
pub fn check(data: &[u8]) {
    let archive = if data.starts_with(b"PK") { data.to_vec() } else { made(data) };
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("in/here");
    fs::create_dir_all(&home).unwrap();
    let path = dir.path().join("a.zip");
    fs::write(&path, &archive).unwrap();
    let Some(fixture) = open(&path) else { return };
    let payloads = read_all(&fixture);
    let expanded: usize = payloads.iter().flatten().flatten().map(Vec::len).sum();
    assert!(expanded <= MOST.max(archive.len() * 300 * payloads.len().max(1)), "{expanded} bytes of {}", archive.len());
    let har = home.join("a.har");
    let unpacked = pack::unpack(&path, &har, false);
    let before: Vec<PathBuf> = files(dir.path()).into_iter().filter(|file| !file.starts_with(&home)).collect();
    assert_eq!(before, [path], "something was written outside");
    match unpacked {
        Err(error) => check_message(&error),
        Ok(_) => {
            let Some(fixture) = open(&har) else { panic!("what was unpacked can't be read") };
            assert_eq!(read_all(&fixture), payloads, "unpacking changed a payload");
            packs_again(&har, &payloads);
        }
    }
}

/// An unpacked archive can be packed again, with equal contents.
fn packs_again(har: &Path, payloads: &[Vec<Option<Vec<u8>>>]) {
    let packed = pack::with_extension(har, "zip");
    // Unreadable entries may refer to any payload file.
    if let Err(error) = pack::pack(har, &packed, false) {
        return check_message(&error);
    }
    let Some(fixture) = open(&packed) else { panic!("what was packed can't be read") };
    assert_eq!(read_all(&fixture), payloads, "packing changed a payload");
}

fn made(data: &[u8]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for line in data.split(|byte| *byte == b'\n').take(20) {
        let (name, content) = line.split_at(line.iter().position(|byte| *byte == b'=').unwrap_or(line.len()));
        let name = String::from_utf8_lossy(name);
        // The zip writer refuses duplicate names.
        if zip.start_file(name, SimpleFileOptions::default()).is_ok() {
            zip.write_all(content.get(1..).unwrap_or_default()).unwrap();
        }
    }
    zip.finish().unwrap().into_inner()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for item in fs::read_dir(folder).unwrap() {
        let path = item.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}
