//! `kill -9` while a command writes a fixture: afterwards the fixture is the old one or the new one, and repeating the
//! command succeeds.
//!
//! With `strace`, the command is killed at system calls that change files: at every one with `HARPROXY_KILLS=200`, else
//! at a random choice. Without it, the kills are spread over the run time.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use harproxy_har::Fixture;
use nix::sys::signal::Signal;
use serde_json::json;

use super::random::{Random, print_note, seed_and_kills};
use crate::fixtures::{entry, named, own, tree};
use crate::support::client::Proto;
use crate::support::origin::{Origin, OriginResponse};
use crate::support::sandbox::{Sandbox, code};

/// System calls that change files.
const CALLS: &str = "rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,write,ftruncate,fsync,fdatasync,syncfs,\
                     fchmod,copy_file_range,flock";

/// The time of a kill.
#[derive(Clone, Debug)]
enum Moment {
    /// The n-th call of this name.
    Call(String, usize),
    /// This long after the start.
    After(Duration),
}

/// A command that writes a fixture.
struct Case {
    args: &'static [&'static str],
    /// The fixture that it writes.
    target: &'static str,
    /// The exit status of a repetition after the command had done its work.
    again: i32,
    prepare: fn(&Sandbox),
}

type Files = BTreeMap<String, Vec<u8>>;

fn files(sandbox: &Sandbox) -> Files {
    let named = tree(&sandbox.join("hars")).into_iter();
    named.filter(|(name, _)| !name.ends_with(".journal") && !name.ends_with(".held")).collect()
}

/// The fixture and its payloads; `None` if it does not exist.
fn state(sandbox: &Sandbox, target: &str) -> Option<Files> {
    let path = sandbox.join(target);
    let mut state = Files::from([(target.to_owned(), fs::read(&path).ok()?)]);
    let fixture = Fixture::open(&path).unwrap_or_else(|e| panic!("{target} is torn: {e}"));
    for (name, entry) in fixture.payload_names() {
        // Payloads of an archive are a part of it.
        let Some(path) = fixture.expected_payload_path(&name) else { continue };
        let bytes = fs::read(path).unwrap_or_else(|e| panic!("{target}: the payload {name} of #{entry} is gone: {e}"));
        state.insert(name, bytes);
    }
    Some(state)
}

fn hidden_files(sandbox: &Sandbox) -> Vec<String> {
    files(sandbox).into_keys().filter(|name| name.starts_with('.')).collect()
}

fn has_strace() -> bool {
    static HAS: OnceLock<bool> = OnceLock::new();
    *HAS.get_or_init(|| {
        let tried = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).stderr(Stdio::null()).status();
        let has = tried.is_ok_and(|status| status.success());
        if !has {
            print_note("no strace here: the moments are spread over time");
        }
        has
    })
}

impl Case {
    /// The kill times of the command.
    fn moments(&self) -> Vec<Moment> {
        let sandbox = Sandbox::new();
        (self.prepare)(&sandbox);
        let harproxy = sandbox.command(self.args);
        if !has_strace() {
            let start = Instant::now();
            sandbox.run(self.args).expect(0);
            let all = start.elapsed() * 5 / 4;
            return (0..100).map(|part| Moment::After(all * part / 100)).collect();
        }
        let log = sandbox.join("calls");
        let mut traced = under_strace(harproxy, &["-o", log.to_str().unwrap(), "-e", &format!("trace={CALLS}")]);
        assert_eq!(code(traced.status().unwrap()), 0);
        let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
        let mut moments = Vec::new();
        for line in fs::read_to_string(log).unwrap().lines() {
            let Some((process, call)) = line.split_once(' ') else { continue };
            let Some((name, _)) = call.trim().split_once('(') else { continue };
            let count = counts.entry((process.to_owned(), name.to_owned())).or_default();
            *count += 1;
            moments.push(Moment::Call(name.to_owned(), *count));
        }
        moments
    }

