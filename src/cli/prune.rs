//! `replay --prune`: whether a run may prune, showing what goes before anything is written, and telling what became of it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value, json};
use tokio::task::spawn_blocking;

use super::advice::Failure;
use super::event::Event;
use super::run::{End, Run};
use super::summary;
use super::ui::{self, Ui, counted, faint, help, strong};
use crate::record;
use crate::upkeep::prune::{self, Pruned};
use crate::verdict::{CheckId, Verdict};
use harproxy_har::Fixture;
use harproxy_http::escape::one_line;
use harproxy_redact::{Policy, display};

/// So many entries of a fixture are shown.
const SHOWN: usize = 20;
/// And so many of all fixtures.
const SHOWN_OF_ALL: usize = 100;

/// Why a fixture could not be pruned; it is as it was.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody records into it, or that can't be found out.
    #[error(transparent)]
    Held(record::Error),
    /// It can't be read or written, or was changed.
    #[error(transparent)]
    Pruning(#[from] prune::Error),
}

/// What became of the wish to prune.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Why nothing was done at all.
    why_not: Option<String>,
    /// What was taken out of which fixture.
    done: Vec<(Arc<Fixture>, Pruned)>,
    /// Fixtures that were not used at all: whole files are their owner's to remove.
    whole: Vec<Arc<Fixture>>,
    failures: Vec<Failure>,
}

/// Prunes the fixtures of a run that has ended, if it passed: what only was not used does not count against it, since that goes.
/// The verdict is told what went.
///
/// # Errors
/// [`Failure::Cut`] when a signal comes meanwhile: each fixture is then as it was, or as it is to be.
pub async fn after(
    run: &mut Run<'_>,
    end: &End,
    verdict: &mut Verdict,
    fixtures: &[Arc<Fixture>],
    policy: &Policy,
    ui: &Ui,
) -> Result<Outcome, Failure> {
    let mut outcome = Outcome { why_not: why_not(end, verdict), ..Outcome::default() };
    if outcome.why_not.is_some() {
        return Ok(outcome);
    }
    let mut cuts = Vec::new();
    for (n, (fixture, used)) in fixtures.iter().zip(&verdict.fixtures).enumerate() {
        let gone = prune::candidates(fixture, &used.unused);
        if used.used == 0 && !gone.is_empty() {
            outcome.whole.push(fixture.clone());
        } else if !gone.is_empty() {
            cuts.push((n, fixture.clone(), gone));
        }
    }
    let mut room = SHOWN_OF_ALL;
    for (_, fixture, gone) in &cuts {
        show(fixture, gone, &mut room, policy, ui);
    }
    for (n, fixture, gone) in cuts {
        let work = {
            let (fixture, gone) = (fixture.clone(), gone.clone());
            spawn_blocking(move || carry_out(&fixture, &gone))
        };
        let done = run.unless_interrupted(work).await?;
        match done.map_err(|panic| Failure::System { doing: "pruning", source: panic.into() }) {
            Ok(Ok(pruned)) => {
                verdict.mark_pruned(n, &gone);
                outcome.done.push((fixture, pruned));
            }
            Ok(Err(error)) => outcome.failures.push(error.into()),
            Err(failure) => outcome.failures.push(failure),
        }
    }
    Ok(outcome)
}

fn why_not(end: &End, verdict: &Verdict) -> Option<String> {
    match end {
        End::NotStarted(_) => return Some("CMD was not run".to_owned()),
        End::Cut(_) => return Some("the run was cut short".to_owned()),
        End::Cmd(status) if !end.is_clean() => return Some(format!("CMD ended with status {status}")),
        End::Cmd(_) | End::NoCmd => {}
    }
    if !verdict.passed_except(&CheckId::UNUSED) {
        return Some("the run failed".to_owned());
    }
    let used = verdict.fixtures.iter().any(|fixture| fixture.used > 0);
    (!used).then(|| "no entry was used".to_owned())
}

fn carry_out(fixture: &Fixture, gone: &BTreeSet<usize>) -> Result<Pruned, Error> {
    let _hold = record::lock_fixture(fixture.path()).map_err(Error::Held)?;
    Ok(prune::prune(fixture, gone)?)
}

