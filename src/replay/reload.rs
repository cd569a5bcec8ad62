//! Reloads fixtures that were edited while requests are served. Each fixture is reloaded as a whole or not at all.
//!
//! The reloader polls the files instead of using file system events. Polling also works on network mounts and in
//! containers, and it treats replaced, removed and restored files alike, since it compares them with those in use.
//! A change is loaded when two polls in succession found the same files. A checkout or an editor that renames files
//! leaves them incomplete for a moment.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Replayer, log_warnings};
use harproxy_har::{Fixture, Stamp};
use harproxy_http::problem::in_words;
use harproxy_support::printable::Shown as _;
use harproxy_support::sync::lock;

/// The length in bytes up to which a fixture is kept in memory, so that it stays intact while its files are written.
/// Fixtures that are edited by hand are shorter.
const HELD: u64 = 16 << 20;

/// A change of a fixture that a poll found.
pub struct FixtureChange {
    /// The path of the fixture, below the folder or as the user gave it.
    pub fixture: String,
    pub kind: ChangeKind,
}

pub enum ChangeKind {
    /// It was edited and reloaded, and has this number of entries.
    Changed(usize),
    /// It is new in a folder, and has this number of entries.
    Added(usize),
    /// It was removed from a folder.
    Removed,
    /// It was edited and cannot be loaded, or the only fixture was removed. The version that was loaded stays in use.
    Refused { is_removed: bool, because: String },
}

/// The stamps of a fixture's files; `None` for a file that does not exist.
type FileStamps = BTreeMap<PathBuf, Option<Stamp>>;

/// A fixture in use.
#[derive(Clone)]
struct LoadedFixture {
    fixture: Arc<Fixture>,
    files: FileStamps,
    faults: FixtureFaults,
}

/// The defects of a fixture in use. A replay starts with defective fixtures, but a reload must not add defects.
#[derive(Clone, Default)]
struct FixtureFaults {
    /// Payload files that are missing.
    missing: BTreeSet<String>,
    /// The number of entries that cannot be used.
    unusable: usize,
}

/// A fixture as a poll found it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct PolledFixture {
    path: PathBuf,
    files: FileStamps,
    /// Why it was not found, if it was not.
    missing: Option<String>,
}

/// Why a fixture was not reloaded.
enum ReloadError {
    /// Its files changed while they were read.
    Unstable,
    /// It is defective for this reason.
    Rejected(String, FileStamps),
}

/// Polls the fixtures of a replay and reloads those that changed.
pub struct Reloader {
    replayer: Arc<Replayer>,
    loaded: Vec<LoadedFixture>,
    /// Fixtures whose refusal was reported, by path.
    refused: HashMap<PathBuf, PolledFixture>,
    /// The fixtures of the last poll, if some had changed.
    pending: Option<Vec<PolledFixture>>,
    /// Whether the payload files were listed.
    has_payload_files: bool,
}

impl Reloader {
    #[must_use]
    pub fn new(replayer: Arc<Replayer>) -> Self {
        let loaded = replayer.fixtures().into_iter().map(|fixture| {
            let files = FileStamps::from([(fixture.path().to_owned(), Some(fixture.stamp().clone()))]);
            LoadedFixture { fixture, files, faults: FixtureFaults::default() }
        });
        let loaded = loaded.collect();
        let mut reloader =
            Reloader { replayer, loaded, refused: HashMap::new(), pending: None, has_payload_files: false };
        // Short fixtures are held from the start. Listing the payloads of long ones would delay it.
        if reloader.loaded.iter().map(|loaded| loaded.fixture.stamp().len()).sum::<u64>() <= HELD {
            reloader.list_payload_files();
        }
        reloader
    }

    /// Lists and stamps the payload files of all fixtures, and holds short fixtures in memory.
    fn list_payload_files(&mut self) {
        let mut bytes = HELD;
        for loaded in &mut self.loaded {
            let names = loaded.fixture.payload_names();
            loaded.files.extend(files_of(&loaded.fixture, &names));
            loaded.faults = FixtureFaults::of(&loaded.fixture, &names);
            loaded.fixture.preload(&names, &mut bytes);
        }
        self.has_payload_files = true;
    }

    /// Polls the files, and reloads changed fixtures that are the same as in the last poll. Blocking.
    pub fn poll(&mut self) -> Vec<FixtureChange> {
        let replayer = self.replayer.clone();
        let _reload = lock(&replayer.reload);
        self.adopt();
        if !self.has_payload_files {
            self.list_payload_files();
        }
        let found = self.find();
        if !self.has_changes(&found) {
            self.pending = None;
            return Vec::new();
        }
        if self.pending.as_ref() != Some(&found) {
            self.pending = Some(found);
            return Vec::new();
        }
        self.pending = None;
        self.load(&found)
    }

