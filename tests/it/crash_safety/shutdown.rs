//! Ends of a recording: a signal, a second signal, a closed terminal, a killed parent. A long response and an event
//! stream are in progress each time and are stored as truncated.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::cli::CliSandbox;
use crate::support::client::{Client, Proto};
use crate::support::raw::RawOrigin;
use crate::support::sandbox::{CapturedOutput, Sandbox, code};

const FILE: &str = "hars/a.har";
const EVENT: &str = "data: first\n\n";
const PART: &str = "the beginning";

/// A sandbox with two origins whose responses never end.
struct EndlessSetup {
    stage: CliSandbox,
    events: RawOrigin,
    long: RawOrigin,
}

/// Answers with the beginning of a response, then waits until the connection closes.
fn endless(head: &'static str, body: &'static str) -> RawOrigin {
    RawOrigin::start(move |_, stream| {
        let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{body}").as_bytes());
        let _ = stream.read(&mut [0]);
    })
}

impl EndlessSetup {
    fn new() -> Self {
        let events = endless("Content-Type: text/event-stream", EVENT);
        let long = endless("Content-Type: text/plain\r\nContent-Length: 1000000", PART);
        EndlessSetup { stage: CliSandbox::new(), events, long }
    }

    fn options(&self, grace: &str) -> Vec<String> {
        let map = |host: &str, addr: SocketAddr| ["--map".to_owned(), format!("{host}:80={addr}")];
        let mut options = ["-o", FILE, "--grace", grace].map(String::from).to_vec();
        options.extend(map("events.test", self.events.addr).into_iter().chain(map("long.test", self.long.addr)));
        options
    }

    fn args(&self, grace: &str, cmd: &[&str]) -> Vec<String> {
        let options = self.options(grace);
        self.stage.args("record", &options.iter().map(String::as_str).collect::<Vec<_>>(), cmd)
    }

    /// Starts one exchange that ends, and two that last as long as their connections.
    fn start_exchanges(&self, proxy: SocketAddr) -> [TcpStream; 2] {
        let got = Client::new(proxy, String::new(), Proto::H1).get("http://api.test/api/json");
        assert_eq!(got.status, 200);
        [("events.test", EVENT), ("long.test", PART)].map(|(host, begins)| {
            let mut stream = TcpStream::connect(proxy).unwrap();
            write!(stream, "GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
            let (mut seen, mut piece) = (Vec::new(), [0; 4096]);
            while memchr::memmem::find(&seen, begins.as_bytes()).is_none() {
                let n = stream.read(&mut piece).unwrap();
                assert!(n > 0, "{host}: {}", String::from_utf8_lossy(&seen));
                seen.extend_from_slice(&piece[..n]);
            }
            stream
        })
    }

    /// Checks that the fixture holds one whole exchange and two truncated ones.
    #[track_caller]
    fn assert_stored(&self) {
        self.has(PART);
    }

    #[track_caller]
    fn has(&self, part: &str) {
        let har = self.stage.sandbox.har(FILE);
        let entries = har["log"]["entries"].as_array().unwrap();
        let said = |host: &str| -> (String, bool) {
            let entry = entries.iter().find(|entry| entry["request"]["url"].as_str().unwrap().contains(host));
            let content = &entry.unwrap_or_else(|| panic!("{host} is lost: {har:#}"))["response"]["content"];
            let text = match content["_file"].as_str() {
                Some(file) => self.stage.sandbox.read(&format!("hars/{file}")),
                None => content["text"].as_str().unwrap_or_default().to_owned(),
            };
            (text, content.get("_truncated").is_some_and(|cut| !cut.is_null()))
        };
        assert!(said("api.test").0.contains("Ada") && !said("api.test").1);
        assert_eq!(said("events.test"), (EVENT.to_owned(), true));
        assert_eq!(said("long.test"), (part.to_owned(), true));
        assert_eq!(entries.len(), 3);
    }

    #[track_caller]
    fn recover_and_assert_stored(&self) {
        assert!(!self.stage.sandbox.join(FILE).exists());
        self.stage.sandbox.run(["recover", FILE]).expect(0).says("recovered 3 exchanges").says("2 of them cut off");
        // A collected payload is not journalled before it is complete.
        self.has("");
    }
}

/// Whether the signal is ignored, as SIGHUP is under nohup. Programs that the tests start inherit that.
fn is_ignored(signal: Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    mask & (1 << (signal as i32 - 1)) != 0
}

#[test]
fn first_signal_without_cmd_finishes_and_truncates_exchanges_in_progress() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        if is_ignored(signal) {
            continue;
        }
        let setup = EndlessSetup::new();
        let server = setup.stage.sandbox.start(setup.args("50ms", &[]));
        let in_flight = setup.start_exchanges(server.proxy());
        server.signal(signal);
        server.wait().expect(0).says("truncated");
        drop(in_flight);
        setup.assert_stored();
    }
}

