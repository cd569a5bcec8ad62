//! `completions` and `man`.

use std::process::Command;

use super::help::commands;
use crate::support::sandbox::{Sandbox, finish};

const SHELLS: [&str; 5] = ["bash", "zsh", "fish", "powershell", "elvish"];

#[test]
fn completions_of_every_shell_have_every_command() {
    let sandbox = Sandbox::new();
    for shell in SHELLS {
        let script = sandbox.run(["completions", shell]).expect(0);
        assert_eq!(script.stderr, "");
        for word in commands(&sandbox).iter().map(String::as_str).chain(["glob", "miss-status", "json-layout"]) {
            assert!(script.stdout.contains(word), "{shell}: {word}");
        }
    }
    sandbox.run(["completions", "ksh"]).expect(2).says("possible values: bash, zsh, fish, powershell, elvish");
}

#[test]
fn bash_completes_with_its_script() {
    let sandbox = Sandbox::new();
    let script = sandbox.run(["completions", "bash"]).expect(0).stdout;
    let file = sandbox.write("harproxy.bash", script);
    finish(Command::new("bash").arg("-n").arg(&file).output().unwrap()).expect(0);
    let complete = "source harproxy.bash; COMP_WORDS=(harproxy rec); COMP_CWORD=1; _harproxy harproxy rec harproxy; echo \"${COMPREPLY[@]}\"";
    let shell = Command::new("bash").args(["-c", complete]).current_dir(sandbox.path()).output().unwrap();
    assert_eq!(finish(shell).expect(0).stdout, "record recover\n");
}

#[test]
fn manual_does_not_depend_on_environment_variables() {
    let sandbox = Sandbox::new();
    for args in [["completions", "bash"], ["man", "replay"]] {
        let plain = sandbox.run(args).expect(0).stdout;
        let with = sandbox.command(args).envs([("HARPROXY_NO_LOCAL", "1"), ("HARPROXY_AUTH", "me:secret")]).output();
        assert_eq!(finish(with.unwrap()).expect(0).stdout, plain);
    }
}

#[test]
fn every_command_has_a_manual_page() {
    let sandbox = Sandbox::new();
    let main = sandbox.run(["man"]).expect(0).stdout;
    assert!(main.contains(".TH harproxy 1"), "{main}");
    sandbox.run(["man", "--dir", "share/man1"]).expect(0);
    assert_eq!(sandbox.read("share/man1/harproxy.1"), main);
    for command in commands(&sandbox) {
        let name = format!("harproxy-{command}(1)").replace('-', "\\-");
        assert!(main.contains(&name), "{name}");
        let page = sandbox.run(["man", &command]).expect(0).stdout;
        assert!(page.contains(&format!(".TH harproxy-{command} 1")), "{page}");
        assert_eq!(sandbox.read(&format!("share/man1/harproxy-{command}.1")), page);
    }
    let replay = sandbox.read("share/man1/harproxy-replay.1");
    assert!(replay.contains("\\-\\-miss\\-status") && replay.contains("HARPROXY_MISS_STATUS"), "{replay}");
    let synopsis = replay.split(".SH SYNOPSIS\n").nth(1).unwrap().lines().next().unwrap();
    assert_eq!(synopsis, "\\fBharproxy replay\\fR [OPTIONS] [FILE|DIR]... [\\-\\- <CMD>...]");
    sandbox.run(["man", "recrd"]).expect(2).says("no command `recrd`");
}

#[test]
fn groff_accepts_the_manual_pages() {
    let sandbox = Sandbox::new();
    sandbox.run(["man", "--dir", "."]).expect(0);
    for page in ["harproxy.1", "harproxy-record.1", "harproxy-ca-bundle.1"] {
        let groff = Command::new("groff").args(["-man", "-Tutf8", "-ww", page]).current_dir(sandbox.path()).output();
        // Skipped where groff is not installed.
        let Ok(groff) = groff else { return };
        let said = finish(groff).expect(0);
        assert_eq!(said.stderr, "", "{page}");
        assert!(said.stdout.to_lowercase().contains("harproxy"), "{page}");
    }
}
