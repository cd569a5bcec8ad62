//! The payload of one message on its way into the journal.
//!
//! Secrets are taken out before anything is written: of most payloads when they are whole, of lines as they come, of what is
//! too long to be held as it passes through a window. What can't be looked into is journalled as it comes.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::PollSender;

use super::capture::Tape;
use super::heads::Decoded;
use super::journal::Flush;
use super::look::{Look, Media, Side, Sink};
use super::screen::{Hold, LOOKED_INTO, Screen};
use harproxy_redact::{Glimpsed, Pace, Stream};

/// Payloads up to so many bytes are looked into at once, coded ones up to a few less: a thread of their own costs more.
const AT_ONCE: usize = 64 << 10;
const CODED_AT_ONCE: usize = 8 << 10;

/// What may come out of those, bytes: there are codings that make gigabytes of few.
const DECODED_AT_ONCE: usize = 256 << 10;

/// Pieces shorter than that are copied to be kept.
const SHORT: usize = 4 << 10;

/// Bytes of a long payload that its thread is given at a time, at least: few of them come at once.
const GIVEN: usize = 128 << 10;

/// How often it may be given as much before it has taken the first. What waits is memory that no read can use again.
const WAITING: usize = 4;

/// A payload being recorded.
#[derive(Debug)]
pub struct Intake {
    look: Look,
    way: Way,
    /// Bytes that came, those beyond `--max-body` too.
    pub seen: u64,
}

#[derive(Debug)]
enum Way {
    /// As it comes.
    Verbatim { opaque: bool },
    /// Line by line.
    Lines(Stream),
    /// When it is whole.
    Held(Held),
    /// By a thread of its own, as it comes.
    Long(Long),
}

/// A payload that has ended and is, or will be, in the journal.
pub enum Journalled {
    /// It is.
    Now(Option<Decoded>),
    /// It will be.
    Later(Pin<Box<dyn Future<Output = Option<Decoded>> + Send>>),
}

impl Intake {
    /// For the payload of a message whose head says this of it; `length` as declared.
    #[must_use]
    pub fn new(tape: Arc<Tape>, side: Side, flush: Flush, media: Media, length: Option<u64>) -> Self {
        let off = tape.screen().is_off();
        let media = if off { Media::default() } else { media };
        let look = Look { sink: Sink { tape, side, flush }, media, may_wait: false };
        let way = match &look.media.codings {
            _ if off => Way::Verbatim { opaque: false },
            None => Way::Verbatim { opaque: true },
            Some(codings) => match harproxy_redact::pace(&look.media.content_type) {
                Pace::Never => Way::Verbatim { opaque: true },
                Pace::Lines if codings.is_empty() => Way::Lines(Stream::new(&look.media.content_type)),
                Pace::Lines | Pace::Whole => {
                    let kept = length.map(|length| length.min(look.sink.tape.max_body().unwrap_or(u64::MAX)));
                    match kept {
                        Some(kept) if kept > LOOKED_INTO as u64 => Way::Long(Long::start(&look, [])),
                        _ => Way::Held(Held::new(&look)),
                    }
                }
            },
        };
        Intake { look, way, seen: 0 }
    }

    /// Whose it is.
    #[must_use]
    pub fn tape(&self) -> &Arc<Tape> {
        &self.look.sink.tape
    }

