//! A journal that another program damages: the complete exchanges are kept, the others are reported, and no fixture
//! loses entries.

use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::client::Proto;
use crate::support::origin::Origin;
use crate::support::sandbox::{Output, Sandbox, Server};

const FILE: &str = "hars/api.har";
const JOURNAL: &str = "hars/.api.har.journal";
const KEPT: &str = "hars/.api.har.damaged.journal";
/// The exchanges before the damage, and after it.
const BEFORE: usize = 40;
const AFTER: usize = 20;

/// Changes the bytes of a journal.
type Damaging = fn(&mut Vec<u8>);

/// Damage in the middle of a file, which stays the same file. The last number is the most exchanges that it costs.
const DAMAGES: [(&str, Damaging, usize); 4] = [
    ("a flipped bit", |bytes| flip(bytes), 1),
    ("200 zeros", |bytes| zero(bytes), 3),
    ("five foreign bytes", |bytes| insert(bytes), 1),
    ("a cut", cut, BEFORE / 2 + 2),
];

fn flip(bytes: &mut [u8]) {
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
}

fn zero(bytes: &mut [u8]) {
    let middle = bytes.len() / 2;
    bytes[middle..middle + 200].fill(0);
}

fn insert(bytes: &mut Vec<u8>) {
    let at = within_frame(bytes);
    bytes.splice(at..at, *b"\x02\0\0\0\x04");
}

/// Returns a position within the first frame of the second half. Between two frames, no exchange is hit.
fn within_frame(bytes: &[u8]) -> usize {
    let (middle, mark) = (bytes.len() / 2, &bytes[19..27]);
    middle + bytes[middle..].windows(mark.len()).position(|window| window == mark).unwrap() + 3
}

/// Cuts off the second half, within a frame: `recover` cannot see a cut between two frames.
fn cut(bytes: &mut Vec<u8>) {
    bytes.truncate(within_frame(bytes));
}

fn damage(journal: &Path, with: Damaging) {
    let mut bytes = fs::read(journal).unwrap();
    with(&mut bytes);
    fs::write(journal, bytes).unwrap();
}

fn visit(server: &Server, from: usize, count: usize) {
    let client = server.client(Proto::H1);
    for n in from..from + count {
        assert_eq!(client.get(&format!("http://api.test/api/poll?n={n}")).status, 200);
    }
}

fn start(sandbox: &Sandbox, origin: &Origin, options: &[&str]) -> Server {
    let begin = ["record", "-o", FILE, "--report", "r.json"].map(String::from);
    let options = options.iter().map(ToString::to_string);
    sandbox.start(begin.into_iter().chain(options).chain(origin.args()))
}

/// Records with damage in the middle.
fn record_damaged(sandbox: &Sandbox, origin: &Origin, options: &[&str], with: Damaging) -> Output {
    let server = start(sandbox, origin, options);
    visit(&server, 0, BEFORE);
    damage(&sandbox.join(JOURNAL), with);
    visit(&server, BEFORE, AFTER);
    server.stop()
}

/// The number of entries of the fixture, each of which must have the response to its request.
fn entries(sandbox: &Sandbox) -> usize {
    let har = sandbox.har(FILE);
    let entries = har["log"]["entries"].as_array().unwrap();
    for entry in entries {
        let path = entry["request"]["url"].as_str().unwrap().replace("http://api.test", "");
        let content = &entry["response"]["content"];
        let text = match content["_file"].as_str() {
            Some(file) => sandbox.read(&format!("hars/{file}")),
            None => content["text"].as_str().unwrap().to_owned(),
        };
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["path"], path.as_str());
    }
    entries.len()
}

