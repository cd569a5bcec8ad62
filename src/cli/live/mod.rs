//! The live list of requests: text lines or JSON events. A separate thread writes them from a queue, so that a blocked
//! terminal or a slow reader does not block requests.

mod events;
mod line;
mod list;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::ui::{self, LiveFormat};
use crate::pipeline::{RunEvent, Subscriber};
use crate::verdict::request::{RequestRow, ResultKind};
use crate::verdict::{Finding, FindingListener, name_in_reports};
use harproxy_proxy::{ConnectionEvent, Origin};

/// Maximum length of the queue. Further items are only counted.
const QUEUE: usize = 32_768;
/// A response that takes longer is shown at its head and again at its end.
const PATIENCE: Duration = Duration::from_secs(1);
/// A reader that has read no line for this time counts as stopped.
const UNREAD: Duration = Duration::from_secs(3);

enum LiveItem {
    Answered(Box<RequestRow>),
    Ended(Box<RequestRow>),
    TlsRefused(Origin, String),
    Found(Box<Finding>),
    /// Write all items before this one, then signal.
    Flush(Sender<()>),
}

/// Writes the items in one of the formats.
trait LiveOutput: Send {
    /// The head of a response arrived, and its body takes longer.
    fn running(&mut self, seen: &RequestRow);
    fn ended(&mut self, seen: &RequestRow);
    fn tls_refused(&mut self, to: &Origin, reason: &str);
    fn found(&mut self, finding: &Finding);
    /// This number of items was dropped.
    fn lost(&mut self, number: u64);
    /// Returns true if output is held back until [`LiveOutput::flush`].
    fn holds_back(&self) -> bool {
        false
    }
    /// Writes the output that is held back.
    fn flush(&mut self) {}
}

#[derive(Clone, Debug)]
pub struct Live {
    queue: SyncSender<LiveItem>,
    lost: Arc<AtomicU64>,
    written: Arc<AtomicU64>,
}

impl Live {
    /// Starts the thread. Returns `None` if the live list is off.
    pub fn start(format: LiveFormat) -> std::io::Result<Option<Self>> {
        let output: Box<dyn LiveOutput> = match format {
            LiveFormat::Nothing => return Ok(None),
            LiveFormat::List => Box::new(list::List::default()),
            LiveFormat::Events => Box::new(events::Events),
        };
        let (queue, items) = sync_channel(QUEUE);
        let live = Live { queue, lost: Arc::default(), written: Arc::default() };
        let (lost, written) = (live.lost.clone(), live.written.clone());
        let live_thread =
            LiveThread { output, running: HashMap::new(), waiting: VecDeque::new(), held: None, lost, written };
        thread::Builder::new().name("live".to_owned()).spawn(move || live_thread.run(&items))?;
        Ok(Some(live))
    }

    #[must_use]
    pub fn finding_listener(&self) -> FindingListener {
        let live = self.clone();
        Box::new(move |finding| live.put(LiveItem::Found(Box::new(finding.clone()))))
    }

    fn put_row(&self, row: Option<&RequestRow>, item: fn(Box<RequestRow>) -> LiveItem) {
        if let Some(row) = row {
            self.put(item(Box::new(row.without_messages())));
        }
    }

