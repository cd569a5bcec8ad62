//! What to do about each failure, in words to type.

use std::io;
use std::path::Path;

use super::Failure;
use crate::child::SpawnError;
use crate::cli::args::replay::DEFAULT_FIXTURES;
use crate::cli::{cmd, config, plan, prune};
use crate::upkeep::pack;
use crate::{record, replay, upkeep};
use harproxy_proxy::server::BindError;
use harproxy_tls::authority::{Authority, AuthorityError};

/// About the way upstream.
const UPSTREAM: &str = "`--upstream-ca FILE` and `--client-cert HOST=FILE` name files with `-----BEGIN CERTIFICATE-----` in them (PEM), \
                        the latter with its `-----BEGIN PRIVATE KEY-----` too, unencrypted; `--upstream-proxy` the URL of a proxy";

/// What helps with a failure.
#[must_use]
pub fn of(failure: &Failure) -> String {
    match failure {
        Failure::Config(error) => of_config(error),
        Failure::Plan(error) => of_plan(error),
        Failure::Filter(_) => {
            "a filter is a level, such as `debug`, or a list, such as `harproxy_proxy=trace,warn`".into()
        }
        Failure::Authority(error) => of_authority(error),
        Failure::Upstream(_) => UPSTREAM.into(),
        Failure::OwnProxy(_) => {
            "listen elsewhere with `--port`, or go without a proxy with `--upstream-proxy none`".into()
        }
        Failure::Record(error) => of_record(error),
        Failure::Replay(error) => of_replay(error),
        Failure::Fixture(error) => of_fixture(error),
        Failure::Pack(error) => of_pack(error),
        Failure::Prune(error) => of_prune(error),
        Failure::Bind(error) => of_bind(error),
        Failure::Write { source, .. } | Failure::System { source, .. } => of_io(source),
        Failure::Spawn(error) => of_spawn(error),
        Failure::Bundle(_) | Failure::Files(_) => {
            "check that the folder for temporary files (TMPDIR) can be written".into()
        }
        Failure::Cut { left: Some(output), .. } => format!(
            "nothing is lost: `harproxy recover {}`, or the next `harproxy record` into the same fixture, takes over what was \
             recorded",
            harproxy_support::shell_quote::path(output)
        ),
        Failure::Cut { left: None, .. } => {
            "one signal is enough: the run then comes to its end, and the verdict is told".into()
        }
        Failure::Input(_) => "give the lines by a pipe or a file".into(),
        Failure::Output(_) => "send the output to a file or a program that can take it".into(),
        Failure::Explain(error) => of_requests(error),
        Failure::Merge(error) => error.hint(),
        Failure::GitSetup(error) => error.hint(),
        Failure::Report(error) => error.hint(),
        Failure::Learn { .. } => "mend the file, or add the lines by hand".into(),
        Failure::Demo(_) => "the demo needs loopback and a folder that it can write to".into(),
    }
}

fn of_config(error: &config::Error) -> String {
    match error {
        config::Error::Read { .. } if error.is_not_found() => "check the path that `--config` names".into(),
        config::Error::Read { source, .. } if source.kind() == io::ErrorKind::InvalidData => {
            "save it as UTF-8, as TOML is".into()
        }
        config::Error::Read { source, .. } => of_io(source),
        config::Error::Syntax { .. } => {
            "a text stands between quotes, a list between brackets: `globs = [\"**/api/**\", \"!**/health\"]`".into()
        }
        config::Error::Unknown { .. } => {
            "options have the names they have on the command line, without dashes: `harproxy record --help` and `harproxy \
             replay --help` list them"
                .into()
        }
        config::Error::Value { .. } => "the same values do as on the command line; lists stand between brackets".into(),
    }
}

