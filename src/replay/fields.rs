//! The fields of an answer, of which a fixture's have much in common: names, and most values. What they share is there once, so that
//! among a hundred thousand answers, each of which needs other memory than the one before it, there is less to fetch. What is an answer's
//! own lies together: where its values stand, the values, and the payload that they are sent with, unless [many](super::alike) have that.

use std::collections::HashMap;
use std::num::NonZeroU8;
use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use ::http::header::DATE;
use ::http::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use prefetch_index::prefetch_index;

use super::alike::{Alike, Number};
use super::by_key::Hint;
use super::kept::{self, Kept};

/// More than these many lists of names are not a recording's: what comes after shares nothing.
const LISTS: usize = 4096;

/// Where in a [`Hint`] the number of lines stands, and that of the first. Below is the number of the list, 0 for none. Addresses have up to 48 bits; of
/// longer ones too little is told, and nothing is fetched ahead that is of use.
const LINES_AT: u32 = u8::BITS;
const FIRST_AT: u32 = LINES_AT + 6;
const _: () = assert!(FETCHED / LINE + 1 < 1 << (FIRST_AT - LINES_AT));

/// A line of memory, bytes, as processors fetch it.
const LINE: usize = 64;

/// What is fetched ahead, bytes: beyond it processors see by themselves where it goes.
const FETCHED: usize = 2048;

/// What answers have in common: the fields of the first with the same names.
#[derive(Debug)]
pub(super) struct Common {
    lists: Mutex<HashMap<Box<[HeaderName]>, Arc<List>>>,
    /// Those with a number, by it; there is none with 0.
    numbered: Box<[OnceLock<Arc<List>>]>,
    payloads: Arc<Alike>,
}

/// Fields that answers have in common.
#[derive(Debug)]
struct List {
    fields: HeaderMap,
    lines: Lines,
    /// `None` where there is none left.
    number: Option<NonZeroU8>,
    /// Those of the answers that have these fields, and of others.
    payloads: Arc<Alike>,
}

/// Fields as HTTP/1.1 writes them.
#[derive(Debug)]
struct Lines {
    text: Box<[u8]>,
    /// Where in it each value stands.
    values: Box<[Range<usize>]>,
    /// Which of them is the first `Date`.
    date: Option<usize>,
}

impl List {
    fn new(fields: HeaderMap, number: Option<NonZeroU8>, payloads: &Arc<Alike>) -> Self {
        List { lines: Lines::of(&fields), fields, number, payloads: payloads.clone() }
    }
}

impl Lines {
    fn of(fields: &HeaderMap) -> Self {
        let mut text = Vec::new();
        let mut write = |(name, value): (&HeaderName, &HeaderValue)| {
            text.extend_from_slice(name.as_str().as_bytes());
            text.extend_from_slice(b": ");
            let begin = text.len();
            text.extend_from_slice(value.as_bytes());
            let end = text.len();
            text.extend_from_slice(b"\r\n");
            begin..end
        };
        let values = fields.iter().map(&mut write).collect();
        Lines { text: text.into(), values, date: fields.iter().position(|(name, _)| *name == DATE) }
    }
}

/// Fields, made to be cloned into answers, and perhaps a payload.
#[derive(Debug)]
pub(super) struct Fields {
    common: Arc<List>,
    own: Own,
}

/// What is an answer's own: an [`Opening`], a [`Cut`] for each value that is another than the common one, the values themselves, and the payload where that
/// is its own, too.
#[derive(Debug)]
struct Own(Kept);

/// Fields and a payload, the bytes of both kept until the process ends.
#[derive(Debug)]
pub(super) struct Whole {
    common: Arc<List>,
    own: &'static [u8],
}

/// What answers have in common, cloned for the one that is being fetched.
pub(super) struct Ahead<'c> {
    fields: HeaderMap,
    of: &'c Arc<List>,
}

/// How many cuts follow, and which of the payloads of many it has: 32 bits each.
#[derive(Clone, Copy)]
struct Opening(u64);

impl Opening {
    fn of(cuts: usize, payload: Option<Number>) -> Self {
        Opening(u64::from(payload.map_or(0, Number::get)) << u32::BITS | cuts as u64)
    }

    fn cuts(self) -> usize {
        self.0 as u32 as usize
    }

    fn payload(self) -> Option<Number> {
        Number::new((self.0 >> u32::BITS) as u32)
    }
}

