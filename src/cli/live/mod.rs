//! The live list of requests: text lines or JSON events. A separate thread writes them from a queue, so that a blocked
//! terminal or a slow reader does not block requests.

mod list;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use indexmap::IndexMap;
use serde_json::json;

use super::event::Event;
use super::ui::{self, LiveFormat, json_line};
use crate::pipeline::{RunEvent, Subscriber};
use crate::verdict::request::{ExplainedRow, RequestRow, ResultKind};
use crate::verdict::{Finding, FindingListener};
use harproxy_proxy::{ConnectionEvent, Origin};

/// Maximum length of the queue. Further events are only counted.
const MAX_QUEUED: usize = 32_768;
/// A response that takes longer is shown at its head and again at its end.
const HEAD_DELAY: Duration = Duration::from_secs(1);
/// A reader that has read no line for this time counts as stopped.
const READER_TIMEOUT: Duration = Duration::from_secs(3);

enum QueueItem {
    Event(LiveEvent),
    /// Write all events before this item, then signal.
    Flush(Sender<()>),
}

enum LiveEvent {
    /// The head of a response arrived. The output gets this event only if the body takes longer.
    Running(Box<RequestRow>),
    Ended(Box<RequestRow>),
    TlsRefused(Origin, String),
    Found(Box<Finding>),
    /// This number of events was dropped, because the queue was full.
    Dropped(u64),
}

/// Writes events in one of the formats.
trait LiveOutput: Send {
    fn write(&mut self, event: &LiveEvent);
    /// Returns true if output is held back until [`LiveOutput::flush`].
    fn holds_back(&self) -> bool {
        false
    }
    /// Writes the output that is held back.
    fn flush(&mut self) {}
}

/// The sending side of the live list.
#[derive(Clone, Debug)]
pub struct Live {
    queue: SyncSender<QueueItem>,
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct Counters {
    dropped: AtomicU64,
    written: AtomicU64,
}

impl Live {
    /// Starts the thread. Returns `None` if the live list is off.
    pub fn start(format: LiveFormat) -> std::io::Result<Option<Self>> {
        let output: Box<dyn LiveOutput> = match format {
            LiveFormat::Nothing => return Ok(None),
            LiveFormat::List => Box::new(list::List::default()),
            LiveFormat::Events => Box::new(JsonLines),
        };
        let (queue, items) = sync_channel(MAX_QUEUED);
        let live_thread = LiveThread::new(output);
        let live = Live { queue, counters: live_thread.counters.clone() };
        thread::Builder::new().name("live".to_owned()).spawn(move || live_thread.run(&items))?;
        Ok(Some(live))
    }

    /// Returns a listener that shows findings at once.
    pub fn finding_listener(&self) -> FindingListener {
        let live = self.clone();
        Box::new(move |finding| live.put(LiveEvent::Found(Box::new(finding.clone()))))
    }

    fn put_row(&self, row: Option<&RequestRow>, event: fn(Box<RequestRow>) -> LiveEvent) {
        if let Some(row) = row {
            self.put(event(Box::new(row.without_messages())));
        }
    }

