//! The hint of each failure: advice with commands to run.

use std::io::{self, ErrorKind};
use std::path::Path;

use super::Failure;
use crate::admin::client::CallError;
use crate::admin::server::AdminError;
use crate::child::SpawnError;
use crate::cli::args::replay::DEFAULT_FIXTURES;
use crate::cli::config;
use crate::fixtures::{pack, prune};
use crate::import::ImportError;
use crate::isolate::IsolateError;
use crate::{record, replay};
use harproxy_har::Error as HarError;
use harproxy_proxy::BindError;
use harproxy_support::printable::Shown as _;
use harproxy_support::shell_quote::path as quote;
use harproxy_tls::authority::{Authority, AuthorityError};

/// Hint about the options of upstream connections.
const UPSTREAM: &str = "`--upstream-ca FILE` and `--client-cert HOST=FILE` name files with `-----BEGIN CERTIFICATE-----` in them (PEM), \
                        the latter with its `-----BEGIN PRIVATE KEY-----` too, unencrypted; `--upstream-proxy` the URL of a proxy";

#[must_use]
pub fn of(failure: &Failure) -> String {
    match failure {
        // The message of clap contains the hint.
        Failure::CommandLine(_) => String::new(),
        Failure::Config(error) => of_config(error),
        Failure::Usage(error) => error.hint.clone(),
        Failure::Authority(error) => of_authority(error),
        Failure::Upstream(_) => UPSTREAM.into(),
        Failure::OwnProxy(_) => {
            "listen on another port with `--port`, or connect directly with `--upstream-proxy none`".into()
        }
        Failure::Record(error) => of_record(error),
        Failure::Replay(error) => of_replay(error),
        Failure::Fixture(error) => of_fixture(error),
        Failure::Pack(error) => of_pack(error),
        Failure::Prune(error) => of_prune(error),
        Failure::Bind(error) => of_bind(error),
        Failure::Write { source, .. } | Failure::System { source, .. } => io_hint(source),
        Failure::Clock => {
            "set the clock; to change the time for CMD alone, change it inside CMD: `harproxy replay -- faketime … CMD`"
                .into()
        }
        Failure::Spawn(error) => of_spawn(error),
        Failure::Bundle(_) | Failure::Files(_) => {
            "check that the folder for temporary files (TMPDIR) can be written".into()
        }
        Failure::Cut { left: Some(output), .. } => format!(
            "nothing is lost: `harproxy recover {}`, or the next `harproxy record` into the same fixture, takes over what was \
             recorded",
            quote(output)
        ),
        Failure::Cut { left: None, .. } => {
            "send one signal only: the run then ends normally and prints its verdict".into()
        }
        Failure::Isolate(error) => of_isolation(error),
        Failure::Admin(error) => of_admin(error),
        Failure::Call(CallError::Refused { status: 400 | 409, .. }) => "`harproxy help ctl` has examples".into(),
        Failure::Call(CallError::Refused { .. }) => "`harproxy ctl routes` and `harproxy ctl requests` list the names and numbers; `harproxy help ctl` has examples".into(),
        Failure::Call(_) => "check that `harproxy serve` runs; `--admin ADDR:PORT` names one of several".into(),
        Failure::Input(_) => "pass the lines through a pipe or a file".into(),
        Failure::Output(_) => "send the output to a file, or to a program that reads it".into(),
        Failure::Import(ImportError::Nothing { .. }) => {
            "pass the recordings themselves; docs/guides/import.md lists the formats, and `--format` chooses one".into()
        }
        Failure::Import(ImportError::BaseUrl { .. }) => {
            "add `--base-url`, such as `--base-url https://api.example.com`: the origin to which the program sends its requests".into()
        }
        Failure::Import(ImportError::Har { .. }) => "check that the file is complete JSON, and export it again".into(),
        Failure::Import(ImportError::Read { .. }) => "check the path, and that you can read it".into(),
        Failure::Learn { .. } => "fix the file, or add the lines by hand".into(),
        Failure::Demo { .. } => "the demo needs loopback and a folder that it can write to".into(),
    }
}

