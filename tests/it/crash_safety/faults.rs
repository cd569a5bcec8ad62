//! Faults around a recording: the client's traffic goes on, the run fails with the reason, and the old fixture and the
//! recording stay.

use std::fs;
use std::net::TcpStream;
use std::process::{Command, Stdio};

use super::random::print_note;
use crate::cli::CliSandbox;
use crate::support::client::Proto;
use crate::support::origin::{Origin, OriginResponse};
use crate::support::sandbox::{Output, Sandbox, Server, finish};

const FILE: &str = "hars/a.har";

/// An origin whose `/api/long` answers `len` bytes without repetition.
pub(super) fn long(len: usize) -> Origin {
    Origin::answering(move |request| {
        let body = request.path.starts_with("/api/long").then(|| {
            let line = format!("a line of {}\n", request.path);
            line.bytes().cycle().take(len).collect()
        })?;
        Some(OriginResponse {
            status: 200,
            headers: vec![("content-type", "text/plain".into())],
            body,
            trailers: Vec::new(),
        })
    })
}

pub(super) fn urls(sandbox: &Sandbox) -> Vec<String> {
    let har = sandbox.har(FILE);
    let entries = har["log"]["entries"].as_array().unwrap();
    entries.iter().map(|entry| entry["request"]["url"].as_str().unwrap().replace("http://api.test", "")).collect()
}

