//! Whether what was read is an answer that is all there, of the kind that most are.

use std::fmt;
use std::mem::MaybeUninit;

use ::http::StatusCode;
use bytes::{Bytes, BytesMut};
use httparse::{Header, Status};

use harproxy_http::headers::HOP_BY_HOP;

/// An answer with more fields is hyper's.
const FIELDS: usize = 48;

/// One that is longer, bytes, is hyper's, too.
const LONGEST: usize = 32 << 10;

/// An answer that came whole: HTTP/1.1, a status that has its own reason phrase and may have a payload, whose length is said once, no name of a field
/// twice, and nothing of the connection but that it stays.
pub struct Whole {
    /// Its status.
    pub status: StatusCode,
    bytes: Bytes,
    /// Where names and values stand, those of the connection left out.
    fields: Vec<Field>,
    head: usize,
    /// Bytes of its head as HTTP/1.1 writes it, the fields of the connection with it.
    pub head_size: usize,
}

/// It may hold secrets.
impl fmt::Debug for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Whole").field("status", &self.status).field("bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}

/// Where a field stands: where its name begins and ends, then its value.
#[derive(Clone, Copy, Debug)]
struct Field([u16; 4]);

/// What was read so far.
pub(super) enum Came {
    /// The beginning of its head.
    Begun,
    /// Its head, and the beginning of its payload, of which so much is still to come.
    Head {
        more: usize,
    },
    Whole(Whole),
    /// An answer of another kind, or none.
    Other,
}

impl Whole {
    /// Looks at what was read; takes it if it is a whole answer.
    pub(super) fn of(bytes: &mut BytesMut) -> Came {
        let mut fields = [const { MaybeUninit::<Header<'_>>::uninit() }; FIELDS];
        let mut answer = httparse::Response::new(&mut []);
        let parser = httparse::ParserConfig::default();
        let head = match parser.parse_response_with_uninit_headers(&mut answer, bytes, &mut fields) {
            Ok(Status::Complete(head)) => head,
            Ok(Status::Partial) if bytes.len() < LONGEST => return Came::Begun,
            _ => return Came::Other,
        };
        let Some(status) = status(&answer) else { return Came::Other };
        let Some((length, kept)) = kept(answer.headers, bytes) else { return Came::Other };
        let said: usize =
            answer.headers.iter().map(|field| field.name.len() + field.value.len() + ": \r\n".len()).sum();
        let reason = answer.reason.unwrap_or_default().len();
        let head_size = "HTTP/1.1 200 \r\n\r\n".len() + reason + said;
        match head.checked_add(length) {
            Some(all) if all == bytes.len() => {
                let bytes = bytes.split().freeze();
                Came::Whole(Whole { status, bytes, fields: kept, head, head_size })
            }
            Some(all) if bytes.len() < all && all <= LONGEST => Came::Head { more: all - bytes.len() },
            _ => Came::Other,
        }
    }

    /// The names of its fields, but for those of the connection, as they are spelt.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.fields().map(|(name, _)| std::str::from_utf8(name).unwrap_or_default())
    }

    /// Their values.
    pub fn values(&self) -> impl Iterator<Item = &[u8]> {
        self.fields().map(|(_, value)| value)
    }

    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter().map(|Field([name, colon, value, end])| {
            let name = &self.bytes[usize::from(*name)..usize::from(*colon)];
            (name, &self.bytes[usize::from(*value)..usize::from(*end)])
        })
    }

    /// Its reason phrase.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        self.status.canonical_reason().unwrap_or_default()
    }

    /// Its payload.
    #[must_use]
    pub fn payload(&self) -> Bytes {
        self.bytes.slice(self.head..)
    }

    /// Appends it as a client gets it.
    pub fn write(&self, to: &mut Vec<u8>) {
        to.reserve(self.bytes.len());
        to.extend_from_slice(b"HTTP/1.1 ");
        to.extend_from_slice(self.status.as_str().as_bytes());
        to.push(b' ');
        to.extend_from_slice(self.reason().as_bytes());
        to.extend_from_slice(b"\r\n");
        write_fields(self.fields(), to);
        to.extend_from_slice(&self.bytes[self.head..]);
    }
}

/// Appends fields and the end of the head.
pub(super) fn write_fields<'f>(fields: impl Iterator<Item = (&'f [u8], &'f [u8])>, to: &mut Vec<u8>) {
    for (name, value) in fields {
        to.extend_from_slice(name);
        to.extend_from_slice(b": ");
        to.extend_from_slice(value);
        to.extend_from_slice(b"\r\n");
    }
    to.extend_from_slice(b"\r\n");
}

fn status(answer: &httparse::Response<'_, '_>) -> Option<StatusCode> {
    let status = StatusCode::from_u16(answer.code?).ok()?;
    let may_have_payload = !status.is_informational() && !matches!(status.as_u16(), 204 | 205 | 304);
    let is_usual = answer.version == Some(1) && answer.reason == status.canonical_reason();
    (may_have_payload && is_usual).then_some(status)
}

