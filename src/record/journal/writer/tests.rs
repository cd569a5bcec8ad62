use std::sync::mpsc;

use bytes::Bytes;

use super::super::frame::{FrameKind, FrameMark};
use super::*;

const MARK: FrameMark = FrameMark(*b"thismark");

fn frame(exchange: u64, payload: &[u8]) -> Frame {
    Frame { kind: FrameKind::ResponseData, exchange, payload: Bytes::copy_from_slice(payload) }
}

/// Takes `room` bytes and then fails. With a gate, each write waits for a message or for the end of its sender.
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
fn ack_completes_after_its_frame_is_written() {
    let (disk, written) = disk(usize::MAX);
    let journal = Journal::start(disk, MARK).unwrap();
    journal.push(frame(1, b"first"), Flush::Lazy);
    let mut expected = Vec::new();
    frame(1, b"first").write(MARK, &mut expected).unwrap();
    for n in 2..50 {
        wait(journal.commit(frame(n, b"more")));
        frame(n, b"more").write(MARK, &mut expected).unwrap();
        assert_eq!(*written.lock().unwrap(), expected, "{n}");
    }
    assert!(journal.failure().is_none());
}

/// Takes few bytes at a time, and is interrupted before each.
#[derive(Default)]
struct Slow {
    written: Arc<Mutex<Vec<u8>>>,
    is_interrupted: bool,
}

impl Write for Slow {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.is_interrupted = !self.is_interrupted;
        if self.is_interrupted {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let taken = &buf[..buf.len().min(3001)];
        self.written.lock().unwrap().extend_from_slice(taken);
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn short_and_long_payloads_are_written_in_order() {
    let slow = Slow::default();
    let (written, mut expected) = (slow.written.clone(), Vec::new());
    let journal = Journal::start(slow, MARK).unwrap();
    let len = |n: u64| if n.is_multiple_of(3) { BUFFER as u64 + n } else { n * 7 };
    for n in 0..400 {
        let frame = frame(n, &vec![n as u8; len(n) as usize]);
        frame.write(MARK, &mut expected).unwrap();
        journal.push(frame, Flush::Lazy);
    }
    journal.close();
    assert!(*written.lock().unwrap() == expected);
    assert!(journal.failure().is_none());
}

#[test]
fn frames_that_are_queued_during_a_write_are_one_batch() {
    /// Counts the writes.
    struct Counted(Disk, Arc<Mutex<usize>>);

    impl Write for Counted {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            *self.1.lock().unwrap() += 1;
            self.0.write(buf)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let (open, gate) = mpsc::channel();
    let (disk, written) = disk(usize::MAX);
    let writes = Arc::new(Mutex::new(0));
    let journal = Journal::start(Counted(Disk { gate: Some(gate), ..disk }, writes.clone()), MARK).unwrap();
    let first = journal.commit(frame(1, b"first"));
    while *writes.lock().unwrap() == 0 {
        std::thread::yield_now();
    }
    let acks: Vec<Ack> = (2..100).map(|n| journal.commit(frame(n, b"more"))).collect();
    drop(open); // The gate stays open from now on.
    wait(first);
    acks.into_iter().for_each(wait);
    assert_eq!(*writes.lock().unwrap(), 2);
    assert_eq!(written.lock().unwrap().len(), frame(1, b"first").size() + 98 * frame(2, b"more").size());
}

#[test]
fn close_writes_lazy_frames() {
    let (disk, written) = disk(usize::MAX);
    let journal = Journal::start(disk, MARK).unwrap();
    journal.push(frame(1, b"lazy"), Flush::Lazy);
    journal.close();
    assert_eq!(written.lock().unwrap().len(), frame(1, b"lazy").size());
    wait(journal.commit(frame(2, b"too late")));
    assert_eq!(written.lock().unwrap().len(), frame(1, b"lazy").size());
}

#[test]
fn lazy_frames_are_written_when_nothing_follows() {
    let (disk, written) = disk(usize::MAX);
    let journal = Journal::start(disk, MARK).unwrap();
    journal.push(frame(1, b"slow"), Flush::Lazy);
    while written.lock().unwrap().is_empty() {
        std::thread::yield_now();
    }
    assert!(journal.failure().is_none());
}

#[test]
fn full_disk_completes_all_acks_and_is_remembered() {
    let (disk, written) = disk(100);
    let journal = Journal::start(disk, MARK).unwrap();
    wait(journal.commit(frame(1, b"fits")));
    wait(journal.commit(frame(2, &[7; 200])));
    assert_eq!(journal.failure().unwrap().kind(), io::ErrorKind::StorageFull);
    wait(journal.commit(frame(3, b"dropped")));
    wait(std::future::poll_fn(|cx| journal.poll_room(cx)));
    journal.close();
    assert_eq!(written.lock().unwrap().len(), frame(1, b"fits").size());
}

#[test]
fn payloads_wait_while_the_disk_is_slow() {
    let (open, gate) = mpsc::channel();
    let (mut disk, _) = disk(usize::MAX);
    disk.gate = Some(gate);
    let journal = Journal::start(disk, MARK).unwrap();
    journal.push(frame(1, &vec![0; ROOM]), Flush::Prompt);
    let waker = Waker::noop();
    assert!(journal.poll_room(&mut Context::from_waker(waker)).is_pending());
    let room = async { std::future::poll_fn(|cx| journal.poll_room(cx)).await };
    drop(open); // The gate stays open from now on.
    wait(room);
    assert!(journal.poll_room(&mut Context::from_waker(waker)).is_ready());
}
