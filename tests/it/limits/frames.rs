//! HTTP/2 frames, for clients that no library implements.

use std::collections::HashMap;
use std::io::Read;
use std::net::SocketAddr;

use super::Raw;

pub const PREFACE: &str = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const ENHANCE_YOUR_CALM: u8 = 11;
const INITIAL_WINDOW_SIZE: u16 = 4;

/// The initial flow-control window of streams and connections (RFC 9113 section 6.9.2).
pub const DEFAULT_WINDOW: u32 = 65_535;
const LARGEST_WINDOW: u32 = (1 << 31) - 1;

/// An HTTP/2 frame (RFC 9113 section 4.1).
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The header block of a GET of this path of `http://api.test` (RFC 7541).
pub fn get(path: &str) -> Vec<u8> {
    let literal = |name: u8, value: &str| [&[name, u8::try_from(value.len()).unwrap()], value.as_bytes()].concat();
    // :method GET, :scheme http, then :path and :authority with names from the static table, not indexed.
    [vec![0x82, 0x86], literal(0x04, path), literal(0x01, "api.test")].concat()
}

/// A header field that is not indexed (RFC 7541 section 6.2.2), with a name of up to 126 bytes.
pub fn field(name: &str, value: &str) -> Vec<u8> {
    [&[0, u8::try_from(name.len()).unwrap()], name.as_bytes(), &length(value.len()), value.as_bytes()].concat()
}

/// An integer with a prefix of seven bits (RFC 7541 section 5.1).
fn length(length: usize) -> Vec<u8> {
    let Some(mut rest) = length.checked_sub(127) else { return vec![u8::try_from(length).unwrap()] };
    let mut bytes = vec![127];
    while rest >= 128 {
        bytes.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    bytes.push(u8::try_from(rest).unwrap());
    bytes
}

/// The HEADERS and CONTINUATION frames of a header block.
pub fn head(flags: u8, stream: u32, block: &[u8]) -> Vec<u8> {
    let pieces: Vec<_> = block.chunks(16_000).collect();
    let frames = pieces.iter().enumerate().map(|(n, piece)| {
        let last = if n + 1 == pieces.len() { END_HEADERS } else { 0 };
        match n {
            0 => frame(HEADERS, flags | last, stream, piece),
            _ => frame(CONTINUATION, last, stream, piece),
        }
    });
    frames.collect::<Vec<_>>().concat()
}

/// The data received on a stream.
#[derive(Clone, Copy, Debug, Default)]
pub struct StreamReceived {
    pub heads: usize,
    pub bytes: usize,
    pub ended: bool,
}

/// A client that never extends its flow-control windows.
pub struct WindowedClient {
    raw: Raw,
    streams: u32,
    received: HashMap<u32, StreamReceived>,
}

impl WindowedClient {
    /// A client with the initial windows.
    pub fn new(proxy: SocketAddr) -> Self {
        WindowedClient::begin(proxy, &[])
    }

    /// A client with this window for each stream and the largest window for the connection.
    pub fn with_window(proxy: SocketAddr, window: u32) -> Self {
        let setting = [&INITIAL_WINDOW_SIZE.to_be_bytes()[..], &window.to_be_bytes()].concat();
        let mut client = WindowedClient::begin(proxy, &setting);
        client.raw.send(frame(WINDOW_UPDATE, 0, 0, &(LARGEST_WINDOW - DEFAULT_WINDOW).to_be_bytes()));
        client
    }

    fn begin(proxy: SocketAddr, settings: &[u8]) -> Self {
        let mut raw = Raw::to(proxy);
        raw.send(PREFACE);
        raw.send(frame(SETTINGS, 0, 0, settings));
        WindowedClient { raw, streams: 0, received: HashMap::new() }
    }

    /// Opens a stream.
    pub fn send(&mut self, path: &str) -> u32 {
        let stream = 2 * self.streams + 1;
        self.streams += 1;
        self.raw.send(frame(HEADERS, END_STREAM | END_HEADERS, stream, &get(path)));
        stream
    }

    /// The data received on a stream so far.
    pub fn received(&self, stream: u32) -> StreamReceived {
        self.received.get(&stream).copied().unwrap_or_default()
    }

    /// Reads until the condition holds.
    #[track_caller]
    pub fn until(&mut self, done: impl Fn(&WindowedClient) -> bool) {
        while !done(self) {
            let mut head = [0; 9];
            self.raw.0.read_exact(&mut head).unwrap_or_else(|error| panic!("{error}: {:?}", self.received));
            let [a, b, c, kind, flags, stream @ ..] = head;
            let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
            self.raw.0.read_exact(&mut payload).unwrap();
            assert!(kind != GOAWAY && kind != RST_STREAM, "{head:?} {payload:?}");
            let received = self.received.entry(u32::from_be_bytes(stream)).or_default();
            match kind {
                HEADERS => received.heads += 1,
                DATA => received.bytes += payload.len(),
                _ => continue,
            }
            received.ended |= flags & END_STREAM != 0;
        }
    }

    /// Asserts that a small answer arrives.
    #[track_caller]
    pub fn is_served(&mut self, path: &str, length: usize) {
        let stream = self.send(path);
        self.until(|client| client.received(stream).ended);
        assert_eq!(self.received(stream).bytes, length);
    }
}
