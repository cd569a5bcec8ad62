//! The engine: one port for absolute-form HTTP/1.1 and CONNECT (and origin-form ports for `--reverse`), TLS interception,
//! forwarding and tunnels. It knows no HAR: it hands an [`Exchange`] to a [`Handler`] and sends what comes back.

pub mod body;
pub mod handler;
pub mod limits;
pub mod respond;
pub mod server;
pub mod upstream;

pub use body::Body;
pub use handler::{Client, Connect, Exchange, Handler, HostStays, Notice, Origin, Scheme, Session};
pub use server::{Proxy, ProxyPlan, Running};