    /// Runs the command and kills it at this moment. False if it ended before.
    fn kill_at(&self, sandbox: &Sandbox, moment: &Moment) -> bool {
        let harproxy = sandbox.command(self.args);
        let status = match moment {
            Moment::Call(name, n) => {
                let inject = format!("inject={name}:signal=KILL:when={n}");
                under_strace(harproxy, &["-o", "/dev/null", "-e", &format!("trace={name}"), "-e", &inject]).status()
            }
            Moment::After(time) => {
                let mut harproxy = harproxy;
                let mut child = harproxy.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
                let start = Instant::now();
                while start.elapsed() < *time {
                    std::hint::spin_loop();
                }
                let _ = child.kill();
                child.wait()
            }
        };
        code(status.unwrap()) == 128 + Signal::SIGKILL as i32
    }

    fn try_all(&self, most: usize) {
        let (seed, kills) = seed_and_kills(0);
        let whole = Sandbox::new();
        (self.prepare)(&whole);
        let old = state(&whole, self.target);
        whole.run(self.args).expect(0);
        let new = state(&whole, self.target);
        let end = files(&whole);
        let mut moments = self.moments();
        let all = moments.len();
        let mut dice = Random::of(seed);
        while kills < 200 && moments.len() > most {
            moments.swap_remove(usize::try_from(dice.below(moments.len() as u64)).unwrap());
        }
        let (mut killed, mut olds, mut news) = (0, 0, 0);
        for moment in &moments {
            let reported = format!("HARPROXY_SEED={seed}, {:?} at {moment:?}", self.args);
            let sandbox = Sandbox::new();
            (self.prepare)(&sandbox);
            killed += usize::from(self.kill_at(&sandbox, moment));
            let now = state(&sandbox, self.target);
            assert!(now == old || now == new, "{reported}: neither the old fixture nor the new one");
            let done = now == new && new != old;
            (olds, news) = (olds + usize::from(!done), news + usize::from(done));
            let again = sandbox.run(self.args);
            let status = if done && again.status != 0 { self.again } else { 0 };
            let again = again.expect(status);
            assert!(state(&sandbox, self.target) == new, "{reported}: run again, {again:?}");
            assert_eq!(hidden_files(&sandbox), [""; 0], "{reported}");
            let left: Vec<_> = fs::read_dir(sandbox.join("hars")).unwrap().flatten().map(|f| f.file_name()).collect();
            assert!(!left.iter().any(|name| name.to_string_lossy().starts_with('.')), "{reported}: {left:?}");
            // Other files are at most payloads that nothing refers to.
            let names: BTreeSet<String> = files(&sandbox).into_keys().collect();
            assert!(end.keys().all(|name| names.contains(name)), "{reported}: {names:?}");
        }
        let n = moments.len();
        print_note(&format!(
            "{:?}: {killed} kills at {n} of {all} moments: {olds} left the old fixture, {news} the new one",
            self.args
        ));
        assert!(killed > 0 || matches!(moments[0], Moment::After(_)), "{:?}", self.args);
    }
}

fn under_strace(harproxy: Command, options: &[&str]) -> Command {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq"]).args(options).arg("--").arg(harproxy.get_program()).args(harproxy.get_args());
    strace.current_dir(harproxy.get_current_dir().unwrap()).env_clear();
    strace.envs(harproxy.get_envs().filter_map(|(name, value)| Some((name, value?))));
    strace.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    strace
}

/// Writes a HAR of harproxy with an edited payload file, secrets, and no canonical layout.
fn write(sandbox: &Sandbox, name: &str) {
    let entries: Vec<_> = (0..8)
        .map(|n| {
            let text =
                format!("{{\n  \"from\": \"{name}\",\n  \"n\": {n},\n  \"password\": \"s3cret-{name}-{n}\"\n}}\n");
            let file = format!("{name}/{}", named(text.as_bytes(), "json"));
            let text = if n == 3 { text.replace("from", "edited") } else { text };
            sandbox.write(&format!("hars/{file}"), &text);
            let content = json!({"size": text.len(), "mimeType": "application/json", "_file": file});
            entry(
                &format!(
                    "/{}?token=s3cret-{name}-token",
                    if n < 3 { format!("both/{n}") } else { format!("{name}/{n}") }
                ),
                content,
            )
        })
        .collect();
    let har: serde_json::Value = serde_json::from_str(&own(&entries)).unwrap();
    sandbox.write(&format!("hars/{name}.har"), har.to_string());
}

