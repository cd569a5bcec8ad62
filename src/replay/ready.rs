//! What answers a key whoever asks, all of it in one place, so that nothing has to be chosen and nothing to be looked for.

use std::sync::Arc;
use std::time::SystemTime;

use ::http::{HeaderMap, Response};

use super::by_key::{Hint, Hinted};
use super::fields::{self, Ahead};
use super::prepared::{Prepared, Same};
use harproxy_matching::Sole;
use harproxy_proxy::Body;

/// The only entry of a key, and its answer.
#[derive(Debug)]
pub(super) struct Ready {
    answer: Answer,
    sole: Sole,
}

#[derive(Debug)]
enum Answer {
    Same(Same),
    /// It depends on what is accepted, on the page that asks, or more of it than its date moves.
    Prepared(Arc<Prepared>),
}

impl Ready {
    /// For a key whose method is not HEAD.
    pub(super) fn new(sole: Sole, prepared: &Arc<Prepared>) -> Self {
        let answer = prepared.same().map_or_else(|| Answer::Prepared(prepared.clone()), Answer::Same);
        Ready { answer, sole }
    }

    /// Whose turn it takes.
    pub(super) fn sole(&self) -> Sole {
        self.sole
    }

    /// The answer to a request, where nothing has to be read, coded or waited for; `now` is asked where something moves with the clock. What
    /// was made `ahead` for another is left.
    pub(super) fn answer(
        &self,
        ahead: Option<Ahead<'_>>,
        request: &HeaderMap,
        now: impl FnOnce() -> SystemTime,
    ) -> Option<Response<Body>> {
        match &self.answer {
            Answer::Same(same) => Some(same.answer(ahead, now)),
            Answer::Prepared(prepared) => prepared.at_once(request, now),
        }
    }

    /// Appends the head of the answer as HTTP/1.1 writes it and returns the payload, where it is the same for whoever asks.
    pub(super) fn write(&self, head: &mut Vec<u8>, now: impl FnOnce() -> SystemTime) -> Option<&'static [u8]> {
        match &self.answer {
            Answer::Same(same) => same.write(head, now),
            Answer::Prepared(_) => None,
        }
    }
}

impl Hinted for Ready {
    fn hint(&self) -> Hint {
        match &self.answer {
            Answer::Same(same) => same.hint(),
            Answer::Prepared(prepared) => fields::hint(Arc::as_ptr(prepared).addr(), size_of::<Prepared>(), None),
        }
    }
}
