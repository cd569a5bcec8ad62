//! `replay --prune`: removes and lists the entries that a passed run did not use. All else stays byte for byte.

use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::fixtures::{entry, fixture, named, own, tree};
use crate::support::client::Proto;
use crate::support::sandbox::{Output, Sandbox, Server, finish};

const TOLD: &str = "nothing is pruned";

fn text(path: &str) -> Value {
    entry(path, json!({"size": 2, "mimeType": "text/plain", "text": "ok"}))
}

fn get(server: &Server, path: &str) -> Option<String> {
    let got = server.client(Proto::H1).get(&format!("https://api.test{path}"));
    got.header("x-harproxy").map(str::to_owned)
}

/// Requests these paths from a replay that prunes.
fn prune(sandbox: &Sandbox, options: &[&str], paths: &[&str]) -> Output {
    let args = ["replay", "--prune", "--report", "report.json"].iter().chain(options);
    let server = sandbox.start(args);
    for path in paths {
        get(&server, path);
    }
    server.stop()
}

fn urls(sandbox: &Sandbox, path: &str) -> Vec<String> {
    let har = sandbox.har(path);
    let entries = har["log"]["entries"].as_array().unwrap();
    entries.iter().map(|entry| entry["request"]["url"].as_str().unwrap().replace("https://api.test", "")).collect()
}

fn names(folder: &Path) -> Vec<String> {
    tree(folder).into_iter().map(|(name, _)| name).collect()
}

#[test]
fn unused_entries_are_removed_with_their_payloads() {
    let sandbox = Sandbox::new();
    let files = fixture(&sandbox);
    let before = sandbox.har("hars/api.har");
    sandbox.write("hars/api/notes.txt", "mine");
    let curl = ["replay", "--prune", "--report", "report.json", "--", "curl", "-sS", "https://api.test/user"];
    let output = sandbox.run(curl).expect(0);
    let kept = before["log"]["entries"][0].clone();
    assert_eq!(sandbox.read("hars/api.har"), own(&[kept]));
    assert_eq!(names(&sandbox.join("hars")), ["api.har", &format!("api/{}", files[0]), "api/notes.txt"]);

    let stderr = &output.stderr;
    let place = |text: &str| stderr.find(text).unwrap_or_else(|| panic!("`{text}` is not in {stderr}"));
    assert!(place("pruning: 2 of 3 entries of hars/api.har") < place("  #1 GET https://api.test/text\n"));
    assert!(place("  #2 GET https://api.test/inside\n") < place("replay passed"));
    assert!(place("hars/api.har: 2 entries pruned, 1 kept, 1 payload removed") < place("git diff --stat"));
    assert!(place("git diff --stat") < place("git add hars/api.har hars/api\n"));
    assert!(!stderr.contains("! unused"), "{stderr}");
    let report = sandbox.har("report.json");
    assert_eq!(
        report["fixtures"][0],
        json!({"fixture": "hars/api.har", "entries": 3, "used": 1, "usedEntries": [{ "entry": 0, "requests": 1 }], "unusedEntries": [1, 2], "pruned": 2, "unused": 2})
    );
    // A second run has nothing to prune.
    let output = sandbox.run(curl).expect(0).says("nothing to prune: every entry was used");
    assert!(!output.stderr.contains("pruning"), "{}", output.stderr);
    assert_eq!(sandbox.har("report.json")["fixtures"][0].get("pruned"), None);
}

