//! The certificate authority and its leaf certificates, trust bundles for clients, and the roots that verify upstreams.

#![forbid(unsafe_code)]

pub mod authority;
mod authority_error;
pub mod bundle;
mod ca_files;
pub mod jvm;
mod leaf;
pub mod provider;
mod roots;
pub mod upstream;
