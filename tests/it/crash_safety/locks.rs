//! Two processes at once: the second writer is refused and names the first; a reader sees one version.

use std::collections::BTreeSet;
use std::io::Cursor;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use harproxy::record;
use harproxy_har::Fixture;
use harproxy_har::model::{Body, Entry};
use harproxy_har::write::{ContentMode, FixtureWriter, PayloadSource};

use crate::cli::{CURL, CliSandbox};
use crate::fixtures::{fixture, tree};
use crate::support::client::Proto;
use crate::support::sandbox::Sandbox;

const FILE: &str = "hars/a.har";

#[test]
fn second_recorder_names_the_first_and_runs_nothing() {
    let stage = CliSandbox::new();
    let first = stage.sandbox.start(stage.args("record", &["-o", FILE], &[]));
    let reported = format!("hars/a.har is being recorded by another harproxy (process {})", first.pid());
    let second = stage.record(&["-o", FILE], &["echo", "ran"]).expect(3).says(&reported).says("hint: ");
    assert_eq!(second.stdout, "");
    // Recording into another file of the folder is possible.
    stage.record(&["-o", "hars/b.har"], CURL).expect(0);
    first.client(Proto::H1).get("http://api.test/api/json");
    first.stop().expect(0);
    stage.record(&["-o", FILE], CURL).expect(0);
}

#[test]
fn one_of_several_simultaneous_recorders_records() {
    let stage = CliSandbox::new();
    let cmd = "test -e ran && exit 9; touch ran; curl -sS http://api.test/api/json; read -r line <fifo";
    assert!(std::process::Command::new("mkfifo").arg(stage.sandbox.join("fifo")).status().unwrap().success());
    let start = |_| {
        let mut command = stage.sandbox.command(stage.args("record", &["-o", FILE], &["sh", "-c", cmd]));
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped()).spawn().unwrap()
    };
    let mut runs: Vec<_> = (0..4).map(start).collect();
    let mut refused = 0;
    while refused < 3 {
        runs.retain_mut(|run| match run.try_wait().unwrap() {
            Some(status) => {
                assert_eq!(status.code(), Some(3));
                refused += 1;
                false
            }
            None => true,
        });
        std::thread::yield_now();
    }
    stage.sandbox.write("fifo", "go on\n");
    assert!(runs[0].wait().unwrap().success());
}

#[test]
fn writing_tools_are_refused_during_a_recording_and_reading_tools_are_not() {
    let sandbox = Sandbox::new();
    fixture(&sandbox);
    sandbox.run(["pack", "hars/api.har", "-o", "hars/b.zip"]).expect(0);
    // A fixture that is not canonical and has something to redact.
    let text = sandbox.read("hars/api.har").replace("\"queryString\": []", "\"queryString\":[]");
    sandbox.write("hars/api.har", text.replacen("/user", "/user?token=s3cret-s3cret", 1));
    let recorder = sandbox.start(["record", "-o", "hars/api.har"]);
    let before = tree(&sandbox.join("hars"));
    for args in [
        &["fmt", "hars/api.har"][..],
        &["redact", "hars/api.har"],
        &["merge", "hars/api.har", "hars/b.zip"],
        &["merge", "-o", "hars/api.har", "hars/b.zip", "hars/api.har"],
        &["unpack", "--force", "hars/b.zip", "-o", "hars/api.har"],
        &["recover", "hars/api.har"],
        &["recover", "--discard", "hars/api.har"],
    ] {
        let reported = format!("is being recorded by another harproxy (process {})", recorder.pid());
        sandbox.run(args).expect(3).says(&reported).says("hint: ");
        assert_eq!(tree(&sandbox.join("hars")), before, "{args:?}");
    }
    for (args, status) in [
        (&["ls", "hars/api.har"][..], 0),
        (&["show", "hars/api.har#1"], 0),
        (&["fmt", "--check", "hars/api.har"], 1),
        (&["redact", "--dry-run", "hars/api.har"], 0),
        (&["explain", "hars/api.har", "--url", "https://api.test/text"], 0),
        (&["pack", "hars/api.har", "-o", "packed.zip"], 0),
        (&["replay", "hars/api.har", "--", "curl", "-sS", "https://api.test/text"], 0),
    ] {
        sandbox.run(args).expect(status);
        assert_eq!(tree(&sandbox.join("hars")), before, "{args:?}");
    }
    recorder.stop().expect(1);
}

