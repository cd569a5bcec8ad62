//! Whose turn it is on each thread that serves: requests that have been read wait until the thread has read whatever else was there. Then what they
//! wait for is fetched together, and one task answers them all, so that theirs need no turn of their own.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use tokio::runtime::{Handle, RuntimeFlavor};

use super::Ticket;

/// So many are answered at a time: what is fetched for more displaces what was fetched first, and tokio lets a task write twice as often before
/// others have their turn.
const MOST: usize = 64;

/// A connection with a request that waits.
pub(super) trait Waits: Send + Sync {
    /// [`Handler::fetch`](crate::Handler::fetch).
    fn fetch(&self, tickets: &[Ticket]);

    /// Answers its request, or has its task do so. One that has been answered already is left.
    fn answer(&self);

    /// It will not be answered: answering panicked. Its task finds out.
    fn give_up(&self);
}

/// What waits on a thread.
#[derive(Default)]
struct Turn {
    tickets: Vec<Ticket>,
    waiting: Vec<Weak<dyn Waits>>,
    /// The task that answers, once there is one.
    answers: Option<Waker>,
}

thread_local! {
    static TURN: RefCell<Turn> = RefCell::default();
}

/// Whether what runs here stays on its thread, and so in its turn.
pub(super) fn may_be_waited_for() -> bool {
    Handle::try_current().is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::CurrentThread)
}

/// This connection's request waits for its turn on this thread.
pub(super) fn wait(ticket: Ticket, connection: Weak<dyn Waits>) {
    TURN.with_borrow_mut(|turn| {
        turn.tickets.push(ticket);
        turn.waiting.push(connection);
        match &turn.answers {
            Some(task) if turn.waiting.len() == 1 => task.wake_by_ref(),
            Some(_) => {}
            None => {
                turn.answers = Some(Waker::noop().clone());
                tokio::spawn(Answers::default());
            }
        }
    });
}

/// The task that answers what waits, and what it is about to answer.
#[derive(Default)]
struct Answers {
    tickets: Vec<Ticket>,
    waiting: Vec<Weak<dyn Waits>>,
}

impl Future for Answers {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Answers { tickets, waiting } = &mut *self;
        TURN.with_borrow_mut(|turn| {
            let now = turn.waiting.len().min(MOST);
            tickets.extend(turn.tickets.drain(..now));
            waiting.extend(turn.waiting.drain(..now));
            turn.answers = Some(cx.waker().clone());
            if !turn.waiting.is_empty() {
                cx.waker().wake_by_ref();
            }
        });
        answer(tickets, waiting.iter().filter_map(Weak::upgrade));
        tickets.clear();
        waiting.clear();
        Poll::Pending
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        // Who comes later on this thread, if anybody, has another one.
        let _ = TURN.try_with(RefCell::take);
    }
}

/// Answers these, which wait with these tickets. One that panics is the end of that connection alone.
fn answer(tickets: &[Ticket], waiting: impl Iterator<Item = Arc<dyn Waits>>) {
    let mut waiting = waiting.peekable();
    let unless_panicking = |one: &Arc<dyn Waits>, work: &dyn Fn()| {
        if catch_unwind(AssertUnwindSafe(work)).is_err() {
            one.give_up();
        }
    };
    if let Some(first) = waiting.peek() {
        unless_panicking(first, &|| first.fetch(tickets));
    }
    for one in waiting {
        unless_panicking(&one, &|| one.answer());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// A connection whose request has this ticket, and what was done for all of them.
    struct Connection(u128, Arc<Mutex<Vec<Done>>>);

    #[derive(Debug, PartialEq, Eq)]
    enum Done {
        Fetched(Vec<u128>),
        Answered(u128),
        GaveUp(u128),
    }

    impl Waits for Connection {
        fn fetch(&self, tickets: &[Ticket]) {
            self.1.lock().unwrap().push(Done::Fetched(tickets.iter().map(|ticket| ticket.0).collect()));
        }

        fn answer(&self) {
            assert!(self.0 != 13, "as it was asked to");
            self.1.lock().unwrap().push(Done::Answered(self.0));
        }

        fn give_up(&self) {
            self.1.lock().unwrap().push(Done::GaveUp(self.0));
        }
    }

    fn on_this_thread(run: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(run);
    }

    /// What is done for requests with these tickets.
    async fn done(tickets: std::ops::Range<u128>) -> Vec<Done> {
        let done = Arc::default();
        let all: Vec<_> = tickets.map(|n| Arc::new(Connection(n, Arc::clone(&done)))).collect();
        for one in &all {
            let connection: Arc<dyn Waits> = one.clone();
            wait(Ticket(one.0), Arc::downgrade(&connection));
        }
        assert!(done.lock().unwrap().is_empty());
        for _ in 0..=all.len() / MOST {
            tokio::task::yield_now().await;
        }
        std::mem::take(&mut *done.lock().unwrap())
    }

    #[test]
    fn all_that_waits_is_fetched_and_then_answered() {
        on_this_thread(async {
            assert!(may_be_waited_for());
            for first in [100, 200] {
                let all = [Done::Fetched(vec![first, first + 1]), Done::Answered(first), Done::Answered(first + 1)];
                assert_eq!(done(first..first + 2).await, all);
            }
        });
        // Another runtime of the same thread has a task of its own.
        on_this_thread(async { assert_eq!(done(7..8).await, [Done::Fetched(vec![7]), Done::Answered(7)]) });
    }

    #[test]
    fn no_more_is_fetched_at_a_time_than_stays_until_it_is_answered() {
        on_this_thread(async {
            let (most, all) = (MOST as u128, 2 * MOST as u128 + 1);
            let mut expected = Vec::new();
            for first in [100, 100 + most, 100 + 2 * most] {
                let chunk = first..(first + most).min(100 + all);
                expected.push(Done::Fetched(chunk.clone().collect()));
                expected.extend(chunk.map(Done::Answered));
            }
            assert_eq!(done(100..100 + all).await, expected);
        });
    }

    #[test]
    fn one_that_panics_is_given_up_and_the_others_are_answered() {
        on_this_thread(async {
            let all = [Done::Fetched(vec![12, 13, 14]), Done::Answered(12), Done::GaveUp(13), Done::Answered(14)];
            assert_eq!(done(12..15).await, all);
        });
    }

    #[test]
    fn a_connection_that_has_gone_is_left_out() {
        on_this_thread(async {
            let all = Arc::default();
            let connections: Vec<Arc<dyn Waits>> =
                [1, 2].into_iter().map(|n| Arc::new(Connection(n, Arc::clone(&all))) as Arc<dyn Waits>).collect();
            connections.iter().zip(1..).for_each(|(one, n)| wait(Ticket(n), Arc::downgrade(one)));
            drop(connections);
            tokio::task::yield_now().await;
            assert!(all.lock().unwrap().is_empty());
            assert_eq!(done(3..4).await, [Done::Fetched(vec![3]), Done::Answered(3)]);
        });
    }

    #[test]
    fn nothing_waits_where_a_task_may_go_on_on_another_thread() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        runtime.block_on(async { assert!(!may_be_waited_for()) });
        assert!(!may_be_waited_for(), "no runtime");
    }
}
