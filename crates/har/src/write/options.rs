//! Options of [`FixtureWriter`](crate::FixtureWriter) and the description of a payload to write.

use std::io::Read;

use crate::model::Truncated;

/// Where payloads are stored (`--content`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ContentMode {
    /// In files beside the HAR, or in members of the archive.
    #[default]
    Attach,
    /// In the HAR itself.
    Embed,
    /// Not at all: only sizes are recorded.
    Omit,
}

/// How compact JSON payloads are attached (`--json-layout`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JsonLayout {
    /// Indented, one member per line. Replay sends them compact again.
    #[default]
    Indent,
    /// As received.
    Wire,
}

/// A payload to write.
pub struct PayloadSource<'a> {
    /// The decoded bytes.
    pub read: &'a mut dyn Read,
    /// `Content-Type` as received, or empty.
    pub mime_type: &'a str,
    /// True if the content coding of the bytes could not be removed.
    pub encoded: bool,
    /// The reason and sizes, if the payload is truncated.
    pub truncated: Option<Truncated>,
}
