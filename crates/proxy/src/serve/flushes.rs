//! Counts flushes of a connection, so that a task can wait for the next one.

use std::sync::Mutex;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::task::{Context, Poll, Waker};

use harproxy_support::sync::lock;

/// The number of completed flushes, and the tasks that wait for the next one.
#[derive(Debug, Default)]
pub(super) struct Flushes {
    count: AtomicU64,
    waiting: Mutex<Vec<Waker>>,
    any_waiting: AtomicBool,
}

impl Flushes {
    /// Records a flush and wakes the waiting tasks.
    pub(super) fn flushed(&self) {
        // The count is stored before the flag is read, and `poll_after` stores the flag before it reads the count: one of
        // them sees the other.
        self.count.fetch_add(1, SeqCst);
        if self.any_waiting.load(SeqCst) && self.any_waiting.swap(false, SeqCst) {
            let waiting = std::mem::take(&mut *lock(&self.waiting));
            waiting.into_iter().for_each(Waker::wake);
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.count.load(SeqCst)
    }

    /// Ready when there were more than `count` flushes.
    pub(super) fn poll_after(&self, count: u64, cx: &mut Context<'_>) -> Poll<()> {
        let mut waiting = lock(&self.waiting);
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
        drop(waiting);
        self.any_waiting.store(true, SeqCst);
        if self.count() > count { Poll::Ready(()) } else { Poll::Pending }
    }
}
