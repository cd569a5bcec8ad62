//! Endless heads and abusive HTTP/2 frames: the connection is closed, and memory stays bounded.

use super::frames::{
    CONTINUATION, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, GOAWAY, HEADERS, PING, PREFACE, RST_STREAM, SETTINGS,
    frame, get,
};
use super::{Raw, ReplayServer, peak};

const MIB: usize = 1024 * 1024;

#[test]
fn endless_heads_are_refused() {
    let replay = ReplayServer::start(&[]);
    replay.assert_served();
    let before = peak(&replay.server);
    let begin = "GET http://api.test/api/good HTTP/1.1\r\nHost: api.test\r\n";
    let mut raw = replay.raw();
    let many: String = (0..2050).map(|n| format!("X-{n}: {n}\r\n")).collect();
    raw.send(format!("{begin}{many}\r\n"));
    assert!(raw.rest_text().starts_with("HTTP/1.1 431 "));
    let mut raw = replay.raw();
    raw.send(format!("{begin}X-Long: {}\r\n\r\n", "x".repeat(513 * 1024)));
    assert!(raw.rest_text().starts_with("HTTP/1.1 431 "));
    // Endless lines, an endless line, endless trailers.
    let chunked = "POST http://api.test/api/upload HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n";
    let post = "POST http://api.test/api/upload HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (begin, more) in [
        (begin.to_owned(), "X-Many: 1\r\n".repeat(4096)),
        (format!("{begin}X-Long: "), "x".repeat(64 * 1024)),
        (chunked.to_owned(), "X-Many: 1\r\n".repeat(4096)),
        (format!("{post}5;"), "x".repeat(64 * 1024)),
        ("GET http://api.test/".to_owned(), "x".repeat(64 * 1024)),
    ] {
        let mut raw = replay.raw();
        raw.send(&begin);
        // A refused request is still read for a while, so that the answer arrives.
        let taken = raw.flood(more.as_bytes(), 64 * 1024 * MIB);
        assert!(taken < 64 * 1024 * MIB, "{begin:?} is not limited");
        replay.assert_served();
    }
    let grown = peak(&replay.server) - before;
    assert!(grown < 64, "{grown} MiB");
    replay.server.stop().expect(1).says("unreadable").says("its head is too long").says("a shorter URL");
}

fn http2(replay: &ReplayServer) -> Raw {
    let mut raw = replay.raw();
    raw.send(PREFACE);
    raw.send(frame(SETTINGS, 0, 0, &[]));
    raw
}

/// The error of the GOAWAY among these frames.
fn goaway(mut frames: &[u8]) -> Option<u8> {
    while let [a, b, c, kind, _, _, _, _, _, rest @ ..] = frames {
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        if *kind == GOAWAY {
            return rest.get(7).copied();
        }
        frames = rest.get(length..)?;
    }
    None
}

#[test]
fn rapid_stream_resets_close_the_connection() {
    let replay = ReplayServer::start(&[]);
    replay.assert_served();
    let before = peak(&replay.server);
    let pair = |n: u32| {
        let stream = 2 * n + 1;
        [
            frame(HEADERS, END_STREAM | END_HEADERS, stream, &get("/api/good")),
            frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()),
        ]
        .concat()
    };
    let storm: Vec<u8> = (0..100_000).flat_map(pair).collect();
    let mut raw = http2(&replay);
    // The connection is closed before all is sent.
    let _ = std::io::Write::write_all(&mut raw.0, &storm);
    let error = goaway(&raw.rest());
    assert!(matches!(error, None | Some(ENHANCE_YOUR_CALM)), "{error:?}");
    replay.assert_served();
    let grown = peak(&replay.server) - before;
    assert!(grown < 64, "{grown} MiB");
    replay.server.stop().expect(0);
}

#[test]
fn endless_http2_head_closes_the_connection() {
    let replay = ReplayServer::start(&[]);
    replay.assert_served();
    let before = peak(&replay.server);
    // Frames with a header `x` of 8000 bytes that is not indexed, and empty frames.
    let header = [&[0x00, 1, b'x', 0x7f, 0xc1, 0x3d][..], &[b'x'; 8000]].concat();
    for more in [header.clone(), Vec::new()] {
        let mut raw = http2(&replay);
        raw.send(frame(HEADERS, END_STREAM, 1, &get("/api/good")));
        let taken = raw.flood(&frame(CONTINUATION, 0, 1, &more).repeat(100), 64 * MIB);
        assert!(taken < 64 * MIB, "the head is not limited");
        replay.assert_served();
    }
    let grown = peak(&replay.server) - before;
    assert!(grown < 64, "{grown} MiB");
    replay.server.stop().expect(0);
}

/// A client that does not read the answers to its PING frames is no longer read.
#[test]
fn unread_ping_answers_do_not_accumulate() {
    let replay = ReplayServer::start(&[]);
    replay.assert_served();
    let before = peak(&replay.server);
    for kind in [PING, SETTINGS] {
        let payload: &[u8] = if kind == PING { &[0; 8] } else { &[] };
        let mut raw = http2(&replay);
        raw.0.set_nonblocking(true).unwrap();
        let flood = frame(kind, 0, 0, payload).repeat(4096);
        let (mut sent, mut stuck) = (0, 0);
        while sent < 64 * MIB && stuck < 100 {
            match std::io::Write::write(&mut raw.0, &flood[sent % 17..]) {
                Ok(n) => sent += n,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    stuck += 1;
                    replay.assert_served();
                }
                Err(_) => break,
            }
        }
    }
    let grown = peak(&replay.server) - before;
    assert!(grown < 64, "{grown} MiB");
    replay.server.stop().expect(0);
}
