//! HTTP types and parsers that all other crates share: header lists, URLs, media types, content codings, cookies,
//! multipart. Pure and synchronous: no tokio, no hyper.

#![forbid(unsafe_code)]

pub mod coding;
pub mod cookies;
pub mod escape;
pub mod events;
pub mod headers;
pub mod jwt;
pub mod media;
pub mod multipart;
pub mod problem;
pub mod url;
pub mod volatile;

pub use events::StreamFormat;
pub use headers::{Header, Headers};
pub use media::MediaType;
pub use url::NormalUrl;