/// Runs a shell script with `$HARPROXY` and `$TO_ORIGIN`.
pub(super) fn script(sandbox: &Sandbox, before: &[&str], script: &str, origin: &Origin) -> Output {
    let harproxy = sandbox.command(["--version"]);
    let mut words = before.iter().copied().chain(["sh", "-euc", script]);
    let mut command = Command::new(words.next().unwrap());
    command.args(words).current_dir(sandbox.path()).env_clear();
    command.envs(harproxy.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("HARPROXY", harproxy.get_program()).env("TO_ORIGIN", origin.args().join(" ")).stdin(Stdio::null());
    finish(command.output().unwrap())
}

/// Whether a test can mount a file system. Some systems deny user namespaces.
fn has_disks() -> bool {
    let mut tried = Command::new("unshare");
    tried.args(["-Urm", "sh", "-c", "mount -t tmpfs none /mnt"]).stderr(Stdio::null());
    let has = tried.status().is_ok_and(|status| status.success());
    if !has {
        print_note("skipped: no namespace with a disk of its own can be had here");
    }
    has
}

/// Records into `hars`, a disk of 1 MiB with `free` KiB left and a fixture of one entry.
fn record_on_small_disk(sandbox: &Sandbox, origin: &Origin, free: usize) -> Output {
    fs::create_dir(sandbox.join("hars")).unwrap();
    let text = format!(
        r#"
        mount -t tmpfs -o size=1m none hars
        record() {{ "$HARPROXY" record -o {FILE} $TO_ORIGIN -- sh -c "$1"; }}
        record 'curl -sS http://api.test/api/json >/dev/null' 2>/dev/null
        cp {FILE} before
        head -c {filler}k /dev/zero >hars/filler
        status=0
        record 'curl -sS http://api.test/api/text >/dev/null
            for n in 1 2 3; do curl -sS "http://api.test/api/long?n=$n" | wc -c; done' || status=$?
        cmp {FILE} before
        echo status $status
        rm hars/filler
        "$HARPROXY" recover {FILE}
        mkdir after
        cp -a hars/. after
        "#,
        filler = 1024 - 16 - free
    );
    script(sandbox, &["unshare", "-Urm"], &text, origin).expect(0)
}

#[test]
fn full_disk_loses_no_exchange_recorded_before() {
    if !has_disks() {
        return;
    }
    // Either the journal does not fit, or the fixture does not.
    for (len, free, why) in [(300_000, 500, "writing the journal"), (100_000, 450, "no space left on device")] {
        let (sandbox, origin) = (Sandbox::new(), long(len));
        let output = record_on_small_disk(&sandbox, &origin, free);
        assert_eq!(output.stdout, format!("{len}\n{len}\n{len}\nstatus 3\n"), "traffic goes on: {}", output.stderr);
        let output = output.says(why).says("harproxy recover hars/a.har").says("recovered ");
        fs::remove_dir(sandbox.join("hars")).unwrap();
        fs::rename(sandbox.join("after"), sandbox.join("hars")).unwrap();
        let urls = urls(&sandbox);
        assert!(urls.starts_with(&["/api/json".into(), "/api/text".into()]), "{urls:?}\n{}", output.stderr);
        assert!(why.starts_with("writing") || urls.len() == 5, "{urls:?}");
        let left: Vec<_> = fs::read_dir(sandbox.join("hars")).unwrap().map(|item| item.unwrap().file_name()).collect();
        assert!(left.iter().all(|name| !name.to_string_lossy().starts_with('.')), "{left:?}");
    }
}

#[test]
fn unwritable_folder_is_reported_before_cmd_runs() {
    if !has_disks() {
        return;
    }
    let (sandbox, origin) = (Sandbox::new(), Origin::start());
    fs::create_dir(sandbox.join("hars")).unwrap();
    let text = r#"
        mount -t tmpfs -o ro none hars
        status=0
        "$HARPROXY" record -o hars/a.har $TO_ORIGIN -- echo ran || status=$?
        echo status $status
    "#;
    let output = script(&sandbox, &["unshare", "-Urm"], text, &origin).expect(0);
    assert_eq!(output.stdout, "status 3\n");
    output.says("hars/.a.har.journal").says("hint: the file system is read-only");
}

/// Command words that drop root's rights, since permissions do not apply to root.
fn unprivileged(sandbox: &Sandbox) -> Option<Vec<&'static str>> {
    use nix::unistd::{Uid, chown, geteuid};
    if !geteuid().is_root() {
        return Some(vec!["env"]);
    }
    let nobody = vec!["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let harproxy = sandbox.command(["--version"]);
    let (program, words) = (nobody[0], &nobody[1..]);
    let tried = Command::new(program).args(words).arg(harproxy.get_program()).arg("--version").output();
    let can = tried.is_ok_and(|tried| tried.status.success());
    if !can {
        print_note("skipped: no unprivileged user is available");
        return None;
    }
    chown(sandbox.path(), Some(Uid::from_raw(65534)), None).unwrap();
    Some(nobody)
}

#[test]
fn folder_that_becomes_read_only_keeps_fixture_and_journal() {
    let (sandbox, origin) = (Sandbox::new(), Origin::start());
    let Some(before) = unprivileged(&sandbox) else { return };
    let text = r#"
        record() { "$HARPROXY" record -o hars/a.har $TO_ORIGIN -- sh -c "$1"; }
        record 'curl -sS http://api.test/api/json >/dev/null' 2>/dev/null
        cp hars/a.har before
        status=0
        record 'curl -sS http://api.test/api/text >/dev/null
            chmod 555 hars
            curl -sS http://api.test/api/chunked' || status=$?
        cmp hars/a.har before
        echo " status $status"
        chmod 755 hars
        "$HARPROXY" recover hars/a.har
    "#;
    let output = script(&sandbox, &before, text, &origin).expect(0);
    assert_eq!(output.stdout, "one,two,three status 3\n");
    output.says("permission denied").says("harproxy recover hars/a.har").says("recovered 2 exchanges");
    assert_eq!(urls(&sandbox), ["/api/json", "/api/text", "/api/chunked"]);
}

#[test]
fn removed_folder_fails_the_run_and_journal_is_restored() {
    for (first, held) in [(true, "; exit 0"), (false, "; exit 0"), (false, "; exit 7")] {
        let stage = CliSandbox::new();
        let curl = |path: &str| format!("curl -sS http://api.test/api/{path} >/dev/null");
        if !first {
            stage.record(&["-o", FILE], &["sh", "-c", &curl("json")]).expect(0);
        }
        let cmd = format!("{}; rm -rf hars; {}{held}", curl("text"), curl("chunked"));
        let status = if held.ends_with('7') { 7 } else { 3 };
        let output = stage.record(&["-o", FILE], &["sh", "-c", &cmd]).expect(status);
        output.says("hars was removed while the run went on").says("harproxy recover hars/a.har");
        assert!(!stage.sandbox.join(FILE).exists());
        stage.sandbox.run(["recover", FILE]).expect(0).says("recovered 2 exchanges");
        assert_eq!(urls(&stage.sandbox), ["/api/text", "/api/chunked"]);
        stage.replay(&[], &["sh", "-c", &curl("text")]).expect(0);
    }
}

#[test]
fn journal_removed_during_a_recording_is_restored() {
    let stage = CliSandbox::new();
    stage.record(&["-o", FILE], &["curl", "-sS", "http://api.test/api/json"]).expect(0);
    let cmd = "curl -sS http://api.test/api/text; rm hars/.a.har.journal; curl -sS http://api.test/api/chunked";
    stage.record(&["-o", FILE], &["sh", "-c", cmd]).expect(0).says("2 added");
    // The journal of a failed run is restored before it is held.
    let cmd = "curl -sS http://api.test/api/empty; rm hars/.a.har.journal; exit 9";
    stage.record(&["-o", FILE], &["sh", "-c", cmd]).expect(9);
    stage.sandbox.run(["recover", FILE]).expect(0).says("recovered 1 exchange");
    assert_eq!(urls(&stage.sandbox).len(), 4);
    let left = fs::read_dir(stage.sandbox.join("hars")).unwrap().map(|item| item.unwrap().file_name());
    assert!(left.into_iter().all(|name| !name.to_string_lossy().starts_with('.')));
}

#[test]
fn recording_finishes_when_file_descriptors_run_out() {
    let (sandbox, origin) = (Sandbox::new(), Origin::start());
    let harproxy = sandbox.command(["record", "-o", FILE, "--listen", "127.0.0.1:0", "--log-format", "json"]);
    let mut command = Command::new("sh");
    command.args(["-c", r#"ulimit -n 48; exec "$0" "$@""#]).arg(harproxy.get_program()).args(harproxy.get_args());
    command.args(origin.args()).current_dir(sandbox.path()).env_clear();
    command.envs(harproxy.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.stdin(Stdio::null());
    let server = Server::spawn(command);
    let client = server.client(Proto::H1);
    client.get("http://api.test/api/json");
    // More connections than descriptors: the others wait in the backlog.
    let crowd: Vec<_> = (0..100).map(|_| TcpStream::connect(server.proxy()).unwrap()).collect();
    let waiting = std::thread::spawn({
        let client = client.clone();
        move || client.get("http://api.test/api/text")
    });
    drop(crowd);
    assert_eq!(waiting.join().unwrap().text(), "Grüße\n");
    let crowd: Vec<_> = (0..100).map(|_| TcpStream::connect(server.proxy()).unwrap()).collect();
    server.stop().expect(0);
    drop(crowd);
    assert_eq!(urls(&sandbox), ["/api/json", "/api/text"]);
}
