//! From the wire into the journal: what is said about an exchange, and the tees that watch its two bodies.
//!
//! [`Tape`] is the one way of an exchange into its journal: heads and pieces of bodies pass through it before they are
//! written. What must not reach the disk is taken out there.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ::http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header};
use bytes::Bytes;
use hyper::ext::ReasonPhrase;
use serde::Serialize;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};

use super::heads::{
    self, Decoded, End, Fields, Hop, How, Informational, Phases, RequestEnd, RequestHead, ResponseHead, WireVersion,
};
use super::intake::{Intake, Journalled};
use super::journal::{Ack, Flush, Frame, FrameKind, Journal};
use super::look::{Media, Side};
use super::problem;
use super::screen::Screen;
use super::tally::Tally;
use crate::verdict::{CheckId, Finding, Location, Severity};
use harproxy_http::NormalUrl;
use harproxy_http::headers::to_chars;
use harproxy_http::problem::in_words;
use harproxy_proxy::body::{Allowance, End as BodyEnd, Watch};
use harproxy_proxy::endings;
use harproxy_proxy::upstream::{Answer, ConnectTimings, UpstreamError};
use harproxy_proxy::{Exchange, Origin};

/// What is still to be done at the end of a message.
pub type Ending = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where an exchange is taped.
#[derive(Clone, Copy, Debug)]
pub struct Taping<'a> {
    /// Its journal.
    pub journal: &'a Arc<Journal>,
    /// Where it is counted.
    pub tally: &'a Arc<Tally>,
    /// What takes secrets out.
    pub screen: &'a Arc<Screen>,
    /// Its number in the journal.
    pub number: u64,
    /// `--max-body`.
    pub max_body: Option<u64>,
}

/// What is known of a request before its lines are looked at.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Where it is meant to go.
    pub origin: &'a Origin,
    /// Its method.
    pub method: &'a Method,
    /// The client's.
    pub version: Version,
    /// When its head had been read, for dates.
    pub started: SystemTime,
    /// The same moment, for durations.
    pub at: Instant,
    /// The number that the run's witness gave it.
    pub id: Option<u64>,
}

/// One exchange's way into the journal.
#[derive(Debug)]
pub struct Tape {
    journal: Arc<Journal>,
    tally: Arc<Tally>,
    screen: Arc<Screen>,
    exchange: u64,
    /// When the request's head had been read.
    at: Instant,
    /// Whose exchange, for the counts.
    origin: Origin,
    method: Method,
    /// Without secrets.
    url: String,
    /// The number that the run's witness gave the request, for the findings too.
    id: Option<u64>,
    max_body: Option<u64>,
    /// The request's payload has ended and is being journalled; true when it is.
    upload: Mutex<Option<watch::Receiver<bool>>>,
    /// The end is in the journal's queue.
    ended: AtomicBool,
}

impl Tape {
    /// Begins an exchange: its request's head is journalled.
    pub fn begin<B>(to: Taping<'_>, exchange: &Exchange<B>, url: NormalUrl) -> Arc<Self> {
        let request = &exchange.request;
        let joined = joined_cookies(request.headers(), request.version());
        let map = joined.as_ref().unwrap_or(request.headers());
        let hop = if asks_upgrade(map, request.version()) { Hop::UpgradeKept } else { Hop::Dropped };
        let asked = Asked {
            origin: &exchange.origin,
            method: request.method(),
            version: request.version(),
            started: exchange.started,
            at: exchange.at,
            id: exchange.note.id(),
        };
        let (tape, head) = Tape::prepare(to, asked, url, Fields::of(map, hop));
        tape.asked(head);
        Arc::new(tape)
    }

    /// The tape of an exchange, and its request's head as [`Tape::asked`] journals it.
    pub fn prepare(to: Taping<'_>, asked: Asked<'_>, url: NormalUrl, mut headers: Fields) -> (Self, Bytes) {
        let Taping { journal, tally, screen, number, max_body } = to;
        // Over HTTP/2 it is `:authority`, in absolute form the URL's: the same place for all.
        headers.0.retain(|field| field.name != header::HOST.as_str());
        headers.0.push_front("host", asked.origin.authority());
        let version = WireVersion::from(asked.version);
        let target = url.as_str().len() - url.parts().origin.len();
        let head_size = match version {
            WireVersion::Http2 => -1,
            _ => to_i64(asked.method.as_str().len() + target + "  HTTP/1.1\r\n\r\n".len() + headers.wire_size()),
        };
        let headers = screen.fields(headers);
        let url = screen.url(url);
        let head = encoded(&RequestHead {
            started: since_epoch(asked.started),
            since: Some(micros(asked.at.saturating_duration_since(journal.opened()))),
            method: asked.method.to_string(),
            url: url.clone(),
            version,
            headers,
            head_size,
        });
        let tape = Tape {
            journal: journal.clone(),
            tally: tally.clone(),
            screen: screen.clone(),
            exchange: number,
            at: asked.at,
            origin: asked.origin.clone(),
            method: asked.method.clone(),
            url,
            id: asked.id,
            max_body,
            upload: Mutex::new(None),
            ended: AtomicBool::new(false),
        };
        (tape, head)
    }

