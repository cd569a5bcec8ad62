//! `[record]` and `[replay]`: options by their long names, with the values and parsers of the command line.

use std::error::Error as _;

use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ArgAction, Command};
use toml::de::DeValue;

use super::document::{ConfigFile, Error, Table, TomlItem, Value, kind};
use super::{COMMANDS, OptionValue, Values};

/// Ids of arguments that are not settings of a file.
const NOT_IN_FILES: [&str; 5] = ["config", "help", "version", "cmd", "allow_live"];

/// Ids of options with files of any name that harproxy overwrites or removes.
const WRITTEN: [&str; 2] = ["report", "ready_file"];

pub(super) fn section(
    document: &ConfigFile<'_>,
    table: Table<'_>,
    command: &str,
    grammar: &Command,
) -> Result<Values, Error> {
    let mut values = Values::new();
    for TomlItem { name, at, value } in document.items(table) {
        let Some(arg) = known(grammar, command).find(|arg| has_name(arg, &name)) else {
            let elsewhere = COMMANDS.into_iter().find(|other| known(grammar, other).any(|arg| has_name(arg, &name)));
            let elsewhere = elsewhere.map(|other| format!("to write it under [{other}]"));
            let kind = format!("option of [{command}]");
            return Err(document.unknown(kind, &name, at, known(grammar, command).map(key), elsewhere));
        };
        let typed = typed(document, &name, arg, &value)?;
        check_words(arg, &typed).map_err(|reason| document.wrong(&name, &value.span(), reason))?;
        let given = OptionValue { words: typed, at: document.at(&at) };
        if let Some(before) = values.insert(arg.get_id().to_string(), given) {
            return Err(document.wrong(&name, &at, format!("it is already set in line {}", before.at.line)));
        }
    }
    Ok(values)
}

/// Returns the grammar with these defaults in all commands.
pub(super) fn defaults(grammar: Command, values: &Values) -> Command {
    grammar
        .mut_args(|arg| match values.get(arg.get_id().as_str()) {
            Some(given) => arg.default_values(given.words.clone()),
            None => arg,
        })
        .mut_subcommands(|sub| defaults(sub, values))
}

/// Returns the options of a command, including the global ones.
pub(super) fn known<'g>(grammar: &'g Command, command: &str) -> impl Iterator<Item = &'g Arg> + use<'g> {
    let own = grammar.find_subcommand(command).into_iter().flat_map(Command::get_arguments);
    own.chain(grammar.get_arguments()).filter(|arg| !NOT_IN_FILES.contains(&arg.get_id().as_str()))
}

/// Returns the name of an option in a file. `--glob` is the list `globs`, and positional arguments use their id.
pub(super) fn key(arg: &Arg) -> String {
    match arg.get_long() {
        Some("glob") => "globs".to_owned(),
        Some(long) => long.to_owned(),
        None => arg.get_id().to_string(),
    }
}

/// Returns true if the option has this name in a file: its key, its long name or an alias.
fn has_name(arg: &Arg, name: &str) -> bool {
    let aliases = arg.get_all_aliases().unwrap_or_default();
    key(arg) == name || arg.get_long() == Some(name) || aliases.contains(&name)
}

/// Converts a value to command-line words.
fn typed(document: &ConfigFile<'_>, name: &str, arg: &Arg, value: &Value<'_>) -> Result<Vec<String>, Error> {
    match arg.get_action() {
        ArgAction::SetTrue => return Ok(vec![document.boolean(name, value)?.to_string()]),
        ArgAction::Append => {}
        _ if is_list_in_one_word(arg) => {
            return Ok(vec![words(document, name, arg, value)?.join(",")]);
        }
        _ => return Ok(vec![word(document, name, arg, value)?]),
    }
    if let (DeValue::Boolean(on), true) = (value.get_ref(), has_optional_value(arg)) {
        return Ok(if *on { vec!["**".to_owned()] } else { Vec::new() });
    }
    words(document, name, arg, value)
}

/// Converts a list to words and checks each one. The error has the position of the invalid item.
fn words(document: &ConfigFile<'_>, name: &str, arg: &Arg, list: &Value<'_>) -> Result<Vec<String>, Error> {
    let word = |item| {
        let word = word(document, name, arg, item)?;
        check_words(arg, std::slice::from_ref(&word)).map_err(|reason| document.wrong(name, &item.span(), reason))?;
        Ok(word)
    };
    document.list(list).into_iter().map(word).collect()
}

/// Returns true if a comma-separated list is one word: `--fail-on`.
fn is_list_in_one_word(arg: &Arg) -> bool {
    arg.get_value_names().is_some_and(|names| names.iter().any(|name| name.as_str() == "LIST"))
}

/// Returns true if the option needs no value: `--insecure`.
fn has_optional_value(arg: &Arg) -> bool {
    arg.get_num_args().is_some_and(|number| number.min_values() == 0)
}

/// Converts a value to a word. Paths are relative to the configuration file. A value is a path if its name in the help
/// ends with FILE or DIR.
fn word(document: &ConfigFile<'_>, name: &str, arg: &Arg, value: &Value<'_>) -> Result<String, Error> {
    let word = match value.get_ref() {
        DeValue::String(text) => text.as_ref().to_owned(),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        other => {
            let example = arg.get_value_names().and_then(|names| names.first()).map(|name| name.to_string());
            let of = example.map_or_else(String::new, |example| format!(" ({example})"));
            return Err(document.wrong(name, &value.span(), format!("expected a string{of}, not {}", kind(other))));
        }
    };
    let names = arg.get_value_names().unwrap_or_default();
    let is_path = names.iter().any(|name| name.ends_with("FILE") || name.ends_with("DIR"));
    let has_key = names.iter().any(|name| name.contains('='));
    if WRITTEN.contains(&arg.get_id().as_str()) {
        let option = arg.get_long().unwrap_or_default();
        document.check_inside(option, &word, &value.span())?;
    }
    Ok(match (is_path, has_key.then(|| word.split_once('=')).flatten()) {
        (true, Some((key, path))) => format!("{key}={}", document.path(path)),
        (true, None) if !has_key => document.path(&word),
        _ => word,
    })
}

/// Checks the words with the parser of the option and returns its error.
fn check_words(arg: &Arg, words: &[String]) -> Result<(), String> {
    let Some(long) = arg.get_long().filter(|_| arg.get_action().takes_values()) else { return Ok(()) };
    let typed = words.iter().map(|word| format!("--{long}={word}"));
    let alone = Command::new("harproxy").no_binary_name(true).disable_help_flag(true).arg(arg.clone());
    alone.try_get_matches_from(typed).map(drop).map_err(|error| {
        match (error.source(), error.get(ContextKind::ValidValue)) {
            (Some(source), _) => source.to_string(),
            (None, Some(ContextValue::Strings(words))) if !words.is_empty() => {
                format!("expected one of {}", words.join(", "))
            }
            _ => error.kind().to_string(),
        }
    })
}