/// Where a value stands among the fields, and how long it is, bytes: 16 and 48 bits.
#[derive(Clone, Copy)]
struct Cut(u64);

/// The bits of a length.
const LENGTH: u32 = 48;

impl Cut {
    fn of(place: usize, length: usize) -> Self {
        debug_assert!(place < 1 << (u64::BITS - LENGTH), "a `HeaderMap` has no more than 32,768 fields");
        Cut((place as u64) << LENGTH | length as u64)
    }

    fn place(self) -> usize {
        (self.0 >> LENGTH) as usize
    }

    fn length(self) -> usize {
        (self.0 & ((1 << LENGTH) - 1)) as usize
    }
}

impl Fields {
    /// These fields, and a payload beside their values: what is sent together lies together.
    pub(super) fn with_payload(headers: &HeaderMap, payload: &[u8], common: &Common) -> Self {
        let common = common.of(headers);
        let own =
            || headers.values().enumerate().zip(common.fields.values()).filter(|((_, own), common)| own != common);
        let cuts: Vec<Cut> = own().map(|((place, value), _)| Cut::of(place, value.len())).collect();
        let number = common.payloads.number(payload);
        let payload = if number.is_some() { &[] } else { payload };
        let values: usize = cuts.iter().map(|cut| cut.length()).sum();
        let mut bytes = Vec::with_capacity(size_of::<Cut>() * (1 + cuts.len()) + values + payload.len());
        bytes.extend_from_slice(&Opening::of(cuts.len(), number).0.to_le_bytes());
        cuts.iter().for_each(|cut| bytes.extend_from_slice(&cut.0.to_le_bytes()));
        own().for_each(|((_, own), _)| bytes.extend_from_slice(own.as_bytes()));
        bytes.extend_from_slice(payload);
        let own = Kept::new(&bytes);
        if let Kept::Ever(own) = own {
            common.payloads.saw(&own[own.len() - payload.len()..]);
        }
        Fields { common, own: Own(own) }
    }

    /// Only fields.
    pub(super) fn new(headers: &HeaderMap, common: &Common) -> Self {
        Fields::with_payload(headers, &[], common)
    }

    /// All of them.
    pub(super) fn all(&self) -> HeaderMap {
        fetch(&self.own.0);
        self.own.among(self.common.fields.clone())
    }

    /// Whether a name stands there more than once.
    pub(super) fn has_several(&self, name: &HeaderName) -> bool {
        self.common.fields.get_all(name).iter().nth(1).is_some()
    }

    /// The payload that was given with them.
    pub(super) fn payload(&self) -> Bytes {
        self.own.payload(&self.common.payloads)
    }

    /// What it holds in memory of its own, the payload too, bytes, roughly.
    pub(super) fn weight(&self) -> usize {
        self.own.0.len()
    }

    /// All of it, where it is kept.
    pub(super) fn whole(&self) -> Option<Whole> {
        let Kept::Ever(own) = self.own.0 else { return None };
        Some(Whole { common: self.common.clone(), own })
    }
}

impl Whole {
    /// The fields and the payload. What was made `ahead` for another is left.
    pub(super) fn parts(&self, ahead: Option<Ahead<'_>>) -> (HeaderMap, Bytes) {
        let common = ahead.filter(|ahead| Arc::ptr_eq(ahead.of, &self.common));
        let common = common.map_or_else(|| self.common.fields.clone(), |ahead| ahead.fields);
        let own = Own(Kept::Ever(self.own));
        (own.among(common), own.payload(&self.common.payloads))
    }

    /// Appends the fields as HTTP/1.1 writes them, with this `Date` where they have one, and returns the payload.
    pub(super) fn write(&self, head: &mut Vec<u8>, date: Option<&HeaderValue>) -> &'static [u8] {
        let Lines { text, values, date: dated } = &self.common.lines;
        let (opening, cuts, mut at) = cuts(self.own);
        let mut written = 0;
        let mut put = |place: usize, value: &[u8]| {
            let Range { start, end } = values[place].clone();
            head.extend_from_slice(&text[written..start]);
            head.extend_from_slice(value);
            written = end;
        };
        let mut date = dated.zip(date);
        for cut in cuts {
            let value = &self.own[at..at + cut.length()];
            at += cut.length();
            match date.take_if(|(place, _)| *place <= cut.place()) {
                Some((place, date)) if place == cut.place() => put(place, date.as_bytes()),
                Some((place, date)) => {
                    put(place, date.as_bytes());
                    put(cut.place(), value);
                }
                None => put(cut.place(), value),
            }
        }
        if let Some((place, date)) = date {
            put(place, date.as_bytes());
        }
        head.extend_from_slice(&text[written..]);
        opening.payload().map_or(&self.own[at..], |number| self.common.payloads.get(number))
    }

    /// Where it lies, and what it has in common with others.
    pub(super) fn hint(&self) -> Hint {
        hint(self.own.as_ptr().addr(), self.own.len(), self.common.number)
    }
}

