//! What choosing among entries needs of each, worked out when its key is first asked for.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use harproxy_compare::{
    BodyRules, Digest, Encoding, PlaceholderValues, RecordedPayload, RedactedPlaces, ResponseDigests, SentPayload,
    Template,
};
use indexmap::IndexMap;

use super::conditional::Condition;
use super::index::Ordinal;
use super::key::KeyForm;
use super::payload::{read_recorded, read_redacted_places, read_response_digests};
use super::redacted::{HeaderPlaces, UrlPlaces};
use super::{Echo, EntryRef, MissingBody, Redirects, redirects, score};
use harproxy_har::model::Storage;
use harproxy_har::{Entry, Fixture, Payload};
use harproxy_http::problem::in_words;
use harproxy_http::url::normal;
use harproxy_redact::placeholder;

/// An entry, reduced to what the choice looks at.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) ordinal: Ordinal,
    pub(super) at: EntryRef,
    pub(super) payload: RecordedPayload,
    pub(super) headers: score::Recorded,
    pub(super) condition: Condition,
    /// The recorded status.
    pub(super) status: i32,
    /// Where it leads, when it redirects.
    pub(super) location: Option<Box<str>>,
    /// The values of the `--match-header` names, in their order.
    pub(super) required: Box<[Vec<Required>]>,
    /// Where its URL has placeholders, and where its headers have.
    pub(super) places: Option<Box<(UrlPlaces, HeaderPlaces)>>,
    /// What there is to serve; looked up when it is first chosen.
    content: OnceLock<Content>,
    /// The redacted places of its request, found when it is first compared with another candidate.
    redacted_places: OnceLock<RedactedPlaces>,
    /// The digests of its response, made when it is first compared with another candidate.
    response_digests: OnceLock<ResponseDigests>,
}

/// The value of a header that has to be equal.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Required {
    pub(super) value: Bytes,
    /// Where placeholders stand in it.
    open: Option<Template>,
}

impl Required {
    pub(super) fn new(value: &[u8]) -> Self {
        let open = Template::parse(value, Encoding::Plain).map(Template::to_lowercase);
        Required { value: Bytes::copy_from_slice(value), open }
    }

    /// Whether a request's value is this one, case and placeholders aside.
    pub(super) fn fits(&self, sent: &[u8]) -> bool {
        match &self.open {
            None => sent.eq_ignore_ascii_case(&self.value),
            Some(template) => template.score(&sent.to_ascii_lowercase(), &PlaceholderValues::default()).is_some(),
        }
    }
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
    pub(super) body: BodyRules,
    pub(super) match_headers: Vec<String>,
    pub(super) score_all_headers: bool,
    pub(super) missing_body: MissingBody,
    pub(super) redirects: Redirects,
    /// The values that are given for placeholders.
    pub(super) values: Arc<PlaceholderValues>,
    /// What answers repeat of requests.
    pub(super) echo: Vec<Echo>,
}

impl Candidate {
    pub(super) fn new(
        ordinal: Ordinal,
        at: EntryRef,
        fixture: &Fixture,
        entry: &Entry,
        rules: &Rules,
        form: &KeyForm,
    ) -> Self {
        let values = |name: &String| entry.request.headers.get_all(name).map(Required::new).collect();
        let url = normal(&entry.request.url).filter(|url| placeholder::may_occur_in(url.as_bytes()));
        let places = (
            url.map(|url| UrlPlaces::of(&form.view(&url))).unwrap_or_default(),
            HeaderPlaces::of(&entry.request.headers),
        );
        Candidate {
            places: (!(places.0.is_empty() && places.1.is_empty())).then(|| Box::new(places)),
            ordinal,
            at,
            payload: read_recorded(fixture, at.entry, entry, &rules.body),
            headers: score::Recorded::new(&entry.request.headers, rules.score_all_headers),
            condition: Condition::of(entry),
            status: entry.response.status,
            location: redirects::location(entry).map(String::into_boxed_str),
            required: rules.match_headers.iter().map(values).collect(),
            content: match &entry.response.content.stored {
                Storage::Text(text) if !text.is_empty() => Content::There.into(),
                _ => OnceLock::new(),
            },
            redacted_places: OnceLock::new(),
            response_digests: OnceLock::new(),
        }
    }

    /// Returns true if its request has placeholders.
    pub(super) fn has_placeholders(&self) -> bool {
        self.places.is_some() || matches!(self.payload, RecordedPayload::Template(_))
    }

    /// Returns the redacted places of its request.
    pub(super) fn redacted_places(&self, fixture: &Fixture) -> &RedactedPlaces {
        self.redacted_places.get_or_init(|| read_redacted_places(fixture, self.at.entry))
    }

    /// Returns the digests of its response.
    pub(super) fn response_digests(&self, fixture: &Fixture) -> ResponseDigests {
        *self.response_digests.get_or_init(|| read_response_digests(fixture, self.at.entry))
    }

    /// Whether its answer's payload can be served.
    pub(super) fn content(&self, fixture: &Fixture, rules: &Rules) -> &Content {
        let look = || {
            let entry = fixture.entry(self.at.entry)?;
            Ok::<_, harproxy_har::Error>(match fixture.payload(self.at.entry, &entry.response.content)? {
                Payload::NotRecorded if rules.missing_body == MissingBody::Fail && has_content(&entry) => {
                    Content::NotRecorded
                }
                _ => Content::There,
            })
        };
        self.content.get_or_init(|| look().unwrap_or_else(|error| Content::Unreadable(in_words(&error))))
    }
}

/// Whether the client would have been sent content (RFC 9110 section 6.4.1).
fn has_content(entry: &Entry) -> bool {
    let status = entry.response.status;
    entry.request.method != "HEAD" && !matches!(status, 100..=199 | 204 | 304)
}

