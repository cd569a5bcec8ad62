//! Candidates: the entries of a match key, reduced to what the choice among them needs, and loaded on first use.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use harproxy_compare::{
    BodyRules, CutLengths, Digest, Fingerprint, Fingerprinter, INSPECTED_BYTES, MatchBody, RecordedPayload, SentPayload,
};
use indexmap::IndexMap;

use super::conditional::Condition;
use super::credentials::Credentials;
use super::ignored::{self, IgnoredParts};
use super::index::Ordinal;
use super::key::{KeyForm, Rules, View};
use super::ranked_headers::RankedHeaders;
use super::redacted_places::RedactedPlaces;
use super::required_value::RequiredValue;
use super::score::FieldHashes;
use super::{EntryRef, MissKind, MissingBody, redirects};
use harproxy_har::model::Storage;
use harproxy_har::{Entry, Fixture, Payload};
use harproxy_http::MediaType;
use harproxy_http::problem::in_words;
use harproxy_http::url::normal;
use harproxy_redact::placeholder;

/// An entry, reduced to what the choice needs.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) ordinal: Ordinal,
    pub(super) at: EntryRef,
    pub(super) payload: RecordedPayload,
    pub(super) headers: FieldHashes,
    pub(super) ranked_headers: RankedHeaders,
    pub(super) credentials: Credentials,
    pub(super) condition: Condition,
    pub(super) status: i32,
    /// The name of the test that recorded it.
    pub(super) session: Option<Box<str>>,
    /// Client and server answered each other while the request was still being sent.
    pub(super) is_duplex: bool,
    /// The `Location` of a redirect.
    pub(super) location: Option<Box<str>>,
    /// The values of the headers of the match key, in the order of their names; empty if it has none of them.
    pub(super) required: Box<[Vec<RequiredValue>]>,
    /// The places of placeholders in its URL and in its headers.
    pub(super) places: RedactedPlaces,
    /// The ignored parts of its request; empty if it is the only candidate.
    pub(super) ignored: IgnoredParts,
    /// Whether the response payload can be served, found when the entry is first chosen.
    content: OnceLock<Result<(), MissKind>>,
    /// The fingerprint of its response, made when it is first compared with another candidate.
    response: OnceLock<Fingerprint>,
}

impl Candidate {
    pub(super) fn new(
        ordinal: Ordinal,
        at: EntryRef,
        fixture: &Fixture,
        entry: &Entry,
        rules: &Rules,
        form: &KeyForm,
        is_alone: bool,
    ) -> Self {
        let sent = &entry.request.headers;
        let values = |name: &String| sent.get_all(name).map(RequiredValue::new).collect();
        let has_required = rules.match_headers.iter().any(|name| sent.get(name).is_some());
        let url = normal(&entry.request.url);
        let view = url.as_deref().map(|url| form.view(url));
        let has_placeholders = url.as_deref().is_some_and(|url| placeholder::may_occur_in(url.as_bytes()));
        Candidate {
            places: RedactedPlaces::of(view.as_ref().filter(|_| has_placeholders), sent),
            ignored: match is_alone {
                true => IgnoredParts::default(),
                false => read_ignored(view.as_ref(), fixture, at.entry, entry, &rules.body),
            },
            ordinal,
            at,
            payload: read_recorded(fixture, at.entry, entry, &rules.body),
            headers: FieldHashes::of_entry(sent, rules.score_all_headers),
            ranked_headers: RankedHeaders::of_entry(sent),
            credentials: Credentials::of_entry(sent, &form.redaction),
            condition: Condition::of(entry),
            status: entry.response.status,
            session: entry.session().map(Box::from),
            is_duplex: entry.is_duplex(),
            location: redirects::location(entry).map(String::into_boxed_str),
            required: rules.match_headers.iter().filter(|_| has_required).map(values).collect(),
            content: match &entry.response.content.stored {
                Storage::Text(text) if !text.is_empty() => Ok(()).into(),
                _ => OnceLock::new(),
            },
            response: OnceLock::new(),
        }
    }