fn of_plan(error: &plan::Error) -> String {
    match error {
        plan::Error::Glob(_) => {
            "`*` stays within a path segment, `**` does not, `{a,b}` is one of several: `**/api/**`, `!**/health`"
                .into()
        }
        plan::Error::Remote(addr) => format!(
            "ask clients for a password with `--auth USER:PASS`, let everybody in with `--allow-remote`, or listen on \
             `127.0.0.1:{}`",
            addr.port()
        ),
        plan::Error::Ending { output } => {
            let har = harproxy_support::shell_quote::path(&output.with_extension("har"));
            format!("`-o {har}` has its payloads in a folder beside it, `.zip` is one archive; `.har.gz` is read, not written")
        }
        plan::Error::Twice { own, .. } => format!("give each a {own}"),
        plan::Error::NoPort => "name the port that harproxy is to have, here and where it is started: `-p 8899`".into(),
        plan::Error::TlsWithoutReverse => {
            "the proxy port itself needs none; name an origin: `--reverse https://api.example.com`".into()
        }
        plan::Error::NoDataFolder => "say where it is to live with `--ca-dir DIR`".into(),
        plan::Error::NoOneFixture => "name it: `harproxy replay --on-miss record hars/api.har -- CMD`".into(),
        plan::Error::RecordsInCi => {
            "record where you develop and commit the fixture; `--allow-ci-record` lets it happen here".into()
        }
        plan::Error::PrunesInCi => {
            "prune where you develop, look at the change and commit it; `HARPROXY_PRUNE=false` sets aside here what harproxy.toml \
             says"
                .into()
        }
        plan::Error::PrunesAndRecords => {
            "do one after the other: record what is missing, then `harproxy replay --prune -- CMD`".into()
        }
        plan::Error::TestNow { .. } => "a moment is written like `2026-11-20T09:30:00Z`".into(),
        plan::Error::NoEntry(argument) => {
            let file = argument.rsplit_once('#').map_or(&**argument, |(file, _)| file);
            let file = if file.is_empty() { "FILE".to_owned() } else { harproxy_support::shell_quote::path(Path::new(file)) };
            format!(
                "an entry is named FILE#N, as `harproxy ls {file}` does; `harproxy show --all {file}` shows them all"
            )
        }
        plan::Error::FailOn { .. } => {
            "a list such as `miss,unused`, or a change of the default such as `+unused,-ambiguous`".into()
        }
    }
}

fn of_prune(error: &prune::Error) -> String {
    let changed = "nothing is lost: run it again, so that what is used and what is there are of one time";
    match error {
        prune::Error::Held(record::Error::Locked { .. }) => "wait for it to end, then run this again".into(),
        prune::Error::Held(error) => of_record(error),
        prune::Error::Pruning(upkeep::prune::Error::Fixture(error)) => of_fixture(error),
        prune::Error::Pruning(upkeep::prune::Error::Changed { .. }) => changed.into(),
    }
}

fn of_authority(error: &AuthorityError) -> String {
    match error {
        AuthorityError::Io { path, source, .. } => match source.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                "choose another folder for the certificate authority with `--ca-dir DIR`".into()
            }
            _ => format!("mend {}, or choose another folder with `--ca-dir DIR`", path.display()),
        },
        AuthorityError::Exposed { path, .. } => {
            format!("only you may read it: `chmod 600 {}`", harproxy_support::shell_quote::path(path))
        }
        AuthorityError::Incomplete { dir, .. } => format!("put the file back, or make a new CA: {}", ca_new(dir)),
        AuthorityError::Malformed { path, .. } => {
            format!("bring the file back, or make a new CA: {}", ca_new(path.parent().unwrap_or(path)))
        }
        AuthorityError::Mismatch { dir } | AuthorityError::Expired { dir, .. } => {
            format!("make a new CA: {}; clients that trusted the old one must be told", ca_new(dir))
        }
        AuthorityError::Host { .. } | AuthorityError::Tls { .. } | AuthorityError::Certificate { .. } => {
            "a new CA may help: `harproxy ca new`".into()
        }
    }
}

fn ca_new(dir: &Path) -> String {
    match Authority::default_dir().is_some_and(|default| default == dir) {
        true => "`harproxy ca new`".into(),
        false => format!("`harproxy ca new --ca-dir {}`", harproxy_support::shell_quote::path(dir)),
    }
}

