//! How much is taken in: towards clients and towards upstream the same, so that what one side accepts the other can be
//! given.

/// Bytes of an HTTP/1.1 message's head; the read buffer may grow to it too.
pub const MAX_HEAD: usize = 512 * 1024;

/// The same for HTTP/2 (SETTINGS_MAX_HEADER_LIST_SIZE).
pub const H2_MAX_HEAD: u32 = 512 * 1024;

/// Field lines of a head. hyper allocates two tables of 32 bytes for each line with every message. For twice as many lines an
/// allocator maps them anew each time, which takes longer than answering a request.
pub const MAX_HEADERS: usize = 2048;

/// Requests that a client may have under way on one HTTP/2 connection (SETTINGS_MAX_CONCURRENT_STREAMS).
pub const H2_MAX_STREAMS: u32 = 256;

/// Bytes that one HTTP/2 stream may have under way: what a slow reader can make us hold (SETTINGS_INITIAL_WINDOW_SIZE).
pub const H2_STREAM_WINDOW: u32 = 1024 * 1024;

/// The same for the connection of a client: its uploads.
pub const H2_CONNECTION_WINDOW: u32 = 8 * 1024 * 1024;

/// The same for a connection to upstream. Streams whose readers stall keep their share of it, and the window is all that the others
/// have: so a connection gets no more streams than it has room for.
pub const H2_UPSTREAM_WINDOW: u32 = 32 * H2_STREAM_WINDOW;
