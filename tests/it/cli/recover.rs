//! `harproxy recover`, and the files of recordings that were killed or failed.

use std::path::Path;

use nix::sys::signal::Signal;

use super::{CURL, CliSandbox};
use crate::support::client::Proto;
use crate::support::sandbox::{Output, Sandbox};

const FILE: &str = "hars/a.har";

fn failing(path: &str) -> Vec<String> {
    ["sh".into(), "-c".into(), format!("curl -sS https://api.test/api/{path}; exit 9")].into()
}

fn record(stage: &CliSandbox, options: &[&str], cmd: &[String]) -> Output {
    let options = [&["-o", FILE], options].concat();
    stage.record(&options, &cmd.iter().map(String::as_str).collect::<Vec<_>>())
}

/// A fixture of one entry, and a held recording of another entry.
fn held() -> CliSandbox {
    let stage = CliSandbox::new();
    stage.record(&["-o", FILE], CURL).expect(0);
    record(&stage, &[], &failing("text")).expect(9);
    stage
}

fn killed(stage: &CliSandbox, url: &str) {
    let recorder = stage.sandbox.start(stage.args("record", &["-o", FILE], &[]));
    recorder.client(Proto::H1).get(url);
    recorder.signal(Signal::SIGKILL);
    recorder.wait();
}

fn entries(sandbox: &Sandbox) -> usize {
    sandbox.har(FILE)["log"]["entries"].as_array().unwrap().len()
}

fn hidden(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with('.')).collect()
}

#[test]
fn held_recording_prints_both_commands_and_can_be_recovered() {
    let stage = held();
    let before = stage.sandbox.read(FILE);
    let output = record(&stage, &["-q"], &failing("text")).expect(9);
    let output = output.says("harproxy recover hars/a.har ").says("harproxy recover hars/a.har --discard");
    output.says("replacing an earlier held one");
    assert_eq!(stage.sandbox.read(FILE), before);
    let recovered = stage.sandbox.run(["recover", FILE]).expect(0);
    recovered
        .says("recovered 1 exchange into hars/a.har from a recording that was held: 0 unchanged, 0 changed, 1 added, 1 not seen")
        .says("git add");
    assert_eq!(entries(&stage.sandbox), 2);
    assert_eq!(hidden(&stage.sandbox.join("hars")), [""; 0]);
    stage.replay(&[FILE], &["curl", "-sS", "https://api.test/api/text"]).expect(0);
}

#[test]
fn discard_drops_a_recording_and_reports_it() {
    let stage = held();
    let before = stage.sandbox.read(FILE);
    stage
        .sandbox
        .run(["recover", "--discard", FILE])
        .expect(0)
        .says("dropped 1 exchange of a recording into hars/a.har that was held");
    assert_eq!(stage.sandbox.read(FILE), before);
    assert_eq!(hidden(&stage.sandbox.join("hars")), [""; 0]);
    stage.sandbox.run(["recover", "--discard", FILE]).expect(0).says("no unfinished recording");
}

#[test]
fn killed_recording_is_recovered_after_a_held_one() {
    let stage = held();
    killed(&stage, "https://api.test/api/empty");
    let said = stage.sandbox.run(["recover", FILE]).expect(0).stderr;
    let (held, killed) = (said.find("that was held"), said.find("that was killed"));
    assert!(held.is_some() && held < killed, "{said}");
    assert_eq!(entries(&stage.sandbox), 3);

    killed_and_dropped(&stage);
}

fn killed_and_dropped(stage: &CliSandbox) {
    killed(stage, "https://api.test/api/trailers");
    stage.sandbox.run(["recover", FILE, "--discard"]).expect(0).says("that was killed");
    assert_eq!((entries(&stage.sandbox), hidden(&stage.sandbox.join("hars"))), (3, Vec::new()));
}

#[test]
fn held_recording_is_not_accepted_when_its_fixture_has_changed() {
    let stage = held();
    let changed = stage.sandbox.read(FILE).replace("api/json", "api/other");
    stage.sandbox.write(FILE, &changed);
    let refused = stage.sandbox.run(["recover", FILE]).expect(2);
    refused
        .says("hars/a.har has changed since the recording into it was held")
        .says("`harproxy recover hars/a.har --discard`");
    assert_eq!(stage.sandbox.read(FILE), changed);
    stage.sandbox.run(["recover", FILE, "--discard"]).expect(0).says("dropped 1 exchange");
}

