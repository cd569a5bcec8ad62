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
use crate::verdict::request::{RequestRow, ResultKind};
use crate::verdict::{Finding, FindingListener};
use crate::watch::{Event, Listener};
use harproxy_proxy::{ConnectionEvent, Origin};

/// Maximum length of the queue. Further items are only counted.
const QUEUE: usize = 32_768;
/// A response that takes longer is shown at its head and again at its end.
const PATIENCE: Duration = Duration::from_secs(1);
/// A reader that has read no line for this time counts as stopped.
const UNREAD: Duration = Duration::from_secs(3);

/// An item of the queue.
enum Item {
    Answered(Box<RequestRow>),
    Ended(Box<RequestRow>),
    TlsRefused(Origin, String),
    Found(Box<Finding>),
    /// Write all items before this one, then signal.
    Flush(Sender<()>),
}

/// Writes the items in one of the formats.
trait Teller: Send {
    /// The head of a response arrived, and its body takes longer.
    fn going(&mut self, seen: &RequestRow);
    /// A request ended.
    fn ended(&mut self, seen: &RequestRow);
    /// A client refused harproxy's certificate.
    fn tls_refused(&mut self, to: &Origin, reason: &str);
    /// A finding occurred.
    fn found(&mut self, finding: &Finding);
    /// This number of items was dropped.
    fn lost(&mut self, number: u64);
    /// Returns true if output is held back until [`Teller::flush`].
    fn holds_back(&self) -> bool {
        false
    }
    /// Writes the output that is held back.
    fn flush(&mut self) {}
}

/// The sender of items to the thread.
#[derive(Clone, Debug)]
pub struct Live {
    queue: SyncSender<Item>,
    lost: Arc<AtomicU64>,
    told: Arc<AtomicU64>,
}

