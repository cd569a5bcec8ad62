//! `harproxy fmt`.

use serde_json::{Value, json};

use super::{entry, fixture, named, own, tree};
use crate::support::sandbox::Sandbox;

#[test]
fn recorded_fixtures_are_canonical() {
    let stage = crate::cli::CliSandbox::new();
    let script =
        "curl -sS https://api.test/api/json https://api.test/api/image -d a=1 https://api.test/api/gzip -o /dev/null";
    for options in [&["-o", "hars/a.har"][..], &["-o", "hars/b.zip"], &["-o", "hars/c.har", "--content", "embed"]] {
        stage.record(options, &["sh", "-c", script]).expect(0);
    }
    let before = tree(&stage.sandbox.join("hars"));
    let check = stage.sandbox.run(["fmt", "--check"]).expect(0);
    assert_eq!((check.stdout.as_str(), check.stderr.as_str()), ("", ""));
    assert_eq!(stage.sandbox.run(["fmt"]).expect(0).stdout, "");
    assert_eq!(tree(&stage.sandbox.join("hars")), before);
}

#[test]
fn check_option_names_the_first_different_line_and_writes_nothing() {
    let sandbox = Sandbox::new();
    fixture(&sandbox);
    sandbox.run(["fmt", "--check"]).expect(0);
    let canonical = sandbox.read("hars/api.har");
    let crooked = canonical.replacen("\"method\": \"GET\"", "\"method\":   \"GET\"", 1);
    let line = crooked.lines().position(|line| line.contains("   \"GET\"")).unwrap() + 1;
    sandbox.write("hars/api.har", &crooked);
    sandbox.write("hars/other.har", canonical.replace('\n', "\r\n"));
    let before = tree(sandbox.path());
    let check = sandbox.run(["fmt", "--check"]).expect(1).says("2 fixtures").says("`harproxy fmt`");
    assert_eq!(check.stdout, format!("hars/api.har:{line}\nhars/other.har:1\n"));
    assert_eq!(tree(sandbox.path()), before);
    assert_eq!(sandbox.run(["fmt"]).expect(0).stdout, "hars/api.har\nhars/other.har\n");
    assert_eq!(sandbox.read("hars/api.har"), canonical);
    assert_eq!(sandbox.read("hars/other.har"), canonical, "LF again");
    sandbox.run(["fmt", "--check", "-q", "hars/api.har"]).expect(0);
}

#[test]
fn members_are_ordered_and_header_names_get_their_case() {
    let sandbox = Sandbox::new();
    fixture(&sandbox);
    let canonical = sandbox.read("hars/api.har");
    let mut har: Value = serde_json::from_str(&canonical).unwrap();
    for entry in har["log"]["entries"].as_array_mut().unwrap() {
        let members: Vec<_> = entry.as_object().unwrap().clone().into_iter().rev().collect();
        *entry = Value::Object(members.into_iter().collect());
        entry["response"]["headers"][0]["name"] = json!("Content-Type");
    }
    let shuffled = json!({"log": {"entries": har["log"]["entries"], "_harproxy": har["log"]["_harproxy"],
        "creator": har["log"]["creator"], "version": "1.2"}});
    sandbox.write("hars/api.har", shuffled.to_string());
    sandbox.run(["fmt", "hars/api.har"]).expect(0);
    assert_eq!(sandbox.read("hars/api.har"), canonical);
}

#[test]
fn foreign_hars_keep_their_members() {
    let sandbox = Sandbox::new();
    let mut first = entry("/b", json!({"size": 2, "mimeType": "text/html", "_file": "pages/b.html", "x": 1.0}));
    first["_order"] = json!(1);
    first["response"]["headers"] = json!([
        {"name": "Set-Cookie", "value": "a"}, {"name": "Vary", "value": "x"}, {"value": "b", "name": "set-cookie", "_z": 1}]);
    let second = entry("/a", json!({"size": 0, "mimeType": "x-unknown"}));
    let har = json!({"_tool": {"kept": true}, "log": {"version": "1.1", "entries": [first, second],
        "pages": [{"title": "p", "id": "p"}], "creator": {"version": "9", "name": "Other", "extra": null}}});
    sandbox.write("pages/b.html", "hi");
    sandbox.write("theirs.har", har.to_string());
    sandbox.run(["fmt", "theirs.har"]).expect(0);
    let text = sandbox.read("theirs.har");
    assert!(!text.contains("_harproxy"));
    let mut expected = har.clone();
    expected["log"]["entries"][0]["response"]["headers"] = json!([
        {"name": "set-cookie", "value": "a"}, {"name": "set-cookie", "value": "b", "_z": 1}, {"name": "vary", "value": "x"}]);
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
    assert!(text.contains("\"x\": 1.0"), "{text}");
    assert!(text.find("/b\"") < text.find("/a\""), "file order is the order");
    assert_eq!(sandbox.read("pages/b.html"), "hi");
}

