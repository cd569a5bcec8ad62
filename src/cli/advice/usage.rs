//! Output of errors that clap finds in the command line.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use serde_json::{Map, Value};

use super::Failure;
use crate::cli::event::Event;
use crate::cli::ui::{self, Ui};
use crate::verdict::exit;
use harproxy_redact::{Policy, display};

impl From<clap::Error> for Failure {
    fn from(mut error: clap::Error) -> Self {
        redact_value(&mut error);
        Failure::Usage(error)
    }
}

/// Prints an error of clap, with a hint if `--` before CMD was probably forgotten. The status is 0 for `--help`.
pub(super) fn print(error: &clap::Error, ui: &Ui) -> u8 {
    let text = error.render().ansi().to_string();
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return ui.data(&text).map_or(exit::INTERNAL_ERROR, |()| exit::SUCCESS);
    }
    let text = match missing_word_hint(error) {
        Some(hint) => format!("{text}\n{}: {hint}", ui::help("hint")),
        None => text,
    };
    ui.say(Event::Error, &text, Map::from_iter([("status".to_owned(), Value::from(exit::USAGE))]));
    exit::USAGE
}

/// Options whose values may be secrets, also if they are malformed. For example, a user name without a colon may be a
/// token.
const SECRET: [&str; 6] = ["--auth", "--upstream-proxy", "--header", "--url", "--data", "--reverse"];

/// Redacts a value in the message that is or contains a secret.
fn redact_value(error: &mut clap::Error) {
    let named = |name: &str| SECRET.iter().any(|secret| name.split([' ', '=']).next() == Some(secret));
    let is_secret = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(name)) => named(name),
        Some(ContextValue::Strings(names)) => names.iter().any(|name| named(name)),
        _ => false,
    };
    let Some(ContextValue::String(value)) = error.get(ContextKind::InvalidValue) else { return };
    let shown = if is_secret && !value.is_empty() {
        "(redacted)".to_owned()
    } else {
        let redacted = display::redactor(&Policy::default()).redact_text(value.as_bytes()).into_owned();
        String::from_utf8_lossy(&redacted).into_owned()
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
    usage.contains("CMD").then(|| format!("put the program after two dashes: `-- {word} …`"))
}