/// The length of the payload and the fields to keep; `None` where hyper has to see to them.
fn kept(fields: &[Header<'_>], bytes: &[u8]) -> Option<(usize, Vec<Field>)> {
    let at = |part: &[u8]| u16::try_from(part.as_ptr().addr() - bytes.as_ptr().addr()).ok();
    let end = |part: &[u8]| at(part)?.checked_add(u16::try_from(part.len()).ok()?);
    let mut kept = Vec::with_capacity(fields.len());
    let mut length = None;
    for (number, Header { name, value }) in fields.iter().enumerate() {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        if fields[..number].iter().any(|before| is(before.name)) {
            return None;
        }
        match name.len() {
            10 if is("connection") && value.eq_ignore_ascii_case(b"keep-alive") => continue,
            10 if is("keep-alive") => continue,
            14 if is("content-length") => length = Some(digits(value)?),
            _ if HOP_BY_HOP.iter().any(|hop| is(hop)) => return None,
            _ => {}
        }
        // A value that is empty stands nowhere.
        let value = if value.is_empty() { &name.as_bytes()[name.len()..] } else { value };
        kept.push(Field([at(name.as_bytes())?, end(name.as_bytes())?, at(value)?, end(value)?]));
    }
    Some((length?, kept))
}

fn digits(value: &[u8]) -> Option<usize> {
    let is_plain = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(value).ok().filter(|_| is_plain)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn came(text: &str) -> Came {
        Whole::of(&mut BytesMut::from(text))
    }

    /// The answer as a client gets it.
    #[track_caller]
    fn whole(text: &str) -> (Whole, String) {
        let Came::Whole(whole) = came(text) else { panic!("{text}") };
        let mut written = Vec::new();
        whole.write(&mut written);
        (whole, String::from_utf8(written).unwrap())
    }

    #[test]
    fn what_is_all_there_goes_on_as_it_is_spelt() {
        let text = "HTTP/1.1 404 Not Found\r\nX-A: 1\r\nx-empty: \r\nContent-Length: 2\r\n\r\nhi";
        let (answer, written) = whole(text);
        assert_eq!(written, text);
        assert_eq!((answer.payload(), answer.head_size), (Bytes::from_static(b"hi"), text.len() - 2));
        let fields: Vec<_> = answer.names().zip(answer.values()).collect();
        assert_eq!(fields, [("X-A", &b"1"[..]), ("x-empty", b""), ("Content-Length", b"2")]);
        assert_eq!(
            whole("HTTP/1.1 200 OK\r\nx:\ty \r\ncontent-length:0\r\n\r\n").1,
            "HTTP/1.1 200 OK\r\nx: y\r\ncontent-length: 0\r\n\r\n"
        );
    }

    #[test]
    fn what_it_says_of_the_connection_is_left_out() {
        let (answer, written) =
            whole("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(written, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(answer.head_size, written.len() + "Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n".len());
    }

    #[test]
    fn the_beginning_of_an_answer_is_waited_for() {
        let text = "HTTP/1.1 200 OK\r\nx-a: 1\r\ncontent-length: 3\r\n\r\nabc";
        let head = text.len() - "abc".len();
        for len in 0..head {
            assert!(matches!(came(&text[..len]), Came::Begun), "{len}");
        }
        for len in head..text.len() {
            assert!(matches!(came(&text[..len]), Came::Head { more } if more == text.len() - len), "{len}");
        }
        assert!(matches!(came(text), Came::Whole(_)));
    }

    #[test]
    fn other_answers_are_hypers() {
        for head in [
            "HTTP/1.0 200 OK\r\ncontent-length: 0",
            "HTTP/1.1 200 Fine\r\ncontent-length: 0",
            "HTTP/1.1 200 \r\ncontent-length: 0",
            "HTTP/1.1 299 \r\ncontent-length: 0",
            "HTTP/1.1 100 Continue",
            "HTTP/1.1 103 Early Hints\r\ncontent-length: 0",
            "HTTP/1.1 101 Switching Protocols\r\ncontent-length: 0",
            "HTTP/1.1 204 No Content\r\ncontent-length: 0",
            "HTTP/1.1 304 Not Modified\r\ncontent-length: 0",
            "HTTP/1.1 200 OK",
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nContent-Length: 0",
            "HTTP/1.1 200 OK\r\ncontent-length: +0",
            "HTTP/1.1 200 OK\r\ncontent-length: ",
            "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999999",
            "HTTP/1.1 200 OK\r\ncontent-length: 40000",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 0",
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0",
            "HTTP/1.1 200 OK\r\nconnection: keep-alive, x-a\r\ncontent-length: 0",
            "HTTP/1.1 200 OK\r\ntrailer: x\r\ncontent-length: 0",
            "HTTP/1.1 200 OK\r\nupgrade: h2c\r\ncontent-length: 0",
            "HTTP/1.1 200 OK\r\nset-cookie: a\r\nSet-Cookie: b\r\ncontent-length: 0",
            "HTTP/1.1 200 OK\r\nx: y\r\n z\r\ncontent-length: 0",
            "HTTP/1.1 200 OK\r\nx : y\r\ncontent-length: 0",
            "ICY 200 OK\r\ncontent-length: 0",
        ] {
            assert!(matches!(came(&format!("{head}\r\n\r\n")), Came::Other), "{head}");
        }
        assert!(matches!(came("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nab"), Came::Other), "more than it says");
        let fields = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n".to_owned();
        let many =
            |count: usize| (0..count).fold(fields.clone(), |all, number| format!("{all}x-{number}: y\r\n")) + "\r\n";
        assert!(matches!(came(&many(FIELDS - 1)), Came::Whole(_)));
        assert!(matches!(came(&many(FIELDS)), Came::Other));
        assert!(matches!(came(&format!("{fields}x: {}", "y".repeat(LONGEST))), Came::Other));
    }
}
