//! Turns a journal into a fixture. The first pass indexes the journal and the second writes one entry at a time, so
//! memory does not grow with payloads.

mod arrangement;
mod entry;
mod index;
mod names;
mod payload;
mod sequences;
pub mod undecoded;
pub(crate) mod updated_entry;

#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;

pub use arrangement::Arrangement;
use arrangement::EntrySource;
pub use index::{IndexedExchange, JournalIndex};
use payload::JournalledPayload;
use sequences::ComparisonRules;

use super::damage::KnownJournal;
use super::entry_diff::{ComparableEntry, EntryDiff};
use super::held::{self, RecordingSummary};
use super::journal::{JournalPaths, JournalReader, LockedJournal, SecretNames};
use super::{Error, RecordPlan, UpdateMode};
use harproxy_compare::{Projection, VolatileRules};
use harproxy_har::write::{FixtureWriter, PayloadSource};
use harproxy_har::{Fixture, scope};
use harproxy_redact::{PlaceholderAllocator, placeholder};

/// Checks that a recording can be finalised: the policy is valid, and an existing output can be read and merged into.
///
/// # Errors
/// [`Error::Foreign`], or the reason why the output or the policy cannot be read.
pub fn check(plan: &RecordPlan) -> Result<(), Error> {
    ComparisonRules::new(plan)?;
    existing(plan).map(drop)
}

/// Returns the update mode of an incomplete recording, which removes no entries.
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

/// Indexes a journal. Secrets have provisional names. Returns `None` for an empty journal. `known` is what its recorder
/// knows of it.
pub fn open(
    journal: &LockedJournal,
    known: Option<&KnownJournal>,
) -> Result<Option<(JournalReader, JournalIndex)>, Error> {
    let failed = |source| Error::journal("reading the journal", &journal.paths.journal, source);
    let mut read = JournalIndex::read(journal.file.try_clone().map_err(failed)?, known).map_err(failed)?;
    if let Some((reader, index)) = &mut read {
        reader.names = index.meta.run.map(|run| SecretNames::new(PlaceholderAllocator::provisional(run)));
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
    let recorded = scope::explicit(&index.meta.scope);
    let Some(old) = existing(plan)? else {
        let arrangement = Arrangement::first(index.exchanges.len());
        choose_names(plan, None, index, reader)?;
        let mut writer = create(plan, &recorded)?;
        for exchange in &index.exchanges {
            let entry = entry::build(exchange, reader, &mut writer, &index.meta)?;
            writer.entry(&entry)?;
        }
        destination.finish(writer, index, &arrangement)?;
        return Ok(arrangement);
    };
    let rules = ComparisonRules::new(plan)?;
    let mut arrangement = Arrangement::update(old.entries(), &rules.shared_requests(&old, index, reader)?, update);
    let before = old.scope().unwrap_or_default();
    let scope = if update == UpdateMode::Replace { recorded } else { scope::union(before, &recorded) };
    let Arrangement { changed, added, removed, .. } = arrangement;
    let has_changes = (changed, added, removed) != (0, 0, 0) || scope != before;
    arrangement.migrated = has_changes && old.has_old_layout();
    choose_names(plan, Some((&old, &arrangement)), index, reader)?;
    if has_changes || matches!(destination, Destination::Held(_)) {
        let mut writer = create(plan, &scope)?.based_on(&old)?;
        let volatile = &rules.projection.volatile;
        for entry in &arrangement.entries {
            match *entry {
                EntrySource::Keep(at) => writer.keep(&old, at)?,
                EntrySource::Replace { old: at, new, keeps_payload } => {
                    replace(volatile, &old, (at, new, keeps_payload), index, reader, &mut writer)?;
                }
                EntrySource::Add(new) => {
                    let entry = entry::build(&index.exchanges[new], reader, &mut writer, &index.meta)?;
                    writer.entry(&entry)?;
                }
            }
        }
        let before = match destination {
            Destination::Fixture => read_changed(&old, &arrangement),
            Destination::Held(_) => Vec::new(),
        };
        destination.finish(writer, index, &arrangement)?;
        arrangement.differences = compare_changed(&before, &plan.output, &rules.projection);
    }
    Ok(arrangement)
}

/// Maximum number of changed entries that the summary of a recording describes.
const MAX_DESCRIBED: usize = 10;

/// Reads the first entries that change, before the fixture and its payload files are replaced. Entries that cannot be
/// read are left out: the summary must not fail a recording.
fn read_changed(old: &Fixture, arrangement: &Arrangement) -> Vec<(usize, usize, ComparableEntry)> {
    let changed = arrangement.entries.iter().enumerate().filter_map(|(to, source)| match source {
        EntrySource::Replace { old: at, .. } => Some((*at, to)),
        EntrySource::Keep(_) | EntrySource::Add(_) => None,
    });
    let read = |(at, to)| Some((at, to, ComparableEntry::read(old, at).ok()?));
    changed.take(MAX_DESCRIBED).filter_map(read).collect()
}

fn compare_changed(
    before: &[(usize, usize, ComparableEntry)],
    output: &Path,
    projection: &Projection,
) -> Vec<EntryDiff> {
    let Some(new) = (!before.is_empty()).then(|| Fixture::open(output).ok()).flatten() else { return Vec::new() };
    let compare = |(at, to, old): &(usize, usize, ComparableEntry)| {
        EntryDiff::new((*at, old), (*to, &ComparableEntry::read(&new, *to).ok()?), projection)
    };
    before.iter().filter_map(compare).collect()
}

/// Chooses the placeholders that the secrets of the journal have in the fixture.
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

fn create(plan: &RecordPlan, scope: &[String]) -> Result<FixtureWriter, Error> {
    Ok(FixtureWriter::create(&plan.output, plan.content, scope)?.json_layout(plan.json_layout))
}

/// Replaces an old entry by a new exchange.
fn replace(
    volatile: &VolatileRules,
    fixture: &Fixture,
    (old, new, keeps_payload): (usize, usize, bool),
    index: &JournalIndex,
    reader: &mut JournalReader,
    writer: &mut FixtureWriter,
) -> Result<(), Error> {
    let exchange = &index.exchanges[new];
    let heads = exchange.heads(reader).map_err(har_error)?;
    let payload = JournalledPayload::of_response(exchange, &heads, &index.meta);
    let store = |source: PayloadSource<'_>| updated_entry::store_content(volatile, fixture, old, source, writer);
    let content = if keeps_payload { None } else { Some(payload.store(reader, store)?) };
    let entry = entry::with_payloads(&heads, None, content.clone().unwrap_or_default());
    let entry = updated_entry::update(volatile, &*fixture.entry(old)?, entry, content);
    Ok(writer.replace(fixture, old, &entry, keeps_payload)?)
}

/// Returns a URL without its secrets.
fn without_secrets(url: &str) -> String {
    String::from_utf8_lossy(&placeholder::mask(url.as_bytes())).into_owned()
}

fn har_error(source: io::Error) -> harproxy_har::Error {
    harproxy_har::Error::Payload { doing: "reading the journal", source }
}
