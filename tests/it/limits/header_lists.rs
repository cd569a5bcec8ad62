//! HTTP/2 heads, whose fields take far more memory than bytes on the wire.

use std::io::Read;

use super::frames::{
    DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PREFACE, RST_STREAM, SETTINGS, field, frame, get, head,
};
use super::{Raw, ReplayServer, peak};

fn http2(replay: &ReplayServer) -> Raw {
    let mut raw = replay.raw();
    raw.send(PREFACE);
    raw.send(frame(SETTINGS, 0, 0, &[]));
    raw
}

/// A frame: kind, flags, stream and payload.
fn read_frame(raw: &mut Raw) -> (u8, u8, u32, Vec<u8>) {
    let mut header = [0; 9];
    raw.0.read_exact(&mut header).unwrap();
    let [a, b, c, kind, flags, stream @ ..] = header;
    let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
    raw.0.read_exact(&mut payload).unwrap();
    (kind, flags, u32::from_be_bytes(stream), payload)
}

/// Reads until a stream has ended. Returns its data, and the streams that were refused before: a head without data.
fn read_stream(raw: &mut Raw, stream: u32) -> (Vec<u8>, Vec<u32>) {
    let (mut data, mut refused) = (Vec::new(), Vec::new());
    loop {
        let (kind, flags, of, payload) = read_frame(raw);
        assert_ne!(kind, GOAWAY, "{payload:?}");
        match kind {
            DATA if of == stream => data.extend(payload),
            HEADERS | RST_STREAM if of != stream => refused.push(of),
            _ => {}
        }
        if of == stream && matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0 {
            refused.dedup();
            return (data, refused);
        }
    }
}

#[test]
fn head_beyond_the_limit_is_refused_and_other_streams_go_on() {
    let replay = ReplayServer::start(&[]);
    let mut raw = http2(&replay);
    // 150 KiB in long fields, and in short ones that take 34 bytes each of the list.
    let long = (0..3).flat_map(|_| field("x", &"v".repeat(50 * 1024))).collect::<Vec<u8>>();
    let short = field("x", "v").repeat(150 * 1024 / 34);
    for (n, fields) in [long, short].into_iter().enumerate() {
        let stream = 4 * u32::try_from(n).unwrap() + 1;
        raw.send(head(END_STREAM, stream, &[get("/api/good"), fields].concat()));
        raw.send(frame(HEADERS, END_STREAM | END_HEADERS, stream + 2, &get("/api/good")));
        assert_eq!(read_stream(&mut raw, stream + 2), (b"good".to_vec(), vec![stream]));
    }
    replay.server.stop().expect(0);
}

#[test]
fn head_of_64_kib_is_served() {
    let replay = ReplayServer::start(&[]);
    let mut raw = http2(&replay);
    for (stream, fields) in [
        (1, field("x", &"v".repeat(64 * 1024))),
        (3, field("cookie", &format!("session={}", "c".repeat(50))).repeat(1000)),
    ] {
        raw.send(head(END_STREAM, stream, &[get("/api/good"), fields].concat()));
        assert_eq!(read_stream(&mut raw, stream).0, b"good");
    }
    replay.server.stop().expect(0);
}

#[test]
fn request_with_too_many_fields_gets_431_and_fails_the_run() {
    let replay = ReplayServer::start(&[]);
    let mut raw = http2(&replay);
    raw.send(head(END_STREAM, 1, &[get("/api/good"), field("x", "v").repeat(1025)].concat()));
    let (problem, _) = read_stream(&mut raw, 1);
    assert!(String::from_utf8_lossy(&problem).contains("1024 header fields"), "{problem:?}");
    raw.send(frame(HEADERS, END_STREAM | END_HEADERS, 3, &get("/api/good")));
    assert_eq!(read_stream(&mut raw, 3).0, b"good");
    replay.server.stop().expect(1).says("unreadable").says("too many header fields");
}

/// Each stream keeps its head, because its payload does not arrive. An indexed field is one byte on the wire.
#[test]
fn unfinished_requests_of_a_connection_hold_bounded_memory() {
    for crumbs in [1000, 13_000] {
        let replay = ReplayServer::start(&[]);
        replay.assert_served();
        let before = peak(&replay.server);
        let mut raw = http2(&replay);
        raw.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, &[get("/api/good"), vec![0x40 | 32, 1, b'a']].concat()));
        // A POST with the field of the first request.
        let post = [vec![0x83], get("/api/upload")[1..].to_vec(), vec![0x80 | 62; crumbs]].concat();
        let posts = (1..256).flat_map(|n| head(0, 2 * n + 1, &post)).collect::<Vec<u8>>();
        // A connection with heads far beyond the limit may be closed before all is sent.
        let _ = std::io::Write::write_all(&mut raw.0, &posts);
        let _ =
            std::io::Write::write_all(&mut raw.0, &frame(HEADERS, END_STREAM | END_HEADERS, 601, &get("/api/good")));
        // The end of the last stream, or of the connection: all heads were read.
        let mut rest = [0; 9];
        while raw.0.read_exact(&mut rest).is_ok() {
            let [a, b, c, kind, .., s, t] = rest;
            let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
            if raw.0.read_exact(&mut payload).is_err() || kind == GOAWAY || [s, t] == 601_u16.to_be_bytes() {
                break;
            }
        }
        replay.assert_served();
        let grown = peak(&replay.server) - before;
        assert!(grown < 48, "{grown} MiB for {crumbs} fields in each head");
    }
}
