//! Writing the journal: frames are queued from anywhere, one thread writes them, and what must not be lost waits for it.
//!
//! The thread takes all that is queued at once, writes it, and then lets everybody go who waited (group commit): under load
//! one `write(2)` serves many exchanges. Pieces of bodies don't wait; what they wait for is room in the queue.

use std::io::{self, BufWriter, Write};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use super::frame::Frame;

/// Bytes that may wait to be written before bodies have to wait.
const ROOM: usize = 4 << 20;

/// Bytes gathered for one `write(2)`; longer payloads are written from where they are.
const BUFFER: usize = 64 << 10;

/// How soon a frame has to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Haste {
    /// With whatever comes next: more follows soon.
    Later,
    /// Now.
    Now,
}

/// A journal being written.
#[derive(Debug)]
pub struct Journal {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    work: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    batch: Batch,
    /// Bytes queued or being written.
    backlog: usize,
    /// Something in the batch is to be written now.
    due: bool,
    /// The thread sleeps.
    idle: bool,
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

/// Done when the frame is written (or never will be: the failure is kept in the journal, and traffic goes on).
#[derive(Debug)]
pub struct Ack(oneshot::Receiver<()>);

impl Future for Ack {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx).map(|_| ())
    }
}

impl Journal {
    /// Writes to `out`, from a thread of its own.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(out: impl Write + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let thread = std::thread::Builder::new().name("journal".into()).spawn({
            let shared = shared.clone();
            move || {
                let _end = ThreadEnd(&shared);
                shared.write_all_to(out);
            }
        })?;
        Ok(Journal { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Queues a frame.
    pub fn push(&self, frame: Frame, haste: Haste) {
        self.shared.push(frame, None, haste);
    }

    /// Queues a frame and tells when it and all before it are written.
    pub fn commit(&self, frame: Frame) -> Ack {
        let (done, ack) = oneshot::channel();
        self.shared.push(frame, Some(done), Haste::Now);
        Ack(ack)
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

/// However the thread ends, nobody waits for it any more.
struct ThreadEnd<'a>(&'a Shared);

impl Drop for ThreadEnd<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail(io::Error::other("the journal's thread panicked"));
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, frame: Frame, ack: Option<oneshot::Sender<()>>, haste: Haste) {
        let mut queue = self.lock();
        if queue.closed || queue.failure.is_some() {
            return; // The ack is dropped, which lets its owner go.
        }
        queue.backlog += frame.size();
        queue.batch.frames.push(frame);
        queue.batch.acks.extend(ack);
        queue.due |= haste == Haste::Now || queue.backlog > BUFFER;
        if queue.due && queue.idle {
            queue.idle = false;
            self.work.notify_one();
        }
    }

    fn write_all_to(&self, out: impl Write) {
        let mut out = BufWriter::with_capacity(BUFFER, out);
        let mut batch = Batch::default();
        while self.take(&mut batch) {
            let size: usize = batch.frames.iter().map(Frame::size).sum();
            let written = batch.frames.drain(..).try_for_each(|frame| frame.write(&mut out)).and_then(|()| out.flush());
            if let Err(error) = written {
                self.fail(error);
                // What the buffer still holds must not be tried again when it is dropped.
                drop(out.into_parts());
                return;
            }
            let mut queue = self.lock();
            queue.backlog -= size;
            let crowd = if queue.backlog < ROOM { std::mem::take(&mut queue.crowd) } else { Vec::new() };
            drop(queue);
            crowd.into_iter().for_each(Waker::wake);
            for ack in batch.acks.drain(..) {
                // Nobody may be waiting any more.
                let _ = ack.send(());
            }
        }
    }

    /// Waits for work and takes all of it; `false` when there will be none.
    fn take(&self, batch: &mut Batch) -> bool {
        let mut queue = self.lock();
        loop {
            if queue.due || (queue.closed && !queue.batch.frames.is_empty()) {
                queue.due = false;
                std::mem::swap(&mut queue.batch, batch);
                return true;
            }
            if queue.closed {
                return false;
            }
            queue.idle = true;
            queue = self.work.wait(queue).unwrap_or_else(PoisonError::into_inner);
            queue.idle = false;
        }
    }

    /// Nothing is written from now on. Traffic goes on: everybody who waits is let go.
    fn fail(&self, error: io::Error) {
        tracing::error!(%error, "writing the journal failed");
        let crowd = {
            let mut queue = self.lock();
            let crowd = std::mem::take(&mut queue.crowd);
            *queue = Queue { failure: Some(Arc::new(error)), closed: true, ..Queue::default() };
            crowd
        };
        crowd.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use bytes::Bytes;

    use super::super::frame::Kind;
    use super::*;

    fn frame(exchange: u64, payload: &[u8]) -> Frame {
        Frame { kind: Kind::ResponseData, exchange, payload: Bytes::copy_from_slice(payload) }
    }

    /// Takes `room` bytes and then fails; tells when it was written to.
    struct Disk {
        room: usize,
        written: Arc<Mutex<Vec<u8>>>,
        gate: Option<mpsc::Receiver<()>>,
    }

    impl Write for Disk {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            if let Some(gate) = &self.gate {
                gate.recv().ok();
            }
            if buf.len() > self.room {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.room -= buf.len();
            self.written.lock().unwrap().extend_from_slice(buf);
            Ok(buf.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn disk(room: usize) -> (Disk, Arc<Mutex<Vec<u8>>>) {
        let written = Arc::new(Mutex::new(Vec::new()));
        (Disk { room, written: written.clone(), gate: None }, written)
    }

    fn wait<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn an_ack_comes_after_its_frame_is_written() {
        let (disk, written) = disk(usize::MAX);
        let journal = Journal::start(disk).unwrap();
        journal.push(frame(1, b"first"), Haste::Later);
        let mut expected = Vec::new();
        frame(1, b"first").write(&mut expected).unwrap();
        for n in 2..50 {
            let ack = journal.commit(frame(n, b"more"));
            wait(ack);
            frame(n, b"more").write(&mut expected).unwrap();
            assert_eq!(*written.lock().unwrap(), expected, "{n}");
        }
        assert!(journal.failure().is_none());
    }

    #[test]
    fn closing_writes_what_could_wait() {
        let (disk, written) = disk(usize::MAX);
        let journal = Journal::start(disk).unwrap();
        journal.push(frame(1, b"lazy"), Haste::Later);
        journal.close();
        assert_eq!(written.lock().unwrap().len(), frame(1, b"lazy").size());
        wait(journal.commit(frame(2, b"too late")));
        assert_eq!(written.lock().unwrap().len(), frame(1, b"lazy").size());
    }

    #[test]
    fn a_full_disk_lets_everybody_go_and_is_remembered() {
        let (disk, written) = disk(100);
        let journal = Journal::start(disk).unwrap();
        wait(journal.commit(frame(1, b"fits")));
        wait(journal.commit(frame(2, &[7; 200])));
        assert_eq!(journal.failure().unwrap().kind(), io::ErrorKind::StorageFull);
        wait(journal.commit(frame(3, b"dropped")));
        wait(std::future::poll_fn(|cx| journal.poll_room(cx)));
        journal.close();
        assert_eq!(written.lock().unwrap().len(), frame(1, b"fits").size());
    }

    #[test]
    fn bodies_wait_for_a_slow_disk() {
        let (open, gate) = mpsc::channel();
        let (mut disk, _) = disk(usize::MAX);
        disk.gate = Some(gate);
        let journal = Journal::start(disk).unwrap();
        journal.push(frame(1, &vec![0; ROOM]), Haste::Now);
        let waker = Waker::noop();
        assert!(journal.poll_room(&mut Context::from_waker(waker)).is_pending());
        let room = async { std::future::poll_fn(|cx| journal.poll_room(cx)).await };
        drop(open); // The gate stays open from now on.
        wait(room);
        assert!(journal.poll_room(&mut Context::from_waker(waker)).is_ready());
    }
}
