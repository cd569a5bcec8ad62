use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::sync::mpsc::unbounded_channel;

use super::*;

fn plan(program: impl Into<OsString>, args: &[&str]) -> CommandPlan {
    let args = args.iter().map(OsString::from).collect();
    CommandPlan { program: program.into(), args, env: Vec::new(), watch: WatchPlan::default(), quiet_output: false }
}

fn sh(script: &str) -> CommandPlan {
    plan("sh", &["-c", script])
}

/// Runs the plan without sending a signal and returns CMD's status.
async fn ended(plan: &CommandPlan) -> Result<u8, SpawnError> {
    let (_tell, events) = unbounded_channel();
    run(plan, None, &mut Signals::from_events(events)).await.map(|ended| ended.status)
}

fn script(folder: &Path, name: &str, text: &str, mode: u32) -> OsString {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path.into()
}

/// Creates a FIFO, whose reader blocks until a writer opens it.
fn fifo(folder: &Path) -> PathBuf {
    let path = folder.join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    path
}

/// Runs a script and sends `signals` to harproxy once the script has written to the FIFO in `$1`.
async fn signalled(script: &str, signals: &[Signal]) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    let fifo = fifo(folder.path());
    let mut plan = sh(script);
    plan.args.extend(["sh".into(), fifo.clone().into()]);
    let (tell, events) = unbounded_channel();
    let mut received = Signals::from_events(events);
    let ready = async {
        tokio::task::spawn_blocking(move || std::fs::read(fifo).unwrap()).await.unwrap();
        signals.iter().for_each(|signal| tell.send(*signal).unwrap());
        std::future::pending().await
    };
    tokio::select! {
        ended = run(&plan, None, &mut received) => ended.unwrap(),
        () = ready => unreachable!(),
    }
}

const LINGER: &str = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do sleep 0.5; done";

#[tokio::test]
async fn status_is_that_of_cmd() {
    for code in [0, 1, 3, 255] {
        assert_eq!(ended(&sh(&format!("exit {code}"))).await.unwrap(), code);
    }
    assert_eq!(ended(&sh("kill -TERM $$")).await.unwrap(), 143);
}

#[tokio::test]
async fn missing_program_has_status_127() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing").into_os_string();
    for program in [OsString::from("harproxy-no-such-command"), missing, OsString::new()] {
        let error = ended(&plan(program.clone(), &[])).await.unwrap_err();
        assert!(matches!(error, SpawnError::NotFound { .. }), "{program:?}: {error}");
        assert_eq!(error.exit_code(), 127);
    }
}

#[tokio::test]
async fn program_that_is_not_executable_has_status_126() {
    let folder = tempfile::tempdir().unwrap();
    let text = script(folder.path(), "text", "hello", 0o644);
    let lost = script(folder.path(), "lost", "#!/no/such/interpreter\n", 0o755);
    for program in [text, lost, folder.path().into()] {
        let error = ended(&plan(program.clone(), &[])).await.unwrap_err();
        assert!(matches!(error, SpawnError::NotExecutable { .. }), "{program:?}: {error}");
        assert_eq!(error.exit_code(), 126);
    }
}

#[tokio::test]
async fn script_without_an_interpreter_line_runs_in_sh() {
    let folder = tempfile::tempdir().unwrap();
    let program = script(folder.path(), "script", "[ \"$1\" = 'a b' ] && exit 5\n", 0o755);
    assert_eq!(ended(&plan(program, &["a b"])).await.unwrap(), 5);
}

#[tokio::test]
async fn cmd_gets_variables_folder_and_the_process_group_of_harproxy() {
    let folder = tempfile::tempdir().unwrap();
    let group = nix::unistd::getpgrp();
    let mut plan = sh("echo \"$HARPROXY_T $PWD $(ps -o pgid= -p $$ | tr -d ' ')\" >\"$1\"; [ \"$PATH\" ] && exit 9");
    let out = folder.path().join("out");
    plan.args.extend(["sh".into(), out.clone().into()]);
    plan.env = vec![VariableChange { variable: "HARPROXY_T".into(), value: "a b".into(), purpose: "" }];
    assert_eq!(ended(&plan).await.unwrap(), 9);
    let own = std::env::current_dir().unwrap();
    assert_eq!(std::fs::read_to_string(out).unwrap(), format!("a b {} {group}\n", own.display()));
}

