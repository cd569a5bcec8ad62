//! Small files, written by a thread of its own while what is to be written next is worked out: making a file takes as long as that.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use super::Error;
use super::observe::writing;

/// Longer files are written by who asks, bytes.
const LONGEST: usize = 64 << 10;

/// As many files are given at once, or as many bytes: giving wakes a thread, which takes about as long as making a file.
const BATCH: usize = 64;
const BATCH_BYTES: usize = 256 << 10;

/// Batches that wait; all of them take little memory.
const WAITING: usize = 4;

type Batch = Vec<(PathBuf, Vec<u8>)>;

/// Who writes. Dropped, nobody writes any more; what was not waited for may be missing.
#[derive(Debug, Default)]
pub(super) struct Scribe {
    batch: Batch,
    /// Bytes in the batch.
    bytes: usize,
    at_work: Option<AtWork>,
}

#[derive(Debug)]
struct AtWork {
    give: SyncSender<Batch>,
    thread: JoinHandle<Result<(), Error>>,
}

impl Scribe {
    /// Writes a file, now or soon.
    ///
    /// # Errors
    /// When this one, or one before, can't be written.
    pub(super) fn write(&mut self, path: PathBuf, bytes: Vec<u8>) -> Result<(), Error> {
        if bytes.len() > LONGEST {
            return write(&path, &bytes);
        }
        self.bytes += bytes.len();
        self.batch.push((path, bytes));
        if self.batch.len() < BATCH && self.bytes < BATCH_BYTES { Ok(()) } else { self.give() }
    }

    fn give(&mut self) -> Result<(), Error> {
        let batch = self.take();
        if self.at_work.is_none() {
            self.at_work = AtWork::begin();
        }
        match &self.at_work {
            None => write_all(batch),
            Some(at_work) if at_work.give.send(batch).is_ok() => Ok(()),
            // It takes no more after an error.
            Some(_) => self.rest(),
        }
    }

    fn take(&mut self) -> Batch {
        self.bytes = 0;
        std::mem::take(&mut self.batch)
    }

    /// Waits until all is written. What was not given away yet is written meanwhile.
    ///
    /// # Errors
    /// The first.
    pub(super) fn finish(&mut self) -> Result<(), Error> {
        let here = write_all(self.take());
        self.rest().and(here)
    }

    fn rest(&mut self) -> Result<(), Error> {
        self.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    fn join(&mut self) -> thread::Result<Result<(), Error>> {
        let Some(AtWork { give, thread }) = self.at_work.take() else { return Ok(Ok(())) };
        drop(give);
        thread.join()
    }
}

impl Drop for Scribe {
    fn drop(&mut self) {
        let _ = self.join();
    }
}

impl AtWork {
    /// `None` where there is no thread to be had.
    fn begin() -> Option<Self> {
        let (give, take) = sync_channel::<Batch>(WAITING);
        let work = move || take.into_iter().try_for_each(write_all);
        let thread = thread::Builder::new().name("payloads".to_owned()).spawn(work).ok()?;
        Some(AtWork { give, thread })
    }
}

fn write_all(batch: Batch) -> Result<(), Error> {
    batch.into_iter().try_for_each(|(path, bytes)| write(&path, &bytes))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    fs::write(path, bytes).map_err(|source| writing(path, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_there_when_it_is_finished() {
        let folder = tempfile::tempdir().unwrap();
        let mut scribe = Scribe::default();
        for files in [1, BATCH - 1, BATCH, 300] {
            let path = |n: usize| folder.path().join(format!("{n} of {files}"));
            let bytes = |n: usize| vec![b'x'; n * 997];
            (0..files).for_each(|n| scribe.write(path(n), bytes(n)).unwrap());
            scribe.finish().unwrap();
            assert!((0..files).all(|n| fs::read(path(n)).unwrap() == bytes(n)), "{files}");
        }
    }

    #[test]
    fn nothing_is_written_once_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let mut scribe = Scribe::default();
        (0..300).for_each(|n: usize| scribe.write(folder.path().join(n.to_string()), vec![0; 997]).unwrap());
        drop(scribe);
        folder.close().unwrap();
    }

    #[test]
    fn a_file_that_can_t_be_written_is_told_of_once_and_soon() {
        let folder = tempfile::tempdir().unwrap();
        let mut scribe = Scribe::default();
        scribe.write(folder.path().join("no/such/folder"), vec![1]).unwrap();
        let later = (0..).find_map(|n| scribe.write(folder.path().join(n.to_string()), vec![2]).err()).unwrap();
        assert!(later.to_string().contains("such"), "{later}");
        scribe.finish().unwrap();
        scribe.write(folder.path().join("no/such/folder"), vec![1]).unwrap();
        scribe.finish().unwrap_err();
    }
}
