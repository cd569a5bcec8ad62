//! Secrets that are left: what redacting would take out, and where it would stand.

use std::collections::HashSet;
use std::io::Read;
use std::ops::Range;

use sha2::{Digest, Sha256};

use super::place::inside_body;
use super::{Finding, Kind, Severity};
use crate::upkeep::sift::{Item, Sift, Sifted};
use harproxy_redact::{KnownSecret, Placeholder, PlaceholderName, Replacer, SecretStore, ValueFormat, placeholder};

/// Numbers of placeholders that tell what was found from what stands in the fixture.
const FIRST: u64 = 900_000_000_000;
/// How much of a hash is told, hex digits.
const TOLD: usize = 12;
/// Of longer texts the place is not told any nearer, bytes.
const LOCATED: u64 = 16 << 20;

/// A namer that keeps book.
pub(super) struct Leaks<'a> {
    store: &'a SecretStore,
    allow: &'a [String],
    found: Vec<Leak>,
}

/// A value that was found.
struct Leak {
    name: PlaceholderName,
    hash: String,
    /// Known from elsewhere.
    is_known: bool,
}

impl<'a> Leaks<'a> {
    pub(super) fn new(store: &'a SecretStore, allow: &'a [String]) -> Self {
        Leaks { store, allow, found: Vec::new() }
    }

    fn add(&mut self, secret: &[u8], name: PlaceholderName, format: ValueFormat, is_known: bool) -> String {
        let number = FIRST + self.found.len() as u64;
        self.found.push(Leak { name: name.clone(), hash: hash(secret), is_known });
        format.write(&Placeholder { name: format.shared_name().unwrap_or(name), number })
    }
}

impl Replacer for &mut Leaks<'_> {
    fn replace(&mut self, secret: &[u8], name: &PlaceholderName, format: ValueFormat) -> String {
        (&mut &*self.store).replace(secret, name, format);
        self.add(secret, name.clone(), format, false)
    }

    fn find_known(&mut self, text: &[u8]) -> Vec<Range<usize>> {
        (&mut &*self.store).find_known(text)
    }

    fn replace_known(&mut self, secret: &[u8]) -> String {
        match self.store.find_secrets(secret).into_iter().next() {
            Some(KnownSecret { name, format, .. }) => self.add(secret, name, format, true),
            None => String::new(),
        }
    }
}

/// The SHA-256 of a value in hex.
pub(super) fn hash(value: &[u8]) -> String {
    Sha256::digest(value).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a value of this hash was looked at and is no secret.
pub(super) fn is_allowed(allow: &[String], hash: &str) -> bool {
    allow.iter().any(|begin| hash.starts_with(begin.as_str()))
}

/// How a hash is told.
pub(super) fn told(hash: &str) -> String {
    hash[..TOLD].to_owned()
}

/// Tells what came of an item.
pub(super) fn tell(sift: &mut Sift<'_, &mut Leaks<'_>>, item: &Item<'_>, sifted: Sifted, findings: &mut Vec<Finding>) {
    let leaks = sift.replacer();
    let found = std::mem::take(&mut leaks.found);
    let place = match item {
        Item::Spot(spot) => spot.what.to_string(),
        Item::Body(body) => format!("{} body", body.side),
    };
    let change = match sifted {
        Sifted::Clean => return,
        Sifted::Opaque => {
            let Item::Body(body) = item else { return };
            let media = body.content_type.split(';').next().unwrap_or_default().trim();
            let kind = if media.is_empty() { "of no type" } else { media };
            let message = format!("{place} ({kind}) could not be scanned");
            findings.push(Finding { place: Some(place), ..Finding::new(Severity::Warning, Kind::Opaque, message) });
            return;
        }
        Sifted::Changed(change) => change,
    };
    let mut left = Vec::new();
    let read = change.left.reader().and_then(|read| read.take(LOCATED).read_to_end(&mut left));
    let is_all = read.is_ok_and(|len| (len as u64) < LOCATED);
    let mut told_of = HashSet::new();
    let stand = placeholder::find(&left).filter_map(|found| {
        let n = usize::try_from(found.placeholder.number.checked_sub(FIRST)?).ok()?;
        Some((n, Some(found.range.start)))
    });
    // What is not seen in so much of the text stands behind it.
    let stand: Vec<_> = if is_all { stand.collect() } else { (0..found.len()).map(|n| (n, None)).collect() };
    for (n, at) in stand {
        let Some(leak) = found.get(n).filter(|leak| !is_allowed(leaks.allow, &leak.hash)) else { continue };
        let place = match (item, at) {
            (Item::Body(body), Some(at)) => format!("{place} {}", inside_body(&body.content_type, &left, at)),
            _ => place.clone(),
        };
        if told_of.insert((leak.hash.clone(), place.clone())) {
            findings.push(leak.tell(place));
        }
    }
}

impl Leak {
    fn tell(&self, place: String) -> Finding {
        let sha256 = told(&self.hash);
        let what = if self.is_known { "the value of" } else { "a secret:" };
        let elsewhere = if self.is_known { " from another place" } else { "" };
        let message = format!("{place} holds {what} {}{elsewhere} (sha256:{sha256})", self.name);
        Finding {
            place: Some(place),
            name: Some(self.name.to_string()),
            sha256: Some(sha256),
            ..Finding::new(Severity::Problem, Kind::Secret, message)
        }
    }
}

/// What an entry says twice, in a header and in the list of cookies, in its URL and in the list of parameters, is told
/// once:
/// `findings` are those of the entry, and those from `repeated` on are of what only repeats.
pub(super) fn forget_repeated(findings: &mut Vec<Finding>, repeated: usize) {
    let again = findings.split_off(repeated);
    let told: HashSet<_> = findings.iter().filter_map(|finding| finding.sha256.clone()).collect();
    findings
        .extend(again.into_iter().filter(|finding| finding.sha256.as_ref().is_none_or(|hash| !told.contains(hash))));
}
