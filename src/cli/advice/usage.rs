//! What clap found wrong with the command line.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use serde_json::{Map, Value};

use crate::cli::event::Event;
use crate::cli::ui::{self, Ui};
use crate::verdict::exit;
use harproxy_redact::{Policy, display};

/// Tells what clap found, and where CMD goes when somebody forgot the two dashes. The status is 0 for `--help`.
pub fn tell_usage(mut error: clap::Error, ui: &Ui) -> u8 {
    withhold(&mut error);
    let text = error.render().ansi().to_string();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            return ui.data(&text).map_or(exit::BROKEN, |()| exit::HELD);
        }
        _ => {}
    }
    let text = match forgotten(&error) {
        Some(hint) => format!("{text}\n{}: {hint}", ui::help("hint")),
        None => text,
    };
    ui.say(Event::Error, &text, Map::from_iter([("status".to_owned(), Value::from(exit::USAGE))]));
    exit::USAGE
}

/// Options whose values are nobody's business even when they are no values: a name without a colon may be a token.
const SECRET: [&str; 6] = ["--auth", "--upstream-proxy", "--header", "--url", "--data", "--reverse"];

/// Takes the value out of the message where it may be a secret, or holds one: logs of CI are read by many.
fn withhold(error: &mut clap::Error) {
    let named = |name: &str| SECRET.iter().any(|secret| name.split([' ', '=']).next() == Some(secret));
    let is_secret = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(name)) => named(name),
        Some(ContextValue::Strings(names)) => names.iter().any(|name| named(name)),
        _ => false,
    };
    let Some(ContextValue::String(value)) = error.get(ContextKind::InvalidValue) else { return };
    let told = if is_secret && !value.is_empty() {
        "(redacted)".to_owned()
    } else {
        let told = display::redactor(&Policy::default()).redact_text(value.as_bytes()).into_owned();
        String::from_utf8_lossy(&told).into_owned()
    };
    error.insert(ContextKind::InvalidValue, ContextValue::String(told));
}

/// What is missing before a word that no option takes.
fn forgotten(error: &clap::Error) -> Option<String> {
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
        return Some(format!("the reports of runs stand after `--combine`: `harproxy report --combine {word}`"));
    }
    // Others run no program.
    usage.contains("CMD").then(|| format!("a program to run stands after two dashes: `-- {word} …`"))
}
