//! Reports of the real binary: all formats for one run, runs that end early, CI systems, and combined reports.

use std::collections::BTreeSet;
use std::process::Stdio;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

#[path = "../../src/verdict/report/tests/json_schema.rs"]
pub mod json_schema;

use crate::cli::status::record_until_second_signal;
use crate::cli::{CURL, CliSandbox};
use crate::support::raw::RawOrigin;
use crate::support::sandbox::{Output, Sandbox, finish};

/// A recorded request, a miss that is repeated, and a request out of scope.
const MIXED: &[&str] = &[
    "sh",
    "-c",
    "for path in json other?page=3 other?page=3 text; do curl -sS -o /dev/null https://api.test/api/$path; done; \
     curl -sS -o /dev/null https://elsewhere.test/",
];

/// A fixture `hars/api.har` with `/api/json`, `/api/text` and `/api/empty`.
fn recorded() -> CliSandbox {
    let stage = CliSandbox::new();
    let script = "for path in json text empty; do curl -sS -o /dev/null https://api.test/api/$path; done";
    stage.record(&["-o", "hars/api.har", "-g", "https://api.test/**"], &["sh", "-c", script]).expect(0);
    stage
}

/// Asserts that a report is valid under the documented schema.
fn fits_the_schema(report: &Value) {
    let schema: Value = serde_json::from_str(include_str!("../../docs/reference/report.schema.json")).unwrap();
    assert_eq!(json_schema::find_violation(&schema, &schema, report, ""), None, "{report:#}");
}

fn cases(xml: &str, tag: &str) -> Vec<String> {
    let document = roxmltree::Document::parse(xml).unwrap();
    let cases = document.descendants().filter(|node| node.tag_name().name() == "testcase");
    let having = cases.filter(|case| case.children().any(|child| child.tag_name().name() == tag));
    having.map(|case| case.attribute("name").unwrap().to_owned()).collect()
}

#[test]
fn all_report_formats_describe_the_same_run() {
    let stage = recorded();
    let forms = ["out/new/run.json", "out/run.xml", "out/run.md", "out/run.html"];
    let options: Vec<&str> = forms.iter().flat_map(|file| ["--report", *file]).collect();
    stage.replay(&options, MIXED).expect(1).says("2 misses, 1 request out of scope");

    let report = stage.sandbox.har("out/new/run.json");
    fits_the_schema(&report);
    assert_eq!(
        (&report["status"], &report["source"], &report["passed"]),
        (&json!(1), &json!("verdict"), &json!(false))
    );
    assert_eq!(report["command"].as_str().unwrap().split(' ').next(), Some("sh"));
    assert_eq!(report["fixtures"][0]["unusedEntries"], json!([2]));
    let outcomes: Vec<&Value> = report["requests"].as_array().unwrap().iter().map(|seen| &seen["outcome"]).collect();
    assert_eq!(outcomes, ["served", "miss", "miss", "served", "out-of-scope"]);
    let miss = report["findings"].as_array().unwrap().iter().find(|finding| finding["kind"] == "miss").unwrap();
    assert_eq!((&miss["times"], &miss["requests"]), (&json!(2), &json!([2, 3])));
    assert!(miss["near"][0]["differences"][0]["what"].is_string(), "{miss:#}");

    let xml = stage.sandbox.read("out/run.xml");
    let failures = cases(&xml, "failure");
    assert_eq!(failures, ["GET https://api.test/api/other", "GET https://elsewhere.test/"], "one case per endpoint");
    assert_eq!(cases(&xml, "skipped"), ["GET https://api.test/api/empty"]);
    assert_eq!(cases(&xml, "error"), [""; 0]);

    let markdown = stage.sandbox.read("out/run.md");
    assert!(markdown.starts_with("### ❌ replay failed: 2 misses, 1 request out of scope\n"), "{markdown}");
    assert!(markdown.contains("```diff\n") && markdown.contains("`hars/api.har#"), "{markdown}");
    assert!(stage.sandbox.read("out/run.html").to_lowercase().starts_with("<!doctype html"));
    assert_eq!(std::fs::read_dir(stage.sandbox.join("out")).unwrap().count(), 4, "no temporary file is left");
}

