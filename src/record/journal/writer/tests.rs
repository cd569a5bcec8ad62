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
    // Who commits writes, or the thread does.
    for slow in [Duration::MAX, Duration::ZERO] {
        let (disk, written) = disk(usize::MAX);
        let journal = Journal::start_with(disk, Turns::with(slow)).unwrap();
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
}

/// Takes few bytes at a time, and is interrupted before each.
#[derive(Default)]
struct Slow {
    written: Arc<Mutex<Vec<u8>>>,
    is_interrupted: bool,
}

impl Write for Slow {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(buf)])
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.is_interrupted = !self.is_interrupted;
        if self.is_interrupted {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let taken: Vec<u8> = bufs.iter().flat_map(|buf| buf.iter().copied()).take(3001).collect();
        self.written.lock().unwrap().extend_from_slice(&taken);
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn short_payloads_and_long_ones_are_written_in_their_order() {
    let slow = Slow::default();
    let (written, mut expected) = (slow.written.clone(), Vec::new());
    let journal = Journal::start(slow).unwrap();
    let long = |n: u64| if n.is_multiple_of(3) { SHORT as u64 + n } else { n * 7 };
    let frames: Vec<Frame> = (0..400).map(|n| frame(n, &vec![n as u8; long(n) as usize])).collect();
    frames.iter().for_each(|frame| frame.write(&mut expected).unwrap());
    journal.push_all(frames, Haste::Here);
    assert!(*written.lock().unwrap() == expected, "who queues it for here comes back when it is written");
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
fn what_could_wait_is_written_though_nothing_follows() {
    let (disk, written) = disk(usize::MAX);
    let journal = Journal::start(disk).unwrap();
    journal.push(frame(1, b"slow"), Haste::Later);
    while written.lock().unwrap().is_empty() {
        std::thread::yield_now();
    }
    assert!(journal.failure().is_none());
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

/// Keeps the names of the threads that write, tells when one begins, and lets it go on when it is told to.
struct Held {
    names: Names,
    begun: mpsc::Sender<()>,
    gate: mpsc::Receiver<()>,
}

impl Write for Held {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.begun.send(()).ok();
        self.gate.recv().ok();
        self.names.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn who_commits_writes_a_little_of_what_others_queued_meanwhile_and_leaves_much_to_the_thread() {
    for (len, by_thread) in [(100, false), (2 * BUFFER, true)] {
        let names = Arc::default();
        let ((begun, begins), (open, gate)) = (mpsc::channel(), mpsc::channel());
        let held = Held { names: Names(Arc::clone(&names)), begun, gate };
        let journal = Journal::start_with(held, Turns::with(Duration::MAX)).unwrap();
        std::thread::scope(|scope| {
            let first = scope.spawn(|| wait(journal.commit(frame(1, b"a little"))));
            begins.recv().unwrap();
            let ack = journal.commit(frame(2, &vec![7; len]));
            drop(open); // The gate stays open from now on.
            wait(ack);
            first.join().unwrap();
        });
        journal.close();
        let last = names.lock().unwrap().last().unwrap().as_deref() == Some("journal");
        assert_eq!(last, by_thread, "{len}");
    }
}

/// Keeps the names of the threads that write.
struct Names(Arc<Mutex<Vec<Option<String>>>>);

impl Write for Names {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().push(std::thread::current().name().map(ToOwned::to_owned));
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Who wrote each of so many frames, each committed when the one before was done with.
fn writers(turns: Turns, frames: u64) -> Vec<bool> {
    let names = Arc::default();
    let journal = Journal::start_with(Names(Arc::clone(&names)), turns).unwrap();
    for n in 0..frames {
        wait(journal.commit(frame(n, b"a little")));
        // The ack comes before whoever wrote is ready for more.
        while journal.shared.lock().out.is_none() {
            std::thread::yield_now();
        }
    }
    journal.close();
    let names = names.lock().unwrap();
    names.iter().map(|name| name.as_deref() == Some("journal")).collect()
}

#[test]
fn who_commits_a_little_writes_it() {
    assert_eq!(writers(Turns::with(Duration::MAX), 50), [false; 50]);
}

#[test]
fn a_slow_write_is_the_last_for_a_thousand_that_makes_who_commits_wait() {
    // To this journal every write is slow.
    let by_thread = writers(Turns::with(Duration::ZERO), 1003);
    let expected: Vec<bool> = (0..1003).map(|n| n != 0 && n != 1001).collect();
    assert_eq!(by_thread, expected);
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
