//! A recording whose disk fails under it.

use std::io;

use super::*;
use crate::verdict::Severity;
use harproxy_proxy::upstream::Timeouts;

/// Never has room.
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
        content: ContentMode::Attach,
        noise: true,
        update: Update::Merge,
        max_body: None,
        json_layout: JsonLayout::Indent,
        policy: Arc::default(),
        values: Vec::new(),
        on_failure: OnFailure::Hold,
        volatile: Volatile::default(),
        rules: Vec::new(),
    }
}

fn recorder(dir: &tempfile::TempDir) -> Recorder {
    Recorder::start(plan(dir), Upstream::loopback(Timeouts::default())).unwrap()
}

#[test]
fn a_full_disk_fails_the_run_and_touches_nothing() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("api.har"), r#"{"log":{"version":"1.2","_harproxy":{},"entries":[]}}"#).unwrap();
    let mut recorder = recorder(&dir);
    let before = std::fs::read(dir.path().join("api.har")).unwrap();
    recorder.exchanges.store(1, Ordering::Relaxed);
    recorder.journal = Arc::new(Journal::start(Full).unwrap());
    let ack = recorder.journal.commit(Frame { kind: FrameKind::End, exchange: 1, payload: bytes::Bytes::new() });
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(ack);
    let outcome = recorder.finalise(Ending::Clean).unwrap();
    assert!(!outcome.written);
    let finding = &outcome.verdict.findings[0];
    assert_eq!((finding.kind, finding.severity), (crate::verdict::Kind::Lost, Severity::Error));
    assert!(finding.explanation.contains(".api.har.journal"), "{}", finding.explanation);
    assert_eq!(outcome.held, Some(dir.path().join(".api.har.journal")));
    assert_eq!(std::fs::read(dir.path().join("api.har")).unwrap(), before);
    drop(recorder);
    assert!(dir.path().join(".api.har.journal").exists());
}

#[test]
fn a_recorder_that_is_given_up_leaves_no_journal() {
    let dir = tempfile::tempdir().unwrap();
    drop(recorder(&dir));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn what_cannot_be_recorded_into_is_said_before_anything_runs() {
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
