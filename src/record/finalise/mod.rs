//! Turns a journal into a fixture. The journal is indexed first and then written entry by entry, so that memory does
//! not grow with payloads.

mod ambiguous;
mod compare;
mod entry;
mod graft;
mod index;
mod merge;
mod names;
mod payload;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::Path;

use compare::{Answers, Content};
use index::IndexedExchange;
pub use index::JournalIndex;
pub use merge::Arrangement;
use merge::{Step, Turns};
use payload::JournalledPayload;

use super::held::{self, RecordingSummary};
use super::journal::{JournalPaths, JournalReader, LockedJournal, SecretNames};
use super::volatile::Quiet;
use super::{CmdEnd, Error, OnFailure, Outcome, RecordPlan, Recorder, UpdateMode, outcome};
use harproxy_har::write::{ContentMode, FixtureWriter};
use harproxy_har::{Fixture, scope};
use harproxy_http::NormalUrl;
use harproxy_matching::Likeness;
use harproxy_redact::{PlaceholderAllocator, placeholder};

/// Checks that a recording can be finalised: the policy is valid, and an existing output can be read and merged into.
///
/// # Errors
/// [`Error::Foreign`], or the reason why the output or the policy cannot be read.
pub fn check(plan: &RecordPlan) -> Result<(), Error> {
    Quiet::new(&plan.volatile)?;
    Likeness::new(&plan.rules)?;
    existing(plan).map(drop)
}

/// Ends a recording: see [`Recorder::finalise`].
///
/// # Errors
/// [`Error`]; the old fixture and the journal stay.
pub fn finalise(recorder: &Recorder, plan: &RecordPlan, end: CmdEnd) -> Result<Outcome, Error> {
    let mut naming = PlaceholderAllocator::new(recorder.redactor.secrets().run());
    let mut outcome = write_recording(recorder, plan, end, &mut naming)?;
    // Findings hold markers until now.
    for finding in &mut outcome.verdict.findings {
        finding.text = naming.replace_markers_in_string(std::mem::take(&mut finding.text));
        finding.at.request = finding.at.request.take().map(|request| naming.replace_markers_in_string(request));
    }
    Ok(outcome)
}

/// Writes the recording as a fixture of its own: see [`Recorder::copy_to`].
///
/// # Errors
/// [`Error`].
pub fn copy(recorder: &Recorder, to: &Path) -> Result<(), Error> {
    recorder.journal.close();
    let Some((mut reader, index)) = open(&recorder.locked)? else { return Ok(()) };
    if let Some(names) = &mut reader.names {
        names.add_known(recorder.redactor.secrets());
    }
    let plan = RecordPlan { output: to.to_owned(), content: ContentMode::Attach, ..recorder.plan.clone() };
    write(&plan, UpdateMode::Replace, &index, &mut reader, Destination::Fixture).map(drop)
}

/// Writes the fixture, or the held recording if CMD failed over an existing fixture. `naming` becomes the one of the
/// fixture.
fn write_recording(
    recorder: &Recorder,
    plan: &RecordPlan,
    end: CmdEnd,
    naming: &mut PlaceholderAllocator,
) -> Result<Outcome, Error> {
    let Recorder { locked, journal, redactor, .. } = recorder;
    journal.close();
    let restored = if recorder.is_idle() { None } else { locked.restore()? };
    if restored.is_some() && !plan.output.exists() {
        return Ok(outcome::vanished(recorder));
    }
    let locked = restored.as_ref().unwrap_or(locked);
    if let Some(reason) = journal.failure() {
        return Ok(outcome::lost(recorder, &reason));
    }
    let journal = open(locked)?;
    let Some((mut reader, index)) = journal.filter(|(_, index)| !index.exchanges.is_empty()) else {
        locked.remove()?;
        return Ok(outcome::nothing(recorder));
    };
    if let Some(names) = &mut reader.names {
        names.add_known(redactor.secrets());
    }
    if end == CmdEnd::Failed && plan.on_failure == OnFailure::Hold && plan.output.exists() {
        let replaced_held = locked.paths.held.exists();
        let destination = Destination::Held(&locked.paths);
        write(plan, without_removals(plan.update), &index, &mut reader, destination)?;
        take_naming(&mut reader, naming);
        locked.remove()?;
        let held = Some(locked.paths.held.clone());
        return Ok(Outcome { held, replaced_held, ..outcome::of(recorder, &index, Arrangement::default()) });
    }
    let arrangement = write(plan, plan.update, &index, &mut reader, Destination::Fixture)?;
    take_naming(&mut reader, naming);
    // The held recording is older. If the journal went first, a kill between the two would leave the older one.
    let replaced_held = held::discard(&locked.paths)?;
    locked.remove()?;
    let mut outcome = Outcome { written: true, replaced_held, ..outcome::of(recorder, &index, arrangement) };
    if redactor.secrets().found() > 0 {
        let known = plan.values.iter().map(|(placeholder, _)| placeholder.clone()).collect();
        outcome.verdict.findings.extend(ambiguous::find(&Fixture::open(&plan.output)?, &known));
    }
    Ok(outcome)
}