#[test]
fn recording_report_conforms_to_the_schema() {
    let stage = CliSandbox::new();
    stage.record(&["-o", "hars/a.har", "--report", "r.json"], CURL).expect(0);
    let report = stage.sandbox.har("r.json");
    fits_the_schema(&report);
    assert_eq!(report["requests"][0]["entry"], 0);
    stage.record(&["-o", "hars/b.har", "--report", "r.json"], &["true"]).expect(1);
    fits_the_schema(&stage.sandbox.har("r.json"));
}

/// Asserts the outcomes of the rows of a report, and that its counts agree with them.
fn has_outcomes(report: &Value, expected: &[(&str, Option<u16>)]) {
    let rows = report["requests"].as_array().unwrap();
    let outcomes: Vec<_> = rows.iter().map(|row| (row["outcome"].as_str().unwrap(), &row["status"])).collect();
    let expected: Vec<_> = expected.iter().map(|(outcome, status)| (*outcome, json!(status))).collect();
    assert_eq!(outcomes, expected.iter().map(|(outcome, status)| (*outcome, status)).collect::<Vec<_>>());
    assert_eq!(report["counts"]["requests"], rows.len());
    for outcome in ["recorded", "passed", "served", "refused"] {
        let of_outcome = expected.iter().filter(|(of, _)| *of == outcome);
        assert_eq!(report["counts"][outcome], of_outcome.count(), "{outcome}");
    }
}

#[test]
fn row_and_counts_agree_when_the_client_leaves_before_the_recorded_response() {
    let (stage, silent) = (CliSandbox::new(), RawOrigin::silent());
    let map = format!("slow.test:80={}", silent.addr);
    let script = "curl -sS -o /dev/null https://api.test/api/json; curl -s -m 0.3 http://slow.test/; true";
    stage.record(&["-o", "hars/a.har", "--report", "r.json", "--map", &map], &["sh", "-c", script]).expect(0);
    has_outcomes(&stage.sandbox.har("r.json"), &[("recorded", Some(200)), ("passed", None)]);
}

#[test]
fn row_and_counts_agree_when_the_client_leaves_during_the_latency() {
    let stage = recorded();
    let script = "curl -s -m 0.3 https://api.test/api/json; true";
    stage.replay(&["--report", "r.json", "--latency", "60000"], &["sh", "-c", script]).expect(0);
    has_outcomes(&stage.sandbox.har("r.json"), &[("refused", None)]);
}

#[test]
fn killed_or_unstarted_cmd_is_in_the_reports() {
    let stage = recorded();
    let all = ["--report", "r.json", "--report", "r.xml"];
    let killed = ["sh", "-c", "curl -sS -o /dev/null https://api.test/api/json; kill -KILL $$"];
    for (cmd, status, source, error) in [
        (&killed[..], 137, "cmd", "CMD ended with status 137 (signal 9)"),
        (&["no-such-command"], 127, "harproxy", "CMD could not be started: status 127"),
    ] {
        stage.replay(&all, cmd).expect(status);
        let report = stage.sandbox.har("r.json");
        fits_the_schema(&report);
        assert_eq!((&report["status"], &report["source"]), (&json!(status), &json!(source)));
        let xml = stage.sandbox.read("r.xml");
        assert_eq!(cases(&xml, "error").len(), 1, "{xml}");
        assert!(xml.contains(error), "{xml}");
    }
}

#[test]
fn terminated_harproxy_writes_reports_after_cmd_ended() {
    let stage = recorded();
    let script =
        "curl -sS -o /dev/null https://api.test/api/json; trap 'exit 3' TERM; echo up; while :; do sleep 0.05; done";
    let args = stage.args("replay", &["--report", "r.json"], &["sh", "-c", script]);
    let mut child = stage.sandbox.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(pid, Signal::SIGTERM).unwrap();
    finish(child.wait_with_output().unwrap()).expect(3);
    let report = stage.sandbox.har("r.json");
    assert_eq!((&report["source"], &report["counts"]["served"]), (&json!("cmd"), &json!(1)));
}

