//! One entry beside a request: every difference that keeps it from matching, and how near that makes it.

use std::cell::Cell;
use std::cmp::Reverse;
use std::io::Read;

use super::super::candidate::{Required, Rules};
use super::super::conditional::Condition;
use super::super::index::Ordinal;
use super::super::key::View;
use super::super::matcher::Matcher;
use super::super::{Difference, EntryRef, Near, Query, What, choice, payload, score};
use super::excerpt::{beginning, beside, common};
use super::fields::{self, Fields, Raw};
use super::paths::{Paths, Segments};
use super::{body, cost};
use harproxy_har::{Entry, Payload};
use harproxy_http::url::normal;

/// An entry, what keeps it from matching, and what of it a remedy has to mend.
#[derive(Debug)]
pub(super) struct Compared {
    pub(super) rank: Rank,
    pub(super) near: Near,
    /// What kind of difference the payloads have.
    pub(super) nature: body::Nature,
}

/// How near an entry is: the least distance first, then who repeats more of the recorded headers, then who came first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    cost: u32,
    score: Reverse<usize>,
    ordinal: Ordinal,
}

impl Rank {
    /// How far it is.
    pub(super) fn cost(&self) -> u32 {
        self.cost
    }
}

/// What one explanation may read of long payloads, bytes.
#[derive(Debug)]
pub(super) struct Budget(Cell<u64>);

impl Budget {
    pub(super) fn new() -> Self {
        Budget(Cell::new(128 << 20))
    }

    fn allows(&self, bytes: u64) -> bool {
        let left = self.0.get().checked_sub(bytes);
        left.inspect(|left| self.0.set(*left)).is_some()
    }
}

/// A request's method and URL, to be compared with those of many entries.
pub(super) struct Heads<'a> {
    method: &'a str,
    asked: &'a View<'a, 'a>,
    path: Segments<'a>,
}

impl<'a> Heads<'a> {
    pub(super) fn of(method: &'a str, asked: &'a View<'a, 'a>) -> Self {
        Heads { method, asked, path: Segments::of(asked) }
    }

    /// How far an entry's are from these.
    pub(super) fn cost(&self, method: &str, recorded: &View<'_, '_>) -> u32 {
        let host = if self.asked.host() == recorded.host() {
            0
        } else {
            cost::origin(&self.asked.parts.site(), &recorded.parts.site())
        };
        let path = if self.asked.parts.path == recorded.parts.path {
            0
        } else {
            Paths::of(&self.path, &Segments::of(recorded)).cost
        };
        cost::method(self.method, method) + host + path + Queries::of(self.asked, recorded).cost()
    }
}

impl Matcher {
    /// Compares a request with an entry; `None` when the entry can't be read.
    pub(super) fn compare(
        &self,
        query: &Query<'_>,
        payload: &payload::Sent<'_>,
        ordinal: Ordinal,
        budget: &Budget,
    ) -> Option<Compared> {
        let at = self.index.at(ordinal);
        let entry = self.fixtures[at.fixture].entry(at.entry).ok()?;
        let recorded_url = normal(&entry.request.url)?;
        let (asked, recorded) = (self.form.view(query.url.as_str()), self.form.view(&recorded_url));
        let rules = self.rules_for(&recorded_url);
        let mut differences = Vec::new();
        if query.method != entry.request.method {
            differences.push(difference(What::Method, "", Some(query.method), Some(&entry.request.method)));
        }
        if asked.host() != recorded.host() {
            let (asked, recorded) = (asked.parts.site(), recorded.parts.site());
            differences.push(difference(What::Host, "", Some(&*asked), Some(&*recorded)));
        }
        differences.extend(Paths::of(&Segments::of(&asked), &Segments::of(&recorded)).differences(&asked, &recorded));
        differences.extend(Queries::of(&asked, &recorded).differences(&asked, &recorded));
        let headers = header_differences(query, &entry, &rules);
        let body = self.body_differences(payload, at, &entry, &rules, budget);
        let headers_apart = u32::try_from(headers.len()).unwrap_or(u32::MAX).saturating_mul(cost::HEADER);
        let heads = Heads::of(query.method, &asked).cost(&entry.request.method, &recorded);
        let recorded_headers = score::Recorded::new(&entry.request.headers, rules.score_all_headers);
        let score = score::Sent::new(query.headers).score(&recorded_headers);
        let cost = heads.saturating_add(headers_apart).saturating_add(body.cost);
        differences.extend(headers);
        differences.extend(body.differences);
        Some(Compared {
            rank: Rank { cost, score: Reverse(score), ordinal },
            near: Near { at, differences, operation: body.operation },
            nature: body.nature,
        })
    }

