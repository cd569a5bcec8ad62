//! A HAR names files as payloads that were not meant as such: `.env`, `.git/config`, `harproxy.toml`. No command reads
//! them.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::replay::stage::{entry, foreign, own, text};
use crate::support::client::Proto;
use crate::support::sandbox::Sandbox;

/// The content of each file, which no redaction hides.
const CANARY: &str = "canary in a cage";
const HIDDEN: [&str; 6] = [".env", ".git/config", ".ssh/id_rsa", "sub/.npmrc", "harproxy.toml", "sub/../.env"];
/// Names that another tool's HAR may have, and that harproxy does not give.
const UNUSUAL: [&str; 3] = ["config/master.key", "own.key", "own/notes.txt"];

/// A HAR in the root of a project with an entry for each file, and a good one behind them.
fn project(name: &str, is_own: bool, files: &[&str]) -> Sandbox {
    let sandbox = Sandbox::new();
    for file in HIDDEN.iter().chain(&UNUSUAL) {
        sandbox.write(file, format!("# {CANARY}\n"));
    }
    let named = |file: &&str| {
        let content = json!({"size": 20, "mimeType": "text/plain", "_file": file});
        entry(&format!("GET http://api.test/{file}"), json!({"content": content}))
    };
    let mut entries: Vec<Value> = files.iter().map(named).collect();
    entries.push(text("GET http://api.test/good", "good"));
    let har = if is_own { own(&["**"], &entries) } else { foreign(&entries) };
    sandbox.write(name, serde_json::to_string_pretty(&har).unwrap());
    sandbox
}

/// The files that contain the canary.
fn with_canary(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for item in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if item.path().is_dir() {
            found.extend(with_canary(&item.path()));
        } else if fs::read(item.path()).unwrap().windows(CANARY.len()).any(|bytes| bytes == CANARY.as_bytes()) {
            found.push(item.path().display().to_string());
        }
    }
    found.sort();
    found
}

fn walk_commands(name: &str, is_own: bool, files: &[&str]) {
    let sandbox = project(name, is_own, files);
    let before = with_canary(sandbox.path());
    let entry = |n: usize| format!("{name}#{n}");
    let last = entry(files.len() - 1);
    for (args, status) in [
        (&["ls", name][..], 0),
        (&["ls", "--json", name], 0),
        (&["show", "--all", name], 0),
        (&["check", name], 1),
        (&["check", "--json", name], 1),
        (&["explain", name, "--url", "http://api.test/.env"], 0),
        (&["diff", name, name], 2),
        (&["fmt", name], 2),
        (&["redact", name], 2),
        (&["pack", name], 2),
        (&["merge", "-o", "merged.har", name], 2),
        (&["merge", "-o", "merged.zip", name, name], 2),
        (&["show", &last], 2),
    ] {
        let output = sandbox.run(args);
        assert!(!output.stdout.contains(CANARY) && !output.stderr.contains(CANARY), "{args:?}: {output:?}");
        let says = output.stdout.clone() + &output.stderr;
        if status != 0 {
            assert!(output.status != 0, "{args:?}: {output:?}");
            assert!(says.contains("refused") && says.contains(name), "{args:?}: {output:?}");
        }
    }
    // The error names file, entry and line, and says how to go on.
    let output = sandbox.run(["fmt", name]).expect(2).says(&format!("{name}#0 (line ")).says(files[0]);
    output.says("remove the entry");

    let server = sandbox.start(["replay", name, "--report", "report.json", "--report", "report.html"]);
    let client = server.client(Proto::H1);
    for file in files {
        let got = client.get(&format!("http://api.test/{file}"));
        assert!(!got.text().contains(CANARY), "{file}: {}", got.text());
        let is_elsewhere = file.contains("..");
        assert!(is_elsewhere || got.json()["kind"] == "unreadable", "{file}: {}", got.text());
    }
    assert_eq!(client.get("http://api.test/good").text(), "good");
    let output = server.stop().expect(1);
    assert!(!output.stderr.contains(CANARY), "{}", output.stderr);
    assert_eq!(with_canary(sandbox.path()), before);
    assert!(!sandbox.join("merged.har").exists() && !sandbox.join("merged.zip").exists());

    // Removing the entries is the way out, and removes none of these files.
    let gone: Vec<String> = (0..files.len()).map(entry).collect();
    sandbox.run(["rm".to_owned()].iter().chain(&gone)).expect(0);
    sandbox.run(["check", name]);
    sandbox.run(["pack", name]).expect(0);
    assert_eq!(with_canary(sandbox.path()), before);
}

#[test]
fn hidden_files_of_a_foreign_har_are_refused_by_all_commands() {
    walk_commands("theirs.har", false, &HIDDEN);
}

#[test]
fn files_without_the_name_of_a_payload_are_refused_in_an_own_fixture() {
    walk_commands("own.har", true, &[&HIDDEN[..], &UNUSUAL].concat());
}

/// A HAR that is named as the folder of the files.
#[test]
fn name_of_the_fixture_gives_no_access_to_its_folder() {
    walk_commands("config.har", true, &["config/master.key"]);
    walk_commands(".git.har", true, &[".git/config"]);
}

#[test]
fn payloads_of_renamed_and_foreign_fixtures_are_read() {
    let sandbox = Sandbox::new();
    sandbox.write("hars/api/0123456789abcdef.txt", "good");
    sandbox.write("hars/pages/index.html", "good");
    let named = |file: &str| {
        let content = json!({"size": 4, "mimeType": "text/plain", "_file": file});
        entry("GET http://api.test/x", json!({"content": content}))
    };
    let mine = own(&["**"], &[named("api/0123456789abcdef.txt")]).to_string();
    let theirs = foreign(&[named("pages/index.html")]).to_string();
    for (name, har) in [("hars/api.har", &mine), ("hars/renamed.har", &mine), ("hars/theirs.har", &theirs)] {
        sandbox.write(name, har);
        let server = sandbox.start(["replay", name]);
        assert_eq!(server.client(Proto::H1).get("http://api.test/x").text(), "good", "{name}");
        server.stop().expect(0);
        fs::remove_file(sandbox.join(name)).unwrap();
    }
}