fn write_two(sandbox: &Sandbox) {
    write(sandbox, "a");
    write(sandbox, "b");
}

fn packed(sandbox: &Sandbox) {
    write_two(sandbox);
    sandbox.run(["pack", "hars/a.har"]).expect(0);
}

/// Packs a fixture beside another one of the same name.
fn packed_over(sandbox: &Sandbox) {
    write_two(sandbox);
    sandbox.run(["pack", "hars/a.har", "-o", "hars/b.zip"]).expect(0);
    sandbox.run(["fmt", "hars/b.har"]).expect(0);
}

/// The files of a killed recording, over a finished one if `again`.
fn recorded(again: bool) -> Files {
    let version = std::sync::Arc::new(AtomicU64::new(1));
    let origin = Origin::answering({
        let version = version.clone();
        move |request| {
            let version = version.load(Ordering::SeqCst);
            let changes = if request.path.contains("changing") { version } else { 0 };
            Some(OriginResponse {
                status: 200,
                headers: vec![("content-type", "application/json".into())],
                body: format!("{{\"path\":\"{}\",\"version\":{changes}}}", request.path).into_bytes(),
                trailers: Vec::new(),
            })
        }
    });
    let sandbox = Sandbox::new();
    let record = |paths: &[&str]| {
        let server = sandbox.start(["record", "-o", "hars/a.har"].map(String::from).into_iter().chain(origin.args()));
        let client = server.client(Proto::H1);
        paths.iter().for_each(|path| drop(client.get(&format!("http://api.test{path}"))));
        server
    };
    if again {
        record(&["/changing/1", "/same/1", "/changing/2", "/same/2", "/gone"]).stop().expect(0);
        version.store(2, Ordering::SeqCst);
    }
    let server = record(&["/changing/1", "/same/1", "/changing/2", "/same/2", "/new"]);
    server.signal(Signal::SIGKILL);
    server.wait();
    tree(&sandbox.join("hars")).into_iter().collect()
}

fn write_files(sandbox: &Sandbox, files: &Files) {
    files.iter().for_each(|(name, bytes)| drop(sandbox.write(&format!("hars/{name}"), bytes)));
}

fn killed_first(sandbox: &Sandbox) {
    static FILES: OnceLock<Files> = OnceLock::new();
    write_files(sandbox, FILES.get_or_init(|| recorded(false)));
}

fn killed_again(sandbox: &Sandbox) {
    static FILES: OnceLock<Files> = OnceLock::new();
    write_files(sandbox, FILES.get_or_init(|| recorded(true)));
}

/// A fixture and a held recording.
fn held(sandbox: &Sandbox) {
    static FILES: OnceLock<Files> = OnceLock::new();
    write_files(
        sandbox,
        FILES.get_or_init(|| {
            let (sandbox, origin) = (Sandbox::new(), Origin::start());
            for (path, status) in [("json", 0), ("text", 9)] {
                let cmd = format!("curl -sS http://api.test/api/{path}; exit {status}");
                let args = ["record", "-o", "hars/a.har"].map(String::from).into_iter().chain(origin.args());
                sandbox.run(args.chain(["--", "sh", "-c", &cmd].map(String::from))).expect(status);
            }
            assert!(sandbox.join("hars/.a.har.held").exists());
            tree(&sandbox.join("hars")).into_iter().collect()
        }),
    );
}

/// The number of kills of each command in a normal test run.
const MOST: usize = 7;

#[test]
fn fmt_killed_at_any_call_leaves_a_whole_fixture() {
    Case { args: &["fmt", "hars/a.har"], target: "hars/a.har", again: 0, prepare: write_two }.try_all(MOST);
    Case { args: &["fmt", "hars/a.zip"], target: "hars/a.zip", again: 0, prepare: packed }.try_all(MOST);
}