#[test]
fn second_signal_still_writes_the_reports() {
    let stage = CliSandbox::new();
    let output = record_until_second_signal(&stage, &["--report", "r.json", "--report", "r.html"]);
    let report = stage.sandbox.har("r.json");
    fits_the_schema(&report);
    assert_eq!((&report["status"], &report["source"]), (&json!(output.status), &json!("harproxy")));
    assert_eq!((&report["counts"]["recorded"], &report["requests"][0]["status"]), (&json!(1), &json!(200)));
    assert!(stage.sandbox.join("r.html").exists());
}

#[test]
fn unwritable_fixture_is_in_the_report() {
    let stage = CliSandbox::new();
    let script = "curl -sS -o /dev/null https://api.test/api/json; mv hars gone; touch hars";
    let options = ["-o", "hars/a.har", "--report", "r.json", "--report", "r.xml"];
    stage.record(&options, &["sh", "-c", script]).expect(3);
    let report = stage.sandbox.har("r.json");
    fits_the_schema(&report);
    assert_eq!(
        (&report["status"], &report["source"], &report["passed"]),
        (&json!(3), &json!("harproxy"), &json!(false))
    );
    assert_eq!(report["counts"]["recorded"], 1);
    let lost = report["findings"].as_array().unwrap().iter().find(|finding| finding["kind"] == "lost").unwrap();
    assert!(lost["explanation"].as_str().unwrap().contains("hars"), "{lost}");
    assert_eq!(cases(&stage.sandbox.read("r.xml"), "error").len(), 1);
}

#[test]
fn unwritable_report_is_a_finding_in_the_others() {
    let stage = recorded();
    stage.sandbox.write("file", "");
    let options = ["--report", "r.json", "--report", "file/r.xml", "--report", "r.md"];
    stage.replay(&options, CURL).expect(3).says("file/r.xml").says("replay passed");
    let report = stage.sandbox.har("r.json");
    assert_eq!(
        (&report["status"], &report["source"], &report["passed"]),
        (&json!(3), &json!("harproxy"), &json!(true))
    );
    assert!(stage.sandbox.read("r.md").contains("harproxy could not finish its work"));
    stage.replay(&options, &["sh", "-c", "exit 5"]).expect(5);
    assert_eq!(stage.sandbox.har("r.json")["source"], "cmd");
}

/// A replay of CMD with these environment variables.
fn replay_in_ci(stage: &CliSandbox, options: &[&str], cmd: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = stage.sandbox.command(stage.args("replay", options, cmd));
    finish(command.envs(variables.iter().copied()).output().unwrap())
}

#[test]
fn github_gets_annotations_with_lines_and_an_appended_summary() {
    let stage = recorded();
    let summary = stage.sandbox.write("summary.md", "before\n");
    let summary = summary.to_str().unwrap();
    let root = stage.sandbox.path().canonicalize().unwrap();
    let github =
        [("GITHUB_ACTIONS", "true"), ("GITHUB_WORKSPACE", root.to_str().unwrap()), ("GITHUB_STEP_SUMMARY", summary)];
    let said = replay_in_ci(&stage, &["./hars/api.har"], MIXED, &github).expect(1);
    assert_eq!(said.stdout, "", "standard output is CMD's");
    let errors: Vec<&str> = said.stderr.lines().filter(|line| line.starts_with("::error ")).collect();
    let [miss, out_of_scope] = errors[..] else { panic!("{}", said.stderr) };
    let at = miss.strip_prefix("::error file=hars/api.har,line=").unwrap_or_else(|| panic!("{miss}"));
    let line: usize = at.split(',').next().unwrap().parse().unwrap();
    let har = stage.sandbox.read("hars/api.har");
    assert_eq!(har.lines().nth(line - 1).map(str::trim), Some("{"), "the line begins an entry");
    assert!(at.contains(",title=harproxy%3A miss::GET https://api.test/api/other?page=3%0A"), "{miss}");
    assert!(out_of_scope.contains("https://elsewhere.test/"));
    assert!(said.stderr.contains("::warning file=hars/api.har,line="), "the unused entry: {}", said.stderr);
    let reported = stage.sandbox.read("summary.md");
    assert!(reported.starts_with("before\n### ❌ replay failed"), "{reported}");
    replay_in_ci(&stage, &[], CURL, &github).expect(0);
    assert!(stage.sandbox.read("summary.md").contains("### ✅ replay passed"), "the summary is appended");

    let json = replay_in_ci(&stage, &["--log-format", "json"], MIXED, &github).expect(1);
    for line in json.stderr.lines() {
        serde_json::from_str::<Value>(line).unwrap_or_else(|_| panic!("one object a line: {line}"));
    }
}