fn of_isolation(error: &IsolateError) -> String {
    match error {
        IsolateError::NamespaceDenied { hint, .. } => hint.clone(),
        IsolateError::Unsupported => "run it in a Linux container, or without `--isolate`".into(),
        IsolateError::NoCommand => "name the program: `harproxy replay --isolate -- CMD`".into(),
        IsolateError::Setup { .. } => "run it where these operations are allowed, or without `--isolate`".into(),
        IsolateError::ServiceNotFound { .. } => "check the name, or pass an address".into(),
        IsolateError::AddressInUse { .. } => "stop the option that takes this address, or leave the service out".into(),
    }
}

fn of_config(error: &config::Error) -> String {
    match error {
        config::Error::Read { source, .. } => match source.kind() {
            ErrorKind::NotFound => "check the path in `--config`".into(),
            ErrorKind::InvalidData => "save it as UTF-8".into(),
            _ => io_hint(source),
        },
        config::Error::Syntax { .. } => {
            "quote strings and put lists in brackets: `globs = [\"https://api.example.com/**\", \"!**/health\"]`".into()
        }
        config::Error::Unknown { kind, .. } if kind.contains("[[") || kind.contains('`') => {
            "docs/reference/configuration.md lists the options of each section".into()
        }
        config::Error::Unknown { .. } => {
            "use the option names of the command line without dashes: `harproxy record --help` and `harproxy replay --help` list them"
                .into()
        }
        config::Error::Outside { option, given, .. } => {
            let given = harproxy_support::shell_quote::word(given);
            format!("name a file inside that folder, or pass `--{option} {given}` on the command line")
        }
        config::Error::Value { .. } => "write values as on the command line, and lists in brackets; docs/reference/configuration.md lists all options".into(),
    }
}

fn of_prune(error: &prune::Error) -> String {
    match error {
        prune::Error::Lock(record::Error::Locked { .. }) => "wait for it to end, then run this again".into(),
        prune::Error::Lock(error) => of_record(error),
        prune::Error::Fixture(error) => of_fixture(error),
        prune::Error::Changed { .. } => {
            "replay again, and leave the fixture unchanged until its entries are removed".into()
        }
    }
}

fn of_authority(error: &AuthorityError) -> String {
    match error {
        AuthorityError::Io { path, source, .. } => match source.kind() {
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                "pass another folder for the certificate authority with `--ca-dir DIR`".into()
            }
            _ => format!("fix {}, or pass another folder with `--ca-dir DIR`", path.shown()),
        },
        AuthorityError::Exposed { path, .. } => format!("only you may read it: `chmod 600 {}`", quote(path)),
        AuthorityError::Incomplete { dir, .. } => format!("restore the file, or create a new CA: {}", ca_new(dir)),
        AuthorityError::Malformed { path, .. } => {
            format!("restore the file, or create a new CA: {}", ca_new(path.parent().unwrap_or(path)))
        }
        AuthorityError::Mismatch { dir } | AuthorityError::Expired { dir, .. } => {
            format!("create a new CA: {}; install it again where the old one was trusted", ca_new(dir))
        }
        AuthorityError::Host { .. } | AuthorityError::Tls { .. } | AuthorityError::Certificate { .. } => {
            "a new CA may help: `harproxy ca new`".into()
        }
    }
}

fn ca_new(dir: &Path) -> String {
    match Authority::default_dir().is_some_and(|default| default == dir) {
        true => "`harproxy ca new`".into(),
        false => format!("`harproxy ca new --ca-dir {}`", quote(dir)),
    }
}

fn of_record(error: &record::Error) -> String {
    match error {
        record::Error::Fixture(error) => of_written(error),
        record::Error::Plan(_) => UPSTREAM.into(),
        record::Error::Journal { path, source, .. } if source.kind() == ErrorKind::InvalidData => {
            format!("use the version of harproxy that recorded it, or remove {}", quote(path))
        }
        record::Error::Journal { source, .. } => io_hint(source),
        record::Error::NothingLeft { output } => match recover_commands(folder_of(output)) {
            Some(commands) => format!("unfinished recordings of other fixtures: {commands}"),
            None => record_it(output),
        },
        record::Error::IsFolder { output } => {
            format!("pass a file in it: `-o {}`", quote(&output.join("recorded.har")))
        }
        record::Error::Changed { output } => {
            format!("record again, or drop the held recording with `harproxy recover {} --discard`", quote(output))
        }
        record::Error::Foreign { .. } => {
            "replace it with `--update replace`, or record into another file with `-o FILE`".into()
        }
        record::Error::Rules(_) => "fix `[[match]]` in harproxy.toml".into(),
        record::Error::Volatile(_) => "fix `[volatile]` in harproxy.toml".into(),
        record::Error::Locked { .. } => "wait for it to end, or record into another file with `-o FILE`".into(),
    }
}