/// Shows what goes. It is told to the quiet too: something of theirs is taken away.
fn show(fixture: &Fixture, gone: &BTreeSet<usize>, room: &mut usize, policy: &Policy, ui: &Ui) {
    let path = fixture.path().display();
    let of = counted(fixture.entries(), "entry", "entries");
    let mut text = format!("{}: {} of {of} of {path}, which nothing asked for\n", strong("pruning"), gone.len());
    let shown = gone.len().min(SHOWN).min(*room);
    *room -= shown;
    for head in gone.iter().take(shown).filter_map(|entry| fixture.heads().get(*entry)) {
        let url = display::redactor(policy).redact_url(head.url).unwrap_or_else(|| head.url.to_owned());
        let line = format!("  #{} {} {url}", head.entry, head.method);
        let _ = writeln!(text, "{}", ui::cut(&one_line(&line)));
    }
    if gone.len() > shown {
        let _ = writeln!(text, "  {}", faint(format!("and {} more", gone.len() - shown)));
    }
    let members = json!({ "fixture": path.to_string(), "entries": gone });
    ui.say(Event::Pruning, &text, object(members));
}

impl Outcome {
    /// Whether something that was to be done could not be.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        !self.failures.is_empty()
    }

    /// Tells what became of each fixture, and what to type next.
    pub fn tell(&self, ui: &Ui) {
        if let Some(why) = &self.why_not {
            return ui.note(Event::Pruned, &format!("nothing is pruned: {why}"));
        }
        for (fixture, pruned) in &self.done {
            let members = json!({
                "fixture": fixture.path().display().to_string(),
                "entries": pruned.entries, "kept": pruned.kept, "payloads": pruned.payloads,
            });
            if !ui.quiet {
                ui.say(Event::Pruned, &told(fixture.path(), pruned), object(members));
            }
        }
        for fixture in &self.whole {
            let path = fixture.path();
            let remove = help(format!("git rm -r {}", words(&files_of(path, false))));
            let text = format!("{} was not used at all and stays as it is; to remove it: {remove}", path.display());
            if !ui.quiet {
                ui.say(Event::Unused, &text, object(json!({ "fixture": path.display().to_string() })));
            }
        }
        if !self.done.is_empty() {
            let files: Vec<PathBuf> =
                self.done.iter().flat_map(|(fixture, pruned)| files_of(fixture.path(), pruned.payloads > 0)).collect();
            let (diff, add) = (help("git diff --stat"), help(format!("git add {}", words(&files))));
            ui.note(Event::Next, &format!("\n{}\n  {diff}\n  {add}\n", strong("Next:")));
        } else if self.whole.is_empty() && self.failures.is_empty() {
            ui.note(Event::Pruned, "nothing is pruned: every entry was used");
        }
        self.failures.iter().for_each(|failure| failure.tell(ui));
    }
}

fn told(path: &Path, pruned: &Pruned) -> String {
    let gone = counted(pruned.entries, "entry", "entries");
    let mut text = format!("{}: {gone} pruned, {} kept", path.display(), pruned.kept);
    if pruned.payloads > 0 {
        let _ = write!(text, ", {} removed", counted(pruned.payloads, "payload", "payloads"));
    }
    for (file, other) in &pruned.left {
        let _ = write!(text, "\n  {file} stays: ");
        let _ = match other == path {
            true => write!(text, "it can't be removed"),
            false => write!(text, "{} refers to it", other.display()),
        };
    }
    text
}

/// The files of a fixture as git knows them; its payload folder even when it is no longer there, if payloads were removed.
fn files_of(path: &Path, removed: bool) -> Vec<PathBuf> {
    let folder = summary::payload_folder(path).filter(|folder| removed || folder.is_dir());
    [path.to_owned()].into_iter().chain(folder).collect()
}

fn words(files: &[PathBuf]) -> String {
    files.iter().map(|file| harproxy_support::shell_quote::path(file)).collect::<Vec<_>>().join(" ")
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}
