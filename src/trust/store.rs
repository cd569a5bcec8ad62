//! A trust store: the CA as its entry, its readers, how to list it, and the commands that list and change it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, pem};
use serde::Serialize;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use harproxy_har::digest::hex;
use harproxy_tls::authority::Authority;

/// Prefix of the common name of every harproxy CA; eight hexadecimal digits follow.
const COMMON_NAME: &str = "harproxy CA ";
/// Number of fingerprint digits in names of files and entries.
const DIGITS: usize = 8;

#[derive(Clone, Debug)]
pub struct Ca {
    /// The certificate's file, PEM.
    pub file: PathBuf,
    /// The common name, which a store's own list shows.
    pub name: String,
    /// The name of its entry in a store: `harproxy-` and the first digits of its SHA-256, lower case.
    pub label: String,
    /// The certificate's serial number, lower-case hexadecimal without leading zeros.
    pub serial: String,
    der: CertificateDer<'static>,
}

impl Ca {
    pub fn of(authority: &Authority) -> Self {
        let der = authority.cert_der().clone();
        let digits: String = authority.fingerprint().chars().filter(char::is_ascii_hexdigit).take(DIGITS).collect();
        let parsed = X509Certificate::from_der(&der).ok();
        let serial = parsed.as_ref().map(|(_, parsed)| hex(parsed.raw_serial())).unwrap_or_default();
        Ca {
            file: authority.cert_path(),
            name: common_name(&der).unwrap_or_else(|| COMMON_NAME.trim_end().to_owned()),
            label: format!("harproxy-{}", digits.to_ascii_lowercase()),
            serial: serial.trim_start_matches('0').to_owned(),
            der,
        }
    }

    /// Returns true if the certificate is this CA's, byte for byte.
    pub(super) fn is(&self, other: &CertificateDer<'_>) -> bool {
        self.der.as_ref() == other.as_ref()
    }

    /// Returns the common name of another harproxy CA, from before `ca new` or of another `--ca-dir`.
    pub(super) fn other(&self, other: &CertificateDer<'_>) -> Option<String> {
        if self.is(other) {
            return None;
        }
        common_name(other).filter(|name| is_harproxy_name(name))
    }
}

/// Returns true if a common name has the form of harproxy's CAs.
pub(super) fn is_harproxy_name(common_name: &str) -> bool {
    let digits = common_name.strip_prefix(COMMON_NAME);
    digits.is_some_and(|digits| digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Returns the certificates of a PEM text. Malformed and other blocks are skipped.
pub(super) fn certificates(text: &[u8]) -> impl Iterator<Item = CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(text).filter_map(Result::<_, pem::Error>::ok)
}

fn common_name(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let name = parsed.subject().iter_common_name().next()?;
    name.as_str().ok().map(str::to_owned)
}

/// Words of a command. A name in braces at the end of a word is a placeholder:
///
/// - `{ca}`: the file of the CA
/// - `{label}`: [`Ca::label`]
/// - `{place}`: the path of the store
/// - `{tool}`: the program that manages the store
/// - `{entry}`: the identifier of an entry: a file, a nickname, an alias
pub(super) type Words = &'static [&'static str];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// Programs that use the system's roots.
    System,
    /// Chromium and related browsers.
    Chromium,
    Firefox,
    Java,
}

