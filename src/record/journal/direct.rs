//! Long pieces of the journal on their way to the disk, past the system's memory (direct I/O).
//!
//! Written in the usual way a body of a gigabyte takes a gigabyte of the system's memory that nobody reads before the recording ends. Pages that no
//! one has written to for a while are dear where the host of a virtual machine has taken them back: ten times what the copy costs. Past that memory
//! a disk that keeps up takes no more of a processor than the copy. One that does not would hold up who is recorded: then memory takes it all.

use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// What a write of this kind begins and ends at, bytes, in the file as in memory: no file system asks for more, mostly.
const PAGE: usize = 4 << 10;

/// Writes that are shorter go the usual way, bytes: those of many exchanges at once do, whose clients wait for them. There is a call more on both
/// sides of a direct one.
const LONG: usize = 256 << 10;

/// Bytes of one write at most.
const MOST: usize = 512 << 10;

/// The journal, open to append: each write goes the way that takes less time.
#[derive(Debug)]
pub(super) struct Appender {
    file: File,
    /// Its length.
    len: u64,
    /// Not there where the system, or the file system, knows no such way.
    direct: Option<Direct>,
    ways: Ways,
}

/// The same file, open for direct writes.
#[derive(Debug)]
struct Direct {
    file: File,
    pages: Pages,
}

impl Appender {
    /// Appends to `file`, which is open to append at `path`.
    ///
    /// # Errors
    /// When the file's length is not to be had.
    pub(super) fn new(file: File, path: &Path) -> io::Result<Self> {
        let len = file.metadata()?.len();
        Ok(Appender { direct: Direct::open(&file, path), file, len, ways: Ways::default() })
    }