#[test]
fn failed_run_prunes_nothing_and_names_the_reason() {
    let sandbox = Sandbox::new();
    fixture(&sandbox);
    let before = tree(&sandbox.join("hars"));
    let user = "curl -sS https://api.test/user";
    for (options, cmd, status, why) in [
        (&[][..], format!("{user}; exit 7"), 7, "CMD ended with status 7"),
        (&[], format!("{user}; kill -KILL $$"), 137, "CMD ended with status 137"),
        (&[], format!("{user}; curl -sS https://api.test/none"), 1, "the run failed"),
        (&["--max-age", "1d", "--fail-on", "+stale"], user.to_owned(), 1, "the run failed"),
        (&[], "true".to_owned(), 1, "the run failed"),
        (&["--fail-on", "none"], "true".to_owned(), 0, "no entry was used"),
        (&["--fail-on", "none"], "no-such-command".to_owned(), 127, "CMD ended with status 127"),
    ] {
        let args = ["replay", "--prune"].iter().chain(options).copied().chain(["--", "sh", "-c", &cmd]);
        let output = sandbox.run(args).expect(status).says(TOLD).says(why);
        assert!(!output.stderr.contains("pruning"), "{}", output.stderr);
        assert_eq!(tree(&sandbox.join("hars")), before, "{cmd}");
    }
    sandbox.run(["replay", "--prune", "--", "no-such-command"]).expect(127).says("CMD was not run");
    assert_eq!(tree(&sandbox.join("hars")), before);
}

#[test]
fn prune_is_refused_in_ci_and_with_on_miss_record_before_cmd_runs() {
    let sandbox = Sandbox::new();
    fixture(&sandbox);
    let run = |options: &[&str], variables: &[(&str, &str)]| {
        let args = ["replay", "hars/api.har"].iter().chain(options).copied();
        let cmd = ["--", "sh", "-c", "echo ran; curl -sS https://api.test/user >/dev/null"];
        finish(sandbox.command(args.chain(cmd)).envs(variables.iter().copied()).output().unwrap())
    };
    for ci in ["true", "1", "TRUE"] {
        let output = run(&["--prune"], &[("CI", ci)]).expect(2).says("CI").says("hint: ");
        assert_eq!(output.stdout, "");
    }
    let output = run(&["--prune", "--on-miss", "record"], &[]).expect(2).says("--on-miss record").says("hint: ");
    assert_eq!(output.stdout, "");
    run(&[], &[("HARPROXY_PRUNE", "1"), ("CI", "true")]).expect(2);
    sandbox.write("harproxy.toml", "[replay]\nprune = true\n");
    run(&[], &[("CI", "true")]).expect(2).says("HARPROXY_PRUNE=false");
    run(&[], &[("CI", "true"), ("HARPROXY_PRUNE", "false")]).expect(0);
    assert_eq!(urls(&sandbox, "hars/api.har").len(), 3);
    run(&[], &[("CI", "false")]).expect(0);
    assert_eq!(urls(&sandbox, "hars/api.har"), ["/user"]);
}

#[test]
fn pruned_entries_do_not_fail_the_run_as_unused() {
    let sandbox = Sandbox::new();
    sandbox.write("hars/a.har", own(&[text("/one"), text("/two")]));
    let strict = ["--fail-on", "+unused"];
    let server = sandbox.start(["replay"].iter().chain(&strict));
    get(&server, "/one");
    server.stop().expect(1);
    prune(&sandbox, &strict, &["/one"]).expect(0);
    let report = sandbox.har("report.json");
    assert_eq!((&report["passed"], &report["findings"][0]["severity"]), (&true.into(), &"warning".into()));
    prune(&sandbox, &strict, &["/one"]).expect(0).says("every entry was used");
    // Unused entries that are not pruned still fail the run.
    sandbox.write("hars/b.har", own(&[text("/three")]));
    prune(&sandbox, &strict, &["/one"]).expect(1).says("hars/b.har was not used at all");
}