fn take_naming(reader: &mut JournalReader, naming: &mut PlaceholderAllocator) {
    if let Some(names) = reader.names.take() {
        *naming = names.naming;
    }
}

/// The update mode of a recording that did not end well. It has not seen everything, so it removes no entries.
#[must_use]
pub fn without_removals(update: UpdateMode) -> UpdateMode {
    if update == UpdateMode::Replace { UpdateMode::Merge } else { update }
}

/// The destination of a finished fixture.
#[derive(Clone, Copy, Debug)]
pub enum Destination<'a> {
    /// The fixture itself.
    Fixture,
    /// A held recording beside it.
    Held(&'a JournalPaths),
}

impl Destination<'_> {
    fn finish(self, writer: FixtureWriter, index: &JournalIndex, arrangement: &Arrangement) -> Result<(), Error> {
        match self {
            Destination::Fixture => Ok(writer.finish().map(drop)?),
            Destination::Held(paths) => held::hold(paths, writer, RecordingSummary::new(index, arrangement)),
        }
    }
}

/// Opens the existing fixture. `None` if there is none, or if `--update replace` replaces the HAR of another tool.
fn existing(plan: &RecordPlan) -> Result<Option<Fixture>, Error> {
    if !plan.output.exists() {
        return Ok(None);
    }
    let fixture = Fixture::open(&plan.output)?;
    match (fixture.is_own(), plan.update) {
        (true, _) => Ok(Some(fixture)),
        (false, UpdateMode::Replace) => Ok(None),
        (false, _) => Err(Error::Foreign { output: plan.output.clone() }),
    }
}

/// Indexes a journal. Secrets have provisional names. `None` if it is empty.
///
/// # Errors
/// When it can't be read.
pub fn open(journal: &LockedJournal) -> Result<Option<(JournalReader, JournalIndex)>, Error> {
    let failed = |source| Error::journal("reading the journal", &journal.paths.journal, source);
    let mut read = JournalIndex::read(journal.file.try_clone().map_err(failed)?).map_err(failed)?;
    if let Some((reader, index)) = &mut read {
        reader.names = index.meta.run.map(names::provisional);
    }
    Ok(read)
}

/// Merges the exchanges of a journal into the fixture.
///
/// # Errors
/// [`Error`]; the old fixture stays.
pub fn write(
    plan: &RecordPlan,
    update: UpdateMode,
    index: &JournalIndex,
    reader: &mut JournalReader,
    destination: Destination<'_>,
) -> Result<Arrangement, Error> {
    let old = existing(plan)?;
    let recorded = scope::explicit(&index.meta.scope);
    let Some(old) = old else {
        let arrangement = Arrangement::first(index.exchanges.len());
        choose_names(plan, None, index, reader)?;
        let mut writer = create(plan, &recorded)?;
        for exchange in &index.exchanges {
            add(exchange, index, reader, &mut writer)?;
        }
        destination.finish(writer, index, &arrangement)?;
        return Ok(arrangement);
    };
    let (quiet, like) = (Quiet::new(&plan.volatile)?, Likeness::new(&plan.rules)?);
    let mut answers = Answers::new(&old, reader, index, (&quiet, &like), plan.content == ContentMode::Omit);
    let arrangement = arrange(update, &old, index, &mut answers)?;
    let before = old.scope().unwrap_or_default();
    let scope = if update == UpdateMode::Replace { recorded } else { scope::union(before, &recorded) };
    let Arrangement { changed, added, removed, .. } = arrangement;
    let has_changes = (changed, added, removed) != (0, 0, 0) || scope != before;
    choose_names(plan, Some((&old, &arrangement)), index, answers.reader)?;
    if has_changes || matches!(destination, Destination::Held(_)) {
        let mut writer = create(plan, &scope)?.based_on(&old)?;
        for step in &arrangement.steps {
            match *step {
                Step::Keep(at) => writer.keep(&old, at)?,
                Step::Replace { old, new } => replace(&mut answers, old, new, &mut writer)?,
                Step::Put(new) => add(&index.exchanges[new], index, answers.reader, &mut writer)?,
            }
        }
        destination.finish(writer, index, &arrangement)?;
    }
    Ok(arrangement)
}