#[tokio::test]
async fn signals_are_forwarded_and_the_status_is_that_of_cmd() {
    for (signal, name) in [(Signal::Terminate, "TERM"), (Signal::Hangup, "HUP"), (Signal::Interrupt, "INT")] {
        // A shell cannot trap a signal that was ignored when it started (SIGHUP under nohup).
        if signal == Signal::Hangup && crate::child::signals::os::hangup_is_ignored() {
            continue;
        }
        let ended = signalled(&format!("trap 'exit 7' {name}; : >$1; {LINGER}"), &[signal]).await;
        assert_eq!(
            ended,
            Ended { status: 7, at_once: None, processes: crate::diagnose::processes::ProcessReport::default() }
        );
    }
    let ended = signalled(": >$1; exec sleep 10", &[Signal::Terminate]).await;
    assert_eq!(ended.status, 143);
}

#[tokio::test]
async fn second_signal_kills_cmd() {
    let ended = signalled(&format!("trap '' INT TERM; : >$1; {LINGER}"), &[Signal::Interrupt, Signal::Terminate]).await;
    assert_eq!(
        ended,
        Ended {
            status: 137,
            at_once: Some(Signal::Terminate),
            processes: crate::diagnose::processes::ProcessReport::default()
        }
    );
}

#[tokio::test]
async fn background_process_of_cmd_is_not_killed() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = fifo(folder.path());
    let mut plan = sh("(read line <$1; echo \"$line\" >$1.out; : >$1) & exit 0");
    plan.args.extend(["sh".into(), fifo.clone().into()]);
    assert_eq!(ended(&plan).await.unwrap(), 0);
    std::fs::write(&fifo, "still here\n").unwrap();
    std::fs::read(&fifo).unwrap();
    assert_eq!(std::fs::read_to_string(folder.path().join("fifo.out")).unwrap(), "still here\n");
}

/// Variable that tells the re-executed test that it runs in its own terminal.
const IN_TERMINAL: &str = "HARPROXY_TEST_IN_TERMINAL";

/// In a real terminal, Ctrl-C reaches CMD once and harproxy keeps waiting; a SIGTERM to harproxy alone is forwarded.
#[test]
fn ctrl_c_reaches_cmd_once_and_by_itself() {
    if std::env::var_os(IN_TERMINAL).is_some() {
        return in_terminal();
    }
    let own = std::env::current_exe().unwrap();
    let name = "child::run::tests::ctrl_c_reaches_cmd_once_and_by_itself";
    let line = format!("'{}' --exact {name} --nocapture", own.display());
    let script = std::process::Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .env(IN_TERMINAL, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut script) = script else { return eprintln!("not tried: script(1) is not here") };
    let mut keyboard = script.stdin.take().unwrap();
    let mut screen = BufReader::new(script.stdout.take().unwrap());
    let mut shown = String::new();
    let mut wait_for = |what: &str| {
        let mut line = String::new();
        while !line.contains(what) {
            line.clear();
            let length = screen.read_line(&mut line).unwrap();
            shown += &line;
            assert!(length > 0, "no `{what}` in\n{shown}");
        }
        line
    };
    let harproxy: i32 = wait_for("cmd of ").trim().rsplit(' ').next().unwrap().parse().unwrap();
    for n in 1..=2 {
        keyboard.write_all(b"\x03").unwrap();
        wait_for(&format!("interrupt {n}"));
    }
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(harproxy), nix::sys::signal::Signal::SIGTERM).unwrap();
    wait_for("interrupts: 2");
    wait_for("status: 7, at_once: None");
    let mut rest = String::new();
    screen.read_to_string(&mut rest).unwrap();
    script.wait().unwrap();
}

fn in_terminal() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let script = format!(
        "n=0; trap 'n=$((n+1)); echo interrupt $n' INT; trap 'echo interrupts: $n; exit 7' TERM; \
         echo cmd of $PPID; {LINGER}; {LINGER}"
    );
    let ended = runtime.block_on(async { run(&sh(&script), None, &mut Signals::listen().unwrap()).await.unwrap() });
    println!("{ended:?}");
}
