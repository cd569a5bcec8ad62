//! Fixtures that were edited are loaded again while requests are answered: each whole or not at all.
//!
//! Files are looked at in turn instead of being told of by the system: that works on network mounts and in containers as well,
//! and whoever replaces, removes or restores files, and however many, it comes to a comparison of what is there with what was
//! loaded. What has changed is loaded once it has stood still from one look to the next: a checkout, or an editor that writes
//! by renaming, is half done for a moment.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Replayer, fixtures};
use harproxy_har::{Fixture, Stamp};
use harproxy_http::problem::in_words;

/// What is kept of fixtures in memory, bytes, so that they answer as they did though somebody writes into their files. Who
/// edits by hand edits small ones.
const HELD: u64 = 16 << 20;

/// What became of a fixture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was edited, and is loaded.
    Changed {
        /// Its path, as it was given.
        fixture: String,
        /// How many entries it has now.
        entries: usize,
    },
    /// It is new in a folder.
    Added {
        /// Its path, below the folder as that was given.
        fixture: String,
        /// How many entries it has.
        entries: usize,
    },
    /// It is gone from a folder.
    Removed {
        /// Its path as it was.
        fixture: String,
    },
    /// It was edited and can't be loaded, or it was removed and nothing would be left; what was loaded before goes on answering.
    Refused {
        /// Its path.
        fixture: String,
        /// Whether it was removed.
        removed: bool,
        /// What is wrong with it.
        because: String,
    },
}

/// The files of a fixture as they were when they were looked at; without a stamp what is not there.
type Files = BTreeMap<PathBuf, Option<Stamp>>;

/// A fixture that answers.
#[derive(Clone)]
struct Loaded {
    fixture: Arc<Fixture>,
    files: Files,
    faults: Faults,
}

/// What is wrong with a fixture that is loaded all the same: at the start as much is let pass as can be, and later nothing
/// that is worse.
#[derive(Clone, Default)]
struct Faults {
    /// Payloads that are not there.
    missing: BTreeSet<String>,
    /// Entries that can't be used.
    unusable: usize,
}

/// A fixture as it is found.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    path: PathBuf,
    files: Files,
    /// Why it is not there any more, though it should be.
    gone: Option<String>,
}

/// Why a fixture is not loaded.
enum Trouble {
    /// It changes while it is read: it is worth another look.
    Moving,
    /// This is wrong with it.
    Reason(String, Files),
}

/// Loads fixtures again.
pub struct Reloader {
    replayer: Arc<Replayer>,
    loaded: Vec<Loaded>,
    /// What was told of, by its path.
    refused: HashMap<PathBuf, Found>,
    /// What had changed at the last look.
    moving: Option<Vec<Found>>,
    /// Whether it is known which payload files there are.
    is_ready: bool,
}

impl Reloader {
    /// Looks after the fixtures of a replay.
    #[must_use]
    pub fn new(replayer: Arc<Replayer>) -> Self {
        let loaded = replayer.fixtures().into_iter().map(|fixture| {
            let files = Files::from([(fixture.path().to_owned(), Some(fixture.stamp().clone()))]);
            Loaded { fixture, files, faults: Faults::default() }
        });
        let loaded = loaded.collect();
        let mut reloader = Reloader { replayer, loaded, refused: HashMap::new(), moving: None, is_ready: false };
        // It must not wait where that takes no time, and nobody must wait for it where it does.
        if reloader.loaded.iter().map(|loaded| loaded.fixture.stamp().len()).sum::<u64>() <= HELD {
            reloader.get_ready();
        }
        reloader
    }

    /// Finds the payload files of all fixtures.
    fn get_ready(&mut self) {
        let mut bytes = HELD;
        for loaded in &mut self.loaded {
            let names = loaded.fixture.payload_names();
            loaded.files.extend(files_of(&loaded.fixture, &names));
            loaded.faults = Faults::of(&loaded.fixture, &names);
            loaded.fixture.preload(&names, &mut bytes);
        }
        self.is_ready = true;
    }

