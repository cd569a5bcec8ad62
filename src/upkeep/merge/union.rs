//! Several fixtures as one: the entries of the first, then what each later one adds.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::archive::{is_touched, rewrite};
use super::log;
use super::look::{Look, Payloads, Sum};
use super::rename::{Known, Renaming};
use super::side::Side;
use harproxy_har::pieces::{self, Object};
use harproxy_har::write::FORMAT;
use harproxy_har::{ContentMode, Fixture, FixtureWriter, WriteSummary, scope};
use harproxy_http::NormalUrl;
use harproxy_redact::Placeholder;

/// What to make one fixture of.
#[derive(Clone, Copy, Debug)]
pub struct Union<'a> {
    /// The fixtures, in order; not none.
    pub files: &'a [PathBuf],
    /// Where the result goes; it may be one of them. Its form is that of its ending.
    pub output: &'a Path,
    /// HARs of other tools become harproxy's own.
    pub adopt: bool,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Joined {
    /// The result.
    pub written: WriteSummary,
    /// What each file was good for, in their order.
    pub shares: Vec<Share>,
}

/// What one file was good for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Entries that are in the result because of it.
    pub added: usize,
    /// Entries that the files before it had already.
    pub had: usize,
    /// Entries that can't be read, and are left out.
    pub unusable: usize,
    /// Placeholders that have another number in the result.
    pub renamed: usize,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Entries of a foreign HAR mean something else among harproxy's own.
    #[error("{} is harproxy's own and {} is another tool's HAR", own.display(), foreign.display())]
    Mixed {
        /// A fixture of harproxy's own.
        own: PathBuf,
        /// One that is not.
        foreign: PathBuf,
    },
    /// Two tools whose entries are read differently.
    #[error("{} and {} are HARs of tools that write entries in different ways", first.display(), other.display())]
    Tools {
        /// One.
        first: PathBuf,
        /// The other.
        other: PathBuf,
    },
    /// A form that is only read.
    #[error("{} would have to be compressed", output.display())]
    Output {
        /// The output.
        output: PathBuf,
    },
    /// A file can't be read, or the result not be written.
    #[error(transparent)]
    Fixture(#[from] harproxy_har::Error),
}

/// Makes one fixture of several.
///
/// # Errors
/// [`Error`]; what stood at the output is then as it was.
pub fn union(union: &Union<'_>) -> Result<Joined, Error> {
    let Union { files, output, adopt } = *union;
    if output.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gz")) {
        return Err(Error::Output { output: output.to_owned() });
    }
    let fixtures: Vec<Fixture> = files.iter().map(|path| Fixture::open(path)).collect::<Result<_, _>>()?;
    if !adopt {
        check(&fixtures)?;
    }
    let (log, beside) = beside_entries(&fixtures, adopt)?;
    let mut writer = FixtureWriter::create(output, ContentMode::Attach, &[])?.with_members(&log, &beside);
    let mut shares = Vec::with_capacity(fixtures.len());
    let mut sum = Growing::default();
    for fixture in fixtures {
        let side = Side::of(Some(fixture), Payloads::ByBytes)?;
        shares.push(sum.add(&side, adopt, &mut writer)?);
    }
    Ok(Joined { written: writer.finish()?, shares })
}

/// Own ones and others are not mixed, nor are others that are read differently: the result would mean something else.
fn check(fixtures: &[Fixture]) -> Result<(), Error> {
    let Some(first) = fixtures.first() else { return Ok(()) };
    let Some(other) = fixtures.iter().find(|other| !other.has_same_dialect(first)) else { return Ok(()) };
    let path = |fixture: &Fixture| fixture.path().to_owned();
    Err(match (first.is_own(), other.is_own()) {
        (true, _) => Error::Mixed { own: path(first), foreign: path(other) },
        (_, true) => Error::Mixed { own: path(other), foreign: path(first) },
        _ => Error::Tools { first: path(first), other: path(other) },
    })
}

