//! Merging fixtures: the union of several, and, for git, what two branches made of one.
//!
//! Entries are what is merged, not lines: an entry is known by its key (method, URL, payload of the request) and its turn.
//! What differs from one recording to the next though nothing changed (dates, timings, request ids) never is a conflict.

mod archive;
mod log;
mod look;
mod plan;
mod rename;
mod side;
mod text;
mod three_way;
mod turns;
mod union;

#[cfg(test)]
mod tests;

pub use plan::Counts;
pub use three_way::{Change, Conflict, Lost, Merged, Versions, three_way};
pub use union::{Error, Joined, Share, Union, union};
