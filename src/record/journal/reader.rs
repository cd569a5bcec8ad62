//! Reads a journal: first all whole frames, then payloads on demand.
//!
//! A crash leaves the beginning of a frame at the end of the file, which is ignored. Other bytes that are not a frame
//! are damage: they are counted, and reading goes on with the next whole frame.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

use super::frame::{FrameHeader, FrameKind, FrameMark, HEADER, MAGIC, TRAILER};
use super::names::SecretNames;

/// The position of a payload in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayloadSpan {
    /// Bytes from the start of the file.
    pub at: u64,
    /// Its length.
    pub len: u32,
}

#[derive(Debug)]
pub struct ReadFrame<'a> {
    /// The content of the payload.
    pub kind: FrameKind,
    /// The number of the exchange.
    pub exchange: u64,
    /// The position of the payload.
    pub span: PayloadSpan,
    /// The payload itself; empty for pieces of bodies.
    pub payload: &'a [u8],
}

/// The bytes of a journal that are no frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DamagedBytes {
    /// The position of the first one.
    pub at: u64,
    /// Their number; 0 if there are none.
    pub bytes: u64,
}

impl DamagedBytes {
    fn add(&mut self, from: u64, to: u64) {
        if self.bytes == 0 {
            self.at = from;
        }
        self.bytes += to - from;
    }
}

/// A journal that is being read.
#[derive(Debug)]
pub struct JournalReader {
    file: BufReader<File>,
    mark: FrameMark,
    /// The position in the file.
    at: u64,
    payload: Vec<u8>,
    /// The damage before the current position.
    pub damaged: DamagedBytes,
    /// Replaces the markers in heads and payloads; `None` keeps them.
    pub names: Option<SecretNames>,
}

impl JournalReader {
    /// Starts at the first frame. `None` if the file is empty or ends within its head. With the mark that its recorder
    /// `knows`, the head may be damaged.
    ///
    /// # Errors
    /// When the file cannot be read; [`io::ErrorKind::InvalidData`] when it is not a journal of this version.
    pub fn open(mut file: File, known: Option<FrameMark>) -> io::Result<Option<Self>> {
        file.seek(SeekFrom::Start(0))?;
        let mut file = BufReader::with_capacity(128 << 10, file);
        let mut head = Vec::new();
        file.by_ref().take((MAGIC.len() + FrameMark::LEN) as u64).read_to_end(&mut head)?;
        let written = head.strip_prefix(&MAGIC).map(|mark| mark.first_chunk().map(|mark| FrameMark(*mark)));
        let (mark, at) = match (known, written) {
            (Some(known), Some(Some(mark))) if known == mark => (mark, head.len()),
            (None, Some(Some(mark))) => (mark, head.len()),
            (Some(known), _) => (known, 0),
            (None, Some(None)) => return Ok(None),
            (None, None) if MAGIC.starts_with(&head) => return Ok(None),
            (None, None) => {
                let reason = "it is not a journal that this version of harproxy can read";
                return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
            }
        };
        let mut reader = JournalReader {
            file,
            mark,
            at: head.len() as u64,
            payload: Vec::new(),
            damaged: DamagedBytes::default(),
            names: None,
        };
        reader.seek(at as u64)?;
        Ok(Some(reader))
    }

