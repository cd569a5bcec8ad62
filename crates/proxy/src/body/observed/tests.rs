use std::io;
use std::sync::Mutex;
use std::task::Waker;

use futures_util::FutureExt;
use http_body_util::BodyExt;
use tokio::sync::oneshot;

use super::*;

/// The result of one `poll_frame` call. The body wakes its task after `Pending`.
type Step = Poll<io::Result<Frame<Bytes>>>;

/// A body that returns one step for each poll, and then ends.
struct Script {
    steps: VecDeque<Step>,
    /// The remaining bytes that `size_hint` reports; `None` reports an unknown size.
    length: Option<u64>,
    /// `is_end_stream` becomes true after the last step, as with hyper's bodies. Otherwise it stays false.
    knows_its_end: bool,
}

impl HttpBody for Script {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Some(step) = self.steps.pop_front() else { return Poll::Ready(None) };
        match &step {
            Poll::Pending => cx.waker().wake_by_ref(),
            Poll::Ready(Ok(frame)) => {
                let read = frame.data_ref().map_or(0, |data| data.len() as u64);
                self.length = self.length.map(|length| length.saturating_sub(read));
            }
            Poll::Ready(Err(_)) => {}
        }
        step.map(Some)
    }

    fn is_end_stream(&self) -> bool {
        self.knows_its_end && self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

fn script(length: Option<u64>, knows_its_end: bool, steps: impl IntoIterator<Item = Step>) -> Body {
    Body::boxed(Script { steps: steps.into_iter().collect(), length, knows_its_end })
}

fn step(frame: io::Result<Frame<Bytes>>) -> Step {
    Poll::Ready(frame)
}

fn data(data: impl Into<Bytes>) -> Step {
    step(Ok(Frame::data(data.into())))
}

fn trailers() -> HeaderMap {
    HeaderMap::from_iter([("x-sum".parse().unwrap(), "9".parse().unwrap())])
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// Logs what it observes. Its end waits for `gate`.
struct GatedObserver {
    log: Log,
    gate: Option<oneshot::Receiver<()>>,
}

impl BodyObserver for GatedObserver {
    fn data(&mut self, data: &Bytes) {
        self.log.0.lock().unwrap().push(String::from_utf8(data.to_vec()).unwrap());
    }

    fn end(self: Box<Self>, end: BodyEnd) -> BoxFuture<'static, ()> {
        self.log.0.lock().unwrap().push(match end {
            BodyEnd::Complete(None) => "complete".to_owned(),
            BodyEnd::Complete(Some(trailers)) => format!("complete {trailers:?}"),
            BodyEnd::Failed(error) => {
                format!("failed: {}", error.source().map_or(error.to_string(), |e| e.to_string()))
            }
            BodyEnd::Cancelled => "cancelled".to_owned(),
        });
        let GatedObserver { log, gate } = *self;
        Box::pin(async move {
            if let Some(gate) = gate {
                let _ = gate.await;
            }
            log.0.lock().unwrap().push("finished".to_owned());
        })
    }
}

fn observed(body: Body) -> (ObservedBody, Log, oneshot::Sender<()>) {
    let (open, gate) = oneshot::channel();
    let log = Log::default();
    let body = ObservedBody::new(body, Box::new(GatedObserver { log: log.clone(), gate: Some(gate) }));
    (body, log, open)
}

fn poll(body: &mut ObservedBody) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
    Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()))
}

