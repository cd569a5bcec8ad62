//! Everything that is known about what to do when something goes wrong: error → message, hint and exit status.

use std::error::Error as StdError;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use serde_json::{Map, Value};

use super::ui::{self, Ui};
use super::{cmd, config, logging, plan, quote};
use crate::child::SpawnError;
use crate::child::files::FilesError;
use crate::proxy::server::BindError;
use crate::proxy::upstream::PlanError;
use crate::tls::authority::{Authority, AuthorityError};
use crate::tls::bundle::{BundleError, BundleWarning};
use crate::upkeep::pack;
use crate::verdict::exit;
use crate::{har, learn, record, replay};

/// Why a command could not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The command line is wrong beyond the form of its values.
    #[error(transparent)]
    Plan(#[from] plan::Error),
    /// `HARPROXY_LOG` is wrong.
    #[error(transparent)]
    Filter(#[from] logging::FilterError),
    /// The certificate authority can't be used.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The options of the way upstream can't be carried out.
    #[error(transparent)]
    Upstream(#[from] PlanError),
    /// The recording can't start or can't be finished.
    #[error(transparent)]
    Record(#[from] record::Error),
    /// The replay can't start.
    #[error(transparent)]
    Replay(#[from] replay::Error),
    /// A fixture can't be read, or not be written.
    #[error(transparent)]
    Fixture(#[from] har::Error),
    /// A fixture can't be packed or unpacked.
    #[error(transparent)]
    Pack(pack::Error),
    /// The ports can't be opened.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A file for others to read can't be written.
    #[error("writing {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// Standard input can't be read.
    #[error("reading standard input")]
    Input(#[source] io::Error),
    /// Standard output can't be written.
    #[error("writing to standard output")]
    Output(#[source] io::Error),
    /// The operating system does not give what every run needs.
    #[error("{doing}")]
    System {
        /// What was being done: "starting the runtime".
        doing: &'static str,
        /// The reason.
        source: io::Error,
    },
    /// CMD can't be started.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// What CMD is to trust can't be put together.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The files that CMD's environment points at can't be written.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// A second signal: what was left to do is left. Holds the exit status.
    #[error("ended at once, as a second signal asked for")]
    Cut(u8),
    /// The requests to explain can't be read.
    #[error(transparent)]
    Explain(#[from] cmd::explain::requests::Error),
    /// Fixtures can't be merged.
    #[error(transparent)]
    Merge(#[from] cmd::merge::Error),
    /// The repository can't be set up.
    #[error(transparent)]
    GitSetup(#[from] cmd::git_setup::Error),
    /// What was learned can't be put into the configuration.
    #[error("adding what was learned to {}", path.display())]
    Learn {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: learn::WriteError,
    },
    /// The demo went wrong.
    #[error(transparent)]
    Demo(#[from] cmd::demo::Error),
}

impl From<pack::Error> for Failure {
    fn from(error: pack::Error) -> Self {
        match error {
            pack::Error::Fixture(error) => error.into(),
            error => Failure::Pack(error),
        }
    }
}

impl Failure {
    /// The exit status.
    #[must_use]
    pub fn status(&self) -> u8 {
        match self {
            Failure::Config(_)
            | Failure::Plan(_)
            | Failure::Filter(_)
            | Failure::Upstream(_)
            | Failure::Replay(_)
            | Failure::Merge(_)
            | Failure::GitSetup(_)
            | Failure::Explain(_) => exit::USAGE,
            Failure::Bind(BindError::Reverse { .. }) => exit::USAGE,
            Failure::Pack(_) => exit::USAGE,
            Failure::Fixture(error) if !error.is_about_writing() => exit::USAGE,
            Failure::Record(
                record::Error::Plan(_)
                | record::Error::IsFolder { .. }
                | record::Error::Foreign { .. }
                | record::Error::NothingLeft { .. }
                | record::Error::Fixture(
                    har::Error::Malformed { .. } | har::Error::Entry { .. } | har::Error::Conflict { .. },
                ),
            ) => exit::USAGE,
            Failure::Spawn(error) => error.exit_code(),
            Failure::Cut(status) => *status,
            _ => exit::BROKEN,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Failure::Config(error) => of_config(error),
            Failure::Plan(error) => of_plan(error),
            Failure::Filter(_) => {
                "a filter is a level, such as `debug`, or a list, such as `harproxy::proxy=trace,warn`".into()
            }
            Failure::Authority(error) => of_authority(error),
            Failure::Upstream(_) => {
                "`--upstream-ca`, `--client-cert` and `--upstream-proxy` are the options about this".into()
            }
            Failure::Record(error) => of_record(error),
            Failure::Replay(error) => of_replay(error),
            Failure::Fixture(error) => of_fixture(error),
            Failure::Pack(error) => of_pack(error),
            Failure::Bind(error) => of_bind(error),
            Failure::Write { source, .. } | Failure::System { source, .. } => of_io(source),
            Failure::Spawn(error) => of_spawn(error),
            Failure::Bundle(_) | Failure::Files(_) => {
                "check that the folder for temporary files (TMPDIR) can be written".into()
            }
            Failure::Cut(_) => {
                "nothing is lost: `harproxy recover FILE`, or the next `harproxy record` into the same fixture, takes over what was \
                 recorded"
                    .into()
            }
            Failure::Input(_) => "give the lines by a pipe or a file".into(),
            Failure::Output(_) => "send the output to a file or a program that can take it".into(),
            Failure::Explain(error) => of_requests(error),
            Failure::Merge(error) => error.hint(),
            Failure::GitSetup(error) => error.hint(),
            Failure::Learn { .. } => "mend the file, or add the lines by hand".into(),
            Failure::Demo(_) => "the demo needs loopback and a folder that it can write to".into(),
        }
    }

    /// Tells it.
    pub fn tell(&self, ui: &Ui) {
        let because = causes(self);
        let mut text = format!("{}: {self}\n", ui::bad("error"));
        for cause in &because {
            let _ = writeln!(text, "  because {cause}");
        }
        let hint = self.hint();
        let _ = write!(text, "\n{}: {hint}", ui::help("hint"));
        let members = Map::from_iter([
            ("error".to_owned(), Value::from(self.to_string())),
            ("because".to_owned(), because.into()),
            ("hint".to_owned(), hint.into()),
            ("status".to_owned(), self.status().into()),
        ]);
        ui.say("error", &text, members);
    }
}

/// The sources of an error, outermost first; one that only repeats the level above it is left out.
fn causes(error: &dyn StdError) -> Vec<String> {
    let mut told = error.to_string();
    let mut causes = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = plain(cause);
        if !told.ends_with(&text) {
            causes.push(text.clone());
        }
        told = text;
        next = cause.source();
    }
    causes
}

/// Errors of the operating system in its own words, without the number.
fn plain(error: &(dyn StdError + 'static)) -> String {
    let text = error.to_string();
    let text = match text.split_once(" (os error ") {
        Some((words, _)) => words.to_owned(),
        None => text,
    };
    let mut letters = text.chars();
    match letters.next() {
        // `No such file …` begins a sentence; `TLS …` and `GET …` don't.
        Some(first) if first.is_uppercase() && letters.clone().next().is_some_and(char::is_lowercase) => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => text,
    }
}

fn of_config(error: &config::Error) -> String {
    match error {
        config::Error::Read { .. } if error.is_not_found() => "check the path that `--config` names".into(),
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
        plan::Error::Twice { .. } => "give each a name of its own: `--reverse billing=https://api.example.com`".into(),
        plan::Error::TlsWithoutReverse => {
            "the proxy port itself needs none; name an origin: `--reverse https://api.example.com`".into()
        }
        plan::Error::NoDataFolder => "say where it is to live with `--ca-dir DIR`".into(),
        plan::Error::NoOneFixture => "name it: `harproxy replay --on-miss record hars/api.har -- CMD`".into(),
        plan::Error::RecordsInCi => {
            "record where you develop and commit the fixture; `--allow-ci-record` lets it happen here".into()
        }
        plan::Error::TestNow { .. } => "a moment is written like `2026-11-20T09:30:00Z`".into(),
        plan::Error::NoEntry(argument) => {
            let file = argument.rsplit_once('#').map_or(&**argument, |(file, _)| file);
            let file = if file.is_empty() { "FILE".to_owned() } else { quote::path(Path::new(file)) };
            format!(
                "an entry is named FILE#N, as `harproxy ls {file}` does; `harproxy show --all {file}` shows them all"
            )
        }
        plan::Error::FailOn { .. } => {
            "a list such as `miss,unused`, or a change of the default such as `+unused,-ambiguous`".into()
        }
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
        AuthorityError::Exposed { path, .. } => format!("only you may read it: `chmod 600 {}`", quote::path(path)),
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
        false => format!("`harproxy ca new --ca-dir {}`", quote::path(dir)),
    }
}

fn of_record(error: &record::Error) -> String {
    match error {
        record::Error::Fixture(error) => of_written(error),
        record::Error::Plan(_) => {
            "`--upstream-ca`, `--client-cert` and `--upstream-proxy` are the options about this".into()
        }
        record::Error::Journal { path, source, .. } if source.kind() == io::ErrorKind::InvalidData => {
            format!("use the harproxy that recorded it, or drop what it recorded by removing {}", quote::path(path))
        }
        record::Error::Journal { source, .. } => of_io(source),
        record::Error::NothingLeft { output } => of_nothing_left(output),
        record::Error::IsFolder { output } => {
            format!("name a file in it: `-o {}`", quote::path(&output.join("recorded.har")))
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
    let left = record::left_in(output.parent().unwrap_or(Path::new("")));
    match &left[..] {
        [] => format!("record it first: `harproxy record{} -- CMD`", output_option(output)),
        left => {
            let each: Vec<_> = left.iter().map(|path| format!("`harproxy recover {}`", quote::path(path))).collect();
            format!("something was left for others: {}", each.join(", "))
        }
    }
}

fn of_written(error: &har::Error) -> String {
    match error {
        har::Error::Malformed { .. } | har::Error::Entry { .. } => {
            "mend the file, bring it back with `git checkout`, or record it anew with `--update replace`".into()
        }
        error => of_fixture(error),
    }
}

fn of_fixture(error: &har::Error) -> String {
    match error {
        har::Error::Io { path, source, .. } if !error.is_about_writing() && source.kind() == io::ErrorKind::NotFound => {
            format!("record it first: `harproxy record{} -- CMD`", output_option(path))
        }
        har::Error::Io { source, .. } | har::Error::Payload { source, .. } => of_io(source),
        har::Error::NoFixture { path } => format!("record one first: `harproxy record{} -- CMD`", folder_option(path)),
        har::Error::Conflict { path, .. } => {
            let path = quote::path(path);
            format!(
                "keep one side, with `git checkout --ours {path}` or `--theirs`, and record again what the other had; after \
                 `harproxy git-setup` git merges fixtures by their entries"
            )
        }
        // It is nowhere in the file.
        har::Error::Entry { path, line: None, .. } => format!("`harproxy ls {}` lists its entries", quote::path(path)),
        har::Error::Malformed { .. } | har::Error::Entry { .. } => {
            "a fixture is a HAR 1.2 file, or a .zip with one in it; bring it back with `git checkout`, or record it anew with \
             `harproxy record`"
                .into()
        }
    }
}

fn of_pack(error: &pack::Error) -> String {
    match error {
        pack::Error::Fixture(error) => of_fixture(error),
        pack::Error::IsArchive(path) => format!("take it apart with `harproxy unpack {}`", quote::path(path)),
        pack::Error::NoArchive(path) => format!("make it one with `harproxy pack {}`", quote::path(path)),
        pack::Error::Ending { wanted, .. } => format!("name a file that does with `-o FILE{wanted}`"),
        pack::Error::Exists(_) => "replace it with `--force`, or name another file with `-o FILE`".into(),
    }
}

fn of_replay(error: &replay::Error) -> String {
    match error {
        replay::Error::Fixture(har::Error::Io { path, source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            match on_path(path) {
                Some(name) => format!("a program to run stands after two dashes: `harproxy replay -- {name}`"),
                None => format!("record it first: `harproxy record{} -- CMD`", output_option(path)),
            }
        }
        replay::Error::Fixture(error) => of_fixture(error),
        replay::Error::Upstream(_) => {
            "`--upstream-ca`, `--client-cert` and `--upstream-proxy` are the options about this".into()
        }
        replay::Error::Matching(_) => {
            "a JSON path is one such as `$.meta.time`, an origin one such as `https://api.example.com`".into()
        }
    }
}

/// The path as a program's name, when a program of that name can be run: somebody forgot the two dashes.
fn on_path(path: &Path) -> Option<String> {
    let name = path.to_str().filter(|name| !name.contains(['/', '.']))?;
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).any(|folder| folder.join(name).is_file()).then(|| name.to_owned())
}

fn output_option(path: &Path) -> String {
    if path == Path::new(super::args::replay::DEFAULT_FIXTURES) {
        return String::new();
    }
    // `hars/api/` is meant as a folder, which nothing can be recorded into.
    if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
        return folder_option(path);
    }
    format!(" -o {}", quote::path(path))
}

fn folder_option(path: &Path) -> String {
    if path == Path::new(super::args::replay::DEFAULT_FIXTURES) {
        return String::new();
    }
    format!(" -o {}", quote::path(&path.join("recorded.har")))
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
        SpawnError::NotExecutable { program, .. } => {
            format!(
                "make it executable: `chmod +x {}`, or name its interpreter before it",
                quote::path(Path::new(program))
            )
        }
        SpawnError::Lost { .. } => "run it again".into(),
    }
}

fn of_bind(error: &BindError) -> String {
    let source = match error {
        BindError::Listen { source, .. } => source,
        BindError::Reverse { .. } => return "an origin is one such as `billing=https://api.example.com`".into(),
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

/// Something of the user's that can't be trusted, on one line.
#[must_use]
pub fn warning(warning: &BundleWarning) -> String {
    let because: String = causes(warning).iter().map(|cause| format!(": {cause}")).collect();
    format!("{}: {warning}{because}", ui::caution("warning"))
}

/// Tells what clap found, and where CMD goes when somebody forgot the two dashes. The status is 0 for `--help`.
pub fn tell_usage(error: &clap::Error, ui: &Ui) -> u8 {
    let text = error.render().ansi().to_string();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            return ui.data(&text).map_or(exit::BROKEN, |()| exit::HELD);
        }
        _ => {}
    }
    let text = match forgotten_dashes(error) {
        Some(cmd) => format!("{text}\n{}: a program to run stands after two dashes: `-- {cmd} …`", ui::help("hint")),
        None => text,
    };
    ui.say("error", &text, Map::from_iter([("status".to_owned(), Value::from(exit::USAGE))]));
    exit::USAGE
}

fn forgotten_dashes(error: &clap::Error) -> Option<&str> {
    match (error.kind(), error.get(ContextKind::InvalidArg)) {
        (ErrorKind::UnknownArgument, Some(ContextValue::String(arg))) if !arg.starts_with('-') => Some(arg),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
