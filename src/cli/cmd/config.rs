//! `harproxy config`: shows the effective settings and the origin of each.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::PathBuf;

use clap::ArgMatches;
use serde_json::{Value as Json, json};

use crate::cli::advice::Failure;
use crate::cli::args::Cli;
use crate::cli::args::about::SettingsArgs;
use crate::cli::config::{Config, Origin, Setting};
use crate::cli::ui::{self, Ui};
use crate::verdict::exit;
use harproxy_support::printable::one_line;

/// Minimum width of the origin column.
const ORIGIN_WIDTH: usize = "default".len();

pub fn run(mut args: SettingsArgs, ui: &Ui) -> Result<u8, Failure> {
    // After `record` or `replay`, clap collects `--json` and `--changed` with the options of that command.
    for (option, is_set) in [("--json", &mut args.json), ("--changed", &mut args.changed)] {
        let own = args.line.iter().take_while(|word| *word != "--").position(|word| word == option);
        if let Some(at) = own {
            args.line.remove(at);
            *is_set = true;
        }
    }
    let (mut settings, mut others) = (Vec::new(), Vec::new());
    for section in args.section.map_or(vec!["record", "replay", "drift"], |section| vec![section]) {
        let (config, options) = effective(section, &args)?;
        // A project that sets no option of `drift` has no use for the list.
        if section != "drift" || args.section.is_some() || config.has_defaults(section) {
            settings.extend(options);
        }
        others = config.others();
    }
    settings.extend(others);
    if args.changed {
        settings.retain(|setting| setting.source != Origin::Default);
    }
    let written = match args.json {
        true => ui.json(&settings.iter().map(|setting| format!("{}\n", json!(setting))).collect::<String>()),
        false => ui.data(&tables(&settings, ui::data_width().map(usize::from))),
    };
    written.map_err(Failure::Output)?;
    Ok(exit::SUCCESS)
}

/// Returns the configuration, and the options of a command with it.
fn effective(section: &'static str, args: &SettingsArgs) -> Result<(Config, Vec<Setting>), Failure> {
    let line = || ["harproxy", section].map(OsString::from).into_iter().chain(args.line.iter().cloned());
    let bare = Cli::command().try_get_matches_from(line())?;
    let named = of(&bare).and_then(|matches| matches.get_one::<PathBuf>("config")).or(args.config.as_ref());
    let config = Config::load(named.map(PathBuf::as_path), Cli::command)?;
    let grammar = config.defaults(section, Cli::command());
    let matches = grammar.clone().try_get_matches_from(line())?;
    let options = of(&matches).map(|matches| config.options(section, &grammar, matches)).unwrap_or_default();
    Ok((config, options))
}

/// Returns the matches of the subcommand.
fn of(matches: &ArgMatches) -> Option<&ArgMatches> {
    matches.subcommand().map(|(_, matches)| matches)
}

struct SettingRow {
    heading: String,
    key: String,
    value: String,
    source: String,
    is_default: bool,
}

/// Formats the tables, wrapped to `columns` if given.
fn tables(settings: &[Setting], columns: Option<usize>) -> String {
    let rows: Vec<SettingRow> = settings.iter().flat_map(rows).collect();
    let key = ui::column_width(rows.iter().map(|row| row.key.chars().count()));
    let room = columns.map_or(ui::MAX_COLUMN, |columns| columns.saturating_sub(key + ORIGIN_WIDTH + 6));
    let value = ui::column_width(rows.iter().map(|row| row.value.chars().count())).min(room);
    let mut text = String::new();
    let mut heading = "";
    for row in &rows {
        if row.heading != heading {
            let gap = if heading.is_empty() { "" } else { "\n" };
            let title = row.heading.split(' ').next().unwrap_or_default();
            let _ = writeln!(text, "{gap}{}", ui::strong(title));
            heading = &row.heading;
        }
        for line in within(columns, format!("  {:key$}  {:value$}  {}", row.key, row.value, row.source), row) {
            let _ = writeln!(text, "{}", if row.is_default { ui::faint(line) } else { line });
        }
    }
    text
}

/// Returns the line of a row, or one line per field if it is too long.
fn within(columns: Option<usize>, line: String, row: &SettingRow) -> Vec<String> {
    let Some(columns) = columns.filter(|columns| line.chars().count() > *columns) else { return vec![line] };
    let below = |text: &str, indent: &'static str| {
        let options = textwrap::Options::new(columns).initial_indent(indent).subsequent_indent("    ");
        textwrap::wrap(text, options).into_iter().map(std::borrow::Cow::into_owned).collect::<Vec<_>>()
    };
    [below(&row.key, "  "), below(&row.value, "    "), below(&row.source, "    ")].concat()
}

/// Returns the rows of a setting. A rule of `[[match]]` has its own table.
fn rows(setting: &Setting) -> Vec<SettingRow> {
    let row = |heading: String, key: &str, value: String| SettingRow {
        heading,
        key: one_line(key).into_owned(),
        value: one_line(&value).into_owned(),
        source: one_line(&setting.source.to_string()).into_owned(),
        is_default: setting.source == Origin::Default,
    };
    match &setting.value {
        Json::Object(rule) => {
            let heading = format!("[[{}]] {}", setting.section(), setting.source);
            rule.iter().map(|(key, value)| row(heading.clone(), key, plain(value))).collect()
        }
        value => {
            let meaning = setting.meaning.as_ref().map(|meaning| format!("({meaning})"));
            let value = meaning.unwrap_or_else(|| plain(value));
            vec![row(format!("[{}]", setting.section()), setting.key(), value)]
        }
    }
}

fn plain(value: &Json) -> String {
    match value {
        Json::Null => "-".to_owned(),
        Json::String(text) => text.clone(),
        Json::Array(items) if items.is_empty() => "-".to_owned(),
        Json::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}
