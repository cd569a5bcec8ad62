//! A policy at work: what is done with a value at a named place, and with text in which secrets may stand.

use std::borrow::Cow;
use std::fmt;
use std::ops::{Deref, DerefMut, Range};

use super::inert::{self, is_token};
use super::shapes::Hit;
use super::view::{Splice, apply};
use super::{Form, Name, Policy, graphql, jwt};

/// Decides what stands for a value. One for a run: equal values get equal stand-ins.
pub trait Namer {
    /// What stands for a secret that was found at a place of this name; it keeps the form. Of a JWT it is given all, and what
    /// it answers becomes the signature of what is left.
    fn stand_in(&mut self, secret: &[u8], name: &Name, form: Form) -> String;

    /// Where in a text values stand, as whole tokens, that were found at named places elsewhere, and what stands for each: in
    /// order, not overlapping.
    fn known(&mut self, text: &[u8]) -> Vec<(Range<usize>, String)>;
}

/// Texts within texts (a URL in a parameter of a URL in a JSON string …) are looked into so deep; further inside only shapes
/// are looked for.
pub(super) const DEEPEST: u8 = 4;

/// What stands for a known value that goes on with more of a token is named so.
const REST_OF_TOKEN: &str = "value";

/// A policy at work.
pub struct Redactor<'a, N: ?Sized> {
    pub(super) policy: &'a Policy,
    pub(super) namer: N,
}

/// The same, whoever the namer is: what it does is compiled once.
pub type AnyRedactor<'p, 'n> = Redactor<'p, dyn Namer + 'n>;

/// The namer may hold secrets.
impl<N: ?Sized> fmt::Debug for Redactor<'_, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redactor").field("policy", self.policy).field("namer", &"(redacted)").finish()
    }
}

impl<'a, N: Namer> Redactor<'a, N> {
    /// Takes out what `policy` calls secret; `namer` says what stands for it.
    pub fn new(policy: &'a Policy, namer: N) -> Self {
        Redactor { policy, namer }
    }

    /// Who says what stands for a value.
    pub fn namer_mut(&mut self) -> &mut N {
        &mut self.namer
    }
}

impl<'a, N: Namer + 'a> Deref for Redactor<'a, N> {
    type Target = AnyRedactor<'a, 'a>;

    fn deref(&self) -> &AnyRedactor<'a, 'a> {
        self
    }
}

impl<'a, N: Namer + 'a> DerefMut for Redactor<'a, N> {
    fn deref_mut(&mut self) -> &mut AnyRedactor<'a, 'a> {
        self
    }
}

impl AnyRedactor<'_, '_> {
    /// A text of no particular kind: shapes, patterns of the policy and known values.
    pub fn text<'t>(&mut self, text: &'t [u8]) -> Cow<'t, [u8]> {
        if self.policy.is_off() {
            return Cow::Borrowed(text);
        }
        let splices = self.unnamed(text, false);
        apply(text, &splices).map_or(Cow::Borrowed(text), Cow::Owned)
    }

    /// What stands for the whole of a value that is secret by its place; `None` when there is nothing to take out.
    pub(super) fn named(&mut self, value: &[u8], name: &Name, form: Form) -> Option<String> {
        (!value.is_empty() && !inert::is_whole(value)).then(|| self.stand_in(value, name, form))
    }

    /// What stands for a secret. A JWT stays one.
    pub(super) fn stand_in(&mut self, secret: &[u8], name: &Name, form: Form) -> String {
        let form = if jwt::is_token(secret) { Form::Text } else { form };
        let stand_in = self.namer.stand_in(secret, name, form);
        if jwt::is_token(secret) { jwt::redacted(secret, &stand_in).unwrap_or(stand_in) } else { stand_in }
    }

    /// What is taken out of a text that is no secret by its place: shapes, patterns, known values. `encoded` when the text
    /// was percent-encoded.
    pub(super) fn unnamed(&mut self, text: &[u8], encoded: bool) -> Vec<Splice> {
        self.settled(text, encoded, None, Vec::new()).0
    }

    /// The same for a text that goes on: only what surely belongs to the part before the limit is taken out. Also says up to
    /// where the text is settled. `hits` is what was found already.
    pub(super) fn settled(
        &mut self,
        text: &[u8],
        encoded: bool,
        limit: Option<usize>,
        mut hits: Vec<Hit>,
    ) -> (Vec<Splice>, usize) {
        find(self.policy, text, encoded, &mut hits);
        let known = if text.len() < SHORTEST_KNOWN { Vec::new() } else { self.namer.known(text) };
        if hits.is_empty() && known.is_empty() && limit.is_none() {
            return (Vec::new(), text.len());
        }
        let taken = Taken::of(text, limit, hits, known);
        let stands = |hit: Hit| {
            let with = self.stand_in(&text[hit.range.clone()], &Name::new(&hit.name), hit.form);
            Splice { range: hit.range, with }
        };
        let mut splices: Vec<Splice> = taken.hits.into_iter().map(stands).collect();
        for KnownAt { range, with } in taken.known {
            let with =
                with.unwrap_or_else(|| self.stand_in(&text[range.clone()], &Name::new(REST_OF_TOKEN), Form::Text));
            splices.push(Splice { range, with });
        }
        in_order(&mut splices);
        (splices, taken.end)
    }
}

