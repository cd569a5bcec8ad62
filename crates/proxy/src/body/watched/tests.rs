use std::sync::Mutex;
use std::task::Waker;

use http_body_util::{BodyExt, Full};
use tokio::sync::oneshot;

use super::*;
use crate::body::script::{Script, data, script, step};

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

/// Writes down what it sees; its end waits for `gate`.
struct Gated {
    log: Log,
    gate: Option<oneshot::Receiver<()>>,
}

impl Watch for Gated {
    fn data(&mut self, data: &Bytes) {
        self.log.0.lock().unwrap().push(String::from_utf8(data.to_vec()).unwrap());
    }

    fn end(self: Box<Self>, end: End) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.log.0.lock().unwrap().push(match end {
            End::Complete(None) => "complete".to_owned(),
            End::Complete(Some(trailers)) => format!("complete {trailers:?}"),
            End::Failed(error) => format!("failed: {}", error.source().map_or(error.to_string(), |e| e.to_string())),
            End::Cancelled => "cancelled".to_owned(),
        });
        let Gated { log, gate } = *self;
        Box::pin(async move {
            if let Some(gate) = gate {
                let _ = gate.await;
            }
            log.0.lock().unwrap().push("written".to_owned());
        })
    }
}

fn watched(body: Script) -> (Watched<Script>, Log, oneshot::Sender<()>) {
    let (open, gate) = oneshot::channel();
    let log = Log::default();
    let body = Watched::new(body, Box::new(Gated { log: log.clone(), gate: Some(gate) }));
    (body, log, open)
}

fn poll(body: &mut Watched<Script>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
    Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()))
}