fn of_record(error: &record::Error) -> String {
    match error {
        record::Error::Fixture(error) => of_written(error),
        record::Error::Plan(_) => UPSTREAM.into(),
        record::Error::Journal { path, source, .. } if source.kind() == io::ErrorKind::InvalidData => {
            format!(
                "use the harproxy that recorded it, or drop what it recorded by removing {}",
                harproxy_support::shell_quote::path(path)
            )
        }
        record::Error::Journal { source, .. } => of_io(source),
        record::Error::NothingLeft { output } => of_nothing_left(output),
        record::Error::IsFolder { output } => {
            format!("name a file in it: `-o {}`", harproxy_support::shell_quote::path(&output.join("recorded.har")))
        }
        record::Error::Changed { output } => {
            let path = harproxy_support::shell_quote::path(output);
            format!("record again, or drop the held recording with `harproxy recover {path} --discard`")
        }
        record::Error::Foreign { .. } => {
            "take its place with `--update replace`, or record into another file with `-o FILE`".into()
        }
        record::Error::Rules(_) => "mend it under `[[match]]` in harproxy.toml".into(),
        record::Error::Volatile(_) => "mend it under `[volatile]` in harproxy.toml".into(),
        record::Error::Locked { .. } => "wait for it to end, or record into another file with `-o FILE`".into(),
    }
}

/// The fixtures in the same folder for which something was left, else how to make this one.
fn of_nothing_left(output: &Path) -> String {
    let left = record::fixtures_with_leftovers(output.parent().unwrap_or(Path::new("")));
    match &left[..] {
        [] => format!("record it first: `harproxy record{} -- CMD`", output_option(output)),
        left => {
            let each: Vec<_> = left
                .iter()
                .map(|path| format!("`harproxy recover {}`", harproxy_support::shell_quote::path(path)))
                .collect();
            format!("something was left for others: {}", each.join(", "))
        }
    }
}

fn of_written(error: &harproxy_har::Error) -> String {
    match error {
        harproxy_har::Error::Malformed { .. } | harproxy_har::Error::Entry { .. } => {
            "mend the file, bring it back with `git checkout`, or record it anew with `--update replace`".into()
        }
        harproxy_har::Error::Payload { source, .. } if source.kind() == io::ErrorKind::InvalidData => {
            "use the harproxy that recorded it, or drop what it recorded with `harproxy recover FILE --discard`, FILE being the fixture"
                .into()
        }
        error => of_fixture(error),
    }
}

fn of_fixture(error: &harproxy_har::Error) -> String {
    match error {
        harproxy_har::Error::Io { path, source, .. } if !error.is_about_writing() && source.kind() == io::ErrorKind::NotFound => {
            of_missing(path)
        }
        harproxy_har::Error::Io { source, .. } | harproxy_har::Error::Payload { source, .. } => of_io(source),
        harproxy_har::Error::NoFixture { path } if !record::fixtures_with_leftovers(path).is_empty() => {
            let left = record::fixtures_with_leftovers(path);
            let each: Vec<_> = left.iter().map(|path| format!("`harproxy recover {}`", harproxy_support::shell_quote::path(path))).collect();
            format!("a recording was cut short: {} makes a fixture of what is left", each.join(", "))
        }
        harproxy_har::Error::NoFixture { path } => format!("record one first: `harproxy record{} -- CMD`", folder_option(path)),
        harproxy_har::Error::Conflict { path, .. } => {
            let path = harproxy_support::shell_quote::path(path);
            format!(
                "keep one side, with `git checkout --ours {path}` or `--theirs`, and record again what the other had; after \
                 `harproxy git-setup` git merges fixtures by their entries"
            )
        }
        // It is nowhere in the file.
        harproxy_har::Error::Entry { path, line: None, .. } => format!("`harproxy ls {}` lists its entries", harproxy_support::shell_quote::path(path)),
        harproxy_har::Error::Malformed { .. } | harproxy_har::Error::Entry { .. } => {
            "a fixture is a HAR 1.2 file, or a .zip with one in it; bring it back with `git checkout`, or record it anew with \
             `harproxy record`"
                .into()
        }
    }
}

fn of_pack(error: &pack::Error) -> String {
    match error {
        pack::Error::Fixture(error) => of_fixture(error),
        pack::Error::IsArchive(path) => {
            format!("take it apart with `harproxy unpack {}`", harproxy_support::shell_quote::path(path))
        }
        pack::Error::NoArchive(path) => {
            format!("make it one with `harproxy pack {}`", harproxy_support::shell_quote::path(path))
        }
        pack::Error::Ending { wanted, .. } => format!("name a file that does with `-o FILE{wanted}`"),
        pack::Error::Exists(_) => "replace it with `--force`, or name another file with `-o FILE`".into(),
    }
}