    fn body_differences(
        &self,
        sent: &payload::Sent<'_>,
        at: EntryRef,
        entry: &Entry,
        rules: &Rules,
        budget: &Budget,
    ) -> body::Compared {
        let fixture = &self.fixtures[at.fixture];
        let comparison = &rules.comparison;
        let stored = entry.request.post_data.as_ref().and_then(|body| fixture.payload(at.entry, body).ok());
        let stored = stored.filter(|payload| matches!(payload, Payload::Bytes(_) | Payload::File(_)));
        let len = stored.as_ref().map_or(0, Payload::len);
        let content_type = entry.request.headers.get("content-type").map(text).unwrap_or_default();
        let is_long = sent.as_digested().is_some() || len.max(sent.decoded().len() as u64) > body::LONGEST as u64;
        if is_long && !budget.allows(len) {
            return body::compare_long(sent, stored.as_ref(), None, &content_type, None);
        }
        let recorded = payload::Recorded::of(fixture, at.entry, entry, comparison);
        let equal = sent.fits(&recorded, comparison, &rules.values).is_some();
        if is_long {
            let parts = stored.as_ref().filter(|_| !sent.is_empty() && sent.as_digested().is_none());
            return match equal {
                true => body::Compared::default(),
                false => {
                    let at = parts.and_then(|stored| differ_from(sent.decoded(), stored));
                    body::compare_long(sent, stored.as_ref(), Some(&recorded), &content_type, at)
                }
            };
        }
        let bytes = stored.and_then(|payload| payload.bytes().ok());
        body::compare(sent, bytes.as_deref(), &content_type, comparison, equal)
    }
}

/// From which byte on a stored payload differs, read piece by piece.
fn differ_from(sent: &[u8], stored: &Payload) -> Option<u64> {
    const PIECE: usize = 64 * 1024;
    let (mut reader, mut piece, mut at) = (stored.reader().ok()?, vec![0; PIECE], 0);
    loop {
        let read = match reader.read(&mut piece) {
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_) => return None,
        };
        let same = common(&sent[at..], &piece[..read]);
        at += same;
        if same < read || read == 0 {
            return Some(at as u64);
        }
    }
}

/// Says which headers that must be equal are not.
fn header_differences(query: &Query<'_>, entry: &Entry, rules: &Rules) -> Vec<Difference> {
    let mut differences = Vec::new();
    let joined = |values: Vec<String>| (!values.is_empty()).then(|| values.join(", "));
    for name in &rules.match_headers {
        let recorded: Vec<_> = entry.request.headers.get_all(name).map(Required::new).collect();
        if !choice::same_values(query.headers, name, &recorded) {
            let sent = query.headers.get_all(name).iter().map(|value| text(value.as_bytes())).collect();
            let recorded = recorded.iter().map(|recorded| text(&recorded.value)).collect();
            let (sent, recorded): (Option<String>, Option<String>) = (joined(sent), joined(recorded));
            differences.push(difference(What::Header, name, sent.as_deref(), recorded.as_deref()));
        }
    }
    let condition = Condition::of(entry);
    if condition.admits(query.headers).is_none() {
        for (name, sent, recorded) in condition.differences(query.headers) {
            let (sent, recorded) = (sent.map(|value| text(&value)), recorded.map(|value| text(&value)));
            differences.push(difference(What::Header, name, sent.as_deref(), recorded.as_deref()));
        }
    }
    differences
}

