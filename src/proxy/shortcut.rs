//! A short cut for requests that need nothing but an answer that lies ready: they are answered where they are read, between the wire and hyper, which
//! does not see them. Whatever else a client sends goes on to hyper as it came, before anything is done about it.

use std::cell::OnceCell;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use httparse::{Header, Status};
use memchr::memchr;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::answer::Seat;
use super::expected;
use super::handler::Ticket;

/// A head with more fields goes on to hyper.
const FIELDS: usize = 32;

/// One HTTP/1.1 connection on its way to hyper.
pub(super) struct Shortcut<I> {
    io: I,
    seat: Arc<Seat>,
    answer: Answer,
    /// Whether every byte so far was of whole requests without a payload, one to a read, so that the next read begins a request. Once `false` it
    /// stays so, and is from the beginning where nothing lies ready.
    begins: bool,
    /// While it `begins`: requests so far, hyper's and ours.
    requests: u64,
    /// While it `begins`: each of them has been answered, and what hyper wrote has gone out.
    settled: bool,
    /// Whether what is to be answered is held first: see [`Held`].
    gathers: bool,
    held: Option<Held>,
}

/// A plain GET, while the other connections of the thread that have something to read are read from, too: what their answers lie in is then fetched
/// at the same time.
struct Held {
    bytes: Vec<u8>,
    ticket: Ticket,
    /// Nothing lies ready for it: it is hyper's.
    goes_on: bool,
}

/// An answer on its way out.
#[derive(Default)]
struct Answer {
    head: Vec<u8>,
    payload: &'static [u8],
    written: usize,
    under_way: bool,
}

/// What bytes are that begin where a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came<'b> {
    /// A GET of this target, all of it and nothing else, that asks for nothing of the connection but that it stays.
    Get(&'b str),
    /// Another request without a payload, all of it and nothing else.
    Request,
    /// Anything else: a part of a head, several requests, what has or may have a payload, what is not HTTP/1.1, what ends in something else.
    Other,
}

