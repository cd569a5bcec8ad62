//! A replay without CMD reloads edited fixtures, completely or not at all.

use std::fs;

use serde_json::{Value, json};

use super::{client, two_entries};
use crate::cli::{CURL, CliSandbox};
use crate::support::client::Client;
use crate::support::origin::Origin;
use crate::support::sandbox::{Sandbox, Server};

const HAR: &str = "hars/api.har";
const TWO: &str = "https://api.test/two";
const ONE: &str = "https://api.test/one?page=1";

fn start(sandbox: &Sandbox, args: &[&str]) -> (Server, Client) {
    let server = sandbox.start([&["replay"], args].concat());
    let client = client(&server);
    (server, client)
}

fn edited(sandbox: &Sandbox, edit: impl FnOnce(&mut Value)) -> String {
    let mut har = sandbox.har(HAR);
    edit(&mut har);
    serde_json::to_string_pretty(&har).unwrap()
}

/// Replaces a file atomically, as most editors do, so that no test depends on an incomplete write.
fn replace(sandbox: &Sandbox, path: &str, content: impl AsRef<[u8]>) {
    let new = sandbox.write("new", content);
    fs::rename(new, sandbox.join(path)).unwrap();
}

/// Waits for `number` reloads of a fixture, and returns their events.
#[track_caller]
fn reloads(server: &Server, name: &str, number: usize) -> Vec<Value> {
    server.stderr().wait_for(&format!("{number} {name}"), |text| {
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let events = whole.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let events: Vec<Value> = events.filter(|event| event["event"] == name).collect();
        (events.len() >= number).then_some(events)
    })
}

#[test]
fn edited_and_replaced_fixtures_are_reloaded_and_logged() {
    let sandbox = Sandbox::new();
    sandbox.write(HAR, two_entries("first"));
    let (server, client) = start(&sandbox, &[]);
    assert_eq!(client.get(ONE).text(), "first");
    sandbox.write(HAR, two_entries("edited"));
    let reported = reloads(&server, "reloaded", 1);
    let [fixture, entries, change, message] =
        ["fixture", "entries", "change", "message"].map(|name| &reported[0][name]);
    assert_eq!((fixture, entries, change), (&json!(HAR), &json!(2), &json!("changed")));
    assert_eq!(message, "reloaded hars/api.har: 2 entries");
    assert_eq!(client.get(ONE).text(), "edited");
    let third = edited(&sandbox, |har| har["log"]["entries"][1]["response"]["content"]["text"] = "renamed".into());
    replace(&sandbox, HAR, third);
    reloads(&server, "reloaded", 2);
    assert_eq!(client.get(TWO).text(), "renamed");
    server.stop().expect(0);
}

#[test]
fn invalid_edit_keeps_the_loaded_fixture_and_is_logged_once() {
    let sandbox = Sandbox::new();
    let whole = two_entries("first");
    sandbox.write(HAR, &whole);
    let (server, client) = start(&sandbox, &[]);
    let half = &whole[..whole.len() / 2];
    let conflict = whole.replacen("  \"log\"", "<<<<<<< ours\n  \"log\"\n=======\n  \"log\"\n>>>>>>> theirs\n", 1);
    let missing = edited(&sandbox, |har| {
        let content = &mut har["log"]["entries"][0]["response"]["content"];
        *content = json!({"size": 3, "mimeType": "text/plain", "_file": "api/0000000000000000.txt"});
    });
    let unusable = edited(&sandbox, |har| har["log"]["entries"][1]["request"] = Value::Null);
    for (broken, why) in [
        (half, "EOF while"),
        (&conflict, "unresolved git conflict"),
        (&missing, "api/0000000000000000.txt"),
        (&unusable, "api.har#1"),
        ("", "empty"),
    ] {
        // The file is written in place, so that open descriptors see the change.
        sandbox.write(HAR, broken);
        server.stderr().event("reload-failed", |event| event["because"].as_str().unwrap().contains(why));
        for (url, text) in [(ONE, "first"), (TWO, "second")] {
            assert_eq!(client.get(url).text(), text, "{why}");
        }
    }
    // The folder is empty, so it is not a folder of fixtures any more.
    fs::remove_file(sandbox.join(HAR)).unwrap();
    server.stderr().event("reload-failed", |event| event["because"].as_str().unwrap().contains("no fixture in"));
    assert_eq!(client.get(ONE).text(), "first");
    replace(&sandbox, HAR, two_entries("mended"));
    reloads(&server, "reloaded", 1);
    assert_eq!(client.get(ONE).text(), "mended");
    let output = server.stop().expect(0);
    let told: Vec<Value> = output.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<&Value> = told.iter().filter(|event| event["event"] == "reload-failed").collect();
    assert!(told.windows(2).all(|two| two[0]["because"] != two[1]["because"]), "{told:?}");
}