    /// Takes over the fixtures that were loaded since the last poll, because harproxy itself wrote them.
    fn adopt(&mut self) {
        for fixture in self.replayer.fixtures() {
            let loaded = self.loaded.iter_mut().find(|loaded| loaded.fixture.path() == fixture.path());
            let Some(loaded) = loaded.filter(|loaded| !Arc::ptr_eq(&loaded.fixture, &fixture)) else { continue };
            let names = fixture.payload_names();
            let har = (fixture.path().to_owned(), Some(fixture.stamp().clone()));
            let files = [har].into_iter().chain(files_of(&fixture, &names)).collect();
            *loaded = LoadedFixture { faults: FixtureFaults::of(&fixture, &names), files, fixture };
        }
    }

    fn find(&self) -> Vec<PolledFixture> {
        let mut found = Vec::new();
        for item in harproxy_har::find(&self.replayer.arguments) {
            match item {
                Ok(path) => found.push(self.polled(path, None)),
                Err(error) => {
                    let below = error.path();
                    let lost = self.loaded.iter().map(|loaded| loaded.fixture.path());
                    let lost = lost.filter(|path| below.is_none_or(|below| path.starts_with(below)));
                    found.extend(lost.map(|path| self.polled(path.to_owned(), Some(in_words(&error)))));
                }
            }
        }
        found
    }

    /// Returns the current files of a fixture: those of the version in use, and of the version that was refused.
    fn polled(&self, path: PathBuf, missing: Option<String>) -> PolledFixture {
        let refused = self.refused.get(&path).map(|refused| &refused.files);
        let known = self.loaded(&path).map(|loaded| &loaded.files);
        let paths: BTreeSet<&PathBuf> =
            refused.into_iter().chain(known).flat_map(FileStamps::keys).chain([&path]).collect();
        let files = paths.into_iter().map(|path| (path.clone(), Stamp::at(path))).collect();
        PolledFixture { path, files, missing }
    }

    fn loaded(&self, path: &Path) -> Option<&LoadedFixture> {
        self.loaded.iter().find(|loaded| loaded.fixture.path() == path)
    }

    /// Returns the fixture in use, if its files are unchanged.
    fn unchanged(&self, found: &PolledFixture) -> Option<&LoadedFixture> {
        self.loaded(&found.path).filter(|loaded| found.missing.is_none() && found.has(&loaded.files))
    }

    fn was_refused(&self, found: &PolledFixture) -> bool {
        self.refused
            .get(&found.path)
            .is_some_and(|refused| refused.missing == found.missing && found.has(&refused.files))
    }

    fn has_changes(&self, found: &[PolledFixture]) -> bool {
        let is_there = |loaded: &LoadedFixture| found.iter().any(|found| found.path == loaded.fixture.path());
        found.iter().any(|found| self.unchanged(found).is_none() && !self.was_refused(found))
            || !self.loaded.iter().all(is_there)
    }

    fn load(&mut self, all: &[PolledFixture]) -> Vec<FixtureChange> {
        let (mut next, mut changes, mut refused) = (Vec::new(), Vec::new(), HashMap::new());
        for found in all {
            let before = self.loaded(&found.path);
            if let Some(loaded) = self.unchanged(found) {
                next.push(loaded.clone());
                continue;
            }
            let fixture = found.path.display().to_string();
            match self.open(found, before) {
                Ok(loaded) => {
                    let entries = loaded.fixture.entries();
                    let kind = if before.is_some() { ChangeKind::Changed(entries) } else { ChangeKind::Added(entries) };
                    changes.push(FixtureChange { fixture, kind });
                    next.push(loaded);
                    continue;
                }
                Err(ReloadError::Unstable) => {}
                Err(ReloadError::Rejected(because, files)) => {
                    if !self.was_refused(found) {
                        let is_removed =
                            found.missing.is_some() && found.files.get(&found.path).is_some_and(Option::is_none);
                        changes.push(FixtureChange { fixture, kind: ChangeKind::Refused { is_removed, because } });
                    }
                    refused.insert(found.path.clone(), PolledFixture { files, ..found.clone() });
                }
            }
            next.extend(before.cloned());
        }
        let is_removed = |path: &Path| !next.iter().any(|loaded| loaded.fixture.path() == path);
        let removed = self.loaded.iter().map(|loaded| loaded.fixture.path()).filter(|path| is_removed(path));
        changes.extend(
            removed.map(|path| FixtureChange { fixture: path.display().to_string(), kind: ChangeKind::Removed }),
        );
        self.refused = refused;
        if changes.iter().all(|change| matches!(change.kind, ChangeKind::Refused { .. })) {
            return changes;
        }
        match self.replayer.answer_from(next.iter().map(|loaded| loaded.fixture.clone()).collect(), None) {
            Ok(()) => {
                next.iter()
                    .filter(|next| {
                        self.loaded(next.fixture.path()).is_none_or(|old| !Arc::ptr_eq(&old.fixture, &next.fixture))
                    })
                    .for_each(|next| log_warnings(&next.fixture));
                self.loaded = next;
                self.replayer.warm_up();
                changes
            }
            // Each fixture is valid, but not all of them together.
            Err(error) => {
                let changed = all.iter().filter(|found| self.unchanged(found).is_none());
                self.refused = changed.map(|found| (found.path.clone(), found.clone())).collect();
                let names: Vec<String> = changes.into_iter().map(|change| change.fixture).collect();
                let kind = ChangeKind::Refused { is_removed: false, because: in_words(&error) };
                vec![FixtureChange { fixture: names.join(", "), kind }]
            }
        }
    }

