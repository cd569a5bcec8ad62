//! Writing the journal: frames are queued from anywhere, one at a time writes them, and what must not be lost waits for it.
//!
//! Whoever writes takes all that is queued at once, and then lets everybody go who waited (group commit): under load one
//! `write(2)` serves many exchanges. Who commits a little while nobody writes does so himself: a few kilobytes are in the page
//! cache before another thread would have woken up. For all else, and as soon as a write was slow, there is a thread.
//!
//! Pieces of bodies don't wait; what they wait for is room in the queue.

use std::io::{self, IoSlice, Write};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::frame::Frame;
use super::turns::Turns;

/// Bytes that may wait to be written before bodies have to wait.
const ROOM: usize = 4 << 20;

/// Bytes gathered for one `write(2)`. Who commits writes no more than this.
const BUFFER: usize = 64 << 10;

/// Payloads that are longer, bytes, are written from where they are.
const SHORT: usize = 4 << 10;

/// So many of them at once.
const MANY: usize = 64;

/// What may wait for more is written after so long at the latest.
const LATEST: Duration = Duration::from_secs(1);

/// How often who commits writes what others queued meanwhile.
const ROUNDS: usize = 8;

/// How soon a frame has to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Haste {
    /// With whatever comes next, or when nothing does: more follows soon.
    Later,
    /// Now.
    Now,
    /// Now, and by who queues it: he may wait for the disk.
    Here,
}

/// A journal being written.
#[derive(Debug)]
pub struct Journal {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
    opened: Instant,
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    work: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    batch: Batch,
    /// Not there while somebody writes: frames are in the journal in the order in which they were queued.
    out: Option<Out>,
    /// Bytes queued or being written.
    backlog: usize,
    /// Something in the batch is to be written now.
    due: bool,
    /// Who writes a little.
    turns: Turns,
    closed: bool,
    failure: Option<Arc<io::Error>>,
    /// Bodies that wait for room.
    crowd: Vec<Waker>,
}

#[derive(Debug, Default)]
struct Batch {
    frames: Vec<Frame>,
    acks: Vec<oneshot::Sender<()>>,
}

/// Where the journal goes, and what is on its way there.
struct Out {
    file: Box<dyn Write + Send>,
    gathered: Vec<u8>,
    batch: Batch,
}

impl Out {
    /// Writes the frames of the batch with few calls: what is short is gathered, what is long written from where it is.
    fn write(&mut self) -> io::Result<()> {
        let Out { file, gathered, batch } = self;
        // The payloads that are written from where they are, and how many of the gathered bytes stand before each.
        let mut long: Vec<(usize, &Bytes)> = Vec::new();
        gathered.clear();
        for frame in &batch.frames {
            let (header, trailer) = frame.around()?;
            gathered.extend_from_slice(&header);
            if frame.payload.len() > SHORT {
                long.push((gathered.len(), &frame.payload));
            } else {
                gathered.extend_from_slice(&frame.payload);
            }
            gathered.extend_from_slice(&trailer);
            if gathered.len() >= BUFFER - SHORT || long.len() >= MANY {
                put(&mut **file, gathered, &long)?;
                gathered.clear();
                long.clear();
            }
        }
        put(&mut **file, gathered, &long)?;
        batch.frames.clear();
        file.flush()
    }
}

/// Writes bytes with payloads between them.
fn put(file: &mut dyn Write, bytes: &[u8], between: &[(usize, &Bytes)]) -> io::Result<()> {
    if between.is_empty() {
        return file.write_all(bytes);
    }
    let mut slices = Vec::with_capacity(2 * between.len() + 1);
    let mut from = 0;
    for (at, payload) in between {
        slices.extend([&bytes[from..*at], payload].map(IoSlice::new));
        from = *at;
    }
    slices.push(IoSlice::new(&bytes[from..]));
    let mut left = &mut slices[..];
    while !left.is_empty() {
        match file.write_vectored(left) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut left, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl std::fmt::Debug for Out {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.batch.fmt(f)
    }
}

/// Done when the frame is written (or never will be: the failure is kept in the journal, and traffic goes on); without anybody to tell so, it is
/// already.
#[derive(Debug)]
pub struct Ack(Option<oneshot::Receiver<()>>);

impl Future for Ack {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().map_or(Poll::Ready(()), |told| Pin::new(told).poll(cx).map(|_| ()))
    }
}

