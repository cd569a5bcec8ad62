//! The index of a journal: the positions of the frames of each exchange. The memory for it depends on the number of
//! frames, not on their bytes.

use std::cell::Cell;
use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::record::damage::{Damage, KnownJournal};
use crate::record::journal::heads::{
    EndReason, ExchangeEnd, HeaderFields, JournalMeta, JournalledTest, RequestEnd, RequestHead, ResponseHead,
    UNCONNECTED_TIMEOUT, decode,
};
use crate::record::journal::{FrameKind, JournalReader, PayloadSpan, SecretNames};
use harproxy_http::Header;

/// An exchange that becomes an entry of the fixture. It has a response, or it failed.
#[derive(Debug)]
pub struct IndexedExchange {
    /// The number of the exchange in the journal.
    pub number: u64,
    /// The start time in microseconds, of a monotonic clock if the journal has one.
    began: i64,
    request: PayloadSpan,
    request_end: Option<PayloadSpan>,
    response: Option<PayloadSpan>,
    end: Option<PayloadSpan>,
    /// The message of an upstream failure, as journalled: with markers.
    pub failure: Option<String>,
    /// False if no connection to upstream was made.
    is_connected: bool,
    /// The frames without ends: those that the journal has, and those that it had at the end of the exchange.
    frames: (u64, u64),
    pub sent: PayloadPieces,
    pub received: PayloadPieces,
}

/// A payload in the journal.
#[derive(Debug, Default)]
pub struct PayloadPieces {
    /// The positions of the pieces, in order.
    pub spans: Vec<PayloadSpan>,
    /// True if the recorder removed the content coding before it journalled the payload.
    pub decoded: bool,
    /// Set when the payload was read: it decodes beyond `--max-decoded`, and is stored as received.
    pub exceeds_limit: Cell<bool>,
}

impl PayloadPieces {
    fn add(&mut self, span: PayloadSpan, decoded: bool) {
        self.spans.push(span);
        self.decoded |= decoded;
    }

    /// Returns the journalled length, bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.spans.iter().map(|piece| u64::from(piece.len)).sum()
    }

    /// Names the secrets of a decoded payload, so that they come before the secrets of later frames.
    fn assign_names(&self, reader: &mut JournalReader, names: &mut SecretNames) -> io::Result<()> {
        if self.decoded && names.naming.is_final() {
            io::copy(&mut names.redact_stream(&mut reader.stream(&self.spans), false), &mut io::sink())?;
        }
        Ok(())
    }
}

/// The structured frames of an exchange, decoded and with placeholders.
#[derive(Clone, Debug)]
pub struct ExchangeHeads {
    pub request: RequestHead,
    /// The end of the request payload. `None` if there was no payload, or if it did not end.
    pub request_end: Option<RequestEnd>,
    /// The head of the response, if there was a response.
    pub response: Option<ResponseHead>,
    /// The end of the exchange. `None` if the recording ended first.
    pub end: Option<ExchangeEnd>,
}

/// The exchanges of a journal and its settings.
#[derive(Debug, Default)]
pub struct JournalIndex {
    pub meta: JournalMeta,
    /// The exchanges by start time.
    pub exchanges: Vec<IndexedExchange>,
    /// Exchanges in progress when the recording ended. They are stored as truncated.
    pub cut: usize,
    /// Requests without a response. They are not stored.
    pub unanswered: usize,
    /// Exchanges of tests that ran again later. They are not stored: at replay a test begins with its first answers.
    pub repeated: usize,
    /// Exchanges that harproxy could not make, by start time. They are not stored.
    pub failed: Vec<IndexedExchange>,
    /// Set if the journal is damaged. Then only complete exchanges are stored.
    pub damage: Option<Damage>,
}

/// The kinds of failures before a connection to upstream ([`EndReason::Failed`]).
const UNCONNECTED: [&str; 8] =
    ["dns", "refused", "connect", UNCONNECTED_TIMEOUT, "proxy", "tls", "forbidden", "request"];

/// Maximum number of lost exchanges that are counted. The journal of a stranger can have any number as its last one.
const MAX_LOST: usize = 100_000;