    /// Reads the next whole frame. `None` at the end of the file.
    pub fn next_frame(&mut self) -> io::Result<Option<ReadFrame<'_>>> {
        let start = self.at;
        let mut at = start;
        let header = loop {
            if let Some(header) = self.read_frame()? {
                break header;
            }
            let Some(next) = self.find_mark(at + 1)? else {
                self.end(start)?;
                return Ok(None);
            };
            at = next;
            self.seek(at)?;
        };
        if at > start {
            self.damaged.add(start, at);
        }
        let span = PayloadSpan { at: at + HEADER as u64, len: header.len };
        Ok(Some(ReadFrame { kind: header.kind, exchange: header.exchange, span, payload: &self.payload }))
    }

    /// Finds the next mark from a position on.
    fn find_mark(&mut self, from: u64) -> io::Result<Option<u64>> {
        self.seek(from)?;
        let mut window = Vec::new();
        loop {
            let begin = self.at - window.len() as u64;
            let piece = self.file.fill_buf()?;
            if piece.is_empty() {
                return Ok(None);
            }
            window.extend_from_slice(piece);
            let read = piece.len();
            self.file.consume(read);
            self.at += read as u64;
            if let Some(found) = memchr::memmem::find(&window, &self.mark.0) {
                return Ok(Some(begin + found as u64));
            }
            // A mark may begin at the end of the piece.
            window.drain(..window.len().saturating_sub(FrameMark::LEN - 1));
        }
    }

    /// Ends the journal after the last whole frame. The bytes behind it are damage, unless a crash can have left them:
    /// the beginning of a frame, or zeros that a file system did not replace before the power failed.
    fn end(&mut self, last: u64) -> io::Result<()> {
        let end = self.file.seek(SeekFrom::End(0))?;
        self.at = end;
        self.seek(last)?;
        let mut rest = Vec::new();
        self.file.by_ref().take(HEADER as u64).read_to_end(&mut rest)?;
        self.at += rest.len() as u64;
        let is_torn = match rest.first_chunk() {
            None => rest.starts_with(&self.mark.0) || self.mark.0.starts_with(&rest),
            Some(header) => FrameHeader::from_bytes(self.mark, header)
                .is_some_and(|header| last + (HEADER + TRAILER) as u64 + u64::from(header.len) > end),
        };
        let mut is_zero = rest.iter().all(|byte| *byte == 0);
        while is_zero && self.at < end {
            let piece = self.file.fill_buf()?;
            is_zero = !piece.is_empty() && piece.iter().all(|byte| *byte == 0);
            let read = piece.len();
            self.file.consume(read);
            self.at += read as u64;
        }
        if !is_torn && !is_zero {
            self.damaged.add(last, end);
        }
        self.seek(end)
    }

    /// Reads one payload.
    ///
    /// # Errors
    /// When the file cannot be read, or is shorter than it was.
    pub fn read(&mut self, span: PayloadSpan) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; span.len as usize];
        self.seek(span.at)?;
        self.file.read_exact(&mut bytes)?;
        self.at += u64::from(span.len);
        Ok(bytes)
    }

    /// Reads several payloads as one stream.
    pub fn stream<'a>(&'a mut self, spans: &'a [PayloadSpan]) -> SpanReader<'a> {
        SpanReader { reader: self, spans, done: 0 }
    }

    /// Reads a frame and checks it. The payload goes into `self.payload`, except for pieces of bodies.
    fn read_frame(&mut self) -> io::Result<Option<FrameHeader>> {
        let mut header = [0; HEADER];
        if !self.fill(&mut header)? {
            return Ok(None);
        }
        let Some(header) = FrameHeader::from_bytes(self.mark, &header) else { return Ok(None) };
        let mut crc = header.start_checksum(self.mark);
        self.payload.clear();
        let mut left = header.len as usize;
        while left > 0 {
            let piece = self.file.fill_buf()?;
            if piece.is_empty() {
                return Ok(None);
            }
            let piece = &piece[..piece.len().min(left)];
            crc.update(piece);
            if !header.kind.is_data() {
                self.payload.extend_from_slice(piece);
            }
            let used = piece.len();
            self.file.consume(used);
            self.at += used as u64;
            left -= used;
        }
        let mut sum = [0; TRAILER];
        let is_whole = self.fill(&mut sum)? && u32::from_le_bytes(sum) == crc.finalize();
        Ok(is_whole.then_some(header))
    }

    fn fill(&mut self, bytes: &mut [u8]) -> io::Result<bool> {
        let filled = fill(&mut self.file, bytes)?;
        if filled {
            self.at += bytes.len() as u64;
        } else {
            self.at = self.file.stream_position()?;
        }
        Ok(filled)
    }

    fn seek(&mut self, to: u64) -> io::Result<()> {
        // Within the buffer this moves nothing but an index.
        self.file.seek_relative(to.wrapping_sub(self.at).cast_signed())?;
        self.at = to;
        Ok(())
    }
}

/// Fills `bytes`. False if the file ends before.
fn fill(file: &mut impl Read, bytes: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// Payloads of a journal as one stream.
#[derive(Debug)]
pub struct SpanReader<'a> {
    reader: &'a mut JournalReader,
    spans: &'a [PayloadSpan],
    /// Bytes of the first span that were read.
    done: u32,
}

impl Read for SpanReader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while let [span, rest @ ..] = self.spans {
            if self.done == span.len {
                (self.spans, self.done) = (rest, 0);
                continue;
            }
            self.reader.seek(span.at + u64::from(self.done))?;
            let wanted = buf.len().min((span.len - self.done) as usize);
            let read = self.reader.file.read(&mut buf[..wanted])?;
            if read == 0 && wanted > 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.reader.at += read as u64;
            self.done += u32::try_from(read).unwrap_or(u32::MAX);
            return Ok(read);
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests;