#[test]
fn unwritable_summary_is_a_warning() {
    let stage = recorded();
    let nowhere = [("GITHUB_ACTIONS", "true"), ("GITHUB_STEP_SUMMARY", "none/summary.md")];
    replay_in_ci(&stage, &[], CURL, &nowhere)
        .expect(0)
        .says("warning: the summary of this step cannot be added to none/summary.md");
    stage.sandbox.write("full.md", "x".repeat(1024 * 1024 - 10));
    let full = [("GITHUB_ACTIONS", "true"), ("GITHUB_STEP_SUMMARY", "full.md")];
    replay_in_ci(&stage, &[], CURL, &full).expect(0).says("full.md");
    assert_eq!(stage.sandbox.read("full.md").len(), 1024 * 1024 - 10);
    stage.sandbox.write("gl-code-quality-report.json/in-the-way", "");
    replay_in_ci(&stage, &[], CURL, &[("GITLAB_CI", "true")]).expect(0).says("warning: the code quality");
}

#[test]
fn gitlab_gets_code_quality_with_stable_fingerprints() {
    let stage = recorded();
    let root = stage.sandbox.path().canonicalize().unwrap();
    let gitlab = [("GITLAB_CI", "true"), ("CI_PROJECT_DIR", root.parent().unwrap().to_str().unwrap())];
    let issues = || -> Vec<Value> {
        replay_in_ci(&stage, &[], MIXED, &gitlab).expect(1);
        stage.sandbox.har("gl-code-quality-report.json").as_array().unwrap().clone()
    };
    let (first, second) = (issues(), issues());
    assert_eq!(first, second);
    let miss = first.iter().find(|issue| issue["check_name"] == "miss").unwrap();
    let folder = root.file_name().unwrap().to_str().unwrap();
    assert_eq!(miss["location"]["path"], format!("{folder}/hars/api.har"));
    assert!(miss["location"]["lines"]["begin"].as_u64().unwrap() > 1);
    assert_eq!(miss["severity"], "critical");
    let prints: BTreeSet<&str> = first.iter().map(|issue| issue["fingerprint"].as_str().unwrap()).collect();
    assert_eq!(prints.len(), first.len());
    replay_in_ci(&stage, &[], CURL, &[]).expect(0);
    std::fs::remove_file(stage.sandbox.join("gl-code-quality-report.json")).unwrap();
    replay_in_ci(&stage, &[], CURL, &[("GITLAB_CI", "false")]).expect(0);
    assert!(!stage.sandbox.join("gl-code-quality-report.json").exists());
}

/// Writes a report for each shard. Each shard requests some paths.
fn write_shard_reports(stage: &CliSandbox, shards: &[&str]) {
    for (n, paths) in shards.iter().enumerate() {
        let report = format!("shards/{n}.json");
        let script = format!("for path in {paths}; do curl -sS -o /dev/null https://api.test/api/$path; done");
        stage.replay(&["--report", &report], &["sh", "-c", &script]);
    }
}