#[test]
fn damage_while_recording_is_reported_and_costs_the_hit_exchanges_only() {
    let origin = Origin::start();
    for (name, with, most) in DAMAGES {
        let sandbox = Sandbox::new();
        let output = record_damaged(&sandbox, &origin, &[], with).expect(1);
        let saved = entries(&sandbox);
        let lost = BEFORE + AFTER - saved;
        assert!((1..=most).contains(&lost), "{name}: {lost} lost");
        let output = output.says("journal-damaged").says(&format!("{lost} of {} exchanges", BEFORE + AFTER));
        output.says(KEPT).says("harproxy recover hars/api.har --discard").says(&format!("{saved} added"));

        let report: Value = serde_json::from_str(&sandbox.read("r.json")).unwrap();
        let counts = &report["counts"];
        assert_eq!((&counts["recorded"], &counts["passed"]), (&saved.into(), &lost.into()), "{name}: {counts}");
        let rows = report["requests"].as_array().unwrap();
        let with_entry = rows.iter().filter(|row| row["outcome"] == "recorded" && row["entry"].is_u64()).count();
        assert_eq!(with_entry, saved, "{name}");
        assert_eq!(rows.iter().filter(|row| row["outcome"] == "passed").count(), lost, "{name}");

        assert!(!sandbox.join(JOURNAL).exists() && sandbox.join(KEPT).exists(), "{name}");
        sandbox.run(["recover", FILE, "--discard"]).expect(0).says("damaged");
        assert!(!sandbox.join(KEPT).exists(), "{name}");
        assert_eq!(entries(&sandbox), saved, "{name}");
    }
}

#[test]
fn fixture_keeps_all_entries_when_its_next_journal_is_damaged() {
    let origin = Origin::start();
    for update in ["merge", "missing", "replace"] {
        for (name, with, _) in DAMAGES {
            let sandbox = Sandbox::new();
            let server = start(&sandbox, &origin, &[]);
            visit(&server, 0, BEFORE + AFTER);
            server.stop().expect(0);
            let before = sandbox.read(FILE);

            let output = record_damaged(&sandbox, &origin, &["--update", update], with).expect(1);
            output.says("journal-damaged").says(JOURNAL).says("is unchanged").says("harproxy recover hars/api.har");
            assert_eq!(sandbox.read(FILE), before, "{update}, {name}");
            assert!(sandbox.join(JOURNAL).exists(), "{update}, {name}");

            // It adds the complete exchanges, and keeps the journal again.
            let recovered = sandbox.run(["recover", FILE]);
            assert_eq!(recovered.status, 1, "{update}, {name}: {}", recovered.stderr);
            recovered.says("journal-damaged").says(KEPT);
            assert_eq!(entries(&sandbox), BEFORE + AFTER, "{update}, {name}");
            assert!(!sandbox.join(JOURNAL).exists() && sandbox.join(KEPT).exists(), "{update}, {name}");
            sandbox.run(["recover", FILE, "--discard"]).expect(0);
            sandbox.run(["recover", FILE]).expect(0).says("no unfinished recording");
        }
    }
}

#[test]
fn journal_with_a_damaged_beginning_is_kept_so_that_it_can_be_recovered() {
    let origin = Origin::start();
    let damages: [(&str, Damaging, usize); 4] = [
        ("head", |bytes| bytes[3] ^= 1, 0),
        ("settings", |bytes| bytes[50] ^= 1, 0),
        (
            "head and a frame",
            |bytes| {
                bytes[3] ^= 1;
                flip(bytes);
            },
            1,
        ),
        ("everything before", Vec::clear, BEFORE),
    ];
    for (name, with, lost) in damages {
        let sandbox = Sandbox::new();
        let server = start(&sandbox, &origin, &[]);
        visit(&server, 0, 1);
        server.stop().expect(0);
        let output = record_damaged(&sandbox, &origin, &["--update", "missing"], with);
        if lost == 0 {
            output.expect(0);
        } else {
            let whole = BEFORE + AFTER - lost;
            output.expect(1).says(&format!("adds the {whole} others from {JOURNAL}"));
            sandbox.run(["recover", FILE]).says(&format!("recovered {whole} exchanges"));
        }
        // The first recording has an entry of an exchange that is lost with everything before.
        let kept = usize::from(lost == BEFORE);
        assert_eq!(entries(&sandbox), BEFORE + AFTER - lost + kept, "{name}");
    }
}

