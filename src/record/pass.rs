//! Exchanges that pass without hyper: a plain GET that came whole, and an answer that comes whole. Both are written as they were read, and go into the
//! journal like any other, when the answer is there. What turns out to be something else goes the usual way, as if nothing had happened.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use ::http::{Method, Version};
use bytes::Bytes;

use super::Recorder;
use super::capture::{Asked, Ending, ResponseTee, Tape};
use super::handler::Own;
use super::heads::{Fields, Phases, ResponseHead, WireVersion};
use super::look::Media;
use super::tally::Fate;
use harproxy_http::headers::HOP_BY_HOP;
use harproxy_http::{Header, NormalUrl};
use harproxy_proxy::body::{End, Watch as _};
use harproxy_proxy::endings;
use harproxy_proxy::upstream::{Bare, Passed, Taken, Whole};
use harproxy_proxy::{Origin, Plain, Progress};

/// What passes on one client connection.
#[derive(Debug, Default)]
pub struct Pass(Mutex<State>);

#[derive(Debug, Default)]
enum State {
    /// Nothing was asked yet.
    #[default]
    New,
    /// The connection to upstream is free.
    Free(Box<Bare>),
    /// A request is under way on it.
    Sent(Box<Bare>, Box<Sent>),
    /// The answer is on its way into the journal.
    Taped(Box<Bare>, Taped),
    /// All goes the usual way from here on, the request that is under way first.
    Over(Option<Box<Sent>>),
}

/// An exchange whose answer is waited for: it is counted, and nothing of it is in the journal yet.
#[derive(Debug)]
struct Sent {
    tape: Option<Tape>,
    head: Bytes,
}

impl Sent {
    /// Journals the request.
    fn begin(&mut self) -> Option<Tape> {
        let tape = self.tape.take()?;
        tape.asked(std::mem::take(&mut self.head));
        Some(tape)
    }
}

/// Its client went away.
impl Drop for Sent {
    fn drop(&mut self) {
        if let Some(tape) = self.begin() {
            tape.dropped();
        }
    }
}

/// An answer that its client gets when the journal has it.
struct Taped {
    answer: Box<Whole>,
    ending: Option<Ending>,
}

impl std::fmt::Debug for Taped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Taped").field("answer", &self.answer).finish_non_exhaustive()
    }
}

/// A client that leaves now had its exchange: it ends in the journal all the same.
impl Drop for Taped {
    fn drop(&mut self) {
        if let Some(ending) = self.ending.take() {
            endings::spawn(ending);
        }
    }
}

impl Pass {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The exchange of a request that was under way when it was left, and comes the usual way now: it is counted, and journalled from now on.
    pub(super) fn take_begun(&self) -> Option<Arc<Tape>> {
        match &mut *self.lock() {
            State::Over(sent) => sent.take()?.begin().map(Arc::new),
            _ => None,
        }
    }
}

impl Recorder {
    /// [`Handler::pass`](harproxy_proxy::Handler::pass).
    pub(super) fn begin_pass(&self, own: &Own, plain: &Plain<'_>, cx: &mut Context<'_>) -> bool {
        let mut state = own.pass.lock();
        self.look_for(own, plain.origin, &mut state);
        let State::Free(bare) = &mut *state else { return false };
        if self.upstream.poll_end(bare, cx).is_ready() {
            *state = State::Over(None);
            return false;
        }
        let (Some(url), Some(fields)) = (self.recorded_as_it_is(plain.url), fields_to_pass(plain)) else {
            return false;
        };
        bare.ask("GET", plain.target, fields.iter().map(|(name, value)| (*name, *value)));
        let asked = Asked {
            origin: plain.origin,
            method: &Method::GET,
            version: Version::HTTP_11,
            started: plain.started,
            at: plain.at,
            id: None,
        };
        let headers = recorded(fields.iter().copied());
        let (tape, head) = Tape::prepare(self.taping(), asked, url, headers);
        self.tally.request(plain.origin, Fate::Recorded);
        if let State::Free(bare) = std::mem::take(&mut *state) {
            *state = State::Sent(bare, Box::new(Sent { tape: Some(tape), head }));
        }
        true
    }

