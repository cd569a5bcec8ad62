//! Choices that may be wrong: the chosen entry is as good as others with different responses.

use std::hash::{DefaultHasher, Hash, Hasher};

use harproxy_compare::looks_volatile;
use harproxy_har::Fixture;
use harproxy_redact::Placeholder;
use serde_json::Value;

use super::EntryRef;
use super::candidate::{Candidate, CandidateClass};
use super::ignored::{IgnoredPart, plain_text};
use super::live_request::LiveRequest;
use super::ranked_headers::RankedHeaders;
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
    /// The headers in which the entries differ, none of which has the value of the request. Then the others are empty.
    pub headers: Vec<String>,
    /// The hash of the values that the client sent in the places of the placeholders.
    pub sent: u64,
    /// All placeholders of the chosen entry's request.
    pub secrets: Vec<Placeholder>,
    /// Whether the responses of the entries differ only in placeholders, that is in the tokens that they return.
    pub tokens_alone: bool,
}

impl Guess {
    fn new(chosen: EntryRef) -> Self {
        let (placeholders, ignored, headers, secrets) = Default::default();
        Guess { among: vec![chosen], placeholders, ignored, headers, sent: 0, secrets, tokens_alone: false }
    }
}

/// The most entries that are compared with the chosen one.
const MAX_COMPARED: usize = 256;

/// Compares the chosen candidate with the equally ranked ones of other classes. Returns `None` if none is ambiguous
/// with it. Two candidates are ambiguous if they have different placeholders at a place, and different responses.
pub(super) fn by_placeholders<'a>(
    chosen: &'a Candidate,
    others: impl Iterator<Item = CandidateClass<'a>>,
    request: &LiveRequest<'_, '_>,
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
                let secrets = redacted_places(chosen).into_iter().flat_map(|(_, found)| found).collect();
                let (placeholders, sent) = (vec![here.clone()], sent_values(chosen, request));
                Box::new(Guess { placeholders, sent, secrets, tokens_alone: true, ..Guess::new(chosen.at) })
            });
            guess.tokens_alone &= response.digest == other_response.digest;
            if guess.among.len() < MAX_COMPARED {
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

/// Compares the chosen candidate, which differs from the request in ignored parts, with the equally ranked ones of
/// other classes. Returns `None` if these form a sequence: they differ from it only in volatile values, or their
/// responses do not differ.
pub(super) fn by_ignored<'a>(
    chosen: &'a Candidate,
    others: impl Iterator<Item = CandidateClass<'a>>,
    fixture: &Fixture,
) -> Option<Box<Guess>> {
    let mut guess = Guess::new(chosen.at);
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
        if guess.among.len() >= MAX_COMPARED {
            break;
        }
    }
    guess.among[1..].sort_unstable();
    (guess.among.len() > 1).then(|| Box::new(guess))
}

/// Compares the chosen candidate, which differs from the request in headers that select a representation, with those
/// that rank equally but for headers. Returns `None` if no entry with another value has another response.
pub(super) fn by_headers<'a>(
    chosen: &'a Candidate,
    others: impl Iterator<Item = CandidateClass<'a>>,
    sent: &RankedHeaders,
    fixture: &Fixture,
) -> Option<Box<Guess>> {
    let mut guess = Guess::new(chosen.at);
    let wrong: Vec<&str> = sent.differences(&chosen.ranked_headers).collect();
    for class in others {
        let mut names = chosen.ranked_headers.differences(&class.first().ranked_headers);
        let Some(name) = names.find(|name| wrong.contains(name)) else { continue };
        if class.iter().take(MAX_COMPARED).any(|other| has_same_response(chosen, other, &[], fixture)) {
            continue;
        }
        guess.among.push(class.first().at);
        if !guess.headers.iter().any(|known| known == name) {
            guess.headers.push(name.to_owned());
        }
        if guess.among.len() >= MAX_COMPARED {
            break;
        }
    }
    guess.among[1..].sort_unstable();
    (guess.among.len() > 1).then(|| Box::new(guess))
}

/// Returns the hash of the values that a request has in the places of a candidate's placeholders, and of all that can
/// have placeholders otherwise.
fn sent_values(candidate: &Candidate, request: &LiveRequest<'_, '_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    if let Some(url) = request.url {
        (url.parts.origin, url.parts.path, url.parts.query).hash(&mut hasher);
    }
    request.payload.digests()[1].hash(&mut hasher);
    for (place, _) in candidate.places.iter() {
        place.of_headers(request.payload.headers()).hash(&mut hasher);
    }
    hasher.finish()
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
    let echoed: Vec<_> = differences.iter().filter_map(|(_, here, there)| Some(((*here)?, (*there)?))).collect();
    match telling.is_empty() || has_same_response(one, other, &echoed, fixture) {
        true => Vec::new(),
        false => telling,
    }
}

/// Returns true if the responses of two entries differ only in volatile values, and in values that repeat those of the
/// requests.
fn has_same_response(one: &Candidate, other: &Candidate, echoed: &[(&str, &str)], fixture: &Fixture) -> bool {
    if one.response(fixture) == other.response(fixture) {
        return true;
    }
    let recorded = fixture.recorded_at(one.at.entry).map(|at| at.unix_timestamp());
    let responses = [one, other].map(|candidate| json_response(fixture, candidate.at.entry));
    match responses {
        [Some((status, here)), Some((other_status, there))] => {
            status == other_status && is_equal(&here, &there, echoed, recorded)
        }
        _ => false,
    }
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
