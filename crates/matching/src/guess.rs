//! Choices among ambiguous entries: the request does not tell which of them is meant.

use harproxy_har::Fixture;
use harproxy_redact::Placeholder;

use super::EntryRef;
use super::candidate::{Candidate, CandidateClass};
use super::redacted_places::RedactedPlace;

/// A choice that may be wrong, because the chosen entry is ambiguous with others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guess {
    /// The chosen entry, and then others that are as good, in order. The list is cut if there are many.
    pub among: Vec<EntryRef>,
    /// The placeholders at the places where the entries differ.
    pub placeholders: Vec<Placeholder>,
    /// Whether the responses of the entries differ only in placeholders, that is in the tokens that they return.
    pub tokens_alone: bool,
}

/// The most entries that are listed.
const MAX_LISTED: usize = 8;

/// Compares the chosen candidate with the equally ranked ones of other classes. Returns `None` if none is ambiguous
/// with it. Two candidates are ambiguous if they have different placeholders at a place, and different responses.
pub(super) fn guess<'a>(
    chosen: &'a Candidate,
    others: impl Iterator<Item = CandidateClass<'a>>,
    fixture: &Fixture,
) -> Option<Box<Guess>> {
    if !chosen.has_placeholders() {
        return None;
    }
    let mut found: Option<Box<Guess>> = None;
    for class in others.filter(|class| class.first().has_placeholders()) {
        let Some([here, there]) = different_placeholders(chosen, class.first()) else { continue };
        for other in class.iter() {
            let [response, other_response] = [chosen, other].map(|candidate| candidate.response(fixture));
            if response == other_response {
                continue;
            }
            let guess = found.get_or_insert_with(|| {
                Box::new(Guess { among: vec![chosen.at], placeholders: vec![here.clone()], tokens_alone: true })
            });
            guess.tokens_alone &= response.digest == other_response.digest;
            if guess.among.len() < MAX_LISTED {
                guess.among.push(other.at);
                if !guess.placeholders.contains(&there) {
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

/// Returns the first different placeholders of two candidates at the same place.
fn different_placeholders(one: &Candidate, other: &Candidate) -> Option<[Placeholder; 2]> {
    let others = redacted_places(other);
    redacted_places(one).into_iter().find_map(|(place, placeholders)| {
        let (_, namesakes) = others.iter().find(|(other, _)| *other == place)?;
        let mut pairs = placeholders.into_iter().zip(namesakes);
        pairs.find(|(one, other)| one != *other).map(|(one, other)| [one, other.clone()])
    })
}

/// Returns the placeholders of each redacted place of a request. The place of the payload is `None`.
fn redacted_places(candidate: &Candidate) -> Vec<(Option<&RedactedPlace>, Vec<Placeholder>)> {
    let places = candidate.places.iter();
    let mut found: Vec<_> =
        places.map(|(place, template)| (Some(place), template.placeholders().cloned().collect())).collect();
    found.push((None, candidate.payload.placeholders()));
    found
}