#[test]
fn each_fixture_is_pruned_but_a_wholly_unused_one_stays() {
    let sandbox = Sandbox::new();
    sandbox.write("hars/a.har", own(&[text("/one"), text("/two")]));
    sandbox.write("hars/b/c.har", own(&[text("/three"), text("/four")]));
    let other = own(&[text("/five"), text("/six")]);
    sandbox.write("hars/other.har", &other);
    let output = prune(&sandbox, &[], &["/two", "/three"]).expect(0);
    assert_eq!(urls(&sandbox, "hars/a.har"), ["/two"]);
    assert_eq!(urls(&sandbox, "hars/b/c.har"), ["/three"]);
    assert_eq!(sandbox.read("hars/other.har"), other);
    output.says("git rm -r hars/other.har").says("git add hars/a.har hars/b/c.har");
    let pruned = |n: usize| sandbox.har("report.json")["fixtures"][n].get("pruned").cloned();
    assert_eq!([pruned(0), pruned(1), pruned(2)], [Some(1.into()), Some(1.into()), None]);
}

/// The HAR has the members, the layout and the payload files of another tool.
#[test]
fn pruned_foreign_har_keeps_its_bytes_and_payload_files() {
    let sandbox = Sandbox::new();
    let entry = |path: &str, more: &str| {
        format!(
            r#"{{"_id":"{path}",  "startedDateTime":"2026-01-01T00:00:00Z","time":1.50,"request":{{"method":"GET","url":"https://api.test{path}","headers":[],"cookies":[]}},"response":{{"status":200,"headers":[{{"name":"X","value":"y"}}],"content":{{"size":2,"mimeType":"text/plain",{more}}}}},"cache":{{}},"timings":{{}},"pageref":"page_1"}}"#
        )
    };
    let har = |entries: &[String]| {
        format!(
            "{{\"log\":{{\"version\":\"1.2\",\"creator\":{{\"name\":\"other\",\"version\":\"9\"}},\"pages\":[{{\"id\":\"page_1\"}}],\"entries\":[\n{}\n],\"_mine\":[1,2]}}}}",
            entries.join(",\n")
        )
    };
    let attached = r#""_file":"0123456789abcdef0123456789abcdef01234567.txt""#;
    let [one, two, three] =
        [entry("/one", attached), entry("/two", r#""text":"ok""#), entry("/three", r#""text":"\u006fk""#)];
    sandbox.write("hars/0123456789abcdef0123456789abcdef01234567.txt", "ok");
    sandbox.write("hars/x.har", har(&[one, two.clone(), three.clone()]));
    prune(&sandbox, &["-g", "https://api.test/**"], &["/two", "/three"]).expect(0).says("git add hars/x.har\"");
    assert_eq!(sandbox.read("hars/x.har"), har(&[two, three]));
    assert!(
        sandbox.join("hars/0123456789abcdef0123456789abcdef01234567.txt").exists(),
        "the file belongs to the other tool"
    );
}

#[test]
fn pruned_archive_loses_its_unreferenced_members() {
    let sandbox = Sandbox::new();
    fixture(&sandbox);
    sandbox.run(["pack", "hars/api.har"]).expect(0);
    // Pruning an archive gives the same bytes as packing the pruned folder.
    let server = sandbox.start(["replay", "--prune", "hars/api.zip"]);
    assert_eq!(get(&server, "/text").as_deref(), Some("replay; entry=hars/api.zip#1"));
    server.stop().expect(0).says("1 payload removed").says("git add hars/api.zip\"");
    prune(&sandbox, &["hars/api.har"], &["/text"]).expect(0);
    let pruned = fs::read(sandbox.join("hars/api.zip")).unwrap();
    fs::remove_file(sandbox.join("hars/api.zip")).unwrap();
    sandbox.run(["pack", "hars/api.har"]).expect(0);
    assert!(pruned == fs::read(sandbox.join("hars/api.zip")).unwrap());
}

#[test]
fn payload_that_another_har_refers_to_stays() {
    let sandbox = Sandbox::new();
    let files = fixture(&sandbox);
    let shared = json!({"size": 6, "mimeType": "text/plain", "_file": format!("api/{}", files[1])});
    sandbox.write("hars/b.har", own(&[entry("/b", shared)]));
    let output = prune(&sandbox, &[], &["/user", "/b"]).expect(0);
    output
        .says(&format!("api/{} is kept: ", files[1]))
        .says("hars/b.har refers to it")
        .says("2 entries pruned, 1 kept\\n");
    assert!(sandbox.join("hars/api").join(&files[1]).exists());
}

#[test]
fn fixture_that_is_being_recorded_or_was_edited_is_not_pruned() {
    let sandbox = Sandbox::new();
    let (before, edited) = (own(&[text("/one"), text("/two")]), own(&[text("/one"), text("/two"), text("/three")]));
    sandbox.write("hars/a.har", &before);
    let recorder = sandbox.start(["record", "-o", "hars/a.har"]);
    let output = prune(&sandbox, &[], &["/one"]).expect(3).says("is being recorded by another harproxy");
    assert!(!output.stderr.contains("entries pruned"), "{}", output.stderr);
    recorder.stop();
    assert_eq!(sandbox.read("hars/a.har"), before);
    let report = sandbox.har("report.json");
    assert_eq!(
        (&report["passed"], &report["status"], &report["source"]),
        (&true.into(), &3.into(), &"harproxy".into())
    );

    let change = format!("curl -sS https://api.test/one; cat > hars/a.har <<'END'\n{edited}END\n");
    sandbox.run(["replay", "--prune", "--", "sh", "-c", &change]).expect(3).says("changed since the run");
    assert_eq!(sandbox.read("hars/a.har"), edited);
    assert_eq!(names(&sandbox.join("hars")), ["a.har"], "no lock or temporary file is left");
}

#[test]
fn long_list_of_pruned_entries_is_cut_redacted_and_escaped() {
    let sandbox = Sandbox::new();
    let mut entries: Vec<Value> = (0..30).map(|n| text(&format!("/{n}"))).collect();
    entries[1]["request"]["url"] = "https://api.test/x?token=s3cret-s3cret".into();
    entries[2]["request"]["url"] = "https://api.test/\u{1b}[31m\nred".into();
    sandbox.write("hars/a.har", own(&entries));
    let server = sandbox.start(["replay", "--prune"]);
    get(&server, "/0");
    let output = server.stop().expect(0);
    let pruning = output.stderr.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let pruning = pruning.into_iter().find(|line| line["event"] == "pruning").unwrap();
    assert_eq!(pruning["entries"], json!((1..30).collect::<Vec<_>>()));
    let message = pruning["message"].as_str().unwrap();
    assert_eq!(message.lines().count(), 22, "{message}");
    assert!(message.contains("and 9 more") && message.contains("token=REDACTED-token"), "{message}");
    assert!(!output.stderr.contains("s3cret") && !message.contains('\u{1b}'), "{}", output.stderr);
}

/// Pruning also removes the temporary file that a killed run left.
#[test]
fn followed_redirects_count_as_used() {
    let sandbox = Sandbox::new();
    let mut hop = text("/old");
    hop["response"]["status"] = 302.into();
    hop["response"]["headers"] = json!([{"name": "location", "value": "/new"}]);
    sandbox.write("hars/a.har", own(&[hop, text("/new"), text("/other")]));
    sandbox.write("hars/.a.har.Ab12cD.part", "half");
    let server = sandbox.start(["replay", "--prune", "--redirects", "follow"]);
    assert_eq!(get(&server, "/old").as_deref(), Some("replay; entry=hars/a.har#0; followed=#1"));
    server.stop().expect(0);
    assert_eq!(urls(&sandbox, "hars/a.har"), ["/old", "/new"]);
    assert_eq!(names(&sandbox.join("hars")), ["a.har"]);
}

/// The number of entries of each fixture in the test of killed runs. The runs use the first of each.
const MANY: usize = 60;

/// `hars/a.har` with its payloads beside it, and `hars/b.zip`.
fn many(sandbox: &Sandbox) {
    for fixture in ["a", "b"] {
        let entries = (0..MANY).map(|n| {
            let text = format!("{fixture} {n}\n");
            let file = format!("{fixture}/{}", named(text.as_bytes(), "txt"));
            sandbox.write(&format!("hars/{file}"), &text);
            let content = json!({"size": text.len(), "mimeType": "text/plain", "_file": file});
            entry(&format!("/{fixture}/{n}"), content)
        });
        sandbox.write(&format!("hars/{fixture}.har"), own(&entries.collect::<Vec<_>>()));
    }
    sandbox.run(["pack", "hars/b.har"]).expect(0);
    fs::remove_file(sandbox.join("hars/b.har")).unwrap();
    fs::remove_dir_all(sandbox.join("hars/b")).unwrap();
}

/// Starts a replay that prunes both fixtures when it ends.
fn pruning(sandbox: &Sandbox) -> Server {
    let server = sandbox.start(["replay", "--prune"]);
    assert_eq!(get(&server, "/a/0").as_deref(), Some("replay; entry=hars/a.har#0"));
    assert_eq!(get(&server, "/b/0").as_deref(), Some("replay; entry=hars/b.zip#0"));
    server
}

fn both(sandbox: &Sandbox) -> [Vec<u8>; 2] {
    ["hars/a.har", "hars/b.zip"].map(|path| fs::read(sandbox.join(path)).unwrap())
}

/// The progress of pruning, computed from the temporary, new and removed files in its folder.
fn progress(sandbox: &Sandbox, old: &[Vec<u8>; 2]) -> usize {
    let names = |path: &str| -> Vec<String> {
        let items = fs::read_dir(sandbox.join(path)).into_iter().flatten().flatten();
        items.map(|item| item.file_name().to_string_lossy().into_owned()).collect()
    };
    let waiting = names("hars").iter().filter(|name| name.ends_with(".part")).count();
    let [is_new_a, is_new_b] = [0, 1].map(|n| usize::from(both(sandbox)[n] != old[n]));
    let gone = MANY - names("hars/a").len();
    10 * is_new_a + 10 * gone + 10 * MANY * is_new_b + waiting
}

/// Sends SIGKILL at certain points of progress.
#[test]
fn killed_prune_leaves_each_fixture_in_its_old_or_new_state() {
    let whole = Sandbox::new();
    many(&whole);
    let old = both(&whole);
    pruning(&whole).stop().expect(0);
    let new = both(&whole);
    assert!(old[0] != new[0] && old[1] != new[1]);

    let all = 10 * MANY;
    let mut half_done = 0;
    for until in [0, 1, 2, 3, 10, 20, 100, 200, all / 2, all, all + 1, all + 2, 2 * all] {
        let sandbox = Sandbox::new();
        many(&sandbox);
        let server = pruning(&sandbox);
        server.signal(Signal::SIGINT);
        server.stderr().event("pruning", |_| true);
        while progress(&sandbox, &old) < until && !server.stderr().text().contains("\"event\":\"verdict\"") {
            std::thread::yield_now();
        }
        server.signal(Signal::SIGKILL);
        server.wait();

        let now = both(&sandbox);
        let is_whole = |n: usize| now[n] == old[n] || now[n] == new[n];
        assert!(is_whole(0) && is_whole(1), "{until}: neither the old nor the new state");
        half_done += usize::from(now != old && progress(&sandbox, &old) < 2 * all);
        // Unreferenced payloads may be left. No payload is missing, and the next run succeeds.
        let checked = sandbox.run(["check"]).stdout;
        let mut problems = checked.lines().filter(|line| line.contains("problem: "));
        assert!(problems.all(|line| line.contains("no entry refers to the payload")), "{until}: {checked}");
        pruning(&sandbox).stop().expect(0);
        assert!(both(&sandbox) == new, "{until}");
        assert!(!names(&sandbox.join("hars")).iter().any(|name| name.contains(".lock")), "{until}");
    }
    assert!(half_done > 0, "no run was killed during pruning");
}
