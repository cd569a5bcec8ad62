//! The journal becomes a fixture: indexed first, then written entry by entry, so that memory does not grow with payloads.

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
use std::fs::File;
use std::path::Path;

use compare::{Answers, Content};
pub use index::Index;
use index::Slot;
pub use merge::Arrangement;
use merge::{Step, Turns};
use payload::Payload;

use super::held::{self, HeldSummary};
use super::journal::{Claimed, Names, Place, Reader};
use super::volatile::Quiet;
use super::{Ending, Error, OnFailure, RecordPlan, Recorder, RecordingSummary, Update, summary};
use harproxy_har::write::{ContentMode, FixtureWriter};
use harproxy_har::{Fixture, scope};
use harproxy_http::NormalUrl;
use harproxy_matching::Likeness;
use harproxy_redact::{Naming, placeholder};

/// Whether there can be a fixture at the output: what is there can be read, and merged into.
///
/// # Errors
/// [`Error::Foreign`], or why it cannot be read.
pub fn check(plan: &RecordPlan) -> Result<(), Error> {
    Quiet::new(&plan.volatile)?;
    Likeness::new(&plan.rules)?;
    existing(plan).map(drop)
}

/// Ends a recording by a plan: see [`Recorder::finalise`].
///
/// # Errors
/// [`Error`]; the old fixture and the journal stay.
pub fn finalise(recorder: &Recorder, plan: &RecordPlan, ending: Ending) -> Result<RecordingSummary, Error> {
    let mut naming = Naming::new(recorder.redactor.vault().run());
    let mut outcome = end(recorder, plan, ending, &mut naming)?;
    // Findings were made while values had no names yet.
    for finding in &mut outcome.verdict.findings {
        finding.text = naming.string(std::mem::take(&mut finding.text));
        finding.at.request = finding.at.request.take().map(|request| naming.string(request));
    }
    Ok(outcome)
}

/// Writes what was recorded so far as a fixture of its own: see [`Recorder::copy_to`].
///
/// # Errors
/// [`Error`].
pub fn copy(recorder: &Recorder, to: &Path) -> Result<(), Error> {
    recorder.journal.close();
    let Some((mut reader, index)) = open(&recorder.claimed)? else { return Ok(()) };
    if let Some(names) = &mut reader.names {
        names.know(recorder.redactor.vault());
    }
    let plan = RecordPlan { output: to.to_owned(), content: ContentMode::Attach, ..recorder.plan.clone() };
    write(&plan, Update::Replace, &index, &mut reader, Destination::Fixture).map(drop)
}

fn end(recorder: &Recorder, plan: &RecordPlan, ending: Ending, naming: &mut Naming) -> Result<RecordingSummary, Error> {
    let Recorder { claimed, journal, redactor, .. } = recorder;
    journal.close();
    let anew = if recorder.is_idle() { None } else { claimed.put_back()? };
    if anew.is_some() && !plan.output.exists() {
        return Ok(summary::vanished(recorder));
    }
    let claimed = anew.as_ref().unwrap_or(claimed);
    if let Some(reason) = journal.failure() {
        return Ok(summary::lost(recorder, &reason));
    }
    let journal = open(claimed)?;
    let Some((mut reader, index)) = journal.filter(|(_, index)| !index.slots.is_empty()) else {
        claimed.remove()?;
        return Ok(summary::nothing(recorder));
    };
    if let Some(names) = &mut reader.names {
        names.know(redactor.vault());
    }
    let is_held = ending == Ending::Failed && plan.on_failure == OnFailure::Hold && plan.output.exists();
    if is_held {
        let replaced_held = claimed.place.held.exists();
        let update = cautious(plan.update);
        write(plan, update, &index, &mut reader, Destination::Held(&claimed.place))?;
        take_naming(&mut reader, naming);
        claimed.remove()?;
        let held = Some(claimed.place.held.clone());
        return Ok(RecordingSummary { held, replaced_held, ..summary::of(recorder, &index, Arrangement::default()) });
    }
    let arrangement = write(plan, plan.update, &index, &mut reader, Destination::Fixture)?;
    take_naming(&mut reader, naming);
    // What was held is older: were the journal removed first, a kill between the two would leave it to be taken for newer.
    let replaced_held = held::discard(&claimed.place)?;
    claimed.remove()?;
    let mut outcome = RecordingSummary { written: true, replaced_held, ..summary::of(recorder, &index, arrangement) };
    if redactor.vault().found() > 0 {
        let known = plan.values.iter().map(|(placeholder, _)| placeholder.clone()).collect();
        outcome.verdict.findings.extend(ambiguous::find(&Fixture::open(&plan.output)?, &known));
    }
    Ok(outcome)
}