#[track_caller]
fn expect_data(body: &mut Watched<Script>, text: &str) {
    match poll(body) {
        Poll::Ready(Some(Ok(frame))) => assert_eq!(frame.into_data().unwrap(), text),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_last_bytes_of_a_known_length_wait_for_the_watcher() {
    let (mut body, log, open) = watched(script(Some(6), true, [data("abc"), data("def")]));
    assert_eq!(body.size_hint().exact(), Some(6));
    expect_data(&mut body, "abc");
    assert!(poll(&mut body).is_pending());
    assert!(!body.is_end_stream());
    assert_eq!(body.size_hint().exact(), Some(3));
    assert_eq!(log.take(), ["abc", "def", "complete"]);
    open.send(()).unwrap();
    expect_data(&mut body, "def");
    assert!(body.is_end_stream(), "hyper asks this, and polls no more");
    assert_eq!(log.take(), ["written"]);
    drop(body);
    assert!(log.take().is_empty(), "one end is enough");
}

#[tokio::test]
async fn the_close_of_an_unknown_length_waits_for_the_watcher() {
    let (mut body, log, open) = watched(script(None, false, [data("abc"), data("def")]));
    expect_data(&mut body, "abc");
    expect_data(&mut body, "def");
    assert!(poll(&mut body).is_pending());
    assert!(!body.is_end_stream());
    open.send(()).unwrap();
    assert!(matches!(poll(&mut body), Poll::Ready(None)));
    assert_eq!(log.take(), ["abc", "def", "complete", "written"]);
}

#[tokio::test]
async fn the_frame_that_ends_a_stream_waits_for_the_watcher() {
    let (mut body, log, open) = watched(script(None, true, [data("abc"), data("def")]));
    expect_data(&mut body, "abc");
    assert!(poll(&mut body).is_pending());
    open.send(()).unwrap();
    expect_data(&mut body, "def");
    assert!(body.is_end_stream());
    assert_eq!(log.take(), ["abc", "def", "complete", "written"]);
}

#[tokio::test]
async fn trailers_wait_for_the_watcher() {
    let (mut body, log, open) = watched(script(None, false, [data("abc"), step(Ok(Frame::trailers(trailers())))]));
    expect_data(&mut body, "abc");
    assert!(poll(&mut body).is_pending());
    open.send(()).unwrap();
    match poll(&mut body) {
        Poll::Ready(Some(Ok(frame))) => assert_eq!(frame.into_trailers().unwrap(), trailers()),
        other => panic!("{other:?}"),
    }
    assert!(body.is_end_stream());
    assert_eq!(log.take(), ["abc", "complete {\"x-sum\": \"9\"}", "written"]);
}

#[tokio::test]
async fn trailers_after_a_known_length_belong_to_the_end() {
    let steps = [data("abc"), step(Ok(Frame::trailers(trailers())))];
    let (mut body, log, open) = watched(script(Some(3), false, steps));
    assert!(poll(&mut body).is_pending());
    assert_eq!(log.take(), ["abc", "complete {\"x-sum\": \"9\"}"]);
    open.send(()).unwrap();
    expect_data(&mut body, "abc");
    assert!(!body.is_end_stream());
    assert!(matches!(poll(&mut body), Poll::Ready(Some(Ok(frame))) if frame.is_trailers()));
    assert!(body.is_end_stream());
}

#[tokio::test]
async fn a_failure_is_written_down_and_handed_on() {
    let broken = || step(Err(std::io::Error::other("reset by peer")));
    let (mut body, log, open) = watched(script(Some(9), false, [data("abc"), broken()]));
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
async fn a_body_shorter_than_declared_has_failed() {
    let (mut body, log, open) = watched(script(Some(9), false, [data("abc")]));
    open.send(()).unwrap();
    expect_data(&mut body, "abc");
    assert!(matches!(poll(&mut body), Poll::Ready(Some(Err(_)))));
    assert_eq!(log.take(), ["abc", "failed: the body ended 6 bytes short of its declared length", "written"]);
}

/// Sees the rest of a body whose receiver is gone, up to so many bytes.
struct Curious(Gated, u64);

impl Watch for Curious {
    fn data(&mut self, data: &Bytes) {
        self.0.data(data);
    }

    fn allowance(&self) -> Option<Allowance> {
        Some(Allowance { bytes: self.1, time: Duration::from_secs(60) })
    }

    fn end(self: Box<Self>, end: End) -> Ending {
        Box::new(self.0).end(end)
    }
}

#[tokio::test]
async fn what_a_receiver_leaves_is_read_for_the_watcher_within_its_allowance() {
    for (allowed, seen) in [
        (100, vec!["abc", "def", "ghi", "complete", "written"]),
        (4, vec!["abc", "def", "ghi", "cancelled", "written"]),
        (3, vec!["abc", "def", "cancelled", "written"]),
    ] {
        let log = Log::default();
        let watch = Curious(Gated { log: log.clone(), gate: None }, allowed);
        let steps = [data("abc"), data("def"), data("ghi")];
        let mut body = Watched::new(script(None, false, steps), Box::new(watch));
        expect_data(&mut body, "abc");
        drop(body);
        crate::endings::done().await;
        assert_eq!(log.take(), seen, "{allowed}");
    }
}

#[tokio::test]
async fn a_dropped_body_was_cancelled_and_its_watcher_still_finishes() {
    let (mut body, log, open) = watched(script(Some(6), true, [data("abc"), data("def")]));
    expect_data(&mut body, "abc");
    drop(body);
    assert_eq!(log.take(), ["abc", "cancelled"]);
    open.send(()).unwrap();
    while log.0.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(log.take(), ["written"]);
}

#[tokio::test]
async fn a_receiver_that_leaves_before_the_held_end_loses_nothing() {
    let (mut body, log, open) = watched(script(Some(3), true, [data("abc")]));
    assert!(poll(&mut body).is_pending());
    drop(body);
    assert_eq!(log.take(), ["abc", "complete"]);
    open.send(()).unwrap();
    while log.0.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(log.take(), ["written"]);
}

#[test]
fn a_drop_without_a_runtime_still_reports() {
    let log = Log::default();
    let watch = Box::new(Gated { log: log.clone(), gate: None });
    let body = Watched::new(script(None, false, [data("abc")]), watch);
    drop(body);
    assert_eq!(log.take(), ["cancelled", "written"]);
}

#[tokio::test]
async fn an_empty_body_ends_before_its_head_is_sent() {
    for body in [script(None, true, []), script(Some(0), false, [])] {
        let (open, gate) = oneshot::channel();
        let log = Log::default();
        let watch = Box::new(Gated { log: log.clone(), gate: Some(gate) });
        let mut made = std::pin::pin!(Watched::new(body, watch).ahead());
        assert!(made.as_mut().now_or_never().is_none());
        assert_eq!(log.take(), ["complete"]);
        open.send(()).unwrap();
        assert!(made.await.is_end_stream());
        assert_eq!(log.take(), ["written"]);
    }
}

#[tokio::test]
async fn the_bytes_pass_uncopied() {
    let bytes = Bytes::from(vec![7; 64]);
    let log = Log::default();
    let watch = Box::new(Gated { log, gate: None });
    let body = Watched::new(Full::new(bytes.clone()), watch);
    let passed = body.collect().await.unwrap().to_bytes();
    assert_eq!(passed.as_ptr(), bytes.as_ptr());
}

#[tokio::test]
async fn a_body_that_is_over_ahead_becomes_its_only_piece() {
    // Length, pieces, and whether one piece is all that is left to be sent.
    let cases: [(Option<u64>, &[&str], bool); 4] = [
        (Some(3), &["abc"], true),
        (Some(6), &["abc", "def"], false),
        (None, &["abc"], false),
        (Some(9), &["abc"], false),
    ];
    for (length, pieces, is_one) in cases {
        let steps = pieces.iter().map(|piece| data(*piece));
        let (body, log, open) = watched(script(length, length != Some(9), steps));
        open.send(()).unwrap();
        let body = body.ahead().await.into_body();
        assert_eq!(matches!(body, crate::Body::Full(_)), is_one, "{length:?} {pieces:?}");
        assert_eq!(body.size_hint().exact(), length);
        let collected = body.collect().await;
        assert_eq!(collected.is_err(), length == Some(9));
        if let Ok(collected) = collected {
            assert_eq!(collected.to_bytes(), pieces.concat());
        }
        assert_eq!(log.take().iter().filter(|line| *line == "written").count(), 1);
    }
}
