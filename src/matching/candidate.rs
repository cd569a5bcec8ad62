//! What choosing among entries needs of each, worked out when its key is first asked for.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::conditional::Condition;
use super::index::Ordinal;
use super::payload::{self, Comparison};
use super::{EntryRef, MissingBody, Redirects, redirects, score};
use crate::har::{Entry, Fixture, Payload};
use crate::http::problem::in_words;

/// An entry, reduced to what the choice looks at.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) ordinal: Ordinal,
    pub(super) at: EntryRef,
    pub(super) payload: payload::Recorded,
    pub(super) headers: score::Recorded,
    pub(super) condition: Condition,
    /// Whether it leads to another key.
    pub(super) redirects: bool,
    /// The values of the `--match-header` names, in their order.
    pub(super) required: Box<[Vec<Bytes>]>,
    /// What there is to serve; looked up when it is first chosen.
    content: OnceLock<Content>,
}

/// Whether an entry's own payload is there to be served.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// It is, or there is none.
    There,
    /// Nobody kept it.
    NotRecorded,
    /// It can't be read; in words.
    Unreadable(String),
}

/// The options a candidate depends on.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    pub(super) comparison: Comparison,
    pub(super) match_headers: Vec<String>,
    pub(super) score_all_headers: bool,
    pub(super) missing_body: MissingBody,
    pub(super) redirects: Redirects,
}

impl Candidate {
    pub(super) fn new(ordinal: Ordinal, at: EntryRef, fixture: &Fixture, entry: &Entry, rules: &Rules) -> Self {
        let values = |name: &String| entry.request.headers.get_all(name).map(Bytes::copy_from_slice).collect();
        Candidate {
            ordinal,
            at,
            payload: payload::Recorded::of(fixture, at.entry, entry, &rules.comparison),
            headers: score::Recorded::new(&entry.request.headers, rules.score_all_headers),
            condition: Condition::of(entry),
            redirects: redirects::location(entry).is_some(),
            required: rules.match_headers.iter().map(values).collect(),
            content: OnceLock::new(),
        }
    }

    /// Whether its answer's payload can be served.
    pub(super) fn content(&self, fixture: &Fixture, entry: &Entry, rules: &Rules) -> &Content {
        self.content.get_or_init(|| match fixture.payload(self.at.entry, &entry.response.content) {
            Ok(Payload::NotRecorded) if rules.missing_body == MissingBody::Fail && has_content(entry) => {
                Content::NotRecorded
            }
            Ok(_) => Content::There,
            Err(error) => Content::Unreadable(in_words(&error)),
        })
    }
}

/// Whether the client would have been sent content (RFC 9110 section 6.4.1).
fn has_content(entry: &Entry) -> bool {
    let status = entry.response.status;
    entry.request.method != "HEAD" && !matches!(status, 100..=199 | 204 | 304)
}

/// The candidates of a key, in order. Entries that can't be read are told apart from those that aren't there.
#[derive(Debug)]
pub(super) struct Group {
    /// What holds for all of it.
    pub(super) rules: Arc<Rules>,
    pub(super) candidates: Vec<Candidate>,
    pub(super) unreadable: Vec<(EntryRef, String)>,
    by_payload: Option<ByPayload>,
}

/// More candidates than this are looked up by their payload: one GraphQL endpoint may be all of a recording.
const MANY: usize = 16;

/// Places in a group's list of candidates.
#[derive(Debug, Default)]
struct ByPayload {
    digests: HashMap<payload::Digest, Vec<usize>>,
    /// Those that no digest stands for.
    others: Vec<usize>,
}

impl Group {
    pub(super) fn new(
        members: impl Iterator<Item = (Ordinal, EntryRef)>,
        fixtures: &[Arc<Fixture>],
        rules: Arc<Rules>,
    ) -> Self {
        let mut group = Group { rules, candidates: Vec::new(), unreadable: Vec::new(), by_payload: None };
        for (ordinal, at) in members {
            let fixture = &fixtures[at.fixture];
            match fixture.entry(at.entry) {
                Ok(entry) => group.candidates.push(Candidate::new(ordinal, at, fixture, &entry, &group.rules)),
                Err(error) => group.unreadable.push((at, in_words(&error))),
            }
        }
        for candidate in &group.candidates {
            if let payload::Recorded::Unreadable(why) = &candidate.payload {
                group.unreadable.push((candidate.at, why.clone()));
            }
        }
        group.by_payload = (group.candidates.len() > MANY).then(|| ByPayload::new(&group.candidates));
        group
    }

    /// The candidates that may have this payload, in order.
    pub(super) fn with_payload(
        &self,
        sent: &payload::Sent<'_>,
        comparison: &Comparison,
    ) -> impl Iterator<Item = &Candidate> {
        let places = match &self.by_payload {
            None => (0..self.candidates.len()).collect(),
            Some(by_payload) => by_payload.places(sent, comparison),
        };
        places.into_iter().map(|place| &self.candidates[place])
    }
}

impl ByPayload {
    fn new(candidates: &[Candidate]) -> Self {
        let mut by_payload = ByPayload::default();
        for (place, candidate) in candidates.iter().enumerate() {
            match &candidate.payload {
                payload::Recorded::Kept { bytes, meaning } => {
                    for digest in std::iter::once(bytes).chain(meaning) {
                        by_payload.digests.entry(*digest).or_default().push(place);
                    }
                }
                _ => by_payload.others.push(place),
            }
        }
        by_payload
    }

    fn places(&self, sent: &payload::Sent<'_>, comparison: &Comparison) -> Vec<usize> {
        let mut places = self.others.clone();
        if !sent.raw.is_empty() {
            let digests = sent.digests().iter().copied().chain(sent.meaning(comparison));
            places.extend(digests.filter_map(|digest| self.digests.get(&digest)).flatten());
        }
        places.sort_unstable();
        places.dedup();
        places
    }
}
