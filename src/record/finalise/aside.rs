//! Setting a recording aside that is not to become part of its fixture yet. Who does so still knows the values that it found,
//! and takes those out that became known after they had been journalled: a journal that waits for its user holds no secret.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use serde::Serialize;

use super::super::heads::{self, Decoded};
use super::super::journal::frame::MAGIC;
use super::super::journal::{Claimed, Frame, FrameKind, Names, Reader, Span};
use super::super::{Error, Recorder};
use super::har_error;
use super::index::{Index, Pieces, Slot};
use super::payload::{MAX_BODY, Payload, UNDECODABLE};
use harproxy_har::model::Body;
use harproxy_redact::known::Before;
use harproxy_redact::marker::{Marker, Run};
use harproxy_redact::{Known, Naming, Vault};

/// Bytes of a payload in one frame.
const PIECE: usize = 64 << 10;

/// Writes the journal anew, without the values that the recording knows by now, to where held ones are.
///
/// # Errors
/// [`Error`]; the journal is where it was, and as it was.
pub fn set_aside(recorder: &Recorder, claimed: &Claimed, index: &Index, reader: Reader) -> Result<(), Error> {
    let place = &claimed.place;
    let failed = |source| Error::journal("setting aside the journal", &place.journal, source);
    let file = harproxy_har::write::beside(&place.output).map_err(failed)?;
    let mut anew = Anew::new(recorder.screen.vault(), reader, file.as_file().try_clone().map_err(failed)?);
    anew.all(index, &place.journal)?;
    anew.out.flush().map_err(failed)?;
    file.persist(&place.held).map(drop).map_err(|error| failed(error.error))
}

/// A journal being written anew.
struct Anew {
    known: Arc<Counting>,
    reader: Reader,
    out: BufWriter<File>,
}

impl Anew {
    fn new(vault: &Arc<Vault>, mut reader: Reader, out: File) -> Self {
        let known = Arc::new(Counting { vault: vault.clone(), found: AtomicUsize::new(0) });
        // Markers stay: no text has one of this run.
        let mut names = Names::new(Naming::provisional(Run::random()));
        names.know_by(known.clone());
        reader.names = Some(names);
        Anew { known, reader, out: BufWriter::with_capacity(PIECE, out) }
    }

    fn all(&mut self, index: &Index, journal: &std::path::Path) -> Result<(), Error> {
        let failed = |source| Error::journal("setting aside the journal", journal, source);
        self.out.write_all(&MAGIC).map_err(failed)?;
        self.say(FrameKind::Meta, 0, &index.meta).map_err(failed)?;
        for slot in &index.slots {
            self.exchange(slot, index.meta.max_body)?;
        }
        Ok(())
    }

    /// What was cut, and by what, is said as it would be in a fixture: the rest of a payload that was kept whole to be decoded
    /// later may not be there any more.
    fn exchange(&mut self, slot: &Slot, max_body: Option<u64>) -> Result<(), harproxy_har::Error> {
        let mut heads = slot.heads(&mut self.reader).map_err(har_error)?;
        let (sent, received) =
            (Payload::of_request(slot, &heads, max_body), Payload::of_response(slot, &heads, max_body));
        let number = slot.number;
        self.say(FrameKind::Request, number, &heads.request).map_err(unwritable)?;
        let decoded = self.payload(&sent, &slot.sent, number, [FrameKind::RequestData, FrameKind::RequestDecoded])?;
        if let Some(end) = &mut heads.request_end {
            end.decoded = decoded.or(end.decoded.take());
            self.say(FrameKind::RequestEnd, number, end).map_err(unwritable)?;
        }
        if let Some(response) = &heads.response {
            self.say(FrameKind::Response, number, response).map_err(unwritable)?;
        }
        let decoded =
            self.payload(&received, &slot.received, number, [FrameKind::ResponseData, FrameKind::ResponseDecoded])?;
        if let Some(end) = &mut heads.end {
            end.decoded = decoded.or(end.decoded.take());
            self.say(FrameKind::End, number, end).map_err(unwritable)?;
        }
        Ok(())
    }

    /// A payload in which nothing is known stands as it stood. Says what became of one that had to be decoded for it.
    fn payload(
        &mut self,
        payload: &Payload<'_>,
        pieces: &Pieces,
        exchange: u64,
        [raw, decoded]: [FrameKind; 2],
    ) -> Result<Option<Decoded>, harproxy_har::Error> {
        let before = self.known.found();
        let body = payload.store(&mut self.reader, |source| {
            io::copy(source.read, &mut io::sink()).map_err(har_error)?;
            Ok(Body { encoded: source.encoded, ..Body::default() })
        })?;
        if self.known.found() == before {
            let kind = if pieces.decoded { decoded } else { raw };
            for span in &pieces.spans {
                self.copy(*span, kind, exchange).map_err(unwritable)?;
            }
            return Ok(None);
        }
        // What does not decode is tried again by whoever recovers it, and then kept as received.
        let stays = pieces.decoded || body.encoded;
        let kind = if body.encoded { raw } else { decoded };
        let Anew { reader, out, .. } = self;
        payload.store(reader, |source| {
            copy_in_pieces(source.read, out, kind, exchange).map_err(unwritable)?;
            Ok(Body::default())
        })?;
        Ok((!stays).then(|| {
            let cut = |reason: &str| body.truncated.as_ref().is_some_and(|truncated| truncated.reason == reason);
            let total = body.truncated.as_ref().and_then(|truncated| truncated.total);
            Decoded { more: cut(MAX_BODY), total, broken: cut(UNDECODABLE) }
        }))
    }

    fn copy(&mut self, span: Span, kind: FrameKind, exchange: u64) -> io::Result<()> {
        let payload = self.reader.read(span)?.into();
        Frame { kind, exchange, payload }.write(&mut self.out)
    }

    fn say(&mut self, kind: FrameKind, exchange: u64, what: &impl Serialize) -> io::Result<()> {
        Frame { kind, exchange, payload: heads::encode(what)? }.write(&mut self.out)
    }
}

fn copy_in_pieces(read: &mut dyn Read, out: &mut impl Write, kind: FrameKind, exchange: u64) -> io::Result<()> {
    loop {
        let mut piece = Vec::new();
        if (&mut *read).take(PIECE as u64).read_to_end(&mut piece)? == 0 {
            return Ok(());
        }
        Frame { kind, exchange, payload: Bytes::from(piece) }.write(out)?;
    }
}

fn unwritable(source: io::Error) -> harproxy_har::Error {
    harproxy_har::Error::Payload { doing: "setting aside the journal", source }
}

/// A vault's values, and how often one was met.
#[derive(Debug)]
struct Counting {
    vault: Arc<Vault>,
    found: AtomicUsize,
}

impl Counting {
    fn found(&self) -> usize {
        self.found.load(Ordering::Relaxed)
    }
}

impl Known for Counting {
    fn run(&self) -> Run {
        self.vault.run()
    }

    fn longest(&self) -> usize {
        Known::longest(&*self.vault)
    }

    fn known_in(&self, text: &[u8], before: Before, until: usize) -> Vec<(Range<usize>, Marker)> {
        let found = self.vault.known_in(text, before, until);
        self.found.fetch_add(found.len(), Ordering::Relaxed);
        found
    }
}