/// The members of `log` and those beside it: of the first, and what the others add.
fn beside_entries(fixtures: &[Fixture], adopt: bool) -> Result<(Object, Object), Error> {
    let (mut log, mut beside) = (Object::new(), Object::new());
    let mut globs: Option<Vec<String>> = None;
    for fixture in fixtures {
        let none = Object::new();
        let (more_log, more_beside) = pieces::members_outside_entries(fixture)?;
        log = log::merge(&none, &log, &more_log);
        beside = log::merge(&none, &beside, &more_beside);
        let own = fixture.scope().filter(|_| fixture.is_own()).map(<[String]>::to_vec);
        if let Some(more) = own.or_else(|| adopt.then(|| origins(fixture))) {
            globs = Some(match globs {
                Some(globs) => scope::union(&globs, &more),
                None => more,
            });
        }
    }
    if let Some(globs) = globs {
        let mut own = match log.shift_remove("_harproxy") {
            Some(Value::Object(own)) => own,
            _ => Object::from_iter([("format".to_owned(), json!(FORMAT))]),
        };
        own.insert("scope".to_owned(), globs.into());
        log.insert("_harproxy".to_owned(), Value::Object(own));
    }
    Ok((log, beside))
}

/// The scope of a foreign HAR: all of the origins in it.
fn origins(fixture: &Fixture) -> Vec<String> {
    let mut seen = HashSet::new();
    let urls = fixture.heads().iter().filter_map(|head| NormalUrl::parse_any(head.url).ok());
    let globs = urls.map(|url| {
        let origin = url.parts().site();
        // A WebSocket is asked for over HTTP.
        format!("{}/**", origin.strip_prefix("ws").map_or(origin.to_string(), |rest| format!("http{rest}")))
    });
    globs.filter(|glob| glob.starts_with("http") && seen.insert(glob.clone())).collect()
}

/// The result as it grows.
#[derive(Default)]
struct Growing {
    /// Looks of its entries, by key.
    turns: HashMap<Sum, Vec<Look>>,
    names: BTreeSet<Placeholder>,
}

impl Growing {
    /// Adds what a fixture has and the result has not.
    fn add(&mut self, side: &Side, adopt: bool, writer: &mut FixtureWriter) -> Result<Share, harproxy_har::Error> {
        let mut share = Share::default();
        let Some(fixture) = &side.fixture else { return Ok(share) };
        let (fresh, same) = self.fresh(&side.looks);
        let renaming = {
            let known = Known { common: None, ours: &self.names, theirs: &side.names };
            Renaming::new(&known, same.iter().map(|(ours, theirs)| (ours, &side.looks[*theirs])))
        };
        share.had = side.looks.len() - fresh.len();
        share.renamed = renaming.pairs().count();
        for entry in fresh {
            if fixture.heads().get(entry).is_none() {
                share.unusable += 1;
                continue;
            }
            if adopt && !fixture.is_own() || is_touched(fixture, entry, &renaming)? {
                rewrite(fixture, entry, writer, |_| {}, &renaming)?;
            } else {
                writer.keep(fixture, entry)?;
            }
            share.added += 1;
            let mut look = side.looks[entry].clone();
            look.places.iter_mut().flat_map(|(_, names)| names).for_each(|name| renaming.rename(name));
            self.turns.entry(look.key).or_default().push(look);
        }
        let renamed: BTreeSet<&Placeholder> = renaming.pairs().map(|(old, _)| old).collect();
        self.names.extend(side.names.iter().filter(|name| !renamed.contains(name)).cloned());
        self.names.extend(renaming.pairs().map(|(_, new)| new.clone()));
        Ok(share)
    }

    /// Which entries are new, and the others with what they equal. Equal answers are paired first; one more than there is adds
    /// nothing when it only repeats the turn before it, as a poll does.
    fn fresh(&self, looks: &[Look]) -> (Vec<usize>, Vec<(Look, usize)>) {
        let (mut fresh, mut same) = (Vec::new(), Vec::new());
        let mut free: HashMap<Sum, Vec<&Look>> = HashMap::new();
        let mut last: HashMap<Sum, Sum> = HashMap::new();
        for (entry, look) in looks.iter().enumerate() {
            let before = last.insert(look.key, look.meaning);
            let known = self.turns.get(&look.key);
            let free = free.entry(look.key).or_insert_with(|| known.into_iter().flatten().collect());
            if let Some(at) = free.iter().position(|known| known.meaning == look.meaning) {
                same.push((free.remove(at).clone(), entry));
            } else if known.is_none() || before != Some(look.meaning) {
                fresh.push(entry);
            }
        }
        (fresh, same)
    }
}