/// Gives the secrets of the journal the names that they have in the fixture.
fn choose_names(
    plan: &RecordPlan,
    old: Option<(&Fixture, &Arrangement)>,
    index: &JournalIndex,
    reader: &mut JournalReader,
) -> Result<(), Error> {
    let Some(run) = index.meta.run else { return Ok(()) };
    let old = old.filter(|_| !reader.names.as_ref().is_some_and(SecretNames::found_none));
    let naming = names::choose(plan, run, old, index, reader)?;
    if let Some(names) = &mut reader.names {
        names.naming = naming;
    }
    Ok(())
}

/// Finds the keys that the old fixture and the recording share, and arranges the two.
fn arrange(
    update: UpdateMode,
    old: &Fixture,
    index: &JournalIndex,
    answers: &mut Answers<'_>,
) -> Result<Arrangement, Error> {
    let mut named: HashMap<(String, String), Vec<usize>> = HashMap::new();
    for head in old.heads().iter() {
        let url = same_url(answers.like, &normal(head.url));
        named.entry((head.method.to_owned(), url)).or_default().push(head.entry);
    }
    let mut connections = Vec::with_capacity(index.exchanges.len());
    let mut turns: HashMap<(usize, Content), Turns> = HashMap::new();
    // By the first entry with that method and URL: one GraphQL endpoint may be all of a recording.
    let mut asked_before: HashMap<usize, HashMap<Content, Vec<usize>>> = HashMap::new();
    for (new, exchange) in index.exchanges.iter().enumerate() {
        let heads = exchange.heads(answers.reader).map_err(har_error)?;
        connections.push(heads.response.as_ref().map(|head| head.connection));
        let Some(candidates) = named.get(&(heads.request.method.clone(), same_url(answers.like, &heads.request.url)))
        else {
            continue;
        };
        // Keys that share method and URL are told apart by the first entry that has them.
        let asked = answers.asked(new, &heads)?;
        let by_payload = asked_before.entry(candidates[0]).or_insert_with(|| answers.by_payload(candidates));
        let old = || Turns { old: by_payload.remove(&asked).unwrap_or_default(), new: Vec::new() };
        turns.entry((candidates[0], asked)).or_insert_with(old).new.push(new);
    }
    let mut turns: Vec<Turns> = turns.into_values().filter(|turns| !turns.old.is_empty()).collect();
    turns.sort_unstable_by_key(|turns| turns.new[0]);
    merge::arrange(old.entries(), &connections, &turns, update, answers)
}

/// The part of a URL that URLs which count as equal share, without its secrets.
fn same_url(like: &Likeness, url: &str) -> String {
    without_secrets(&like.url(url))
}

/// A URL without its secrets.
fn without_secrets(url: &str) -> String {
    String::from_utf8_lossy(&placeholder::mask(url.as_bytes())).into_owned()
}

/// The normal form of a URL, if it has one.
fn normal(url: &str) -> String {
    NormalUrl::parse(url).map_or_else(|_| url.to_owned(), |url| url.to_string())
}

fn create(plan: &RecordPlan, scope: &[String]) -> Result<FixtureWriter, Error> {
    Ok(FixtureWriter::create(&plan.output, plan.content, scope)?.json_layout(plan.json_layout))
}

/// Adds the entry of a new exchange.
fn add(
    exchange: &IndexedExchange,
    index: &JournalIndex,
    reader: &mut JournalReader,
    writer: &mut FixtureWriter,
) -> Result<(), Error> {
    let heads = exchange.heads(reader).map_err(har_error)?;
    let entry = entry::build(exchange, &heads, reader, writer, index.meta.max_body)?;
    Ok(writer.entry(&entry)?)
}

/// Replaces an old entry by a new exchange.
fn replace(answers: &mut Answers<'_>, old: usize, new: usize, writer: &mut FixtureWriter) -> Result<(), Error> {
    let keeps_content = answers.same_payload(new, old)?;
    let Answers { fixture, reader, index, quiet, .. } = answers;
    let exchange = &index.exchanges[new];
    let heads = exchange.heads(reader).map_err(har_error)?;
    let content = match keeps_content {
        true => None,
        false => {
            let payload = JournalledPayload::of_response(exchange, &heads, index.meta.max_body);
            Some(payload.store(reader, |source| graft::content(quiet, fixture, old, source, writer))?)
        }
    };
    let entry = entry::with_payloads(&heads, None, content.clone().unwrap_or_default());
    let before = fixture.entry(old)?;
    writer.replace(fixture, old, &graft::entry(quiet, &before, entry, content), keeps_content)?;
    Ok(())
}

fn har_error(source: std::io::Error) -> harproxy_har::Error {
    harproxy_har::Error::Payload { doing: "reading the journal", source }
}