#[test]
fn merge_killed_at_any_call_leaves_a_whole_fixture() {
    let joined = &["merge", "hars/a.har", "hars/b.har"];
    Case { args: joined, target: "hars/a.har", again: 0, prepare: write_two }.try_all(MOST);
    let anew = &["merge", "-o", "hars/c.har", "hars/a.har", "hars/b.har"];
    Case { args: anew, target: "hars/c.har", again: 0, prepare: write_two }.try_all(MOST);
    let archive = &["merge", "-o", "hars/a.zip", "hars/a.zip", "hars/b.har"];
    Case { args: archive, target: "hars/a.zip", again: 0, prepare: packed }.try_all(MOST);
}

#[test]
fn pack_killed_at_any_call_leaves_a_whole_fixture() {
    Case { args: &["pack", "hars/a.har"], target: "hars/a.zip", again: 2, prepare: write_two }.try_all(MOST);
    let over = &["pack", "--force", "hars/b.har", "-o", "hars/a.zip"];
    Case { args: over, target: "hars/a.zip", again: 0, prepare: packed }.try_all(MOST);
}

#[test]
fn unpack_killed_at_any_call_leaves_a_whole_fixture() {
    let anew = &["unpack", "hars/a.zip", "-o", "hars/c.har"];
    Case { args: anew, target: "hars/c.har", again: 2, prepare: packed }.try_all(MOST);
    let over = &["unpack", "--force", "hars/b.zip"];
    Case { args: over, target: "hars/b.har", again: 0, prepare: packed_over }.try_all(MOST);
}

#[test]
fn redact_killed_at_any_call_leaves_a_whole_fixture() {
    Case { args: &["redact", "hars/a.har"], target: "hars/a.har", again: 0, prepare: write_two }.try_all(MOST);
    Case { args: &["redact", "hars/a.zip"], target: "hars/a.zip", again: 0, prepare: packed }.try_all(MOST);
}

#[test]
fn recover_killed_at_any_call_leaves_a_whole_fixture() {
    let recover = &["recover", "hars/a.har"];
    Case { args: recover, target: "hars/a.har", again: 0, prepare: killed_first }.try_all(MOST);
    Case { args: recover, target: "hars/a.har", again: 0, prepare: killed_again }.try_all(MOST);
    Case { args: recover, target: "hars/a.har", again: 0, prepare: held }.try_all(MOST);
    let discard = &["recover", "hars/a.har", "--discard"];
    for prepare in [killed_again, held] {
        Case { args: discard, target: "hars/a.har", again: 0, prepare }.try_all(MOST);
    }
}

/// The kill comes between the signal that ends the recording and the exit. The exchanges are in the fixture, or are
/// after
/// `recover`.
#[test]
fn record_killed_while_finishing_loses_no_exchange() {
    let (seed, kills) = seed_and_kills(8);
    let origin = Origin::start();
    let paths = ["/api/json", "/api/chunked", "/api/text", "/api/gzip", "/api/binary"];
    for round in 0..kills.min(60) {
        let reported = format!("HARPROXY_SEED={seed}, round {round}");
        let mut dice = Random::of(seed ^ (round << 32));
        let sandbox = Sandbox::new();
        if round % 2 == 1 {
            let first = sandbox.record(&origin);
            first.client(Proto::H1).get("http://api.test/api/login");
            first.stop().expect(0);
        }
        let server = sandbox.record(&origin);
        let client = server.client(Proto::H1);
        let seen: Vec<_> = paths.iter().map(|path| client.get(&format!("http://api.test{path}"))).collect();
        server.signal(Signal::SIGINT);
        let (start, time) = (Instant::now(), Duration::from_micros(dice.below(60_000)));
        while start.elapsed() < time {
            std::hint::spin_loop();
        }
        server.signal(Signal::SIGKILL);
        server.wait();
        sandbox.run(["recover", "hars/api.har"]).expect(0);
        assert_eq!(hidden_files(&sandbox), [""; 0], "{reported}");
        let replay = sandbox.start(["replay"]);
        let client = replay.client(Proto::H1);
        for (path, live) in paths.iter().zip(seen) {
            let got = client.get(&format!("http://api.test{path}"));
            assert_eq!((got.status, got.decoded()), (live.status, live.decoded()), "{reported}: {path}");
        }
        replay.stop().expect(0);
    }
}
