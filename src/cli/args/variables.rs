//! `HARPROXY_<OPTION>`: a variable for each option of `record` and `replay`, derived from its long name.

use std::collections::BTreeSet;
use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command};

/// Attaches the variable to every option that `record` or `replay` has, in all commands. An empty variable counts as
/// unset.
pub(super) fn attach(command: Command) -> Command {
    let known: BTreeSet<String> = ["record", "replay"]
        .iter()
        .filter_map(|name| command.find_subcommand(name))
        .flat_map(|sub| sub.get_arguments().chain(command.get_arguments()))
        .filter(|arg| arg.get_long().is_some())
        .map(|arg| arg.get_id().to_string())
        .collect();
    attach_known(command, &known)
}

fn attach_known(command: Command, known: &BTreeSet<String>) -> Command {
    command
        .mut_args(|arg| if known.contains(arg.get_id().as_str()) { with_variable(arg) } else { arg })
        .mut_subcommands(|sub| attach_known(sub, known))
}

/// Returns the variable name of an option.
#[must_use]
pub fn name(long: &str) -> String {
    format!("HARPROXY_{}", long.replace('-', "_").to_uppercase())
}

fn with_variable(arg: Arg) -> Arg {
    let Some(long) = arg.get_long() else { return arg };
    let name = name(long);
    let is_action = matches!(arg.get_action(), ArgAction::Help | ArgAction::Version);
    if is_action || std::env::var_os(&name).is_some_and(|value| value.is_empty()) {
        return arg;
    }
    let is_switch = matches!(arg.get_action(), ArgAction::SetTrue);
    let arg = if is_switch { arg.value_parser(switch(name.clone())) } else { arg };
    // Values may be secrets (--auth).
    arg.env(name).hide_env_values(true)
}

/// Names the variable in an error about an invalid value that does not stand on the command line.
pub(super) fn name_source(mut error: clap::Error, args: &[OsString]) -> clap::Error {
    let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg) else { return error };
    let Some(long) = option.split([' ', '=', '[']).next().and_then(|word| word.strip_prefix("--")) else {
        return error;
    };
    let is_said = |word: &OsString| {
        let word = word.to_string_lossy();
        word.strip_prefix("--").is_some_and(|word| word.split('=').next() == Some(long))
    };
    let variable = name(long);
    let is_set = std::env::var_os(&variable).is_some_and(|value| !value.is_empty());
    if error.kind() == ErrorKind::UnknownArgument || !is_set || args.iter().any(is_said) {
        return error;
    }
    let option = format!("{option} (from {variable})");
    error.insert(ContextKind::InvalidArg, ContextValue::String(option));
    error
}

/// Returns a parser for a variable that is on or off. Other values are errors, because a wrong guess for
/// `HARPROXY_NO_REDACT` would be dangerous.
fn switch(name: String) -> impl Fn(&str) -> Result<bool, String> + Clone {
    move |text| match text.trim().to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" | "" => Ok(false),
        _ => Err(format!("expected {name} to be 1, true, yes or on, or 0, false, no, off or empty")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switch_accepts_only_on_and_off_words() {
        let read = switch("HARPROXY_NO_REDACT".to_owned());
        for on in ["1", "true", "YES", "on"] {
            assert_eq!(read(on), Ok(true), "{on}");
        }
        for off in ["0", "False", "no", "off", "", " "] {
            assert_eq!(read(off), Ok(false), "{off}");
        }
        for neither in ["maybe", "2", "nope", "tru", "-"] {
            assert!(read(neither).unwrap_err().contains("HARPROXY_NO_REDACT"), "{neither}");
        }
    }
}
