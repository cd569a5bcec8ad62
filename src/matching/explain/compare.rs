//! One entry beside a request: every difference that keeps it from matching, and how near that makes it.

use std::borrow::Cow;
use std::collections::HashMap;

use url::form_urlencoded;

use super::super::candidate::{Required, Rules};
use super::super::conditional::Condition;
use super::super::index::Ordinal;
use super::super::key::View;
use super::super::matcher::Matcher;
use super::super::redacted;
use super::super::template::Spelling;
use super::super::url::{Parts, normal};
use super::super::{Difference, EntryRef, Near, Query, What, choice, payload};
use super::{body, remedy};
use crate::har::{Entry, Payload};
use crate::http::NormalUrl;

/// An entry, what keeps it from matching, and what would let it.
#[derive(Debug)]
pub(super) struct Compared {
    pub(super) rank: Rank,
    pub(super) near: Near,
    pub(super) remedy: Option<String>,
}

/// How near an entry is: compared field by field, the nearest first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    place: Place,
    method: bool,
    query: usize,
    headers: usize,
    body: usize,
    ordinal: Ordinal,
}

/// Where an entry is, seen from the request.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// On the same host, with the same path.
    Same,
    /// One segment of the path is another.
    NextDoor,
    /// On another host, with the same path.
    OtherHost,
    /// Elsewhere on the same host: so many segments are others.
    Away(usize),
    /// Neither host nor path.
    Strange,
}

impl Matcher {
    /// Compares a request with an entry; `None` when the entry can't be read. What to do about it speaks of the request as
    /// `told_as`.
    pub(super) fn compare(
        &self,
        query: &Query<'_>,
        payload: &payload::Sent<'_>,
        ordinal: Ordinal,
        told_as: &NormalUrl,
    ) -> Option<Compared> {
        let at = self.index.at(ordinal);
        let fixture = &self.fixtures[at.fixture];
        let entry = fixture.entry(at.entry).ok()?;
        let recorded_url = normal(&entry.request.url)?;
        let (asked, recorded) = (self.form.view(query.url.as_str()), self.form.view(&recorded_url));
        let rules = self.rules_for(&recorded_url);

        let mut differences = Vec::new();
        if query.method != entry.request.method {
            differences.push(difference(What::Method, "", Some(query.method), Some(&entry.request.method)));
        }
        let host = asked.host() != recorded.host();
        if host {
            let (asked, recorded) = (asked.parts.host(), recorded.parts.host());
            differences.push(difference(What::Host, "", Some(&*asked), Some(&*recorded)));
        }
        let segments = path_differences(&asked, &recorded, &mut differences);
        query_differences(&asked, &recorded, &mut differences);
        header_differences(query, &entry, &rules, &mut differences);
        let body = self.body_differences(payload, at, &entry, &rules);
        let count = |what| differences.iter().filter(|difference| difference.what == what).count();
        let place = match (host, segments) {
            (false, 0) => Place::Same,
            (false, 1) => Place::NextDoor,
            (true, 0) => Place::OtherHost,
            (false, away) => Place::Away(away),
            (true, _) => Place::Strange,
        };
        let rank = Rank {
            place,
            method: count(What::Method) > 0,
            query: count(What::Query),
            headers: count(What::Header),
            body: body.differences.len(),
            ordinal,
        };
        let told_as = Parts::of(told_as.as_str());
        let remedy = remedy::remedy(&differences, &body, &told_as, &recorded.parts, &rules.comparison);
        differences.extend(body.differences);
        Some(Compared { rank, near: Near { at, differences, operation: body.operation }, remedy })
    }

    fn body_differences(&self, sent: &payload::Sent<'_>, at: EntryRef, entry: &Entry, rules: &Rules) -> body::Compared {
        let fixture = &self.fixtures[at.fixture];
        let comparison = &rules.comparison;
        let recorded = payload::Recorded::of(fixture, at.entry, entry, comparison);
        let equal = sent.fits(&recorded, comparison, &rules.values).is_some();
        let stored = entry.request.post_data.as_ref().and_then(|body| fixture.payload(at.entry, body).ok());
        let stored = stored.filter(|payload| matches!(payload, Payload::Bytes(_) | Payload::File(_)));
        if !equal && (sent.as_digested().is_some() || stored.as_ref().is_some_and(|stored| stored.len() > LONGEST_HELD))
        {
            return body::compare_long(sent, stored.as_ref(), &recorded);
        }
        let recorded = stored.filter(|stored| stored.len() <= LONGEST_HELD).and_then(|payload| payload.bytes().ok());
        let content_type = entry.request.headers.get("content-type").map(text).unwrap_or_default();
        body::compare(sent, recorded.as_deref(), &content_type, comparison, equal)
    }
}

/// Says which headers that must be equal are not.
fn header_differences(query: &Query<'_>, entry: &Entry, rules: &Rules, differences: &mut Vec<Difference>) {
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
}

/// Longer payloads are told by their length and digest.
const LONGEST_HELD: u64 = 64 << 20;
/// Values longer than this are cut.
const LONGEST: usize = 400;