impl Journal {
    /// Writes to `out`.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(out: impl Write + Send + 'static) -> io::Result<Self> {
        Journal::start_with(out, Turns::default())
    }

    fn start_with(out: impl Write + Send + 'static, turns: Turns) -> io::Result<Self> {
        let out = Some(Out { file: Box::new(out), gathered: Vec::new(), batch: Batch::default() });
        let shared =
            Arc::new(Shared { queue: Mutex::new(Queue { out, turns, ..Queue::default() }), work: Condvar::default() });
        let thread = std::thread::Builder::new().name("journal".into()).spawn({
            let shared = shared.clone();
            move || shared.write_all()
        })?;
        Ok(Journal { shared, thread: Mutex::new(Some(thread)), opened: Instant::now() })
    }

    /// When it was: what happens later is told apart by how long after.
    #[must_use]
    pub fn opened(&self) -> Instant {
        self.opened
    }

    /// Queues a frame.
    pub fn push(&self, frame: Frame, haste: Haste) {
        self.push_all([frame], haste);
    }

    /// Queues frames that come one behind the other.
    pub fn push_all(&self, frames: impl IntoIterator<Item = Frame>, haste: Haste) {
        self.shared.push(frames, Tell::Nobody, haste);
    }

    /// Queues a frame and tells when it and all before it are written.
    pub fn commit(&self, frame: Frame) -> Ack {
        Ack(self.shared.push([frame], Tell::WhoWaits, Haste::Now))
    }

    /// Ready when bodies may go on: back-pressure from the disk to the network.
    pub fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut queue = self.shared.lock();
        if queue.backlog < ROOM || queue.closed {
            return Poll::Ready(());
        }
        if !queue.crowd.iter().any(|waker| waker.will_wake(cx.waker())) {
            queue.crowd.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Why writing stopped, if it did.
    #[must_use]
    pub fn failure(&self) -> Option<Arc<io::Error>> {
        self.shared.lock().failure.clone()
    }

    /// Writes what is queued and stops; later frames are dropped. Blocks.
    pub fn close(&self) {
        let thread = {
            let mut queue = self.shared.lock();
            queue.closed = true;
            self.shared.work.notify_one();
            self.thread.lock().unwrap_or_else(PoisonError::into_inner).take()
        };
        if let Some(thread) = thread {
            // A panic is a failure like any other: it is kept.
            let _ = thread.join();
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.close();
    }
}

/// Who is told that frames are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tell {
    Nobody,
    WhoWaits,
}

/// However writing ends, nobody waits for it any more.
struct Writing<'a> {
    shared: &'a Shared,
    ended: bool,
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.shared.fail(io::Error::other("who wrote the journal panicked"));
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what is told when the frames are written; nothing where they are by now, or never will be.
    fn push(&self, frames: impl IntoIterator<Item = Frame>, tell: Tell, haste: Haste) -> Option<oneshot::Receiver<()>> {
        let mut queue = self.lock();
        if queue.closed || queue.failure.is_some() {
            return None;
        }
        for frame in frames {
            queue.backlog += frame.size();
            queue.batch.frames.push(frame);
        }
        let is_little = queue.backlog <= BUFFER;
        queue.due |= haste != Haste::Later || !is_little;
        // Who writes will see that there is more.
        let is_free = queue.due && queue.out.is_some();
        let is_ours = is_free && (haste == Haste::Here || is_little && queue.turns.are_the_committers());
        let told = (tell == Tell::WhoWaits && !is_ours).then(|| {
            let (done, told) = oneshot::channel();
            queue.batch.acks.push(done);
            told
        });
        if is_ours {
            queue = if haste == Haste::Here { self.write(queue) } else { self.write_some(queue) };
        }
        if is_free && (queue.due || queue.closed) {
            self.work.notify_one();
        }
        told
    }

    /// Writes what is queued, in the place of the thread.
    fn write_some<'q>(&'q self, mut queue: MutexGuard<'q, Queue>) -> MutexGuard<'q, Queue> {
        for _ in 0..ROUNDS {
            // Much is the thread's to write.
            if !queue.due || queue.backlog > BUFFER || !queue.turns.are_the_committers() {
                break;
            }
            let begun = Instant::now();
            queue = self.write(queue);
            queue.turns.committer_wrote(begun.elapsed());
        }
        queue
    }

    /// What the thread does.
    fn write_all(&self) {
        let mut queue = self.lock();
        loop {
            let is_due = queue.due || (queue.closed && !queue.batch.frames.is_empty());
            queue = match queue.out {
                _ if queue.failure.is_some() => return,
                Some(_) if is_due => {
                    queue.turns.thread_writes();
                    self.write(queue)
                }
                Some(_) if queue.closed => return,
                _ => {
                    let (mut woken, slept) =
                        self.work.wait_timeout(queue, LATEST).unwrap_or_else(PoisonError::into_inner);
                    // What comes slowly is not to be lost because nothing else comes.
                    woken.due |= slept.timed_out() && !woken.batch.frames.is_empty();
                    woken
                }
            };
        }
    }

    /// Writes all that is queued, if nobody else does so.
    fn write<'q>(&'q self, mut queue: MutexGuard<'q, Queue>) -> MutexGuard<'q, Queue> {
        let Some(mut out) = queue.out.take() else { return queue };
        queue.due = false;
        std::mem::swap(&mut queue.batch, &mut out.batch);
        drop(queue);
        let mut writing = Writing { shared: self, ended: false };
        let size: usize = out.batch.frames.iter().map(Frame::size).sum();
        let written = out.write();
        writing.ended = true;
        if let Err(error) = written {
            self.fail(error);
            return self.lock();
        }
        for ack in out.batch.acks.drain(..) {
            // Nobody may be waiting any more.
            let _ = ack.send(());
        }
        let mut queue = self.lock();
        queue.backlog -= size;
        queue.out = Some(out);
        if queue.backlog < ROOM && !queue.crowd.is_empty() {
            let crowd = std::mem::take(&mut queue.crowd);
            drop(queue);
            crowd.into_iter().for_each(Waker::wake);
            queue = self.lock();
        }
        queue
    }

    /// Nothing is written from now on. Traffic goes on: everybody who waits is let go.
    fn fail(&self, error: io::Error) {
        tracing::error!(%error, "writing the journal failed");
        let before = {
            let mut queue = self.lock();
            let failed = Queue { failure: Some(Arc::new(error)), closed: true, ..Queue::default() };
            std::mem::replace(&mut *queue, failed)
        };
        before.crowd.into_iter().for_each(Waker::wake);
        self.work.notify_one();
    }
}

#[cfg(test)]
mod tests;