    /// Opens a changed fixture, and checks that it is complete and did not change meanwhile.
    fn open(&self, found: &PolledFixture, before: Option<&LoadedFixture>) -> Result<LoadedFixture, ReloadError> {
        let because = |reason: String| ReloadError::Rejected(reason, found.files.clone());
        if let Some(missing) = &found.missing {
            return Err(because(missing.clone()));
        }
        let fixture = Fixture::open(&found.path).map_err(|error| because(in_words(&error)))?;
        fixture.expect_entries().map_err(|error| because(in_words(&error)))?;
        let names = fixture.payload_names();
        let files = || {
            let har = (found.path.clone(), Some(fixture.stamp().clone()));
            [har].into_iter().chain(files_of(&fixture, &names)).collect::<FileStamps>()
        };
        let before_reading = files();
        let is_known =
            |(path, stamp): (&PathBuf, &Option<Stamp>)| found.files.get(path).is_none_or(|known| known == stamp);
        if !before_reading.iter().all(is_known) {
            return Err(ReloadError::Unstable);
        }
        let faults = FixtureFaults::of(&fixture, &names);
        if let Some(why) = faults.added_since(before.map(|before| &before.faults), &fixture, &names) {
            return Err(ReloadError::Rejected(why, before_reading));
        }
        let mut bytes = HELD;
        fixture.preload(&names, &mut bytes);
        if Stamp::at(&found.path).as_ref() != Some(fixture.stamp()) || files() != before_reading {
            return Err(ReloadError::Unstable);
        }
        Ok(LoadedFixture { fixture: Arc::new(fixture), files: before_reading, faults })
    }
}

impl PolledFixture {
    /// Returns true if it has these files with these stamps.
    fn has(&self, files: &FileStamps) -> bool {
        files.iter().all(|(path, stamp)| self.files.get(path) == Some(stamp))
    }
}

impl FixtureFaults {
    fn of(fixture: &Fixture, names: &BTreeMap<String, usize>) -> Self {
        let missing = names.iter().filter(|(name, entry)| fixture.expect_payload(**entry, name).is_err());
        FixtureFaults {
            missing: missing.map(|(name, _)| name.clone()).collect(),
            unusable: fixture.left_out().iter().map(|cause| cause.entries).sum(),
        }
    }

    /// Returns the first defect that the fixture did not have before.
    fn added_since(
        &self,
        before: Option<&FixtureFaults>,
        fixture: &Fixture,
        names: &BTreeMap<String, usize>,
    ) -> Option<String> {
        let known = |name: &&String| before.is_some_and(|before| before.missing.contains(*name));
        if let Some(name) = self.missing.iter().find(|name| !known(name)) {
            let entry = names.get(name).copied().unwrap_or_default();
            return fixture.expect_payload(entry, name).err().map(|error| in_words(&error));
        }
        if self.unusable <= before.map_or(0, |before| before.unusable) {
            return None;
        }
        let path = fixture.path().shown();
        let entry = (0..fixture.entries()).find(|entry| fixture.heads().get(*entry).is_none())?;
        let why = fixture.warnings().iter().find(|warning| warning.entry == Some(entry));
        let why = why.map_or("it cannot be used", |warning| warning.text.trim_end_matches("; left out"));
        Some(format!("{path}#{entry}: {}", why.shown()))
    }
}

/// Returns the current stamps of a fixture's payload files.
fn files_of(fixture: &Fixture, names: &BTreeMap<String, usize>) -> FileStamps {
    let places = names.keys().filter_map(|name| fixture.expected_payload_path(name));
    places.map(|path| (path.clone(), Stamp::at(&path))).collect()
}