/// Returns the commands for the unfinished recordings in a folder, or `None` if there are none.
fn recover_commands(folder: &Path) -> Option<String> {
    let left = record::fixtures_with_leftovers(folder).into_iter();
    let commands: Vec<_> = left.map(|path| format!("`harproxy recover {}`", quote(&path))).collect();
    if commands.is_empty() { None } else { Some(commands.join(", ")) }
}

fn of_written(error: &HarError) -> String {
    match error {
        HarError::Malformed { .. } | HarError::Entry { .. } => {
            "fix the file, restore it with `git checkout`, or record it again with `--update replace`".into()
        }
        HarError::Payload { source, .. } if source.kind() == ErrorKind::InvalidData => {
            "use the version of harproxy that recorded it, or drop the recording of fixture FILE with `harproxy recover FILE --discard`"
                .into()
        }
        error => of_fixture(error),
    }
}

fn of_fixture(error: &HarError) -> String {
    match error {
        HarError::Io { path, source, .. } if !error.is_about_writing() && source.kind() == ErrorKind::NotFound => {
            of_missing(path)
        }
        HarError::Io { source, .. } | HarError::Payload { source, .. } => io_hint(source),
        HarError::NoFixture { path } => match recover_commands(path) {
            Some(commands) => format!("a recording was interrupted: run {commands} to make a fixture of it"),
            None => format!("record one first: `harproxy record{} -- CMD`", folder_option(path)),
        },
        HarError::Conflict { path, .. } => {
            let path = quote(path);
            format!(
                "keep one side with `git checkout --ours {path}` or `--theirs`, then record the other side's requests again; run `harproxy git-setup` so that git merges entries"
            )
        }
        // The entry does not exist.
        HarError::Entry { path, line: None, .. } => format!("`harproxy ls {}` lists its entries", quote(path)),
        HarError::Malformed { .. } | HarError::Entry { .. } => {
            "a fixture is a HAR 1.2 file or a .zip with one; restore it with `git checkout`, or record it again with `harproxy record`"
                .into()
        }
    }
}

fn of_pack(error: &pack::Error) -> String {
    match error {
        pack::Error::Fixture(error) => of_fixture(error),
        pack::Error::IsArchive(path) => format!("unpack it with `harproxy unpack {}`", quote(path)),
        pack::Error::NoArchive(path) => format!("pack it with `harproxy pack {}`", quote(path)),
        pack::Error::Ending { wanted, .. } => format!("pass such a file: `-o FILE{wanted}`"),
        pack::Error::Exists(_) => "replace it with `--force`, or pass another file with `-o FILE`".into(),
    }
}

fn of_replay(error: &replay::Error) -> String {
    match error {
        replay::Error::Fixture(HarError::Io { path, source, .. }) if source.kind() == ErrorKind::NotFound => {
            match on_path(path) {
                Some(name) => format!(
                    "did you mean `harproxy replay -- {name}`? The program stands after two dashes; {name} is not a fixture"
                ),
                None => of_missing(path),
            }
        }
        replay::Error::Fixture(error) => of_fixture(error),
        replay::Error::Upstream(_) => UPSTREAM.into(),
        replay::Error::Matching(_) => {
            "a JSON path is one such as `$.meta.time`, an origin one such as `https://api.example.com`".into()
        }
    }
}