#[test]
fn held_recording_of_another_version_is_kept() {
    let stage = CliSandbox::new();
    stage.record(&["-o", FILE], CURL).expect(0);
    let held = stage.sandbox.write("hars/.a.har.held", "harproxy journal 2\nwhatever there is in it");
    stage
        .sandbox
        .run(["recover", FILE])
        .expect(3)
        .says("hars/.a.har.held")
        .says("use the version of harproxy that recorded it");
    assert!(held.exists());
    stage.sandbox.run(["recover", FILE, "--discard"]).expect(0).says("dropped an unreadable part");
    assert!(!held.exists());
}

#[test]
fn recover_without_a_recording_prints_advice() {
    let stage = held();
    stage.sandbox.run(["recover", "hars/other.har"]).expect(2).says("`harproxy recover hars/a.har`");
    stage.sandbox.run(["recover", FILE]).expect(0);
    stage.sandbox.run(["recover", FILE]).expect(0).says("no unfinished recording of hars/a.har");
    let none = stage.sandbox.run(["recover", "elsewhere/other.har"]).expect(2);
    none.says("elsewhere/other.har").says("`harproxy record -o elsewhere/other.har -- CMD`");
    assert!(!stage.sandbox.join("elsewhere").exists());
}

#[test]
fn running_recorder_is_not_recovered() {
    let stage = CliSandbox::new();
    let recorder = stage.sandbox.start(stage.args("record", &["-o", FILE], &[]));
    for args in [&["recover", FILE][..], &["recover", FILE, "--discard"]] {
        stage.sandbox.run(args).expect(3).says("hars/a.har is being recorded by another harproxy");
    }
    recorder.stop().expect(1);
}

#[test]
fn recover_reads_the_record_section() {
    let stage = CliSandbox::new();
    stage.record(&["-o", FILE], CURL).expect(0);
    killed(&stage, "https://api.test/api/text");
    stage.sandbox.write("harproxy.toml", "[record]\noutput = 'hars/a.har'\ncontent = 'embed'\nupdate = 'replace'\n");
    stage.sandbox.run(["recover"]).expect(0).says("0 unchanged, 0 changed, 1 added, 1 not seen");
    let har = stage.sandbox.har(FILE);
    let added =
        har["log"]["entries"].as_array().unwrap().iter().find(|e| e["request"]["url"] == "https://api.test/api/text");
    assert_eq!(added.unwrap()["response"]["content"]["text"], "Grüße\n");
}

#[test]
fn on_failure_write_updates_the_fixture() {
    let stage = CliSandbox::new();
    stage.record(&["-o", FILE], CURL).expect(0);
    record(&stage, &["--on-failure", "write"], &failing("text"))
        .expect(9)
        .says("0 unchanged, 0 changed, 1 added, 1 not seen; CMD ended with status 9");
    assert_eq!((entries(&stage.sandbox), hidden(&stage.sandbox.join("hars"))), (2, Vec::new()));
}

#[test]
fn journal_of_another_version_is_kept() {
    let stage = CliSandbox::new();
    let journal = stage.sandbox.write("hars/.a.har.journal", "harproxy journal 0\nwhatever there is in it");
    for output in [stage.record(&["-o", FILE], CURL), stage.sandbox.run(["recover", FILE])] {
        output.expect(3).says("hars/.a.har.journal").says("use the version of harproxy that recorded it");
    }
    assert!(journal.exists());
    stage.sandbox.run(["recover", FILE, "--discard"]).expect(0).says("dropped an unreadable part");
    assert!(!journal.exists());
}

#[test]
fn temporary_files_of_a_killed_writer_are_removed_by_the_next_recording() {
    let stage = CliSandbox::new();
    stage.sandbox.write("hars/.a.har.Xy12Zz.part/payload.json", "{}");
    stage.sandbox.write("hars/.a.har.Ab34Cd.part", "{");
    stage.record(&["-o", FILE], CURL).expect(0);
    assert_eq!(hidden(&stage.sandbox.join("hars")), [""; 0]);
}

#[test]
fn empty_recording_leaves_no_files() {
    let stage = CliSandbox::new();
    stage.record(&[], &["no-such-command"]).expect(127);
    stage.record(&["-o", "deep/er/a.har"], &["true"]).expect(1);
    assert!(!stage.sandbox.join("hars").exists() && !stage.sandbox.join("deep").exists());
}
