//! Writing fixtures: new ones, and changes of existing ones that keep every other byte.

pub(crate) mod canonical;
pub mod format;
pub mod held;
pub mod pack;
mod payload_store;
pub mod pieces;
mod publish;
pub mod rewrite;
pub mod scope;
mod text;
mod writer;

pub use crate::model::LAYOUT;
pub use crate::store::payload_path::is_zip;
pub use payload_store::{ContentMode, JsonLayout, PayloadSource};
pub use writer::{FixtureWriter, WriteSummary, sweep};
