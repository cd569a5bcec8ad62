//! Translates entries that other tools recorded, each [`Dialect`] with its own deviations from harproxy's format.

mod bodies;
pub(crate) mod charset;
mod forms;
pub(crate) mod translate;

/// The tool whose quirks a HAR has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// harproxy.
    #[default]
    Own,
    /// Any other tool.
    Foreign,
    /// Playwright, which writes text payload files as UTF-8, whatever charset the message declares.
    Playwright,
    /// mitmproxy, which reads text without a declared charset as latin-1.
    Mitmproxy,
    /// Polly.JS, which writes compressed bodies as a JSON array of hex or base64 chunks.
    Polly,
}