/// What is taken out of a text, whoever says what stands for it.
struct Taken {
    /// What was found, in order. What overlaps is one secret.
    hits: Vec<Hit>,
    /// Known values elsewhere.
    known: Vec<KnownAt>,
    /// Nothing behind it.
    end: usize,
}

/// A known value; what stands for it, unless it goes on with more of a token.
struct KnownAt {
    range: Range<usize>,
    with: Option<String>,
}

impl Taken {
    /// Of what was found, in any order, and known values, in order. What stands for something else stays; shapes go before known values.
    fn of(text: &[u8], limit: Option<usize>, mut hits: Vec<Hit>, known: Vec<(Range<usize>, String)>) -> Self {
        let inert = inert::find(text);
        hits.retain(|hit| !overlaps(&inert, &hit.range));
        hits.sort_by_key(|hit| hit.range.start);
        let known = known.into_iter().filter(|(range, _)| !overlaps(&inert, range)).collect::<Vec<_>>();
        let taken = inert.iter().chain(hits.iter().map(|hit| &hit.range)).chain(known.iter().map(|(range, _)| range));
        let end = limit.map_or(text.len(), |limit| cut(text, limit, taken));
        let mut merged: Vec<Hit> = Vec::new();
        for hit in hits.into_iter().filter(|hit| hit.range.end <= end) {
            match merged.last_mut().filter(|last| hit.range.start < last.range.end) {
                Some(last) => last.range.end = last.range.end.max(hit.range.end),
                None => merged.push(hit),
            }
        }
        let taken: Vec<Range<usize>> = merged.iter().map(|hit| hit.range.clone()).collect();
        let mut free_from = 0;
        let whole = |(mut range, with): (Range<usize>, String)| {
            let more = text[range.end..].iter().take_while(|&&byte| is_token(byte)).count();
            range.end += more;
            if range.start < free_from || range.end > end || overlaps(&taken, &range) {
                return None;
            }
            free_from = range.end;
            Some(KnownAt { range, with: (more == 0).then_some(with) })
        };
        Taken { known: known.into_iter().filter_map(whole).collect(), hits: merged, end }
    }
}

fn in_order(splices: &mut [Splice]) {
    splices.sort_by_key(|splice| splice.range.start);
}

/// What the shapes and patterns of the policy find, in no order.
fn find(policy: &Policy, text: &[u8], encoded: bool, hits: &mut Vec<Hit>) {
    if text.len() >= SHORTEST_SHAPE || policy.shapes.has_personal() {
        policy.shapes.find(text, encoded, hits);
    }
    if graphql::looks_like(text) {
        hits.extend(graphql::arguments(policy, text));
    }
    for pattern in &policy.text {
        let found = pattern.find_iter(text).filter(|found| !found.is_empty());
        hits.extend(found.map(|found| {
            // What stands behind a placeholder must not be taken for a part of it.
            let more = text[found.end()..].iter().take_while(|&&byte| is_token(byte)).count();
            Hit { range: found.start()..found.end() + more, name: "text".into(), form: Form::Text }
        }));
    }
}

/// Shorter texts can't be what a shape looks like.
const SHORTEST_SHAPE: usize = 8;
/// Shorter values are not known.
const SHORTEST_KNOWN: usize = 8;

fn overlaps(ranges: &[Range<usize>], range: &Range<usize>) -> bool {
    let after = ranges.partition_point(|other| other.end <= range.start);
    ranges.get(after).is_some_and(|other| other.start < range.end)
}

/// Where a text that goes on can be cut: behind the last byte before the limit that no token has, and not within anything that
/// was taken. What is taken and may go on behind the end of the text is left for later.
fn cut<'r>(text: &[u8], limit: usize, taken: impl Iterator<Item = &'r Range<usize>>) -> usize {
    let limit = limit.min(text.len());
    let ends_token = |byte: &u8| byte.is_ascii_whitespace() || b"\"'<>,;{}()".contains(byte);
    let mut end = text[..limit].iter().rposition(ends_token).map_or(limit, |at| at + 1);
    let mut taken: Vec<_> = taken.filter(|range| range.end > end).collect();
    taken.sort_by_key(|range| range.start);
    for range in taken.into_iter().filter(|range| range.start < limit) {
        if range.start < end {
            end = if range.end < text.len() { range.end } else { range.start };
        }
    }
    end
}