    /// The head of the request.
    pub fn asked(&self, head: Bytes) {
        self.push(FrameKind::Request, head, Flush::Lazy);
    }

    /// The head of the answer.
    pub fn answered(&self, answer: &Answer) {
        let response = &answer.response;
        let version = WireVersion::from(response.version());
        let reason = reason(response.status(), response.extensions().get());
        let upgraded = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        let hop = if upgraded { Hop::UpgradeKept } else { Hop::Dropped };
        let head_size = match version {
            WireVersion::Http2 => -1,
            _ => head_size(&reason, response.headers()),
        };
        let others = answer.informational.iter().filter(|(status, _)| *status != StatusCode::CONTINUE);
        let informational = others.map(|(status, headers)| Informational {
            status: status.as_u16(),
            headers: self.screen.fields(Fields::of(headers, Hop::Dropped)),
        });
        self.say_answer(ResponseHead {
            status: response.status().as_u16(),
            reason,
            version,
            headers: Fields::of(response.headers(), hop),
            head_size,
            connection: answer.connection,
            remote: answer.remote.map(|addr| addr.ip()),
            connect: answer.connect.map(Phases::from),
            blocked: micros(answer.blocked),
            sent: self.since(answer.sent_at),
            answered: self.since(answer.answered_at),
            informational: informational.collect(),
        });
    }

    /// The same, of a head whose headers may hold secrets.
    pub fn say_answer(&self, head: ResponseHead) {
        let head = ResponseHead { headers: self.screen.fields(head.headers), ..head };
        self.say(FrameKind::Response, &head, Flush::Lazy);
    }

    /// The answer was complete with its head.
    pub async fn complete(self: Arc<Self>) {
        self.end_behind_upload(How::Complete, 0, Fields::default(), None).await;
    }

    /// There will be no answer, because of this.
    pub async fn failed(self: Arc<Self>, error: &UpstreamError) {
        let finding = problem::finding(&self.origin, error);
        self.find(Finding { text: self.screen.text(&finding.text), ..finding });
        let how = How::Failed { kind: error.kind().to_owned(), message: self.screen.text(&in_words(error)) };
        self.end_behind_upload(how, 0, Fields::default(), None).await;
    }

    /// The exchange is not one to store: the client can't have seen an answer.
    pub fn dropped(&self) {
        drop(self.end(How::Dropped, 0, Fields::default(), None));
    }

