//! Redaction: what is secret, what stands for it in a fixture, and what was left.
//!
//! [`Policy`] says what is secret, [`Redactor`] takes it out of heads and payloads, a [`Namer`] decides what stands for a
//! value, and [`placeholder`] knows such stand-ins wherever they are met again. Nothing here does I/O, and nothing can be
//! computed back from what stands for a value.

pub mod marker;
pub mod naming;
pub mod placeholder;
mod policy;
mod redactor;
pub mod vault;
mod windows;

pub use naming::Naming;
pub use placeholder::{Form, Name, Placeholder};
pub use policy::{Error, Policy, Rules, json_path, text_pattern};
pub use redactor::{Namer, Outcome, Redactor, Stream, is_lines, is_opaque};
pub use vault::Vault;
