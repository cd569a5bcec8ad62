use super::*;
use crate::cli::args::{Cli, Command};
use crate::verdict::{CheckId, Severity};

fn recording(args: &[&str]) -> Result<Recording, Error> {
    match parse("record", args) {
        Command::Record(args) => Recording::new(*args),
        other => panic!("{other:?}"),
    }
}

fn replaying(args: &[&str]) -> Result<Replaying, Error> {
    match parse("replay", args) {
        Command::Replay(args) => Replaying::new(*args),
        other => panic!("{other:?}"),
    }
}

fn parse(command: &str, args: &[&str]) -> Command {
    let args = ["harproxy", command, "--ca-dir", "ca"].into_iter().chain(args.iter().copied()).map(OsString::from);
    Cli::parse_from(args).unwrap_or_else(|error| panic!("{error}")).command
}

#[test]
fn the_well_known_port_without_cmd_and_a_free_one_with_it() {
    assert_eq!(recording(&[]).unwrap().run.listen.to_string(), "127.0.0.1:8899");
    assert_eq!(recording(&["--", "true"]).unwrap().run.listen.to_string(), "127.0.0.1:0");
    assert_eq!(recording(&["-p", "9000", "--", "true"]).unwrap().run.listen.to_string(), "127.0.0.1:9000");
}

#[test]
fn others_get_in_only_by_credentials_or_by_an_explicit_word() {
    for refused in ["0.0.0.0:1", "192.0.2.1:1", "[::]:1"] {
        assert!(matches!(recording(&["--listen", refused]), Err(Error::Remote(_))), "{refused}");
    }
    for allowed in [
        &["--listen", "0.0.0.0:1", "--auth", "me:secret"][..],
        &["--listen", "0.0.0.0:1", "--allow-remote"],
        &["--listen", "127.8.0.1:1"],
        &["--listen", "[::1]:1"],
    ] {
        assert!(recording(allowed).is_ok(), "{allowed:?}");
    }
}

#[test]
fn globs_are_a_scope_and_none_keeps_the_one_of_the_fixtures() {
    assert_eq!(recording(&["-g", "**/a", "-g", "!**/b"]).unwrap().record.scope.sources(), ["**/a", "!**/b"]);
    assert!(replaying(&[]).unwrap().replay.scope.is_none());
    assert_eq!(replaying(&["-g", "**/a"]).unwrap().replay.scope.unwrap().sources(), ["**/a"]);
    assert_eq!(replaying(&[]).unwrap().replay.fixtures, [PathBuf::from("hars")]);
}

#[test]
fn what_fails_a_replay_depends_on_cmd_and_on_the_list() {
    let severity = |args: &[&str], check| replaying(args).unwrap().replay.fail_on.severity(&check);
    assert_eq!(severity(&[], CheckId::NO_TRAFFIC), Severity::Warning);
    assert_eq!(severity(&["--", "true"], CheckId::NO_TRAFFIC), Severity::Error);
    assert_eq!(severity(&["--fail-on", "+unused", "--", "true"], CheckId::UNUSED), Severity::Error);
}

#[test]
fn reverse_origins_have_a_name_and_a_prefix_of_their_own() {
    let twice = |a: &str, b: &str| recording(&["--reverse", a, "--reverse", b]);
    assert!(matches!(twice("http://a.test", "https://A.test"), Err(Error::Twice { .. })));
    assert!(matches!(twice("x=/a=http://a.test", "y=/a=http://b.test"), Err(Error::Twice { .. })));
    assert!(twice("x=http://a.test", "y=http://a.test").is_ok());
    assert!(matches!(recording(&["--tls"]), Err(Error::TlsWithoutReverse)));
}

#[test]
fn the_folder_of_the_authority_is_absolute() {
    assert_eq!(recording(&[]).unwrap().run.ca_dir, std::env::current_dir().unwrap().join("ca"));
}
