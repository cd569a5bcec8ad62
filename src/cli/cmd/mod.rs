//! One file a command.

pub mod ca;
pub mod demo;
pub mod env;
pub mod explain;
pub mod glob;
pub mod record;
pub mod recover;
pub mod replay;