#[test]
fn second_signal_without_cmd_ends_at_once_and_keeps_the_journal() {
    for (first, second, status) in [
        (Signal::SIGINT, Signal::SIGTERM, 143),
        (Signal::SIGTERM, Signal::SIGINT, 130),
        (Signal::SIGTERM, Signal::SIGHUP, 129),
    ] {
        if is_ignored(second) {
            continue;
        }
        let setup = EndlessSetup::new();
        let server = setup.stage.sandbox.start(setup.args("1h", &[]));
        let in_flight = setup.start_exchanges(server.proxy());
        server.signal(first);
        // Pending signals have no order. The first one is handled when the port is closed.
        while TcpStream::connect(server.proxy()).is_ok() {
            std::thread::yield_now();
        }
        server.signal(second);
        server.wait().expect(status).says("harproxy recover hars/a.har");
        drop(in_flight);
        setup.recover_and_assert_stored();
    }
}

/// harproxy with CMD, in its own session on its own terminal.
struct TerminalRun {
    child: Child,
    terminal: File,
    output: CapturedOutput,
}

/// Starts harproxy as a session leader on a pseudo-terminal. Returns the other side of it.
fn on_a_terminal(sandbox: &Sandbox, args: Vec<String>) -> (Child, File) {
    // Programs started meanwhile would inherit the descriptors of `openpty` and keep the terminal open.
    let master = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let mut options = File::options();
    options.read(true).write(true).custom_flags(OFlag::O_NOCTTY.bits());
    let theirs = options.open(ptsname_r(&master).unwrap()).unwrap();
    let harproxy = sandbox.command(args);
    let slave = || Stdio::from(theirs.try_clone().unwrap());
    let mut command = Command::new("setsid");
    command.arg("--ctty").arg("--wait").arg(harproxy.get_program()).args(harproxy.get_args());
    command.current_dir(sandbox.path()).env_clear();
    command.envs(harproxy.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let child = command.stdin(slave()).stdout(slave()).stderr(slave()).spawn().unwrap();
    (child, File::from(OwnedFd::from(master)))
}

impl TerminalRun {
    fn start(sandbox: &Sandbox, args: Vec<String>) -> Self {
        let (child, terminal) = on_a_terminal(sandbox, args);
        let (output, _) = CapturedOutput::read_from(terminal.try_clone().unwrap());
        TerminalRun { child, terminal, output }
    }

    /// The proxy address that CMD prints.
    fn proxy(&self) -> SocketAddr {
        self.output.wait_for("proxy", |text| {
            let line = text.split("proxy=http://").nth(1)?.split_once('\n')?.0;
            line.trim().trim_end_matches('/').parse().ok()
        })
    }
}

const TELL: &str = "echo proxy=$HARPROXY_RUN_PROXY; ";

/// A script that logs each signal and ends at the signal `ends`.
fn signal_log_script(ends: &str) -> String {
    format!(
        "for s in INT TERM HUP; do trap \"echo $s >>signals\" $s; done; trap 'echo {ends} >>signals; exit 3' {ends}; \
         {TELL} while :; do read -r line <fifo; done"
    )
}

fn fifo(sandbox: &Sandbox) {
    assert!(Command::new("mkfifo").arg(sandbox.join("fifo")).status().unwrap().success());
}

#[test]
fn ctrl_c_in_a_terminal_reaches_cmd_once() {
    let setup = EndlessSetup::new();
    fifo(&setup.stage.sandbox);
    let cmd = signal_log_script("INT");
    let mut run = TerminalRun::start(&setup.stage.sandbox, setup.args("50ms", &["sh", "-c", &cmd]));
    let in_flight = setup.start_exchanges(run.proxy());
    run.terminal.write_all(b"\x03").unwrap();
    assert_eq!(code(run.child.wait().unwrap()), 3, "{}", run.output.text());
    drop(in_flight);
    assert_eq!(setup.stage.sandbox.read("signals"), "INT\n");
    setup.assert_stored();
}

#[test]
fn closed_terminal_ends_cmd_and_finishes_the_recording() {
    if is_ignored(Signal::SIGHUP) {
        eprintln!("not tested: SIGHUP is ignored, as under nohup");
        return;
    }
    let setup = EndlessSetup::new();
    let cmd = format!("{TELL} exec sleep 600");
    let (mut child, terminal) = on_a_terminal(&setup.stage.sandbox, setup.args("50ms", &["sh", "-c", &cmd]));
    let mut terminal = BufReader::new(terminal);
    let proxy = loop {
        let mut line = String::new();
        terminal.read_line(&mut line).unwrap();
        if let Some(proxy) = line.trim().strip_prefix("proxy=http://") {
            break proxy.trim_end_matches('/').parse().unwrap();
        }
    };
    let in_flight = setup.start_exchanges(proxy);
    // The other side is closed: the kernel sends SIGHUP, and writes to the terminal fail.
    drop(terminal);
    assert_eq!(code(child.wait().unwrap()), 129);
    drop(in_flight);
    setup.assert_stored();
}

#[test]
fn sigterm_is_forwarded_to_cmd_and_its_status_returned() {
    let setup = EndlessSetup::new();
    fifo(&setup.stage.sandbox);
    for (cmd, status) in [(signal_log_script("TERM"), 3), (format!("{TELL} exec sleep 600"), 143)] {
        let _ = fs::remove_dir_all(setup.stage.sandbox.join("hars"));
        let mut run = PipedRun::start(&setup, "50ms", &cmd);
        let in_flight = setup.start_exchanges(run.proxy);
        run.signal(Signal::SIGTERM);
        assert_eq!(code(run.child.wait().unwrap()), status, "{}", run.output.text());
        drop(in_flight);
        setup.assert_stored();
    }
    assert_eq!(setup.stage.sandbox.read("signals"), "TERM\n");
}

#[test]
fn second_signal_kills_cmd_and_keeps_the_journal() {
    let setup = EndlessSetup::new();
    fifo(&setup.stage.sandbox);
    let cmd = format!("trap 'echo told' TERM; trap '' HUP INT; {TELL} while :; do read -r line <fifo; done");
    let mut run = PipedRun::start(&setup, "1h", &cmd);
    let in_flight = setup.start_exchanges(run.proxy);
    run.signal(Signal::SIGTERM);
    run.out.wait_for("word of CMD", |text| text.contains("told").then_some(()));
    let (second, status) = if is_ignored(Signal::SIGHUP) { (Signal::SIGINT, 130) } else { (Signal::SIGHUP, 129) };
    run.signal(second);
    assert_eq!(code(run.child.wait().unwrap()), status, "{}", run.output.text());
    drop(in_flight);
    setup.recover_and_assert_stored();
}

/// A harproxy with CMD, without a terminal.
struct PipedRun {
    child: Child,
    proxy: SocketAddr,
    out: CapturedOutput,
    output: CapturedOutput,
}

impl PipedRun {
    fn start(setup: &EndlessSetup, grace: &str, cmd: &str) -> Self {
        let mut command = setup.stage.sandbox.command(setup.args(grace, &["sh", "-c", cmd]));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (output, _) = CapturedOutput::read_from(child.stderr.take().unwrap());
        let (out, _) = CapturedOutput::read_from(child.stdout.take().unwrap());
        let proxy = out.wait_for("proxy", |text| {
            let line = text.split("proxy=http://").nth(1)?.split_once('\n')?.0;
            line.trim_end_matches('/').parse().ok()
        });
        PipedRun { child, proxy, out, output }
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }
}

/// The parent was killed and closed the pipes. The recording goes on, and a signal finishes it.
#[test]
fn recording_finishes_when_its_parent_was_killed() {
    let setup = EndlessSetup::new();
    let args = setup.args("50ms", &[]);
    let harproxy = setup
        .stage
        .sandbox
        .command(args.into_iter().chain(["--listen", "127.0.0.1:0", "--log-format", "json"].map(String::from)));
    let mut shell = Command::new("sh");
    shell.args(["-c", r#""$0" "$@" & wait"#]).arg(harproxy.get_program()).args(harproxy.get_args());
    shell.current_dir(setup.stage.sandbox.path()).env_clear();
    shell.envs(harproxy.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut shell = shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(shell.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let ready: Value = serde_json::from_str(&line).unwrap();
    let pid = Pid::from_raw(i32::try_from(ready["pid"].as_u64().unwrap()).unwrap());
    shell.kill().unwrap();
    shell.wait().unwrap();
    drop(shell);
    let proxy = ready["proxy"].as_str().unwrap().trim_start_matches("http://").trim_end_matches('/').parse().unwrap();
    let in_flight = setup.start_exchanges(proxy);
    kill(pid, Signal::SIGTERM).unwrap();
    let patience = Instant::now() + Duration::from_secs(120);
    while setup.stage.sandbox.join("hars/.a.har.journal").exists() {
        assert!(Instant::now() < patience, "it did not end");
        std::thread::yield_now();
    }
    drop(in_flight);
    setup.assert_stored();
}
