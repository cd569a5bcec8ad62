//! `replay --prune`: decides whether a run may prune, shows the entries before they are removed, and prints the result.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use super::advice::Failure;
use super::event::Event;
use super::next_steps::{self, files_of, quoted};
use super::run::{End, Run};
use super::summary;
use super::ui::{self, Ui, counted, faint, help, strong};
use crate::fixtures::prune::{self, Pruned, Selection};
use crate::verdict::{CheckId, Verdict};
use harproxy_har::Fixture;
use harproxy_http::escape::one_line;
use harproxy_redact::{Policy, display};

const MAX_SHOWN: usize = 20;
const MAX_SHOWN_IN_TOTAL: usize = 100;

/// Result of `--prune` for all fixtures of a run.
#[derive(Debug, Default)]
pub struct PruneResult {
    /// The reason if the run may not prune.
    refusal: Option<String>,
    pruned: Vec<(Arc<Fixture>, Pruned)>,
    /// Fixtures without any used entry. They are kept.
    unused: Vec<Arc<Fixture>>,
    pub failures: Vec<Failure>,
}

/// Prunes the fixtures of a run that passed, and records the removed entries in the verdict. Findings about unused
/// entries do not count, because the prune resolves them.
/// Fails with [`Failure::Cut`] if a signal arrives meanwhile. Each fixture is then either unchanged or pruned.
pub async fn prune_unused(
    run: &mut Run<'_>,
    end: &End,
    verdict: &mut Verdict,
    fixtures: &[Arc<Fixture>],
    policy: &Policy,
    ui: &Ui,
) -> Result<PruneResult, Failure> {
    let mut result = PruneResult { refusal: refusal(end, verdict), ..PruneResult::default() };
    if result.refusal.is_some() {
        return Ok(result);
    }
    let Selection { partly_unused, unused } = Selection::new(fixtures, &verdict.fixtures);
    result.unused = unused.into_iter().filter_map(|n| fixtures.get(n).cloned()).collect();
    let mut room = MAX_SHOWN_IN_TOTAL;
    for (n, entries) in &partly_unused {
        show(&fixtures[*n], entries, &mut room, policy, ui);
    }
    for (n, entries) in partly_unused {
        let fixture = fixtures[n].clone();
        let work = {
            let (fixture, entries) = (fixture.clone(), entries.clone());
            move || prune::prune_locked(&fixture, &entries)
        };
        match run.run_last_work("pruning", work).await {
            Ok(pruned) => {
                verdict.mark_pruned(n, &entries);
                result.pruned.push((fixture, pruned));
            }
            Err(cut @ Failure::Cut { .. }) => return Err(cut),
            Err(failure) => result.failures.push(failure),
        }
    }
    Ok(result)
}

/// Returns the reason if the run may not prune.
fn refusal(end: &End, verdict: &Verdict) -> Option<String> {
    Some(match end {
        End::NotStarted(_) => "CMD was not run".to_owned(),
        End::Cut(_) => "the run was interrupted".to_owned(),
        End::Cmd(status) if !end.is_clean() => format!("CMD ended with status {status}"),
        _ if !verdict.passed_except(&CheckId::UNUSED) => "the run failed".to_owned(),
        _ if verdict.fixtures.iter().all(|fixture| fixture.used == 0) => "no entry was used".to_owned(),
        _ => return None,
    })
}

/// Shows the entries to be removed, also with `--quiet`, because the command deletes data.
fn show(fixture: &Fixture, entries: &BTreeSet<usize>, room: &mut usize, policy: &Policy, ui: &Ui) {
    let path = fixture.path().display();
    let total = counted(fixture.entries(), "entry", "entries");
    let mut text = format!("{}: {} of {total} of {path}, unused\n", strong("pruning"), entries.len());
    let shown = entries.len().min(MAX_SHOWN).min(*room);
    *room -= shown;
    for head in entries.iter().take(shown).filter_map(|entry| fixture.heads().get(*entry)) {
        let url = display::redactor(policy).redact_url(head.url).unwrap_or_else(|| head.url.to_owned());
        let line = format!("  #{} {} {url}", head.entry, head.method);
        let _ = writeln!(text, "{}", ui::cut(&one_line(&line)));
    }
    if entries.len() > shown {
        let _ = writeln!(text, "  {}", faint(format!("and {} more", entries.len() - shown)));
    }
    ui.say(Event::Pruning, &text, json!({ "fixture": path.to_string(), "entries": entries }));
}

impl PruneResult {
    /// Prints the result for each fixture, and the next commands.
    pub fn print(&self, ui: &Ui) {
        if let Some(reason) = &self.refusal {
            return ui.note(Event::Pruned, &format!("nothing is pruned: {reason}"));
        }
        for (fixture, pruned) in &self.pruned {
            let members = json!({
                "fixture": fixture.path().display().to_string(),
                "entries": pruned.entries, "kept": pruned.kept, "payloads": pruned.payloads,
            });
            if !ui.quiet {
                ui.say(Event::Pruned, &summary_of(fixture.path(), pruned), members);
            }
        }
        for fixture in &self.unused {
            let path = fixture.path();
            let remove = help(format!("git rm -r {}", quoted(&files_of(path, false))));
            let text = format!("{} was not used at all and is kept; to remove it: {remove}", path.display());
            if !ui.quiet {
                ui.say(Event::Unused, &text, json!({ "fixture": path.display().to_string() }));
            }
        }
        if !self.pruned.is_empty() {
            let files = |(fixture, pruned): &(Arc<Fixture>, Pruned)| files_of(fixture.path(), pruned.payloads > 0);
            let files: Vec<PathBuf> = self.pruned.iter().flat_map(files).collect();
            ui.note(Event::Next, &next_steps::block(&["git diff --stat"], &files, &[]));
        } else if self.unused.is_empty() && self.failures.is_empty() {
            ui.note(Event::Pruned, "nothing to prune: every entry was used");
        }
        for failure in &self.failures {
            failure.print(ui);
        }
    }
}

fn summary_of(path: &Path, pruned: &Pruned) -> String {
    let removed = counted(pruned.entries, "entry", "entries");
    let mut text = format!("{}: {removed} pruned, {} kept", path.display(), pruned.kept);
    if pruned.payloads > 0 {
        let _ = write!(text, ", {} removed", counted(pruned.payloads, "payload", "payloads"));
    }
    if pruned.migrated {
        let _ = write!(text, "; {}", summary::MIGRATED);
    }
    for (file, other) in &pruned.left {
        let reason = match other == path {
            true => "it cannot be removed".to_owned(),
            false => format!("{} refers to it", other.display()),
        };
        let _ = write!(text, "\n  {file} is kept: {reason}");
    }
    text
}
