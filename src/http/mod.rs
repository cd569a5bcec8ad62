//! The vocabulary of the wire, shared by every other room. Pure and synchronous: no tokio, no hyper.

pub mod coding;
pub mod headers;
pub mod problem;
pub mod url;

pub use headers::{Header, Headers};
pub use url::NormalUrl;
