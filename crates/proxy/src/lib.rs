//! The engine: one port for absolute-form HTTP/1.1 and CONNECT (and origin-form ports for `--reverse`), TLS interception,
//! forwarding and tunnels. It knows no HAR: it hands an [`Exchange`] to a [`Handler`] and sends what comes back.

#![forbid(unsafe_code)]

mod auth;
pub mod body;
mod connect;
pub mod endings;
mod engine;
pub mod handler;
mod http_connection;
mod idle;
pub mod limits;
mod origin;
pub mod respond;
mod reverse;
mod secure;
mod serve;
mod served;
pub mod server;
mod sniff;
mod status;
mod target;
mod threads;
mod tunnel;
pub mod upstream;
mod wire;

pub use body::Body;
pub use handler::{BoxFuture, Close, Connection, ConnectionEvent, Exchange, Handler, HostStays, Tunnel};
pub use origin::{Origin, Scheme, Session};
pub use server::{Proxy, ProxyPlan, Running};
pub use tunnel::splice;
