//! Accepted streams and CONNECT tunnels: detects the protocol, terminates TLS, serves HTTP, copies the rest.

pub(crate) mod converse;
mod tls;