impl JournalIndex {
    /// Reads the whole frames of a journal. Returns `None` for an empty journal.
    ///
    /// # Errors
    /// The file cannot be read, is not a journal of this version, or its settings are damaged and not `known`.
    pub fn read(file: File, known: Option<&KnownJournal>) -> io::Result<Option<(JournalReader, JournalIndex)>> {
        let Some(mut reader) = JournalReader::open(file, known.map(|known| known.mark))? else { return Ok(None) };
        let mut meta = known.map(|known| known.meta.clone());
        let mut open: HashMap<u64, IndexedExchange> = HashMap::new();
        let mut index = JournalIndex::default();
        let (mut frames, mut last, mut dropped) = (0, 0, Vec::new());
        let mut attempts = Attempts::default();
        while let Some(frame) = reader.next_frame()? {
            if frame.kind == FrameKind::Meta {
                meta = Some(decode(frame.payload)?);
                continue;
            }
            frames += 1;
            last = last.max(frame.exchange);
            if frame.kind == FrameKind::Request {
                let RequestStart { started, since, test } = decode(frame.payload)?;
                attempts.add(frame.exchange, test);
                let exchange = IndexedExchange {
                    number: frame.exchange,
                    began: since.unwrap_or(started),
                    request: frame.span,
                    request_end: None,
                    response: None,
                    end: None,
                    failure: None,
                    is_connected: true,
                    frames: (1, 0),
                    sent: PayloadPieces::default(),
                    received: PayloadPieces::default(),
                };
                open.insert(frame.exchange, exchange);
                continue;
            }
            let Some(exchange) = open.get_mut(&frame.exchange) else { continue };
            exchange.frames.0 += u64::from(frame.kind != FrameKind::End);
            match frame.kind {
                FrameKind::RequestData => exchange.sent.add(frame.span, false),
                FrameKind::RequestDecoded => exchange.sent.add(frame.span, true),
                FrameKind::RequestEnd => exchange.request_end = Some(frame.span),
                FrameKind::Response => exchange.response = Some(frame.span),
                FrameKind::ResponseData => exchange.received.add(frame.span, false),
                FrameKind::ResponseDecoded => exchange.received.add(frame.span, true),
                // Pieces of the request payload may follow the end. Only the first end counts.
                FrameKind::End if exchange.end.is_none() => {
                    let end: ExchangeEnd = decode(frame.payload)?;
                    exchange.end = Some(frame.span);
                    exchange.frames.1 = end.frames;
                    match end.reason {
                        EndReason::Failed { kind, message } => {
                            exchange.is_connected = !UNCONNECTED.contains(&&*kind);
                            exchange.failure = Some(message);
                        }
                        EndReason::Dropped => {
                            open.remove(&frame.exchange);
                            dropped.push(frame.exchange);
                        }
                        _ => {}
                    }
                }
                FrameKind::End | FrameKind::Meta | FrameKind::Request => {}
            }
        }
        let damaged = reader.damaged;
        let Some(meta) = meta else {
            return match damaged.bytes {
                0 => Ok(None),
                _ => Err(io::Error::new(io::ErrorKind::InvalidData, "its first frame is damaged")),
            };
        };
        index.meta = meta;
        index.unanswered = dropped.len();
        let is_damaged = known.map_or(damaged.bytes > 0, |known| frames < known.written.frames);
        if is_damaged {
            let last = known.map_or(last, |known| known.written.last_exchange);
            open.retain(|_, exchange| exchange.is_whole());
            let is_lost = |number: &u64| !open.contains_key(number) && !dropped.contains(number);
            let lost: BTreeSet<u64> = (1..=last).filter(is_lost).take(MAX_LOST).collect();
            index.damage = Some(Damage { at: (damaged.bytes > 0).then_some(damaged.at), lost, last });
        }
        for exchange in open.into_values() {
            if attempts.is_repeated(exchange.number) {
                index.repeated += 1;
                continue;
            }
            if exchange.end.is_none() && exchange.response.is_none() {
                index.unanswered += 1;
                continue;
            }
            index.cut += usize::from(exchange.end.is_none());
            index.exchanges.push(exchange);
        }
        index.exchanges.sort_unstable_by_key(|exchange| (exchange.began, exchange.number));
        Ok(Some((reader, index)))
    }
}