/// The candidates of a key. Entries that can't be read are told apart from those that aren't there.
#[derive(Debug)]
pub(super) struct Group {
    /// What holds for all of it.
    pub(super) rules: Arc<Rules>,
    /// In order.
    pub(super) candidates: Box<[Candidate]>,
    /// Places of candidates that no request tells apart, in order: what a poll leaves behind, thousands of times perhaps.
    alike: Box<[Box<[u32]>]>,
    pub(super) unreadable: Vec<(EntryRef, String)>,
    /// Whether the request's payload has a say.
    pub(super) needs_body: bool,
    /// Whether some of their URLs have placeholders.
    pub(super) open_urls: bool,
    by_payload: Option<Box<ByPayload>>,
}

/// Candidates that are alike in all that the choice looks at, in order; never none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Alike<'a> {
    candidates: &'a [Candidate],
    places: &'a [u32],
}

impl<'a> Alike<'a> {
    /// What is true of the first is true of all.
    pub(super) fn first(self) -> &'a Candidate {
        &self.candidates[self.places[0] as usize]
    }

    /// Whether this is one of them.
    pub(super) fn has(self, candidate: &Candidate) -> bool {
        self.places.binary_search_by_key(&candidate.ordinal, |&place| self.candidates[place as usize].ordinal).is_ok()
    }

    pub(super) fn iter(self) -> impl DoubleEndedIterator<Item = &'a Candidate> {
        self.places.iter().map(move |&place| &self.candidates[place as usize])
    }
}

/// What makes candidates alike.
type Likeness<'a> = (
    (usize, &'a RecordedPayload, &'a score::Recorded, &'a Condition, &'a [Vec<Required>]),
    Option<&'a (UrlPlaces, HeaderPlaces)>,
);

impl Candidate {
    fn likeness(&self) -> Likeness<'_> {
        let key = (self.at.fixture, &self.payload, &self.headers, &self.condition, &*self.required);
        (key, self.places.as_deref())
    }
}

/// More kinds of candidates than this are looked up by their payload: one GraphQL endpoint may be all of a recording.
const MANY: usize = 16;

/// Places in a group's list of those that are alike.
#[derive(Debug, Default)]
struct ByPayload {
    digests: HashMap<Digest, Vec<usize>>,
    /// Those that no digest stands for.
    others: Vec<usize>,
}

impl Group {
    pub(super) fn new(
        members: impl ExactSizeIterator<Item = (Ordinal, EntryRef)>,
        fixtures: &[Arc<Fixture>],
        rules: Arc<Rules>,
        form: &KeyForm,
    ) -> Self {
        // Most have one, of which there may be a million.
        let (mut candidates, mut unreadable) = (Vec::with_capacity(members.len()), Vec::new());
        for (ordinal, at) in members {
            let fixture = &fixtures[at.fixture];
            match fixture.entry(at.entry) {
                Ok(entry) => candidates.push(Candidate::new(ordinal, at, fixture, &entry, &rules, form)),
                Err(error) => unreadable.push((at, in_words(&error))),
            }
        }
        for candidate in &candidates {
            if let RecordedPayload::Unreadable(why) = &candidate.payload {
                unreadable.push((candidate.at, why.clone()));
            }
        }
        let candidates = candidates.into_boxed_slice();
        let alike = alike(&candidates);
        // A redirect that keeps the payload takes it to another key.
        let needs_body =
            candidates.iter().any(|one| one.location.is_some() || !matches!(one.payload, RecordedPayload::Any));
        let by_payload = (alike.len() > MANY).then(|| Box::new(ByPayload::new(&candidates, &alike)));
        let open_urls = candidates.iter().any(|one| one.places.as_ref().is_some_and(|places| !places.0.is_empty()));
        Group { rules, candidates, alike, unreadable, needs_body, open_urls, by_payload }
    }

    /// The candidates that may have this payload.
    pub(super) fn with_payload(&self, sent: &SentPayload<'_>, body: &BodyRules) -> Vec<Alike<'_>> {
        let alike = |places| Alike { candidates: &self.candidates, places };
        match &self.by_payload {
            None => self.alike.iter().map(|places| alike(places)).collect(),
            Some(by_payload) => {
                let found = by_payload.places(sent, body);
                found.into_iter().map(|place| alike(&self.alike[place])).collect()
            }
        }
    }
}

fn alike(candidates: &[Candidate]) -> Box<[Box<[u32]>]> {
    let mut kinds: IndexMap<Likeness<'_>, Vec<u32>> = IndexMap::new();
    for (place, candidate) in (0..).zip(candidates) {
        kinds.entry(candidate.likeness()).or_default().push(place);
    }
    kinds.into_values().map(Vec::into_boxed_slice).collect()
}

impl ByPayload {
    fn new(candidates: &[Candidate], alike: &[Box<[u32]>]) -> Self {
        let mut by_payload = ByPayload::default();
        for (place, members) in alike.iter().enumerate() {
            match &candidates[members[0] as usize].payload {
                RecordedPayload::Complete { bytes, meaning } => {
                    for digest in std::iter::once(bytes).chain(meaning) {
                        by_payload.digests.entry(*digest).or_default().push(place);
                    }
                }
                _ => by_payload.others.push(place),
            }
        }
        by_payload
    }

    fn places(&self, sent: &SentPayload<'_>, body: &BodyRules) -> Vec<usize> {
        let mut places = self.others.clone();
        if !sent.is_empty() {
            let digests = sent.digests().iter().copied().chain(sent.meaning(body));
            places.extend(digests.filter_map(|digest| self.digests.get(&digest)).flatten());
        }
        places.sort_unstable();
        places.dedup();
        places
    }
}
