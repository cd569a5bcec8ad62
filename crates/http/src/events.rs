//! Payloads that a server sends unit by unit: event streams, lines of JSON, and messages with a length before them.

use crate::MediaType;

/// The format of a payload whose units the client uses as they arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamFormat {
    /// `text/event-stream`: a blank line ends an event.
    EventStream,
    /// Lines of JSON.
    Lines,
    /// gRPC and Connect: one byte of flags, the length in four bytes, and the message.
    Messages,
}

/// Media types of lines of JSON.
const LINES: [&str; 6] = [
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
    "application/x-jsonlines",
    "application/jsonlines",
    "application/json-seq",
];

/// Bytes before a message.
const PREFIX: usize = 5;

impl StreamFormat {
    /// Returns the format of a media type; `None` if its payloads are no streams.
    ///
    /// ```
    /// use harproxy_http::{MediaType, StreamFormat};
    /// let format = |text: &str| StreamFormat::of(&MediaType::parse(text));
    /// assert_eq!(format("text/event-stream; charset=utf-8"), Some(StreamFormat::EventStream));
    /// assert_eq!(format("application/grpc+proto"), Some(StreamFormat::Messages));
    /// assert_eq!(format("application/json"), None);
    /// ```
    #[must_use]
    pub fn of(media: &MediaType) -> Option<Self> {
        match media.essence() {
            "text/event-stream" => Some(StreamFormat::EventStream),
            essence if LINES.contains(&essence) => Some(StreamFormat::Lines),
            // The messages of gRPC-Web as text are base64.
            essence if essence.starts_with("application/grpc-web-text") => None,
            essence if essence.starts_with("application/grpc") => Some(StreamFormat::Messages),
            essence if essence.starts_with("application/connect+") => Some(StreamFormat::Messages),
            _ => None,
        }
    }

    /// Returns the length of the part of a payload that ends with its last complete event, line or message.
    ///
    /// ```
    /// use harproxy_http::StreamFormat;
    /// assert_eq!(StreamFormat::EventStream.complete_len(b"data: 1\r\n\r\ndata: 2\r\n"), 11);
    /// assert_eq!(StreamFormat::Lines.complete_len(b"{}\n{"), 3);
    /// assert_eq!(StreamFormat::Messages.complete_len(b"\0\0\0\0\x02ab\0\0"), 7);
    /// ```
    #[must_use]
    pub fn complete_len(self, payload: &[u8]) -> usize {
        match self {
            StreamFormat::EventStream => last_event_end(payload),
            StreamFormat::Lines | StreamFormat::Messages => self.unit_ends(payload).last().unwrap_or_default(),
        }
    }

    /// Returns the ends of the units of a payload: of lines, also in event streams, or of messages. What follows the
    /// last one is incomplete. The number of units does not change when a secret in the payload is replaced.
    pub fn unit_ends(self, payload: &[u8]) -> impl Iterator<Item = usize> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let rest = payload.get(at..)?;
            let len = match self {
                StreamFormat::EventStream | StreamFormat::Lines => memchr::memchr(b'\n', rest)? + 1,
                StreamFormat::Messages => PREFIX + message_len(rest.first_chunk()?),
            };
            at = at.checked_add(len).filter(|end| *end <= payload.len())?;
            Some(at)
        })
    }
}

fn message_len(&[_flags, a, b, c, d]: &[u8; PREFIX]) -> usize {
    usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX - PREFIX)
}

/// Returns the end of the last blank line of an event stream. CR, LF and both together end a line.
fn last_event_end(payload: &[u8]) -> usize {
    let (mut line, mut end) = (0, 0);
    while let Some(at) = payload.get(line..).and_then(|rest| memchr::memchr2(b'\r', b'\n', rest)) {
        let at = line + at;
        let next = if payload[at..].starts_with(b"\r\n") { at + 2 } else { at + 1 };
        if at == line {
            end = next;
        }
        line = next;
    }
    end
}

/// Counts the units of a payload that arrives in pieces.
#[derive(Clone, Debug)]
pub struct UnitCounter {
    format: StreamFormat,
    /// The first bytes of the prefix of the next message.
    prefix: Vec<u8>,
    /// Bytes of the current message that have not arrived.
    missing: usize,
}

impl UnitCounter {
    /// Starts at the beginning of a payload.
    #[must_use]
    pub fn new(format: StreamFormat) -> Self {
        UnitCounter { format, prefix: Vec::with_capacity(PREFIX), missing: 0 }
    }

    /// Takes the next piece. Returns how many units it completes.
    pub fn push(&mut self, piece: &[u8]) -> u64 {
        self.take(piece, u64::MAX).1
    }

    /// Takes the beginning of a piece, up to the end of the unit with this number from here. Returns the length that
    /// was taken, and how many units it completes.
    pub fn take(&mut self, piece: &[u8], units: u64) -> (usize, u64) {
        match self.format {
            StreamFormat::EventStream | StreamFormat::Lines => take_lines(piece, units),
            StreamFormat::Messages => self.take_messages(piece, units),
        }
    }

    fn take_messages(&mut self, piece: &[u8], units: u64) -> (usize, u64) {
        let (mut at, mut complete) = (0, 0);
        while at < piece.len() && complete < units {
            let in_prefix = self.prefix.len() < PREFIX;
            let wanted = if in_prefix { PREFIX - self.prefix.len() } else { self.missing };
            let taken = &piece[at..piece.len().min(at.saturating_add(wanted))];
            at += taken.len();
            if in_prefix {
                self.prefix.extend_from_slice(taken);
                let Some(prefix) = self.prefix.first_chunk() else { break };
                self.missing = message_len(prefix);
            } else {
                self.missing -= taken.len();
            }
            if self.missing == 0 {
                complete += 1;
                self.prefix.clear();
            }
        }
        (at, complete)
    }
}

fn take_lines(piece: &[u8], units: u64) -> (usize, u64) {
    let mut complete = 0;
    for end in memchr::memchr_iter(b'\n', piece) {
        complete += 1;
        if complete == units {
            return (end + 1, complete);
        }
    }
    (piece.len(), complete)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_ends_with_a_blank_line_of_any_line_end() {
        for (payload, complete) in [
            ("", 0),
            ("data: 1\n", 0),
            ("data: 1\n\n", 9),
            ("data: 1\n\ndata: 2\n", 9),
            ("data: 1\r\rdata: 2", 9),
            ("data: 1\n\r\n", 10),
            (": ping\n\n", 8),
        ] {
            assert_eq!(StreamFormat::EventStream.complete_len(payload.as_bytes()), complete, "{payload:?}");
        }
    }

    #[test]
    fn units_are_counted_alike_in_pieces_of_any_length() {
        let messages = b"\0\0\0\0\x03abc\0\0\0\0\0\x01\0\0\0\x02de\0\0";
        let lines = b"data: a\n\ndata: b\n\nrest";
        for (format, payload, ends) in [
            (StreamFormat::Messages, &messages[..], vec![8, 13, 20]),
            (StreamFormat::EventStream, &lines[..], vec![8, 9, 17, 18]),
        ] {
            assert_eq!(format.unit_ends(payload).collect::<Vec<_>>(), ends);
            for len in 1..=payload.len() {
                let mut counter = UnitCounter::new(format);
                let counted: u64 = payload.chunks(len).map(|piece| counter.push(piece)).sum();
                assert_eq!(counted, ends.len() as u64, "{format:?} {len}");
            }
        }
    }
}