impl Live {
    /// Starts the thread. Returns `None` if the live list is off.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(format: LiveFormat) -> std::io::Result<Option<Self>> {
        let teller: Box<dyn Teller> = match format {
            LiveFormat::Nothing => return Ok(None),
            LiveFormat::List => Box::new(list::List::default()),
            LiveFormat::Events => Box::new(events::Events),
        };
        let (queue, items) = sync_channel(QUEUE);
        let live = Live { queue, lost: Arc::default(), told: Arc::default() };
        let (lost, told) = (live.lost.clone(), live.told.clone());
        let voice = LiveThread { teller, going: HashMap::new(), waiting: VecDeque::new(), held: None, lost, told };
        thread::Builder::new().name("live".to_owned()).spawn(move || voice.run(&items))?;
        Ok(Some(live))
    }

    /// Returns the listener for the events of the watcher.
    #[must_use]
    pub fn listener(&self) -> Listener {
        let live = self.clone();
        Box::new(move |event| match event {
            Event::Answered(seen) => live.put(Item::Answered(Box::new(seen.without_messages()))),
            Event::Ended(seen) => live.put(Item::Ended(Box::new(seen.without_messages()))),
            Event::Connection(ConnectionEvent::TlsRefused { to, reason }) => {
                live.put(Item::TlsRefused(to.clone(), reason.clone()))
            }
            // These are also requests or findings, or not worth showing.
            Event::Connection(
                ConnectionEvent::TunnelClosed { .. }
                | ConnectionEvent::UnknownProtocol { .. }
                | ConnectionEvent::MalformedHead { .. }
                | ConnectionEvent::Unauthorized
                | ConnectionEvent::TlsAccepted { .. },
            ) => {}
        })
    }

    /// Returns the listener for findings.
    #[must_use]
    pub fn herald(&self) -> FindingListener {
        let live = self.clone();
        Box::new(move |finding| live.put(Item::Found(Box::new(finding.clone()))))
    }

    fn put(&self, item: Item) {
        if self.queue.try_send(item).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Blocks until all items so far are written. If the reader has stopped, output to standard error is suppressed
    /// from then on, so that the run can end.
    pub fn flush(&self) {
        let (done, is_done) = channel();
        let mut flush = Item::Flush(done);
        loop {
            let before = self.told.load(Ordering::Relaxed);
            match self.queue.try_send(flush) {
                Ok(()) => break,
                Err(TrySendError::Full(again)) => flush = again,
                Err(TrySendError::Disconnected(_)) => return,
            }
            thread::sleep(UNREAD);
            if before == self.told.load(Ordering::Relaxed) {
                return ui::stop_writing();
            }
        }
        loop {
            let before = self.told.load(Ordering::Relaxed);
            match is_done.recv_timeout(UNREAD) {
                Err(RecvTimeoutError::Timeout) if before == self.told.load(Ordering::Relaxed) => {
                    return ui::stop_writing();
                }
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }
}

/// The state of the thread.
struct LiveThread {
    teller: Box<dyn Teller>,
    /// Responses that have started and are not shown yet, by request number.
    going: HashMap<u64, Box<RequestRow>>,
    /// The times to show them, in ascending order.
    waiting: VecDeque<(Instant, u64)>,
    /// The time to flush the held-back output.
    held: Option<Instant>,
    lost: Arc<AtomicU64>,
    told: Arc<AtomicU64>,
}

impl LiveThread {
    fn run(mut self, items: &Receiver<Item>) {
        loop {
            let item = match self.due() {
                None => items.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(due) => items.recv_timeout(due.saturating_duration_since(Instant::now())),
            };
            match item {
                Ok(item) => self.tell(item),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.teller.flush(),
            }
            self.tell_of_lost();
            self.tell_what_is_due(Instant::now());
            self.told.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn tell(&mut self, item: Item) {
        match item {
            Item::Answered(seen) if seen.mime_type.as_deref().is_some_and(is_endless) => self.teller.going(&seen),
            Item::Answered(seen) => {
                self.waiting.push_back((Instant::now() + PATIENCE, seen.id));
                self.going.insert(seen.id, seen);
            }
            Item::Ended(seen) => {
                self.going.remove(&seen.id);
                self.teller.ended(&seen);
            }
            Item::TlsRefused(to, reason) => self.teller.tls_refused(&to, &reason),
            Item::Found(finding) => self.teller.found(&finding),
            Item::Flush(done) => {
                self.teller.flush();
                let _ = done.send(());
            }
        }
    }

    fn tell_of_lost(&mut self) {
        match self.lost.swap(0, Ordering::Relaxed) {
            0 => {}
            number => self.teller.lost(number),
        }
    }

    fn tell_what_is_due(&mut self, now: Instant) {
        while let Some((due, id)) = self.waiting.front().copied() {
            match self.going.contains_key(&id) {
                true if due > now => break,
                true => {
                    if let Some(seen) = self.going.remove(&id) {
                        self.teller.going(&seen);
                    }
                }
                false => {}
            }
            self.waiting.pop_front();
        }
        if self.held.is_some_and(|due| due <= now) {
            self.teller.flush();
        }
        self.held = match self.held {
            _ if !self.teller.holds_back() => None,
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
        _ => seen.outcome.as_str().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Collects the items.
    #[derive(Default)]
    struct Notes(Arc<Mutex<Vec<String>>>);

    impl Notes {
        fn take(&self, what: String) {
            self.0.lock().unwrap().push(what);
        }
    }

    impl Teller for Notes {
        fn going(&mut self, seen: &RequestRow) {
            self.take(format!("going {}", seen.id));
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
        let told = notes.0.clone();
        let teller = Box::new(notes);
        let (going, waiting) = (HashMap::new(), VecDeque::new());
        (LiveThread { teller, going, waiting, held: None, lost: Arc::default(), told: Arc::default() }, told)
    }

    fn seen(id: u64, mime_type: &str) -> Box<RequestRow> {
        Box::new(RequestRow { id, mime_type: Some(mime_type.into()), ..RequestRow::default() })
    }

    #[test]
    fn slow_and_endless_responses_are_shown_at_their_head() {
        let (mut voice, told) = live_thread();
        for id in [1, 2] {
            voice.tell(Item::Answered(seen(id, "application/json")));
        }
        voice.tell(Item::Answered(seen(3, "text/event-stream; charset=utf-8")));
        voice.tell(Item::Ended(seen(1, "application/json")));
        voice.tell_what_is_due(Instant::now());
        assert_eq!(*told.lock().unwrap(), ["going 3", "ended 1"]);
        assert!(voice.due().is_some());
        voice.tell_what_is_due(Instant::now() + PATIENCE);
        assert_eq!(told.lock().unwrap().last().unwrap(), "going 2");
        assert_eq!((voice.due(), voice.going.len()), (None, 0));
    }

    #[test]
    fn items_beyond_the_queue_are_counted() {
        let (voice, told) = live_thread();
        let (queue, items) = sync_channel(1);
        let live = Live { queue, lost: voice.lost.clone(), told: voice.told.clone() };
        for id in 1..=3 {
            live.put(Item::Ended(seen(id, "")));
        }
        drop(live);
        voice.run(&items);
        assert_eq!(*told.lock().unwrap(), ["ended 1", "lost 2"]);
    }
}
