//! HTTP types and parsers that all other crates share: header lists, URLs, media types, content codings, cookies,
//! multipart. Pure and synchronous: no tokio, no hyper.

#![forbid(unsafe_code)]

pub mod coding;
pub mod cookies;
mod decode_limit;
pub mod escape;
pub mod events;
pub mod headers;
pub mod jwt;
pub mod media;
pub mod multipart;
pub mod problem;
pub mod url;
pub mod volatile;

pub use decode_limit::DecodeLimit;
pub use events::StreamFormat;
pub use headers::{Header, Headers};
pub use media::MediaType;
pub use url::NormalUrl;

/// Returns true if a HAR's `status` is one that a server sent. HTTP allows any three digits, and clients accept those
/// beyond 599 (RFC 9110 section 15). Other numbers, such as 0 and -1, stand for a request without a response.
#[must_use]
pub fn is_received_status(status: i32) -> bool {
    (100..=999).contains(&status)
}

/// The standard method that `written` spells with lower-case letters. `None` for methods in upper case and others.
#[must_use]
pub fn standard_method(written: &str) -> Option<&'static str> {
    const STANDARD: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
    STANDARD.into_iter().find(|method| *method != written && method.eq_ignore_ascii_case(written))
}