#[test]
fn emptied_journal_is_reported_and_not_nothing_recorded() {
    let (sandbox, origin) = (Sandbox::new(), Origin::start());
    let server = start(&sandbox, &origin, &[]);
    visit(&server, 0, 5);
    fs::write(sandbox.join(JOURNAL), "").unwrap();
    let output = server.stop().expect(1);
    assert!(!output.stderr.contains("nothing-recorded"), "{}", output.stderr);
    output.says("journal-damaged").says("5 of 5 exchanges are lost");
    assert!(!sandbox.join(FILE).exists());

    // What comes after it is saved, although the head of the journal is gone.
    let sandbox = Sandbox::new();
    let output = record_damaged(&sandbox, &origin, &[], Vec::clear).expect(1);
    output.says(&format!("{BEFORE} of {} exchanges are lost", BEFORE + AFTER));
    assert_eq!(entries(&sandbox), AFTER);
}

#[test]
fn damage_before_recover_is_reported_and_the_rest_recovered() {
    let origin = Origin::start();
    for (name, with, most) in &DAMAGES[..3] {
        let sandbox = Sandbox::new();
        let killed = start(&sandbox, &origin, &[]);
        visit(&killed, 0, BEFORE + AFTER);
        killed.signal(Signal::SIGKILL);
        killed.wait();
        damage(&sandbox.join(JOURNAL), *with);
        let output = sandbox.run(["recover", FILE]).expect(1).says("journal-damaged").says(KEPT);
        let lost = BEFORE + AFTER - entries(&sandbox);
        assert!((1..=*most).contains(&lost), "{name}: {lost} lost");
        output.says(&format!("{lost} of {} exchanges", BEFORE + AFTER));
        assert!(!sandbox.join(JOURNAL).exists() && sandbox.join(KEPT).exists(), "{name}");
    }
}

#[test]
fn recording_over_a_damaged_journal_recovers_the_rest_and_fails() {
    let (sandbox, origin) = (Sandbox::new(), Origin::start());
    let killed = start(&sandbox, &origin, &[]);
    visit(&killed, 0, BEFORE);
    killed.signal(Signal::SIGKILL);
    killed.wait();
    damage(&sandbox.join(JOURNAL), |bytes| flip(bytes));
    let next = start(&sandbox, &origin, &[]);
    visit(&next, BEFORE, AFTER);
    next.stop().expect(1).says("recovered 39 exchanges").says("journal-damaged").says("20 added");
    assert_eq!(entries(&sandbox), BEFORE + AFTER - 1);
    assert!(sandbox.join(KEPT).exists());
}

#[test]
fn journal_with_damaged_settings_stays_until_it_is_dropped() {
    let (sandbox, origin) = (Sandbox::new(), Origin::start());
    let killed = start(&sandbox, &origin, &[]);
    visit(&killed, 0, 3);
    killed.signal(Signal::SIGKILL);
    killed.wait();
    damage(&sandbox.join(JOURNAL), |bytes| bytes[50] ^= 1);
    sandbox.run(["recover", FILE]).expect(3).says("its first frame is damaged").says("or remove hars/.api.har.journal");
    assert!(sandbox.join(JOURNAL).exists() && !sandbox.join(FILE).exists());
    sandbox.run(["recover", FILE, "--discard"]).expect(0);
    assert!(!sandbox.join(JOURNAL).exists());
}

#[test]
fn journal_that_an_editor_replaced_is_written_from_the_open_one() {
    let (sandbox, origin) = (Sandbox::new(), Origin::start());
    let server = start(&sandbox, &origin, &[]);
    visit(&server, 0, 3);
    server.stop().expect(0);
    let server = start(&sandbox, &origin, &[]);
    visit(&server, 3, 3);
    fs::write(sandbox.join("edited"), "an edited journal").unwrap();
    fs::rename(sandbox.join("edited"), sandbox.join(JOURNAL)).unwrap();
    visit(&server, 6, 3);
    server.stop().expect(0).says("6 added");
    assert_eq!(entries(&sandbox), 9);
}
