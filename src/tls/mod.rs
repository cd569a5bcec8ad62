//! The certificate authority, the leaf certificates it signs, trust bundles, and the roots that upstreams are checked with.

pub mod authority;
mod ca_files;
mod leaf;
pub mod provider;