    /// Ready when more may come.
    pub fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Way::Long(long) = &mut self.way {
            ready!(long.poll_room(cx));
        }
        self.tape().poll_room(cx)
    }

    /// Takes in what came, as far as `--max-body` allows.
    pub fn data(&mut self, data: &Bytes) {
        let room = self.tape().max_body().map_or(u64::MAX, |max| max.saturating_sub(self.seen));
        self.seen += data.len() as u64;
        let keep = usize::try_from(room).unwrap_or(usize::MAX).min(data.len());
        if keep > 0 {
            self.take(data.slice(..keep));
        }
    }

    fn take(&mut self, data: Bytes) {
        let sink = &self.look.sink;
        match &mut self.way {
            Way::Verbatim { opaque } => {
                if std::mem::take(opaque) {
                    sink.tape.screen().passed_opaque();
                }
                sink.wire(data);
            }
            Way::Lines(stream) => {
                let mut out = Vec::with_capacity(data.len());
                stream.push(&mut sink.tape.screen().redactor(), &data, &mut out);
                sink.decoded(out.into());
            }
            Way::Held(held) => {
                if !held.take(&data) {
                    let held = std::mem::take(&mut held.bytes).into_pieces();
                    self.way = Way::Long(Long::start(&self.look, held.into_iter().chain([data])));
                }
            }
            Way::Long(long) => long.take(data),
        }
    }

    /// The end. `complete`: all of it came.
    pub fn end(self, complete: bool) -> Journalled {
        let Intake { look, way, seen } = self;
        let max = look.sink.tape.max_body().filter(|max| seen > *max);
        let whole = complete && max.is_none();
        // Of a payload without a coding its length on the wire is its length.
        let is_plain = look.media.codings.as_ref().is_some_and(Vec::is_empty);
        let cut = move |decoded: Option<Decoded>| {
            decoded.map(|decoded| match max {
                Some(_) => Decoded { more: true, total: is_plain.then_some(seen), ..decoded },
                None => decoded,
            })
        };
        match way {
            Way::Verbatim { .. } => Journalled::Now(None),
            Way::Lines(stream) => {
                let mut out = Vec::new();
                stream.finish(&mut look.sink.tape.screen().redactor(), &mut out);
                look.sink.decoded(out.into());
                Journalled::Now((seen > 0).then(Decoded::default).and_then(|decoded| cut(Some(decoded))))
            }
            Way::Held(Held { mut bytes, mut hold }) => {
                if bytes.len() == 0 {
                    return Journalled::Now(None);
                }
                if bytes.len() <= if is_plain { AT_ONCE } else { CODED_AT_ONCE } {
                    let short = bytes.into_bytes();
                    if let Some(decoded) = look.within(DECODED_AT_ONCE, &short, whole, &mut hold) {
                        return Journalled::Now(cut(decoded));
                    }
                    bytes = Kept::One(short);
                }
                match Handle::try_current() {
                    Ok(runtime) => {
                        let look = Look { may_wait: true, ..look };
                        let work = runtime.spawn_blocking(move || look.held(&bytes.into_bytes(), whole, &mut hold));
                        Journalled::Later(Box::pin(async move { cut(done(work).await) }))
                    }
                    Err(_) => Journalled::Now(cut(look.held(&bytes.into_bytes(), whole, &mut hold))),
                }
            }
            Way::Long(long) => Journalled::Later(Box::pin(async move { cut(done(long.end().await).await) })),
        }
    }
}

/// What a thread that looked into a payload said. One that panicked left part of it.
async fn done(work: JoinHandle<Option<Decoded>>) -> Option<Decoded> {
    work.await.unwrap_or_else(|error| {
        tracing::error!(%error, "looking into a payload failed");
        Some(Decoded { broken: true, ..Decoded::default() })
    })
}

/// A payload that is held until it is whole.
#[derive(Debug)]
struct Held {
    bytes: Kept,
    hold: Hold,
}

/// What came of a payload. Most come in one piece, which need not be copied, and long ones in pieces worth keeping.
#[derive(Debug)]
enum Kept {
    One(Bytes),
    Many(Pieces),
}

impl Default for Kept {
    fn default() -> Self {
        Kept::One(Bytes::new())
    }
}

impl Kept {
    fn len(&self) -> usize {
        match self {
            Kept::One(bytes) => bytes.len(),
            Kept::Many(pieces) => pieces.len,
        }
    }

    fn add(&mut self, data: &Bytes) {
        match self {
            Kept::One(first) if first.is_empty() => *first = data.clone(),
            Kept::One(first) => {
                let mut pieces = Pieces::default();
                pieces.add(first);
                pieces.add(data);
                *self = Kept::Many(pieces);
            }
            Kept::Many(pieces) => pieces.add(data),
        }
    }

    /// As one piece.
    fn into_bytes(self) -> Bytes {
        match self {
            Kept::One(bytes) => bytes,
            Kept::Many(pieces) => pieces.settled().concat().into(),
        }
    }

    fn into_pieces(self) -> Vec<Bytes> {
        match self {
            Kept::One(bytes) => vec![bytes],
            Kept::Many(pieces) => pieces.settled(),
        }
    }
}

/// Pieces, the short ones copied together: each that is kept takes more than its bytes.
#[derive(Debug, Default)]
struct Pieces {
    long: Vec<Bytes>,
    /// Behind those.
    short: Vec<u8>,
    len: usize,
}

impl Pieces {
    fn add(&mut self, data: &Bytes) {
        self.len += data.len();
        if data.len() < SHORT {
            self.short.extend_from_slice(data);
        } else {
            self.settle();
            self.long.push(data.clone());
        }
    }

    fn settle(&mut self) {
        if !self.short.is_empty() {
            self.long.push(std::mem::take(&mut self.short).into());
        }
    }