#[test]
fn recorder_is_refused_while_a_tool_writes() {
    let stage = CliSandbox::new();
    stage.record(&["-o", FILE], CURL).expect(0);
    let hold = record::lock_fixture(&stage.sandbox.join(FILE)).unwrap();
    stage.record(&["-o", FILE], &["echo", "ran"]).expect(3).says("hars/a.har is being written by another harproxy");
    drop(hold);
    stage.record(&["-o", FILE], CURL).expect(0).says("1 unchanged");
}

#[test]
fn simultaneous_first_runs_create_one_ca() {
    let stage = CliSandbox::new();
    let start = |n: usize| {
        let output = format!("hars/{n}.har");
        let mut command = stage.sandbox.command(stage.args("record", &["-o", &output], CURL));
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap()
    };
    // curl trusts the CA of its run. Each run has the final CA, or fails.
    let runs: Vec<_> = (0..4).map(start).collect();
    for run in runs {
        let output = crate::support::sandbox::finish(run.wait_with_output().unwrap());
        assert!(output.expect(0).stdout.contains("Ada"));
    }
    let files: BTreeSet<String> =
        tree(&stage.sandbox.join("data/harproxy")).into_iter().map(|(name, _)| name).collect();
    assert_eq!(files.len(), 3, "the pair and the lock: {files:?}");
}

/// Writes a fixture with the version in every payload.
fn write(path: &Path, version: usize) {
    let mut writer = FixtureWriter::create(path, ContentMode::Attach, &["**".to_owned()]).unwrap();
    for n in 0..6 {
        let text = format!("{n} of version {version}.\n");
        let mut read = Cursor::new(text.as_bytes());
        let source = PayloadSource { read: &mut read, mime_type: "text/plain", encoded: false, truncated: None };
        let content: Body = writer.content(source).unwrap();
        let mut entry = Entry { started: "2026-01-02T03:04:05.678Z".into(), ..Entry::default() };
        entry.request.method = "GET".into();
        entry.request.url = format!("https://api.test/{version}/{n}");
        entry.response.status = 200;
        entry.response.content = content;
        writer.entry(&entry).unwrap();
    }
    writer.finish().unwrap();
}

/// Reads the version of a fixture, and the number of payloads that exist. All parts must have the same version.
fn read(path: &Path) -> (String, usize) {
    let fixture = Fixture::open(path).unwrap();
    assert_eq!(fixture.entries(), 6);
    let mut versions = BTreeSet::new();
    let mut there = 0;
    for n in 0..6 {
        let entry = fixture.entry(n).unwrap();
        versions.insert(entry.request.url.split('/').nth(3).unwrap().to_owned());
        // A payload of the old fixture may be removed by now, but never holds the new version.
        let Ok(bytes) = fixture.payload(n, &entry.response.content).and_then(|payload| payload.bytes()) else {
            continue;
        };
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        versions.insert(text.strip_prefix(&format!("{n} of version ")).unwrap().trim_end_matches(".\n").to_owned());
        there += 1;
    }
    assert_eq!(versions.len(), 1, "{versions:?}");
    (versions.pop_first().unwrap(), there)
}

#[test]
fn reader_sees_old_or_new_fixture_while_it_is_replaced() {
    let sandbox = Sandbox::new();
    let paths = [sandbox.join(FILE), sandbox.join("hars/b.zip")];
    paths.iter().for_each(|path| write(path, 0));
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for version in (1..5000).take_while(|_| !over.load(Ordering::Relaxed)) {
                paths.iter().for_each(|path| write(path, version));
            }
        });
        let reader = scope.spawn(|| {
            let mut seen = BTreeSet::new();
            for _ in 0..300 {
                seen.insert(read(&paths[0]).0);
                let (version, there) = read(&paths[1]);
                assert_eq!(there, 6, "an archive is whole: version {version}");
            }
            seen.len()
        });
        for _ in 0..6 {
            sandbox.run(["ls", FILE, "hars/b.zip"]).expect(0);
            sandbox.run(["show", "--all", "hars/b.zip"]).expect(0);
        }
        let seen = reader.join();
        over.store(true, Ordering::Relaxed);
        assert!(seen.unwrap() > 1, "the fixture was not replaced during the test");
    });
}