impl JournalIndex {
    /// Moves the exchanges that harproxy could not make to [`JournalIndex::failed`]: it could not connect to upstream.
    pub fn leave_out_failures(&mut self) {
        self.failed = self.exchanges.extract_if(.., |exchange| !exchange.is_connected).collect();
    }
}

impl IndexedExchange {
    /// Returns true if the exchange has ended and the journal has all its frames.
    fn is_whole(&self) -> bool {
        self.end.is_some() && self.frames.0 >= self.frames.1
    }

    /// Reads the URL as journalled: with markers.
    pub fn url(&self, reader: &mut JournalReader) -> io::Result<String> {
        Ok(decode::<RequestHead>(&reader.read(self.request)?)?.url)
    }

    /// Reads the heads. Secrets get placeholders in the order of the exchange, payloads included.
    pub fn heads(&self, reader: &mut JournalReader) -> io::Result<ExchangeHeads> {
        let mut request: RequestHead = decode(&reader.read(self.request)?)?;
        let request_end = read(reader, self.request_end)?;
        let mut response: Option<ResponseHead> = read(reader, self.response)?;
        let mut end: Option<ExchangeEnd> = read(reader, self.end)?;
        if let Some(ExchangeEnd { reason: EndReason::Failed { kind, .. }, .. }) = &mut end
            && kind == UNCONNECTED_TIMEOUT
        {
            // A fixture does not tell the steps that took too long apart.
            *kind = "timeout".to_owned();
        }
        if let Some(mut names) = reader.names.take() {
            request.url = names.redact_text(request.url);
            redact_fields(&mut request.headers, &mut names);
            self.sent.assign_names(reader, &mut names)?;
            if let Some(response) = &mut response {
                response.informational.iter_mut().for_each(|info| redact_fields(&mut info.headers, &mut names));
                response.reason = names.redact_text(std::mem::take(&mut response.reason));
                redact_fields(&mut response.headers, &mut names);
            }
            if let Some(end) = &mut end {
                if !end.trailers.0.is_empty() {
                    self.received.assign_names(reader, &mut names)?;
                    redact_fields(&mut end.trailers, &mut names);
                }
                if let EndReason::Failed { message, .. } = &mut end.reason {
                    *message = names.redact_text(std::mem::take(message));
                }
            }
            reader.names = Some(names);
        }
        Ok(ExchangeHeads { request, request_end, response, end })
    }
}

fn redact_fields(fields: &mut HeaderFields, names: &mut SecretNames) {
    let redacted = |field: &Header| Header { value: names.redact_bytes(field.value.clone()), ..field.clone() };
    fields.0 = fields.0.iter().map(redacted).collect();
}

/// The first members of a [`RequestHead`], which suffice to order exchanges and to find their tests.
#[derive(Deserialize)]
struct RequestStart {
    started: i64,
    since: Option<i64>,
    test: Option<JournalledTest>,
}

/// The attempts of tests: a test can run several times in one recording.
#[derive(Default)]
struct Attempts {
    /// The last attempt of each test.
    last: HashMap<Arc<str>, u64>,
    /// The test and the attempt of each exchange that has one.
    exchanges: HashMap<u64, (Arc<str>, u64)>,
}

impl Attempts {
    fn add(&mut self, exchange: u64, test: Option<JournalledTest>) {
        let Some(JournalledTest { name, attempt }) = test else { return };
        let name = self.last.get_key_value(&*name).map_or_else(|| name.into(), |(known, _)| known.clone());
        let last = self.last.entry(name.clone()).or_default();
        *last = attempt.max(*last);
        self.exchanges.insert(exchange, (name, attempt));
    }

    /// Returns true if the test of an exchange ran again later.
    fn is_repeated(&self, exchange: u64) -> bool {
        let test = self.exchanges.get(&exchange);
        test.is_some_and(|(name, attempt)| self.last.get(name).is_some_and(|last| attempt < last))
    }
}

fn read<T: DeserializeOwned>(reader: &mut JournalReader, span: Option<PayloadSpan>) -> io::Result<Option<T>> {
    span.map(|span| decode(&reader.read(span)?)).transpose()
}
