//! Failures of commands: message, hint and exit status of each.

pub mod hints;

use std::error::Error;
use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use serde_json::json;

use super::config;
use super::event::Event;
use super::ui::{self, Ui};
use super::usage_error::UsageError;
use crate::admin::client::CallError;
use crate::admin::server::AdminError;
use crate::child::SpawnError;
use crate::child::files::FilesError;
use crate::fixtures::{pack, prune};
use crate::import::ImportError;
use crate::isolate::IsolateError;
use crate::verdict::{CheckId, Finding, Severity, exit};
use crate::{record, replay};
use harproxy_proxy::BindError;
use harproxy_proxy::upstream::{OwnProxy, PlanError};
use harproxy_redact::{Policy, display};
use harproxy_support::printable::{self, Shown as _};
use harproxy_tls::authority::AuthorityError;
use harproxy_tls::bundle::BundleError;

#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command line cannot be parsed, or asks for `--help` or `--version`. It contains no secrets.
    #[error(transparent)]
    CommandLine(clap::Error),
    #[error(transparent)]
    Config(#[from] config::Error),
    #[error(transparent)]
    Usage(#[from] UsageError),
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    #[error(transparent)]
    Upstream(#[from] PlanError),
    /// The upstream proxy is this harproxy itself.
    #[error(transparent)]
    OwnProxy(#[from] OwnProxy),
    #[error(transparent)]
    Record(#[from] record::Error),
    #[error(transparent)]
    Replay(#[from] replay::Error),
    #[error(transparent)]
    Fixture(#[from] harproxy_har::Error),
    #[error(transparent)]
    Prune(#[from] prune::Error),
    #[error(transparent)]
    Pack(#[from] pack::Error),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("writing {}", path.shown())]
    Write { path: PathBuf, source: io::Error },
    #[error("reading standard input")]
    Input(#[source] io::Error),
    #[error("writing to standard output")]
    Output(#[source] io::Error),
    #[error("{doing}")]
    System {
        /// The action, such as "starting the runtime".
        doing: &'static str,
        source: io::Error,
    },
    #[error("the clock of this machine shows a time before 1970")]
    Clock,
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// The trust bundle of CMD cannot be built.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The files that CMD's environment refers to cannot be written.
    #[error(transparent)]
    Files(#[from] FilesError),
    #[error("ended at once by a second signal")]
    Cut {
        status: u8,
        /// The fixture with a recording that is not finished.
        left: Option<PathBuf>,
    },
    #[error("adding the learned lines to {}", path.shown())]
    Learn { path: PathBuf, source: record::twice::WriteError },
    #[error(transparent)]
    Import(#[from] ImportError),
    /// CMD cannot have an isolated network.
    #[error(transparent)]
    Isolate(#[from] IsolateError),
    #[error(transparent)]
    Admin(#[from] AdminError),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("{doing}")]
    Demo {
        /// The action, such as "requesting GET /health".
        doing: String,
        source: Box<dyn Error + Send + Sync>,
    },
}

impl Failure {
    /// Returns the failure of a second signal, without a recording.
    #[must_use]
    pub fn cut(status: u8) -> Self {
        Failure::Cut { status, left: None }
    }

    #[must_use]
    pub fn status(&self) -> u8 {
        match self {
            Failure::Fixture(error) | Failure::Pack(pack::Error::Fixture(error)) => match error.is_about_writing() {
                true => exit::INTERNAL_ERROR,
                false => exit::USAGE,
            },
            Failure::CommandLine(_)
            | Failure::Config(_)
            | Failure::Usage(_)
            | Failure::Upstream(_)
            | Failure::OwnProxy(_)
            | Failure::Replay(_)
            | Failure::Import(_)
            | Failure::Isolate(IsolateError::NoCommand)
            | Failure::Call(CallError::Refused { .. })
            | Failure::Pack(_) => exit::USAGE,
            Failure::Bind(BindError::Reverse { .. }) => exit::USAGE,
            Failure::Record(
                record::Error::Plan(_)
                | record::Error::IsFolder { .. }
                | record::Error::Foreign { .. }
                | record::Error::Changed { .. }
                | record::Error::NothingLeft { .. }
                | record::Error::Fixture(
                    harproxy_har::Error::Malformed { .. }
                    | harproxy_har::Error::Entry { .. }
                    | harproxy_har::Error::Conflict { .. },
                ),
            ) => exit::USAGE,
            Failure::Spawn(error) => error.exit_code(),
            Failure::Cut { status, .. } => *status,
            _ => exit::INTERNAL_ERROR,
        }
    }

    #[must_use]
    pub fn hint(&self) -> String {
        hints::of(self)
    }

    /// Returns the failure as a finding `lost`: the recording did not become a fixture.
    #[must_use]
    pub fn finding(&self) -> Finding {
        let because: String = causes(self).iter().map(|cause| format!("\nbecause {cause}")).collect();
        let finding = Finding::new(
            CheckId::LOST,
            Severity::Error,
            format!("{}{because}", printable::one_line(&self.to_string())),
        );
        Finding { hint: Some(self.hint()), ..finding }
    }

    /// Prints the failure with its causes and its hint, and returns the exit status.
    pub fn print(&self, ui: &Ui) -> u8 {
        if let Failure::CommandLine(error) = self {
            return print_usage_error(error, ui);
        }
        let because = causes(self);
        let mut text = format!("{}: {}\n", ui::bad("error"), printable::one_line(&self.to_string()));
        for cause in &because {
            let _ = writeln!(text, "  because {cause}");
        }
        let hint = self.hint();
        let _ = write!(text, "\n{}: {hint}", ui::help("hint"));
        let members = json!({ "error": self.to_string(), "because": because, "hint": hint, "status": self.status() });
        ui.say(Event::Error, &text, members);
        self.status()
    }
}

impl From<clap::Error> for Failure {
    fn from(mut error: clap::Error) -> Self {
        redact_value(&mut error);
        Failure::CommandLine(error)
    }
}

/// Prints an error of clap, with a hint if `--` before CMD was probably forgotten. The status is 0 for `--help`.
fn print_usage_error(error: &clap::Error, ui: &Ui) -> u8 {
    let text = words_of(error).fold(error.render().ansi().to_string(), |text, word| {
        // The message repeats words as they were typed, also within hints.
        if word.contains(printable::is_invisible) { text.replace(word, &printable::one_line(word)) } else { text }
    });
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return ui.data(&text).map_or(exit::INTERNAL_ERROR, |()| exit::SUCCESS);
    }
    let text = match missing_word_hint(error) {
        Some(hint) => format!("{text}\n{}: {hint}", ui::help("hint")),
        None => text,
    };
    ui.say(Event::Error, &text, json!({ "status": exit::USAGE }));
    exit::USAGE
}

/// Returns the words of the command line that an error of clap is about.
fn words_of(error: &clap::Error) -> impl Iterator<Item = &str> {
    error
        .context()
        .flat_map(|(_, value)| match value {
            ContextValue::String(word) => std::slice::from_ref(word),
            ContextValue::Strings(words) => words,
            _ => &[],
        })
        .map(String::as_str)
}

/// Options whose whole values may be secrets, also if they are malformed. For example, a user name without a colon may
/// be a token.
const SECRET: [&str; 3] = ["--auth", "--header", "--data"];
/// Options with URLs, which are shown unless there are credentials in them.
const WITH_URL: [&str; 4] = ["--upstream-proxy", "--url", "--reverse", "--same-host"];

/// Redacts a value in the message that is or contains a secret.
fn redact_value(error: &mut clap::Error) {
    let names: &[String] = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(name)) => std::slice::from_ref(name),
        Some(ContextValue::Strings(names)) => names,
        _ => &[],
    };
    let is_of = |options: &[&str]| {
        names.iter().any(|name| options.iter().any(|option| name.split([' ', '=', '[']).next() == Some(option)))
    };
    let Some(ContextValue::String(value)) = error.get(ContextKind::InvalidValue) else { return };
    let is_secret = is_of(&SECRET) || (is_of(&WITH_URL) && value.contains('@'));
    let shown = if is_secret && !value.is_empty() {
        "(redacted)".to_owned()
    } else {
        let policy = Policy::default();
        let mut redactor = display::redactor(&policy);
        let text = redactor.redact_url(value).unwrap_or_else(|| value.clone());
        String::from_utf8_lossy(&redactor.redact_text(text.as_bytes())).into_owned()
    };
    error.insert(ContextKind::InvalidValue, ContextValue::String(shown));
}

/// Returns a hint about the option or `--` that is missing before an unexpected word.
fn missing_word_hint(error: &clap::Error) -> Option<String> {
    let (ErrorKind::UnknownArgument, Some(ContextValue::String(word))) =
        (error.kind(), error.get(ContextKind::InvalidArg))
    else {
        return None;
    };
    if word.starts_with('-') {
        return None;
    }
    let usage = error.get(ContextKind::Usage).map(ToString::to_string).unwrap_or_default();
    if usage.contains("harproxy report") {
        let word = harproxy_support::shell_quote::word(word);
        return Some(format!("put the reports after `--combine`: `harproxy report --combine {word}`"));
    }
    // Other commands do not run a program.
    let command = usage.split_once("harproxy ").and_then(|(_, rest)| rest.split_whitespace().next())?;
    let word = harproxy_support::shell_quote::word(word);
    let suggestion = format!("did you mean `harproxy {command} -- {word} …`? The program stands after two dashes");
    usage.contains("CMD").then_some(suggestion)
}

/// Formats an error with its causes, on one line.
#[must_use]
pub fn one_line(error: &(dyn Error + 'static)) -> String {
    let because: String = causes(error).iter().map(|cause| format!(": {cause}")).collect();
    format!("{}{because}", plain(error))
}

/// Returns the sources of an error, outermost first. A source that only repeats the error above it is left out.
#[must_use]
pub fn causes(error: &dyn Error) -> Vec<String> {
    let mut shown = error.to_string();
    let mut causes = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = plain(cause);
        if !shown.ends_with(&text) {
            causes.push(text.clone());
        }
        shown = text;
        next = cause.source();
    }
    causes
}

/// Formats an error on one line, without the number of the operating system and without a leading capital.
fn plain(error: &(dyn Error + 'static)) -> String {
    let text = printable::one_line(&error.to_string()).into_owned();
    let text = match text.split_once(" (os error ") {
        Some((words, _)) => words.to_owned(),
        None => text,
    };
    let mut letters = text.chars();
    match letters.next() {
        // `No such file …` is lowered, `TLS …` and `GET …` are not.
        Some(first) if first.is_uppercase() && letters.clone().next().is_some_and(char::is_lowercase) => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests;