    /// The exchange's number in the journal.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.exchange
    }

    /// What stands between the traffic and the journal.
    #[must_use]
    pub fn screen(&self) -> &Arc<Screen> {
        &self.screen
    }

    /// `--max-body`.
    #[must_use]
    pub fn max_body(&self) -> Option<u64> {
        self.max_body
    }

    /// Journals a piece of a payload.
    pub fn push(&self, kind: FrameKind, piece: Bytes, flush: Flush) {
        self.tell_clues();
        self.journal.push(self.frame(kind, piece), flush);
    }

    /// Ready when more may be journalled.
    pub fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.journal.poll_room(cx)
    }

    /// Waits until more may be journalled: for threads that may.
    pub fn wait_for_room(&self) {
        if let Ok(runtime) = Handle::try_current() {
            runtime.block_on(std::future::poll_fn(|cx| self.poll_room(cx)));
        }
    }

    /// Waits for the request's payload, if it has ended and is being journalled: the end of an exchange comes behind it.
    async fn uploaded(&self) {
        let upload = self.upload.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(mut upload) = upload {
            // Who journals it may have gone with a panic: nothing to wait for then.
            let _ = upload.wait_for(|done| *done).await;
        }
    }

    fn is_uploading(&self) -> bool {
        self.upload.lock().unwrap_or_else(PoisonError::into_inner).as_ref().is_some_and(|upload| !*upload.borrow())
    }

    /// The end of the exchange, at once or when the request's payload is journalled; that it ends does not depend on somebody
    /// waiting for it.
    fn end_behind_upload(self: Arc<Self>, how: How, seen: u64, trailers: Fields, decoded: Option<Decoded>) -> Ending {
        if !self.is_uploading() {
            return Box::pin(self.end(how, seen, trailers, decoded));
        }
        let (done, ended) = oneshot::channel::<()>();
        endings::spawn(async move {
            self.uploaded().await;
            self.end(how, seen, trailers, decoded).await;
            drop(done);
        });
        Box::pin(async move { drop(ended.await) })
    }

    /// The end of the exchange; the ack says that all of it is in the journal. Only the first end counts.
    fn end(&self, how: How, seen: u64, trailers: Fields, decoded: Option<Decoded>) -> Ack {
        if !self.ended.swap(true, Ordering::AcqRel) {
            self.tally.ended(&self.origin, &how);
            if let How::UpstreamDied | How::ClientLeft = how {
                self.find(self.cut(&how, seen));
            } else if let Some(max) = self.max_body.filter(|max| seen > *max) {
                let what = format!("an answer longer than --max-body ({max} bytes) is recorded as far as that");
                let remedy = "at replay a truncated answer fails the run, but with `--fail-on -truncated`".to_owned();
                let finding = Finding::new(CheckId::TRUNCATED, Severity::Warning, what);
                self.find(Finding { hint: Some(remedy), ..finding });
            }
        }
        let end = End { how, seen, at: self.since(Instant::now()), trailers: self.screen.fields(trailers), decoded };
        self.tell_clues();
        self.journal.commit(self.frame(FrameKind::End, encoded(&end)))
    }

    /// Whoever replays this gets half an answer: better told now.
    fn cut(&self, how: &How, seen: u64) -> Finding {
        let who = if *how == How::ClientLeft { "the client left" } else { "upstream broke off" };
        let explanation = format!("{who} after {seen} bytes of the answer; it is recorded as far as it came");
        Finding {
            at: Location::request(format!("{} {}", self.method, self.url)),
            hint: Some("record it again, all of it: at replay a truncated answer fails the run".to_owned()),
            ..Finding::new(CheckId::TRUNCATED, Severity::Warning, explanation)
        }
    }

    fn find(&self, finding: Finding) {
        self.tally.find(Finding { requests: self.id.into_iter().collect(), ..finding });
    }

    fn say(&self, kind: FrameKind, what: &impl Serialize, flush: Flush) {
        self.push(kind, encoded(what), flush);
    }

    /// Before a frame that may hold what stands for a value the journal has its clue.
    fn tell_clues(&self) {
        self.screen.give_clues(|told| {
            self.journal.push(Frame { kind: FrameKind::Clues, exchange: 0, payload: encoded(&told) }, Flush::Lazy);
        });
    }

    fn frame(&self, kind: FrameKind, payload: Bytes) -> Frame {
        Frame { kind, exchange: self.exchange, payload }
    }

    /// Microseconds from the request's head to then.
    #[must_use]
    pub fn since(&self, when: Instant) -> i64 {
        micros(when.saturating_duration_since(self.at))
    }
}

/// An exchange whose client goes away before the answer is not stored.
#[derive(Debug)]
pub struct Unanswered(pub Option<Arc<Tape>>);

impl Drop for Unanswered {
    fn drop(&mut self) {
        if let Some(tape) = self.0.take() {
            tape.dropped();
        }
    }
}

/// Watches a request's payload on its way upstream.
#[derive(Debug)]
pub struct RequestTee(Intake);

impl RequestTee {
    /// For this exchange; `length` as the request declares it.
    #[must_use]
    pub fn new(tape: Arc<Tape>, media: Media, length: Option<u64>) -> Self {
        RequestTee(Intake::new(tape, Side::Request, Flush::Lazy, media, length))
    }
}

impl Watch for RequestTee {
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_room(cx)
    }

    fn data(&mut self, data: &Bytes) {
        self.0.data(data);
    }

    fn end(self: Box<Self>, end: BodyEnd) -> Ending {
        let complete = matches!(end, BodyEnd::Complete(_));
        let (tape, seen) = (self.0.tape().clone(), self.0.seen);
        let at = tape.since(Instant::now());
        let say = move |tape: &Tape, decoded| {
            tape.say(FrameKind::RequestEnd, &RequestEnd { seen, at, complete, decoded }, Flush::Lazy);
        };
        match self.0.end(complete) {
            Journalled::Now(decoded) => say(&tape, decoded),
            Journalled::Later(work) => {
                let (done, upload) = watch::channel(false);
                *tape.upload.lock().unwrap_or_else(PoisonError::into_inner) = Some(upload);
                endings::spawn(async move {
                    say(&tape, work.await);
                    let _ = done.send(true);
                });
            }
        }
        // Upstream need not wait for the journal: its answer will.
        Box::pin(std::future::ready(()))
    }
}

