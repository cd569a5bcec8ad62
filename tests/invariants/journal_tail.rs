//! Journals damaged by a crash, a full disk or an editor.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use harproxy::record::journal::frame::{FrameHeader, HEADER, MAGIC, TRAILER};
use harproxy::record::journal::{Frame, FrameMark, JournalReader};
use harproxy::record::{OnFailure, RecordPlan, UpdateMode, Volatile, recover};
use harproxy_glob::Globs;
use harproxy_har::write::{ContentMode, JsonLayout};
use harproxy_redact::Policy;

use super::support::{check_message, open, read_all};

/// The mark of the journals that are made from the input.
const MARK: FrameMark = FrameMark(*b"thismark");

/// The first byte is the position, in 256ths, at which the journal of the other bytes is cut.
pub fn check(data: &[u8]) {
    let Some((&cut, data)) = data.split_first() else { return };
    let dir = tempfile::tempdir().unwrap();
    read(dir.path(), data);
    let frames = frames(data);
    let mut whole = MARK.journal_head();
    let mut ends = vec![];
    for frame in &frames {
        frame.write(MARK, &mut whole).unwrap();
        ends.push(whole.len());
    }
    let cut = whole.len() * (usize::from(cut) + 1) / 256;
    let left = ends.iter().filter(|end| **end <= cut).count();
    let found = read(dir.path(), &whole[..cut]);
    let expected: Vec<_> = frames[..left].iter().map(|frame| (frame.exchange, frame.payload.to_vec())).collect();
    assert_eq!(found, expected, "cut at {cut} of {}", whole.len());
    check_recovery(dir.path(), &whole[..cut]);
}

/// Reads all frames of these bytes. Their total length is at most that of the input.
fn read(dir: &Path, bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let path = dir.join("journal");
    fs::write(&path, bytes).unwrap();
    let mut reader = match JournalReader::open(File::open(&path).unwrap(), None) {
        Ok(Some(reader)) => reader,
        Ok(None) => return Vec::new(),
        Err(error) => {
            check_message(&error);
            return Vec::new();
        }
    };
    let mut found = Vec::new();
    while let Some(seen) = reader.next_frame().unwrap() {
        assert!(seen.span.at + u64::from(seen.span.len) <= bytes.len() as u64);
        assert!(seen.kind.is_data() || seen.payload.len() == seen.span.len as usize);
        found.push((seen.exchange, seen.span));
    }
    found.into_iter().map(|(exchange, span)| (exchange, reader.read(span).unwrap())).collect()
}

/// Splits the bytes into frames without verification of lengths and checksums, so that the payloads of invalid frames
/// are read, too.
fn frames(data: &[u8]) -> Vec<Frame> {
    let mut rest = data.strip_prefix(&MAGIC).map_or(data, |rest| rest.get(FrameMark::LEN..).unwrap_or_default());
    let mut frames = Vec::new();
    while let Some(header) = rest.first_chunk::<HEADER>() {
        let mut header = *header;
        header[..FrameMark::LEN].copy_from_slice(&MARK.0);
        let Some(header) = FrameHeader::from_bytes(MARK, &header) else { break };
        rest = &rest[HEADER..];
        let payload = &rest[..rest.len().min(header.len as usize)];
        let (kind, exchange) = (header.kind, header.exchange);
        frames.push(Frame { kind, exchange, payload: Bytes::copy_from_slice(payload) });
        rest = rest.get(payload.len() + TRAILER..).unwrap_or_default();
    }
    frames
}

/// The next recording recovers the journal, or reports the reason and keeps the journal.
pub fn check_recovery(dir: &Path, bytes: &[u8]) {
    let (output, journal) = (dir.join("a.har"), dir.join(".a.har.journal"));
    fs::write(&journal, bytes).unwrap();
    match recover(&plan(&output)) {
        Err(error) => {
            check_message(&error);
            assert_eq!(fs::read(&journal).unwrap(), bytes, "{error}, and the journal is gone");
        }
        Ok(recovered) => {
            assert!(!journal.exists() && recovered.len() <= 1);
            let exchanges: usize = recovered.iter().map(|one| one.summary.added + one.summary.changed).sum();
            if let Some(fixture) = output.exists().then(|| open(&output).expect("a broken fixture was written")) {
                assert!(exchanges >= fixture.entries(), "{exchanges} make {}", fixture.entries());
                assert!(read_all(&fixture).iter().flatten().all(Option::is_some), "a payload was not written");
            }
        }
    }
}

fn plan(output: &Path) -> RecordPlan {
    RecordPlan {
        output: output.to_owned(),
        scope: Globs::default(),
        named: Vec::new(),
        noise: true,
        content: ContentMode::Attach,
        update: UpdateMode::Merge,
        max_body: None,
        max_decoded: harproxy_http::DecodeLimit::default(),
        json_layout: JsonLayout::Indent,
        policy: Arc::new(Policy::default()),
        values: Vec::new(),
        record_failures: true,
        on_failure: OnFailure::Hold,
        volatile: Volatile::default(),
        rules: Vec::new(),
    }
}
