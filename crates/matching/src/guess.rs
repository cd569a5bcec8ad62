//! Choices that may be wrong: the chosen entry is as good as others with different responses.

use harproxy_compare::looks_volatile;
use harproxy_har::Fixture;
use harproxy_redact::Placeholder;
use serde_json::Value;

use super::EntryRef;
use super::candidate::{Candidate, CandidateClass};
use super::ignored::{IgnoredPart, plain_text};
use super::redacted_places::RedactedPlace;

/// A choice that may be wrong, because the chosen entry is ambiguous with others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guess {
    /// The chosen entry, and then others that are as good, in order. The list is cut if there are many.
    pub among: Vec<EntryRef>,
    /// The placeholders at the places where the entries differ.
    pub placeholders: Vec<Placeholder>,
    /// The ignored parts in which the entries differ, such as "query parameter `page`". Then there are no placeholders.
    pub ignored: Vec<String>,
    /// Whether the responses of the entries differ only in placeholders, that is in the tokens that they return.
    pub tokens_alone: bool,
}

/// The most entries that are listed.
const MAX_LISTED: usize = 8;

/// Compares the chosen candidate with the equally ranked ones of other classes. Returns `None` if none is ambiguous
/// with it. Two candidates are ambiguous if they have different placeholders at a place, and different responses.
pub(super) fn by_placeholders<'a>(
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
                let ignored = Vec::new();
                Box::new(Guess {
                    among: vec![chosen.at],
                    placeholders: vec![here.clone()],
                    ignored,
                    tokens_alone: true,
                })
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

/// Compares the chosen candidate, which differs from the request in ignored parts, with the equally ranked ones of other
/// classes. Returns `None` if these form a sequence: they differ from it only in volatile values, or their responses do
/// not differ.
pub(super) fn by_ignored<'a>(
    chosen: &'a Candidate,
    others: impl Iterator<Item = CandidateClass<'a>>,
    fixture: &Fixture,
) -> Option<Box<Guess>> {
    let mut guess = Guess { among: vec![chosen.at], placeholders: vec![], ignored: vec![], tokens_alone: false };
    for other in others.map(CandidateClass::first) {
        let parts = telling_parts(chosen, other, fixture);
        if parts.is_empty() {
            continue;
        }
        guess.among.push(other.at);
        for name in parts.iter().map(ToString::to_string) {
            if !guess.ignored.contains(&name) {
                guess.ignored.push(name);
            }
        }
        if guess.among.len() >= MAX_LISTED {
            break;
        }
    }
    guess.among[1..].sort_unstable();
    (guess.among.len() > 1).then(|| Box::new(guess))
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

/// Returns the ignored parts in which two candidates differ by more than volatile values, if their responses differ,
/// too. Hosts and the bytes of payloads do not count.
fn telling_parts(one: &Candidate, other: &Candidate, fixture: &Fixture) -> Vec<IgnoredPart> {
    let recorded = fixture.recorded_at(one.at.entry).map(|at| at.unix_timestamp());
    let is_volatile = |value: Option<&str>| value.is_none_or(|value| looks_volatile(value, recorded));
    let differences: Vec<_> = one.ignored.differences(&other.ignored).collect();
    let telling = differences.iter().filter(|(part, here, there)| {
        let counts = !matches!(part, IgnoredPart::Host | IgnoredPart::Payload);
        counts && [here, there].into_iter().any(|value| !is_volatile(*value))
    });
    let telling: Vec<IgnoredPart> = telling.map(|(part, ..)| (*part).clone()).collect();
    if telling.is_empty() || one.response(fixture) == other.response(fixture) {
        return Vec::new();
    }
    let echoed: Vec<_> = differences.iter().filter_map(|(_, here, there)| Some(((*here)?, (*there)?))).collect();
    let responses = [one, other].map(|candidate| json_response(fixture, candidate.at.entry));
    let is_same = match responses {
        [Some((status, here)), Some((other_status, there))] => {
            status == other_status && is_equal(&here, &there, &echoed, recorded)
        }
        _ => false,
    };
    if is_same { Vec::new() } else { telling }
}

/// Returns the status and the JSON payload of a response; `None` if it has another payload.
fn json_response(fixture: &Fixture, at: usize) -> Option<(i32, Value)> {
    let entry = fixture.entry(at).ok()?;
    let payload = fixture.payload(at, &entry.response.content).ok()?.bytes().ok()?;
    Some((entry.response.status, serde_json::from_slice(&payload).ok()?))
}

/// Returns true if two JSON values differ only in volatile values, and in values that repeat those of the requests.
fn is_equal(one: &Value, other: &Value, echoed: &[(&str, &str)], recorded: Option<i64>) -> bool {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .all(|(name, value)| other.get(name).is_some_and(|other| is_equal(value, other, echoed, recorded)))
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_equal(one, other, echoed, recorded))
        }
        _ => {
            let (here, there) = (plain_text(one), plain_text(other));
            one == other
                || echoed.contains(&(here.as_str(), there.as_str()))
                || (looks_volatile(&here, recorded) && looks_volatile(&there, recorded))
        }
    }
}