    /// Returns true if its request has placeholders.
    pub(super) fn has_placeholders(&self) -> bool {
        self.places.iter().next().is_some() || matches!(self.payload, RecordedPayload::Template(_))
    }

    pub(super) fn response(&self, fixture: &Fixture) -> &Fingerprint {
        self.response.get_or_init(|| read_response_fingerprint(fixture, self.at.entry))
    }

    /// Checks that the payload of its response can be served.
    pub(super) fn check_content(&self, fixture: &Fixture, rules: &Rules) -> Result<(), MissKind> {
        let check = || {
            let entry = fixture.entry(self.at.entry)?;
            let payload = fixture.payload(self.at.entry, &entry.response.content)?;
            let is_needed = rules.missing_body == MissingBody::Fail && has_content(&entry);
            Ok::<_, harproxy_har::Error>(is_needed && matches!(payload, Payload::NotRecorded))
        };
        let content = self.content.get_or_init(|| match check() {
            Ok(false) => Ok(()),
            Ok(true) => Err(MissKind::BodyNotRecorded(self.at)),
            Err(error) => Err(MissKind::Unreadable(self.at, in_words(&error))),
        });
        content.clone()
    }

    fn class_key(&self) -> ClassKey<'_> {
        ClassKey {
            fixture: self.at.fixture,
            payload: &self.payload,
            headers: &self.headers,
            ranked_headers: &self.ranked_headers,
            credentials: &self.credentials,
            condition: &self.condition,
            required: &self.required,
            places: &self.places,
            ignored: &self.ignored,
            session: self.session.as_deref(),
        }
    }
}

/// Returns true if the response has content (RFC 9110 section 6.4.1).
fn has_content(entry: &Entry) -> bool {
    let status = entry.response.status;
    !entry.request.method.eq_ignore_ascii_case("HEAD") && !matches!(status, 100..=199 | 204 | 304)
}

/// The candidates of a method and URL.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) rules: Arc<Rules>,
    /// The candidates in the order of entries.
    pub(super) candidates: Box<[Candidate]>,
    /// The indexes of candidates, by classes that rank equally for any request. A poll leaves one large class.
    classes: Box<[Box<[u32]>]>,
    /// The entries that cannot be read, with the reasons.
    pub(super) unreadable: Vec<(EntryRef, String)>,
    /// Whether the payload of the request matters for the choice.
    pub(super) needs_body: bool,
    /// Whether the URL of a candidate has placeholders.
    pub(super) open_urls: bool,
    /// Whether candidates may differ in ignored parts.
    pub(super) has_ignored: bool,
    by_payload: Option<Box<PayloadIndex>>,
}

/// Candidates that rank equally for any request, in the order of entries. There is at least one.
#[derive(Clone, Copy, Debug)]
pub(super) struct CandidateClass<'a> {
    candidates: &'a [Candidate],
    members: &'a [u32],
}

impl<'a> CandidateClass<'a> {
    /// Returns the first member, which represents all for ranking.
    pub(super) fn first(self) -> &'a Candidate {
        &self.candidates[self.members[0] as usize]
    }

    pub(super) fn contains(self, candidate: &Candidate) -> bool {
        self.members.binary_search_by_key(&candidate.ordinal, |&at| self.candidates[at as usize].ordinal).is_ok()
    }

    pub(super) fn iter(self) -> impl DoubleEndedIterator<Item = &'a Candidate> {
        self.members.iter().map(move |&at| &self.candidates[at as usize])
    }
}

/// The properties that are equal in a class.
#[derive(PartialEq, Eq, Hash)]
struct ClassKey<'a> {
    fixture: usize,
    payload: &'a RecordedPayload,
    headers: &'a FieldHashes,
    ranked_headers: &'a RankedHeaders,
    credentials: &'a Credentials,
    condition: &'a Condition,
    required: &'a [Vec<RequiredValue>],
    places: &'a RedactedPlaces,
    ignored: &'a IgnoredParts,
    session: Option<&'a str>,
}

/// A group with more classes has an index by payload. A recording may have a single GraphQL endpoint.
const MAX_UNINDEXED: usize = 16;

