//! Translates entries that other tools recorded, each [`Dialect`] with its own deviations from harproxy's format.

pub(crate) mod charset;
mod dialect;
mod forms;
pub(crate) mod translate;

pub(crate) use dialect::Dialect;
