//! `harproxy drift accept`: adds the current differences to `harproxy.toml` as known ones.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::PathBuf;

use super::{Finished, compare, publish};
use crate::cli::advice::Failure;
use crate::cli::args::drift::AcceptArgs;
use crate::cli::config::{NAME, projects_file};
use crate::cli::event::Event;
use crate::cli::files;
use crate::cli::next_steps;
use crate::cli::ui::{Ui, counted};
use crate::cli::usage_error::UsageError;
use crate::drift::accept::{Acceptance, add_to};
use crate::drift::checks;
use crate::drift::report::{DriftReport, DriftResult, INCONCLUSIVE, NOT_COMPARED};
use crate::verdict::exit;
use harproxy_support::printable::Shown as _;

/// Runs the command. The status is that of the comparison if something could not be compared, else 0.
pub async fn run(args: AcceptArgs, ui: &Ui) -> Result<u8, Failure> {
    if args.run.update.is_some() || args.run.every.is_some() {
        let hint = "run `harproxy drift accept` without them";
        return Err(UsageError::new("`accept` has no use for --update and --every", hint).into());
    }
    let Finished { report, .. } = compare(&args.run, ui).await?;
    let status = publish(&report, &args.run, ui)?;
    if report.result() != DriftResult::Drift {
        return Ok(status);
    }
    let acceptance = Acceptance {
        reason: reason(&args)?,
        owner: args.owner.clone().or_else(|| ask("owner (optional): ")),
        expires: args.expires,
    };
    let file = args.run.config.config.clone().or_else(projects_file).unwrap_or_else(|| NAME.into());
    let added = add(&file, &report, &acceptance)?;
    let accepted = counted(added, "difference is", "differences are");
    ui.alert(Event::Summary, &format!("{accepted} accepted in {}", file.shown()));
    ui.note(Event::Next, &next_steps::block(&[], &[file], &["harproxy drift".to_owned()]));
    // A report that was not written, and endpoints that were not compared, stay what they are.
    let has = |check| report.findings().any(|finding| finding.check == check);
    Ok(match status {
        exit::INTERNAL_ERROR => status,
        _ if has(checks::NOT_COMPARED) => NOT_COMPARED,
        _ if has(checks::NOT_AUTHORIZED) => INCONCLUSIVE,
        _ => exit::SUCCESS,
    })
}

fn reason(args: &AcceptArgs) -> Result<String, UsageError> {
    let given = args.reason.clone().or_else(|| ask("reason: ")).filter(|reason| !reason.trim().is_empty());
    given.ok_or_else(|| {
        UsageError::new(
            "an accepted difference needs a reason",
            "pass it: `harproxy drift accept --reason 'ids are random'`",
        )
    })
}

/// Asks on the terminal. `None` without one, or without an answer.
fn ask(question: &str) -> Option<String> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return None;
    }
    let mut answer = String::new();
    write!(io::stderr(), "{question}").ok()?;
    io::stdin().lock().read_line(&mut answer).ok()?;
    Some(answer.trim().to_owned()).filter(|answer| !answer.is_empty())
}

fn add(file: &PathBuf, report: &DriftReport, acceptance: &Acceptance) -> Result<usize, Failure> {
    let text = match std::fs::read_to_string(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        read => read.map_err(|source| Failure::Write { path: file.clone(), source })?,
    };
    let (text, added) = add_to(&text, report, acceptance).map_err(|source| {
        let doing = format!("adding suppressions to {}", file.shown());
        UsageError::new(doing, "a suppression is a section `[[drift.suppress]]`").because(source)
    })?;
    files::write(file, text.as_bytes())?;
    Ok(added)
}
