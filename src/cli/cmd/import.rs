//! `harproxy import`: converts recordings of other tools.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::json;

use super::record::twice::add_to_config;
use crate::cli::advice::Failure;
use crate::cli::args::import::ImportArgs;
use crate::cli::config::projects_file;
use crate::cli::event::Event;
use crate::cli::ui::{self, Ui, counted};
use crate::cli::usage_error::UsageError;
use crate::cli::{fixtures, next_steps};
use crate::import::{self, ImportSettings, Imported, SourceFormat};
use crate::record::twice;
use crate::verdict::exit;
use harproxy_har::write::ContentMode;
use harproxy_support::printable::{Shown as _, one_line};

/// Runs the command. The status is 1 if something was not carried over.
pub fn run(args: ImportArgs, ui: &Ui) -> Result<u8, Failure> {
    let config = args.config.loaded;
    let output = &args.output;
    if output.exists() && !args.force && !args.dry_run {
        let hint = "`--force` replaces it; `-o FILE` writes another one, which `harproxy merge` can add to it";
        return Err(UsageError::new(format!("{} exists", output.shown()), hint).into());
    }
    let format = SourceFormat::ALL.into_iter().find(|format| Some(format.name()) == args.format.as_deref());
    let settings = ImportSettings { base_url: args.base_url, variables: args.variables };
    let mut imported = import::read(&args.sources, format, &settings)?;
    let exchanges = std::mem::take(&mut imported.exchanges);
    let (entries, mut redacted) = (exchanges.len(), 0);
    if !args.dry_run && entries > 0 {
        let given = config.redact_values();
        let write = || import::write(output, exchanges, ContentMode::Attach, &config.policy, &given);
        redacted = fixtures::with_lock(output, write)?.1;
    }
    let file = projects_file().unwrap_or_else(|| "harproxy.toml".into());
    let adds_rules = args.write_policy && !args.dry_run && !imported.policy.is_empty();
    if adds_rules {
        add_to_config(&file, &imported.policy)?;
    }
    if args.json {
        let lost =
            imported.losses.iter().map(|loss| json!({ "file": loss.file, "line": loss.line, "text": loss.text }));
        let object = json!({
            "fixture": output, "files": imported.files, "entries": entries, "redacted": redacted,
            "policy": twice::to_toml(&imported.policy), "skipped": imported.skipped, "lost": lost.collect::<Vec<_>>(),
        });
        ui.json(&format!("{object}\n")).map_err(Failure::Output)?;
    } else {
        let text = summary(output, &imported, entries, redacted, args.dry_run);
        ui.alert(Event::Imported, &(text + &rules(&imported, &file, adds_rules)));
        if !args.dry_run && entries > 0 {
            let replay = format!("harproxy replay {} -- CMD", harproxy_support::shell_quote::path(output));
            ui.note(Event::Next, &next_steps::block(&[], &next_steps::files_of(output, false), &[replay]));
        }
    }
    Ok(if imported.losses.is_empty() { exit::SUCCESS } else { exit::FAILED })
}

fn summary(output: &Path, imported: &Imported, entries: usize, redacted: usize, dry: bool) -> String {
    let mut text = String::new();
    for loss in &imported.losses {
        let _ = writeln!(text, "{}", one_line(&loss.to_string()));
    }
    let (entries, files) = (counted(entries, "entry", "entries"), counted(imported.files, "file", "files"));
    let would = if dry { "would have " } else { "" };
    let _ = write!(text, "{}: {would}{entries} from {files}", output.shown());
    if redacted > 0 {
        let _ = write!(text, "; {} redacted", counted(redacted, "value", "values"));
    }
    if !imported.skipped.is_empty() {
        let _ = write!(
            text,
            "; {} in no known format (`--json` lists them)",
            counted(imported.skipped.len(), "file is", "files are")
        );
    }
    if !imported.losses.is_empty() {
        let lost = counted(imported.losses.len(), "part was", "parts were");
        let _ = write!(text, "; {lost} not carried over, listed above");
    }
    text
}

fn rules(imported: &Imported, file: &Path, added: bool) -> String {
    if imported.policy.is_empty() {
        return String::new();
    }
    let file = harproxy_support::shell_quote::path(file);
    let heading = match added {
        true => format!("added to {file}"),
        false => format!("lines for {file} (`--write-policy` adds them)"),
    };
    format!("\n{}\n\n{}", ui::strong(format!("{heading}:")), twice::to_toml(&imported.policy).trim_end())
}