/// Tells where bytes are that will be needed, and the list that they go with.
pub(super) fn hint(begin: usize, len: usize, list: Option<NonZeroU8>) -> Hint {
    let lines = (begin % LINE + len.min(FETCHED)).div_ceil(LINE);
    let list = list.map_or(0, NonZeroU8::get);
    Hint::new(((begin / LINE) as u64) << FIRST_AT | (lines as u64) << LINES_AT | u64::from(list))
}

impl Own {
    /// All fields: these, with its own values in their places.
    fn among(&self, mut all: HeaderMap) -> HeaderMap {
        let (_, cuts, mut at) = cuts(&self.0);
        let mut cuts = cuts.peekable();
        if cuts.peek().is_none() {
            return all;
        }
        for (place, value) in all.values_mut().enumerate() {
            if let Some(cut) = cuts.next_if(|cut| cut.place() == place) {
                let end = at + cut.length();
                // What was a value is one.
                if let Ok(own) = HeaderValue::from_maybe_shared(self.0.slice(at..end)) {
                    *value = own;
                }
                at = end;
            }
        }
        all
    }

    fn payload(&self, of_many: &Alike) -> Bytes {
        let (opening, cuts, values) = cuts(&self.0);
        match opening.payload() {
            Some(number) => Bytes::from_static(of_many.get(number)),
            None => self.0.slice(values + cuts.map(Cut::length).sum::<usize>()..self.0.len()),
        }
    }
}

/// The opening and the cuts of what is an answer's own, and where its values begin.
fn cuts(own: &[u8]) -> (Opening, impl Iterator<Item = Cut> + '_, usize) {
    let (words, _) = own.as_chunks();
    let mut words = words.iter().map(|word| u64::from_le_bytes(*word));
    let opening = Opening(words.next().unwrap_or_default());
    (opening, words.take(opening.cuts()).map(Cut), size_of::<Cut>() * (1 + opening.cuts()))
}

impl Default for Common {
    fn default() -> Self {
        let numbered = (0..=u8::MAX).map(|_| OnceLock::new()).collect();
        Common { lists: Mutex::default(), numbered, payloads: Arc::default() }
    }
}

impl Common {
    fn of(&self, headers: &HeaderMap) -> Arc<List> {
        let names: Box<[HeaderName]> = headers.iter().map(|(name, _)| name.clone()).collect();
        let mut known = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(common) = known.get(&names) {
            return common.clone();
        }
        if known.len() >= LISTS {
            return Arc::new(List::new(headers.clone(), None, &self.payloads));
        }
        let number = u8::try_from(known.len() + 1).ok().and_then(NonZeroU8::new);
        let common = Arc::new(List::new(uncounted(headers), number, &self.payloads));
        if let Some(number) = number {
            let _ = self.numbered[usize::from(number.get())].set(common.clone());
        }
        known.insert(names, common.clone());
        common
    }

    /// Has the processor fetch what a [`hint`] is of, all of it at the same time, and clones meanwhile what its list has in common.
    pub(super) fn ahead(&self, hint: Hint) -> Option<Ahead<'_>> {
        fetch_hinted(hint);
        let of = self.numbered.get(usize::from(hint.bits() as u8))?.get()?;
        Some(Ahead { fields: of.fields.clone(), of })
    }
}

/// Has the processor fetch what a [`hint`] is of.
pub(super) fn fetch_hinted(hint: Hint) {
    let (first, lines) = lines(hint);
    (0..lines).for_each(|line| fetch_at(first.wrapping_add(line * LINE)));
}

/// Where the first line begins, and how many there are.
fn lines(hint: Hint) -> (usize, usize) {
    let lines = hint.bits() >> LINES_AT & ((1 << (FIRST_AT - LINES_AT)) - 1);
    ((hint.bits() >> FIRST_AT) as usize * LINE, lines as usize)
}