    fn put(&self, item: LiveItem) {
        if self.queue.try_send(item).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Blocks until all items so far are written. If the reader has stopped, output to standard error is suppressed
    /// from then on, so that the run can end.
    pub fn flush(&self) {
        let (done, is_done) = channel();
        let mut flush = LiveItem::Flush(done);
        loop {
            let before = self.written.load(Ordering::Relaxed);
            match self.queue.try_send(flush) {
                Ok(()) => break,
                Err(TrySendError::Full(again)) => flush = again,
                Err(TrySendError::Disconnected(_)) => return,
            }
            thread::sleep(UNREAD);
            if before == self.written.load(Ordering::Relaxed) {
                return ui::stop_writing();
            }
        }
        loop {
            let before = self.written.load(Ordering::Relaxed);
            match is_done.recv_timeout(UNREAD) {
                Err(RecvTimeoutError::Timeout) if before == self.written.load(Ordering::Relaxed) => {
                    return ui::stop_writing();
                }
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }
}

impl Subscriber for Live {
    fn notify(&self, event: &RunEvent<'_>) {
        match event {
            RunEvent::Answered(request) => self.put_row(request.row, LiveItem::Answered),
            RunEvent::Ended(request, _) => self.put_row(request.row, LiveItem::Ended),
            RunEvent::Connection(ConnectionEvent::TlsRefused { to, reason }) => {
                self.put(LiveItem::TlsRefused((*to).clone(), reason.clone()));
            }
            // Findings come from the listener, which gets equal ones once.
            RunEvent::Found(_) | RunEvent::Connection(_) => {}
        }
    }

    fn wants_rows(&self) -> bool {
        true
    }
}

struct LiveThread {
    output: Box<dyn LiveOutput>,
    /// Responses that have started and are not shown yet, by request number.
    running: HashMap<u64, Box<RequestRow>>,
    /// The times to show them, in ascending order.
    waiting: VecDeque<(Instant, u64)>,
    /// The time to flush the held-back output.
    held: Option<Instant>,
    lost: Arc<AtomicU64>,
    written: Arc<AtomicU64>,
}

impl LiveThread {
    fn run(mut self, items: &Receiver<LiveItem>) {
        loop {
            let item = match self.due() {
                None => items.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(due) => items.recv_timeout(due.saturating_duration_since(Instant::now())),
            };
            match item {
                Ok(item) => self.write_item(item),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.output.flush(),
            }
            match self.lost.swap(0, Ordering::Relaxed) {
                0 => {}
                number => self.output.lost(number),
            }
            self.write_due(Instant::now());
            self.written.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn write_item(&mut self, item: LiveItem) {
        match item {
            LiveItem::Answered(seen) if seen.mime_type.as_deref().is_some_and(is_endless) => self.output.running(&seen),
            LiveItem::Answered(seen) => {
                self.waiting.push_back((Instant::now() + PATIENCE, seen.id));
                self.running.insert(seen.id, seen);
            }
            LiveItem::Ended(seen) => {
                self.running.remove(&seen.id);
                self.output.ended(&seen);
            }
            LiveItem::TlsRefused(to, reason) => self.output.tls_refused(&to, &reason),
            LiveItem::Found(finding) => self.output.found(&finding),
            LiveItem::Flush(done) => {
                self.output.flush();
                let _ = done.send(());
            }
        }
    }

    fn write_due(&mut self, now: Instant) {
        while let Some((due, id)) = self.waiting.front().copied() {
            match self.running.contains_key(&id) {
                true if due > now => break,
                true => {
                    if let Some(seen) = self.running.remove(&id) {
                        self.output.running(&seen);
                    }
                }
                false => {}
            }
            self.waiting.pop_front();
        }
        if self.held.is_some_and(|due| due <= now) {
            self.output.flush();
        }
        self.held = match self.held {
            _ if !self.output.holds_back() => None,
            Some(due) if due > now => Some(due),
            _ => Some(now + PATIENCE),
        };
    }

    /// Returns the time of the next output without a new item.
    fn due(&self) -> Option<Instant> {
        self.waiting.front().map(|(due, _)| *due).into_iter().chain(self.held).min()
    }
}

/// Returns true if a response of this media type has no end by itself.
fn is_endless(mime_type: &str) -> bool {
    mime_type.starts_with("text/event-stream")
}

/// Returns the entry that answered, or the result of the request.
fn origin_of(seen: &RequestRow) -> String {
    match (&seen.fixture, seen.entry, seen.outcome) {
        (Some(fixture), Some(entry), ResultKind::Served) => {
            let followed: String = seen.followed.iter().map(|entry| format!("→#{entry}")).collect();
            format!("{fixture}#{entry}{followed}")
        }
        _ => name_in_reports(seen.outcome),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Notes(Arc<Mutex<Vec<String>>>);

    impl Notes {
        fn take(&self, what: String) {
            self.0.lock().unwrap().push(what);
        }
    }

    impl LiveOutput for Notes {
        fn running(&mut self, seen: &RequestRow) {
            self.take(format!("running {}", seen.id));
        }

        fn ended(&mut self, seen: &RequestRow) {
            self.take(format!("ended {}", seen.id));
        }

        fn tls_refused(&mut self, to: &Origin, _: &str) {
            self.take(to.to_string());
        }

        fn found(&mut self, finding: &Finding) {
            self.take(finding.text.clone());
        }

        fn lost(&mut self, number: u64) {
            self.take(format!("lost {number}"));
        }
    }

    fn live_thread() -> (LiveThread, Arc<Mutex<Vec<String>>>) {
        let notes = Notes::default();
        let written = notes.0.clone();
        let output = Box::new(notes);
        let (running, waiting) = (HashMap::new(), VecDeque::new());
        (LiveThread { output, running, waiting, held: None, lost: Arc::default(), written: Arc::default() }, written)
    }

    fn seen(id: u64, mime_type: &str) -> Box<RequestRow> {
        Box::new(RequestRow { id, mime_type: Some(mime_type.into()), ..RequestRow::default() })
    }

    #[test]
    fn slow_and_endless_responses_are_shown_at_their_head() {
        let (mut live_thread, written) = live_thread();
        for id in [1, 2] {
            live_thread.write_item(LiveItem::Answered(seen(id, "application/json")));
        }
        live_thread.write_item(LiveItem::Answered(seen(3, "text/event-stream; charset=utf-8")));
        live_thread.write_item(LiveItem::Ended(seen(1, "application/json")));
        live_thread.write_due(Instant::now());
        assert_eq!(*written.lock().unwrap(), ["running 3", "ended 1"]);
        assert!(live_thread.due().is_some());
        live_thread.write_due(Instant::now() + PATIENCE);
        assert_eq!(written.lock().unwrap().last().unwrap(), "running 2");
        assert_eq!((live_thread.due(), live_thread.running.len()), (None, 0));
    }

    #[test]
    fn items_beyond_the_queue_are_counted() {
        let (live_thread, written) = live_thread();
        let (queue, items) = sync_channel(1);
        let live = Live { queue, lost: live_thread.lost.clone(), written: live_thread.written.clone() };
        for id in 1..=3 {
            live.put(LiveItem::Ended(seen(id, "")));
        }
        drop(live);
        live_thread.run(&items);
        assert_eq!(*written.lock().unwrap(), ["ended 1", "lost 2"]);
    }
}
