//! Reading fixtures: a tolerant scan that indexes the entries, which are parsed on demand.

mod contents;
pub(crate) mod entry;
pub(crate) mod find;
mod fixture;
mod index;
mod payloads;
mod recorded_at;
mod scan;
mod snapshot;
mod source;
pub mod values;
mod window;

pub use contents::{LeftOutCause, Warning};
pub use find::find;
pub use fixture::Fixture;
pub use index::{EntryHead, Heads};
pub use recorded_at::parse_time;
