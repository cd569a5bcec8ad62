//! The times at which the events, lines or messages of a response arrive.

use std::time::{Duration, Instant};

use harproxy_har::model::{Chunk, MAX_CHUNKS};
use harproxy_http::StreamFormat;
use harproxy_http::events::UnitCounter;

/// A response that arrived completely within this time has no timing worth recording.
const SHORTEST: Duration = Duration::from_millis(10);

/// Collects the chunks of one response.
#[derive(Debug)]
pub struct ChunkTimes {
    /// When the head of the response had arrived.
    begun: Instant,
    counter: UnitCounter,
    chunks: Vec<Chunk>,
}

impl ChunkTimes {
    #[must_use]
    pub fn new(format: StreamFormat, begun: Instant) -> Self {
        ChunkTimes { begun, counter: UnitCounter::new(format), chunks: Vec::new() }
    }

    /// Takes a piece that arrived at `now`. Pieces of the same millisecond are one chunk, as are those beyond
    /// [`MAX_CHUNKS`]: they arrive with the last one.
    pub fn push(&mut self, piece: &[u8], now: Instant) {
        let units = self.counter.push(piece);
        if units == 0 {
            return;
        }
        let since = now.saturating_duration_since(self.begun);
        let at_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let is_full = self.chunks.len() == MAX_CHUNKS;
        match self.chunks.last_mut() {
            Some(last) if last.at_ms == at_ms || is_full => last.units += units,
            _ => self.chunks.push(Chunk { at_ms, units }),
        }
    }

    /// Returns the chunks; none if all of the response arrived at once.
    #[must_use]
    pub fn finish(self) -> Vec<Chunk> {
        let is_short = self.chunks.last().is_none_or(|last| u128::from(last.at_ms) < SHORTEST.as_millis());
        if is_short { Vec::new() } else { self.chunks }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(pieces: &[(&str, u64)]) -> Vec<(u64, u64)> {
        let begun = Instant::now();
        let mut times = ChunkTimes::new(StreamFormat::EventStream, begun);
        pieces.iter().for_each(|(piece, ms)| times.push(piece.as_bytes(), begun + Duration::from_millis(*ms)));
        times.finish().iter().map(|chunk| (chunk.at_ms, chunk.units)).collect()
    }

    #[test]
    fn lines_have_the_times_at_which_they_were_complete() {
        let pieces = [("data: 1\n\nda", 0), ("ta: 2\n", 100), ("\n", 100), ("data: 3\n\n", 250)];
        assert_eq!(chunks(&pieces), [(0, 2), (100, 2), (250, 2)]);
    }

    #[test]
    fn response_that_arrived_at_once_has_no_chunks() {
        assert_eq!(chunks(&[("data: 1\n\n", 1), ("data: 2\n\n", 9)]), []);
        assert_eq!(chunks(&[("data: 1\n\n", 12)]), [(12, 2)]);
    }

    #[test]
    fn chunks_beyond_the_limit_arrive_with_the_last_one() {
        let begun = Instant::now();
        let mut times = ChunkTimes::new(StreamFormat::Lines, begun);
        for ms in 0..MAX_CHUNKS as u64 + 5 {
            times.push(b"{}\n", begun + Duration::from_millis(ms));
        }
        let chunks = times.finish();
        assert_eq!((chunks.len(), chunks.last().unwrap().units), (MAX_CHUNKS, 6));
    }
}
