//! The list on a real terminal.

use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::two_entries;
use crate::cli::{CURL, CliSandbox};
use crate::secrets::{Secrets, assert_no_secret};
use crate::support::client::{Client, Proto};
use crate::support::sandbox::{CapturedOutput, Sandbox};

/// harproxy whose standard error is a terminal.
struct TerminalRun {
    child: Child,
    stdout: CapturedOutput,
    output: CapturedOutput,
    readers: Vec<JoinHandle<()>>,
    /// The terminal of the program, to resize it.
    terminal: Option<File>,
}

impl TerminalRun {
    fn start(mut command: Command, columns: u16) -> Self {
        let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(&size, None).unwrap();
        let (ours, theirs) = (File::from(pty.master), File::from(pty.slave));
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::from(theirs.try_clone().unwrap())).spawn().unwrap();
        drop(command);
        let (stdout, out) = CapturedOutput::read_from(child.stdout.take().unwrap());
        let (output, err) = CapturedOutput::read_from(ours);
        TerminalRun { child, stdout, output, readers: vec![out, err], terminal: Some(theirs) }
    }

    fn client(&self, sandbox: &Sandbox) -> Client {
        let line = self.stdout.wait_for("ready line", |text| text.strip_suffix('\n').map(str::to_owned));
        let address = line.split("http://").nth(1).unwrap().split_whitespace().next().unwrap();
        let ca = line.split("CA ").nth(1).unwrap().split(',').next().unwrap();
        let ca = std::fs::read_to_string(sandbox.join(ca)).unwrap();
        Client::new(address.trim_end_matches('/').parse().unwrap(), ca, Proto::H1)
    }

    fn resize(&self, columns: u16) {
        let terminal = self.terminal.as_ref().unwrap().try_clone().unwrap();
        let columns = columns.to_string();
        let set = Command::new("stty").args(["cols", &columns]).stdin(Stdio::from(terminal)).status().unwrap();
        assert!(set.success());
    }

    /// Waits for a line that contains `part`.
    #[track_caller]
    fn line(&self, part: &str) -> String {
        self.output.wait_for(part, |text| {
            let whole = text.rfind('\n').map_or("", |end| &text[..end]);
            whole.lines().find(|line| line.contains(part)).map(|line| line.trim_end().to_owned())
        })
    }

    fn stop(mut self, status: i32) -> String {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), Signal::SIGINT).unwrap();
        self.end(status)
    }

    fn end(&mut self, status: i32) -> String {
        let ended = self.child.wait().unwrap();
        self.terminal = None;
        self.readers.drain(..).for_each(|reader| reader.join().unwrap());
        let said = self.output.text().replace("\r\n", "\n");
        assert_eq!(ended.code(), Some(status), "{said}");
        said
    }
}

fn replay(options: &[&str], columns: u16) -> (Sandbox, TerminalRun) {
    let sandbox = Sandbox::new();
    sandbox.write("hars/api.har", two_entries("first"));
    let command = sandbox.command([&["replay", "-p", "0"], options].concat());
    let run = TerminalRun::start(command, columns);
    (sandbox, run)
}

#[test]
fn each_request_is_a_line_and_a_miss_has_the_nearest_entry_and_a_hint() {
    let (sandbox, run) = replay(&[], 120);
    let client = run.client(&sandbox);
    client.get("https://api.test/two");
    let line = run.line("/two");
    assert!(line.starts_with("GET  200 ") && line.contains(" https://api.test/two  hars/api.har#1"), "{line}");
    client.get("https://api.test/one?page=3");
    run.line("hint: ");
    client.get("https://other.test/");
    client.get("http://detectportal.firefox.com/success.txt");
    run.line("  noise");
    let output = run.stop(1);
    let lines: Vec<&str> = output.lines().collect();
    let miss = lines.iter().position(|line| line.ends_with("?page=3  miss")).unwrap_or_else(|| panic!("{output}"));
    assert!(lines[miss].starts_with("GET  501 "), "{output}");
    assert!(lines[miss + 1].starts_with("     nearest: hars/api.har#0"), "{output}");
    assert!(lines[miss + 2].starts_with("     hint: ") && lines[miss + 2].contains("--on-miss record"), "{output}");
    assert!(output.contains("https://other.test/  out-of-scope"), "{output}");
    assert!(!output.contains('\u{1b}'), "NO_COLOR: {output}");
    assert!(!output.contains("WARN"), "a finding is told once: {output}");
    let verdict = lines.iter().position(|line| line.contains("replay failed")).unwrap();
    assert!(verdict > miss + 2 && lines[verdict..].iter().all(|line| !line.starts_with("GET  ")), "{output}");
}

#[test]
fn recording_list_marks_recorded_and_forwarded_requests() {
    let stage = CliSandbox::new();
    let args = stage.args("record", &["-p", "0", "-g", "https://api.test/api/**"], &[]);
    let run = TerminalRun::start(stage.sandbox.command(args), 100);
    let client = run.client(&stage.sandbox);
    client.get("https://api.test/api/json");
    client.get("https://api.test/page");
    assert!(run.line("/api/json").ends_with("https://api.test/api/json  recorded"));
    assert!(run.line("/page").ends_with("https://api.test/page  passed"));
    run.stop(0);
}