impl<'b> Came<'b> {
    /// As hyper's parser reads it.
    fn of(bytes: &'b [u8]) -> Self {
        let mut fields = [const { MaybeUninit::<Header<'_>>::uninit() }; FIELDS];
        let mut request = httparse::Request::new(&mut []);
        match request.parse_with_uninit_headers(bytes, &mut fields) {
            Ok(Status::Complete(len)) if len == bytes.len() => {}
            _ => return Came::Other,
        }
        let (Some(method), Some(target), Some(1)) = (request.method, request.path, request.version) else {
            return Came::Other;
        };
        let mut is_plain = method == "GET";
        for Header { name, value } in request.headers.iter() {
            match Said::of(name, value) {
                Said::Nothing => {}
                Said::Something => is_plain = false,
                Said::More => return Came::Other,
            }
        }
        match is_plain {
            true => Came::Get(target),
            false if method == "CONNECT" => Came::Other,
            false => Came::Request,
        }
    }
}

/// The target that bytes begin with, if they are a GET: what is looked for while the rest is read.
fn first_target(bytes: &[u8]) -> Option<&str> {
    let target = bytes.strip_prefix(b"GET ")?;
    std::str::from_utf8(&target[..memchr(b' ', target)?]).ok()
}

/// What became of bytes that were read.
enum Taken {
    /// They were a request that has its answer now.
    Answered,
    /// They are held, and this task has its turn again behind those that are ready now.
    Held,
    /// They are hyper's.
    No,
}

/// What a field says of the connection, or of what comes behind the head.
enum Said {
    /// That the connection stays, if anything.
    Nothing,
    /// Something that hyper or the engine has to see to.
    Something,
    /// That what comes behind the head belongs to it, or is something else than requests.
    More,
}

impl Said {
    fn of(name: &str, value: &[u8]) -> Self {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        match name.as_bytes() {
            [b'c' | b'C', ..] if is("connection") => Said::of_connection(value),
            [b'c' | b'C', ..] if is("content-length") => Said::More,
            [b't' | b'T', ..] if is("transfer-encoding") => Said::More,
            [b'u' | b'U', ..] if is("upgrade") => Said::More,
            [b'e' | b'E', ..] if is("expect") => Said::More,
            [b'p' | b'P', ..] if is("proxy-connection") => Said::of_connection(value),
            [b'p' | b'P', ..] if is("proxy-authorization") => Said::Something,
            _ => Said::Nothing,
        }
    }

    fn of_connection(value: &[u8]) -> Self {
        if value.eq_ignore_ascii_case(b"keep-alive") { Said::Nothing } else { Said::Something }
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> Shortcut<I> {
    pub(super) fn new(io: I, seat: Arc<Seat>) -> Self {
        let begins = seat.may_be_ready();
        let gathers = begins && seat.gathers();
        Shortcut { io, seat, answer: Answer::default(), begins, requests: 0, settled: true, gathers, held: None }
    }

    pub(super) fn into_inner(self) -> I {
        self.io
    }

    /// Answers what was read, holds it, or leaves it to hyper.
    fn take(&mut self, came: &[u8], cx: &Context<'_>) -> Taken {
        if !self.begins || came.is_empty() {
            return Taken::No;
        }
        let known = OnceCell::new();
        let known = || *known.get_or_init(|| Came::of(came));
        // What hyper has not answered yet, or not written yet, comes before.
        let first = first_target(came).filter(|_| self.settled);
        let asked = first.and_then(|target| Some((target, self.seat.ticket(target)?)));
        let ready = asked.and_then(|(target, ticket)| {
            let is_plain = || known() == Came::Get(target);
            if self.gathers && is_plain() && self.seat.pulse.hold() {
                expected::add(ticket);
                self.held = Some(Held { bytes: came.to_vec(), ticket, goes_on: false });
                cx.waker().wake_by_ref();
                return None;
            }
            self.seat.ready(ticket, &is_plain, &mut self.answer.head)
        });
        if self.held.is_some() {
            return Taken::Held;
        }
        self.begins = known() != Came::Other;
        if self.answers(ready.filter(|_| matches!(known(), Came::Get(_)))) { Taken::Answered } else { Taken::No }
    }

    /// Answers what is held, or lets it go on.
    fn release(&mut self) {
        let Some(held) = self.held.take_if(|held| !held.goes_on) else { return };
        expected::all(|tickets| self.seat.fetch(tickets));
        let ready = self.seat.ready(held.ticket, &|| true, &mut self.answer.head);
        self.seat.pulse.release();
        if !self.answers(ready) {
            self.held = Some(Held { goes_on: true, ..held });
        }
    }

    /// Whether a request has its answer now, which is this payload and a head that is there.
    fn answers(&mut self, ready: Option<&'static [u8]>) -> bool {
        self.requests += 1;
        let Some(payload) = ready else {
            self.answer.head.clear();
            self.settled = false;
            return false;
        };
        (self.answer.payload, self.answer.under_way) = (payload, true);
        self.seat.pulse.answered();
        true
    }

    /// Whether something that was held has gone on.
    fn passes(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let Some(held) = self.held.as_mut().filter(|held| held.goes_on) else { return false };
        let len = held.bytes.len().min(buf.remaining());
        buf.put_slice(&held.bytes[..len]);
        held.bytes.drain(..len);
        if held.bytes.is_empty() {
            self.held = None;
        }
        true
    }

    /// Ready when no answer of ours is under way.
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Answer { head, payload, written, under_way } = &mut self.answer;
        if !*under_way {
            return Poll::Ready(Ok(()));
        }
        while *written < head.len() + payload.len() {
            let parts = [&head[(*written).min(head.len())..], &payload[written.saturating_sub(head.len())..]];
            match ready!(Pin::new(&mut self.io).poll_write_vectored(cx, &parts.map(IoSlice::new)))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                more => *written += more,
            }
        }
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        head.clear();
        (*payload, *written, *under_way) = (&[], 0, false);
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncRead for Shortcut<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            self.release();
            ready!(self.poll_answer(cx))?;
            if self.passes(buf) {
                return Poll::Ready(Ok(()));
            }
            let before = buf.filled().len();
            ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
            let taken = self.take(&buf.filled()[before..], cx);
            match taken {
                Taken::Answered => buf.set_filled(before),
                Taken::Held => {
                    buf.set_filled(before);
                    return Poll::Pending;
                }
                Taken::No => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Shortcut<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_answer(cx))?;
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_answer(cx))?;
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_answer(cx))?;
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        // A request ends when hyper has the end of its answer, and hyper writes what it has before it flushes.
        self.settled = self.seat.pulse.has_answered(self.requests);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_answer(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn came(text: &str) -> Came<'_> {
        Came::of(text.as_bytes())
    }

    #[test]
    fn a_get_that_asks_for_nothing_else_is_told_by_its_target() {
        for fields in
            ["", "Host: a\r\n", "CONNECTION: Keep-Alive\r\n", "proxy-connection: keep-alive\r\nTE: trailers\r\n"]
        {
            let text = format!("GET http://a/b?c HTTP/1.1\r\n{fields}\r\n");
            assert_eq!(came(&text), Came::Get("http://a/b?c"), "{text}");
        }
        let most = format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(FIELDS));
        assert_eq!(came(&most), Came::Get("/"));
    }

    #[test]
    fn what_is_one_request_without_a_payload_leaves_the_beginning_of_the_next_behind_it() {
        for text in [
            "HEAD / HTTP/1.1\r\n\r\n",
            "OPTIONS * HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nconnection: close\r\n\r\n",
            "GET / HTTP/1.1\r\nproxy-connection: x\r\n\r\n",
            "GET / HTTP/1.1\r\nproxy-authorization: Basic eDp5\r\n\r\n",
        ] {
            assert_eq!(came(text), Came::Request, "{text}");
        }
    }

    #[test]
    fn behind_anything_else_nobody_knows_where_a_request_begins() {
        let whole = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
        for len in 0..whole.len() {
            assert_eq!(came(&whole[..len]), Came::Other, "{len}");
        }
        for text in [
            "GET / HTTP/1.1\r\n\r\nG",
            "GET / HTTP/1.0\r\n\r\n",
            "GET / HTTP/1.1\r\ncontent-length: 0\r\n\r\n",
            "GET / HTTP/1.1\r\nTransfer-Encoding: x\r\n\r\n",
            "GET / HTTP/1.1\r\nUpgrade: h2c\r\n\r\n",
            "GET / HTTP/1.1\r\nExpect: 100-continue\r\n\r\n",
            "CONNECT a:1 HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nx y: z\r\n\r\n",
            "GET / HTTP/1.1\r\nx: y\r\n z\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ] {
            assert_eq!(came(text), Came::Other, "{text}");
        }
        let more = format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(FIELDS + 1));
        assert_eq!(came(&more), Came::Other);
    }
}
