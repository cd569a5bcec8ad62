//! Limits and clocks that a process inherits: an error says what to do, and nothing is lost.

use std::process::Command;

use super::faults::{long, script, urls};
use super::random::print_note;
use crate::support::origin::Origin;
use crate::support::sandbox::{Sandbox, finish};

#[test]
fn file_size_limit_is_handled_like_a_full_disk_and_stays_deadly_for_cmd() {
    let (sandbox, origin) = (Sandbox::new(), long(300_000));
    let text = r#"
        record() { "$HARPROXY" record -o hars/a.har $TO_ORIGIN -- sh -c "$1"; }
        record 'curl -sS http://api.test/api/json >/dev/null' 2>/dev/null
        cp hars/a.har before
        status=0
        (ulimit -f 500; record 'curl -sS http://api.test/api/text >/dev/null
            for n in 1 2 3; do curl -sS "http://api.test/api/long?n=$n" | wc -c; done
            cmd=0; (exec head -c 9000000 /dev/zero) >big || cmd=$?; echo CMD $cmd') || status=$?
        cmp hars/a.har before
        echo status $status
        "$HARPROXY" recover hars/a.har
    "#;
    let output = script(&sandbox, &["env"], text, &origin).expect(0);
    // 128 + SIGXFSZ.
    assert_eq!(output.stdout, "300000\n300000\n300000\nCMD 153\nstatus 3\n", "{}", output.stderr);
    output.says("writing the journal").says("File too large").says("ulimit -f").says("recovered ");
    assert!(urls(&sandbox).starts_with(&["/api/json".into(), "/api/text".into()]));
}

/// Sets the clock back by 63 years.
const SHIM: &str = r"
#define _GNU_SOURCE
#include <time.h>
#include <unistd.h>
#include <sys/syscall.h>
int clock_gettime(clockid_t id, struct timespec *at) {
    int done = syscall(SYS_clock_gettime, id, at);
    if (id == CLOCK_REALTIME) at->tv_sec -= 2000000000L;
    return done;
}
";

/// A library that changes the clock of the process that preloads it. `None` without a C compiler.
fn clock_library(sandbox: &Sandbox) -> Option<String> {
    let source = sandbox.write("clock.c", SHIM);
    let library = sandbox.join("clock.so");
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]).output();
    if built.is_ok_and(|built| built.status.success()) {
        return Some(library.to_string_lossy().into_owned());
    }
    print_note("skipped: there is no C compiler to build a clock with");
    None
}

#[test]
fn clock_before_1970_is_an_error_with_advice() {
    let (sandbox, origin) = (Sandbox::new(), Origin::start());
    let Some(library) = clock_library(&sandbox) else { return };
    let run = |args: &[&str]| finish(sandbox.command(args).env("LD_PRELOAD", &library).output().unwrap());
    for args in
        [&["record", "-o", "a.har", "--", "true"][..], &["replay", "a.har", "--", "true"], &["doctor", "--", "true"]]
    {
        let output =
            run(args).expect(3).says("the clock of this machine shows a time before 1970").says("hint: set the clock");
        assert!(!output.stderr.contains("defect"), "{}", output.stderr);
    }
    run(&["--version"]).expect(0);
    // Tools on fixtures need no clock.
    sandbox
        .run(
            ["record", "-o", "a.har"]
                .map(String::from)
                .into_iter()
                .chain(origin.args())
                .chain(["--", "curl", "-sS", "http://api.test/api/json"].map(String::from)),
        )
        .expect(0);
    for command in ["ls", "check", "fmt"] {
        run(&[command, "a.har"]).expect(0);
    }
}

#[test]
fn harproxy_runs_under_libfaketime() {
    let sandbox = Sandbox::new();
    let has = Command::new("faketime").args(["-f", "-1d", "true"]).output().is_ok_and(|tried| tried.status.success());
    if !has {
        return print_note("skipped: libfaketime is not installed");
    }
    let harproxy = sandbox.command(["--version"]);
    let mut command = Command::new("faketime");
    command
        .args(["-f", "-1d"])
        .arg(harproxy.get_program())
        .args(["ca", "path"])
        .current_dir(sandbox.path())
        .env_clear();
    command.envs(harproxy.get_envs().filter_map(|(name, value)| Some((name, value?))));
    finish(command.output().unwrap()).expect(0);
}
