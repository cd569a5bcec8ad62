//! Starting a recording, and a disk that is full.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::journal::{Frame, FrameKind, FrameMark, Journal};
use super::*;
use crate::verdict::Severity;
use harproxy_glob::Globs;
use harproxy_har::write::{ContentMode, JsonLayout};
use harproxy_proxy::upstream::{Timeouts, Upstream};

/// A disk without room.
struct Full;

impl Write for Full {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn plan(dir: &tempfile::TempDir) -> RecordPlan {
    RecordPlan {
        output: dir.path().join("api.har"),
        scope: Globs::default(),
        named: Vec::new(),
        content: ContentMode::Attach,
        noise: true,
        update: UpdateMode::Merge,
        max_body: None,
        max_decoded: harproxy_http::DecodeLimit::default(),
        json_layout: JsonLayout::Indent,
        policy: Arc::default(),
        values: Vec::new(),
        record_failures: false,
        on_failure: OnFailure::Hold,
        volatile: Volatile::default(),
        rules: Vec::new(),
    }
}

fn recorder(dir: &tempfile::TempDir) -> Recorder {
    Recorder::start(plan(dir), Upstream::loopback(Timeouts::default())).unwrap()
}

#[test]
fn full_disk_fails_the_run_and_keeps_the_fixture() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("api.har"), r#"{"log":{"version":"1.2","_harproxy":{},"entries":[]}}"#).unwrap();
    let mut recorder = recorder(&dir);
    let before = std::fs::read(dir.path().join("api.har")).unwrap();
    recorder.exchanges.store(1, Ordering::Relaxed);
    recorder.journal = Arc::new(Journal::start(Full, FrameMark::random()).unwrap());
    let ack = recorder.journal.commit(Frame { kind: FrameKind::End, exchange: 1, payload: bytes::Bytes::new() });
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(ack);
    let outcome = recorder.finalise(CmdEnd::Clean).unwrap();
    assert!(!outcome.written);
    let finding = &outcome.verdict.findings[0];
    assert_eq!((&finding.check, finding.severity), (&crate::verdict::CheckId::LOST, Severity::Error));
    assert!(finding.text.contains(".api.har.journal"), "{}", finding.text);
    assert_eq!(outcome.held, Some(dir.path().join(".api.har.journal")));
    assert_eq!(std::fs::read(dir.path().join("api.har")).unwrap(), before);
    drop(recorder);
    assert!(dir.path().join(".api.har.journal").exists());
}

#[test]
fn recorder_without_exchanges_leaves_no_journal_when_dropped() {
    let dir = tempfile::tempdir().unwrap();
    drop(recorder(&dir));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn start_fails_when_the_output_cannot_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let start = |output: &std::path::Path| {
        let plan = RecordPlan { output: output.to_owned(), ..plan(&dir) };
        Recorder::start(plan, Upstream::loopback(Timeouts::default())).err()
    };
    assert!(matches!(start(dir.path()), Some(Error::IsFolder { .. })));
    std::fs::write(dir.path().join("file"), "").unwrap();
    assert!(matches!(start(&dir.path().join("file/api.har")), Some(Error::Journal { .. })));
    std::fs::write(dir.path().join("bad.har"), "{").unwrap();
    assert!(matches!(start(&dir.path().join("bad.har")), Some(Error::Fixture(_))));
    std::fs::write(dir.path().join("foreign.har"), r#"{"log":{"entries":[]}}"#).unwrap();
    assert!(matches!(start(&dir.path().join("foreign.har")), Some(Error::Foreign { .. })));
}