fn of_replay(error: &replay::Error) -> String {
    match error {
        replay::Error::Fixture(harproxy_har::Error::Io { path, source, .. })
            if source.kind() == io::ErrorKind::NotFound =>
        {
            match on_path(path) {
                Some(name) => format!("a program to run stands after two dashes: `harproxy replay -- {name}`"),
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

/// A fixture that is not there: a recording of it may have been cut short.
fn of_missing(path: &Path) -> String {
    let left = record::fixtures_with_leftovers(path.parent().unwrap_or(Path::new("")));
    match left.iter().any(|left| left == path) {
        true => format!(
            "a recording of it was cut short: `harproxy recover {}` makes it of what is left",
            harproxy_support::shell_quote::path(path)
        ),
        false => format!("record it first: `harproxy record{} -- CMD`", output_option(path)),
    }
}

/// The path as a program's name, when a program of that name can be run: somebody forgot the two dashes.
fn on_path(path: &Path) -> Option<String> {
    let name = path.to_str().filter(|name| !name.contains(['/', '.']))?;
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).any(|folder| folder.join(name).is_file()).then(|| name.to_owned())
}

fn output_option(path: &Path) -> String {
    if path == Path::new(DEFAULT_FIXTURES) {
        return String::new();
    }
    // `hars/api/` is meant as a folder, which nothing can be recorded into.
    if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
        return folder_option(path);
    }
    format!(" -o {}", harproxy_support::shell_quote::path(path))
}

fn folder_option(path: &Path) -> String {
    if path == Path::new(DEFAULT_FIXTURES) {
        return String::new();
    }
    format!(" -o {}", harproxy_support::shell_quote::path(&path.join("recorded.har")))
}

fn of_requests(error: &cmd::explain::requests::Error) -> String {
    match error {
        cmd::explain::requests::Error::Read { source, .. } => of_io(source),
        cmd::explain::requests::Error::Line { .. } => {
            r#"a line is one such as `{"url":"https://api.example.com/users","method":"GET","headers":[],"bodyBase64":null}`"#
                .into()
        }
    }
}

fn of_spawn(error: &SpawnError) -> String {
    match error {
        SpawnError::NotFound { program } if program.to_string_lossy().contains(' ') => {
            "give program and arguments as words of their own, or a line for the shell: `-- sh -c '…'`".into()
        }
        SpawnError::NotFound { .. } => {
            "check its spelling and PATH; what a shell understands needs one: `-- sh -c '…'`".into()
        }
        // The script itself is there.
        SpawnError::NotExecutable { program, source } if source.kind() == io::ErrorKind::NotFound => format!(
            "what its first line names (`#!…`) is not there: mend the line (it ends in LF, not CR LF), or name an interpreter \
             before it: `-- sh {}`",
            harproxy_support::shell_quote::path(Path::new(program))
        ),
        SpawnError::NotExecutable { program, .. } => {
            format!(
                "make it executable: `chmod +x {}`, or name its interpreter before it",
                harproxy_support::shell_quote::path(Path::new(program))
            )
        }
        SpawnError::Lost { .. } => "run it again".into(),
    }
}

fn of_bind(error: &BindError) -> String {
    let source = match error {
        BindError::Listen { source, .. } => source,
        BindError::Reverse { .. } => return "an origin is one such as `billing=https://api.example.com`".into(),
        BindError::Threads { .. } => {
            return "the limits of processes (`ulimit -u`) or open files (`ulimit -n`) leave no room: raise them, then run it again".into();
        }
    };
    match source.kind() {
        io::ErrorKind::AddrInUse => {
            "another program (another harproxy?) listens there: take any free port with `-p 0`, or choose one with `-p PORT`".into()
        }
        io::ErrorKind::AddrNotAvailable => "that address is not this machine's: `127.0.0.1` is".into(),
        io::ErrorKind::PermissionDenied => "ports below 1024 are for the administrator: choose another with `-p PORT`".into(),
        _ => "choose another place with `--listen ADDR:PORT`".into(),
    }
}

fn of_io(source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::PermissionDenied => "check its permissions and its folder's, or choose another place".into(),
        io::ErrorKind::ReadOnlyFilesystem => "the file system is read only: choose another place".into(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room on the disk, then run it again".into(),
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            "a file stands where a folder is to be: move it away, or choose another place".into()
        }
        io::ErrorKind::IsADirectory => {
            "a folder stands where a file is to be: move it away, or choose another place".into()
        }
        io::ErrorKind::NotFound => "check the path".into(),
        _ => "check the disk and the path, then run it again".into(),
    }
}