    /// Looks at the files, and loads what has changed and come to rest. Blocking.
    pub fn look(&mut self) -> Vec<Change> {
        if !self.is_ready {
            self.get_ready();
        }
        let found = self.find();
        if !self.has_news(&found) {
            self.moving = None;
            return Vec::new();
        }
        if self.moving.as_ref() != Some(&found) {
            self.moving = Some(found);
            return Vec::new();
        }
        self.moving = None;
        self.load(&found)
    }

    fn find(&self) -> Vec<Found> {
        let mut found = Vec::new();
        for item in harproxy_har::find(&self.replayer.opening.arguments) {
            match item {
                Ok(path) => found.push(self.looked_at(path, None)),
                Err(error) => {
                    let below = error.path();
                    let lost = self.loaded.iter().map(|loaded| loaded.fixture.path());
                    let lost = lost.filter(|path| below.is_none_or(|below| path.starts_with(below)));
                    found.extend(lost.map(|path| self.looked_at(path.to_owned(), Some(in_words(&error)))));
                }
            }
        }
        found
    }

    /// The files of a fixture as they are now: all that belong to it as it is loaded, or as it could not be.
    fn looked_at(&self, path: PathBuf, gone: Option<String>) -> Found {
        let refused = self.refused.get(&path).map(|refused| &refused.files);
        let known = self.loaded(&path).map(|loaded| &loaded.files);
        let paths: BTreeSet<&PathBuf> = refused.into_iter().chain(known).flat_map(Files::keys).chain([&path]).collect();
        let files = paths.into_iter().map(|path| (path.clone(), Stamp::at(path))).collect();
        Found { path, files, gone }
    }

    fn loaded(&self, path: &Path) -> Option<&Loaded> {
        self.loaded.iter().find(|loaded| loaded.fixture.path() == path)
    }

    /// The fixture that is still as it was loaded.
    fn unchanged(&self, found: &Found) -> Option<&Loaded> {
        self.loaded(&found.path).filter(|loaded| found.gone.is_none() && found.has(&loaded.files))
    }

    fn was_refused(&self, found: &Found) -> bool {
        self.refused.get(&found.path).is_some_and(|refused| refused.gone == found.gone && found.has(&refused.files))
    }

    fn has_news(&self, found: &[Found]) -> bool {
        let is_there = |loaded: &Loaded| found.iter().any(|found| found.path == loaded.fixture.path());
        found.iter().any(|found| self.unchanged(found).is_none() && !self.was_refused(found))
            || !self.loaded.iter().all(is_there)
    }

