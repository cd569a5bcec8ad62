//! Size and time limits for clients and upstream.

use std::time::Duration;

/// Maximum size of an HTTP/1.1 head, and of hyper's read buffer.
pub const MAX_HEAD: usize = 512 * 1024;

/// Maximum size of an HTTP/2 request head (SETTINGS_MAX_HEADER_LIST_SIZE): names, values, and 32 bytes for each field.
/// A client may keep one head on each of its [`H2_MAX_STREAMS`] streams, which takes a few bytes on the wire.
pub const H2_MAX_HEAD: u32 = 128 * 1024;

/// Maximum number of fields of an HTTP/2 request. A field of one byte takes about 180 bytes of memory.
pub const H2_MAX_FIELDS: usize = 1024;

/// Maximum size of an HTTP/2 response head. An upstream connection has at most 32 streams.
pub const H2_MAX_RESPONSE_HEAD: u32 = 512 * 1024;

/// Maximum number of header lines. hyper allocates two tables of 32 bytes per line with every message: with twice as
/// many lines the allocation would be mapped anew each time, which takes longer than the request.
pub const MAX_HEADERS: usize = 2048;

/// Concurrent requests on one HTTP/2 client connection (SETTINGS_MAX_CONCURRENT_STREAMS).
pub const H2_MAX_STREAMS: u32 = 128;

/// Flow-control window of an HTTP/2 stream in bytes: what a slow reader makes the proxy hold
/// (SETTINGS_INITIAL_WINDOW_SIZE).
pub const H2_STREAM_WINDOW: u32 = 1024 * 1024;

/// The bytes of a response that an HTTP/2 stream holds for a client that does not read.
pub const H2_SEND_BUFFER: usize = 64 * 1024;

/// Flow-control window of an HTTP/2 client connection: its uploads.
pub const H2_CONNECTION_WINDOW: u32 = 8 * 1024 * 1024;

/// Flow-control window of an HTTP/2 upstream connection. A stream whose reader stalls keeps its share of the window, so
/// a connection gets no more streams than the window has shares.
pub const H2_UPSTREAM_WINDOW: u32 = 32 * H2_STREAM_WINDOW;

/// Time limits of the client side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientTimeouts {
    /// For a request head, from its first byte; for a TLS handshake, from its first byte.
    pub(crate) head: Duration,
    /// Between requests, and for the first byte.
    pub(crate) idle: Duration,
}