/// Secrets in findings get the names that they have in the fixture.
fn take_naming(reader: &mut Reader, naming: &mut Naming) {
    if let Some(names) = reader.names.take() {
        *naming = names.naming;
    }
}

/// The update of a recording that did not end well. It has not seen everything, so it removes no entries.
#[must_use]
pub fn cautious(update: Update) -> Update {
    if update == Update::Replace { Update::Merge } else { update }
}

/// The destination of a finished fixture.
#[derive(Clone, Copy, Debug)]
pub enum Destination<'a> {
    /// The fixture itself.
    Fixture,
    /// A held recording beside it.
    Held(&'a Place),
}

impl Destination<'_> {
    fn finish(self, writer: FixtureWriter, index: &Index, arrangement: &Arrangement) -> Result<(), Error> {
        match self {
            Destination::Fixture => Ok(writer.finish().map(drop)?),
            Destination::Held(place) => held::hold(place, writer, &HeldSummary::new(place, index, arrangement)?),
        }
    }
}

/// The fixture that is recorded again. A foreign one is not: `--update replace` takes its place.
fn existing(plan: &RecordPlan) -> Result<Option<Fixture>, Error> {
    if !plan.output.exists() {
        return Ok(None);
    }
    let fixture = Fixture::open(&plan.output)?;
    match (fixture.is_own(), plan.update) {
        (true, _) => Ok(Some(fixture)),
        (false, Update::Replace) => Ok(None),
        (false, _) => Err(Error::Foreign { output: plan.output.clone() }),
    }
}

/// Indexes the journal; `None` when there is nothing in it.
///
/// # Errors
/// When it can't be read.
pub fn open(claimed: &Claimed) -> Result<Option<(Reader, Index)>, Error> {
    open_file(&claimed.file, &claimed.place.journal)
}

/// From here on the journal's values have the names that they have in the fixture.
fn name(
    plan: &RecordPlan,
    old: Option<(&Fixture, &Arrangement)>,
    index: &Index,
    reader: &mut Reader,
) -> Result<(), Error> {
    let Some(run) = index.meta.run else { return Ok(()) };
    let old = old.filter(|_| !reader.names.as_ref().is_some_and(Names::found_none));
    let naming = names::settle(plan, run, old, index, reader)?;
    if let Some(names) = &mut reader.names {
        names.naming = naming;
    }
    Ok(())
}

/// The same of any journal. Secrets get provisional names, for comparing.
///
/// # Errors
/// When it can't be read.
pub fn open_file(journal: &File, path: &Path) -> Result<Option<(Reader, Index)>, Error> {
    let failed = |source| Error::journal("reading the journal", path, source);
    let mut read = Index::read(journal.try_clone().map_err(failed)?).map_err(failed)?;
    if let Some((reader, index)) = &mut read {
        reader.names = index.meta.run.map(names::provisional);
    }
    Ok(read)
}

