//! The lines of a fixture, its migration from layout 1, JSON on one line, names of payload files, and large files.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::origin::{Origin, OriginResponse};
use crate::support::sandbox::{Output, Sandbox};

const MIGRATED: &str = "migrated to layout 2";

/// Answers each path with its payload and media type.
fn origin(answers: impl Fn(&str) -> Option<(&'static str, Vec<u8>)> + Send + Sync + 'static) -> Origin {
    Origin::answering(move |request| {
        let (media_type, body) = answers(&request.path)?;
        Some(OriginResponse {
            status: 200,
            headers: vec![("content-type", media_type.into())],
            body,
            ..Default::default()
        })
    })
}

fn record(sandbox: &Sandbox, origin: &Origin, cmd: &[&str]) -> Output {
    let words = ["record", "-o", "hars/api.har"].map(String::from).into_iter().chain(origin.args());
    sandbox.run(words.chain(["--".to_owned()]).chain(cmd.iter().map(|word| (*word).to_owned())))
}

/// Rewrites a fixture as harproxy did before layout 2.
fn write_in_layout_1(sandbox: &Sandbox) -> String {
    let mut har = sandbox.har("hars/api.har");
    let scope = har["log"]["_harproxy"]["scope"].take();
    har["log"]["_harproxy"] = json!({"format": 1, "scope": scope});
    let text = format!("{har:#}\n");
    sandbox.write("hars/api.har", &text);
    text
}

fn git(sandbox: &Sandbox, args: &[&str]) -> String {
    let output = Command::new("git").args(args).current_dir(sandbox.path()).output().unwrap();
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn ordinary_exchange_takes_about_thirty_lines() {
    let sandbox = Sandbox::new();
    let origin = Origin::start();
    record(&sandbox, &origin, &["curl", "-sS", "http://api.test/api/json?page=2"]).expect(0);
    let text = sandbox.read("hars/api.har");
    let entry: Vec<&str> =
        text.lines().skip_while(|line| *line != "      {").take_while(|line| *line != "    ]").collect();
    assert!((20..=32).contains(&entry.len()), "{} lines:\n{text}", entry.len());
    for line in [
        r#"            { "name": "host", "value": "api.test" },"#,
        r#"            { "name": "page", "value": "2" }"#,
        r#"          "cookies": [],"#,
        r#"        "cache": {},"#,
        r#"      "version": 2,"#,
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert!(text.contains("\n        \"timings\": { \"blocked\": "), "{text}");
    assert!(sandbox.har("hars/api.har")["log"]["_harproxy"].get("format").is_none());
    sandbox.run(["fmt", "--check"]).expect(0);
}

#[test]
fn recording_that_changes_nothing_leaves_a_fixture_of_layout_1_as_it_is() {
    let sandbox = Sandbox::new();
    let origin = origin(|_| Some(("application/json", br#"{"a":1}"#.to_vec())));
    let cmd = ["curl", "-sS", "http://api.test/a"];
    record(&sandbox, &origin, &cmd).expect(0);
    let before = write_in_layout_1(&sandbox);
    let output = record(&sandbox, &origin, &cmd).expect(0).says("1 unchanged, 0 changed, 0 added");
    assert!(!output.stderr.contains(MIGRATED), "{}", output.stderr);
    assert_eq!(sandbox.read("hars/api.har"), before);
}

#[test]
fn recording_that_changes_an_entry_migrates_the_file_and_says_so() {
    let sandbox = Sandbox::new();
    let cmd = |path: &str| ["curl".to_owned(), "-sS".to_owned(), format!("http://api.test{path}")];
    let run = |answer: &'static str, paths: &[&str]| {
        let origin = origin(move |_| Some(("application/json", answer.into())));
        let words: Vec<String> =
            cmd(paths[0]).into_iter().chain(paths[1..].iter().flat_map(|path| cmd(path).into_iter().skip(1))).collect();
        record(&sandbox, &origin, &words.iter().map(String::as_str).collect::<Vec<_>>()).expect(0)
    };
    run(r#"{"a":1}"#, &["/a", "/b"]);
    let canonical = sandbox.read("hars/api.har");
    let commented = canonical.replacen("\"cache\": {}", "\"cache\": {}, \"comment\": \"mine\"", 1);
    // A changed response, and a new entry.
    for (answer, path, says) in [(r#"{"a":2}"#, "/a", "1 changed, 0 added"), (r#"{"a":1}"#, "/c", "0 changed, 1 added")]
    {
        run(r#"{"a":1}"#, &["/a", "/b"]);
        sandbox.write("hars/api.har", &commented);
        write_in_layout_1(&sandbox);
        let output = run(answer, &[path]).says(says).says(MIGRATED).says("Next:").says("git add hars/api.har hars/api");
        assert_eq!(output.stderr.matches(MIGRATED).count(), 1, "{}", output.stderr);
        let text = sandbox.read("hars/api.har");
        assert!(
            text.contains("{ \"name\": \"host\", \"value\": \"api.test\" }") && text.contains("\"comment\": \"mine\"")
        );
        let check = sandbox.run(["fmt", "--check"]).expect(0);
        assert_eq!((check.stdout.as_str(), check.stderr.as_str()), ("", ""));
        let har = sandbox.har("hars/api.har");
        assert_eq!((&har["log"]["_harproxy"]["version"], har["log"]["_harproxy"].get("format")), (&json!(2), None));
        let output = run(answer, &[path]);
        assert!(!output.stderr.contains(MIGRATED), "{}", output.stderr);
        std::fs::remove_dir_all(sandbox.join("hars")).unwrap();
    }
}

#[test]
fn fmt_migrates_layout_1_and_checks_accept_it() {
    let sandbox = Sandbox::new();
    let origin = origin(|_| Some(("application/json", br#"{"a":1}"#.to_vec())));
    record(&sandbox, &origin, &["curl", "-sS", "http://api.test/a", "-d", "b=1"]).expect(0);
    let canonical = sandbox.read("hars/api.har");
    let old = write_in_layout_1(&sandbox);
    let check = sandbox.run(["fmt", "--check"]).expect(0).says("layout 1, which is accepted").says("`harproxy fmt`");
    assert_eq!(check.stdout, "");
    assert!(!sandbox.run(["check"]).expect(0).stdout.contains("warning"));
    let check = sandbox.run(["check", "-v"]).expect(0).stdout;
    assert!(check.contains("note: it has layout 1"), "{check}");
    assert_eq!(sandbox.read("hars/api.har"), old);
    assert_eq!(sandbox.run(["fmt"]).expect(0).says(MIGRATED).stdout, "hars/api.har\n");
    assert_eq!(sandbox.read("hars/api.har"), canonical);
    assert!(!sandbox.run(["check", "-v"]).expect(0).stdout.contains("layout"));
}

#[test]
fn redact_migrates_layout_1_and_names_git_add() {
    let sandbox = Sandbox::new();
    let origin = origin(|_| Some(("application/json", br#"{"password":"correct horse"}"#.to_vec())));
    record(&sandbox, &origin, &["curl", "-sS", "http://api.test/a"]).expect(0);
    let file =
        sandbox.har("hars/api.har")["log"]["entries"][0]["response"]["content"]["_file"].as_str().unwrap().to_owned();
    let file = format!("hars/{file}");
    let stored = sandbox.read(&file);
    assert!(!stored.contains("correct horse"), "{stored}");
    sandbox.write(&file, "{\n  \"password\": \"battery staple\"\n}\n");
    write_in_layout_1(&sandbox);
    sandbox.run(["redact"]).expect(0).says("1 value redacted").says(MIGRATED).says("git add hars/api.har hars/api");
    assert!(sandbox.read("hars/api.har").contains("\"version\": 2"));
    sandbox.run(["fmt", "--check"]).expect(0);
}

#[test]
fn fmt_names_git_add_after_it_renamed_a_payload() {
    let sandbox = Sandbox::new();
    let origin = origin(|_| Some(("text/plain", b"hello".to_vec())));
    record(&sandbox, &origin, &["curl", "-sS", "http://api.test/a"]).expect(0);
    assert!(!sandbox.run(["fmt"]).expect(0).stderr.contains("git add"));
    let file =
        sandbox.har("hars/api.har")["log"]["entries"][0]["response"]["content"]["_file"].as_str().unwrap().to_owned();
    sandbox.write(&format!("hars/{file}"), "edited");
    sandbox.run(["fmt"]).expect(0).says("was edited and is now").says("Next:").says("git add hars/api.har hars/api");
}

#[test]
fn json_on_one_line_is_stored_indented_and_replayed_byte_for_byte() {
    // As Python's `json.dumps` writes it, and variants of it.
    let payloads: [(&str, &str, Value); 7] = [
        ("/spaced", r#"{"a": [1.0, 1e400, {}, []], "b": {"c": "x, y: \u00e9\ud83d"}, "a": null}"#, json!("spaced")),
        ("/list", r#"[{"id": 12345678901234567890123}, -0]"#, json!("spaced")),
        ("/compact", r#"{"a":[1.0,{}],"b":"x, y: z"}"#, json!(true)),
        ("/newline", "{\"a\": 1, \"b\": 2}\n", Value::Null),
        ("/mixed", r#"{"a": 1,"b": 2}"#, Value::Null),
        ("/padded", r#"{ "a": 1 }"#, Value::Null),
        ("/empty", "{}", Value::Null),
    ];
    let answers: Vec<(&str, Vec<u8>)> =
        payloads.iter().map(|(path, body, _)| (*path, body.as_bytes().to_vec())).collect();
    let origin = origin(move |path| {
        let (_, body) = answers.iter().find(|(known, _)| *known == path)?;
        Some(("application/json", body.clone()))
    });
    let sandbox = Sandbox::new();
    let script: Vec<String> =
        payloads.iter().map(|(path, ..)| format!("curl -sS http://api.test{path} -o .{path}")).collect();
    let script = script.join(" && ");
    record(&sandbox, &origin, &["sh", "-c", &script]).expect(0);
    let har = sandbox.har("hars/api.har");
    for (at, (path, body, mark)) in payloads.iter().enumerate() {
        let content = &har["log"]["entries"][at]["response"]["content"];
        assert_eq!(content.get("_compact").unwrap_or(&Value::Null), mark, "{path}");
        assert_eq!(content["size"], body.len(), "{path}");
        let stored = sandbox.read(&format!("hars/{}", content["_file"].as_str().unwrap()));
        assert_eq!(stored != *body, !mark.is_null(), "{path}: {stored}");
        std::fs::remove_file(sandbox.join(&path[1..])).unwrap();
    }
    assert!(!sandbox.run(["check", "-v"]).expect(0).stdout.contains("size"));
    sandbox.run(["replay", "--", "sh", "-c", &script]).expect(0);
    for (path, body, _) in payloads {
        assert_eq!(sandbox.read(&path[1..]), body, "{path}");
    }
    let again = record(&sandbox, &origin, &["sh", "-c", &script]).expect(0);
    again.says("7 unchanged, 0 changed, 0 added");
}

#[test]
fn changed_value_of_spaced_json_changes_one_line_of_the_payload() {
    let sandbox = Sandbox::new();
    let run = |body: &'static str| {
        let origin = origin(move |_| Some(("application/json", body.into())));
        record(&sandbox, &origin, &["curl", "-sS", "http://api.test/a"]).expect(0);
        let content = sandbox.har("hars/api.har")["log"]["entries"][0]["response"]["content"].clone();
        (content["_compact"].clone(), sandbox.read(&format!("hars/{}", content["_file"].as_str().unwrap())))
    };
    assert_eq!(
        run(r#"{"a": 1, "b": [2]}"#),
        (json!("spaced"), "{\n  \"a\": 1,\n  \"b\": [\n    2\n  ]\n}\n".to_owned())
    );
    assert_eq!(
        run(r#"{"a": 7, "b": [2]}"#),
        (json!("spaced"), "{\n  \"a\": 7,\n  \"b\": [\n    2\n  ]\n}\n".to_owned())
    );
    // The server now writes no spaces.
    assert_eq!(run(r#"{"a":7,"b":[2]}"#).0, json!(true));
    sandbox.run(["fmt", "--check"]).expect(0);
}

#[test]
fn text_payloads_are_txt_files_whatever_their_type() {
    let sandbox = Sandbox::new();
    let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    let origin = origin(move |path| {
        Some(match path {
            "/aws" => ("application/x-amz-json-1.0", br#"{"TableNames":[]}"#.to_vec()),
            "/unknown" => ("application/x-own; v=1", "Grüße\n".into()),
            "/octets" => ("application/octet-stream", b"a,b\r\n".to_vec()),
            "/png" => ("image/png", png.clone()),
            "/grpc" => ("application/grpc", b"\0\0\0\0\x05hello".to_vec()),
            _ => ("application/x-own", vec![0xff, 0xfe, 0x00]),
        })
    });
    let script = "for path in aws unknown octets png grpc binary; do curl -sS http://api.test/$path -o $path; done; \
        curl -sS http://api.test/aws -H 'content-type: application/x-amz-json-1.0' -d '{\"TableName\": \"t\"}' -o sent";
    record(&sandbox, &origin, &["sh", "-c", script]).expect(0);
    let har = sandbox.har("hars/api.har");
    let entries = har["log"]["entries"].as_array().unwrap();
    let ending = |body: &Value| body["_file"].as_str().unwrap().rsplit_once('.').unwrap().1.to_owned();
    let endings: Vec<String> = entries.iter().map(|entry| ending(&entry["response"]["content"])).collect();
    assert_eq!(endings, ["txt", "txt", "txt", "png", "bin", "bin", "txt"]);
    assert_eq!(ending(&entries[6]["request"]["postData"]), "txt");
    sandbox.run(["replay", "--", "sh", "-c", script]).expect(0);
    assert_eq!(sandbox.read("unknown"), "Grüße\n");
}

#[test]
fn merge_driver_accepts_branches_in_different_layouts() {
    let sandbox = Sandbox::new();
    git(&sandbox, &["init", "-q", "-b", "main"]);
    git(&sandbox, &["config", "user.name", "Ada"]);
    git(&sandbox, &["config", "user.email", "ada@example.test"]);
    let commit = |name: &str| {
        git(&sandbox, &["add", "-A"]);
        git(&sandbox, &["commit", "-qm", name]);
    };
    let run = |answer: &'static str, path: &str| {
        let origin = origin(move |_| Some(("application/json", answer.into())));
        record(&sandbox, &origin, &["curl", "-sS", &format!("http://api.test{path}")]).expect(0);
    };
    run(r#"{"a":1}"#, "/a");
    run(r#"{"a":1}"#, "/b");
    write_in_layout_1(&sandbox);
    commit("base");
    git(&sandbox, &["checkout", "-qb", "new"]);
    run(r#"{"a":2}"#, "/a");
    commit("layout 2");
    git(&sandbox, &["checkout", "-q", "main"]);
    run(r#"{"a":3}"#, "/c");
    write_in_layout_1(&sandbox);
    commit("layout 1");
    for (ours, theirs) in [("main", "new"), ("new", "main")] {
        for (file, revision) in [("base.har", "main~1"), ("ours.har", ours), ("theirs.har", theirs)] {
            sandbox.write(file, git(&sandbox, &["show", &format!("{revision}:hars/api.har")]));
        }
        let words = ["merge", "--driver", "base.har", "ours.har", "theirs.har", "hars/api.har"];
        let output = sandbox.run(words).expect(0);
        assert_eq!(output.stderr.contains(MIGRATED), ours == "main", "{}", output.stderr);
        let merged = sandbox.har("ours.har");
        let entries = merged["log"]["entries"].as_array().unwrap();
        let urls: Vec<&str> = entries.iter().map(|entry| entry["request"]["url"].as_str().unwrap()).collect();
        assert_eq!(urls, ["http://api.test/a", "http://api.test/b", "http://api.test/c"]);
        let new: Value = serde_json::from_str(&git(&sandbox, &["show", "new:hars/api.har"])).unwrap();
        assert_eq!(entries[0]["response"]["content"], new["log"]["entries"][0]["response"]["content"]);
        assert_eq!(
            (&merged["log"]["_harproxy"]["version"], merged["log"]["_harproxy"].get("format")),
            (&json!(2), None)
        );
        assert_eq!(sandbox.read("ours.har").matches("{ \"name\": \"host\"").count(), 3);
    }
}

#[test]
fn recording_warns_before_git_add_of_a_file_over_50_mb() {
    let sandbox = Sandbox::new();
    let origin = origin(|path| (path == "/large").then(|| ("application/octet-stream", vec![0xfe; 51_000_000])));
    let output = record(&sandbox, &origin, &["curl", "-sS", "http://api.test/large", "-o", "/dev/null"]).expect(0);
    let output = output.says("has 51 MB").says(".bin").says("Git LFS").says("--max-body").says("refuses 100 MB");
    assert!(output.stderr.find("has 51 MB") < output.stderr.find("git add"), "{}", output.stderr);
    let small = Sandbox::new();
    let output = record(&small, &origin, &["curl", "-sS", "http://api.test/api/json"]).expect(0);
    assert!(!output.stderr.contains("Git LFS"), "{}", output.stderr);
}
