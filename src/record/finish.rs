//! Ends a recording: turns its journal into the fixture, or into a held recording, and reports the result.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;

use indexmap::IndexMap;

use super::damage::DamagedJournal;
use super::finalise::{self, Arrangement, Destination, IndexedExchange, JournalIndex};
use super::journal::JournalReader;
use super::{
    CmdEnd, Error, HostLine, OnFailure, RecordPlan, Recorder, RecordingResult, RecordingSummary, UpdateMode, Volatile,
    ambiguous, held,
};
use crate::verdict::explain::many;
use crate::verdict::request::RecordedEntry;
use crate::verdict::{CheckId, Finding, Location, RunMode, Severity, Verdict, connections};
use harproxy_glob::Globs;
use harproxy_har::Fixture;
use harproxy_har::write::ContentMode;
use harproxy_http::url::Parts;
use harproxy_matching::MatchRule;
use harproxy_redact::PlaceholderAllocator;
use harproxy_support::printable::{self, Shown as _};

impl Recorder {
    /// Turns the journal into the fixture. Blocks; call it after the engine has drained.
    ///
    /// # Errors
    /// [`Error`]; the old fixture and the journal stay.
    pub fn finalise(&self, end: CmdEnd) -> Result<RecordingResult, Error> {
        self.finalise_with_plan(&self.plan, end)
    }

    /// Turns the journal into the fixture with a learned policy, which replaces `[volatile]` and the rules of the plan.
    ///
    /// # Errors
    /// [`Error`]; the old fixture and the journal stay.
    pub fn finalise_with_policy(
        &self,
        volatile: Volatile,
        rules: Vec<MatchRule>,
        end: CmdEnd,
    ) -> Result<RecordingResult, Error> {
        self.finalise_with_plan(&RecordPlan { volatile, rules, ..self.plan.clone() }, end)
    }

    /// Writes the recording as a fixture of its own. Nothing can be recorded after that.
    pub fn copy_to(&self, fixture: &Path) -> Result<(), Error> {
        self.journal.close();
        let Some((mut reader, index)) = finalise::open(&self.locked, Some(&self.known_journal()))? else {
            return Ok(());
        };
        if let Some(names) = &mut reader.names {
            names.add_known(self.redactor.secrets());
        }
        let plan = RecordPlan { output: fixture.to_owned(), content: ContentMode::Attach, ..self.plan.clone() };
        finalise::write(&plan, UpdateMode::Replace, &index, &mut reader, Destination::Fixture).map(drop)
    }

