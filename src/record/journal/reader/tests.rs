use std::io::Write;

use bytes::Bytes;

use super::super::frame::Frame;
use super::*;

fn frames() -> Vec<Frame> {
    let frame = |kind, exchange, payload: &'static str| Frame {
        kind,
        exchange,
        payload: Bytes::from_static(payload.as_bytes()),
    };
    vec![
        frame(FrameKind::Meta, 0, "{}"),
        frame(FrameKind::Request, 1, r#"{"a":1}"#),
        frame(FrameKind::Request, 2, r#"{"b":2}"#),
        frame(FrameKind::ResponseData, 2, "hello "),
        frame(FrameKind::ResponseData, 1, "other"),
        frame(FrameKind::ResponseData, 2, ""),
        frame(FrameKind::ResponseData, 2, "world"),
        frame(FrameKind::End, 2, "{}"),
    ]
}

const MARK: FrameMark = FrameMark(*b"thismark");

fn bytes(frames: &[Frame]) -> (Vec<u8>, Vec<usize>) {
    let mut bytes = MARK.journal_head();
    let mut ends = vec![bytes.len()];
    for frame in frames {
        frame.write(MARK, &mut bytes).unwrap();
        ends.push(bytes.len());
    }
    (bytes, ends)
}

fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

type Seen = (Vec<(FrameKind, u64, Vec<u8>)>, DamagedBytes);

fn read_known(bytes: &[u8], known: Option<FrameMark>) -> Option<Seen> {
    let mut reader = JournalReader::open(file(bytes), known).unwrap()?;
    let mut seen = Vec::new();
    while let Some(frame) = reader.next_frame().unwrap() {
        seen.push((frame.kind, frame.exchange, frame.span));
    }
    let damaged = reader.damaged;
    let seen = seen.into_iter().map(|(kind, exchange, span)| (kind, exchange, reader.read(span).unwrap()));
    Some((seen.collect(), damaged))
}

fn read(bytes: &[u8]) -> Option<Seen> {
    read_known(bytes, None)
}

#[test]
fn tail_torn_at_any_byte_costs_the_last_frame_only() {
    let (bytes, ends) = bytes(&frames());
    for cut in 0..=bytes.len() {
        let whole = ends.iter().filter(|end| **end <= cut).count();
        match read(&bytes[..cut]) {
            None => assert_eq!(whole, 0, "cut at {cut}"),
            Some((seen, damaged)) => assert_eq!((seen.len() + 1, damaged.bytes), (whole, 0), "cut at {cut}"),
        }
    }
}

#[test]
fn flipped_byte_costs_its_frame_only_and_is_counted() {
    let (bytes, ends) = bytes(&frames());
    let whole = read(&bytes).unwrap().0;
    for at in ends[0]..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x20;
        let hit = ends.iter().filter(|end| **end <= at).count() - 1;
        let mut left = whole.clone();
        left.remove(hit);
        let (seen, bytes) = read(&damaged).unwrap();
        assert_eq!(seen, left, "byte {at}");
        let len = (ends[hit + 1] - ends[hit]) as u64;
        // A greater length at the end looks like a torn frame.
        let is_torn = bytes.bytes == 0 && hit + 1 == whole.len() && (8..12).contains(&(at - ends[hit]));
        assert!(is_torn || bytes == DamagedBytes { at: ends[hit] as u64, bytes: len }, "byte {at}: {bytes:?}");
    }
}

#[test]
fn frames_behind_foreign_bytes_zeros_and_a_gap_are_read() {
    let (bytes, ends) = bytes(&frames());
    let whole = read(&bytes).unwrap().0;
    for at in ends[0]..bytes.len() {
        for (gone, put) in [(0, &b"\x03\0\0\0\x02"[..]), (3, b""), (9, &[0; 9]), (0, &[0; 30_000])] {
            let to = (at + gone).min(bytes.len());
            let damaged = [&bytes[..at], put, &bytes[to..]].concat();
            let (seen, count) = read(&damaged).unwrap();
            let is_hit = |n: &usize| ends[*n] < to.max(at + 1) && ends[*n + 1] > at;
            // Bytes between two frames hit none.
            let is_between = gone == 0 && ends.contains(&at);
            let left = (0..whole.len()).filter(|n| is_between || !is_hit(n)).map(|n| whole[n].clone());
            assert_eq!(seen, left.collect::<Vec<_>>(), "{put:?} for {gone} bytes at {at}");
            assert!(count.bytes > 0 || seen.len() == whole.len() - 1, "{put:?} for {gone} bytes at {at}: {count:?}");
        }
    }
}

#[test]
fn recorder_reads_its_journal_without_the_head() {
    let (bytes, ends) = bytes(&frames());
    let whole = read(&bytes).unwrap().0;
    for cut in [1, ends[0], ends[0] + 5] {
        let skipped = usize::from(cut > ends[0]);
        let (seen, damaged) = read_known(&bytes[cut..], Some(MARK)).unwrap();
        assert_eq!(seen, whole[skipped..], "without {cut} bytes");
        assert_eq!(damaged.bytes > 0, cut != ends[0], "without {cut} bytes");
    }
    assert_eq!(read_known(b"", Some(MARK)), Some((Vec::new(), DamagedBytes::default())));
}

#[test]
fn bytes_that_no_crash_leaves_are_damage_at_the_end() {
    let (bytes, _) = bytes(&frames());
    let counted = |tail: &[u8]| read(&[&bytes, tail].concat()).unwrap().1.bytes;
    let torn = bytes[MARK.journal_head().len()..].first_chunk::<20>().unwrap();
    for tail in [&b""[..], b"this", torn, &[0; 5000]] {
        assert_eq!(counted(tail), 0, "{tail:?}");
    }
    for tail in [&b"junk"[..], &[0, 0, 1], &[7; 5000]] {
        assert_eq!(counted(tail), tail.len() as u64, "{tail:?}");
    }
}

#[test]
fn pieces_of_interleaved_bodies_are_one_stream() {
    let (bytes, _) = bytes(&frames());
    let mut reader = JournalReader::open(file(&bytes), None).unwrap().unwrap();
    let mut spans = Vec::new();
    while let Some(frame) = reader.next_frame().unwrap() {
        if frame.kind == FrameKind::ResponseData && frame.exchange == 2 {
            spans.push(frame.span);
        }
    }
    let mut text = String::new();
    reader.stream(&spans).read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello world");
    assert_eq!(reader.read(spans[0]).unwrap(), b"hello ", "and again, backwards");
}

#[test]
fn file_is_rejected_when_it_is_not_a_journal() {
    assert!(read(b"").is_none());
    let other = JournalReader::open(file(b"harproxy journal 0\n...................."), None).unwrap_err();
    assert_eq!(other.kind(), io::ErrorKind::InvalidData);
}