/// Has the processor fetch what is about to be sent, all of it at the same time, while what does not need it goes on.
fn fetch(bytes: &[u8]) {
    let ahead = bytes.len().min(FETCHED);
    // It does not begin where a line does, so the last is one more.
    for at in (0..ahead).step_by(LINE).chain(ahead.checked_sub(1)) {
        prefetch_index(bytes, at);
    }
}

/// Has the processor fetch a line. Nothing is read: where there is none, that is all.
fn fetch_at(address: usize) {
    let nothing: &[u8] = &[];
    // Any address has an index, as if all memory were behind these no bytes: the crate takes those that are not in the slice.
    prefetch_index(nothing, address.wrapping_sub(nothing.as_ptr().addr()));
}

/// The same fields in memory that nobody counts.
fn uncounted(headers: &HeaderMap) -> HeaderMap {
    let name = |name: &HeaderName| kept::keep_text(name.as_str()).map_or_else(|| name.clone(), HeaderName::from_static);
    let value = |value: &HeaderValue| {
        let kept = Kept::new(value.as_bytes());
        HeaderValue::from_maybe_shared(kept.slice(0..kept.len())).unwrap_or_else(|_| value.clone())
    };
    headers.iter().map(|(n, v)| (name(n), value(v))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn told(headers: &HeaderMap) -> Vec<(&str, &str)> {
        headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect()
    }

    const MANY: &[&[(&str, &str)]] = &[
        &[("content-type", "a/b"), ("x-own", "1"), ("set-cookie", "a"), ("etag", "\"1\""), ("set-cookie", "b")],
        &[("content-type", "a/b"), ("x-own", "2"), ("set-cookie", "a"), ("etag", "\"2\""), ("set-cookie", "c")],
        &[("content-type", "c/d"), ("x-own", ""), ("set-cookie", "b"), ("etag", "\"1\""), ("set-cookie", "b")],
        &[("x-own", "2"), ("content-type", "a/b")],
        &[("content-type", "a/b"), ("x-own", "2")],
        &[("set-cookie", "a"), ("set-cookie", "b"), ("set-cookie", "c")],
        &[("set-cookie", "a"), ("set-cookie", "b")],
        &[("set-cookie", "b"), ("set-cookie", "a")],
        &[],
    ];

    #[test]
    fn all_fields_are_there_in_their_order_whatever_answers_share() {
        let common = Common::default();
        let kept: Vec<_> = MANY
            .iter()
            .map(|fields| (headers(fields), Fields::with_payload(&headers(fields), b"payload", &common)))
            .collect();
        for (headers, fields) in &kept {
            assert_eq!((told(&fields.all()), &fields.payload()[..]), (told(headers), &b"payload"[..]));
        }
        let lists: Vec<usize> = kept.iter().map(|(_, fields)| cuts(&fields.own.0).1.count()).collect();
        assert_eq!(lists, [0, 3, 3, 0, 0, 0, 0, 2, 0]);
    }

    #[test]
    fn names_beyond_the_limit_share_nothing_and_are_right_all_the_same() {
        let common = Common::default();
        for n in 0..LISTS + 3 {
            let name = format!("x-{n}");
            let one = headers(&[(&name, "a"), ("b", "c")]);
            assert_eq!(Fields::new(&one, &common).all(), one);
        }
        assert_eq!(common.lists.lock().unwrap().len(), LISTS);
    }

    #[test]
    fn what_is_kept_has_the_same_fields_and_payload() {
        let common = Common::default();
        let kept = MANY.iter().zip([&[b'x'; 5000][..], b"", b"one"].into_iter().cycle());
        let kept: Vec<_> =
            kept.map(|(fields, payload)| (Fields::with_payload(&headers(fields), payload, &common), payload)).collect();
        for (fields, payload) in &kept {
            let (all, whole) = (fields.all(), fields.whole().unwrap());
            // Those of others are no use, and no harm.
            let others = kept.iter().map(|(other, _)| common.ahead(other.whole().unwrap().hint()));
            for ahead in others.chain([None]) {
                let (fields, sent) = whole.parts(ahead);
                assert_eq!((told(&fields), &sent[..]), (told(&all), *payload));
            }
            let mut lines = Vec::new();
            assert_eq!(whole.write(&mut lines, None), *payload);
            assert_eq!(String::from_utf8(lines).unwrap(), in_lines(&all));
            let counted = Own(Kept::Counted(Bytes::copy_from_slice(&fields.own.0)));
            let counted = Fields { common: fields.common.clone(), own: counted };
            assert_eq!((told(&counted.all()), &counted.payload()[..]), (told(&all), *payload));
            assert!(counted.whole().is_none());
        }
    }

    #[test]
    fn a_payload_that_many_have_is_sent_with_each_ones_fields() {
        let (common, payload) = (Common::default(), vec![b'x'; 1000]);
        let lengths: Vec<usize> = (0..40)
            .map(|n: usize| {
                let one = headers(&[("content-type", "a/b"), ("x-own", &n.to_string())]);
                let fields = Fields::with_payload(&one, &payload, &common);
                let whole = fields.whole().unwrap();
                let (all, sent) = whole.parts(None);
                assert_eq!((told(&all), &sent, &fields.payload()), (told(&one), &payload.clone().into(), &sent));
                let mut lines = Vec::new();
                assert_eq!(whole.write(&mut lines, None), payload);
                assert_eq!(String::from_utf8(lines).unwrap(), in_lines(&one));
                fields.weight()
            })
            .collect();
        let shared = lengths.iter().filter(|length| **length < payload.len()).count();
        assert!((20..30).contains(&shared), "{lengths:?}");
        assert_eq!(&*Fields::with_payload(&headers(MANY[0]), &[b'y'; 1000], &common).payload(), [b'y'; 1000]);
    }

    fn in_lines(headers: &HeaderMap) -> String {
        told(headers).into_iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect()
    }

    #[test]
    fn a_date_is_written_where_one_stands_whether_it_is_common_or_not() {
        let many = [["a", "old", "c"], ["b", "old", "d"], ["a", "older", "d"], ["b", "older", "c"], ["a", "old", "d"]];
        let all =
            |own: [&str; 3]| headers(&[("x-first", own[0]), ("date", own[1]), ("x-last", own[2]), ("x-end", "e")]);
        let common = Common::default();
        for own in many {
            let whole = Fields::with_payload(&all(own), b"payload", &common).whole().unwrap();
            for date in [None, Some("Thu, 22 Oct 2015 08:28:00 GMT")] {
                let mut lines = b"before\r\n".to_vec();
                let value = date.map(HeaderValue::from_static);
                assert_eq!(whole.write(&mut lines, value.as_ref()), b"payload");
                let expected = in_lines(&all([own[0], date.unwrap_or(own[1]), own[2]]));
                assert_eq!(String::from_utf8(lines).unwrap(), format!("before\r\n{expected}"));
            }
        }
        let whole = Fields::new(&headers(&[("x-a", "b")]), &common).whole().unwrap();
        let mut lines = Vec::new();
        whole.write(&mut lines, Some(&HeaderValue::from_static("now")));
        assert_eq!(lines, b"x-a: b\r\n");
    }

    #[test]
    fn a_hint_tells_every_line_that_is_fetched_and_what_is_common() {
        let common = Common::default();
        for payload in [0, 1, 63, 64, 65, 1000, 5000] {
            let fields = Fields::with_payload(&headers(MANY[1]), &vec![b'x'; payload], &common);
            let whole = fields.whole().unwrap();
            let (first, lines) = lines(whole.hint());
            let at = whole.own.as_ptr_range();
            assert!((0..LINE).contains(&(at.start.addr() - first)));
            let fetched = (first + lines * LINE).checked_sub(at.end.addr().min(at.start.addr() + FETCHED));
            assert!(fetched.is_some_and(|beyond| beyond < LINE), "{payload}");
            let ahead = common.ahead(whole.hint()).unwrap();
            assert!(Arc::ptr_eq(ahead.of, &whole.common) && ahead.fields == whole.common.fields);
        }
        assert!(common.ahead(Hint::default()).is_none());
    }

    #[test]
    fn lists_beyond_those_with_a_number_are_cloned_in_their_turn() {
        let common = Common::default();
        let kept: Vec<_> = (0..300)
            .map(|n| {
                let one = headers(&[(&format!("x-{n}"), "a")]);
                (Fields::new(&one, &common).whole().unwrap(), one)
            })
            .collect();
        for (n, (whole, one)) in kept.iter().enumerate() {
            let ahead = common.ahead(whole.hint());
            assert_eq!(ahead.as_ref().map(|ahead| &ahead.fields), (n < 255).then_some(one), "{n}");
            assert_eq!(whole.parts(ahead).0, *one);
            assert_eq!(whole.parts(common.ahead(kept[7].0.hint())).0, *one);
        }
    }
}