/// The classes of a group by the digests of their payloads.
#[derive(Debug, Default)]
struct PayloadIndex {
    digests: HashMap<Digest, Vec<usize>>,
    /// The classes whose payloads are not compared by digest.
    others: Vec<usize>,
}

impl Group {
    pub(super) fn new(
        members: impl ExactSizeIterator<Item = (Ordinal, EntryRef)>,
        fixtures: &[Arc<Fixture>],
        rules: Arc<Rules>,
        form: &KeyForm,
    ) -> Self {
        // Most groups have one candidate, and a fixture may have a million groups.
        let (mut candidates, mut unreadable) = (Vec::with_capacity(members.len()), Vec::new());
        let is_alone = members.len() == 1;
        for (ordinal, at) in members {
            let fixture = &fixtures[at.fixture];
            match fixture.entry(at.entry) {
                Ok(entry) => candidates.push(Candidate::new(ordinal, at, fixture, &entry, &rules, form, is_alone)),
                Err(error) => unreadable.push((at, in_words(&error))),
            }
        }
        for candidate in &candidates {
            if let RecordedPayload::Unreadable(why) = &candidate.payload {
                unreadable.push((candidate.at, why.clone()));
            }
        }
        let candidates = candidates.into_boxed_slice();
        let classes = classes(&candidates);
        // A redirect may pass the payload on to another group. Payloads that are not known in the same way rank
        // equally.
        let is_unknown = |payload| matches!(payload, &RecordedPayload::Any | &RecordedPayload::Unstated);
        let needs_body = candidates.iter().any(|one| {
            one.location.is_some()
                || one.ignored.need_body()
                || !is_unknown(&one.payload)
                || one.payload != candidates[0].payload
        });
        let by_payload = (classes.len() > MAX_UNINDEXED).then(|| Box::new(PayloadIndex::new(&candidates, &classes)));
        let open_urls = candidates.iter().any(|one| one.places.has_url_places());
        let has_ignored = candidates.iter().any(|one| !one.ignored.is_empty());
        Group { rules, candidates, classes, unreadable, needs_body, open_urls, has_ignored, by_payload }
    }

    /// Returns the classes of candidates that may fit this payload.
    pub(super) fn with_payload(&self, sent: &SentPayload<'_>, body: &BodyRules) -> Vec<CandidateClass<'_>> {
        let class = |members| CandidateClass { candidates: &self.candidates, members };
        match &self.by_payload {
            None => self.classes.iter().map(|members| class(members)).collect(),
            Some(index) => index.find(sent, body).into_iter().map(|at| class(&self.classes[at])).collect(),
        }
    }
}

fn classes(candidates: &[Candidate]) -> Box<[Box<[u32]>]> {
    let mut classes: IndexMap<ClassKey<'_>, Vec<u32>> = IndexMap::new();
    for (at, candidate) in (0..).zip(candidates) {
        classes.entry(candidate.class_key()).or_default().push(at);
    }
    classes.into_values().map(Vec::into_boxed_slice).collect()
}

impl PayloadIndex {
    fn new(candidates: &[Candidate], classes: &[Box<[u32]>]) -> Self {
        let mut index = PayloadIndex::default();
        for (class, members) in classes.iter().enumerate() {
            match &candidates[members[0] as usize].payload {
                RecordedPayload::Complete { bytes, meaning } => {
                    for digest in std::iter::once(bytes).chain(meaning) {
                        index.digests.entry(*digest).or_default().push(class);
                    }
                }
                _ => index.others.push(class),
            }
        }
        index
    }

