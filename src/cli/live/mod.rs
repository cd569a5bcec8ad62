//! A run told as it goes: a quiet list for people, or events for programs. Whatever tells is on a thread of its own behind a
//! queue, so that a terminal that is held, or a reader that is slow, holds up no request.

mod events;
mod line;
mod list;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::ui::{self, Meanwhile};
use crate::pipeline::{RunEvent, Subscriber};
use crate::verdict::request::{RequestRow, ResultKind};
use crate::verdict::{Finding, FindingListener};
use harproxy_proxy::{ConnectionEvent, Origin};

/// So many things may wait to be told; what comes beyond them is only counted.
const QUEUE: usize = 32_768;
/// An answer that goes on for longer is told when its head is there, and again when it ends.
const PATIENCE: Duration = Duration::from_secs(1);
/// Who has not read a single line for so long does not read at all.
const UNREAD: Duration = Duration::from_secs(3);

/// Something to tell.
enum Item {
    Answered(Box<RequestRow>),
    Ended(Box<RequestRow>),
    TlsRefused(Origin, String),
    Found(Box<Finding>),
    /// Everything before it is to be told now.
    Flush(Sender<()>),
}

/// Tells items one by one.
trait Teller: Send {
    /// The head of an answer is there, and the rest takes its time.
    fn going(&mut self, seen: &RequestRow);
    /// A request ended.
    fn ended(&mut self, seen: &RequestRow);
    /// A client refused our certificate.
    fn tls_refused(&mut self, to: &Origin, reason: &str);
    /// Something was found.
    fn found(&mut self, finding: &Finding);
    /// So many things were not told.
    fn lost(&mut self, number: u64);
    /// Whether something is held back that [`Teller::flush`] tells.
    fn holds_back(&self) -> bool {
        false
    }
    /// Tells what is held back.
    fn flush(&mut self) {}
}

/// The way to what tells.
#[derive(Clone, Debug)]
pub struct Live {
    queue: SyncSender<Item>,
    lost: Arc<AtomicU64>,
    told: Arc<AtomicU64>,
}

impl Live {
    /// Starts to tell; `None` when nothing is to be told.
    ///
    /// # Errors
    /// When there can be no thread for it.
    pub fn start(meanwhile: Meanwhile) -> std::io::Result<Option<Self>> {
        let teller: Box<dyn Teller> = match meanwhile {
            Meanwhile::Nothing => return Ok(None),
            Meanwhile::List => Box::new(list::List::default()),
            Meanwhile::Events => Box::new(events::Events),
        };
        let (queue, items) = sync_channel(QUEUE);
        let live = Live { queue, lost: Arc::default(), told: Arc::default() };
        let (lost, told) = (live.lost.clone(), live.told.clone());
        let voice = Voice { teller, going: HashMap::new(), waiting: VecDeque::new(), held: None, lost, told };
        thread::Builder::new().name("live".to_owned()).spawn(move || voice.run(&items))?;
        Ok(Some(live))
    }

    /// Shows each new finding.
    #[must_use]
    pub fn finding_listener(&self) -> FindingListener {
        let live = self.clone();
        Box::new(move |finding| live.put(Item::Found(Box::new(finding.clone()))))
    }

    fn put_row(&self, row: Option<&RequestRow>, item: fn(Box<RequestRow>) -> Item) {
        if let Some(row) = row {
            self.put(item(Box::new(row.without_messages())));
        }
    }

    fn put(&self, item: Item) {
        if self.queue.try_send(item).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until everything so far is told. If nobody reads it, nothing more is written to standard error from then on: a
    /// run must come to its end. Blocking.
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
                return ui::nobody_reads();
            }
        }
        loop {
            let before = self.told.load(Ordering::Relaxed);
            match is_done.recv_timeout(UNREAD) {
                Err(RecvTimeoutError::Timeout) if before == self.told.load(Ordering::Relaxed) => {
                    return ui::nobody_reads();
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
            RunEvent::Answered(request) => self.put_row(request.row, Item::Answered),
            RunEvent::Ended(request, _) => self.put_row(request.row, Item::Ended),
            RunEvent::Connection(ConnectionEvent::TlsRefused { to, reason }) => {
                self.put(Item::TlsRefused((*to).clone(), reason.clone()));
            }
            // Findings come from the listener, which gets equal ones once.
            RunEvent::Found(_) | RunEvent::Connection(_) => {}
        }
    }

    fn wants_rows(&self) -> bool {
        true
    }
}

/// What runs on the thread.
struct Voice {
    teller: Box<dyn Teller>,
    /// Answers that have begun and are not told of, by the numbers of their requests.
    going: HashMap<u64, Box<RequestRow>>,
    /// When they are to be told of, soonest first.
    waiting: VecDeque<(Instant, u64)>,
    /// When what the teller holds back is to be told.
    held: Option<Instant>,
    lost: Arc<AtomicU64>,
    told: Arc<AtomicU64>,
}

impl Voice {
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

    /// When there is something to tell though nothing comes.
    fn due(&self) -> Option<Instant> {
        self.waiting.front().map(|(due, _)| *due).into_iter().chain(self.held).min()
    }
}

/// Whether an answer of this media type goes on until somebody leaves.
fn is_endless(mime_type: &str) -> bool {
    mime_type.starts_with("text/event-stream")
}

/// The entry that answered, or the word for where an answer came from.
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

    /// Writes down what it is to tell.
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

    fn voice() -> (Voice, Arc<Mutex<Vec<String>>>) {
        let notes = Notes::default();
        let told = notes.0.clone();
        let teller = Box::new(notes);
        let (going, waiting) = (HashMap::new(), VecDeque::new());
        (Voice { teller, going, waiting, held: None, lost: Arc::default(), told: Arc::default() }, told)
    }

    fn seen(id: u64, mime_type: &str) -> Box<RequestRow> {
        Box::new(RequestRow { id, mime_type: Some(mime_type.into()), ..RequestRow::default() })
    }

    #[test]
    fn an_answer_is_told_when_it_takes_long_or_has_no_end() {
        let (mut voice, told) = voice();
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
    fn what_there_was_no_room_for_is_counted() {
        let (voice, told) = voice();
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
