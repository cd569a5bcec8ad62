//! Regression tests, one for each defect.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use crate::cli::{CURL, CliSandbox};
use crate::support::client::Proto;
use crate::support::raw::RawOrigin;
use crate::support::sandbox::{Sandbox, finish};

/// The status line of the proxy's response to a GET.
fn status_line(proxy: SocketAddr, url: &str) -> String {
    let mut stream = TcpStream::connect(proxy).unwrap();
    write!(stream, "GET {url} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line
}

#[test]
fn recording_names_unreachable_upstreams_with_a_hint() {
    let sandbox = Sandbox::new();
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let map = format!("api.test:80={unused}");
    let urls = ["curl", "-s", "http://api.test/api/a", "http://api.test/api/b"];
    let args = ["record", "-o", "hars/api.har", "--map", &map, "--report", "report.json", "--"];
    let output = sandbox.run(args.iter().chain(&urls)).expect(1);
    let output = output.says("upstream-failed").says("(2 times)").says("nothing was recorded: 2 requests failed");
    assert!(output.stderr.contains("hint: check that api.test is up"), "{}", output.stderr);
    assert!(!output.stderr.contains("git add") && !output.stderr.contains('✓'), "{}", output.stderr);
    assert!(!sandbox.path().join("hars/api.har").exists());
    let report = sandbox.har("report.json");
    assert_eq!(report["findings"][0]["kind"], "upstream-failed", "{report}");
    assert_eq!(report["counts"]["failed"], 2, "{report}");
    let output = sandbox.run(args[..7].iter().chain(&["--record-failures", "--"]).chain(&urls)).expect(0);
    output.says("recorded as a failure").says("2 added");
}

#[test]
fn upstream_finding_says_that_the_recorded_response_stays_when_upstream_fails_later() {
    let sandbox = Sandbox::new();
    let origin = RawOrigin::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    let record = |to: SocketAddr, urls: &[&str]| {
        let map = format!("api.test:80={to}");
        let args = ["record", "-o", "hars/api.har", "--on-failure", "write", "--map", &map, "--", "curl", "-s"];
        sandbox.run(args.iter().chain(urls))
    };
    record(origin.addr, &["http://api.test/a"]).expect(0);
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = record(unused, &["http://api.test/a"]).expect(1);
    output.says("upstream-failed").says("nothing was recorded");
    assert_eq!(sandbox.har("hars/api.har")["log"]["entries"][0]["response"]["status"], 200);
}

#[test]
fn recording_names_truncated_responses() {
    let sandbox = Sandbox::new();
    let origin = RawOrigin::answering("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
    let recorder = sandbox.start(["record", "-o", "hars/api.har", "--map", &format!("api.test:80={}", origin.addr)]);
    let client = recorder.client(Proto::H1);
    let _ = client.try_send(crate::support::client::TestRequest::new("GET", "http://api.test/api/cut"));
    recorder.stop().expect(0).says("truncated").says("GET http://api.test/api/cut").says("after 9 bytes");
}

#[cfg(unix)]
#[test]
fn full_disk_while_recording_is_status_3() {
    let sandbox = Sandbox::new();
    let long = vec![b'x'; 2 << 20];
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", long.len());
    let origin = RawOrigin::answering([head.as_bytes(), &long].concat());
    let map = format!("api.test:80={}", origin.addr);
    let harproxy = sandbox.command(["--version"]).get_program().to_owned();
    // Files are limited to 1 MiB, so the journal cannot be completed.
    let mut command = std::process::Command::new("sh");
    command.args(["-c", r#"trap "" XFSZ; ulimit -f 2048; exec "$0" "$@""#]).arg(harproxy);
    command.args(["record", "-o", "hars/api.har", "--map", &map, "--report", "report.json", "--"]);
    command.args(["curl", "-s", "-o", "/dev/null", "-w", "%{size_download}", "http://api.test/api/long"]);
    command.current_dir(sandbox.path()).env("HOME", sandbox.path()).env("XDG_DATA_HOME", sandbox.join("data"));
    let output = finish(command.output().unwrap()).expect(3).says("lost").says(".api.har.journal");
    assert_eq!(output.stdout, long.len().to_string(), "the client gets the whole response");
    assert!(!sandbox.join("hars/api.har").exists());
    let report = sandbox.har("report.json");
    assert_eq!((&report["status"], &report["source"]), (&3.into(), &"harproxy".into()), "{report}");
}

#[test]
fn failed_cmd_is_reported_with_its_status() {
    let stage = CliSandbox::new();
    let failing = ["sh", "-c", "curl -sS https://api.test/api/json; exit 7"];
    stage.record(&[], &failing).expect(7).says("hars/recorded.har: 1 added; CMD ended with status 7");
    let again = stage.record(&[], &failing).expect(7);
    again.says("CMD ended with status 7: hars/recorded.har is unchanged; the recording is held in ");
}

#[test]
fn git_add_hint_of_an_archive_omits_a_folder_of_the_same_name() {
    let stage = CliSandbox::new();
    stage.sandbox.write("hars/api/unrelated.txt", "not a payload");
    let output = stage.record(&["-o", "hars/api.zip"], CURL).expect(0).says("git add hars/api.zip\n");
    assert!(!output.stderr.contains("git add hars/api.zip hars/api"), "{}", output.stderr);
}

#[test]
fn empty_reason_phrase_is_replayed_empty() {
    let sandbox = Sandbox::new();
    for line in ["HTTP/1.1 200 \r\n", "HTTP/1.1 599 \r\n", "HTTP/1.1 404 Nope\r\n"] {
        let origin = RawOrigin::answering(format!("{line}Content-Length: 2\r\nConnection: close\r\n\r\nok"));
        let map = format!("api.test:80={}", origin.addr);
        let recorder =
            sandbox.start(["record", "-o", "hars/api.har", "--update", "replace", "--map", &map, "-g", "**/api/**"]);
        assert_eq!(status_line(recorder.proxy(), "http://api.test/api/x"), line);
        recorder.stop().expect(0);
        let replay = sandbox.start(["replay", "hars/api.har"]);
        assert_eq!(status_line(replay.proxy(), "http://api.test/api/x"), line);
        replay.stop().expect(0);
    }
}

#[test]
fn no_local_refusal_is_sent_inside_tls() {
    let stage = CliSandbox::new();
    stage.record(&["-g", "https://api.test/**"], CURL).expect(0);
    let page = format!("https://localhost:{}/page", stage.origin.https.port());
    let output = stage.replay(&["--no-local"], &["curl", "-sS", &page]).expect(1);
    assert!(output.stdout.contains("--no-local"), "{output:?}");
    output.says(&format!("out-of-scope: GET {page}"));
}

#[test]
fn near_entry_without_differences_is_named_without_a_colon() {
    let stage = CliSandbox::new();
    stage.record(&[], CURL).expect(0);
    let twice = [CURL, &CURL[2..]].concat();
    let output = stage.replay(&["--repeat", "once"], &twice).expect(1).says("nearest: hars/recorded.har#0");
    assert!(output.stderr.lines().all(|line| !line.trim_end().ends_with("(line 15):")), "{}", output.stderr);
}

#[test]
fn hint_for_a_missing_folder_is_a_command_that_works() {
    let sandbox = Sandbox::new();
    sandbox.run(["replay", "fixtures/", "--", "true"]).expect(2).says("-o fixtures/recorded.har -- CMD");
}

#[test]
fn recording_names_payloads_cut_by_max_body() {
    let stage = CliSandbox::new();
    let output = stage.record(&["--max-body", "5"], CURL).expect(0).says("! truncated: ");
    assert!(output.stderr.contains("--max-body (5 bytes)"), "{}", output.stderr);
}

#[test]
fn missing_payload_file_is_named_once() {
    let stage = CliSandbox::new();
    stage.record(&[], CURL).expect(0);
    std::fs::remove_dir_all(stage.sandbox.join("hars/recorded")).unwrap();
    let output = stage.replay(&[], CURL).expect(1).says("was it committed?");
    let line = output.stderr.lines().find(|line| line.contains("can't be read")).unwrap();
    assert_eq!(line.matches("hars/recorded.har#0").count(), 1, "{line}");
}
