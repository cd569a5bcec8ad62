//! The data in the page of `--report x.html`. `scripts/report` tests the page in a browser.

use serde_json::Value;

use crate::cli::CliSandbox;
use crate::support::origin::{Origin, OriginResponse};
use crate::support::sandbox::Sandbox;

/// The data of a page.
fn data(page: &str) -> Value {
    let (_, data) = page.split_once("id=\"data\">").unwrap();
    serde_json::from_str(data.split_once("</script>").unwrap().0).unwrap()
}

fn curl(urls: &[&str]) -> Vec<String> {
    ["curl", "-sS"].iter().chain(urls).map(ToString::to_string).collect()
}

fn text<'a>(data: &'a Value, payload: &Value) -> &'a str {
    data["payloads"][usize::try_from(payload.as_u64().unwrap()).unwrap()]["text"].as_str().unwrap()
}

#[test]
fn recording_page_links_each_exchange_to_its_entry() {
    let (sandbox, counter) = (Sandbox::new(), std::sync::atomic::AtomicU64::new(0));
    let origin = Origin::answering(move |request| {
        request.path.starts_with("/count").then(|| {
            let n = counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let headers = vec![("content-type", "text/plain".to_owned())];
            OriginResponse { status: 200, headers, body: format!("answer {n}").into(), ..OriginResponse::default() }
        })
    });
    let record = |urls: &[&str]| {
        let args = ["record", "-o", "hars/api.har", "--report", "run.html", "--report", "run.json"].map(str::to_owned);
        let cmd = ["--".to_owned()].into_iter().chain(curl(urls));
        sandbox.run(args.into_iter().chain(origin.args()).chain(cmd)).expect(0);
        (data(&sandbox.read("run.html")), sandbox.har("run.json"))
    };
    let became = |report: &Value| -> Vec<(String, u64)> {
        let requests = report["requests"].as_array().unwrap().iter();
        requests.map(|seen| (seen["change"].as_str().unwrap().to_owned(), seen["entry"].as_u64().unwrap())).collect()
    };
    let list = |list: &[(&str, u64)]| list.iter().map(|(word, at)| ((*word).to_owned(), *at)).collect::<Vec<_>>();

    let (_, first) = record(&["http://api.test/api/json", "http://api.test/count"]);
    assert_eq!(became(&first), list(&[("added", 0), ("added", 1)]));
    let (page, second) = record(&["http://api.test/count", "http://api.test/api/text", "http://api.test/api/json"]);
    assert_eq!(became(&second), list(&[("changed", 1), ("added", 2), ("unchanged", 0)]));
    let entries = page["entries"].as_array().unwrap();
    let changed = entries.iter().find(|entry| entry["entry"] == 1).unwrap();
    assert_eq!(text(&page, &changed["received"]), "answer 1", "the new response");
}