    fn load(&mut self, all: &[Found]) -> Vec<Change> {
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
                    changes.push(match before {
                        Some(_) => Change::Changed { fixture, entries },
                        None => Change::Added { fixture, entries },
                    });
                    next.push(loaded);
                    continue;
                }
                Err(Trouble::Moving) => {}
                Err(Trouble::Reason(because, files)) => {
                    if !self.was_refused(found) {
                        let removed = found.gone.is_some() && found.files.get(&found.path).is_some_and(Option::is_none);
                        changes.push(Change::Refused { fixture, removed, because });
                    }
                    refused.insert(found.path.clone(), Found { files, ..found.clone() });
                }
            }
            next.extend(before.cloned());
        }
        let is_gone = |path: &Path| !next.iter().any(|loaded| loaded.fixture.path() == path);
        let gone = self.loaded.iter().map(|loaded| loaded.fixture.path()).filter(|path| is_gone(path));
        changes.extend(gone.map(|path| Change::Removed { fixture: path.display().to_string() }));
        self.refused = refused;
        if changes.iter().all(|change| matches!(change, Change::Refused { .. })) {
            return changes;
        }
        match self.replayer.answer_from(next.iter().map(|loaded| loaded.fixture.clone()).collect()) {
            Ok(()) => {
                next.iter()
                    .filter(|next| {
                        self.loaded(next.fixture.path()).is_none_or(|old| !Arc::ptr_eq(&old.fixture, &next.fixture))
                    })
                    .for_each(|next| fixtures::warn(&next.fixture));
                self.loaded = next;
                self.replayer.warm_up();
                changes
            }
            // Each by itself can be read, and together they can't be served.
            Err(error) => {
                let news = all.iter().filter(|found| self.unchanged(found).is_none());
                self.refused = news.map(|found| (found.path.clone(), found.clone())).collect();
                vec![Change::Refused { fixture: named(&changes), removed: false, because: in_words(&error) }]
            }
        }
    }

    /// Opens a fixture that has changed, and makes sure that it is all there.
    fn open(&self, found: &Found, before: Option<&Loaded>) -> Result<Loaded, Trouble> {
        let because = |reason: String| Trouble::Reason(reason, found.files.clone());
        if let Some(gone) = &found.gone {
            return Err(because(gone.clone()));
        }
        let fixture = Fixture::open(&found.path).map_err(|error| because(in_words(&error)))?;
        fixture.expect_entries().map_err(|error| because(in_words(&error)))?;
        let names = fixture.payload_names();
        let files = || {
            let har = (found.path.clone(), Some(fixture.stamp().clone()));
            [har].into_iter().chain(files_of(&fixture, &names)).collect::<Files>()
        };
        let before_reading = files();
        let is_known =
            |(path, stamp): (&PathBuf, &Option<Stamp>)| found.files.get(path).is_none_or(|known| known == stamp);
        if !before_reading.iter().all(is_known) {
            return Err(Trouble::Moving);
        }
        let faults = Faults::of(&fixture, &names);
        if let Some(why) = faults.worse(before.map(|before| &before.faults), &fixture, &names) {
            return Err(Trouble::Reason(why, before_reading));
        }
        let mut bytes = HELD;
        fixture.preload(&names, &mut bytes);
        if Stamp::at(&found.path).as_ref() != Some(fixture.stamp()) || files() != before_reading {
            return Err(Trouble::Moving);
        }
        Ok(Loaded { fixture: Arc::new(fixture), files: before_reading, faults })
    }
}

impl Found {
    /// Whether its files are these.
    fn has(&self, files: &Files) -> bool {
        files.iter().all(|(path, stamp)| self.files.get(path) == Some(stamp))
    }
}

impl Faults {
    fn of(fixture: &Fixture, names: &BTreeMap<String, usize>) -> Self {
        let missing = names.iter().filter(|(name, entry)| fixture.expect_payload(**entry, name).is_err());
        Faults {
            missing: missing.map(|(name, _)| name.clone()).collect(),
            unusable: fixture.entries() - fixture.heads().len(),
        }
    }

    /// What is wrong that was not before.
    fn worse(&self, before: Option<&Faults>, fixture: &Fixture, names: &BTreeMap<String, usize>) -> Option<String> {
        let known = |name: &&String| before.is_some_and(|before| before.missing.contains(*name));
        if let Some(name) = self.missing.iter().find(|name| !known(name)) {
            let entry = names.get(name).copied().unwrap_or_default();
            return fixture.expect_payload(entry, name).err().map(|error| in_words(&error));
        }
        if self.unusable <= before.map_or(0, |before| before.unusable) {
            return None;
        }
        let path = fixture.path().display();
        let entry = (0..fixture.entries()).find(|entry| fixture.heads().get(*entry).is_none())?;
        let why = fixture.warnings().iter().find(|warning| warning.entry == Some(entry));
        let why = why.map_or("it can't be used", |warning| warning.text.trim_end_matches("; left out"));
        Some(format!("{path}#{entry}: {why}"))
    }
}

/// The payload files beside a fixture as they are.
fn files_of(fixture: &Fixture, names: &BTreeMap<String, usize>) -> Files {
    let places = names.keys().filter_map(|name| fixture.expected_payload_path(name));
    places.map(|path| (path.clone(), Stamp::at(&path))).collect()
}

/// The fixtures that changes are about.
fn named(changes: &[Change]) -> String {
    let names: Vec<&str> = changes
        .iter()
        .map(|change| match change {
            Change::Changed { fixture, .. }
            | Change::Added { fixture, .. }
            | Change::Removed { fixture }
            | Change::Refused { fixture, .. } => fixture.as_str(),
        })
        .collect();
    names.join(", ")
}
