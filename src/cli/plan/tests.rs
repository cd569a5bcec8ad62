use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser as _;

use super::*;
use crate::cli::args::{Cli, Command};
use crate::cli::usage_error::UsageError;
use crate::verdict::{CheckId, Severity};

fn record_job(args: &[&str]) -> Result<RecordJob, UsageError> {
    match parse("record", args) {
        Command::Record(args) => RecordJob::new(*args),
        other => panic!("{other:?}"),
    }
}

fn replay_job(args: &[&str]) -> Result<ReplayJob, UsageError> {
    match parse("replay", args) {
        Command::Replay(args) => ReplayJob::new(*args),
        other => panic!("{other:?}"),
    }
}

fn parse(command: &str, args: &[&str]) -> Command {
    let args = ["harproxy", command, "--ca-dir", "ca"].into_iter().chain(args.iter().copied()).map(OsString::from);
    Cli::try_parse_from(args).unwrap_or_else(|error| panic!("{error}")).command
}

#[test]
fn port_is_the_default_without_cmd_and_free_with_cmd() {
    assert_eq!(record_job(&[]).unwrap().run.listen.to_string(), "127.0.0.1:8899");
    assert_eq!(record_job(&["--", "true"]).unwrap().run.listen.to_string(), "127.0.0.1:0");
    assert_eq!(record_job(&["-p", "9000", "--", "true"]).unwrap().run.listen.to_string(), "127.0.0.1:9000");
}

#[test]
fn remote_addresses_need_auth_or_allow_remote() {
    for refused in ["0.0.0.0:1", "192.0.2.1:1", "[::]:1"] {
        let error = record_job(&["--listen", refused]).unwrap_err();
        assert_eq!(error.to_string(), format!("listening on {refused} would open the proxy to other machines"));
    }
    for allowed in [
        &["--listen", "0.0.0.0:1", "--auth", "me:secret"][..],
        &["--listen", "0.0.0.0:1", "--allow-remote"],
        &["--listen", "127.8.0.1:1"],
        &["--listen", "[::1]:1"],
    ] {
        assert!(record_job(allowed).is_ok(), "{allowed:?}");
    }
}

#[test]
fn globs_set_the_scope_and_default_to_that_of_the_fixtures() {
    assert_eq!(record_job(&["-g", "**/a", "-g", "!**/b"]).unwrap().record.scope.sources(), ["**/a", "!**/b"]);
    assert!(replay_job(&[]).unwrap().replay.answers.scope.is_none());
    assert_eq!(replay_job(&["-g", "**/a"]).unwrap().replay.answers.scope.unwrap().sources(), ["**/a"]);
    assert_eq!(replay_job(&[]).unwrap().replay.fixtures, [PathBuf::from("hars")]);
}

#[test]
fn failing_findings_depend_on_cmd_and_on_fail_on() {
    let severity = |args: &[&str], check: CheckId| replay_job(args).unwrap().replay.answers.fail_on.severity(&check);
    assert_eq!(severity(&[], CheckId::NO_TRAFFIC), Severity::Warning);
    assert_eq!(severity(&["--", "true"], CheckId::NO_TRAFFIC), Severity::Error);
    assert_eq!(severity(&["--fail-on", "+unused", "--", "true"], CheckId::UNUSED), Severity::Error);
}

#[test]
fn strict_is_a_preset_that_explicit_options_change() {
    let plan = |args: &[&str]| replay_job(&[&["--strict"], args].concat()).unwrap().replay;
    let fails = |args: &[&str], check: CheckId| plan(args).answers.fail_on.severity(&check) == Severity::Error;
    assert_eq!(plan(&[]).matching.repeat, Repeat::Once);
    assert!([CheckId::UNUSED, CheckId::CREDENTIALS_MISSING, CheckId::MISS].into_iter().all(|check| fails(&[], check)));
    assert_eq!(plan(&["--repeat", "first"]).matching.repeat, Repeat::First);
    assert!(!fails(&["--fail-on", "-unused"], CheckId::UNUSED));
    assert!(fails(&["--fail-on", "-unused"], CheckId::CREDENTIALS_MISSING), "signs change the preset");
    assert!(!fails(&["--fail-on", "miss"], CheckId::UNUSED), "a plain list replaces it");
    assert_eq!(replay_job(&[]).unwrap().replay.matching.repeat, Repeat::Sequence);
}

#[test]
fn reverse_origins_need_a_unique_name_and_prefix() {
    let twice = |a: &str, b: &str| record_job(&["--reverse", a, "--reverse", b]).map_err(|error| error.to_string());
    let same_name = twice("http://a.test", "https://A.test").unwrap_err();
    assert_eq!(same_name, "two --reverse origins are named `A_TEST`");
    let same_prefix = twice("x=/a=http://a.test", "y=/a=http://b.test").unwrap_err();
    assert_eq!(same_prefix, "two --reverse origins are under `/a`");
    assert!(twice("x=http://a.test", "y=http://a.test").is_ok());
    assert_eq!(record_job(&["--tls"]).unwrap_err().to_string(), "--tls needs --reverse");
}

#[test]
fn ca_dir_is_absolute() {
    assert_eq!(record_job(&[]).unwrap().run.ca_dir, std::env::current_dir().unwrap().join("ca"));
}
