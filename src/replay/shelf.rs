//! Prepared answers by entry, and by key those that nothing has to be chosen for. Each has a place of its own that is filled once, so that
//! connections share no lock.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use ::http::HeaderValue;
use tokio::task::spawn_blocking;

use super::by_key::{ByKey, Place};
use super::fields::Common;
use super::prepared::{About, Prepared};
use super::ready::Ready;
use super::source::{Budget, SourceError};
use super::{Clock, Latency};
use crate::har::Fixture;
use crate::matching::{Chosen, EntryRef, Key, Matcher, Sole};

/// How much memory prepared answers may take, bytes; what is served beyond it is read and made anew each time.
const KEPT: u64 = 256 * 1024 * 1024;

type Slot = OnceLock<Arc<Prepared>>;

// One more line of memory would be one more to wait for.
const _: () = assert!(size_of::<Place<Ready>>() == 64);

/// The prepared answers of all fixtures.
#[derive(Debug)]
pub(super) struct Shelf {
    fixtures: Vec<Arc<Fixture>>,
    names: Vec<String>,
    slots: Vec<Box<[Slot]>>,
    ready: ByKey<Ready>,
    budget: Arc<Budget>,
    mark: bool,
    clock: Clock,
    latency: Latency,
    common: Arc<Common>,
}

impl Shelf {
    pub(super) fn new(matcher: &Matcher, mark: bool, clock: Clock, latency: Latency) -> Self {
        let fixtures = matcher.fixtures();
        Shelf {
            ready: ByKey::new(matcher.keys()),
            fixtures: fixtures.to_vec(),
            names: fixtures.iter().map(|fixture| fixture.path().display().to_string()).collect(),
            slots: fixtures.iter().map(|fixture| (0..numbered(fixture)).map(|_| Slot::new()).collect()).collect(),
            budget: Arc::new(Budget::new(KEPT)),
            mark,
            clock,
            latency,
            common: Arc::default(),
        }
    }

    /// The fixtures as they were named.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// What coded bytes are kept from.
    pub(super) fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// What answers a key whoever asks, if it has answered before and was kept.
    pub(super) fn ready(&self, key: Key) -> Option<&Ready> {
        self.ready.get(key)
    }

    /// From now on this entry's answer is ready, if it was kept.
    pub(super) fn make_ready(&self, key: Key, sole: Sole, at: EntryRef) {
        let slot = self.slots.get(at.fixture).and_then(|slots| slots.get(at.entry));
        if let Some(prepared) = slot.and_then(Slot::get) {
            self.ready.put(key, || Ready::new(sole, prepared));
        }
    }

    /// The prepared answer of an entry, made now if it answers for the first time.
    pub(super) async fn take(&self, chosen: &Chosen) -> Result<Cow<'_, Arc<Prepared>>, SourceError> {
        let slot = self.slots.get(chosen.at.fixture).and_then(|slots| slots.get(chosen.at.entry));
        if let Some(prepared) = slot.and_then(Slot::get) {
            return Ok(Cow::Borrowed(prepared));
        }
        let fixture = self.fixtures[chosen.at.fixture].clone();
        let (at, mark) = (chosen.at, self.mark(&[chosen.at]));
        let about = About {
            own: fixture.is_own(),
            mark,
            clock: self.clock,
            latency: self.latency,
            common: self.common.clone(),
        };
        let make = move || {
            let entry = fixture.entry(at.entry)?;
            Prepared::of(&entry, fixture.payload(at.entry, &entry.response.content)?, &about)
        };
        let prepared = Arc::new(spawn_blocking(make).await??);
        match slot {
            // Two that made it at the same time: the first stays.
            Some(slot) if slot.get().is_none() && self.budget.take(prepared.weight()) => {
                Ok(Cow::Borrowed(slot.get_or_init(|| prepared)))
            }
            _ => Ok(Cow::Owned(prepared)),
        }
    }

    /// What `x-harproxy` says of an answer that took these entries, the one that was matched first; `None` when answers
    /// are not marked.
    pub(super) fn mark(&self, path: &[EntryRef]) -> Option<HeaderValue> {
        let (first, followed) = path.split_first().filter(|_| self.mark)?;
        let mut mark = format!("replay; entry={}#{}", self.names[first.fixture], first.entry);
        for (n, at) in followed.iter().enumerate() {
            mark.push_str(if n == 0 { "; followed=" } else { "," });
            mark.push_str(&format!("#{}", at.entry));
        }
        // A path may have control characters, a header may not.
        let bytes: Vec<u8> = mark.bytes().map(|byte| if byte < b' ' || byte == 0x7f { b'?' } else { byte }).collect();
        HeaderValue::from_bytes(&bytes).ok()
    }
}

/// How far the entries of a fixture are numbered; unusable ones have numbers too.
fn numbered(fixture: &Fixture) -> usize {
    fixture.heads().iter().map(|head| head.entry + 1).max().unwrap_or_default()
}
