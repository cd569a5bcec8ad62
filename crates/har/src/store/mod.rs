//! Storage of fixtures: the text of a HAR, payload files, archives and staged files.

pub(crate) mod archive;
pub mod digest;
pub(crate) mod lfs;
pub mod payload;
pub mod payload_path;
pub(crate) mod staging;
pub(crate) mod stamp;
pub(crate) mod text_store;