/// A client that looks at the status and leaves did not mean to record half an answer. A stream without an end it may leave.
const UNRECEIVED: Allowance = Allowance { bytes: 1024 * 1024, time: Duration::from_secs(1) };

/// Watches a response's payload on its way to the client.
#[derive(Debug)]
pub struct ResponseTee(Intake);

impl ResponseTee {
    /// For this exchange. A payload without a known length may be a stream of events: each is journalled as it comes.
    #[must_use]
    pub fn new(tape: Arc<Tape>, media: Media, length: Option<u64>) -> Self {
        let flush = if length.is_some() { Flush::Lazy } else { Flush::Prompt };
        ResponseTee(Intake::new(tape, Side::Response, flush, media, length))
    }
}

impl Watch for ResponseTee {
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_room(cx)
    }

    fn data(&mut self, data: &Bytes) {
        self.0.tape().tally.bytes(data.len());
        self.0.data(data);
    }

    fn allowance(&self) -> Option<Allowance> {
        Some(UNRECEIVED)
    }

    fn end(self: Box<Self>, end: BodyEnd) -> Ending {
        let (tape, seen) = (self.0.tape().clone(), self.0.seen);
        let (how, trailers) = match end {
            BodyEnd::Complete(trailers) => (How::Complete, trailers.map(|map| Fields::of(&map, Hop::Dropped))),
            BodyEnd::Failed(error) => {
                tracing::debug!(%error, "upstream broke off");
                (How::UpstreamDied, None)
            }
            BodyEnd::Cancelled => (How::ClientLeft, None),
        };
        let trailers = trailers.unwrap_or_default();
        match self.0.end(how == How::Complete) {
            Journalled::Now(decoded) => tape.end_behind_upload(how, seen, trailers, decoded),
            Journalled::Later(work) => Box::pin(async move {
                let decoded = work.await;
                tape.end_behind_upload(how, seen, trailers, decoded).await;
            }),
        }
    }
}

/// Counts what passes unrecorded.
#[derive(Debug)]
pub struct Passing(pub Arc<Tally>);

impl Watch for Passing {
    fn data(&mut self, data: &Bytes) {
        self.0.bytes(data.len());
    }

    fn end(self: Box<Self>, _: BodyEnd) -> Ending {
        Box::pin(std::future::ready(()))
    }
}

/// Whether a request asks for another protocol on this connection. A hint at HTTP/2 in the clear is none: it is dropped on
/// the way.
#[must_use]
pub fn asks_upgrade(headers: &HeaderMap, version: Version) -> bool {
    version == Version::HTTP_11
        && headers.get(header::UPGRADE).is_some_and(|to| !to.as_bytes().to_ascii_lowercase().starts_with(b"h2c"))
}

/// HTTP/2 lets a client send a cookie a field, for compression; they are one header (RFC 9113 section 8.2.3). `None` where nothing
/// is to be joined.
fn joined_cookies(map: &HeaderMap, version: Version) -> Option<HeaderMap> {
    if version != Version::HTTP_2 {
        return None;
    }
    let crumbs: Vec<&[u8]> = map.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    let several = (crumbs.len() > 1).then(|| crumbs.join(&b"; "[..]))?;
    let mut joined = map.clone();
    // Valid values joined by printable characters are valid.
    joined.insert(header::COOKIE, HeaderValue::from_bytes(&several).ok()?);
    Some(joined)
}

/// HTTP/2 has no reason phrase: the code's own one stands for it, so that the fixture is the same.
fn reason(status: StatusCode, given: Option<&ReasonPhrase>) -> String {
    match given {
        Some(given) => to_chars(given.as_bytes()).into_owned(),
        None => status.canonical_reason().unwrap_or_default().to_owned(),
    }
}

/// Bytes of an answer's head as HTTP/1.1 writes it.
fn head_size(reason: &str, headers: &HeaderMap) -> i64 {
    let fields: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len()).sum();
    to_i64("HTTP/1.1 200 \r\n\r\n".len() + reason.len() + fields)
}

impl From<ConnectTimings> for Phases {
    fn from(phases: ConnectTimings) -> Self {
        Phases { dns: phases.dns.map(micros), tcp: phases.tcp.map(micros), tls: phases.tls.map(micros) }
    }
}

fn encoded(value: &impl Serialize) -> Bytes {
    // Plain data can always be encoded.
    heads::encode(value).unwrap_or_default()
}

fn micros(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

fn since_epoch(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => micros(after),
        Err(before) => -micros(before.duration()),
    }
}

fn to_i64(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