#[test]
fn edited_payload_file_reloads_its_fixture() {
    let stage = CliSandbox::new();
    stage.record(&["-o", HAR], CURL).expect(0);
    let (server, client) = start(&stage.sandbox, &[]);
    let url = "https://api.test/api/json";
    assert!(client.get(url).text().contains("Ada"));
    let payload = fs::read_dir(stage.sandbox.join("hars/api")).unwrap().next().unwrap().unwrap().path();
    let text = fs::read_to_string(&payload).unwrap();
    replace(&stage.sandbox, payload.to_str().unwrap(), text.replace("Ada", "Grace"));
    reloads(&server, "reloaded", 1);
    assert!(client.get(url).text().contains("Grace"));
    fs::remove_file(&payload).unwrap();
    let reported = reloads(&server, "reload-failed", 1);
    assert!(reported[0]["because"].as_str().unwrap().contains("does not exist"), "{reported:?}");
    assert!(client.get(url).text().contains("Grace"), "the loaded fixture is served");
    replace(&stage.sandbox, payload.to_str().unwrap(), text);
    reloads(&server, "reloaded", 2);
    assert!(client.get(url).text().contains("Ada"));
    server.stop().expect(0);
}

#[test]
fn git_lfs_pointer_is_a_miss_before_and_after_a_reload() {
    let stage = CliSandbox::new();
    stage.record(&["-o", HAR], CURL).expect(0);
    let payload = fs::read_dir(stage.sandbox.join("hars/api")).unwrap().next().unwrap().unwrap().path();
    let text = fs::read_to_string(&payload).unwrap();
    let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{:064}\nsize 12345\n", 0);
    fs::write(&payload, pointer).unwrap();
    let (server, client) = start(&stage.sandbox, &[]);
    let url = "https://api.test/api/json";
    let assert_missed = || {
        let got = client.get(url);
        assert_eq!((got.status, &got.json()["kind"]), (501, &json!("unreadable")));
        assert!(got.text().contains("git lfs pull"), "{}", got.text());
    };
    assert_missed();
    let edit = edited(&stage.sandbox, |har| har["log"]["comment"] = "edited".into());
    replace(&stage.sandbox, HAR, edit);
    reloads(&server, "reloaded", 1);
    assert_missed();
    replace(&stage.sandbox, payload.to_str().unwrap(), text);
    reloads(&server, "reloaded", 2);
    assert!(client.get(url).text().contains("Ada"));
    server.stop().expect(1).says("git lfs pull");
}

#[test]
fn fixtures_added_to_or_removed_from_a_folder_are_reloaded() {
    let sandbox = Sandbox::new();
    sandbox.write(HAR, two_entries("first"));
    let (server, client) = start(&sandbox, &["hars"]);
    let other = two_entries("other").replace("api.test", "other.test");
    replace(&sandbox, "hars/other.har", &other);
    let reported = reloads(&server, "reloaded", 1);
    assert_eq!((&reported[0]["fixture"], &reported[0]["change"]), (&json!("hars/other.har"), &json!("added")));
    let from_other = "https://other.test/one?page=1";
    assert_eq!(client.get(from_other).text(), "other");
    sandbox.write("hars/broken.har", "{");
    reloads(&server, "reload-failed", 1);
    assert_eq!(client.get(from_other).text(), "other");
    fs::remove_file(sandbox.join("hars/other.har")).unwrap();
    let reported = reloads(&server, "reloaded", 2);
    assert_eq!((&reported[1]["fixture"], &reported[1]["change"]), (&json!("hars/other.har"), &json!("removed")));
    assert_eq!(client.get(from_other).status, 501);
    assert_eq!(client.get(ONE).text(), "first");
    server.stop().expect(1);
}

#[test]
fn simultaneous_edits_load_each_file_once() {
    let sandbox = Sandbox::new();
    let har = |n: usize, text: &str| two_entries(text).replace("api.test", &format!("h{n}.test"));
    (0..40).for_each(|n| drop(sandbox.write(&format!("hars/{n}.har"), har(n, "before"))));
    let (server, client) = start(&sandbox, &[]);
    (0..40).for_each(|n| replace(&sandbox, &format!("hars/{n}.har"), har(n, "after")));
    reloads(&server, "reloaded", 40);
    for n in [0, 39] {
        assert_eq!(client.get(&format!("https://h{n}.test/one?page=1")).text(), "after");
    }
    let reported = server.stop().expect(0).stderr;
    let each: Vec<usize> = (0..40).map(|n| reported.matches(&format!("reloaded hars/{n}.har")).count()).collect();
    assert!(each.iter().all(|times| *times == 1), "{reported}");
}