    /// Returns the counts and findings so far.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let mut counts = self.collector.counts();
        self.live.count_connections(&mut counts);
        counts.redacted = self.redactor.secrets().found();
        counts.opaque = self.redactor.opaque_payloads();
        Verdict {
            mode: RunMode::RECORD,
            counts,
            findings: self.collector.findings(),
            fixtures: Vec::new(),
            duration_ms: self.collector.duration_ms(),
            rules: Vec::new(),
            observation: None,
        }
    }

    fn finalise_with_plan(&self, plan: &RecordPlan, end: CmdEnd) -> Result<RecordingResult, Error> {
        let mut naming = PlaceholderAllocator::new(self.redactor.secrets().run());
        let mut outcome = self.write_fixture(plan, end, &mut naming)?;
        // Findings hold markers until now.
        for finding in &mut outcome.verdict.findings {
            finding.text = naming.replace_markers_in_string(std::mem::take(&mut finding.text));
            finding.at.request = finding.at.request.take().map(|request| naming.replace_markers_in_string(request));
        }
        Ok(outcome)
    }

    /// Writes the fixture, or the held recording if CMD failed over an existing fixture. `naming` becomes that of the
    /// fixture.
    fn write_fixture(
        &self,
        plan: &RecordPlan,
        end: CmdEnd,
        naming: &mut PlaceholderAllocator,
    ) -> Result<RecordingResult, Error> {
        let Recorder { locked, journal, redactor, .. } = self;
        journal.close();
        let restored = if self.is_idle() { None } else { locked.restore()? };
        if restored.is_some() && !plan.output.exists() {
            return Ok(self.folder_removed());
        }
        let locked = restored.as_ref().unwrap_or(locked);
        if let Some(reason) = journal.failure() {
            return Ok(self.journal_failed(&reason));
        }
        let mut journal = finalise::open(locked, Some(&self.known_journal()))?;
        if let Some((_, index)) = &mut journal
            && !plan.record_failures
        {
            index.leave_out_failures();
        }
        let (unanswered, failed) = journal.as_ref().map_or((0, 0), |(_, index)| (index.unanswered, index.failed.len()));
        let has_content = |index: &JournalIndex| !index.exchanges.is_empty() || index.damage.is_some();
        let Some((mut reader, index)) = journal.filter(|(_, index)| has_content(index)) else {
            locked.remove()?;
            let summary = RecordingSummary { unanswered, failed, ..RecordingSummary::default() };
            return Ok(RecordingResult { summary, ..self.nothing_recorded(failed) });
        };
        if let Some(names) = &mut reader.names {
            names.add_known(redactor.secrets());
        }
        if let Some(damage) = &index.damage
            && (plan.output.exists() || index.exchanges.is_empty())
        {
            if !index.exchanges.is_empty() && !matches!(finalise::open(locked, None), Ok(Some(_))) {
                let failed = |source| Error::journal("repairing the journal", &locked.paths.journal, source);
                locked.rewrite_beginning(&self.known_journal().beginning().map_err(failed)?)?;
            }
            let kept = DamagedJournal::Unused(&locked.paths.journal);
            let finding = damage.finding(&plan.output, index.exchanges.len(), kept);
            let outcome =
                RecordingResult { held: Some(locked.paths.journal.clone()), ..self.unwritten_outcome(Some(finding)) };
            return Ok(outcome.count_saved(&index, &mut reader));
        }
        if end == CmdEnd::Failed && plan.on_failure == OnFailure::Hold && plan.output.exists() {
            let replaced_held = locked.paths.held.exists();
            let destination = Destination::Held(&locked.paths);
            finalise::write(plan, finalise::without_removals(plan.update), &index, &mut reader, destination)?;
            let undecoded = finalise::undecoded::find(&index, &mut reader)?;
            take_naming(&mut reader, naming);
            locked.remove()?;
            let held = Some(locked.paths.held.clone());
            let mut outcome = self.outcome(&index, &Arrangement::default());
            outcome.verdict.findings.extend(undecoded);
            return Ok(RecordingResult { held, replaced_held, ..outcome });
        }
        let arrangement = finalise::write(plan, plan.update, &index, &mut reader, Destination::Fixture)?;
        let undecoded = finalise::undecoded::find(&index, &mut reader)?;
        take_naming(&mut reader, naming);
        // The held recording is older. If the journal went first, a kill between the two would leave the older one.
        let replaced_held = held::discard(&locked.paths)?;
        if index.damage.is_some() {
            locked.keep_damaged()?;
        }
        locked.remove()?;
        let outcome = RecordingResult { written: true, replaced_held, ..self.outcome(&index, &arrangement) };
        let mut outcome = outcome.count_saved(&index, &mut reader);
        if let Some(damage) = &index.damage {
            let kept = DamagedJournal::Beside(&locked.paths.damaged);
            outcome.verdict.findings.push(damage.finding(&plan.output, index.exchanges.len(), kept));
        }
        let findings = &mut outcome.verdict.findings;
        add_stored_results(findings, &index, &outcome.entries, &plan.output)?;
        findings.extend(undecoded);
        if redactor.secrets().found() > 0 {
            let known = plan.values.iter().map(|(placeholder, _)| placeholder.clone()).collect();
            findings.extend(ambiguous::find(&Fixture::open(&plan.output)?, &known));
        }
        Ok(outcome)
    }

    /// The outcome of a recording whose exchanges were arranged in this way.
    fn outcome(&self, index: &JournalIndex, arrangement: &Arrangement) -> RecordingResult {
        let entries =
            index.exchanges.iter().map(|exchange| exchange.number).zip(arrangement.recorded_entries()).collect();
        let summary = RecordingSummary::new(index, arrangement);
        let differences = arrangement.differences.clone();
        RecordingResult { summary, entries, differences, ..self.unwritten_outcome(None) }
    }

    /// Nothing was recorded: the fixture, if there is one, stays as it is. `failed` is the number of requests that
    /// failed before a connection to upstream.
    fn nothing_recorded(&self, failed: usize) -> RecordingResult {
        let counts = self.collector.counts();
        let unauthorized = connections::unauthorized(&counts, CheckId::NOTHING_RECORDED, Severity::Error);
        if unauthorized.is_some() {
            return self.unwritten_outcome(unauthorized);
        }
        // A replay counts the misses that it passes to the recorder, which knows only their exchanges.
        let exchanges = self.exchanges.load(Ordering::Relaxed);
        let local = self.local_options();
        let (explanation, remedy) = match counts.requests.max(exchanges) {
            _ if failed > 0 => (
                match failed {
                    1 => "nothing was recorded: one request failed before it reached upstream".to_owned(),
                    _ => format!("nothing was recorded: {failed} requests failed before they reached upstream"),
                },
                "remove the cause that `upstream-failed` names, and record again".to_owned(),
            ),
            0 => (
                "nothing was recorded: no request came through the proxy".to_owned(),
                "check that the program uses the proxy (HTTP_PROXY, HTTPS_PROXY) and trusts its CA (SSL_CERT_FILE and the like); \
                 `harproxy env` shows all that CMD was told. One that can't use a proxy can be pointed at a `--reverse` port"
                    .to_owned(),
            ),
            requests if counts.local == requests && !local.is_empty() => (
                format!(
                    "nothing was recorded: {} went to this machine, and no glob names its origin",
                    many(requests, "request", "requests")
                ),
                format!("if that is the API, and not the program under test, record it with `{}`", local.join(" ")),
            ),
            requests => (
                match requests {
                    1 => "nothing was recorded: the one request was not in scope, or not answered".to_owned(),
                    _ => format!("nothing was recorded: of {requests} requests none was in scope and answered"),
                },
                match self.plan.scope.sources() {
                    globs if globs.is_empty() || exchanges > 0 => {
                        "the requests are noise, or broke off before an answer: see the log with `-v`".to_owned()
                    }
                    globs => self.describe_unmatched(globs),
                },
            ),
        };
        let finding = Finding::new(CheckId::NOTHING_RECORDED, Severity::Error, explanation);
        self.unwritten_outcome(Some(finding.with_hint(remedy)))
    }

    /// Returns advice about globs that match none of the URLs, with one of these and the glob that includes it.
    fn describe_unmatched(&self, globs: &[String]) -> String {
        let advice = format!(
            "check the globs: `{}` match none of the URLs that were seen",
            printable::one_line(&globs.join("` `"))
        );
        let Some(passed) = self.passed.get() else { return advice };
        let whole = globs.iter().filter(|glob| !glob.starts_with('!'));
        let mut whole = whole.map(|glob| format!("{}/**", glob.trim_end_matches('/')));
        let meant = whole.find(|glob| Globs::new([glob]).is_ok_and(|globs| globs.matches(passed)));
        let meant = meant.map_or_else(String::new, |glob| format!(": did you mean `{}`?", glob.shown()));
        let passed = Parts::of(passed);
        format!("{advice}, such as {}{}{meant}", passed.site(), passed.path)
    }

    /// The journal could not be written to its end.
    fn journal_failed(&self, reason: &io::Error) -> RecordingResult {
        let journal = &self.locked.paths.journal;
        let explanation =
            format!("writing the journal {} failed: {reason}; the fixture stays as it is", journal.shown());
        let room = match reason.kind() {
            io::ErrorKind::FileTooLarge => "raise the limit of file sizes (`ulimit -f`)",
            _ => "make room",
        };
        self.lost(explanation, format!("{room} and record again: it begins with what the journal holds"))
    }

    /// The folder was removed under the recording; the journal was put back.
    fn folder_removed(&self) -> RecordingResult {
        let output = &self.plan.output;
        let explanation = format!(
            "{} was removed while the run went on; the recording is in its journal, which was put back",
            output.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(output).shown()
        );
        let remedy = format!(
            "bring back the fixture if there was one, then `harproxy recover {}`",
            harproxy_support::shell_quote::path(output)
        );
        self.lost(explanation, remedy)
    }

    /// The result of a recording that stays in its journal.
    fn lost(&self, explanation: String, remedy: impl Into<String>) -> RecordingResult {
        let finding = Finding::new(CheckId::LOST, Severity::Error, explanation).with_hint(remedy);
        RecordingResult { held: Some(self.locked.paths.journal.clone()), ..self.unwritten_outcome(Some(finding)) }
    }

    /// The result of a recording that left the fixture as it is, with a finding about the fixture.
    fn unwritten_outcome(&self, finding: Option<Finding>) -> RecordingResult {
        let mut verdict = self.verdict();
        let at = Location::fixture(self.plan.output.display().to_string());
        verdict.findings.extend(finding.map(|finding| Finding { at, ..finding }));
        RecordingResult {
            verdict,
            hosts: self.hosts(),
            local_options: self.local_options(),
            written: false,
            summary: RecordingSummary::default(),
            held: None,
            replaced_held: false,
            entries: HashMap::new(),
            differences: Vec::new(),
            lost: BTreeSet::new(),
        }
    }

    /// Returns the table, with one line for the HTTP and HTTPS origins of a host.
    fn hosts(&self) -> Vec<HostLine> {
        let mut lines: IndexMap<String, HostLine> = IndexMap::new();
        for (origin, counts) in self.collector.hosts() {
            let line = lines.entry(origin.authority()).or_default();
            line.requests += counts.requests + counts.tunnels;
            line.recorded += counts.recorded;
            line.passed += counts.passed;
        }
        lines.into_iter().map(|(host, line)| HostLine { host, ..line }).collect()
    }
}

