//! Choices among ambiguous entries: the request does not tell which of them is meant.

use harproxy_compare::ambiguity;
use harproxy_har::Fixture;
use harproxy_redact::Placeholder;

use super::EntryRef;
use super::candidate::{Candidate, CandidateClass};

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
/// with it.
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
        let places = [chosen, class.first()].map(|candidate| candidate.redacted_places(fixture));
        for other in class.iter() {
            let responses = || [chosen, other].map(|candidate| candidate.response_digests(fixture));
            let Some(ambiguity) = ambiguity(places, responses) else { continue };
            let Some(&(here, there)) = ambiguity.placeholders.first() else { continue };
            let guess = found.get_or_insert_with(|| {
                Box::new(Guess { among: vec![chosen.at], placeholders: vec![here.clone()], tokens_alone: true })
            });
            guess.tokens_alone &= ambiguity.tokens_only;
            if guess.among.len() < MAX_LISTED {
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