    /// [`Handler::poll_pass`](harproxy_proxy::Handler::poll_pass).
    pub(super) fn go_on_with_pass(&self, own: &Own, cx: &mut Context<'_>, out: &mut Vec<u8>) -> Progress {
        let mut state = own.pass.lock();
        if let State::Sent(bare, sent) = &mut *state {
            let (answer, taken) = match self.upstream.poll_passed(bare, cx) {
                Poll::Ready(Passed::Answered(answer, taken)) => (answer, taken),
                Poll::Ready(Passed::GoesOn) => return Progress::Left,
                Poll::Pending => return Progress::Waits,
            };
            let ending = sent.begin().map(|tape| taped(tape, &answer, taken));
            if let State::Sent(bare, _) = std::mem::take(&mut *state) {
                *state = State::Taped(bare, Taped { answer, ending });
            }
        }
        let State::Taped(_, Taped { answer, ending }) = &mut *state else { return Progress::Left };
        if ending.as_mut().is_some_and(|ending| ending.as_mut().poll(cx).is_pending()) {
            return Progress::Ends;
        }
        *ending = None;
        answer.write(out);
        if let State::Taped(bare, _) = std::mem::take(&mut *state) {
            *state = State::Free(bare);
        }
        Progress::Answered
    }

    /// [`Handler::leave`](harproxy_proxy::Handler::leave).
    pub(super) fn leave_pass(&self, own: &Own, origin: &Origin) {
        let mut state = own.pass.lock();
        self.look_for(own, origin, &mut state);
        let (bare, sent) = match std::mem::replace(&mut *state, State::Over(None)) {
            State::Free(bare) => (bare, None),
            State::Sent(bare, sent) => (bare, Some(sent)),
            other => return *state = other,
        };
        *state = State::Over(sent);
        self.upstream.give_back(&own.connections, bare);
    }

    /// [`Handler::poll_idle`](harproxy_proxy::Handler::poll_idle).
    pub(super) fn watch_free(&self, own: &Own, origin: &Origin, cx: &mut Context<'_>) {
        let mut state = own.pass.lock();
        self.look_for(own, origin, &mut state);
        if let State::Free(bare) = &mut *state
            && self.upstream.poll_end(bare, cx).is_ready()
        {
            *state = State::Over(None);
        }
    }

    /// Before the first request the connection is where all are kept.
    fn look_for(&self, own: &Own, origin: &Origin, state: &mut State) {
        if let State::New = state {
            *state = self.upstream.take_bare(&own.connections, origin).map_or(State::Over(None), State::Free);
        }
    }

    /// A URL that is in normal form, and recorded.
    fn recorded_as_it_is(&self, url: &str) -> Option<NormalUrl> {
        let normal = NormalUrl::parse(url).ok()?;
        (normal.as_str() == url && self.fate(&normal) == Fate::Recorded).then_some(normal)
    }
}

/// Journals all of an answer; the future says when that is done.
fn taped(tape: Tape, answer: &Whole, taken: Taken) -> Ending {
    let headers = recorded(answer.names().zip(answer.values()));
    let media = Media::said(headers.0.get("content-type"), headers.0.get_all("content-encoding"));
    tape.say_answer(ResponseHead {
        status: answer.status.as_u16(),
        reason: answer.reason().to_owned(),
        version: WireVersion::Http11,
        headers,
        head_size: i64::try_from(answer.head_size).unwrap_or(i64::MAX),
        connection: taken.connection,
        remote: taken.remote.map(|addr| addr.ip()),
        connect: taken.connect.map(Phases::from),
        blocked: 0,
        sent: tape.since(taken.sent_at),
        answered: tape.since(taken.answered_at),
        informational: Vec::new(),
    });
    let payload = answer.payload();
    let mut tee = Box::new(ResponseTee::new(Arc::new(tape), media, Some(payload.len() as u64)));
    if !payload.is_empty() {
        tee.data(&payload);
    }
    tee.end(End::Complete(None))
}

/// The fields that go on, as they are spelt; `None` where there is more to see to: a name twice, or what is about the connection and not said of most.
fn fields_to_pass<'p>(plain: &Plain<'p>) -> Option<Vec<(&'p str, &'p [u8])>> {
    let mut fields: Vec<(&str, &[u8])> = Vec::with_capacity(plain.fields.len());
    for field in plain.fields {
        let is = |other: &str| field.name.eq_ignore_ascii_case(other);
        if fields.iter().any(|(before, _)| is(before)) {
            return None;
        }
        match field.name.len() {
            // It says no more than that the connection stays, or the request would not be here.
            10 if is("connection") => continue,
            16 if is("proxy-connection") => continue,
            _ if HOP_BY_HOP.iter().any(|hop| is(hop)) => return None,
            _ => fields.push((field.name, field.value)),
        }
    }
    fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")).then_some(fields)
}

fn recorded<'f>(fields: impl Iterator<Item = (&'f str, &'f [u8])>) -> Fields {
    let field =
        |(name, value): (&str, &[u8])| Header { name: name.to_ascii_lowercase(), value: Bytes::copy_from_slice(value) };
    Fields(fields.map(field).collect())
}
