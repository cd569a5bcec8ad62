//! The exit statuses of the documented table.

use std::io::Read;

use nix::sys::signal::Signal;

use super::{CURL, CliSandbox};
use crate::bad_input::assert_plain_error;
use crate::support::client::{Proto, TestRequest};
use crate::support::raw::RawOrigin;
use crate::support::sandbox::{Output, Sandbox};

#[test]
fn status_is_0_on_success() {
    let stage = CliSandbox::new();
    let recorded = stage.record(&[], CURL).expect(0);
    assert!(recorded.stdout.contains("Ada"), "{recorded:?}");
    assert!(stage.sandbox.join("hars/recorded.har").exists());
    let replayed = stage.replay(&[], CURL).expect(0);
    assert_eq!(replayed.stdout, recorded.stdout);
    stage.replay(&["hars/recorded.har"], CURL).expect(0).says("replay passed");
}

#[test]
fn status_is_1_with_advice_when_nothing_was_recorded() {
    let stage = CliSandbox::new();
    let output = stage.record(&[], &["true"]).expect(1).says("nothing was recorded");
    assert!(!stage.sandbox.join("hars/recorded.har").exists());
    assert!(output.stderr.contains("proxy"), "{}", output.stderr);
    let globbed = stage.record(&["--glob", "**/nowhere/**"], CURL).expect(1);
    assert!(globbed.stderr.contains("**/nowhere/**"), "the globs are to blame: {}", globbed.stderr);
    globbed.says("the one request was not in scope, or not answered");
}

#[test]
fn status_is_1_when_the_verdict_fails_and_cmd_exits_0() {
    let stage = CliSandbox::new();
    stage.record(&[], CURL).expect(0);
    stage.replay(&[], &["curl", "-sS", "https://api.test/api/other"]).expect(1).says("api/other");
    stage.replay(&[], &["true"]).expect(1).says("no-traffic");
    stage.replay(&["--fail-on", "none"], &["true"]).expect(0);
}

#[test]
fn status_is_2_when_the_command_line_is_invalid() {
    let sandbox = Sandbox::new();
    for (args, words) in [
        (&["replay", "hars/none.har", "--", "sh", "-c", "echo ran"][..], "hars/none.har"),
        (&["record", "--listen", "0.0.0.0:0", "--", "sh", "-c", "echo ran"], "--auth USER:PASS"),
        (&["record", "--tls", "--", "sh", "-c", "echo ran"], "--reverse"),
        (&["record", "--reverse", "A=http://a", "--reverse", "A=http://b", "--", "echo", "ran"], "named `A`"),
        (&["record", "--upstream-ca", "none.pem", "--", "sh", "-c", "echo ran"], "none.pem"),
        (&["replay", "--fail-on", "mis", "--", "sh", "-c", "echo ran"], "`mis`"),
        (&["record", "echo", "ran"], "`harproxy record -- echo …`"),
        (&["record", "--glob", "https://api.test/{a,{b}}", "--", "true"], "glob"),
        (&["record", "--reverse", "not a url", "--", "true"], "--reverse"),
        (&["record", "--map", "nonsense", "--", "true"], "--map"),
        (&["record", "--listen", "0.0.0.0:0", "--", "true"], "--allow-remote"),
        (&["record", "--no-such-option"], "--no-such-option"),
        (&["record", "--content", "sideways", "--", "true"], "attach"),
        (&["nonsense"], "nonsense"),
        (&[], "Usage"),
    ] {
        let output = sandbox.run(args).expect(2);
        assert!(output.stderr.contains(words), "{args:?}: {}", output.stderr);
        assert_eq!(output.stdout, "", "{args:?}");
    }
    let output = crate::support::sandbox::finish(
        sandbox.command(["record", "--", "true"]).env("HARPROXY_LOG", "harproxy=loud").output().unwrap(),
    );
    output.expect(2).says("HARPROXY_LOG");
}

#[test]
fn status_is_2_with_a_hint_when_double_dash_is_missing() {
    Sandbox::new().run(["replay", "true"]).expect(2).says("harproxy replay -- true");
}

#[test]
fn status_is_3_when_the_port_is_in_use() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    for option in ["-p", "--listen"] {
        let output = Sandbox::new().run(["record", option, &addr, "--", "true"]).expect(3);
        assert_plain_error(output).says(&addr).says("-p 0");
    }
}

#[test]
fn status_is_3_when_a_report_or_the_ready_file_cannot_be_written() {
    let stage = CliSandbox::new();
    stage.sandbox.write("file", "");
    stage.record(&["--ready-file", "file/ready.json"], CURL).expect(3).says("file/ready.json");
    stage.record(&["--report", "file/report.json"], CURL).expect(3).says("file/report.json");
    stage.record(&["--report", "file/report.json"], &["sh", "-c", "exit 5"]).expect(5);
}

#[test]
fn status_is_3_when_the_ca_key_is_readable_by_others() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = Sandbox::new();
    sandbox.run(["ca", "path"]).expect(0);
    let key = std::fs::read_dir(sandbox.join("data/harproxy"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.to_string_lossy().contains("key"))
        .unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    sandbox.run(["record", "--", "true"]).expect(3).says("chmod 600");
}

#[test]
fn status_is_that_of_cmd_when_not_0() {
    let stage = CliSandbox::new();
    stage.record(&[], CURL).expect(0);
    stage.replay(&[], &["sh", "-c", "exit 42"]).expect(42).says("no-traffic");
    stage.record(&["-o", "hars/b.har"], &["sh", "-c", "exit 43"]).expect(43);
    stage.replay(&[], &["sh", "-c", "kill -TERM $$"]).expect(143);
    stage.replay(&[], &["sh", "-c", "kill -KILL $$"]).expect(137);
}

