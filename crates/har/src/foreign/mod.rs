//! Quirks of HARs that other tools wrote.

pub(crate) mod charset;
mod dialect;
mod forms;
pub(crate) mod translate;

pub(crate) use dialect::Dialect;