#[test]
fn lines_fit_a_narrow_or_resized_terminal() {
    let (sandbox, run) = replay(&[], 40);
    let client = run.client(&sandbox);
    let long = "https://api.test/one/that/is/much/too/long/for/a/line/of/this/terminal?page=1&size=20";
    client.get(&format!("{long}&first"));
    run.line("&first");
    run.resize(100);
    client.get(&format!("{long}&again"));
    assert!(run.line("&again").chars().count() > 80);
    let output = run.stop(1);
    let reported = output.split('✗').next().unwrap();
    // The command for another terminal is not wrapped.
    let reported = reported.split_once("Ctrl-C").unwrap().1;
    let again = reported.lines().position(|line| line.contains("&again")).unwrap();
    for (at, line) in reported.lines().enumerate() {
        let most = if at < again { 40 } else { 100 };
        assert!(line.chars().count() <= most, "{line}: {output}");
    }
}

#[test]
fn repeated_request_is_shown_with_its_count() {
    let (sandbox, run) = replay(&["--repeat", "first"], 100);
    let client = run.client(&sandbox);
    for _ in 0..13 {
        client.get("https://api.test/two");
    }
    client.get("https://api.test/one?page=1");
    run.line("/one");
    let output = run.stop(0);
    let polls: Vec<&str> = output.lines().filter(|line| line.contains("/two")).collect();
    assert!(polls.len() < 13 && !polls[0].contains('×'), "{output}");
    let number = |line: &&str| line.rsplit_once('×').map_or(1, |(_, n)| n.trim().parse::<u32>().unwrap());
    assert_eq!(polls.iter().map(number).sum::<u32>(), 13, "{output}");
}

#[test]
fn color_follows_option_and_terminal() {
    let sandbox = Sandbox::new();
    sandbox.write("hars/api.har", two_entries("first"));
    let mut command = sandbox.command(["replay", "-p", "0"]);
    command.env_remove("NO_COLOR").env("TERM", "xterm");
    let run = TerminalRun::start(command, 100);
    run.client(&sandbox).get("https://api.test/none");
    assert!(run.line("/none").contains("\u{1b}["));
    run.stop(1);
}

#[test]
fn control_characters_of_a_url_are_not_printed() {
    let (sandbox, run) = replay(&[], 200);
    // An unknown method, and a path with terminal control characters.
    let client = run.client(&sandbox);
    client.get("https://api.test/%1b%5b2J/\u{202e}x");
    run.line("miss");
    let output = run.stop(1);
    assert!(!output.contains('\u{1b}') && !output.contains('\u{202e}'), "{output:?}");
}

#[test]
fn list_and_events_contain_no_secret() {
    let secrets = Secrets::of(7);
    let origin = secrets.origin();
    let (sandbox, fixture) = (Sandbox::new(), "hars/api.har");
    let all: &[&str] = &["-g", "https://api.test/**", "--progress", "always", "-p", "0"];
    let args = |begin: &[&str], more: &[String]| -> Vec<String> {
        begin.iter().chain(all).map(ToString::to_string).chain(more.iter().cloned()).collect()
    };
    let record = args(&["record", "-o", fixture], &origin.args());
    let served = args(&["replay", fixture], &[]);
    sandbox.write("none/api.har", two_entries("first"));
    let missed = args(&["replay", "none"], &[]);
    for (args, status, word) in [(record, 0, "recorded"), (served, 0, "hars/api.har#0"), (missed, 1, "miss")] {
        let run = TerminalRun::start(sandbox.command(&args), 250);
        secrets.visit(&run.client(&sandbox));
        let list = run.stop(status);
        assert!(list.contains(word), "{list}");
        assert_no_secret("the list", list.as_bytes(), &secrets);
        if word == "recorded" {
            continue;
        }
        let server = sandbox.start(&args[..args.len() - 2]);
        secrets.visit(&super::client(&server));
        let events = server.stop().expect(status).stderr;
        assert!(events.lines().filter(|line| line.contains(r#""event":"request""#)).count() >= 11, "{events}");
        assert_no_secret("the events", events.as_bytes(), &secrets);
    }
}

#[test]
fn list_is_off_with_cmd_unless_progress_is_always() {
    let stage = CliSandbox::new();
    stage.record(&[], CURL).expect(0);
    for (options, is_listed) in [(&[][..], false), (&["--progress", "always"], true)] {
        let mut run = TerminalRun::start(stage.sandbox.command(stage.args("replay", options, CURL)), 100);
        let output = run.end(0);
        assert_eq!(output.contains("GET  200"), is_listed, "{output}");
        assert!(output.contains("replay passed"), "{output}");
    }
    for options in [&["--progress", "never", "-p", "0"][..], &["-q", "-p", "0"]] {
        let run = TerminalRun::start(stage.sandbox.command(stage.args("replay", options, &[])), 100);
        run.client(&stage.sandbox).get("https://api.test/api/json");
        let output = run.stop(0);
        assert!(!output.contains("GET  200"), "{options:?}: {output}");
    }
}

#[test]
fn list_is_off_without_a_terminal_unless_progress_is_always() {
    let sandbox = Sandbox::new();
    sandbox.write("hars/api.har", two_entries("first"));
    for (options, is_listed) in [(&[][..], false), (&["--progress", "always"], true)] {
        let mut command = sandbox.command([&["replay", "-p", "0"], options].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (stdout, out) = CapturedOutput::read_from(child.stdout.take().unwrap());
        let (output, err) = CapturedOutput::read_from(child.stderr.take().unwrap());
        let mut run = TerminalRun { child, stdout, output, readers: vec![out, err], terminal: None };
        run.client(&sandbox).get("https://api.test/two");
        kill(Pid::from_raw(i32::try_from(run.child.id()).unwrap()), Signal::SIGINT).unwrap();
        let output = run.end(0);
        assert_eq!(output.contains("GET  200"), is_listed, "{output}");
    }
}
