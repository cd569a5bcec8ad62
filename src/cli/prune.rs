//! `replay --prune`, `prune` and `rm`: decides whether a run may prune, shows the entries before they are removed, and
//! prints the result.

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
use harproxy_redact::{Policy, display};
use harproxy_support::printable::Shown as _;
use harproxy_support::printable::one_line;

const MAX_SHOWN: usize = 20;
const MAX_SHOWN_IN_TOTAL: usize = 100;

/// Result of removing entries from several fixtures.
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
    let mut result = PruneResult { refusal: refusal(end, &run.advised(verdict.clone())), ..PruneResult::default() };
    if result.refusal.is_some() {
        return Ok(result);
    }
    let Selection { partly_unused, unused } = Selection::new(fixtures, &verdict.fixtures);
    result.unused = unused.into_iter().filter_map(|n| fixtures.get(n).cloned()).collect();
    let mut announcer = Announcer::default();
    for (n, entries) in &partly_unused {
        announcer.show(&fixtures[*n], entries, policy, ui);
    }
    for (n, entries) in partly_unused {
        let fixture = fixtures[n].clone();
        let work = {
            let (fixture, entries) = (fixture.clone(), entries.clone());
            move || prune::prune_locked(&fixture, &entries)
        };
        match run.run_last_work("pruning", work).await {
            Err(cut @ Failure::Cut { .. }) => return Err(cut),
            done => {
                if done.is_ok() {
                    verdict.mark_pruned(n, &entries);
                }
                result.add(fixture, done);
            }
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
        _ => return refusal_of(verdict),
    })
}

/// Returns the reason if a run with this verdict may not prune.
pub fn refusal_of(verdict: &Verdict) -> Option<String> {
    if !verdict.passed_except(&CheckId::UNUSED) {
        return Some("the run failed".to_owned());
    }
    let is_idle = verdict.fixtures.iter().all(|fixture| fixture.used == 0);
    is_idle.then(|| "no entry was used".to_owned())
}

/// Shows the entries to be removed, up to a number of lines.
#[derive(Debug, Default)]
pub struct Announcer {
    shown: usize,
    fixtures: usize,
}

impl Announcer {
    /// Returns true if nothing was shown.
    pub fn is_unused(&self) -> bool {
        self.fixtures == 0
    }

    /// Shows the entries of a fixture, also with `--quiet`, because the command deletes data.
    pub fn show(&mut self, fixture: &Fixture, entries: &BTreeSet<usize>, policy: &Policy, ui: &Ui) {
        self.fixtures += 1;
        let shown = entries.len().min(MAX_SHOWN).min(MAX_SHOWN_IN_TOTAL - self.shown);
        self.shown += shown;
        announce(fixture, entries, shown, policy, ui);
    }
}

fn announce(fixture: &Fixture, entries: &BTreeSet<usize>, shown: usize, policy: &Policy, ui: &Ui) {
    let path = fixture.path().shown();
    let total = counted(fixture.entries(), "entry", "entries");
    let mut text = format!("{}: {} of {total} of {path}, unused\n", strong("pruning"), entries.len());
    for head in entries.iter().take(shown).filter_map(|entry| fixture.heads().get(*entry)) {
        let url = display::redactor(policy).redact_url(head.url).unwrap_or_else(|| head.url.to_owned());
        let line = format!("  #{} {} {url}", head.entry, head.method);
        let _ = writeln!(text, "{}", ui::cut(&one_line(&line)));
    }
    if entries.len() > shown {
        let _ = writeln!(text, "  {}", faint(format!("and {} more", entries.len() - shown)));
    }
    ui.say(Event::Pruning, &text, json!({ "fixture": fixture.path().display().to_string(), "entries": entries }));
}

impl PruneResult {
    /// Starts a result with fixtures that are kept because none of their entries was used.
    pub fn keeping(unused: Vec<Arc<Fixture>>) -> Self {
        PruneResult { unused, ..PruneResult::default() }
    }

    /// Adds the result of a fixture.
    pub fn add(&mut self, fixture: Arc<Fixture>, done: Result<Pruned, Failure>) {
        match done {
            Ok(pruned) => self.pruned.push((fixture, pruned)),
            Err(failure) => self.failures.push(failure),
        }
    }

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
            let text = format!("{} was not used at all and is kept; to remove it: {remove}", path.shown());
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
    let mut text = format!("{}: {removed} pruned, {} kept", path.shown(), pruned.kept);
    if pruned.payloads > 0 {
        let _ = write!(text, ", {} removed", counted(pruned.payloads, "payload", "payloads"));
    }
    if pruned.migrated {
        let _ = write!(text, "; {}", summary::MIGRATED);
    }
    for (file, other) in &pruned.left {
        let reason = match other == path {
            true => "it cannot be removed".to_owned(),
            false => format!("{} refers to it", other.shown()),
        };
        let _ = write!(text, "\n  {} is kept: {reason}", file.shown());
    }
    text
}