/// A difference, its values cut to what one can read.
pub(super) fn difference(what: What, name: &str, request: Option<&str>, recorded: Option<&str>) -> Difference {
    Difference { what, name: name.to_owned(), request: request.map(cut), recorded: recorded.map(cut) }
}

fn cut(value: &str) -> String {
    beginning(value, LONGEST)
}

/// A value of up to `longest` characters, whole; the beginning of any other, and how long it is.
pub(super) fn beginning(value: &str, longest: usize) -> String {
    match value.char_indices().nth(longest) {
        None => value.to_owned(),
        Some((end, _)) => format!("{}… ({} bytes)", &value[..end], value.len()),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Says which segment differs, or the paths when more than one does; returns how many do.
fn path_differences(asked: &View<'_, '_>, recorded: &View<'_, '_>, differences: &mut Vec<Difference>) -> usize {
    let (asked_path, recorded_path) = (asked.path(), recorded.path());
    let (asked, recorded) = (&asked.parts, &recorded.parts);
    let (open_a, open_b): (Vec<_>, Vec<_>) =
        (asked_path.split('/').skip(1).collect(), recorded_path.split('/').skip(1).collect());
    let (a, b): (Vec<_>, Vec<_>) = (asked.segments().collect(), recorded.segments().collect());
    let fits = |n: usize| a.get(n).zip(b.get(n)).is_some_and(|(a, b)| redacted::fits(b, a, Spelling::Percent));
    let differs = |n: &usize| open_a.get(*n) != open_b.get(*n) && !fits(*n);
    let differing: Vec<usize> = (0..a.len().max(b.len())).filter(differs).collect();
    match &differing[..] {
        [] => {}
        [n] if a.len() == b.len() => {
            let name = (n + 1).to_string();
            differences.push(difference(What::Path, &name, a.get(*n).copied(), b.get(*n).copied()));
        }
        _ => differences.push(difference(What::Path, "", Some(asked.path), Some(recorded.path))),
    }
    // A path that is longer is no neighbour, though only its end differs.
    if differing.len() == 1 && a.len() != b.len() { 2 } else { differing.len() }
}

/// The parameters that count, as they are written, in order.
fn parameters<'a>(seen: &'a View<'_, 'a>) -> Vec<&'a str> {
    let raw = seen.parts.query.unwrap_or_default().split('&');
    raw.filter(|raw| !raw.is_empty() && !seen.ignores(raw)).collect()
}

/// One of them, decoded.
fn decoded(raw: &str) -> (Cow<'_, str>, Cow<'_, str>) {
    form_urlencoded::parse(raw.as_bytes()).next().unwrap_or_default()
}

/// What was recorded, with what the request has wherever that fits a placeholder.
fn filled<'a>(asked: &[&'a str], recorded: &[&'a str]) -> Vec<&'a str> {
    let mut left: Vec<&str> = asked.to_vec();
    let fill = |raw: &&'a str| {
        let name = decoded(raw).0;
        // By name, the first that is left of it.
        let Some(at) = left.iter().position(|sent| decoded(sent).0 == name) else { return *raw };
        let sent = left.remove(at);
        if redacted::fits(raw, sent, Spelling::Form) { sent } else { *raw }
    };
    recorded.iter().map(fill).collect()
}

/// In how many parameters two queries differ, roughly and cheaply: as they are written, in no order.
pub(super) fn query_distance(asked: &View<'_, '_>, recorded: Option<&str>) -> usize {
    if asked.parts.query == recorded {
        return 0;
    }
    let [a, b] = [asked.parts.query, recorded].map(|query| {
        let raw = query.unwrap_or_default().split('&').filter(|raw| !asked.ignores(raw));
        raw.collect::<Vec<&str>>()
    });
    let lacking = |these: &[&str], others: &[&str]| these.iter().filter(|raw| !others.contains(raw)).count();
    lacking(&a, &b).max(lacking(&b, &a))
}

/// Says which parameters differ: by name, the values of a repeated one in order.
fn query_differences(asked: &View<'_, '_>, recorded: &View<'_, '_>, differences: &mut Vec<Difference>) {
    if asked.query() == recorded.query() {
        return;
    }
    let sent = parameters(asked);
    let filled = filled(&sent, &parameters(recorded));
    if sent == filled && asked.query().is_some() == recorded.query().is_some() {
        return;
    }
    let before = differences.len();
    let mut names = Vec::new();
    let mut values: HashMap<Cow<'_, str>, [Vec<Cow<'_, str>>; 2]> = HashMap::new();
    for (side, raw) in [sent, filled].into_iter().enumerate() {
        for (name, value) in raw.into_iter().map(decoded) {
            if !values.contains_key(&name) {
                names.push(name.clone());
            }
            values.entry(name).or_default()[side].push(value);
        }
    }
    for name in names {
        let [sent, recorded] = &values[&name];
        if sent != recorded {
            let joined = |values: &[Cow<'_, str>]| (!values.is_empty()).then(|| values.join(", "));
            differences.push(difference(What::Query, &name, joined(sent).as_deref(), joined(recorded).as_deref()));
        }
    }
    if differences.len() == before {
        // The same parameters in another order, or spelt in another way.
        differences.push(difference(What::Query, "", asked.parts.query, recorded.parts.query));
    }
}
