//! `harproxy ls`.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::{entry, fixture, own};
use crate::support::sandbox::{Sandbox, finish};

#[test]
fn each_entry_is_a_line() {
    let sandbox = Sandbox::new();
    let [user, _] = fixture(&sandbox);
    let mut failed = entry("/down", json!({"size": 0, "mimeType": ""}));
    failed["response"]["status"] = json!(0);
    sandbox.write("hars/b.har", own(&[failed]));
    let lines = sandbox.run(["ls"]).expect(0).stdout;
    let words: Vec<Vec<&str>> = lines.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        words,
        [
            &["hars/api.har#0", "GET", "200", "application/json", "14", "https://api.test/user"][..],
            &["hars/api.har#1", "GET", "200", "text/plain", "6", "https://api.test/text"],
            &["hars/api.har#2", "GET", "200", "text/plain", "5", "https://api.test/inside"],
            &["hars/b.har#0", "GET", "0", "0", "https://api.test/down"],
        ]
    );
    let json = sandbox.run(["ls", "--json", "hars/api.har", "-q"]).expect(0).stdout;
    let lines: Vec<&str> = json.lines().collect();
    assert_eq!(
        lines[0],
        format!(
            r#"{{"fixture":"hars/api.har","entry":0,"method":"GET","url":"https://api.test/user","status":200,"mimeType":"application/json","size":14,"file":"api/{user}"}}"#
        )
    );
    assert_eq!(serde_json::from_str::<Value>(lines[2]).unwrap()["file"], json!(null));
    assert_eq!(lines.len(), 3);
}

#[test]
fn unlistable_entries_are_reported_and_the_rest_is_listed() {
    let sandbox = Sandbox::new();
    fixture(&sandbox);
    sandbox.write("hars/0.har", "{");
    sandbox.write("hars/1.har", own(&[json!(null), entry("/a\u{1b}[2J", json!({"size": 0, "mimeType": "x"}))]));
    let output =
        sandbox.run(["ls", "gone.har", "hars"]).expect(2).says("gone.har").says("hars/0.har").says("hars/1.har#0");
    assert_eq!(output.stdout.lines().count(), 4);
    assert!(!output.stdout.contains('\u{1b}'), "nothing that a terminal obeys");
    sandbox.write("empty.har", own(&[]));
    assert_eq!(sandbox.run(["ls", "empty.har"]).expect(0).stdout, "");
}

#[test]
fn closed_pipe_is_not_an_error() {
    let sandbox = Sandbox::new();
    let entries: Vec<_> = (0..5000).map(|n| entry(&format!("/{n}"), json!({"size": 0, "mimeType": "x"}))).collect();
    sandbox.write("hars/api.har", own(&entries));
    for command in ["ls", "ls --json", "show --all hars/api.har"] {
        let mut shell = Command::new("sh");
        let pipe = format!("{{ {} {command}; echo $? > status; }} | head -n 1", env!("CARGO_BIN_EXE_harproxy"));
        shell.args(["-c", &pipe]).current_dir(sandbox.path()).stdin(Stdio::null());
        let output = finish(shell.output().unwrap()).expect(0);
        assert_eq!((output.stdout.lines().count(), output.stderr.as_str()), (1, ""), "{command}");
        assert_eq!(sandbox.read("status"), "0\n", "{command}");
    }
}
