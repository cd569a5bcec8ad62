//! Answers that were chosen by guess: entries that differ in redacted places, of which the client's values told none apart.

use sha2::{Digest as _, Sha256};

use super::EntryRef;
use super::candidate::{Alike, Candidate};
use super::payload::{Digest, Recorded};
use super::redacted::{HeaderPlace, Part};
use super::template::Template;
use harproxy_har::{Entry, Fixture};
use harproxy_redact::{Placeholder, placeholder};

/// Why an answer may be the wrong one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guess {
    /// The one that answers, and those that might as well have, in order; not all where there are many.
    pub among: Vec<EntryRef>,
    /// What stands in the places that would tell them apart.
    pub placeholders: Vec<Placeholder>,
    /// Their answers differ in nothing but placeholders: in the tokens that were given out.
    pub tokens_alone: bool,
}

/// What an entry's answer says, as far as one tells answers apart: status, `Location`, the cookies' values, the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Said {
    /// All of it; the times of tokens aside.
    whole: Digest,
    /// With the placeholders set aside.
    without: Digest,
}

/// Longer payloads are compared as they are.
const LONGEST: u64 = 16 << 20;

impl Said {
    pub(super) fn of(fixture: &Fixture, at: usize) -> Self {
        let mut digests = [Sha256::new(), Sha256::new()];
        if let Ok(entry) = fixture.entry(at) {
            let mut say = |text: &[u8]| {
                for (digest, text) in
                    digests.iter_mut().zip([harproxy_http::jwt::timeless(text), placeholder::mask(text)])
                {
                    digest.update((text.len() as u64).to_le_bytes());
                    digest.update(text);
                }
            };
            say(&entry.response.status.to_le_bytes());
            entry.response.headers.get_all("location").for_each(&mut say);
            let cookie = |cookie: &[u8]| cookie.split(|byte| *byte == b';').next().unwrap_or_default().to_vec();
            entry.response.headers.get_all("set-cookie").for_each(|value| say(&cookie(value)));
            say(&payload(fixture, at, &entry));
        }
        let [whole, without] = digests.map(|digest| digest.finalize().into());
        Said { whole, without }
    }
}

/// A payload that is long is told by where it lies, which has its digest in it.
fn payload(fixture: &Fixture, at: usize, entry: &Entry) -> Vec<u8> {
    match fixture.payload(at, &entry.response.content) {
        Ok(payload) if payload.len() <= LONGEST => payload.bytes().map(Vec::from).unwrap_or_default(),
        Ok(payload) => format!("{payload:?}").into_bytes(),
        Err(_) => Vec::new(),
    }
}

/// Entries that are named.
const NAMED: usize = 8;

/// The guess that choosing `chosen` is, among candidates of other kinds that are as good; `None` when the client could have
/// told none apart, or it makes no difference.
pub(super) fn guess<'a>(
    chosen: &'a Candidate,
    others: impl Iterator<Item = Alike<'a>>,
    fixture: &Fixture,
) -> Option<Box<Guess>> {
    let own = Places::of(chosen)?;
    let mut found: Option<Box<Guess>> = None;
    for alike in others {
        let Some((here, there)) = Places::of(alike.first()).and_then(|other| own.conflict(&other)) else { continue };
        for other in alike.iter() {
            let (said, says) = (chosen.said(fixture), other.said(fixture));
            if said.whole == says.whole {
                continue;
            }
            let guess = found.get_or_insert_with(|| {
                Box::new(Guess { among: vec![chosen.at], placeholders: vec![here.clone()], tokens_alone: true })
            });
            guess.tokens_alone &= said.without == says.without;
            if guess.among.len() < NAMED {
                guess.among.push(other.at);
                if !guess.placeholders.contains(there) {
                    guess.placeholders.push(there.clone());
                }
            } else if !guess.tokens_alone {
                break;
            }
        }
    }
    if let Some(guess) = &mut found {
        guess.among[1..].sort_unstable();
    }
    found
}

/// The redacted places of an entry's request.
struct Places<'a>(Vec<(Where<'a>, &'a Template)>);

#[derive(Debug, PartialEq, Eq)]
enum Where<'a> {
    Url(&'a Part),
    Header(&'a HeaderPlace),
    /// By its place among those of the payload, which are the same where the rest of it is.
    Payload(usize),
}

impl<'a> Places<'a> {
    /// `None`: there is none.
    fn of(candidate: &'a Candidate) -> Option<Self> {
        let mut places = Vec::new();
        if let Some(found) = &candidate.places {
            places.extend(found.0.places().map(|(part, template)| (Where::Url(part), template)));
            places.extend(found.1.places().map(|(place, template)| (Where::Header(place), template)));
        }
        if let Recorded::Open(open) = &candidate.payload {
            places.extend(open.templates().into_iter().enumerate().map(|(n, found)| (Where::Payload(n), found)));
        }
        (!places.is_empty()).then_some(Places(places))
    }

    /// The placeholders in the first place where two entries have different ones.
    fn conflict(&self, other: &Places<'a>) -> Option<(&'a Placeholder, &'a Placeholder)> {
        self.0.iter().find_map(|(place, here)| {
            let (_, there) = other.0.iter().find(|(other, _)| other == place)?;
            here.placeholders().zip(there.placeholders()).find(|(here, there)| here != there)
        })
    }
}
