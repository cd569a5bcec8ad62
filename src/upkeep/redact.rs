//! `redact`: the policy applied to a fixture that is there already.
//!
//! It is gone over twice: first to know its values, then to write placeholders for them wherever they stand. Whoever
//! wrote it,
//! nothing else changes by a byte.

use std::collections::HashSet;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::sift::{self, Item, Sift, Sifted};
use harproxy_har::rewrite::Rewrite;
use harproxy_har::values::HarValue;
use harproxy_har::{Error, Fixture};
use harproxy_redact::{FixtureReplacer, Placeholder, Policy, Secret, Splice};

/// What became of a fixture, or would.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redacted {
    /// Entries in it.
    pub entries: usize,
    /// Different values that were taken out.
    pub values: usize,
    /// Entries that changed.
    pub changed: usize,
    /// Payloads that could not be scanned.
    pub opaque: usize,
    /// Payload files that still hold what was taken out, since another HAR refers to them or they can't be removed.
    pub left: Vec<(String, PathBuf)>,
}

impl Redacted {
    /// Whether anything was taken out.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        self.values > 0
    }
}

/// Redacts a fixture; with `write` as false, only says what would be done.
///
/// # Errors
/// When it, an entry or a payload of it can't be read, or it can't be written: it then stays as it is.
pub fn redact(path: &Path, policy: &Policy, given: &[(Placeholder, Secret)], write: bool) -> Result<Redacted, Error> {
    let fixture = Fixture::open(path)?;
    let mut numbering = FixtureReplacer::new(given);
    let any = learn(&fixture, policy, &mut numbering)?;
    let mut writing = Writing {
        fixture: &fixture,
        rewrite: if any && write { Some(Rewrite::begin(&fixture)?) } else { None },
        opaque: HashSet::new(),
        done: Redacted { entries: fixture.entries(), ..Redacted::default() },
    };
    let mut sift = Sift::new(&fixture, policy, &mut numbering);
    for part in fixture.values() {
        writing.part(&mut sift, &part)?;
    }
    let mut done = writing.done;
    done.values = numbering.placeholders();
    if let Some(rewrite) = writing.rewrite {
        done.left = rewrite.finish()?.left;
    }
    Ok(done)
}

/// Goes over the fixture to know its values, and the placeholders that it has. Whether anything is to be taken out.
fn learn(fixture: &Fixture, policy: &Policy, numbering: &mut FixtureReplacer) -> Result<bool, Error> {
    let mut seen = HashSet::new();
    let mut any = false;
    for part in fixture.values() {
        let text = fixture.value_text(&part)?;
        numbering.exclude_all_in(text.as_bytes());
        let mut payloads: Vec<Box<dyn Read>> = Vec::new();
        let mut sift = Sift::new(fixture, policy, numbering.store());
        sift::each_item(fixture, &part, &text, |item| {
            if let Item::Body(body) = item {
                if let Some(file) = body.file() {
                    if !seen.insert((file.clone(), body.content_type.clone())) {
                        return Ok(());
                    }
                    payloads.push(fixture.open_stored(part.entry.unwrap_or_default(), &file)?);
                }
                payloads.extend(body.base64_bytes().map(|bytes| Box::new(io::Cursor::new(bytes)) as Box<dyn Read>));
            }
            any |= matches!(sift.item(&part, item)?, Sifted::Changed(_));
            Ok(())
        })?;
        for mut payload in payloads {
            numbering.exclude_all_read(&mut payload).map_err(unreadable)?;
        }
    }
    Ok(any)
}

struct Writing<'a> {
    fixture: &'a Fixture,
    /// Nothing is written without.
    rewrite: Option<Rewrite<'a>>,
    /// Payload files that could not be scanned.
    opaque: HashSet<String>,
    done: Redacted,
}

impl<'a> Writing<'a> {
    fn part(&mut self, sift: &mut Sift<'a, &mut FixtureReplacer>, part: &HarValue) -> Result<(), Error> {
        let text = self.fixture.value_text(part)?;
        let mut edits: Vec<Splice> = Vec::new();
        sift::each_item(self.fixture, part, &text, |item| self.item(sift, part, item, &mut edits))?;
        edits.sort_by_key(|edit| edit.range.start);
        self.done.changed += usize::from(!edits.is_empty() && part.entry.is_some());
        match &mut self.rewrite {
            Some(rewrite) => rewrite.edit_value(part, &text, edits.iter().map(|edit| (&edit.range, &*edit.with))),
            None => Ok(()),
        }
    }

    fn item(
        &mut self,
        sift: &mut Sift<'a, &mut FixtureReplacer>,
        part: &HarValue,
        item: &Item<'_>,
        edits: &mut Vec<Splice>,
    ) -> Result<(), Error> {
        let body = if let Item::Body(body) = item { Some(body) } else { None };
        let file = body.and_then(|body| Some((body, body.file()?)));
        match sift.item(part, item)? {
            Sifted::Changed(change) => {
                if let Some((body, name)) = &file {
                    let mut left = change.left.reader().map_err(unreadable)?;
                    let to = match &mut self.rewrite {
                        Some(rewrite) => rewrite.replace_payload(part.entry.unwrap_or_default(), name, &mut left)?,
                        None => name.clone(),
                    };
                    edits.extend(body.moved_to(&to));
                }
                edits.extend(change.edits);
                return Ok(());
            }
            Sifted::Opaque => {
                let is_new = file.as_ref().is_none_or(|(_, name)| self.opaque.insert(name.clone()));
                self.done.opaque += usize::from(is_new);
            }
            Sifted::Clean => {}
        }
        if let (Some((_, name)), Some(rewrite)) = (&file, &mut self.rewrite) {
            rewrite.mark_used(name);
        }
        Ok(())
    }
}

fn unreadable(source: io::Error) -> Error {
    Error::Payload { doing: "looking into a payload", source }
}