#[test]
fn edited_payload_file_is_renamed_and_its_size_updated() {
    let sandbox = Sandbox::new();
    let [user, text] = fixture(&sandbox);
    let edited = "{\n  \"name\": \"Grace\"\n}\n";
    sandbox.write(&format!("hars/api/{user}"), edited);
    let before = tree(sandbox.path());
    let to = named(edited.as_bytes(), "txt");
    sandbox.run(["fmt", "--check"]).expect(1).says(&format!("would be api/{to}"));
    assert_eq!(tree(sandbox.path()), before);
    sandbox.run(["fmt"]).expect(0).says(&format!("api/{user} was edited and is now api/{to}"));
    let content = &sandbox.har("hars/api.har")["log"]["entries"][0]["response"]["content"];
    let expected = json!({"size": 16, "mimeType": "application/json", "_file": format!("api/{to}"), "_compact": true});
    assert_eq!(content, &expected, "the size is that of the compact text");
    let mut files: Vec<_> = tree(&sandbox.join("hars/api")).into_iter().map(|(name, _)| name).collect();
    let mut expected = vec![to, text];
    expected.sort();
    files.sort();
    assert_eq!(files, expected, "the old name is gone");
    sandbox.run(["fmt", "--check"]).expect(0);
}

#[test]
fn payload_files_with_other_names_are_kept() {
    let sandbox = Sandbox::new();
    let body = |file: &str| json!({"size": 2, "mimeType": "text/plain", "_file": file});
    sandbox.write("hars/api/by-hand.txt", "hi");
    sandbox.write("hars/shared/0123456789abcdef.txt", "hi");
    let entries = [entry("/a", body("api/by-hand.txt")), entry("/b", body("shared/0123456789abcdef.txt"))];
    sandbox.write("hars/api.har", own(&entries));
    sandbox.run(["fmt", "--check"]).expect(0);
}

#[test]
fn payload_file_referenced_by_another_path_spelling_is_not_removed() {
    let sandbox = Sandbox::new();
    let body = |file: &str| json!({"size": 2, "mimeType": "text/plain", "_file": file});
    sandbox.write("hars/api/0123456789abcdef.txt", "hi");
    let entries = ["api/0123456789abcdef.txt", "./api/0123456789abcdef.txt"].map(|file| entry("/a", body(file)));
    sandbox.write("hars/api.har", own(&entries));
    sandbox.run(["fmt"]).expect(0);
    assert_eq!(sandbox.read("hars/api/0123456789abcdef.txt"), "hi");
    sandbox.run(["fmt", "--check"]).expect(0);
}

#[test]
fn invalid_file_is_reported_and_the_others_are_formatted() {
    let sandbox = Sandbox::new();
    let good = own(&[entry("/x", json!({"size": 0, "mimeType": ""}))]).replace("  ", " ");
    let gone = json!({"size": 2, "mimeType": "text/plain", "_file": "d/0123456789abcdef.txt"});
    let lines: Vec<_> = good.lines().collect();
    let at = lines.iter().position(|line| line.contains("\"method\"")).unwrap();
    let (before, after) = lines.split_at(at);
    let conflict = [before, &["<<<<<<< HEAD"], after, &["=======", ">>>>>>> theirs"]].concat().join("\n");
    let conflict_line = at + 1;
    let bad = [
        ("a.har", own(&[json!(null), entry("/x", json!({}))]), "hars/a.har#0".to_owned()),
        ("b.har", own(&[json!({"request": {}, "response": {}})]), "no `url`".to_owned()),
        ("c.har", conflict, format!("hars/c.har:{conflict_line}: unresolved git conflict")),
        ("d.har", own(&[entry("/x", json!({})), entry("/y", gone)]), "hars/d.har#1 (line ".to_owned()),
        ("e.har", own(&[entry("/x", json!({"_file": "../secret.txt"}))]), "leaves the folder".to_owned()),
        ("f.har", good[..good.len() / 2].to_owned(), "hars/f.har:".to_owned()),
        ("g.har", json!({"entries": [entry("/x", json!({}))]}).to_string(), "no `log`".to_owned()),
        ("h.har", good.replacen("\"entries\"", "\"entries\": 1, \"entries\"", 1), "`entries` is duplicated".to_owned()),
    ];
    for (name, text, _) in &bad {
        sandbox.write(&format!("hars/{name}"), text);
    }
    sandbox.write("hars/z.har", &good);
    let output = sandbox.run(["fmt", "gone.har", "hars"]).expect(2).says("gone.har");
    for (name, text, says) in &bad {
        assert!(output.stderr.contains(says), "{name}: {says}: {}", output.stderr);
        assert_eq!(&sandbox.read(&format!("hars/{name}")), text);
    }
    assert_eq!(output.stdout, "hars/z.har\n");
    assert!(
        output.stderr.contains("d/0123456789abcdef.txt") && output.stderr.contains("git checkout --ours hars/c.har")
    );
    assert!(!output.stderr.contains("panicked"));
    sandbox.run(["fmt", "hars/z.har", "--check"]).expect(0);
}

