//! Asking a future only when it has something to say: a connection's task is woken for every request, and what waits beside it for the
//! end of the run or of its time hardly ever.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::task::{Context, Poll, Wake, Waker, ready};

use tokio::time::{Instant, Sleep, sleep_until};

/// What a future wakes when it wants to be asked.
#[derive(Debug, Default)]
pub(super) struct Bell(Option<Arc<Rope>>);

#[derive(Debug)]
struct Rope {
    task: Waker,
    pulled: AtomicBool,
}

impl Wake for Rope {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Before the task is woken, which then finds it.
        self.pulled.store(true, Release);
        self.task.wake_by_ref();
    }
}

impl Bell {
    /// Polls the future, unless it was polled by this task before and has not rung since. It must be the same one each time.
    pub(super) fn poll<F: Future>(&mut self, future: Pin<&mut F>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let rope = match self.0.take_if(|rope| !rope.task.will_wake(cx.waker())) {
            None if self.0.as_ref().is_some_and(|rope| !rope.pulled.load(Acquire)) => return Poll::Pending,
            _ => {
                self.0.get_or_insert_with(|| Arc::new(Rope { task: cx.waker().clone(), pulled: AtomicBool::new(true) }))
            }
        };
        // Before it is asked: it may ring again while it is.
        rope.pulled.store(false, Release);
        future.poll(&mut Context::from_waker(&Waker::from(rope.clone())))
    }

    /// Lets the future be polled the next time, as one that has changed.
    fn ring(&self) {
        if let Some(rope) = &self.0 {
            rope.pulled.store(true, Release);
        }
    }
}

/// A time limit that moves with every request, by a timer that hardly ever moves: all threads share the clockwork.
#[derive(Debug)]
pub(super) struct Alarm {
    timer: Pin<Box<Sleep>>,
    bell: Bell,
}

impl Alarm {
    /// One that is asked for this moment, or one near it, first.
    pub(super) fn at(due: Instant) -> Self {
        Alarm { timer: Box::pin(sleep_until(due)), bell: Bell::default() }
    }

    /// Ready when the moment is there.
    pub(super) fn poll(&mut self, due: Instant, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            // It stays where it is when the moment is put off, and is set anew when it has gone off too early.
            if self.timer.is_elapsed() || due < self.timer.deadline() {
                self.timer.as_mut().reset(due);
                self.bell.ring();
            }
            ready!(self.bell.poll(self.timer.as_mut(), cx));
            if due <= Instant::now() {
                return Poll::Ready(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    use super::*;

    /// Counts how often it was woken.
    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Release);
        }
    }

    #[test]
    fn a_future_is_polled_once_until_it_rings() {
        let (send, receive) = tokio::sync::oneshot::channel();
        let (mut receive, mut polls) = (pin!(receive), 0);
        let mut future = pin!(std::future::poll_fn(move |cx| {
            polls += 1;
            receive.as_mut().poll(cx).map(|received| (received.unwrap(), polls))
        }));
        let (first, second) = (Arc::new(Task::default()), Arc::new(Task::default()));
        let mut bell = Bell::default();
        let mut ask = |task: &Arc<Task>| bell.poll(future.as_mut(), &mut Context::from_waker(&task.clone().into()));
        assert!(ask(&first).is_pending() && ask(&first).is_pending());
        // Another task has to be known to it.
        assert!(ask(&second).is_pending() && ask(&second).is_pending());
        send.send("done").unwrap();
        assert_eq!((first.0.load(Acquire), second.0.load(Acquire)), (0, 1));
        assert_eq!(ask(&second), Poll::Ready(("done", 3)));
    }

    #[test]
    fn one_that_changed_is_polled() {
        let mut ready = false;
        let mut bell = Bell::default();
        let task = Waker::from(Arc::new(Task::default()));
        let cx = &mut Context::from_waker(&task);
        for (rings, is_ready) in [(false, false), (false, false), (true, true)] {
            if rings {
                bell.ring();
            }
            let future = pin!(std::future::poll_fn(|_| if ready { Poll::Ready(()) } else { Poll::Pending }));
            assert_eq!(bell.poll(future, cx).is_ready(), is_ready);
            ready = true;
        }
    }

    #[tokio::test]
    async fn an_alarm_goes_off_at_the_moment_that_it_was_last_asked_for() {
        let (begun, hour) = (Instant::now(), Duration::from_secs(3600));
        let mut alarm = Alarm::at(begun + hour);
        // Gone off, it is set anew.
        for _ in 0..2 {
            for due in [begun + hour, begun + 2 * hour] {
                assert!(std::future::poll_fn(|cx| Poll::Ready(alarm.poll(due, cx))).await.is_pending());
            }
            // Called in.
            std::future::poll_fn(|cx| alarm.poll(begun, cx)).await;
        }
        // Going off too early for what it is asked for by then, it waits for that.
        let soon = Instant::now() + Duration::from_millis(20);
        let early = std::future::poll_fn(|cx| Poll::Ready(alarm.poll(soon - Duration::from_millis(10), cx)));
        assert!(early.await.is_pending());
        std::future::poll_fn(|cx| alarm.poll(soon, cx)).await;
        assert!(Instant::now() >= soon);
    }
}
