//! Appends frames to the journal on one writer thread.
//!
//! The thread takes all queued frames as one batch, appends the batch to the file, and then completes the
//! acknowledgements of the batch (group commit). Under load one append serves many exchanges.
//!
//! Payload frames have no acknowledgement. Their senders wait for room in the queue ([`Journal::poll_room`]).

use std::io::{self, BufWriter, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::frame::{Frame, FrameMark};
use harproxy_support::sync::lock;

/// Queued bytes from which the senders of payloads wait.
const ROOM: usize = 4 << 20;

/// The size of the write buffer in bytes, and the queued bytes from which lazy frames are written too.
const BUFFER: usize = 64 << 10;

/// Lazy frames are written after this time at the latest.
const MAX_DELAY: Duration = Duration::from_secs(1);

/// How soon a frame has to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// With the next prompt frame, or after [`MAX_DELAY`], since more frames of the exchange follow.
    Lazy,
    /// As soon as the writer thread is free.
    Prompt,
}

/// An open journal that accepts frames.
#[derive(Debug)]
pub struct Journal {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
    opened: Instant,
}

/// The frames that a journal must have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WrittenFrames {
    /// Their number, without the settings of the recording.
    pub frames: u64,
    /// The greatest number of an exchange.
    pub last_exchange: u64,
}

impl WrittenFrames {
    fn add(&mut self, frame: &Frame) {
        self.frames += 1;
        self.last_exchange = self.last_exchange.max(frame.exchange);
    }
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// Wakes the writer thread.
    work: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    batch: Batch,
    /// Bytes that are queued or being written.
    backlog: usize,
    /// The batch holds a prompt frame, or is long enough to be written.
    due: bool,
    closed: bool,
    failure: Option<Arc<io::Error>>,
    written: WrittenFrames,
    /// The senders of payloads that wait for room.
    waiting: Vec<Waker>,
}

#[derive(Debug, Default)]
struct Batch {
    frames: Vec<Frame>,
    acks: Vec<oneshot::Sender<()>>,
}

/// Completes when the journal has a frame and all frames before it. After a write error it completes too, since the
/// error must not fail the traffic; [`Journal::failure`] keeps the error.
#[derive(Debug)]
pub struct Ack(oneshot::Receiver<()>);

impl Future for Ack {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx).map(drop)
    }
}

impl Journal {
    /// Starts the writer thread, which appends frames with this mark to `file`.
    pub fn start(file: impl Write + Send + 'static, mark: FrameMark) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let thread = std::thread::Builder::new().name("journal".into()).spawn({
            let shared = shared.clone();
            move || shared.run(file, mark)
        })?;
        Ok(Journal { shared, thread: Mutex::new(Some(thread)), opened: Instant::now() })
    }

    /// The time of [`Journal::start`], from which exchanges count the microseconds that order them.
    #[must_use]
    pub fn opened(&self) -> Instant {
        self.opened
    }

    /// Queues a frame. A journal that is closed or has failed drops it.
    pub fn push(&self, frame: Frame, flush: Flush) {
        self.shared.push(frame, None, flush);
    }

    /// Queues a frame to be written promptly.
    pub fn commit(&self, frame: Frame) -> Ack {
        let (done, written) = oneshot::channel();
        self.shared.push(frame, Some(done), Flush::Prompt);
        Ack(written)
    }

    /// Ready when the queue has room for payloads. This is the back-pressure from the disk to the network.
    pub fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut queue = self.shared.lock();
        if queue.backlog < ROOM || queue.closed {
            return Poll::Ready(());
        }
        if !queue.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            queue.waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// The error that stopped the writer thread, if one did.
    #[must_use]
    pub fn failure(&self) -> Option<Arc<io::Error>> {
        self.shared.lock().failure.clone()
    }

    /// The frames that were written. Complete when the journal is closed.
    #[must_use]
    pub fn written(&self) -> WrittenFrames {
        self.shared.lock().written
    }

    /// Writes the queued frames and stops the thread. Later frames are dropped. Blocks.
    pub fn close(&self) {
        self.shared.lock().closed = true;
        self.shared.work.notify_one();
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread {
            // A panic in the thread is kept as a failure.
            let _ = thread.join();
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        lock(&self.queue)
    }

    /// Dropping the frame also drops `ack`, and so completes its acknowledgement.
    fn push(&self, frame: Frame, ack: Option<oneshot::Sender<()>>, flush: Flush) {
        let mut queue = self.lock();
        if queue.closed {
            return;
        }
        queue.backlog += frame.size();
        queue.batch.frames.push(frame);
        queue.batch.acks.extend(ack);
        let was_due = queue.due;
        queue.due |= flush == Flush::Prompt || queue.backlog > BUFFER;
        if queue.due && !was_due {
            self.work.notify_one();
        }
    }

    /// The writer thread: writes batch after batch until the journal is closed or a write fails.
    fn run(&self, file: impl Write, mark: FrameMark) {
        let mut out = BufWriter::with_capacity(BUFFER, file);
        while let Some(Batch { frames, acks }) = self.next_batch() {
            let size: usize = frames.iter().map(Frame::size).sum();
            let mut written = WrittenFrames::default();
            frames.iter().for_each(|frame| written.add(frame));
            let done = catch_unwind(AssertUnwindSafe(|| write_frames(frames, mark, &mut out)));
            if let Err(error) =
                done.unwrap_or_else(|_| Err(io::Error::other("the writer thread of the journal panicked")))
            {
                // The failure is set before the acknowledgements of this batch are dropped, and so completed.
                return self.fail(error);
            }
            for ack in acks {
                // The client may be gone.
                let _ = ack.send(());
            }
            self.release(size, written);
        }
    }

    /// Waits for a batch that is due. `None` when the journal is closed and everything is written.
    fn next_batch(&self) -> Option<Batch> {
        let mut queue = self.lock();
        loop {
            if queue.due || queue.closed {
                queue.due = false;
                let batch = std::mem::take(&mut queue.batch);
                return (!batch.frames.is_empty()).then_some(batch);
            }
            let (woken, slept) = self.work.wait_timeout(queue, MAX_DELAY).unwrap_or_else(PoisonError::into_inner);
            queue = woken;
            queue.due |= slept.timed_out() && !queue.batch.frames.is_empty();
        }
    }

    /// Counts `size` bytes as written, and wakes the senders of payloads if there is room.
    fn release(&self, size: usize, written: WrittenFrames) {
        let mut queue = self.lock();
        queue.backlog -= size;
        queue.written.frames += written.frames;
        queue.written.last_exchange = queue.written.last_exchange.max(written.last_exchange);
        if queue.backlog < ROOM {
            let waiting = std::mem::take(&mut queue.waiting);
            drop(queue);
            waiting.into_iter().for_each(Waker::wake);
        }
    }

    /// Stops writing. Traffic goes on: dropping the queue completes all acknowledgements.
    fn fail(&self, error: io::Error) {
        tracing::error!(%error, "writing the journal failed");
        let failed = Queue { failure: Some(Arc::new(error)), closed: true, ..Queue::default() };
        let before = std::mem::replace(&mut *self.lock(), failed);
        before.waiting.into_iter().for_each(Waker::wake);
    }
}

fn write_frames(frames: Vec<Frame>, mark: FrameMark, out: &mut impl Write) -> io::Result<()> {
    for frame in frames {
        frame.write(mark, out)?;
    }
    out.flush()
}

#[cfg(test)]
mod tests;