#[test]
fn unwritable_fixture_is_reported() {
    let sandbox = Sandbox::new();
    let [user, _] = fixture(&sandbox);
    let edited = "{\n  \"name\": \"Grace\"\n}\n";
    sandbox.write(&format!("hars/api/{user}"), edited);
    std::fs::create_dir(sandbox.join(format!("hars/api/{}", named(edited.as_bytes(), "txt")))).unwrap();
    let har = sandbox.read("hars/api.har");
    sandbox.run(["fmt"]).expect(3).says("error: ").says("hint: ");
    assert_eq!(sandbox.read("hars/api.har"), har);
    assert_eq!(sandbox.read(&format!("hars/api/{user}")), edited);
}

#[test]
fn compressed_hars_are_unchanged_and_no_fixture_is_an_error() {
    let sandbox = Sandbox::new();
    sandbox.run(["fmt"]).expect(2).says("hars");
    let gz = crate::support::repo("tests/corpus/recorded/minimal-embed/rec.har.gz");
    sandbox.write("hars/a.har.gz", std::fs::read(gz).unwrap());
    sandbox.run(["fmt", "--check"]).expect(0).says("compressed");
    std::fs::create_dir(sandbox.join("empty")).unwrap();
    sandbox.run(["fmt", "empty"]).expect(2).says("no fixture in empty");
}

#[test]
fn archive_is_formatted_like_a_har() {
    let sandbox = Sandbox::new();
    let [user, text] = fixture(&sandbox);
    sandbox.run(["pack", "hars/api.har"]).expect(0);
    let before = std::fs::read(sandbox.join("hars/api.zip")).unwrap();
    // The same fixture in an archive of another tool, with an edited payload.
    let har = sandbox.read("hars/api.har").replace("\"api/", "\"");
    let edited = "{\n  \"name\": \"Grace\"\n}\n";
    super::pack::zip(&sandbox.join("a.zip"), &[(&text, "hello\n"), ("har.har", &har), (&user, edited)]);
    super::pack::zip(
        &sandbox.join("b.zip"),
        &[(&text, "hello\n"), ("har.har", &har), (&user, &sandbox.read(&format!("hars/api/{user}")))],
    );
    let check = sandbox.run(["fmt", "--check", "a.zip", "b.zip"]).expect(1);
    let mut lines = check.stdout.lines();
    assert!(lines.next().unwrap().starts_with("a.zip:") && lines.next() == Some("b.zip"), "{}", check.stdout);
    sandbox.run(["fmt", "a.zip", "b.zip"]).expect(0);
    sandbox.run(["fmt", "--check", "a.zip", "b.zip"]).expect(0);
    assert!(std::fs::read(sandbox.join("b.zip")).unwrap() == before);
    let listed = sandbox.run(["ls", "--json", "a.zip"]).expect(0).stdout;
    assert!(listed.contains(&named(edited.as_bytes(), "txt")) && listed.contains("\"size\":16"), "{listed}");
}

#[test]
fn utf16_har_becomes_utf8() {
    let sandbox = Sandbox::new();
    fixture(&sandbox);
    let canonical = sandbox.read("hars/api.har");
    let utf16 = |swap: fn(u16) -> [u8; 2]| -> Vec<u8> {
        std::iter::once(0xfeff).chain(canonical.encode_utf16()).flat_map(swap).collect()
    };
    for bytes in [utf16(u16::to_le_bytes), utf16(u16::to_be_bytes), format!("\u{feff}{canonical}").into_bytes()] {
        sandbox.write("hars/api.har", bytes);
        assert_eq!(sandbox.run(["fmt", "--check"]).expect(1).stdout, "hars/api.har:1\n");
        sandbox.run(["fmt"]).expect(0);
        assert_eq!(sandbox.read("hars/api.har"), canonical);
    }
}
