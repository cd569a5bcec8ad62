//! The tools whose HARs need a translation of their own.

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