    fn settled(mut self) -> Vec<Bytes> {
        self.settle();
        self.long
    }
}

impl Held {
    fn new(look: &Look) -> Self {
        Held { bytes: Kept::default(), hold: Hold::new(look.sink.tape.screen().clone()) }
    }

    /// Whether there was room for it.
    fn take(&mut self, data: &Bytes) -> bool {
        let fits = self.bytes.len() + data.len() <= LOOKED_INTO && self.hold.more(data.len());
        if fits {
            self.bytes.add(data);
        }
        fits
    }
}

/// A payload that a thread reads as it comes.
#[derive(Debug)]
struct Long {
    thread: PollSender<Vec<Glimpsed<Bytes>>>,
    /// What the thread has not been given: giving may wake it.
    gathered: Vec<Glimpsed<Bytes>>,
    /// Bytes of that.
    len: usize,
    work: JoinHandle<Option<Decoded>>,
    /// What glances at a piece before the thread has it, when the thread is behind: whoever has time looks, and the processor that serves has it at
    /// hand.
    screen: Option<Arc<Screen>>,
}

impl Long {
    fn start(look: &Look, first: impl IntoIterator<Item = Bytes>) -> Self {
        let (send, mut given) = mpsc::channel(WAITING);
        let look = Look { may_wait: true, ..look.clone() };
        let is_plain = look.media.codings.as_ref().is_some_and(Vec::is_empty);
        let is_json = is_plain && harproxy_redact::is_json(&look.media.content_type);
        let screen = is_json.then(|| look.sink.tape.screen().clone());
        let mut pieces = std::iter::from_fn(move || given.blocking_recv()).flatten();
        let work = tokio::task::spawn_blocking(move || look.long(&mut pieces));
        let mut long = Long { thread: PollSender::new(send), gathered: Vec::new(), len: 0, work, screen };
        // Most of these are at hand no more.
        first.into_iter().for_each(|piece| long.add(piece.into()));
        long
    }

    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.len >= GIVEN { self.poll_give(cx) } else { Poll::Ready(()) }
    }

    fn poll_give(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let gathered = ready!(self.thread.poll_reserve(cx)).map(|()| std::mem::take(&mut self.gathered));
        if let Ok(gathered) = gathered {
            let _ = self.thread.send_item(gathered);
        }
        // A thread that has gone takes nothing more.
        self.gathered.clear();
        self.len = 0;
        Poll::Ready(())
    }

    fn take(&mut self, data: Bytes) {
        let piece = match &self.screen {
            Some(screen) if self.is_behind() => screen.glimpsed(data),
            _ => data.into(),
        };
        self.add(piece);
    }

    /// Whether the thread has not taken all that it was given.
    fn is_behind(&self) -> bool {
        self.thread.get_ref().is_some_and(|thread| thread.capacity() < thread.max_capacity())
    }

    fn add(&mut self, piece: Glimpsed<Bytes>) {
        self.len += piece.piece().len();
        self.gathered.push(piece);
    }

    /// Gives the thread the rest.
    async fn end(mut self) -> JoinHandle<Option<Decoded>> {
        poll_fn(|cx| self.poll_give(cx)).await;
        self.work
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_stay_in_their_order_and_only_short_ones_are_copied() {
        let lens = [SHORT, 1, 2, SHORT - 1, 3 * SHORT, SHORT, 7];
        let bytes: Bytes = (0..lens.iter().sum::<usize>()).map(|at| (at % 251) as u8).collect::<Vec<u8>>().into();
        let gathered = || {
            let (mut gathered, mut rest) = (Kept::default(), bytes.clone());
            lens.iter().for_each(|len| gathered.add(&rest.split_to(*len)));
            assert_eq!(gathered.len(), bytes.len());
            gathered
        };
        assert_eq!(gathered().into_bytes(), bytes);
        let pieces = gathered().into_pieces();
        assert_eq!(pieces.concat(), bytes);
        let passed: Vec<usize> =
            pieces.iter().filter(|piece| bytes.as_ptr_range().contains(&piece.as_ptr())).map(Bytes::len).collect();
        assert_eq!(passed, [SHORT, 3 * SHORT, SHORT]);
    }

    #[test]
    fn one_piece_is_passed_as_it_is() {
        let mut gathered = Kept::default();
        let only = Bytes::from(vec![7; 3]);
        gathered.add(&only);
        assert_eq!(gathered.into_bytes().as_ptr(), only.as_ptr());
    }
}