    fn put(&self, event: LiveEvent) {
        if self.queue.try_send(QueueItem::Event(event)).is_err() {
            self.counters.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Blocks until all events so far are written. If the reader has stopped, output to standard error is suppressed
    /// from then on, so that the run can end.
    pub fn flush(&self) {
        let (done, is_done) = channel();
        let mut unsent = Some(QueueItem::Flush(done));
        loop {
            let before = self.counters.written.load(Ordering::Relaxed);
            match unsent.take().map(|item| self.queue.try_send(item)) {
                None | Some(Ok(())) => {}
                Some(Err(TrySendError::Full(item))) => unsent = Some(item),
                Some(Err(TrySendError::Disconnected(_))) => return,
            }
            match is_done.recv_timeout(READER_TIMEOUT) {
                Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) if before == self.counters.written.load(Ordering::Relaxed) => {
                    return ui::stop_writing();
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

impl Subscriber for Live {
    fn notify(&self, event: &RunEvent<'_>) {
        match event {
            RunEvent::Answered(request) => self.put_row(request.row, LiveEvent::Running),
            RunEvent::Ended(request, _) => self.put_row(request.row, LiveEvent::Ended),
            RunEvent::Connection(ConnectionEvent::TlsRefused { to, refusal, .. }) => {
                self.put(LiveEvent::TlsRefused((*to).clone(), refusal.reason.clone()));
            }
            // Findings come from the listener, which gets equal ones once.
            RunEvent::Found(_) | RunEvent::Connection(_) => {}
        }
    }

    fn wants_rows(&self) -> bool {
        true
    }
}

/// The thread that writes the live list.
struct LiveThread {
    output: Box<dyn LiveOutput>,
    /// Responses that have started and are not shown yet, by request number, with the time to show them. They are in
    /// the order of these times.
    running: IndexMap<u64, (Instant, Box<RequestRow>)>,
    /// The time to flush the held-back output.
    flush_at: Option<Instant>,
    counters: Arc<Counters>,
}

impl LiveThread {
    fn new(output: Box<dyn LiveOutput>) -> Self {
        LiveThread { output, running: IndexMap::new(), flush_at: None, counters: Arc::default() }
    }

    fn run(mut self, items: &Receiver<QueueItem>) {
        loop {
            let item = match self.next_output_time() {
                None => items.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(at) => items.recv_timeout(at.saturating_duration_since(Instant::now())),
            };
            match item {
                Ok(QueueItem::Event(event)) => self.take(event),
                Ok(QueueItem::Flush(done)) => {
                    self.output.flush();
                    let _ = done.send(());
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.output.flush(),
            }
            match self.counters.dropped.swap(0, Ordering::Relaxed) {
                0 => {}
                number => self.output.write(&LiveEvent::Dropped(number)),
            }
            self.write_due(Instant::now());
            self.counters.written.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Writes an event. The head of a response waits for its end, unless an event stream has no end by itself.
    fn take(&mut self, event: LiveEvent) {
        let is_endless = |mime_type: &String| mime_type.starts_with("text/event-stream");
        match event {
            LiveEvent::Running(row) if !row.mime_type.as_ref().is_some_and(is_endless) => {
                self.running.insert(row.id, (Instant::now() + HEAD_DELAY, row));
            }
            event => {
                if let LiveEvent::Ended(row) = &event {
                    self.running.shift_remove(&row.id);
                }
                self.output.write(&event);
            }
        }
    }

    /// Writes the responses and the held-back output whose time has come.
    fn write_due(&mut self, now: Instant) {
        while self.running.first().is_some_and(|(_, (at, _))| *at <= now) {
            if let Some((_, (_, row))) = self.running.shift_remove_index(0) {
                self.output.write(&LiveEvent::Running(row));
            }
        }
        if self.flush_at.is_some_and(|at| at <= now) {
            self.output.flush();
            self.flush_at = None;
        }
        self.flush_at = match self.output.holds_back() {
            true => self.flush_at.or(Some(now + HEAD_DELAY)),
            false => None,
        };
    }

    /// Returns the time of the next output without a new event.
    fn next_output_time(&self) -> Option<Instant> {
        self.running.first().map(|(_, (at, _))| *at).into_iter().chain(self.flush_at).min()
    }
}

/// The live list as one JSON object per line, documented in `docs/reference/events.md`.
struct JsonLines;

impl LiveOutput for JsonLines {
    fn write(&mut self, event: &LiveEvent) {
        ui::write_event(&match event {
            LiveEvent::Running(row) => json_line(Event::Answered, ExplainedRow::of(row)),
            LiveEvent::Ended(row) if row.outcome == ResultKind::Tunnel => {
                json_line(Event::Tunnel, ExplainedRow::of(row))
            }
            LiveEvent::Ended(row) => json_line(Event::Request, ExplainedRow::of(row)),
            LiveEvent::TlsRefused(to, reason) => {
                json_line(Event::TlsRefused, json!({ "host": &*to.host, "port": to.port, "reason": reason }))
            }
            LiveEvent::Found(finding) => json_line(Event::Finding, finding),
            LiveEvent::Dropped(number) => json_line(Event::Dropped, json!({ "number": number })),
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Notes(Arc<Mutex<Vec<String>>>);

    impl LiveOutput for Notes {
        fn write(&mut self, event: &LiveEvent) {
            self.0.lock().unwrap().push(match event {
                LiveEvent::Running(row) => format!("running {}", row.id),
                LiveEvent::Ended(row) => format!("ended {}", row.id),
                LiveEvent::TlsRefused(to, _) => to.to_string(),
                LiveEvent::Found(finding) => finding.text.clone(),
                LiveEvent::Dropped(number) => format!("dropped {number}"),
            });
        }
    }

    fn live_thread() -> (LiveThread, Arc<Mutex<Vec<String>>>) {
        let notes = Notes::default();
        let written = notes.0.clone();
        (LiveThread::new(Box::new(notes)), written)
    }

    fn row(id: u64, mime_type: &str) -> Box<RequestRow> {
        Box::new(RequestRow { id, mime_type: Some(mime_type.into()), ..RequestRow::default() })
    }

    #[test]
    fn slow_and_endless_responses_are_shown_at_their_head() {
        let (mut live_thread, written) = live_thread();
        for id in [1, 2] {
            live_thread.take(LiveEvent::Running(row(id, "application/json")));
        }
        live_thread.take(LiveEvent::Running(row(3, "text/event-stream; charset=utf-8")));
        live_thread.take(LiveEvent::Ended(row(1, "application/json")));
        live_thread.write_due(Instant::now());
        assert_eq!(*written.lock().unwrap(), ["running 3", "ended 1"]);
        assert!(live_thread.next_output_time().is_some());
        live_thread.write_due(Instant::now() + HEAD_DELAY);
        assert_eq!(written.lock().unwrap().last().unwrap(), "running 2");
        assert_eq!((live_thread.next_output_time(), live_thread.running.len()), (None, 0));
    }

    #[test]
    fn events_beyond_the_queue_are_counted() {
        let (live_thread, written) = live_thread();
        let (queue, items) = sync_channel(1);
        let live = Live { queue, counters: live_thread.counters.clone() };
        for id in 1..=3 {
            live.put(LiveEvent::Ended(row(id, "")));
        }
        drop(live);
        live_thread.run(&items);
        assert_eq!(*written.lock().unwrap(), ["ended 1", "dropped 2"]);
    }

    #[test]
    fn request_event_has_the_members_of_the_report_and_the_reason() {
        let row = RequestRow { url: "https://api.test/".into(), outcome: ResultKind::Miss, ..RequestRow::default() };
        let plain = serde_json::to_value(ExplainedRow::of(&row)).unwrap();
        assert_eq!(plain, serde_json::to_value(&row).unwrap());
        let row = RequestRow { explanation: Some("no entry".into()), ..row };
        let refused = serde_json::to_value(ExplainedRow::of(&row)).unwrap();
        assert_eq!(refused["explanation"], "no entry");
        assert_eq!(refused.as_object().unwrap().len(), plain.as_object().unwrap().len() + 1);
    }
}
