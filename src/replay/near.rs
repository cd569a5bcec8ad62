//! Answers that a thread gives again and again, in memory of its own. Whoever sends an answer counts himself in and out of the memory that
//! it lies in, several times, and a count that several processors write to in turn has each of them wait for the others.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};

use ::http::header::CONTENT_LENGTH;
use ::http::{HeaderMap, HeaderValue};
use bytes::Bytes;

/// How many answers a thread may have.
const SLOTS: usize = 32;

/// Longer payloads are not copied, nor longer fields, bytes: what the count costs is little beside sending them.
const LONGEST: usize = 16 << 10;

/// How often in turn, among those that share a slot, an answer is asked for before it is copied.
const OFTEN: u32 = 8;

/// Which answer it is, among all of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity(u64);

impl Identity {
    /// Another one than any before.
    pub(super) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Identity(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

#[derive(Default)]
struct Slot {
    whose: Option<Identity>,
    /// In turn.
    asked: u32,
    copy: Option<(HeaderMap, Bytes)>,
}

thread_local! {
    static SLOT: RefCell<[Slot; SLOTS]> = RefCell::default();
}

/// The fields and the payload of an answer, to be sent by this thread; of its own ones with the length among the fields.
pub(super) fn taken(identity: Identity, headers: &HeaderMap, body: &Bytes) -> (HeaderMap, Bytes) {
    let shared = || (headers.clone(), body.clone());
    if body.len() > LONGEST {
        return shared();
    }
    // A thread that is ending has no slots any more.
    let own = SLOT.try_with(|slots| {
        let slot = &mut slots.borrow_mut()[identity.0 as usize % SLOTS];
        if slot.whose != Some(identity) {
            *slot = Slot { whose: Some(identity), ..Slot::default() };
        }
        if slot.copy.is_none() {
            slot.asked = slot.asked.saturating_add(1);
            let values = || headers.values().map(HeaderValue::len).sum::<usize>();
            if slot.asked == OFTEN && values() <= LONGEST {
                // hyper would add it each time, and to a map that has no room for it.
                let mut fields = headers.clone();
                fields.entry(CONTENT_LENGTH).or_insert_with(|| body.len().into());
                slot.copy = Some(together(&fields, body));
            }
        }
        slot.copy.clone()
    });
    own.ok().flatten().unwrap_or_else(shared)
}

/// The fields and a payload, in one piece of memory of their own.
pub(super) fn together(headers: &HeaderMap, payload: &[u8]) -> (HeaderMap, Bytes) {
    let values: usize = headers.values().map(HeaderValue::len).sum();
    let mut bytes = Vec::with_capacity(values + payload.len());
    headers.values().for_each(|value| bytes.extend_from_slice(value.as_bytes()));
    bytes.extend_from_slice(payload);
    let mut left = Bytes::from(bytes);
    let mut moved = HeaderMap::with_capacity(headers.keys_len());
    for (name, value) in headers {
        let bytes = left.split_to(value.len());
        // What was a value still is one.
        moved.append(name, HeaderValue::from_maybe_shared(bytes).unwrap_or_else(|_| value.clone()));
    }
    (moved, left)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(n: usize) -> (HeaderMap, Bytes) {
        let fields = [
            ("content-type", "text/plain".to_owned()),
            ("set-cookie", format!("n={n}")),
            ("set-cookie", "b".to_owned()),
        ];
        let headers = fields.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        (headers.collect(), format!("answer {n}").into())
    }

    #[test]
    fn an_answer_is_the_same_however_often_it_is_taken_and_soon_this_threads_own() {
        let identities: Vec<Identity> = (0..3 * SLOTS).map(|_| Identity::new()).collect();
        let shared: Vec<_> = (0..identities.len()).map(answer).collect();
        let is_own = |n: usize| {
            let (mut headers, body) = taken(identities[n], &shared[n].0, &shared[n].1);
            let is_own = body.as_ptr() != shared[n].1.as_ptr();
            let length = headers.remove(CONTENT_LENGTH);
            assert_eq!(length.map(|length| length.to_str().unwrap().parse().ok()), is_own.then_some(Some(body.len())));
            assert_eq!((&headers, &body), (&shared[n].0, &shared[n].1));
            is_own
        };
        for n in 0..identities.len() {
            let own = (0..3 * OFTEN).filter(|_| is_own(n)).count();
            assert_eq!(own, 2 * OFTEN as usize + 1);
        }
        // Those that take turns in a slot are not copied each time.
        assert!((0..3 * OFTEN as usize).all(|turn| !is_own((turn % 2) * SLOTS)));
    }

    #[test]
    fn what_is_long_is_not_copied() {
        let (identity, headers, body) = (Identity::new(), HeaderMap::new(), Bytes::from(vec![b'x'; LONGEST + 1]));
        assert!((0..3 * OFTEN).all(|_| taken(identity, &headers, &body).1.as_ptr() == body.as_ptr()));
        let long = ("x-long".parse().unwrap(), HeaderValue::from_bytes(&vec![b'x'; LONGEST + 1]).unwrap());
        let (identity, headers, body) = (Identity::new(), HeaderMap::from_iter([long]), Bytes::from("short"));
        assert!((0..3 * OFTEN).all(|_| taken(identity, &headers, &body).1.as_ptr() == body.as_ptr()));
    }
}
