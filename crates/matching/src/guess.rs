//! Choices that may be wrong: the chosen entry is as good as others with different responses.

use std::cell::OnceCell;
use std::hash::{DefaultHasher, Hash, Hasher};

use harproxy_compare::{BodyRules, MatchBody, looks_volatile};
use harproxy_har::Fixture;
use harproxy_redact::Placeholder;
use serde_json::Value;

use super::EntryRef;
use super::candidate::{Candidate, CandidateClass};
use super::ignored::{IgnoredPart, IgnoredParts, plain_text};
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
/// The most entries that are listed beside the chosen one.
const MAX_LISTED: usize = 8;

/// Compares the chosen candidate with the equally ranked ones of other classes. Returns `None` if none is ambiguous
/// with it. Two candidates are ambiguous if they have different placeholders at a place, and different responses.
pub(super) fn by_placeholders<'a>(
    chosen: &'a Candidate,
    others: impl Iterator<Item = CandidateClass<'a>>,
    request: &LiveRequest<'_, '_>,
    body: &BodyRules,
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
                let (placeholders, sent) = (vec![here.clone()], sent_values(chosen, request, body));
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

/// Compares the chosen candidate, which differs from the request in ignored parts, with the others that differ from it
/// in one of these. Returns `None` if these form a sequence: they differ only in volatile values, or their responses
/// do not differ.
pub(super) fn by_ignored<'a>(
    chosen: &'a Candidate,
    others: impl Iterator<Item = CandidateClass<'a>>,
    sent: &IgnoredParts,
    mode: MatchBody,
    fixture: &Fixture,
) -> Option<Box<Guess>> {
    let wrong: Vec<&IgnoredPart> = sent.differences(&chosen.ignored).map(|(part, ..)| part).collect();
    let mut comparison = Comparison::new(chosen, fixture);
    for class in others {
        let differences: Vec<_> = chosen.ignored.differences(&class.first().ignored).collect();
        let telling = differences.iter().filter(|(part, here, there)| {
            wrong.contains(part)
                && match part {
                    IgnoredPart::Payload => mode == MatchBody::Ignore,
                    _ => [here, there].into_iter().flatten().any(|value| !looks_volatile(value, comparison.recorded)),
                }
        });
        let names: Vec<String> = telling.map(|(part, ..)| part.to_string()).collect();
        let echoed: Vec<_> = differences.iter().filter_map(|(_, here, there)| Some(((*here)?, (*there)?))).collect();
        if let Some(other) = comparison.find_other_response(class, &names, &echoed) {
            comparison.add(other, names, |guess| &mut guess.ignored);
        }
    }
    comparison.finish()
}

/// Compares the chosen candidate, which differs from the request in headers that select a representation, with those
/// that rank equally but for headers. Returns `None` if no entry with another value has another response.
pub(super) fn by_headers<'a>(
    chosen: &'a Candidate,
    others: impl Iterator<Item = CandidateClass<'a>>,
    sent: &RankedHeaders,
    fixture: &Fixture,
) -> Option<Box<Guess>> {
    let wrong: Vec<&str> = sent.differences(&chosen.ranked_headers).collect();
    let mut comparison = Comparison::new(chosen, fixture);
    for class in others {
        let names = chosen.ranked_headers.differences(&class.first().ranked_headers);
        let names: Vec<String> = names.filter(|name| wrong.contains(name)).map(str::to_owned).collect();
        if let Some(other) = comparison.find_other_response(class, &names, &[]) {
            comparison.add(other, names, |guess| &mut guess.headers);
        }
    }
    comparison.finish()
}

/// The comparison of a chosen candidate with others.
struct Comparison<'a> {
    chosen: &'a Candidate,
    fixture: &'a Fixture,
    /// When the chosen entry was recorded, in seconds since 1970.
    recorded: Option<i64>,
    /// The response of the chosen entry, if it is JSON.
    response: OnceCell<Option<(i32, Value)>>,
    /// The number of comparisons that are left.
    left: usize,
    guess: Guess,
}

impl<'a> Comparison<'a> {
    fn new(chosen: &'a Candidate, fixture: &'a Fixture) -> Self {
        let recorded = fixture.recorded_at(chosen.at.entry).map(|at| at.unix_timestamp());
        let (response, guess) = (OnceCell::new(), Guess::new(chosen.at));
        Comparison { chosen, fixture, recorded, response, left: MAX_COMPARED, guess }
    }

    /// Returns the first entry of a class with another response than the chosen one. `names` are the parts in which the
    /// class differs; without any, none is searched.
    fn find_other_response(
        &mut self,
        class: CandidateClass<'_>,
        names: &[String],
        echoed: &[(&str, &str)],
    ) -> Option<EntryRef> {
        if names.is_empty() || self.guess.among.len() >= MAX_LISTED {
            return None;
        }
        for other in class.iter() {
            self.left = self.left.checked_sub(1)?;
            if !has_same_response(self.chosen, other, &self.response, echoed, self.fixture, self.recorded) {
                return Some(other.at);
            }
        }
        None
    }

    fn add(&mut self, other: EntryRef, names: Vec<String>, list: impl Fn(&mut Guess) -> &mut Vec<String>) {
        self.guess.among.push(other);
        let known = list(&mut self.guess);
        names.into_iter().for_each(|name| {
            if !known.contains(&name) {
                known.push(name);
            }
        });
    }

    fn finish(mut self) -> Option<Box<Guess>> {
        self.guess.among[1..].sort_unstable();
        (self.guess.among.len() > 1).then(|| Box::new(self.guess))
    }
}

/// Returns the hash of the values that a request has in the places of a candidate's placeholders, and of all that can
/// have placeholders otherwise.
fn sent_values(candidate: &Candidate, request: &LiveRequest<'_, '_>, body: &BodyRules) -> u64 {
    let mut hasher = DefaultHasher::new();
    if let Some(url) = request.url {
        (url.parts.origin, url.parts.path, url.parts.query).hash(&mut hasher);
    }
    // Ignored parts and the boundary of a multipart payload do not count.
    request.payload.meaning(body).unwrap_or(request.payload.digests()[1]).hash(&mut hasher);
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

/// Returns true if the responses of two entries differ only in volatile values, and in values that repeat those of the
/// requests. `response` keeps that of the first one.
fn has_same_response(
    one: &Candidate,
    other: &Candidate,
    response: &OnceCell<Option<(i32, Value)>>,
    echoed: &[(&str, &str)],
    fixture: &Fixture,
    recorded: Option<i64>,
) -> bool {
    if one.response(fixture) == other.response(fixture) {
        return true;
    }
    let here = response.get_or_init(|| json_response(fixture, one.at.entry));
    match (here, json_response(fixture, other.at.entry)) {
        (Some((status, here)), Some((other_status, there))) => {
            *status == other_status && is_equal(here, &there, echoed, recorded)
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
