//! Conversion of the recordings of other tools into fixtures. Each tool has a file; all of them fill [`Imported`].

mod document;
mod exchange;
mod har;
mod hoverfly;
mod mitmproxy;
mod nock;
mod pattern;
mod postman;
mod source;
mod tnetstring;
mod variables;
mod vcr;
mod wiremock;
mod write;

pub use exchange::{ImportLoss, ImportSettings, Imported, ImportedExchange};
pub use source::{ImportError, SourceFormat, read};
pub use write::{add, write};
