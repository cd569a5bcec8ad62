//! Redaction: what is secret, what stands for it in a fixture, and what was left.
//!
//! [`Policy`] says what is secret, [`Redactor`] takes it out of heads and payloads, a [`Namer`] decides what stands for a
//! value, and [`placeholder`] knows such stand-ins wherever they are met again. Nothing here does I/O, and nothing can be
//! computed back from what stands for a value.

#![forbid(unsafe_code)]

pub mod clue;
mod command;
mod form;
mod graphql;
mod grouping;
mod headers;
mod inert;
mod json;
mod jwt;
pub mod known;
pub mod marker;
mod names;
pub mod naming;
mod numbering;
mod paths;
mod payload;
mod personal;
mod place;
pub mod placeholder;
mod policy;
mod prefilter;
mod redactor;
mod secret;
mod shapes;
mod spellings;
mod stream;
mod table;
mod telling;
mod url;
pub mod vault;
mod view;
mod windows;

pub use clue::{Clue, ClueKey, Clues};
pub use grouping::Grouping;
pub use known::Known;
pub use naming::Naming;
pub use numbering::Numbering;
pub use payload::{Outcome, Pace, is_lines, is_opaque, pace};
pub use place::Place;
pub use placeholder::{Form, Name, Placeholder};
pub use policy::{Error, Policy, Rules, exceptable, json_path, text_pattern};
pub use redactor::{AnyRedactor, Namer, Redactor};
pub use secret::Secret;
pub use stream::Stream;
pub use telling::Telling;
pub use vault::Vault;
pub use view::Splice;

#[cfg(test)]
mod tests;
