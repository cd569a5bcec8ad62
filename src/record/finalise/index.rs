//! The journal, indexed: where the parts of each exchange lie. Its size grows with the number of frames, not with their
//! bytes.

use std::collections::HashMap;
use std::fs::File;
use std::io;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::super::heads::{End, Fields, How, Meta, RequestEnd, RequestHead, ResponseHead, decode};
use super::super::journal::{FrameKind, Names, Reader, Span};
use harproxy_http::Header;

/// An exchange of the journal that is worth an entry: it was answered, or it failed.
#[derive(Debug)]
pub struct Slot {
    /// Its number in the recording.
    pub number: u64,
    /// When it began, in microseconds on a clock that goes forward only.
    began: i64,
    request: Span,
    request_end: Option<Span>,
    response: Option<Span>,
    end: Option<Span>,
    /// The request's payload.
    pub sent: Pieces,
    /// The response's payload.
    pub received: Pieces,
}

/// A payload in the journal.
#[derive(Debug, Default)]
pub struct Pieces {
    /// Where it lies.
    pub spans: Vec<Span>,
    /// It was decoded before it was journalled.
    pub decoded: bool,
}

impl Pieces {
    fn add(&mut self, span: Span, decoded: bool) {
        self.spans.push(span);
        self.decoded |= decoded;
    }
}

/// What the frames say about an exchange.
#[derive(Clone, Debug)]
pub struct Heads {
    /// The request's head.
    pub request: RequestHead,
    /// The end of its payload, if it had one and it ended.
    pub request_end: Option<RequestEnd>,
    /// The response's head, if there was one.
    pub response: Option<ResponseHead>,
    /// How it ended; `None` when the recording ended before.
    pub end: Option<End>,
}

/// A journal, indexed.
#[derive(Debug)]
pub struct Index {
    /// How the recording was asked for.
    pub meta: Meta,
    /// Exchanges by start time.
    pub slots: Vec<Slot>,
    /// Exchanges that were under way when the recording ended and are stored as far as they came.
    pub cut: usize,
    /// Exchanges that ended, or were under way, before an answer.
    pub unanswered: usize,
}

impl Index {
    /// Reads a journal up to its last whole frame. `None` when it is no journal, or holds nothing.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(file: File) -> io::Result<Option<(Reader, Index)>> {
        let Some(mut reader) = Reader::open(file)? else { return Ok(None) };
        let mut meta = None;
        let mut open: HashMap<u64, Slot> = HashMap::new();
        let mut index = Index { meta: Meta::default(), slots: Vec::new(), cut: 0, unanswered: 0 };
        while let Some(frame) = reader.next_frame()? {
            if frame.kind == FrameKind::Meta {
                meta = Some(decode(frame.payload)?);
                continue;
            }
            if frame.kind == FrameKind::Request {
                let Started { started, since } = decode(frame.payload)?;
                let began = since.unwrap_or(started);
                open.insert(frame.exchange, Slot::new(frame.exchange, began, frame.span));
                continue;
            }
            let Some(slot) = open.get_mut(&frame.exchange) else { continue };
            match frame.kind {
                FrameKind::RequestData => slot.sent.add(frame.span, false),
                FrameKind::RequestDecoded => slot.sent.add(frame.span, true),
                FrameKind::RequestEnd => slot.request_end = Some(frame.span),
                FrameKind::Response => slot.response = Some(frame.span),
                FrameKind::ResponseData => slot.received.add(frame.span, false),
                FrameKind::ResponseDecoded => slot.received.add(frame.span, true),
                // The first end counts. Pieces of the upload may still follow one.
                FrameKind::End if slot.end.is_none() => {
                    if decode::<Ended>(frame.payload)?.how == How::Dropped {
                        open.remove(&frame.exchange);
                        index.unanswered += 1;
                    } else {
                        slot.end = Some(frame.span);
                    }
                }
                FrameKind::End | FrameKind::Meta | FrameKind::Request => {}
            }
        }
        let Some(meta) = meta else { return Ok(None) };
        index.meta = meta;
        for slot in open.into_values() {
            match (&slot.end, &slot.response) {
                (None, None) => {
                    index.unanswered += 1;
                    continue;
                }
                (None, Some(_)) => index.cut += 1,
                (Some(_), _) => {}
            }
            index.slots.push(slot);
        }
        index.slots.sort_unstable_by_key(|slot| (slot.began, slot.number));
        Ok(Some((reader, index)))
    }
}

impl Slot {
    fn new(number: u64, began: i64, request: Span) -> Self {
        Slot {
            number,
            began,
            request,
            request_end: None,
            response: None,
            end: None,
            sent: Pieces::default(),
            received: Pieces::default(),
        }
    }

    /// What its frames say. Values are named in the order in which the exchange has them, those of payloads too.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn heads(&self, reader: &mut Reader) -> io::Result<Heads> {
        let mut request: RequestHead = decode(&reader.read(self.request)?)?;
        let request_end = read(reader, self.request_end)?;
        let mut response: Option<ResponseHead> = read(reader, self.response)?;
        let mut end: Option<End> = read(reader, self.end)?;
        if let Some(mut names) = reader.names.take() {
            request.url = names.text(request.url);
            name(&mut request.headers, &mut names);
            self.sent.name(reader, &mut names)?;
            if let Some(response) = &mut response {
                response.informational.iter_mut().for_each(|info| name(&mut info.headers, &mut names));
                name(&mut response.headers, &mut names);
            }
            if let Some(end) = &mut end {
                if !end.trailers.0.is_empty() {
                    self.received.name(reader, &mut names)?;
                    name(&mut end.trailers, &mut names);
                }
                if let How::Failed { message, .. } = &mut end.how {
                    *message = names.text(std::mem::take(message));
                }
            }
            reader.names = Some(names);
        }
        Ok(Heads { request, request_end, response, end })
    }
}

fn name(fields: &mut Fields, names: &mut Names) {
    fields.0 =
        fields.0.iter().map(|field| Header { value: names.bytes(field.value.clone()), ..field.clone() }).collect();
}

impl Pieces {
    /// Gives the values of the payload their names, before those of what comes behind.
    fn name(&self, reader: &mut Reader, names: &mut Names) -> io::Result<()> {
        if self.decoded && names.naming.is_final() {
            io::copy(&mut names.payload(&mut reader.stream(&self.spans), false), &mut io::sink())?;
        }
        Ok(())
    }
}

/// The first members of a [`RequestHead`].
#[derive(Deserialize)]
struct Started {
    started: i64,
    since: Option<i64>,
}

/// The first member of an [`End`].
#[derive(Deserialize)]
struct Ended {
    how: How,
}

fn read<T: DeserializeOwned>(reader: &mut Reader, span: Option<Span>) -> io::Result<Option<T>> {
    span.map(|span| decode(&reader.read(span)?)).transpose()
}
