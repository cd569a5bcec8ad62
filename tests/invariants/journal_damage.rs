//! Journals that another program changed: everything outside of the change is found.

use std::fs::{self, File};

use bytes::Bytes;
use harproxy::record::journal::frame::FrameKind;
use harproxy::record::journal::{Frame, FrameMark, JournalReader};

use super::journal_tail::check_recovery;

const MARK: FrameMark = FrameMark(*b"thismark");
/// The number of frames of the journal.
const FRAMES: u64 = 6;

/// The first two bytes are a position, in 65,536ths of the journal. The third byte is the number of bytes that the rest
/// replaces.
pub fn check(data: &[u8]) {
    let Some(([high, low, removed], inserted)) = data.split_first_chunk() else { return };
    let (mut journal, mut ends) = (MARK.journal_head(), Vec::new());
    let head = journal.len();
    for exchange in 1..=FRAMES {
        let payload = Bytes::from(format!("payload {exchange} ").repeat(exchange as usize * 5));
        Frame { kind: FrameKind::ResponseData, exchange, payload }.write(MARK, &mut journal).unwrap();
        ends.push(journal.len());
    }
    let at = journal.len() * usize::from(u16::from_be_bytes([*high, *low])) / (1 << 16);
    let until = (at + usize::from(*removed)).min(journal.len());
    // Whoever changes a journal does not know its mark.
    if at < head || inserted.windows(MARK.0.len()).any(|bytes| bytes == MARK.0) {
        return;
    }
    let mut damaged = journal.clone();
    damaged.splice(at..until, inserted.iter().copied());
    let starts = std::iter::once(head).chain(ends.iter().copied());
    let spans = starts.zip(&ends).zip(1..);
    let is_whole = |((start, end), _): &((usize, &usize), u64)| **end <= at || *start >= until;
    let expected: Vec<u64> = spans.filter(is_whole).map(|(_, exchange)| exchange).collect();

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    fs::write(&path, &damaged).unwrap();
    let mut reader = JournalReader::open(File::open(&path).unwrap(), None).unwrap().unwrap();
    let mut found = Vec::new();
    while let Some(frame) = reader.next_frame().unwrap() {
        found.push(frame.exchange);
    }
    let is_found = |exchange: &u64| found.contains(exchange);
    assert!(expected.iter().all(is_found), "{at}..{until}: {found:?} of {expected:?}");
    check_recovery(dir.path(), &damaged);
}