#[test]
fn miss_has_its_payload_and_the_nearest_entry_with_its_request() {
    let stage = CliSandbox::new();
    stage.record(&[], &["curl", "-sS", "https://api.test/api/json", "-d", r#"{"id":1}"#]).expect(0);
    let cmd = ["curl", "-sS", "https://api.test/api/json", "-d", r#"{"id":"</script>"}"#];
    stage.replay(&["--report", "run.html"], &cmd).expect(1);
    let page = stage.sandbox.read("run.html");
    assert!(!page.contains(r#"{"id":"</script>"}"#));
    let data = data(&page);
    let (request, finding) = (&data["requests"][0], &data["findings"][0]);
    assert_eq!(request["outcome"], "miss");
    assert_eq!(text(&data, &request["payload"]), r#"{"id":"</script>"}"#);
    assert_eq!(finding["requests"], serde_json::json!([request["id"]]), "the finding names the request");
    let near = &finding["near"][0];
    assert_eq!(data["names"][0], near["fixture"]);
    let entry = data["entries"].as_array().unwrap().iter().find(|entry| entry["entry"] == near["entry"]).unwrap();
    assert_eq!(text(&data, &entry["sent"]), r#"{"id":1}"#);
}

#[test]
fn exchange_added_by_replay_has_its_payload() {
    let stage = CliSandbox::new();
    stage.record(&[], &["curl", "-sS", "https://api.test/api/json"]).expect(0);
    let options = ["replay", "hars/recorded.har", "--on-miss", "record", "--report", "run.html"].map(str::to_owned);
    let both = curl(&["https://api.test/api/text", "https://api.test/api/json"]);
    let cmd = ["--".to_owned()].into_iter().chain(both);
    stage.sandbox.run(options.into_iter().chain(stage.origin.args()).chain(cmd)).expect(0);
    let data = data(&stage.sandbox.read("run.html"));
    let entry = |at: u64| data["entries"].as_array().unwrap().iter().find(|entry| entry["entry"] == at).unwrap();
    assert_eq!(entry(0)["url"], "https://api.test/api/json");
    assert_eq!(entry(1)["url"], "https://api.test/api/text");
    assert!(!text(&data, &entry(1)["received"]).is_empty());
}

#[test]
fn pruned_entry_is_shown_with_its_payload() {
    let stage = CliSandbox::new();
    stage.record(&[], &["curl", "-sS", "https://api.test/api/json", "https://api.test/api/text"]).expect(0);
    stage.replay(&["--prune", "--report", "run.html"], &["curl", "-sS", "https://api.test/api/json"]).expect(0);
    let data = data(&stage.sandbox.read("run.html"));
    assert_eq!((&data["fixtures"][0]["pruned"], &data["fixtures"][0]["unusedEntries"]), (&1.into(), &vec![1].into()));
    let entries = data["entries"].as_array().unwrap();
    let pruned = entries.iter().find(|entry| entry["entry"] == 1).unwrap();
    assert_eq!(pruned["url"], "https://api.test/api/text");
    assert!(!text(&data, &pruned["received"]).is_empty());
}

#[test]
fn run_without_requests_lists_unused_entries() {
    let stage = CliSandbox::new();
    stage.record(&[], &["curl", "-sS", "https://api.test/api/json"]).expect(0);
    stage.replay(&["--report", "run.html"], &["true"]).expect(1);
    let data = data(&stage.sandbox.read("run.html"));
    assert_eq!(data["requests"], serde_json::json!([]));
    assert_eq!(data["entries"][0]["url"], "https://api.test/api/json");
    assert_eq!(data["fixtures"][0]["unusedEntries"], serde_json::json!([0]));
}

#[test]
fn page_contains_no_secret() {
    let stage = CliSandbox::new();
    let secrets = ["hunter2-hunter2", "s3cr3t-of-the-query", "t0ken-of-the-header"];
    let url = format!("https://api.test/api/json?access_token={}", secrets[1]);
    let header = format!("authorization: Bearer {}", secrets[2]);
    let form = |password: &str| format!("user=ada&password={password}");
    let ask = |path: &str| -> Vec<String> {
        let mut cmd = curl(&[&url.replace("/api/json", path)]);
        cmd.extend(["-H".into(), header.clone(), "-d".into(), form(secrets[0])]);
        cmd
    };
    let run = |command: &str, path: &str, status| {
        let (cmd, report) = (ask(path), format!("{command}.html"));
        let cmd: Vec<&str> = cmd.iter().map(String::as_str).collect();
        stage.sandbox.run(stage.args(command, &["--report", &report], &cmd)).expect(status);
        let page = stage.sandbox.read(&report);
        for secret in secrets {
            assert!(!page.contains(secret), "{secret} is in the page of a {command}");
        }
        assert!(page.contains("REDACTED-"), "{command}");
    };
    run("record", "/api/json", 0);
    run("replay", "/api/json", 0);
    run("replay", "/api/other", 1);
}

#[test]
fn page_filters_by_status_and_method_and_copies_commands() {
    let stage = CliSandbox::new();
    stage.record(&[], &["curl", "-sS", "https://api.test/api/json"]).expect(0);
    stage.replay(&["--report", "run.html"], &["curl", "-sS", "https://api.test/api/json"]).expect(0);
    let page = stage.sandbox.read("run.html");
    for part in ["/^(status|method):(.+)$/", ".status-3xx {", "onlyOrigin", "'as curl'", "'as harproxy explain'"] {
        assert!(page.contains(part), "{part}");
    }
    let modes = page.lines().find(|line| line.starts_with(".modes {")).unwrap();
    assert!(modes.contains("white-space: nowrap"), "{modes}");
}