/// Brings what a journal holds into the fixture.
///
/// # Errors
/// [`Error`]; the old fixture stays.
pub fn write(
    plan: &RecordPlan,
    update: Update,
    index: &Index,
    reader: &mut Reader,
    destination: Destination<'_>,
) -> Result<Arrangement, Error> {
    let old = existing(plan)?;
    let recorded = scope::explicit(&index.meta.scope);
    let Some(old) = old else {
        let arrangement = Arrangement::first(index.slots.len());
        name(plan, None, index, reader)?;
        let mut writer = writer(plan, &recorded)?;
        for slot in &index.slots {
            add(slot, index, reader, &mut writer)?;
        }
        destination.finish(writer, index, &arrangement)?;
        return Ok(arrangement);
    };
    let (quiet, like) = (Quiet::new(&plan.volatile)?, Likeness::new(&plan.rules)?);
    let mut answers = Answers::new(&old, reader, index, (&quiet, &like), plan.content == ContentMode::Omit);
    let arrangement = arrange(update, &old, index, &mut answers)?;
    let before = old.scope().unwrap_or_default();
    let scope = if update == Update::Replace { recorded } else { scope::union(before, &recorded) };
    let Arrangement { changed, added, removed, .. } = arrangement;
    let changes = (changed, added, removed) != (0, 0, 0);
    name(plan, Some((&old, &arrangement)), index, answers.reader)?;
    if changes || scope != before || matches!(destination, Destination::Held(_)) {
        let mut writer = writer(plan, &scope)?.based_on(&old)?;
        for step in &arrangement.steps {
            match *step {
                Step::Keep(at) => writer.keep(&old, at)?,
                Step::Replace { old, new } => replace(&mut answers, old, new, &mut writer)?,
                Step::Put(new) => add(&index.slots[new], index, answers.reader, &mut writer)?,
            }
        }
        destination.finish(writer, index, &arrangement)?;
    }
    Ok(arrangement)
}

/// Finds the keys that the old fixture and the recording share, and arranges the two.
fn arrange(update: Update, old: &Fixture, index: &Index, answers: &mut Answers<'_>) -> Result<Arrangement, Error> {
    let mut named: HashMap<(String, String), Vec<usize>> = HashMap::new();
    for head in old.heads().iter() {
        let url = same_url(answers.like, &normal(head.url));
        named.entry((head.method.to_owned(), url)).or_default().push(head.entry);
    }
    let mut connections = Vec::with_capacity(index.slots.len());
    let mut turns: HashMap<(usize, Content), Turns> = HashMap::new();
    // By the first entry with that method and URL: one GraphQL endpoint may be all of a recording.
    let mut asked_before: HashMap<usize, HashMap<Content, Vec<usize>>> = HashMap::new();
    for (new, slot) in index.slots.iter().enumerate() {
        let heads = slot.heads(answers.reader).map_err(har_error)?;
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

/// What URLs that count as one have in common, whatever their secrets are.
fn same_url(like: &Likeness, url: &str) -> String {
    unnamed(&like.url(url))
}

/// A URL whatever its secrets are.
fn unnamed(url: &str) -> String {
    String::from_utf8_lossy(&placeholder::set_aside(url.as_bytes())).into_owned()
}

/// In normal form, where it has one.
fn normal(url: &str) -> String {
    NormalUrl::parse(url).map_or_else(|_| url.to_owned(), |url| url.to_string())
}

fn writer(plan: &RecordPlan, scope: &[String]) -> Result<FixtureWriter, Error> {
    Ok(FixtureWriter::create(&plan.output, plan.content, scope)?.json_layout(plan.json_layout))
}

/// Adds the entry of a new exchange.
fn add(slot: &Slot, index: &Index, reader: &mut Reader, writer: &mut FixtureWriter) -> Result<(), Error> {
    let heads = slot.heads(reader).map_err(har_error)?;
    let entry = entry::build(slot, &heads, reader, writer, index.meta.max_body)?;
    Ok(writer.entry(&entry)?)
}

/// Adds what an exchange made of an old entry.
fn replace(answers: &mut Answers<'_>, old: usize, new: usize, writer: &mut FixtureWriter) -> Result<(), Error> {
    let keeps = answers.same_payload(new, old)?;
    let Answers { fixture, reader, index, quiet, .. } = answers;
    let slot = &index.slots[new];
    let heads = slot.heads(reader).map_err(har_error)?;
    let content = match keeps {
        true => None,
        false => {
            let payload = Payload::of_response(slot, &heads, index.meta.max_body);
            Some(payload.store(reader, |source| graft::content(quiet, fixture, old, source, writer))?)
        }
    };
    let entry = entry::with(&heads, None, content.clone().unwrap_or_default());
    let before = fixture.entry(old)?;
    writer.replace(fixture, old, &graft::entry(quiet, &before, entry, content), keeps)?;
    Ok(())
}

fn har_error(source: std::io::Error) -> harproxy_har::Error {
    harproxy_har::Error::Payload { doing: "reading the journal", source }
}