#[test]
fn archives_and_fixtures_written_by_harproxy_are_reloaded() {
    let stage = CliSandbox::new();
    let origin = &stage.origin;
    for output in ["zips/api.zip", HAR] {
        let folder = output.split('/').next().unwrap();
        stage.record(&["-o", output], CURL).expect(0);
        let (server, client) = start(&stage.sandbox, &[folder]);
        assert!(client.get("https://api.test/api/json").text().contains("Ada"));
        assert_eq!(client.get("https://api.test/api/text").status, 501);
        // A second recording replaces the fixture while the first one is served.
        let again = ["curl", "-sS", "-o", "a", "https://api.test/api/text", "-o", "b", "https://api.test/api/json"];
        record(&stage.sandbox, origin, output, &again);
        reloads(&server, "reloaded", 1);
        assert_eq!(client.get("https://api.test/api/text").text(), "Grüße\n");
        // An archive that is being written.
        stage.sandbox.write(output, "PK\u{3}\u{4} and no more");
        server.stderr().event("reload-failed", |event| event["fixture"] == output);
        assert!(client.get("https://api.test/api/json").text().contains("Ada"));
        let output = server.stop().expect(1);
        let unused: Vec<&str> = output.stderr.lines().filter(|line| line.contains("\"verdict\"")).collect();
        let verdict: Value = serde_json::from_str(unused[0]).unwrap();
        assert_eq!(verdict["report"]["counts"]["misses"], 1, "misses from before stay: {verdict}");
        assert_eq!(verdict["report"]["fixtures"][0]["used"], 2);
    }
}

fn record(sandbox: &Sandbox, origin: &Origin, output: &str, cmd: &[&str]) {
    let begin = ["record", "-o", output].map(String::from).into_iter().chain(origin.args());
    sandbox.run(begin.chain(["--".to_owned()]).chain(cmd.iter().map(ToString::to_string))).expect(0);
}

#[test]
fn reload_keeps_used_entries_and_restarts_only_changed_sequences() {
    let sandbox = Sandbox::new();
    let poll = |host: &str, texts: &[&str]| {
        let mut har: Value = serde_json::from_str(&two_entries("x").replace("api.test", host)).unwrap();
        let entry = har["log"]["entries"][1].clone();
        let entries: Vec<Value> = texts
            .iter()
            .map(|text| {
                let mut entry = entry.clone();
                entry["response"]["content"]["text"] = (*text).into();
                entry
            })
            .collect();
        har["log"]["entries"] = entries.into();
        har.to_string()
    };
    sandbox.write("hars/a.har", poll("a.test", &["a1", "a2", "a3"]));
    sandbox.write("hars/b.har", poll("b.test", &["b1", "b2", "b3"]));
    let (server, client) = start(&sandbox, &["--fail-on", "+unused"]);
    let get = |host: &str| client.get(&format!("https://{host}/two")).text();
    assert_eq!([get("a.test"), get("a.test"), get("b.test"), get("b.test")], ["a1", "a2", "b1", "b2"]);
    replace(&sandbox, "hars/b.har", poll("b.test", &["B1", "B2", "B3"]));
    reloads(&server, "reloaded", 1);
    assert_eq!(get("a.test"), "a3", "a.har is as it was");
    assert_eq!(get("b.test"), "B1", "b.har is another");
    let output = server.stop().expect(1);
    let verdict = output.stderr.lines().find(|line| line.contains("\"verdict\"")).unwrap();
    let verdict: Value = serde_json::from_str(verdict).unwrap();
    let fixtures = verdict["report"]["fixtures"].as_array().unwrap();
    let unused: Vec<_> = fixtures.iter().map(|fixture| fixture["unusedEntries"].clone()).collect();
    assert_eq!(unused, [json!([]), json!([2])]);
    assert_eq!(verdict["report"]["counts"]["served"], 6);
}

#[test]
fn fixtures_are_not_reloaded_with_cmd() {
    let sandbox = Sandbox::new();
    sandbox.write(HAR, two_entries("first"));
    sandbox.write("other.har", two_entries("edited"));
    let script = format!("mv other.har {HAR}; curl -s {TWO}; curl -s '{ONE}'");
    let output = sandbox.run(["replay", HAR, "--", "sh", "-c", &script]).expect(0);
    assert!(output.stdout == "secondfirst" && !output.stderr.contains("reloaded"), "{output:?}");
}

#[test]
fn removed_last_fixture_is_logged_and_stays_loaded() {
    let sandbox = Sandbox::new();
    sandbox.write(HAR, two_entries("first"));
    let (server, client) = start(&sandbox, &["hars"]);
    fs::remove_file(sandbox.join(HAR)).unwrap();
    let reported = server.stderr().event("reload-failed", |event| event["fixture"] == HAR);
    let message = reported["message"].as_str().unwrap();
    assert!(message.contains("hars/api.har was removed; its previous version stays in use"), "{message}");
    assert_eq!(client.get(ONE).text(), "first");
    server.stop().expect(0);
}