/// Returns the hint for a missing fixture, which may have an unfinished recording.
fn of_missing(path: &Path) -> String {
    if !record::fixtures_with_leftovers(folder_of(path)).iter().any(|left| left == path) {
        return record_it(path);
    }
    format!("a recording of it was interrupted: run `harproxy recover {}` to make the fixture", quote(path))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

/// Returns the path if it is the name of a program in PATH: the `--` was probably forgotten.
fn on_path(path: &Path) -> Option<String> {
    let name = path.to_str().filter(|name| !name.contains(['/', '.']))?;
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).any(|folder| folder.join(name).is_file()).then(|| name.to_owned())
}

/// Returns the hint to record a missing fixture.
fn record_it(path: &Path) -> String {
    // `hars/api/` is a folder, which cannot be the output of a recording.
    let is_folder = path == Path::new(DEFAULT_FIXTURES) || path.as_os_str().as_encoded_bytes().ends_with(b"/");
    let option = if is_folder { folder_option(path) } else { format!(" -o {}", quote(path)) };
    format!("record it first: `harproxy record{option} -- CMD`")
}

/// Returns the option of a recording into this folder. The default folder needs none.
fn folder_option(path: &Path) -> String {
    match path == Path::new(DEFAULT_FIXTURES) {
        true => String::new(),
        false => format!(" -o {}", quote(&path.join("recorded.har"))),
    }
}

fn of_spawn(error: &SpawnError) -> String {
    match error {
        SpawnError::NotFound { program } if program.to_string_lossy().contains(' ') => {
            "pass program and arguments as separate words, or a shell command: `-- sh -c '…'`".into()
        }
        SpawnError::NotFound { .. } => "check its spelling and PATH; run shell syntax with `-- sh -c '…'`".into(),
        // The script exists, but its interpreter does not.
        SpawnError::NotExecutable { program, source } if source.kind() == ErrorKind::NotFound => format!(
            "the interpreter in its first line (`#!…`) does not exist: fix the line (LF, not CR LF), or put an interpreter in front: `-- sh {}`",
            quote(Path::new(program))
        ),
        SpawnError::NotExecutable { program, .. } => {
            format!("make it executable: `chmod +x {}`, or put its interpreter in front", quote(Path::new(program)))
        }
        SpawnError::Lost { .. } => "run it again".into(),
    }
}

fn of_bind(error: &BindError) -> String {
    let hint = match error {
        BindError::Listen { source, .. } => match source.kind() {
            ErrorKind::AddrInUse => {
                "another program uses this port: take any free port with `-p 0`, or choose one with `-p PORT`"
            }
            ErrorKind::AddrNotAvailable => "this machine does not have that address: use `127.0.0.1`",
            ErrorKind::PermissionDenied => "ports below 1024 are for the administrator: choose another with `-p PORT`",
            _ => "choose another address with `--listen ADDR:PORT`",
        },
        BindError::ListenReverse { .. } => "choose another port, or leave the number out: harproxy takes a free one",
        BindError::Reverse { .. } => "an origin is one such as `billing=https://api.example.com`",
        BindError::Threads { .. } => {
            "the limits of processes (`ulimit -u`) or open files (`ulimit -n`) are too low: raise them, then run this again"
        }
    };
    hint.to_owned()
}

fn of_admin(error: &AdminError) -> String {
    match error {
        AdminError::Listen { .. } => "choose another port with `--admin PORT`, or leave the option out".to_owned(),
        AdminError::TokenFile { source, .. } => io_hint(source),
        AdminError::NoRandomNumbers => "start without the admin API: `--no-admin`".to_owned(),
    }
}

/// Returns the hint for an error of a file.
pub fn io_hint(source: &io::Error) -> String {
    let hint = match source.kind() {
        ErrorKind::PermissionDenied => "check its permissions and those of its folder, or pass another path",
        ErrorKind::ReadOnlyFilesystem => "the file system is read-only: pass another path",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "free disk space, then run this again",
        ErrorKind::FileTooLarge => "raise the limit of file sizes (`ulimit -f`), then run this again",
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => {
            "a file has the path of the folder: move it, or pass another path"
        }
        ErrorKind::IsADirectory => "a folder has the path of the file: move it, or pass another path",
        ErrorKind::NotFound => "check the path",
        _ => "check the disk and the path, then run this again",
    };
    hint.to_owned()
}
