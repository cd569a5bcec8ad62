use std::io;
use std::task::Waker;

use http_body_util::BodyExt;
use proptest::prelude::*;

use super::*;
use crate::body::script::{Script, Step, WAIT, data, script, step};

/// So much that what follows belongs to a long body.
fn beginning() -> Step {
    data(vec![b'.'; LONG as usize])
}

/// A long body whose beginning has passed.
fn long(steps: impl IntoIterator<Item = Step>) -> Gathered<Script> {
    let mut body = Gathered::new(script(None, false, std::iter::once(beginning()).chain(steps)));
    assert_eq!(piece(&mut body).len() as u64, LONG);
    body
}

fn poll(body: &mut Gathered<Script>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
    Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()))
}

/// The next piece, when other tasks have had their turns.
#[track_caller]
fn piece(body: &mut Gathered<Script>) -> Bytes {
    for _ in 0..10 {
        if let Poll::Ready(frame) = poll(body) {
            return frame.unwrap().unwrap().into_data().unwrap();
        }
    }
    panic!("nothing comes");
}

#[test]
fn a_short_body_passes_as_it_comes() {
    let bytes = Bytes::from(vec![7; 100]);
    let mut body = Gathered::new(script(Some(200), true, [data(bytes.clone()), data(bytes.clone())]));
    for left in [100, 0] {
        assert_eq!(piece(&mut body).as_ptr(), bytes.as_ptr());
        assert_eq!(body.size_hint().exact(), Some(left));
        assert_eq!(body.is_end_stream(), left == 0);
    }
}

/// hyper hands over a piece, and the next one when its task had its turn.
#[test]
fn what_comes_in_turns_is_one_piece() {
    let mut body =
        long([data("a"), WAIT, WAIT, data("b"), WAIT, data("c"), WAIT, WAIT, WAIT, data("d"), WAIT, data("e")]);
    assert_eq!(piece(&mut body), "abc");
    assert_eq!(piece(&mut body), "de");
    assert!(matches!(poll(&mut body), Poll::Ready(None)));
}

#[test]
fn a_piece_waits_for_nothing_that_is_not_there() {
    let mut body = long([data("a"), WAIT, WAIT, WAIT]);
    assert!(poll(&mut body).is_pending());
    assert!(poll(&mut body).is_pending());
    assert!(poll(&mut body).is_ready());
}

#[test]
fn what_came_first_does_not_wait_for_ever_for_more() {
    let mut body = long((0..1000).flat_map(|_| [WAIT, data("event")]));
    let waited = (0..1000).take_while(|_| poll(&mut body).is_pending()).count();
    assert!(waited <= usize::from(TURNS) + 1, "{waited}");
}

#[test]
fn no_more_buffers_are_kept_than_are_needed() {
    let pieces = std::iter::repeat_with(|| data(vec![7; PIECE])).take(6);
    let mut body = long(pieces.chain([WAIT, WAIT]));
    let around: Vec<Bytes> = (0..6).map(|_| piece(&mut body)).collect();
    assert!(poll(&mut body).is_pending());
    assert_eq!(body.long.as_ref().unwrap().buffers.len(), 6);
    drop(around);
    assert!(poll(&mut body).is_pending());
    assert_eq!(body.long.as_ref().unwrap().buffers.len(), IDLE);
}

#[test]
fn a_buffer_is_no_longer_than_what_may_come() {
    let steps = [beginning(), data(vec![7; 5000]), data(vec![7; 1000])];
    let mut body = Gathered::new(script(Some(LONG + 6000), true, steps));
    piece(&mut body);
    assert_eq!(piece(&mut body).len(), 6000);
    assert_eq!(body.long.unwrap().room(), 0);
}

#[test]
fn a_piece_is_as_long_as_its_buffer() {
    let frames = |count| std::iter::repeat_with(|| data(vec![7; 60_000])).take(count);
    let mut body = long(frames(9));
    assert_eq!(
        [piece(&mut body).len(), piece(&mut body).len(), piece(&mut body).len()],
        [PIECE, PIECE, 540_000 - 2 * PIECE]
    );
}

#[test]
fn a_buffer_is_used_again_when_nothing_of_it_is_around() {
    let mut body = long(std::iter::repeat_with(|| data(vec![7; PIECE])).take(6));
    let first = piece(&mut body).as_ptr();
    let second = piece(&mut body);
    assert_eq!(second.as_ptr(), first);
    let third = piece(&mut body);
    assert_ne!(third.as_ptr(), first);
    drop(second);
    let fourth = piece(&mut body);
    assert_eq!(fourth.as_ptr(), first);
    let fifth = piece(&mut body);
    assert!(![first, third.as_ptr()].contains(&fifth.as_ptr()));
}

#[test]
fn short_pieces_share_a_buffer() {
    let mut body = long((0..100).flat_map(|_| [data("event"), WAIT, WAIT, WAIT]));
    let pieces: Vec<Bytes> = (0..100).map(|_| piece(&mut body)).collect();
    let (first, last) = (pieces[0].as_ptr() as usize, pieces[99].as_ptr() as usize);
    assert_eq!(last - first, 99 * "event".len());
}

#[test]
fn what_is_behind_comes_behind() {
    let trailers = http::HeaderMap::from_iter([("x-sum".parse().unwrap(), "9".parse().unwrap())]);
    let mut body = long([data("a"), step(Ok(Frame::trailers(trailers.clone())))]);
    assert_eq!(piece(&mut body), "a");
    let Poll::Ready(Some(Ok(frame))) = poll(&mut body) else { panic!() };
    assert_eq!(frame.into_trailers().unwrap(), trailers);

    let mut body = long([data("a"), step(Err(io::Error::other("reset by peer")))]);
    assert_eq!(piece(&mut body), "a");
    let Poll::Ready(Some(Err(error))) = poll(&mut body) else { panic!() };
    assert_eq!(error.to_string(), "reset by peer");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_is_lost_or_told_too_early(frames in prop::collection::vec((0..100_000usize, 0..4usize), 0..20), knows: bool, is_declared: bool) {
        let bytes: Vec<u8> = (0..frames.iter().map(|(len, _)| len).sum::<usize>()).map(|at| (at % 251) as u8).collect();
        let mut rest = Bytes::from(bytes.clone());
        let steps: Vec<Step> = frames
            .iter()
            .flat_map(|(len, waits)| std::iter::repeat_with(|| WAIT).take(*waits).chain([data(rest.split_to(*len))]))
            .collect();
        let length = is_declared.then_some(bytes.len() as u64);
        let mut body = Gathered::new(script(length, knows, steps));
        let mut came = Vec::new();
        loop {
            prop_assert_eq!(body.size_hint().exact(), length.map(|length| length - came.len() as u64));
            prop_assert!(!body.is_end_stream() || came.len() == bytes.len());
            match poll(&mut body) {
                Poll::Pending => {}
                Poll::Ready(None) => break,
                Poll::Ready(Some(frame)) => came.extend_from_slice(frame.unwrap().data_ref().unwrap()),
            }
        }
        prop_assert!(came == bytes);
    }
}

#[tokio::test]
async fn who_waits_is_woken() {
    let body = long([WAIT, data("a"), WAIT, WAIT, WAIT, data("b"), WAIT]);
    assert_eq!(body.collect().await.unwrap().to_bytes(), "ab");
}