    fn find(&self, sent: &SentPayload<'_>, body: &BodyRules) -> Vec<usize> {
        let mut classes = self.others.clone();
        if !sent.is_empty() {
            let digests = sent.digests().iter().copied().chain(sent.meaning(body));
            classes.extend(digests.filter_map(|digest| self.digests.get(&digest)).flatten());
        }
        classes.sort_unstable();
        classes.dedup();
        classes
    }
}

/// Reads the payload of an entry's request. An error becomes [`RecordedPayload::Unreadable`].
pub(super) fn read_recorded(fixture: &Fixture, at: usize, entry: &Entry, rules: &BodyRules) -> RecordedPayload {
    // Other tools leave payloads out. A fixture of harproxy has every payload that was sent.
    let without = if fixture.is_own() { RecordedPayload::Absent } else { RecordedPayload::Unstated };
    if rules.mode == MatchBody::Ignore {
        return RecordedPayload::Any;
    }
    let Some(body) = &entry.request.post_data else { return without };
    let payload = match fixture.payload(at, body) {
        // Of a payload that was cut, nothing may have been kept.
        Ok(payload) if body.truncated.is_some() => payload,
        Ok(Payload::Empty) => return without,
        Ok(Payload::NotRecorded) => return RecordedPayload::Any,
        Ok(payload) => payload,
        Err(error) => return RecordedPayload::Unreadable(in_words(&error)),
    };
    let content_type = content_type(entry);
    let cut = body.truncated.as_ref().map(|cut| CutLengths { kept: cut.kept, total: cut.total });
    let recorded = payload.reader().and_then(|reader| {
        let failed = |source| harproxy_har::Error::Io { doing: "reading", path: fixture.path().to_owned(), source };
        let recorded = match body.is_rebuilt {
            true => RecordedPayload::read_fields(reader, &content_type),
            false => RecordedPayload::read(reader, payload.len(), rules, &content_type, cut),
        };
        recorded.map_err(failed)
    });
    recorded.unwrap_or_else(|error| RecordedPayload::Unreadable(in_words(&error)))
}

/// Reads the ignored parts of an entry's request.
fn read_ignored(
    url: Option<&View<'_, '_>>,
    fixture: &Fixture,
    at: usize,
    entry: &Entry,
    rules: &BodyRules,
) -> IgnoredParts {
    let exact = ignored::compares_bytes(rules).then(|| read_recorded(fixture, at, entry, &BodyRules::default()));
    let digest = match exact {
        Some(RecordedPayload::Complete { bytes, .. }) => Some(bytes),
        _ => None,
    };
    let payload = || fixture.payload(at, entry.request.post_data.as_ref()?).ok()?.bytes().ok().map(Into::into);
    IgnoredParts::of_entry(url, digest, payload, rules)
}

/// Returns the media type of an entry's request. Some tools write the boundary of a multipart payload into `mimeType`
/// alone, and a rebuilt payload has a boundary of its own.
pub(super) fn content_type(entry: &Entry) -> Cow<'_, str> {
    let declared = entry.request.headers.get("content-type").map(String::from_utf8_lossy).unwrap_or_default();
    let Some(body) = &entry.request.post_data else { return declared };
    let has_boundary = |media: &str| MediaType::parse(media).parameter("boundary").is_some();
    let is_open = declared.is_empty() || MediaType::parse(&declared).is_multipart();
    let states_boundary = is_open && !has_boundary(&declared) && has_boundary(&body.mime_type);
    if body.is_rebuilt || states_boundary { Cow::Borrowed(&body.mime_type) } else { declared }
}

/// Returns the fingerprint of the parts of an entry's response by which clients distinguish responses: status,
/// `Location`, cookies and payload. All entries that can't be read have the same one.
fn read_response_fingerprint(fixture: &Fixture, at: usize) -> Fingerprint {
    let mut fingerprinter = Fingerprinter::default();
    if let Ok(entry) = fixture.entry(at) {
        let response = &entry.response;
        fingerprinter.add("status", &response.status.to_le_bytes());
        for location in response.headers.get_all("location") {
            fingerprinter.add("location", location);
        }
        for cookie in response.headers.get_all("set-cookie") {
            fingerprinter.add("set-cookie", cookie.split(|byte| *byte == b';').next().unwrap_or_default());
        }
        match fixture.payload(at, &response.content) {
            Ok(Payload::NotRecorded) | Err(_) => {}
            Ok(payload) if payload.len() <= INSPECTED_BYTES => {
                fingerprinter.add("payload", &payload.bytes().unwrap_or_default());
            }
            // Reading a long payload would delay the answer. The name of its file has the digest of its bytes.
            Ok(payload) => fingerprinter.add("payload", format!("{payload:?}").as_bytes()),
        }
    }
    fingerprinter.finish()
}