#[track_caller]
fn expect_data(body: &mut ObservedBody, text: &str) {
    match poll(body) {
        Poll::Ready(Some(Ok(frame))) => assert_eq!(frame.into_data().unwrap(), text),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn last_bytes_of_a_known_length_wait_for_the_observer() {
    let (mut body, log, open) = observed(script(Some(6), true, [data("abc"), data("def")]));
    assert_eq!(body.size_hint().exact(), Some(6));
    expect_data(&mut body, "abc");
    assert!(poll(&mut body).is_pending());
    assert!(!body.is_end_stream());
    assert_eq!(body.size_hint().exact(), Some(3));
    assert_eq!(log.take(), ["abc", "def", "complete"]);
    open.send(()).unwrap();
    expect_data(&mut body, "def");
    assert!(body.is_end_stream(), "hyper checks this and polls no more");
    assert_eq!(log.take(), ["finished"]);
    drop(body);
    assert!(log.take().is_empty(), "there is one end");
}

#[tokio::test]
async fn end_of_an_unknown_length_waits_for_the_observer() {
    let (mut body, log, open) = observed(script(None, false, [data("abc"), data("def")]));
    expect_data(&mut body, "abc");
    expect_data(&mut body, "def");
    assert!(poll(&mut body).is_pending());
    assert!(!body.is_end_stream());
    open.send(()).unwrap();
    assert!(matches!(poll(&mut body), Poll::Ready(None)));
    assert_eq!(log.take(), ["abc", "def", "complete", "finished"]);
}

#[tokio::test]
async fn frame_that_ends_a_stream_waits_for_the_observer() {
    let (mut body, log, open) = observed(script(None, true, [data("abc"), data("def")]));
    expect_data(&mut body, "abc");
    assert!(poll(&mut body).is_pending());
    open.send(()).unwrap();
    expect_data(&mut body, "def");
    assert!(body.is_end_stream());
    assert_eq!(log.take(), ["abc", "def", "complete", "finished"]);
}

#[tokio::test]
async fn trailers_wait_for_the_observer() {
    let (mut body, log, open) = observed(script(None, false, [data("abc"), step(Ok(Frame::trailers(trailers())))]));
    expect_data(&mut body, "abc");
    assert!(poll(&mut body).is_pending());
    open.send(()).unwrap();
    match poll(&mut body) {
        Poll::Ready(Some(Ok(frame))) => assert_eq!(frame.into_trailers().unwrap(), trailers()),
        other => panic!("{other:?}"),
    }
    assert!(body.is_end_stream());
    assert_eq!(log.take(), ["abc", "complete {\"x-sum\": \"9\"}", "finished"]);
}

#[tokio::test]
async fn trailers_after_a_known_length_are_part_of_the_end() {
    let steps = [data("abc"), step(Ok(Frame::trailers(trailers())))];
    let (mut body, log, open) = observed(script(Some(3), false, steps));
    assert!(poll(&mut body).is_pending());
    assert_eq!(log.take(), ["abc", "complete {\"x-sum\": \"9\"}"]);
    open.send(()).unwrap();
    expect_data(&mut body, "abc");
    assert!(!body.is_end_stream());
    assert!(matches!(poll(&mut body), Poll::Ready(Some(Ok(frame))) if frame.is_trailers()));
    assert!(body.is_end_stream());
}

#[tokio::test]
async fn failure_is_reported_and_passed_on() {
    let broken = || step(Err(std::io::Error::other("reset by peer")));
    let (mut body, log, open) = observed(script(Some(9), false, [data("abc"), broken()]));
    expect_data(&mut body, "abc");
    assert!(poll(&mut body).is_pending());
    assert_eq!(log.take(), ["abc", "failed: reset by peer"]);
    open.send(()).unwrap();
    match poll(&mut body) {
        Poll::Ready(Some(Err(error))) => assert_eq!(error.source().unwrap().to_string(), "reset by peer"),
        other => panic!("{other:?}"),
    }
    assert!(matches!(poll(&mut body), Poll::Ready(None)));
}

#[tokio::test]
async fn body_shorter_than_declared_fails() {
    let (mut body, log, open) = observed(script(Some(9), false, [data("abc")]));
    open.send(()).unwrap();
    expect_data(&mut body, "abc");
    assert!(matches!(poll(&mut body), Poll::Ready(Some(Err(_)))));
    assert_eq!(log.take(), ["abc", "failed: the body ended 6 bytes short of its declared length", "finished"]);
}

/// Reads the rest of a body whose receiver left, up to a number of bytes.
struct WithAllowance(GatedObserver, u64);

impl BodyObserver for WithAllowance {
    fn data(&mut self, data: &Bytes) {
        self.0.data(data);
    }

    fn allowance(&self) -> Option<ReadAllowance> {
        Some(ReadAllowance { bytes: self.1, time: Duration::from_secs(60) })
    }

    fn end(self: Box<Self>, end: BodyEnd) -> BoxFuture<'static, ()> {
        Box::new(self.0).end(end)
    }
}

#[tokio::test]
async fn rest_is_read_within_the_allowance_when_the_receiver_leaves() {
    for (allowed, seen) in [
        (100, vec!["abc", "def", "ghi", "complete", "finished"]),
        (4, vec!["abc", "def", "ghi", "cancelled", "finished"]),
        (3, vec!["abc", "def", "cancelled", "finished"]),
    ] {
        let log = Log::default();
        let observer = WithAllowance(GatedObserver { log: log.clone(), gate: None }, allowed);
        let steps = [data("abc"), data("def"), data("ghi")];
        let mut body = ObservedBody::new(script(None, false, steps), Box::new(observer));
        expect_data(&mut body, "abc");
        drop(body);
        background::wait().await;
        assert_eq!(log.take(), seen, "{allowed}");
    }
}

#[tokio::test]
async fn dropped_body_is_cancelled_and_its_observer_finishes() {
    let (mut body, log, open) = observed(script(Some(6), true, [data("abc"), data("def")]));
    expect_data(&mut body, "abc");
    drop(body);
    assert_eq!(log.take(), ["abc", "cancelled"]);
    open.send(()).unwrap();
    while log.0.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(log.take(), ["finished"]);
}

#[tokio::test]
async fn body_is_complete_if_the_receiver_leaves_before_the_held_end() {
    let (mut body, log, open) = observed(script(Some(3), true, [data("abc")]));
    assert!(poll(&mut body).is_pending());
    drop(body);
    assert_eq!(log.take(), ["abc", "complete"]);
    open.send(()).unwrap();
    while log.0.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(log.take(), ["finished"]);
}

#[test]
fn drop_without_a_runtime_is_reported() {
    let log = Log::default();
    let observer = Box::new(GatedObserver { log: log.clone(), gate: None });
    let body = ObservedBody::new(script(None, false, [data("abc")]), observer);
    drop(body);
    assert_eq!(log.take(), ["cancelled", "finished"]);
}

#[tokio::test]
async fn empty_body_ends_before_its_head_is_sent() {
    for body in [script(None, true, []), script(Some(0), false, [])] {
        let (open, gate) = oneshot::channel();
        let log = Log::default();
        let observer = Box::new(GatedObserver { log: log.clone(), gate: Some(gate) });
        let mut made = std::pin::pin!(ObservedBody::new(body, observer).buffer());
        assert!(made.as_mut().now_or_never().is_none());
        assert_eq!(log.take(), ["complete"]);
        open.send(()).unwrap();
        assert!(made.await.is_end_stream());
        assert_eq!(log.take(), ["finished"]);
    }
}

#[tokio::test]
async fn bytes_are_not_copied() {
    let bytes = Bytes::from(vec![7; 64]);
    let log = Log::default();
    let observer = Box::new(GatedObserver { log, gate: None });
    let body = ObservedBody::new(Body::full(bytes.clone()), observer);
    let passed = body.collect().await.unwrap().to_bytes();
    assert_eq!(passed.as_ptr(), bytes.as_ptr());
}

#[tokio::test]
async fn buffered_body_keeps_its_length_and_frames() {
    let cases: [(Option<u64>, &[&str]); 4] =
        [(Some(3), &["abc"]), (Some(6), &["abc", "def"]), (None, &["abc"]), (Some(9), &["abc"])];
    for (length, frames) in cases {
        let steps = frames.iter().map(|frame| data(*frame));
        let (body, log, open) = observed(script(length, length != Some(9), steps));
        open.send(()).unwrap();
        let body = body.buffer().await;
        assert_eq!(body.size_hint().exact(), length);
        let collected = body.collect().await;
        assert_eq!(collected.is_err(), length == Some(9));
        if let Ok(collected) = collected {
            assert_eq!(collected.to_bytes(), frames.concat());
        }
        assert_eq!(log.take().iter().filter(|line| *line == "finished").count(), 1);
    }
}