/// Adds to each finding about upstream whether the fixture stores its failures. A failure does not replace a recorded
/// response. `entries` are the entries of the written fixture by the numbers of their exchanges.
fn add_stored_results(
    findings: &mut [Finding],
    index: &JournalIndex,
    entries: &HashMap<u64, RecordedEntry>,
    fixture: &Path,
) -> Result<(), Error> {
    if !findings.iter().any(|finding| finding.check == CheckId::UPSTREAM_FAILED) {
        return Ok(());
    }
    let fixture = Fixture::open(fixture)?;
    let has_response =
        |recorded: &RecordedEntry| fixture.heads().get(recorded.entry).is_some_and(|head| head.status > 0);
    for finding in findings.iter_mut().filter(|finding| finding.check == CheckId::UPSTREAM_FAILED) {
        let has_text = |exchange: &&IndexedExchange| exchange.failure.as_ref() == Some(&finding.text);
        if index.failed.iter().any(|exchange| has_text(&exchange)) {
            finding.text = format!(
                "{}\nit is not recorded, and entries of this request stay; `--record-failures` records it as a failure",
                finding.text
            );
            continue;
        }
        let failed = index.exchanges.iter().filter(has_text);
        let failed: Vec<bool> = failed.filter_map(|exchange| entries.get(&exchange.number)).map(has_response).collect();
        let kept = failed.iter().filter(|has_response| **has_response).count();
        let stored = match (kept, failed.len()) {
            (_, 0) => continue,
            (0, _) => "it is recorded as a failure, and replayed as one: the connection is closed".to_owned(),
            (kept, all) if kept == all => "it is not recorded: the fixture keeps the response that it has".to_owned(),
            (kept, all) => format!(
                "{kept} of {all} requests keep the response that the fixture has; the others are recorded as \
                 failures, and replayed as failures: the connection is closed"
            ),
        };
        finding.text = format!("{}\n{stored}", finding.text);
    }
    Ok(())
}

fn take_naming(reader: &mut JournalReader, naming: &mut PlaceholderAllocator) {
    if let Some(names) = reader.names.take() {
        *naming = names.naming;
    }
}