#[test]
fn failing_cmd_keeps_an_existing_fixture_and_writes_a_first_one() {
    let stage = CliSandbox::new();
    let failing = &["sh", "-c", "curl -sS https://api.test/api/text; exit 9"];
    stage.record(&["-o", "hars/a.har"], failing).expect(9).says("git add hars/a.har");
    let before = stage.sandbox.read("hars/a.har");
    stage.record(&["-o", "hars/a.har"], failing).expect(9).says("hars/a.har is unchanged");
    assert_eq!(stage.sandbox.read("hars/a.har"), before);
}

#[test]
fn status_is_127_or_126_when_cmd_cannot_be_started() {
    let sandbox = Sandbox::new();
    sandbox.write("hars/a.har", r#"{"log":{"version":"1.2","creator":{"name":"x","version":"1"},"entries":[]}}"#);
    sandbox.write("script", "#!/bin/sh\n");
    for (args, status, hint) in [
        (["replay", "--report", "r.json", "--", "no-such-command"], 127, "PATH"),
        (["replay", "--report", "r.json", "--", "./script"], 126, "chmod +x ./script"),
    ] {
        sandbox.run(args).expect(status).says(hint);
        assert_plain_error(sandbox.run(["record", "--", args[4]]).expect(status)).says(args[4]);
        let report = sandbox.har("r.json");
        assert_eq!((&report["status"], &report["source"]), (&status.into(), &"harproxy".into()));
    }
}

#[test]
fn report_has_the_source_of_the_status() {
    let stage = CliSandbox::new();
    for (options, cmd, status, source) in [
        (&["--report", "r.json"][..], CURL, 0, "verdict"),
        (&["--report", "r.json", "-o", "hars/b.har"], &["true"][..], 1, "verdict"),
        (&["--report", "r.json"], &["sh", "-c", "exit 7"], 7, "cmd"),
    ] {
        stage.record(options, cmd).expect(status);
        let report = stage.sandbox.har("r.json");
        assert_eq!((&report["status"], &report["source"]), (&status.into(), &source.into()), "{cmd:?}");
        assert_eq!(report["mode"], "record");
    }
    stage.replay(&["--report", "a.json", "--report", "b/c.json"], &["true"]).expect(1);
    assert_eq!(stage.sandbox.har("a.json"), stage.sandbox.har("b/c.json"));
}

#[test]
fn signal_ends_a_run_without_cmd_with_the_status_of_the_verdict() {
    let stage = CliSandbox::new();
    for (signal, output) in [(Signal::SIGINT, "hars/int.har"), (Signal::SIGTERM, "hars/term.har")] {
        let recorder = stage.sandbox.start(stage.args("record", &["-o", output], &[]));
        recorder.client(Proto::H1).get("https://api.test/api/json");
        recorder.signal(signal);
        recorder.wait().expect(0);
        assert!(stage.sandbox.join(output).exists());
    }
    let idle = stage.sandbox.start(stage.args("replay", &["hars/int.har"], &[]));
    idle.stop().expect(0);
    let missing = stage.sandbox.start(stage.args("replay", &["hars/int.har"], &[]));
    missing.client(Proto::H1).get("https://api.test/api/other");
    missing.signal(Signal::SIGTERM);
    missing.wait().expect(1);
}

#[test]
fn sigterm_ends_cmd_and_writes_the_fixture() {
    let stage = CliSandbox::new();
    let script =
        "curl -sS https://api.test/api/json > /dev/null; trap 'exit 3' TERM; echo up; while :; do sleep 0.05; done";
    let mut command = stage.sandbox.command(stage.args("record", &["-o", "hars/a.har"], &["sh", "-c", script]));
    let mut child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
    assert_eq!(line, "up\n");
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(pid, Signal::SIGTERM).unwrap();
    crate::support::sandbox::finish(child.wait_with_output().unwrap()).expect(3);
    assert_eq!(stage.sandbox.har("hars/a.har")["log"]["entries"].as_array().unwrap().len(), 1);
}

/// Records one exchange into `hars/a.har`, and sends two signals during a second one that has no response.
pub fn record_until_second_signal(stage: &CliSandbox, options: &[&str]) -> Output {
    let (request, is_asked) = std::sync::mpsc::channel();
    let silent = RawOrigin::start(move |_, stream| {
        let _ = request.send(());
        // Waits until the client closes the connection.
        let _ = stream.read(&mut [0]);
    });
    let map = format!("silent.test:80={}", silent.addr);
    let options = [&["-o", "hars/a.har", "--grace", "1h", "--map", &map], options].concat();
    let recorder = stage.sandbox.start(stage.args("record", &options, &[]));
    let client = recorder.client(Proto::H1);
    client.get("https://api.test/api/json");
    let waiting = std::thread::spawn(move || client.try_send(TestRequest::new("GET", "http://silent.test/")));
    is_asked.recv().unwrap();
    recorder.signal(Signal::SIGINT);
    recorder.signal(Signal::SIGTERM);
    let output = recorder.wait();
    assert!(waiting.join().unwrap().is_err());
    assert!(!stage.sandbox.join("hars/a.har").exists());
    output
}

#[test]
fn second_signal_ends_at_once_and_keeps_the_journal() {
    let stage = CliSandbox::new();
    let output = record_until_second_signal(&stage, &[]);
    assert!([130, 143].contains(&output.status), "{output:?}");
    let text = &["curl", "-sS", "https://api.test/api/text"];
    stage.record(&["-o", "hars/a.har"], text).expect(0).says("recovered 1 exchange");
    assert_eq!(stage.sandbox.har("hars/a.har")["log"]["entries"].as_array().unwrap().len(), 2);
}