/// How two queries differ.
enum Queries<'a> {
    Same,
    /// Nothing is named in which they differ, and they are written otherwise: one has a `?` and nothing behind it, or a `&` too many.
    Mark,
    /// Parameters differ, and whether the others are in order.
    Fields(Fields<'a, &'a str>, bool),
}

impl<'a> Queries<'a> {
    fn of(asked: &View<'_, 'a>, recorded: &View<'_, 'a>) -> Self {
        if asked.parts.query == recorded.parts.query {
            return Queries::Same;
        }
        let parameters = |seen: &View<'_, 'a>| -> Vec<Raw<'a>> {
            fields::raw(seen.parts.query.unwrap_or_default()).filter(|(_, raw)| !seen.ignores(raw)).collect()
        };
        let (sent, recorded_list) = (parameters(asked), parameters(recorded));
        let filled = fields::filled(&sent, &recorded_list);
        match fields::compare(&sent, &filled, |a, b| a == b) {
            Fields::Same if empty_pieces(asked) == empty_pieces(recorded) => Queries::Same,
            Fields::Same => Queries::Mark,
            fields => Queries::Fields(fields, fields::are_in_order(&sent, &filled)),
        }
    }

    fn cost(&self) -> u32 {
        match self {
            Queries::Same | Queries::Fields(Fields::Same, _) => 0,
            Queries::Mark | Queries::Fields(Fields::Order, _) => cost::SPELLING,
            Queries::Fields(Fields::Unlike(unlike), in_order) => {
                let values: u32 = unlike.iter().map(fields::distance).sum();
                values + if *in_order { 0 } else { cost::SPELLING }
            }
        }
    }

    fn differences(&self, asked: &View<'_, '_>, recorded: &View<'_, '_>) -> Vec<Difference> {
        match self {
            Queries::Same | Queries::Fields(Fields::Same, _) => Vec::new(),
            Queries::Mark | Queries::Fields(Fields::Order, _) => {
                vec![difference(What::Query, "", asked.parts.query, recorded.parts.query)]
            }
            Queries::Fields(Fields::Unlike(unlike), in_order) => {
                let told = unlike.iter().map(|unlike| {
                    let [sent, recorded] = fields::shown(unlike);
                    difference(What::Query, &unlike.name, sent.as_deref(), recorded.as_deref())
                });
                let order = || difference(What::Query, "", asked.parts.query, recorded.parts.query);
                told.chain((!in_order).then(order)).collect()
            }
        }
    }
}

/// Between which parameters of those that are compared there is an empty one; nothing where there is no query.
fn empty_pieces(seen: &View<'_, '_>) -> Option<Vec<bool>> {
    let query = seen.query()?;
    Some(query.split('&').map(str::is_empty).collect())
}

/// Values longer than this are cut.
const LONGEST: usize = 400;

/// A difference, its values cut to what one can read: around the place where they begin to differ, if there are two.
pub(super) fn difference(what: What, name: &str, request: Option<&str>, recorded: Option<&str>) -> Difference {
    let sized = |whole: &str, cut: String| if cut == whole { cut } else { format!("{cut} ({} bytes)", whole.len()) };
    let (request, recorded) = match (request, recorded) {
        (Some(a), Some(b)) => {
            let [cut_a, cut_b] = beside(a, b, LONGEST);
            (Some(sized(a, cut_a)), Some(sized(b, cut_b)))
        }
        (a, b) => {
            let cut = |value: &str| sized(value, beginning(value, LONGEST));
            (a.map(cut), b.map(cut))
        }
    };
    Difference { what, name: name.to_owned(), request, recorded }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