#[derive(Clone, Debug)]
pub(super) enum Listing {
    /// Folders of files and the bundle built from them. The first existing bundle is read.
    Files {
        folders: Vec<PathBuf>,
        bundles: Vec<PathBuf>,
    },
    Nss,
    Keytool,
    /// security(1).
    Keychain,
    /// Windows' certutil.
    Windows,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    Missing {
        tool: &'static str,
        get: Installation,
    },
    /// The system has no commands for it; the text is an instruction for the user.
    ByHand(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Installation {
    /// By a command that needs root.
    Command(&'static str),
    /// By a package, with the system's package manager.
    Package(&'static str),
}

impl Installation {
    /// Returns the instruction for a user with these rights.
    pub fn instruction(self, rights: Rights) -> String {
        match (self, rights) {
            (Installation::Command(command), Rights::Sudo) => format!("sudo {command}"),
            (Installation::Command(command), Rights::User) => format!("{command} (as root)"),
            (Installation::Command(command), Rights::Administrator) => command.to_owned(),
            (Installation::Package(package), _) => format!("install {package}"),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreEntry {
    /// Its common name.
    pub name: String,
    /// Its identifier in the store: a file, a nickname, an alias.
    pub handle: OsString,
}

#[derive(Clone, Debug)]
pub struct Store {
    pub kind: StoreKind,
    /// Its name in messages.
    pub name: String,
    pub place: PathBuf,
    /// Its readers, as the end of a sentence after "read by".
    pub readers: &'static str,
    pub obstacle: Option<Obstacle>,
    pub(super) listing: Listing,
    pub(super) needs_root: bool,
    pub(super) install: &'static [Words],
    /// Removes an entry of this CA.
    pub(super) remove: &'static [Words],
    /// Removes an entry of another harproxy CA, if `remove` does not.
    pub(super) remove_other: Option<Words>,
    /// Applies removals, after all of them.
    pub(super) update: Option<Words>,
    /// Undoes `install`, if `remove` does not: listing the store may not show the entry.
    pub(super) undo: Option<Words>,
    /// Arguments of `tool` that suppress prompts.
    pub(super) unattended: &'static [&'static str],
    pub(super) ca: Ca,
    pub(super) tool: PathBuf,
    /// The identifier that the CA gets in the store.
    pub(super) entry: OsString,
}

impl Store {
    /// Returns the commands that add the CA; none if the user has to do it.
    pub fn install(&self) -> Vec<StoreCommand> {
        self.install.iter().map(|words| self.command(words, &self.entry)).collect()
    }

    pub fn undo(&self) -> Vec<StoreCommand> {
        match self.undo {
            Some(words) => vec![self.command(words, &self.entry)],
            None => self.removal(self.remove, [&self.entry]),
        }
    }

    /// Returns the commands that remove these entries of this CA.
    pub fn remove(&self, own: &[StoreEntry]) -> Vec<StoreCommand> {
        self.removal(self.remove, own.iter().map(|entry| &entry.handle))
    }

    /// Returns the commands that remove these entries of other harproxy CAs.
    pub fn remove_others(&self, others: &[StoreEntry]) -> Vec<StoreCommand> {
        let each = self.remove_other.as_ref().map_or(self.remove, std::slice::from_ref);
        self.removal(each, others.iter().map(|entry| &entry.handle))
    }

    fn removal<'a>(&self, each: &[Words], entries: impl IntoIterator<Item = &'a OsString>) -> Vec<StoreCommand> {
        let removals = entries.into_iter().flat_map(|entry| each.iter().map(move |words| self.command(words, entry)));
        removals.chain(self.update.map(|words| self.command(words, &self.entry))).collect()
    }

    fn command(&self, words: Words, entry: &OsStr) -> StoreCommand {
        let words: Vec<OsString> = words.iter().map(|word| self.fill(word, entry)).collect();
        // The suppressing arguments are for the store's tool only: `mkdir` would create folders with these names.
        let is_own = words.first().is_some_and(|program| *program == *self.tool.as_os_str());
        StoreCommand { words, needs_root: self.needs_root, unattended: if is_own { self.unattended } else { &[] } }
    }

    /// Replaces the placeholder of a word.
    pub(super) fn fill(&self, word: &str, entry: &OsStr) -> OsString {
        let (before, value) = match word.split_once('{') {
            Some((before, "ca}")) => (before, self.ca.file.as_os_str()),
            Some((before, "label}")) => (before, self.ca.label.as_ref()),
            Some((before, "place}")) => (before, self.place.as_os_str()),
            Some((before, "tool}")) => (before, self.tool.as_os_str()),
            Some((before, "entry}")) => (before, entry),
            _ => return word.into(),
        };
        let mut filled = OsString::from(before);
        filled.push(value);
        filled
    }
}

/// Folders of administration programs, which may be missing from a user's PATH.
const ADMINISTRATION_FOLDERS: &[&str] = &["/usr/local/sbin", "/usr/sbin", "/sbin"];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreCommand {
    pub words: Vec<OsString>,
    pub needs_root: bool,
    /// Additional arguments that suppress prompts. They are not shown to users, who can answer prompts.
    pub(super) unattended: &'static [&'static str],
}

impl StoreCommand {
    /// Returns the words for a user with these rights to type.
    pub fn typed(&self, rights: Rights) -> Vec<OsString> {
        let by_sudo = self.needs_root && rights == Rights::Sudo;
        by_sudo.then(|| "sudo".into()).into_iter().chain(self.words.iter().cloned()).collect()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    Administrator,
    /// `sudo` exists; it may refuse the user.
    Sudo,
    /// No rights beyond the user's own.
    User,
}

#[derive(Clone, Debug, Default)]
pub struct CommandOutput {
    pub ok: bool,
    pub out: String,
    pub err: String,
}

#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error("running `{program}`")]
    Start { program: String, source: io::Error },
    #[error("`{program}` failed: {said}")]
    Failed { program: String, said: String },
}

pub trait CommandRunner {
    /// Runs a command to its end, without standard input.
    fn run(&mut self, words: &[OsString]) -> io::Result<CommandOutput>;
}

/// Runs commands on this machine, with English messages and the folders of administration programs in PATH.
#[derive(Debug)]
pub struct LocalRunner {
    path: OsString,
}

impl LocalRunner {
    pub fn new(env: &BTreeMap<String, OsString>) -> Self {
        let path = env.get("PATH");
        let joined = std::env::join_paths(search_path(path)).ok();
        LocalRunner { path: joined.or_else(|| path.cloned()).unwrap_or_default() }
    }
}

impl CommandRunner for LocalRunner {
    fn run(&mut self, words: &[OsString]) -> io::Result<CommandOutput> {
        let Some((program, args)) = words.split_first() else { return Ok(CommandOutput::default()) };
        tracing::debug!(?words, "running");
        let mut command = Command::new(program);
        command.args(args).env("PATH", &self.path).env("LC_ALL", "C").stdin(Stdio::null());
        let output = command.output()?;
        Ok(CommandOutput {
            ok: output.status.success(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}

/// Runs a command, which may fail. `words` may start with `sudo`; errors name the program.
pub(super) fn run(runner: &mut dyn CommandRunner, words: &[OsString]) -> Result<CommandOutput, CommandError> {
    runner.run(words).map_err(|source| CommandError::Start { program: program(words), source })
}

/// Runs a command. Its failure is an error with the last line of its output.
pub(super) fn run_checked(runner: &mut dyn CommandRunner, words: &[OsString]) -> Result<CommandOutput, CommandError> {
    let output = run(runner, words)?;
    if output.ok {
        return Ok(output);
    }
    let last_line = |text: &str| text.lines().map(str::trim).rfind(|line| !line.is_empty()).map(str::to_owned);
    let said = last_line(&output.err).or_else(|| last_line(&output.out)).unwrap_or_else(|| "nothing".into());
    Err(CommandError::Failed { program: program(words), said })
}

fn program(words: &[OsString]) -> String {
    let program = words.iter().find(|word| *word != "sudo" && *word != "-n");
    program.map(|word| word.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Returns the absolute folders of PATH, then those of administration programs.
pub(super) fn search_path(path: Option<&OsString>) -> Vec<PathBuf> {
    let own = path.into_iter().flat_map(std::env::split_paths).filter(|folder| folder.is_absolute());
    own.chain(ADMINISTRATION_FOLDERS.iter().map(PathBuf::from)).collect()
}