#[test]
fn combined_shards_list_entries_that_no_shard_used() {
    let stage = recorded();
    write_shard_reports(&stage, &["json", "text", ""]);
    let combine = |more: &[&str]| {
        let shards = ["report", "--combine", "shards/0.json", "shards/1.json", "shards/2.json"];
        stage.sandbox.run(shards.iter().chain(more))
    };
    assert_eq!(stage.sandbox.har("shards/2.json")["findings"][0]["kind"], "no-traffic");
    let all = ["--report", "all.json", "--report", "all.xml", "--report", "all.md", "--report", "all.html"];
    let output = combine(&all).expect(0).says("2 requests served from hars/api.har").says("2 of 3 entries used");
    assert_eq!(output.stdout, "");
    assert!(!output.stderr.contains("no-traffic"), "{}", output.stderr);
    let report = stage.sandbox.har("all.json");
    fits_the_schema(&report);
    assert_eq!(report["fixtures"][0]["unusedEntries"], json!([2]));
    let shards: Vec<&Value> = report["requests"].as_array().unwrap().iter().map(|seen| &seen["shard"]).collect();
    assert_eq!(shards, ["shards/0.json", "shards/1.json"]);
    assert_eq!(report["shards"].as_array().unwrap().len(), 3);
    let again = combine(&["./shards/../shards/1.json", "--report", "all.json"]).expect(0);
    let again = again.says("./shards/../shards/1.json was passed twice and counts once");
    assert!(again.stderr.contains("2 requests served"), "{}", again.stderr);
    combine(&["--fail-on", "+unused"]).expect(1).says("1 unused entry");
    combine(&["--fail-on", "none"]).expect(0);
    combine(&["--fail-on", "mis"]).expect(2).says("`mis`");
    combine(&["--report", "all.pdf"]).expect(2);
    let silent = ["report", "--combine", "shards/2.json", "shards/2.json"];
    stage.sandbox.run(silent).expect(1).says("no request in scope was seen");
}

#[test]
fn failed_shard_fails_the_combined_report_and_is_named() {
    let stage = recorded();
    write_shard_reports(&stage, &["json"]);
    stage
        .replay(&["--report", "shards/red.json"], &["sh", "-c", "curl -sS https://api.test/api/text; exit 7"])
        .expect(7);
    let shards = ["report", "--combine", "shards/0.json", "shards/red.json", "--report", "all.json"];
    stage.sandbox.run(shards).expect(1).says("replay passed").says("shards/red.json: CMD ended with status 7");
    let report = stage.sandbox.har("all.json");
    assert_eq!((&report["status"], &report["source"], &report["passed"]), (&json!(1), &json!("cmd"), &json!(true)));
}

#[test]
fn invalid_reports_are_named_with_a_hint() {
    let sandbox = Sandbox::new();
    sandbox.write("newer.json", r#"{"schema":"harproxy.report/2"}"#);
    sandbox.write("other.json", r#"{"log":{}}"#);
    sandbox.write("cut.json", r#"{"schema":"harproxy.rep"#);
    sandbox.write("folder/x", "");
    for (file, words) in [
        ("newer.json", "`harproxy.report/2`"),
        ("other.json", "not a harproxy report"),
        ("cut.json", "invalid JSON"),
        ("none.json", "check the path"),
        ("shards/*.json", "no file matches it"),
        ("folder", "pass the JSON reports themselves"),
    ] {
        let output =
            sandbox.run(["report", "--combine", file, "--report", "all.json"]).expect(2).says(words).says(file);
        assert!(output.stderr.contains("hint: "), "{}", output.stderr);
        assert!(!sandbox.join("all.json").exists());
    }
    sandbox.run(["report"]).expect(2).says("--combine");
    let output = sandbox.run(["report", "shards/1.json"]).expect(2).says("`harproxy report --combine shards/1.json`");
    assert!(!output.stderr.contains("two dashes"), "{}", output.stderr);
}

#[test]
fn unwritable_report_changes_status_0_or_1_to_3() {
    let stage = recorded();
    stage.sandbox.write("file", "");
    let report = ["--report", "file/r.json", "--report", "r.json"];
    let passing = ["curl", "-sS", "-o", "got", "https://api.test/api/json"];
    stage.replay(&report, &passing).expect(3);
    stage.replay(&report, &["curl", "-sS", "-o", "got", "https://api.test/api/other"]).expect(3).says("1 miss");
    let written = stage.sandbox.har("r.json");
    assert_eq!((&written["status"], &written["source"]), (&json!(3), &json!("harproxy")));
    stage.replay(&report, &["sh", "-c", "exit 1"]).expect(1);
    stage.replay(&report, &["sh", "-c", "exit 7"]).expect(7);

    write_shard_reports(&stage, &["json", "other"]);
    stage.replay(&["--report", "shards/red.json"], &["sh", "-c", "exit 1"]).expect(1);
    for shard in ["shards/0.json", "shards/1.json", "shards/red.json"] {
        stage.sandbox.run(["report", "--combine", shard, "--report", "file/all.json"]).expect(3);
    }
}