    /// Writes the beginning of these parts: what is missing to a whole page the usual way, then whole pages.
    fn write_directly(&mut self, parts: &[IoSlice<'_>]) -> Option<io::Result<usize>> {
        let direct = self.direct.as_mut()?;
        let len = parts.iter().map(|part| part.len()).sum::<usize>();
        if len < LONG || self.ways.now() != Way::Direct {
            return None;
        }
        let missing = (self.len.next_multiple_of(PAGE as u64) - self.len) as usize;
        if missing > 0 {
            return Some(self.file.write(direct.pages.fill(parts, missing)));
        }
        let begun = Instant::now();
        match direct.file.write(direct.pages.fill(parts, (len - len % PAGE).min(MOST))) {
            Ok(written) => {
                self.ways.took(written, begun.elapsed());
                Some(Ok(written))
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Some(Err(error)),
            Err(error) => {
                tracing::debug!(%error, "writing past the system's memory; what follows goes through it");
                self.direct = None;
                None
            }
        }
    }

    fn write_to_memory(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let begun = Instant::now();
        let written = self.file.write_vectored(parts)?;
        if written >= LONG {
            self.ways.took(written, begun.elapsed());
        }
        Ok(written)
    }
}

impl Write for Appender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() >= LONG {
            return self.write_vectored(&[IoSlice::new(bytes)]);
        }
        let written = self.file.write(bytes)?;
        self.len += written as u64;
        Ok(written)
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let written = match self.write_directly(parts) {
            Some(written) => written?,
            None => self.write_to_memory(parts)?,
        };
        self.len += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Direct {
    #[cfg(target_os = "linux")]
    fn open(file: &File, path: &Path) -> Option<Self> {
        use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
        let flags = i32::try_from(rustix::fs::OFlags::DIRECT.bits()).ok()?;
        let direct = File::options().append(true).custom_flags(flags).open(path).ok()?;
        let (ours, there) = (file.metadata().ok()?, direct.metadata().ok()?);
        let is_same = (ours.dev(), ours.ino()) == (there.dev(), there.ino());
        is_same.then(|| Direct { file: direct, pages: Pages::default() })
    }

    /// Everything goes through memory, as it does on Linux where the file system has no other way.
    #[cfg(not(target_os = "linux"))]
    fn open(_: &File, _: &Path) -> Option<Self> {
        None
    }
}

/// Memory that begins where a page does.
#[derive(Debug, Default)]
struct Pages(Vec<u8>);

impl Pages {
    /// The first `len` bytes of these parts, [`MOST`] of them at most.
    fn fill(&mut self, parts: &[IoSlice<'_>], len: usize) -> &[u8] {
        if self.0.is_empty() {
            self.0 = vec![0; MOST + PAGE];
        }
        let begin = self.0.as_ptr().align_offset(PAGE).min(PAGE);
        let room = &mut self.0[begin..][..len.min(MOST)];
        let mut left = &mut *room;
        for part in parts {
            let here = part.len().min(left.len());
            let (now, rest) = left.split_at_mut(here);
            now.copy_from_slice(&part[..here]);
            left = rest;
        }
        let missing = left.len();
        let filled = room.len() - missing;
        &room[..filled]
    }
}

/// How long pieces are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Past the system's memory.
    Direct,
    /// Into it.
    Memory,
}

/// Which way long pieces go. It is told how long writes took and has no clock of its own.
#[derive(Debug)]
struct Ways {
    way: Way,
    /// What went this way since it was thought over.
    bytes: usize,
    took: Duration,
    /// How long a byte took directly, nanoseconds, while memory is tried.
    direct: Option<f64>,
}

/// Bytes after which it is known how long a way takes.
const TRIAL: usize = 4 << 20;

/// So much time they may take directly: half a gigabyte a second is what comes through TLS. What takes longer is not waited for to the end.
const ENOUGH: Duration = Duration::from_millis(8);

/// Bytes that go through memory when that takes less time.
const STINT: usize = 256 << 20;

impl Default for Ways {
    fn default() -> Self {
        Ways { way: Way::Direct, bytes: 0, took: Duration::ZERO, direct: None }
    }
}

impl Ways {
    fn now(&self) -> Way {
        self.way
    }

    /// So many bytes took so long.
    fn took(&mut self, bytes: usize, took: Duration) {
        self.bytes += bytes;
        self.took += took;
        let each = self.took.as_secs_f64() * 1e9 / self.bytes.max(1) as f64;
        let (way, direct) = match (self.way, self.direct) {
            (Way::Direct, _) if self.took > ENOUGH => (Way::Memory, Some(each)),
            (Way::Direct, _) if self.bytes >= TRIAL => (Way::Direct, None),
            (Way::Memory, Some(direct)) if self.bytes >= TRIAL && each < direct => (Way::Memory, None),
            (Way::Memory, Some(_)) if self.bytes >= TRIAL => (Way::Direct, None),
            (Way::Memory, None) if self.bytes >= STINT => (Way::Direct, None),
            _ => return,
        };
        *self = Ways { way, direct, ..Ways::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(ways: &mut Ways, bytes: usize, a_mebibyte: Duration) {
        for _ in 0..bytes / MOST {
            ways.took(MOST, a_mebibyte / 2);
        }
    }

    const QUICK: Duration = Duration::from_millis(2);
    const SLOW: Duration = Duration::from_millis(20);

    #[test]
    fn a_disk_that_keeps_up_has_everything() {
        let mut ways = Ways::default();
        for _ in 0..1000 {
            assert_eq!(ways.now(), Way::Direct);
            take(&mut ways, MOST, QUICK);
        }
    }

    #[test]
    fn memory_has_what_a_slow_disk_would_hold_up_and_is_asked_again_after_a_while() {
        let mut ways = Ways::default();
        for _ in 0..3 {
            // As soon as it is known to be slow.
            take(&mut ways, MOST, SLOW);
            assert_eq!(ways.now(), Way::Memory);
            // What is written at a time there is more or less.
            ways.took(TRIAL - MOST, QUICK);
            ways.took(2 * TRIAL, 10 * QUICK);
            take(&mut ways, STINT - MOST, QUICK);
            assert_eq!(ways.now(), Way::Memory);
            take(&mut ways, MOST, QUICK);
            assert_eq!(ways.now(), Way::Direct);
        }
    }

    #[test]
    fn a_slow_disk_has_what_memory_would_take_longer_for() {
        let mut ways = Ways::default();
        for _ in 0..3 {
            take(&mut ways, MOST, SLOW);
            assert_eq!(ways.now(), Way::Memory);
            take(&mut ways, TRIAL, SLOW + QUICK);
            assert_eq!(ways.now(), Way::Direct);
        }
    }

    #[test]
    fn what_is_written_either_way_is_in_the_file_in_its_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let file = File::options().create(true).append(true).open(&path).unwrap();
        let mut all = b"begins here".to_vec();
        (&file).write_all(&all).unwrap();
        let mut appender = Appender::new(file, &path).unwrap();
        let mut next = 0_u8;
        for len in [1, LONG - 1, LONG, MOST, 3, PAGE, 3 * MOST + 7, 2 * PAGE, MOST + LONG] {
            let bytes: Vec<u8> =
                std::iter::repeat_with(|| (next = next.wrapping_mul(5).wrapping_add(1), next).1).take(len).collect();
            let (first, second) = bytes.split_at(len / 3);
            let mut slices = [first, second].map(IoSlice::new);
            let mut left = &mut slices[..];
            while !left.is_empty() {
                let written = appender.write_vectored(left).unwrap();
                IoSlice::advance_slices(&mut left, written);
            }
            all.extend_from_slice(&bytes);
            assert!(std::fs::read(&path).unwrap() == all, "{len}");
        }
        assert_eq!(appender.len, all.len() as u64);
    }
}
