//! The certificate authority, the leaf certificates it signs, trust bundles, and the roots that upstreams are checked with.

#![forbid(unsafe_code)]

pub mod authority;
pub mod bundle;
mod ca_files;
pub mod jvm;
mod leaf;
pub mod provider;
mod roots;
pub mod upstream;
